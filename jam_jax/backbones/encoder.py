"""Text encoders: BERT, RoBERTa, XLM-RoBERTa, DistilBERT and MPNet from Hugging Face weights, without torch.

They differ in the names of their tensors, in how positions are counted, and in MPNet's relative position bias.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jam_jax.backbones import layers
from jam_jax.backbones.layers import Collect, Params
from jam_jax.backbones.tensors import Tensors
from jam_jax.errors import JamError

# MPNet's buckets of relative positions; transformers uses these numbers whatever the config says.
BUCKETS, MAX_DISTANCE = 32, 128
_MPNET_PAD = 1

_BERT_NAMES = {
    "query": "encoder.layer.{}.attention.self.query",
    "key": "encoder.layer.{}.attention.self.key",
    "value": "encoder.layer.{}.attention.self.value",
    "out": "encoder.layer.{}.attention.output.dense",
    "norm1": "encoder.layer.{}.attention.output.LayerNorm",
    "up": "encoder.layer.{}.intermediate.dense",
    "down": "encoder.layer.{}.output.dense",
    "norm2": "encoder.layer.{}.output.LayerNorm",
}
_NAMES = {
    "bert": _BERT_NAMES,
    "roberta": _BERT_NAMES,
    "xlm-roberta": _BERT_NAMES,
    "mpnet": _BERT_NAMES
    | {part: f"encoder.layer.{{}}.attention.attn.{part[0]}" for part in ("query", "key", "value", "out")}
    | {"norm1": "encoder.layer.{}.attention.LayerNorm"},
    "distilbert": {
        "query": "transformer.layer.{}.attention.q_lin",
        "key": "transformer.layer.{}.attention.k_lin",
        "value": "transformer.layer.{}.attention.v_lin",
        "out": "transformer.layer.{}.attention.out_lin",
        "norm1": "transformer.layer.{}.sa_layer_norm",
        "up": "transformer.layer.{}.ffn.lin1",
        "down": "transformer.layer.{}.ffn.lin2",
        "norm2": "transformer.layer.{}.output_layer_norm",
    },
}
# What DistilBERT calls the settings of the others.
_DISTILBERT_KEYS = {
    "hidden_size": "dim", "num_hidden_layers": "n_layers", "num_attention_heads": "n_heads",
    "intermediate_size": "hidden_dim", "hidden_act": "activation",
}  # fmt: skip
# What transformers takes for settings that a config.json leaves out.
_COMMON = {
    "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
    "hidden_act": "gelu", "layer_norm_eps": 1e-12, "max_position_embeddings": 512, "is_decoder": False,
    "add_cross_attention": False, "position_embedding_type": "absolute", "relative_attention_num_buckets": BUCKETS,
}  # fmt: skip
_DEFAULTS: dict[str, dict[str, Any]] = {
    "bert": _COMMON | {"vocab_size": 30522, "type_vocab_size": 2},
    "roberta": _COMMON | {"vocab_size": 50265, "type_vocab_size": 2, "pad_token_id": 1},
    "xlm-roberta": _COMMON | {"vocab_size": 30522, "type_vocab_size": 2, "pad_token_id": 1},
    "mpnet": _COMMON | {"vocab_size": 30527},
    "distilbert": _COMMON | {"vocab_size": 30522, "num_hidden_layers": 6},
}
_UNUSED = (
    r"embeddings\.position_ids", r"embeddings\.token_type_ids", r"pooler\..*", r"(pre_)?classifier\..*", r"cls\..*",
    r"lm_head\..*", r"vocab_\w+\..*", r"qa_outputs\..*",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes of a text encoder.

    Attributes:
      kind: the model_type of config.json. positions: rows of the position embedding; token_types: of that of segments.
      pad: the id of padding where positions are counted from it, as RoBERTa does; None where they start at 0.
    """

    kind: str
    vocabulary: int
    width: int
    layers: int
    heads: int
    feedforward: int
    activation: str
    epsilon: float
    positions: int
    token_types: int
    pad: int | None

    @property
    def max_tokens(self) -> int:
        """The longest text."""
        return self.positions if self.pad is None else self.positions - self.pad - 1


def config_from(hf: Mapping[str, Any]) -> Config:
    """The Config of a config.json; raises JamError for another model_type and for settings that are not supported."""
    kind = layers.Settings(hf, {"model_type": None}).one_of("model_type", tuple(_DEFAULTS))
    get = layers.Settings(hf, _DEFAULTS[kind], _DISTILBERT_KEYS if kind == "distilbert" else None)
    get.one_of("position_embedding_type", ("absolute",))
    get.one_of("relative_attention_num_buckets", (BUCKETS,))
    for key in ("is_decoder", "add_cross_attention"):
        get.one_of(key, (False,))
    width, heads = get.number("hidden_size"), get.number("num_attention_heads")
    if width % heads:
        raise JamError(f"config.json: hidden_size {width} is no multiple of num_attention_heads {heads}")
    pad = _MPNET_PAD if kind == "mpnet" else None
    if "pad_token_id" in _DEFAULTS[kind]:
        pad = get.number("pad_token_id", least=0)
    return Config(
        kind=kind, vocabulary=get.number("vocab_size"), width=width, layers=get.number("num_hidden_layers"),
        heads=heads, feedforward=get.number("intermediate_size"), activation=get.activation("hidden_act"),
        epsilon=get.real("layer_norm_eps"), positions=get.number("max_position_embeddings"),
        token_types=get.number("type_vocab_size") if "type_vocab_size" in _DEFAULTS[kind] else 0,
        pad=pad,
    )  # fmt: skip


