"""Hidden states of decoders against those of transformers' torch models, read from the same folder."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers
from safetensors.numpy import load_file, save_file

from jam_jax.backbones import decoder
from jam_jax.backbones.tensors import open_safetensors
from jam_jax.errors import JamError

# These tests spend their time on compiling.
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
VOCABULARY, TOKENS = 40, 12
SIZE = {"vocab_size": VOCABULARY, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 4}
SIZE |= {"intermediate_size": 24, "max_position_embeddings": 32, "bos_token_id": 1, "eos_token_id": 2}
SIZE |= {"pad_token_id": 0}
OLD = {"vocab_size": VOCABULARY, "n_layer": 3, "bos_token_id": 1, "eos_token_id": 2}
KINDS = {
    "llama": functools.partial(transformers.LlamaConfig, **SIZE, num_key_value_heads=2),
    "llama, biases": functools.partial(transformers.LlamaConfig, **SIZE, attention_bias=True, mlp_bias=True),
    "llama, wide heads, tied": functools.partial(
        transformers.LlamaConfig, **SIZE, num_key_value_heads=1, head_dim=6, tie_word_embeddings=True
    ),
    "mistral": functools.partial(transformers.MistralConfig, **SIZE, num_key_value_heads=2, sliding_window=None),
    "mistral, window": functools.partial(transformers.MistralConfig, **SIZE, num_key_value_heads=2, sliding_window=4),
    "qwen2": functools.partial(transformers.Qwen2Config, **SIZE, num_key_value_heads=2),
    "qwen2, window": functools.partial(
        transformers.Qwen2Config, **SIZE, num_key_value_heads=2, use_sliding_window=True, sliding_window=3,
        max_window_layers=1,
    ),
    "qwen3": functools.partial(transformers.Qwen3Config, **SIZE, num_key_value_heads=2, head_dim=8),
    "qwen3, biases": functools.partial(
        transformers.Qwen3Config, **SIZE, num_key_value_heads=2, head_dim=4, attention_bias=True
    ),
    "gemma": functools.partial(transformers.GemmaConfig, **SIZE, num_key_value_heads=1, head_dim=8),
    "gpt2": functools.partial(transformers.GPT2Config, **OLD, n_embd=16, n_head=4, n_positions=16),
    "gpt2, untied": functools.partial(
        transformers.GPT2Config, **OLD, n_embd=16, n_head=2, n_inner=20, tie_word_embeddings=False
    ),
    "bloom": functools.partial(transformers.BloomConfig, **OLD, hidden_size=16, n_head=4),
    "bloom, six heads": functools.partial(transformers.BloomConfig, **OLD, hidden_size=24, n_head=6),
}  # fmt: skip
SCALINGS = {
    "theta": {"rope_type": "default", "rope_theta": 500.0},
    "linear": {"rope_type": "linear", "factor": 3.0, "rope_theta": 100.0},
    "llama3": {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16, "rope_theta": 100.0,
    },
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "rope_theta": 100.0},
    "yarn with all settings": {
        "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "rope_theta": 100.0,
        "beta_fast": 8.0, "beta_slow": 0.5, "mscale": 0.7, "mscale_all_dim": 0.4, "truncate": False,
    },
    "yarn with its factor": {
        "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "attention_factor": 1.3,
        "rope_theta": 100.0,
    },
}  # fmt: skip
RIGHT = np.arange(TOKENS) < np.array([[TOKENS], [7], [1]])
MASKS = {"right": RIGHT, "left": RIGHT[:, ::-1], "both": np.roll(RIGHT, 2, axis=1) & RIGHT[:1]}


def randomised(model):
    """Every parameter random: norms that start at 1 and biases that start at 0 would hide mistakes."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            scale = ("norm" in name or "ln_" in name) and name.endswith("weight")
            parameter.normal_(1.0 if scale and model.config.model_type != "gemma" else 0.0, 0.3)
    model.tie_weights()
    return model.eval()


def saved(folder, config):
    model = randomised(transformers.AutoModelForCausalLM.from_config(config))
    model.save_pretrained(folder)
    return model


def loaded(folder):
    config = decoder.config_from(json.loads((folder / "config.json").read_text()))
    return config, decoder.params_from(open_safetensors(sorted(folder.glob("*.safetensors"))), config)


def tokens(rows=3):
    return np.random.default_rng(0).integers(3, VOCABULARY, (rows, TOKENS))


