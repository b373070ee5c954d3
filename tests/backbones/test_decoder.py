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


def ours(params, config, ids, mask, **options):
    def function(params, ids, mask):
        return decoder.hidden_states(params, config, ids, mask, **options)

    with jax.default_matmul_precision("highest"):
        return jax.jit(function)(params, ids, mask)


def theirs(model, ids, mask):
    mask = torch.from_numpy(np.ascontiguousarray(mask)).long()
    positions = {"position_ids": (mask.cumsum(1) - 1).clamp(min=0)} if model.config.model_type != "bloom" else {}
    with torch.inference_mode():
        output = model(torch.from_numpy(ids), attention_mask=mask, output_hidden_states=True, **positions)
    return np.stack([hidden.numpy() for hidden in output.hidden_states]), output.logits.numpy()


def check(folder, config, mask):
    model = saved(folder, config)
    config, params = loaded(folder)
    got, (expected, expected_logits) = ours(params, config, tokens(), mask), theirs(model, tokens(), mask)
    assert got.shape == expected.shape
    np.testing.assert_allclose(got[:, mask], expected[:, mask], atol=1e-4, rtol=0)
    assert np.isfinite(got).all()
    with jax.default_matmul_precision("highest"):
        head = decoder.logits(params, config, got[-1])
    np.testing.assert_allclose(head[mask], expected_logits[mask], atol=2e-4, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", ["right", "left"])
def test_every_hidden_state_is_that_of_transformers(tmp_path, kind, side):
    check(tmp_path, KINDS[kind](), MASKS[side])


@pytest.mark.parametrize("scaling", SCALINGS)
def test_rotary_scalings_are_those_of_transformers(tmp_path, scaling):
    size = SIZE | {"max_position_embeddings": 64}
    check(tmp_path, transformers.LlamaConfig(**size, head_dim=16, rope_parameters=SCALINGS[scaling]), MASKS["right"])