class Block(nn.Module):
    """Attention and feed-forward, each added to its input and then normed; [N, T, D] -> [N, T, D]."""

    config: Config

    @nn.compact
    def __call__(self, hidden_NxTxD: jax.Array, bias: jax.Array) -> jax.Array:
        config = self.config
        x = hidden_NxTxD + layers.Attention(config.heads, name="attention")(hidden_NxTxD, bias)
        x = layers.layer_norm(config.epsilon, "norm1")(x)
        inside = layers.ACTIVATIONS[config.activation](nn.Dense(config.feedforward, name="up")(x))
        return layers.layer_norm(config.epsilon, "norm2")(x + nn.Dense(config.width, name="down")(inside))


def params_from(tensors: Tensors, config: Config) -> Params:
    """Float32 numpy arrays {'embeddings': ..., 'layers': ...}, those of the layers stacked on a leading axis [L, ...].

    Raises JamError naming the first tensor that is missing, misshapen or not of this model.
    """
    width, count, names = config.width, config.layers, _NAMES[config.kind]
    stacked = {
        "attention": {
            "qkv": layers.dense(tensors, {names[part]: width for part in ("query", "key", "value")}, count, width),
            "out": layers.dense(tensors, {names["out"]: width}, count, width),
        },
        "norm1": layers.norm(tensors, names["norm1"], count, width),
        "up": layers.dense(tensors, {names["up"]: config.feedforward}, count, width),
        "down": layers.dense(tensors, {names["down"]: width}, count, config.feedforward),
        "norm2": layers.norm(tensors, names["norm2"], count, width),
    }
    take = lambda name, *shape: tensors.take(f"embeddings.{name}", shape)  # noqa: E731
    embeddings = {
        "words": take("word_embeddings.weight", config.vocabulary, width),
        "positions": take("position_embeddings.weight", config.positions, width),
        "norm": {"scale": take("LayerNorm.weight", width), "bias": take("LayerNorm.bias", width)},
    }
    if config.token_types:  # a text alone is all of the first segment
        embeddings["positions"] = (
            embeddings["positions"] + take("token_type_embeddings.weight", config.token_types, width)[0]
        )
    if config.kind == "mpnet":
        name = "encoder.relative_attention_bias.weight"
        embeddings["distances"] = tensors.take(name, (BUCKETS, config.heads))
    tensors.finish(_UNUSED)
    return {"embeddings": embeddings, "layers": stacked}


def hidden_states(
    params: Params, config: Config, ids: jax.Array, mask: jax.Array, *, collect: Collect = lambda hidden: hidden
) -> Any:
    """What transformers returns as hidden states: the embedding output, then one of each block.

    Args:
      ids: int [N, T], padded on the right, where these models were trained with it. mask: bool [N, T], False for
        padding; what stands at padded places of the result means nothing.
      collect: what to keep of each hidden state [N, T, D].

    Returns collect's results stacked [L + 1, ...]; an id that is not in the vocabulary makes NaN. Raises JamError when
    T is more than the model has positions for.
    """
    tokens = ids.shape[1]
    if tokens > config.max_tokens:
        raise JamError(f"a text has {tokens} tokens, this model takes {config.max_tokens}; cut it")
    embeddings = params["embeddings"]
    if config.pad is None:
        positions = jnp.arange(tokens)
    else:
        real = (ids != config.pad).astype(jnp.int32)
        positions = jnp.cumsum(real, axis=1) * real + config.pad
    words_NxTxD = jnp.take(embeddings["words"], ids, axis=0, mode="fill", fill_value=jnp.nan)
    summed_NxTxD = words_NxTxD + jnp.take(embeddings["positions"], positions, axis=0, mode="clip")
    hidden: Any = layers.layer_norm(config.epsilon, "norm").apply({"params": embeddings["norm"]}, summed_NxTxD)
    # Finite, so that a row of padding alone makes no NaN.
    bias = jnp.where(mask, 0, jnp.finfo(jnp.float32).min)[:, None, None]
    if config.kind == "mpnet":
        bias += embeddings["distances"][buckets(tokens)].transpose(2, 0, 1)
    return layers.scan(Block(config), params["layers"], hidden, bias, collect=collect)


def buckets(tokens: int) -> np.ndarray:
    """Int [T, T]: the bucket of each key's position relative to each query's, in MPNet.

    Half of the buckets are for keys that come later. In each half the first eight distances have their own bucket, and
    larger ones share buckets of logarithmic width up to a distance of 128.
    """
    distance = np.arange(tokens)[:, None] - np.arange(tokens)
    half = BUCKETS // 2
    exact = half // 2
    away = np.abs(distance)
    # In float32 as the original, for the edges of buckets hang on rounding.
    octaves = np.log(np.maximum(away, 1).astype(np.float32) / exact) / math.log(MAX_DISTANCE / exact)
    shared = np.minimum(exact + (octaves * (half - exact)).astype(int), half - 1)
    return np.where(distance < 0, half, 0) + np.where(away < exact, away, shared)


__all__ = ["Block", "Config", "buckets", "config_from", "hidden_states", "params_from"]