@functools.cache
def compiled(config, collect=lambda hidden: hidden):
    return jit(lambda params, ids, mask: decoder.hidden_states(params, config, ids, mask, collect=collect))


def ours(params, config, ids, mask):
    with jax.default_matmul_precision("highest"):
        return np.asarray(compiled(config)(params, ids, mask))


def theirs(model, ids, mask):
    mask = torch.from_numpy(np.ascontiguousarray(mask)).long()
    positions = {"position_ids": (mask.cumsum(1) - 1).clamp(min=0)} if model.config.model_type != "bloom" else {}
    with torch.inference_mode():
        output = model(torch.from_numpy(ids), attention_mask=mask, output_hidden_states=True, **positions)
    return np.stack([hidden.numpy() for hidden in output.hidden_states]), output.logits.numpy()


def check(folder, config):
    model = saved(folder, config)
    config, params = loaded(folder)
    ids, mask = np.concatenate([tokens()] * len(MASKS)), np.concatenate(list(MASKS.values()))
    got, (expected, expected_logits) = ours(params, config, ids, mask), theirs(model, ids, mask)
    assert got.shape == expected.shape
    np.testing.assert_allclose(got[:, mask], expected[:, mask], atol=1e-4, rtol=0)
    assert np.isfinite(got).all()
    head = decoder.logits(params, config, got[-1])
    np.testing.assert_allclose(head[mask], expected_logits[mask], atol=2e-4, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_every_hidden_state_is_that_of_transformers(tmp_path, kind):
    check(tmp_path, KINDS[kind]())


@pytest.mark.parametrize("scaling", SCALINGS)
def test_rotary_scalings_are_those_of_transformers(tmp_path, scaling):
    size = SIZE | {"max_position_embeddings": 64}
    check(tmp_path, transformers.LlamaConfig(**size, head_dim=16, rope_parameters=SCALINGS[scaling]))


@pytest.fixture(scope="module", params=["llama", "qwen2, window", "bloom"])
def small(request, tmp_path_factory):
    """Config and parameters of a model, without torch's."""
    folder = tmp_path_factory.mktemp("model")
    saved(folder, KINDS[request.param]())
    return loaded(folder)


def decode(params, config, ids, mask, *, capacity, prompt):
    """The last hidden states of texts whose ``prompt`` first tokens go in together and the rest one by one."""
    positions = decoder.positions_of(mask)

    @jit
    def forward(params, cache, ids, positions, valid, start):
        slots = start + jnp.arange(ids.shape[1])
        cache = decoder.place(cache, slots, positions, valid)
        seen = decoder.causal_mask(positions, cache.positions, cache.valid)
        hidden = decoder.embed(params, config, ids, positions)
        for first, last in ((0, 2), (2, config.layers)):
            hidden, cache, _ = decoder.run_layers(
                params, config, hidden, positions, seen, first=first, last=last, cache=cache, slots=slots
            )
        return decoder.final_norm(params, config, hidden), cache

    cache, parts, start = decoder.empty_cache(config, len(ids), capacity), [], 0
    for size in [prompt] + [1] * (ids.shape[1] - prompt):
        place = slice(start, start + size)
        hidden, cache = forward(params, cache, ids[:, place], positions[:, place], mask[:, place], start)
        parts.append(hidden)
        start += size
    return np.concatenate(parts, axis=1)


def test_decoding_with_a_cache_is_decoding_without(small):
    config, params = small
    ids, mask = np.concatenate([tokens()] * len(MASKS)), np.concatenate(list(MASKS.values()))
    with jax.default_matmul_precision("highest"):
        got = decode(params, config, ids, mask, capacity=TOKENS + 3, prompt=5)
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got[mask], ours(params, config, ids, mask)[-1][mask], atol=1e-4, rtol=0)


def test_layers_run_range_by_range(small):
    config, params = small
    ids, mask = tokens(), jnp.array(MASKS["left"])
    positions = decoder.positions_of(mask)
    seen = decoder.causal_mask(positions, positions, mask)

    @jit
    def ranges(params):
        states = [decoder.embed(params, config, ids, positions)]
        for first, last in ((0, 1), (1, 1), (1, 3)):
            hidden, _, collected = decoder.run_layers(
                params, config, states[-1], positions, seen, first=first, last=last, collect=lambda hidden: hidden
            )
            states += list(collected)
        return jnp.stack([*states[:-1], decoder.final_norm(params, config, hidden)])

    with jax.default_matmul_precision("highest"):
        got = ranges(params)
    expected = ours(params, config, ids, MASKS["left"])
    np.testing.assert_allclose(got[:, mask], expected[:, mask], atol=1e-5, rtol=0)


