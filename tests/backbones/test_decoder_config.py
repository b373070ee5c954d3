"""What config.json says of decoders, against what transformers reads in it."""

import pytest
import transformers

from jam_jax.backbones import decoder
from jam_jax.errors import JamError


@pytest.mark.parametrize("kind", decoder.MODEL_TYPES)
def test_configs_leave_things_out(kind):
    config, standard = decoder.config_from({"model_type": kind}), transformers.AutoConfig.for_model(kind)
    assert hash(config) == hash(decoder.config_from(standard.to_dict()))
    assert config == decoder.config_from(standard.to_dict())
    assert (config.width, config.layers, config.heads) == (
        standard.hidden_size, standard.num_hidden_layers, standard.num_attention_heads
    )  # fmt: skip


@pytest.mark.parametrize("key", ["rope_scaling", "rope_parameters"])
def test_old_spellings_of_scalings_are_read(key):
    new = {"model_type": "llama", "rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 99.0}}
    old = {"model_type": "llama", key: {"type": "linear", "factor": 2.0}, "rope_theta": 99.0}
    assert decoder.config_from(old) == decoder.config_from(new)


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("t5", {}, "model_type 't5' is not supported; known: llama, mistral"),
        ("llama", {"hidden_act": "gelu_10"}, "hidden_act 'gelu_10' is not supported"),
        ("llama", {"hidden_size": 17}, "hidden_size 17 is no multiple of num_attention_heads 32"),
        ("llama", {"num_key_value_heads": 3}, "num_attention_heads 32 is no multiple of num_key_value_heads 3"),
        ("llama", {"head_dim": 5}, "head_dim is 5, rotary positions need an even one"),
        ("llama", {"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "rope_type 'dynamic' is not supported"),
        ("llama", {"rope_scaling": {"rope_type": "longrope"}}, "rope_type 'longrope' is not supported"),
        ("llama", {"rope_scaling": {"rope_type": "llama3", "factor": 2.0}}, "low_freq_factor is None"),
        ("llama", {"rope_scaling": "linear"}, "the scaling of rotary positions is 'linear'"),
        ("llama", {"partial_rotary_factor": 0.5}, "partial_rotary_factor 0.5 is not supported"),
        ("qwen2", {"layer_types": ["sliding_attention"] * 32}, "layer_types"),
        ("qwen3", {"use_sliding_window": True, "sliding_window": 0, "max_window_layers": 0}, "sliding_window is 0"),
        ("gemma", {"use_bidirectional_attention": True}, "use_bidirectional_attention True is not supported"),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx True"),
        ("bloom", {"apply_residual_connection_post_layernorm": True}, "apply_residual_connection_post_layernorm True"),
    ],
)
def test_settings_that_are_not_supported_are_named(kind, change, message):
    with pytest.raises(JamError, match=message):
        decoder.config_from({"model_type": kind} | change)
