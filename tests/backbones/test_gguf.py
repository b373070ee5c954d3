"""GGUF files against the Hugging Face checkpoints they are written from, with the gguf package's own writer."""

import os
import pathlib

import gguf as package
import jax
import numpy as np
import pytest
import torch
import transformers

from jam_jax.backbones import decoder, gguf
from jam_jax.errors import JamError

DATA = os.environ.get("JAM_JAX_DATA", "")
SMOLLM2 = pathlib.Path(DATA, "weights", "smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")
TEXTS = [
    "The capital of France is", "A red apple on a green table.", "Dogs bark", "waving hand: medium-dark skin tone",
    "Ein Bär isst Honig", "1 + 1 = 2, and 2 + 2 = 4; so it goes on for a while.", "flag", "woman astronaut",
]  # fmt: skip
SIZE = {"vocab_size": 40, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
SIZE |= {"intermediate_size": 96, "max_position_embeddings": 32, "rms_norm_eps": 1e-5}
KINDS = {
    "llama": lambda: transformers.LlamaConfig(**SIZE, num_key_value_heads=2, rope_theta=500.0),
    "llama wide heads": lambda: transformers.LlamaConfig(**SIZE, head_dim=32, tie_word_embeddings=True),
    "llama linear": lambda: transformers.LlamaConfig(**SIZE, rope_parameters={"rope_type": "linear", "factor": 4.0}),
    "llama yarn": lambda: transformers.LlamaConfig(
        **SIZE, rope_parameters={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8}
    ),
    "qwen2": lambda: transformers.Qwen2Config(**SIZE, num_key_value_heads=2),
    "qwen3": lambda: transformers.Qwen3Config(**SIZE, num_key_value_heads=2, head_dim=32),
    "gemma": lambda: transformers.GemmaConfig(**SIZE, num_key_value_heads=1, head_dim=32),
    "gpt2": lambda: transformers.GPT2Config(vocab_size=40, n_embd=64, n_layer=2, n_head=4, n_positions=32),
}


def source(kind):
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(KINDS[kind]()).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3)
    return model


def written(path, kind, quantised=None, *, leave_out=(), **changes):
    """Writes the source as llama.cpp's converter does; the names come from the package's own map."""
    model = source(kind)
    config, name = model.config, model.config.model_type
    writer = package.GGUFWriter(path, changes.get("architecture", name))
    arch = next(number for number, text in package.MODEL_ARCH_NAMES.items() if text == name)
    names = package.get_tensor_name_map(arch, config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(getattr(config, "intermediate_size", 4 * config.hidden_size))
    writer.add_head_count(config.num_attention_heads)
    if name == "gpt2":
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
    else:
        rope = config.rope_parameters
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        writer.add_rope_freq_base(rope["rope_theta"])
        if getattr(config, "head_dim", None):
            writer.add_key_length(config.head_dim)
        if rope["rope_type"] != "default":
            writer.add_rope_scaling_type(package.RopeScalingType(rope["rope_type"]))
            writer.add_rope_scaling_factor(rope["factor"])
        if "original_max_position_embeddings" in rope:
            writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    for key, value in changes.get("numbers", {}).items():
        writer.add_uint32(f"{name}.{key}", value)
    state = model.state_dict()
    if config.tie_word_embeddings:
        del state["lm_head.weight"]
    for key, tensor in state.items():
        stored, to = tensor.numpy(), names.get_name(key, try_suffixes=(".weight", ".bias"))
        if to in leave_out:
            continue
        if name == "llama" and ("q_proj" in key or "k_proj" in key):
            heads = config.num_attention_heads if "q_proj" in key else config.num_key_value_heads
            stored = stored.reshape(heads, 2, -1, stored.shape[1]).swapaxes(1, 2).reshape(stored.shape)
        if name == "gemma" and key.endswith("norm.weight"):
            stored = stored + 1
        if name == "gpt2" and stored.ndim == 2 and ".h." in key:
            stored = stored.T
        stored = np.ascontiguousarray(stored)
        if quantised is None or stored.ndim == 1:
            writer.add_tensor(to, stored)
        else:
            writer.add_tensor(to, package.quants.quantize(stored, quantised), raw_dtype=quantised)
    for key, value in changes.get("tensors", {}).items():
        writer.add_tensor(key, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


def loaded(path):
    config = decoder.config_from(gguf.config(path))
    return config, decoder.params_from(gguf.open_gguf(path), config)


def both(params, config, model, ids, mask):
    """Hidden states of ours and of transformers."""
    function = jax.jit(
        lambda params, ids, mask: decoder.hidden_states(params, config, ids, mask),
        compiler_options={"xla_backend_optimization_level": 0 if config.layers < 5 else 2},
    )
    with jax.default_matmul_precision("highest"):
        got = function(params, ids, mask)
    long = torch.from_numpy(mask).long()
    with torch.inference_mode():
        output = model(
            torch.from_numpy(ids), attention_mask=long, position_ids=(long.cumsum(1) - 1).clamp(min=0),
            output_hidden_states=True,
        )  # fmt: skip
    return np.asarray(got), np.stack([hidden.numpy() for hidden in output.hidden_states])


@pytest.mark.parametrize("kind", KINDS)
def test_hidden_states_are_those_of_the_source(tmp_path, kind):
    model = written(tmp_path / "m.gguf", kind)
    config, params = loaded(tmp_path / "m.gguf")
    ids = np.random.default_rng(0).integers(0, 40, (2, 9))
    got, expected = both(params, config, model, ids, np.ones((2, 9), bool))
    np.testing.assert_allclose(got, expected, atol=1e-4, rtol=0)
    assert config.tied == model.config.tie_word_embeddings
    if not config.tied:
        np.testing.assert_array_equal(params["head"], model.lm_head.weight.detach().numpy())


@pytest.mark.parametrize(("quantised", "error"), [("Q8_0", 0.01), ("Q4_1", 0.15), ("F16", 0.001), ("BF16", 0.01)])
def test_quantised_tensors_are_those_of_the_source_but_for_rounding(tmp_path, quantised, error):
    model = written(tmp_path / "m.gguf", "llama", package.GGMLQuantizationType[quantised])
    tensors = gguf.open_gguf(tmp_path / "m.gguf")
    assert set(tensors.names()) == set(model.state_dict())
    for name, tensor in model.state_dict().items():
        got = tensors.take(name, tensor.shape)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, tensor.numpy(), atol=error, rtol=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "mamba"}, "architecture 'mamba' is not supported; known: llama, qwen2"),
        ({"leave_out": ["token_embd.weight"]}, "does not say token_embd.weight; is the file complete"),
        ({"numbers": {"expert_count": 8}}, "mixtures of experts"),
        ({"numbers": {"rope.dimension_count": 8}}, "turns 8 of 16 dimensions by position"),
        ({"tensors": {"rope_freqs.weight": np.ones(8, np.float32)}}, "rope_freqs.weight, which is not supported"),
        ({"tensors": {"blk.0.ssm_a.weight": np.ones(8, np.float32)}}, "tensor blk.0.ssm_a.weight belongs to no llama"),
    ],
)
def test_files_of_other_networks_are_refused(tmp_path, changes, message):
    written(tmp_path / "m.gguf", "llama", **changes)
    with pytest.raises(JamError, match=message):
        gguf.open_gguf(tmp_path / "m.gguf")