def test_the_order_in_the_array_does_not_matter(small):
    config, params = small
    ids, order = tokens(), np.random.default_rng(1).permutation(TOKENS)
    positions = np.tile(np.arange(TOKENS), (len(ids), 1))

    @jit
    def run(params, ids, positions):
        seen = decoder.causal_mask(positions, positions, jnp.ones_like(positions, bool))
        hidden = decoder.embed(params, config, ids, positions)
        return decoder.run_layers(params, config, hidden, positions, seen, first=0, last=3)[0]

    with jax.default_matmul_precision("highest"):
        expected, got = run(params, ids, positions), run(params, ids[:, order], positions[:, order])
    np.testing.assert_allclose(got, expected[:, order], atol=1e-4, rtol=0)


def test_texts_of_padding_alone_stay_finite(small):
    config, params = small
    mask = MASKS["left"].copy()
    mask[1] = False
    assert np.isfinite(ours(params, config, tokens(), mask)).all()


def test_collect_pools_inside_the_loop(small):
    config, params = small
    whole = ours(params, config, tokens(), MASKS["right"])
    pool = compiled(config, lambda hidden: {"last": hidden[:, -1], "mean": hidden.mean(1)})
    with jax.default_matmul_precision("highest"):
        pooled = pool(params, tokens(), MASKS["right"])
    np.testing.assert_allclose(pooled["last"], whole[:, :, -1], atol=1e-6)
    np.testing.assert_allclose(pooled["mean"], whole.mean(2), atol=1e-5)


def test_what_the_model_does_not_have_makes_nan_or_an_error(small):
    config, params = small
    ids = tokens()
    ids[0, 4] = VOCABULARY
    mask = np.ones_like(ids, bool)
    hidden = ours(params, config, ids, mask)
    assert np.isnan(hidden[0, 0, 4]).all() and np.isfinite(hidden[:, 1:]).all()
    mask[0, 4] = False  # what stands for padding need not be a word
    assert np.isfinite(ours(params, config, ids, mask)).all()
    embedded, seen = hidden[0], np.ones((3, TOKENS, TOKENS), bool)
    with pytest.raises(JamError, match="layers 2 to 4 were asked for, this model has 3"):
        decoder.run_layers(params, config, embedded, mask, seen, first=2, last=4)
    with pytest.raises(JamError, match="cache and slots belong together"):
        decoder.run_layers(params, config, embedded, mask, seen, first=0, last=1, slots=jnp.arange(TOKENS))


def test_learned_positions_end():
    config = decoder.config_from({"model_type": "gpt2", "n_positions": 8})
    with pytest.raises(JamError, match="a text has 9 tokens, this model takes 8"):
        decoder.hidden_states({"embeddings": {"positions": np.zeros((8, 768))}}, config, *np.ones((2, 1, 9), int))


def test_a_base_model_has_no_head_and_bfloat16_is_cast(tmp_path):
    model = randomised(transformers.AutoModel.from_config(KINDS["llama"]())).to(torch.bfloat16)
    model.save_pretrained(tmp_path, max_shard_size="4KB")
    config, params = loaded(tmp_path)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {np.dtype(np.float32)}
    with pytest.raises(JamError, match="no lm_head.weight"):
        decoder.logits(params, config, np.zeros((1, 1, 16)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("model.layers.2.mlp.up_proj.weight"), "tensor layers.2.mlp.up_proj.weight .* is missing"),
        (lambda t: t.update(extra=np.ones(1, np.float32)), "does not have: extra"),
        (lambda t: t.update({"model.norm.weight": np.ones(3, np.float32)}), r"norm.weight has shape \[3\]"),
        (lambda t: t.update({"lm_head.weight": np.ones((40, 3), np.float32)}), r"lm_head.weight has shape \[40, 3\]"),
    ],
)
def test_wrong_tensors_are_named(tmp_path, change, message):
    saved(tmp_path, KINDS["llama"]())
    tensors = load_file(tmp_path / "model.safetensors")
    change(tensors)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(JamError, match=message):
        loaded(tmp_path)
