"""The weights of decoders, brought from the layouts of their families to the one that ``decoder`` computes with."""

import numpy as np

from jam_jax.backbones import layers
from jam_jax.backbones.decoder_config import Config
from jam_jax.backbones.layers import Params
from jam_jax.backbones.tensors import Tensors

_NAMES = {
    "llama": {"words": "embed_tokens", "final": "norm"},
    "gpt2": {"words": "wte", "final": "ln_f"},
    "bloom": {"words": "word_embeddings", "final": "ln_f"},
}
# Buffers of old checkpoints and heads for other purposes.
_UNUSED = (r"(layers\.\d+\.self_attn\.)?rotary_emb\.inv_freq", r"h\.\d+\.attn\.(masked_)?bias", r"score\.weight")


def params_from(tensors: Tensors, config: Config) -> Params:
    """Float32 numpy arrays {'embeddings', 'layers', 'norm'[, 'head']}, those of layers stacked on a leading axis [L].

    'head' is there where the checkpoint has one that is not the word embedding. Raises JamError naming the first tensor
    that is missing, misshapen or not of this model.
    """
    names = _NAMES.get(config.kind, _NAMES["llama"])
    read = {"gpt2": _gpt2, "bloom": _bloom}.get(config.kind, _llama)
    embeddings: Params = {"words": tensors.take(f"{names['words']}.weight", (config.vocabulary, config.width))}
    if config.kind == "gpt2":
        embeddings["positions"] = tensors.take("wpe.weight", (config.max_tokens or 0, config.width))
    if config.kind == "bloom":
        embeddings["norm"] = _single(tensors, "word_embeddings_layernorm", config)
    params: Params = {"embeddings": embeddings, "layers": read(tensors, config)}
    params["norm"] = _single(tensors, names["final"], config)
    if not config.tied and "lm_head.weight" in tensors:
        params["head"] = tensors.take("lm_head.weight", (config.vocabulary, config.width))
    tensors.finish((*_UNUSED, *([r"lm_head\.weight"] if config.tied else [])))  # some files repeat the word embedding
    return params


def _llama(tensors: Tensors, config: Config) -> Params:
    count, width, wide = config.layers, config.width, config.feedforward
    queries, keys = config.heads * config.head_dim, config.key_heads * config.head_dim
    at = "layers.{}."
    parts = {f"{at}self_attn.{part}_proj": size for part, size in (("q", queries), ("k", keys), ("v", keys))}
    halves = {f"{at}mlp.{part}_proj": wide for part in ("gate", "up")}
    stacked = {
        "norm1": _rms(tensors, at + "input_layernorm", config, width),
        "qkv": layers.dense(tensors, parts, count, width, bias=config.qkv_bias),
        "out": layers.dense(tensors, {f"{at}self_attn.o_proj": width}, count, queries, bias=config.out_bias),
        "norm2": _rms(tensors, at + "post_attention_layernorm", config, width),
        "up": layers.dense(tensors, halves, count, width, bias=config.feedforward_bias),
        "down": layers.dense(tensors, {f"{at}mlp.down_proj": width}, count, wide, bias=config.feedforward_bias),
    }
    if config.kind == "qwen3":
        for part in "qk":
            stacked[f"{part}_norm"] = _rms(tensors, f"{at}self_attn.{part}_norm", config, config.head_dim)
    return stacked


def _gpt2(tensors: Tensors, config: Config) -> Params:
    count, width, wide = config.layers, config.width, config.feedforward

    def linear(name: str, inputs: int, outputs: int) -> Params:  # kept as [in, out]
        take = lambda half, *shape: tensors.take_layers(f"h.{{}}.{name}.{half}", count, shape)  # noqa: E731
        return {"kernel": take("weight", inputs, outputs), "bias": take("bias", outputs)}

    return {
        "norm1": layers.norm(tensors, "h.{}.ln_1", count, width),
        "qkv": linear("attn.c_attn", width, 3 * width),
        "out": linear("attn.c_proj", width, width),
        "norm2": layers.norm(tensors, "h.{}.ln_2", count, width),
        "up": linear("mlp.c_fc", width, wide),
        "down": linear("mlp.c_proj", wide, width),
    }


def _bloom(tensors: Tensors, config: Config) -> Params:
    count, width, wide = config.layers, config.width, config.feedforward
    linear = lambda name, inputs, outputs: layers.dense(tensors, {f"h.{{}}.{name}": outputs}, count, inputs)  # noqa: E731
    fused = linear("self_attention.query_key_value", width, 3 * width)
    # Head by head, each with its query, key and value; wanted are all queries, all keys, all values.
    split = lambda x: x.reshape(*x.shape[:-1], config.heads, 3, config.head_dim).swapaxes(-3, -2)  # noqa: E731
    return {
        "norm1": layers.norm(tensors, "h.{}.input_layernorm", count, width),
        "qkv": {key: split(value).reshape(value.shape) for key, value in fused.items()},
        "out": linear("self_attention.dense", width, width),
        "norm2": layers.norm(tensors, "h.{}.post_attention_layernorm", count, width),
        "up": linear("mlp.dense_h_to_4h", width, wide),
        "down": linear("mlp.dense_4h_to_h", wide, width),
    }


def _rms(tensors: Tensors, name: str, config: Config, width: int) -> Params:
    return {"scale": _from_one(tensors.take_layers(f"{name}.weight", config.layers, (width,)), config)}


def _single(tensors: Tensors, name: str, config: Config) -> Params:
    weight = tensors.take(f"{name}.weight", (config.width,))
    if config.rms:
        return {"scale": _from_one(weight, config)}
    return {"scale": weight, "bias": tensors.take(f"{name}.bias", (config.width,))}


def _from_one(weight: np.ndarray, config: Config) -> np.ndarray:
    return weight + 1 if config.kind == "gemma" else weight  # Gemma stores how far its scales are from 1


__all__ = ["params_from"]