def test_a_missing_tensor_is_named(tmp_path):
    written(tmp_path / "m.gguf", "llama", leave_out=["blk.1.attn_k.weight"])
    with pytest.raises(JamError, match="tensor layers.1.self_attn.k_proj.weight of shape .* is missing"):
        loaded(tmp_path / "m.gguf")


def test_broken_files_are_refused(tmp_path):
    path = tmp_path / "m.gguf"
    written(path, "llama")
    whole = path.read_bytes()
    for end in [0, 3, 4, 20, 60, 100, *range(200, len(whole), len(whole) // 40), len(whole) - 1]:
        path.write_bytes(whole[:end])
        with pytest.raises(JamError, match="m.gguf: "):
            gguf.open_gguf(path)
    path.write_bytes(b"no such thing " * 100)
    with pytest.raises(JamError, match="is no complete GGUF file"):
        gguf.config(path)
    with pytest.raises(JamError, match="cannot be read"):
        gguf.config(tmp_path / "none.gguf")


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="JAM_JAX_DATA names no fetched data folder")
def test_smollm2_is_torch_in_float64_but_for_rounding():
    # A few activations reach 26,000, where float32 has steps of 2e-3 that later layers carry on: no absolute bound of
    # 1e-4 holds between any two float32 programs. The measure is torch in float64.
    config, params = loaded(SMOLLM2)
    where = {"pretrained_model_name_or_path": str(SMOLLM2.parent), "gguf_file": SMOLLM2.name}
    tokenizer = transformers.AutoTokenizer.from_pretrained(**where, padding_side="left")
    model = transformers.AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32).eval()
    batch = tokenizer(TEXTS, padding=True, return_tensors="np")
    ids, mask = batch["input_ids"], batch["attention_mask"].astype(bool)
    got, torch32 = both(params, config, model, ids, mask)
    assert decoder.logits(params, config, got[-1:, :1, -1])[0, 0].argmax() == tokenizer.encode(" Paris")[0]
    torch64 = both(params, config, model.double(), ids, mask)[1]

    def errors(hidden, against):
        away = np.abs(hidden - against)[:, mask]
        return away.max((1, 2)), (np.linalg.norm(away, axis=-1) / np.linalg.norm(against[:, mask], axis=-1)).max(1)

    (our_absolute, our_relative), (torch_absolute, torch_relative) = errors(got, torch64), errors(torch32, torch64)
    assert our_relative.max() <= 5e-5, f"torch in float32: {torch_relative.max()}"
    assert our_absolute[-1] <= 1e-3, f"torch in float32: {torch_absolute[-1]}"
