"""What a decoder's config.json says: sizes, positions, norms and which layers look back how far."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from jam_jax.backbones import rotary
from jam_jax.backbones.layers import Settings
from jam_jax.errors import JamError

# What GPT-2 and BLOOM call the settings of the others.
_OTHER_KEYS = {
    "n_embd": "hidden_size", "n_embed": "hidden_size", "n_layer": "num_hidden_layers", "n_head": "num_attention_heads",
    "n_positions": "max_position_embeddings", "n_inner": "intermediate_size", "activation_function": "hidden_act",
    "layer_norm_epsilon": "rms_norm_eps",
}  # fmt: skip
# What transformers takes for settings that a config.json leaves out.
_COMMON = {
    "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": None,
    "head_dim": None, "hidden_act": "silu", "rms_norm_eps": 1e-6, "tie_word_embeddings": False,
    "attention_bias": False, "mlp_bias": False, "use_bidirectional_attention": None,
    "scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False, "add_cross_attention": False,
    "apply_residual_connection_post_layernorm": False,
    "use_sliding_window": False, "sliding_window": 4096, "max_window_layers": 28, "layer_types": None,
}  # fmt: skip
_QWEN = _COMMON | {"vocab_size": 151936, "intermediate_size": 22016, "max_position_embeddings": 32768}
_LAYER_NORMED = _COMMON | {"rms_norm_eps": 1e-5, "tie_word_embeddings": True, "hidden_act": "gelu_new"}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "llama": _COMMON | {"vocab_size": 32000, "intermediate_size": 11008, "max_position_embeddings": 2048},
    "mistral": _COMMON
    | {"vocab_size": 32000, "intermediate_size": 14336, "max_position_embeddings": 4096 * 32}
    | {"num_key_value_heads": 8, "use_sliding_window": True, "max_window_layers": 0},
    "qwen2": _QWEN,
    "qwen3": _QWEN | {"head_dim": 128},
    "gemma": _COMMON
    | {"vocab_size": 256000, "hidden_size": 3072, "intermediate_size": 24576, "num_hidden_layers": 28}
    | {"num_attention_heads": 16, "head_dim": 256, "hidden_act": "gelu_pytorch_tanh"}
    | {"max_position_embeddings": 8192, "tie_word_embeddings": True},
    "gpt2": _LAYER_NORMED
    | {"vocab_size": 50257, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}
    | {"intermediate_size": None, "max_position_embeddings": 1024},
    "bloom": _LAYER_NORMED
    | {"vocab_size": 250880, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 8},
}
MODEL_TYPES = tuple(_DEFAULTS)
# What would make another network of it.
_ONLY: dict[str, tuple[Any, ...]] = {
    "use_bidirectional_attention": (None, False), "scale_attn_weights": (True,), "add_cross_attention": (False,),
    "scale_attn_by_inverse_layer_idx": (False,), "apply_residual_connection_post_layernorm": (False,),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes of a decoder.

    Attributes:
      kind: the model_type of config.json.
      key_heads: heads of keys and values; as many queries share each as ``heads`` is a multiple of it.
      gated: whether the feed-forward part multiplies its activation with a second product.
      rotary: rotary positions; None for GPT-2, which has ``max_tokens`` learned ones, and for BLOOM, which has ALiBi.
      max_tokens: the longest text the model was made for; None where the config does not say.
      windows: how many positions each layer looks back, itself included, 0 for all; empty where no layer is limited.
      embedding_scale: what word embeddings are multiplied by. tied: whether they are the head as well.
    """

    kind: str
    vocabulary: int
    width: int
    layers: int
    heads: int
    key_heads: int
    head_dim: int
    feedforward: int
    activation: str
    gated: bool
    epsilon: float
    qkv_bias: bool
    out_bias: bool
    feedforward_bias: bool
    rotary: rotary.Rotary | None
    max_tokens: int | None
    windows: tuple[int, ...]
    embedding_scale: float
    tied: bool

    @property
    def rms(self) -> bool:
        """Whether norms divide by the root mean square; the others are layer norms with a bias."""
        return self.rotary is not None


def config_from(hf: Mapping[str, Any]) -> Config:
    """The Config of a config.json; raises JamError for another model_type and for settings that are not supported."""
    kind = Settings(hf, {"model_type": None}).one_of("model_type", MODEL_TYPES)
    old = kind in ("gpt2", "bloom")
    if old:
        hf = {**hf, **{new: hf[key] for key, new in _OTHER_KEYS.items() if key in hf}}
    get = Settings(hf, _DEFAULTS[kind])
    for key, choices in _ONLY.items():
        get.one_of(key, choices)
    width, heads, count = map(get.number, ("hidden_size", "num_attention_heads", "num_hidden_layers"))
    values: dict[str, Any] = {**_DEFAULTS[kind], **hf}
    optional = lambda key, default: default if values.get(key) is None else get.number(key)  # noqa: E731
    key_heads, head_dim = (heads, None) if old else (optional("num_key_value_heads", heads), optional("head_dim", None))
    if head_dim is None and width % heads:
        raise JamError(f"config.json: hidden_size {width} is no multiple of num_attention_heads {heads}")
    if heads % key_heads:
        raise JamError(f"config.json: num_attention_heads {heads} is no multiple of num_key_value_heads {key_heads}")
    head_dim = head_dim or width // heads
    max_tokens = optional("max_position_embeddings", None)
    bias = not old and kind != "mistral" and get.flag("attention_bias")
    activation = get.activation("hidden_act")
    if (kind, activation) == ("gemma", "gelu"):  # its first configs say so and mean the approximation
        activation = "gelu_pytorch_tanh"
    return Config(
        kind=kind, vocabulary=get.number("vocab_size"), width=width, layers=count, heads=heads, key_heads=key_heads,
        head_dim=head_dim, feedforward=4 * width if kind == "bloom" else optional("intermediate_size", 4 * width),
        activation="gelu_new" if kind == "bloom" else activation, gated=not old, epsilon=get.real("rms_norm_eps"),
        qkv_bias=old or kind == "qwen2" or bias, out_bias=old or (kind != "qwen2" and bias),
        feedforward_bias=old or (kind == "llama" and get.flag("mlp_bias")),
        rotary=None if old else rotary.rotary_from(hf, head_dim, max_tokens or 0), max_tokens=max_tokens,
        windows=_windows(get, values, kind, count), embedding_scale=width**0.5 if kind == "gemma" else 1.0,
        tied=get.flag("tie_word_embeddings"),
    )  # fmt: skip


def _windows(get: Settings, values: Mapping[str, Any], kind: str, count: int) -> tuple[int, ...]:
    if kind not in ("mistral", "qwen2", "qwen3"):
        return ()
    limited = (kind == "mistral" or get.flag("use_sliding_window")) and values["sliding_window"] is not None
    kinds = None if kind == "mistral" else values["layer_types"]
    if kinds is None:
        kinds = ["full_attention"] * get.number("max_window_layers", least=0)
        kinds = (kinds + ["sliding_attention"] * count)[:count] if limited else ["full_attention"] * count
    known = ("full_attention", "sliding_attention") if limited else ("full_attention",)
    if len(kinds) != count or not set(kinds) <= set(known):
        raise JamError(f"config.json: layer_types {kinds!r}, expected {count} times {' or '.join(known)}")
    if set(kinds) == {"full_attention"}:
        return ()
    window = get.number("sliding_window")
    return tuple(window if each == "sliding_attention" else 0 for each in kinds)


__all__ = ["MODEL_TYPES", "Config", "config_from"]
