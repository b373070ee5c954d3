"""Vision transformers: ViT, and DINOv2 with and without registers, from Hugging Face weights, without torch.

Both are the same network once loaded: DINOv2's layer scales are multiplied into the linear layers before them.
"""

import dataclasses
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

_COMMON = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "hidden_act": "gelu"}
_COMMON |= {"image_size": 224, "num_channels": 3, "qkv_bias": True, "head_dim": None}
_DINOV2 = _COMMON | {"mlp_ratio": 4, "layer_norm_eps": 1e-6, "patch_size": 14, "use_swiglu_ffn": False}
# What transformers takes for settings that a config.json leaves out.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "vit": _COMMON | {"intermediate_size": 3072, "layer_norm_eps": 1e-12, "patch_size": 16},
    "dinov2": _DINOV2,
    "dinov2_with_registers": _DINOV2 | {"num_register_tokens": 4},
}
# Not part of the hidden states: the final norm, the pooler, heads of all kinds, the token for masked training.
_UNUSED = (
    r"layernorm\..*",
    r"pooler\..*",
    r"(cls_|distillation_)?classifier\..*",
    r"decoder\..*",
    r"embeddings\.mask_token",
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes of a vision transformer.

    Attributes:
      feedforward: width inside the feed-forward part; ``gated`` says that it is SwiGLU.
      patch: height and width of a patch in pixels. grid: rows and columns of patches that have stored positions.
      registers: tokens after CLS that stand for no patch. layer_scale: whether the checkpoint has layer scales.
      antialias: how positions are resized to another grid, see ``bicubic``.
    """

    width: int
    layers: int
    heads: int
    feedforward: int
    activation: str
    gated: bool
    epsilon: float
    patch: tuple[int, int]
    grid: tuple[int, int]
    channels: int
    qkv_bias: bool
    registers: int
    layer_scale: bool
    antialias: bool


def config_from(hf: Mapping[str, Any]) -> Config:
    """The Config of a config.json; raises JamError for another model_type and for settings that are not supported."""
    kind = layers.Settings(hf, {"model_type": None}).one_of("model_type", tuple(_DEFAULTS))
    get = layers.Settings(hf, _DEFAULTS[kind])
    width, heads, dinov2 = get.number("hidden_size"), get.number("num_attention_heads"), kind != "vit"
    if width % heads:
        raise JamError(f"config.json: hidden_size {width} is no multiple of num_attention_heads {heads}")
    get.one_of("head_dim", (None, width // heads))
    gated = dinov2 and get.flag("use_swiglu_ffn")
    feedforward = int(width * get.real("mlp_ratio")) if dinov2 else get.number("intermediate_size")
    if gated:  # two thirds, so that three matrices weigh as much as two, rounded up to a multiple of 8
        feedforward = (int(feedforward * 2 / 3) + 7) // 8 * 8
    patch, image = get.pair("patch_size"), get.pair("image_size")
    grid = image[0] // patch[0], image[1] // patch[1]
    if 0 in grid:
        raise JamError("config.json: image_size {} x {} holds no patch of {} x {}".format(*image, *patch))
    return Config(
        width=width, layers=get.number("num_hidden_layers"), heads=heads, feedforward=feedforward,
        activation="silu" if gated else get.activation("hidden_act"), gated=gated, epsilon=get.real("layer_norm_eps"),
        patch=patch, grid=grid, channels=get.number("num_channels"),
        qkv_bias=get.flag("qkv_bias"), layer_scale=dinov2,
        registers=get.number("num_register_tokens") if kind == "dinov2_with_registers" else 0,
        antialias=kind == "dinov2_with_registers",
    )  # fmt: skip


class Block(nn.Module):
    """Attention and feed-forward, each after a layer norm and added to its input; [N, T, D] -> [N, T, D]."""

    config: Config

    @nn.compact
    def __call__(self, hidden_NxTxD: jax.Array) -> jax.Array:
        config = self.config
        act = layers.ACTIVATIONS[config.activation]
        x = layers.layer_norm(config.epsilon, "norm1")(hidden_NxTxD)
        hidden_NxTxD += layers.Attention(config.heads, config.qkv_bias, name="attention")(x)
        x = layers.layer_norm(config.epsilon, "norm2")(hidden_NxTxD)
        x = nn.Dense(config.feedforward * (2 if config.gated else 1), name="up")(x)
        if config.gated:
            gate, value = jnp.split(x, 2, axis=-1)
            x = act(gate) * value
        else:
            x = act(x)
        return hidden_NxTxD + nn.Dense(config.width, name="down")(x)


def params_from(tensors: Tensors, config: Config) -> Params:
    """Float32 numpy arrays {'embeddings': ..., 'layers': ...}, those of the layers stacked on a leading axis [L, ...].

    Raises JamError naming the first tensor that is missing, misshapen or not of this model.
    """
    width, count, wide = config.width, config.layers, config.feedforward
    at, patch = "encoder.layer.{}.", (config.channels, *config.patch)
    dinov2 = config.layer_scale
    parts = {f"{at}attention.attention.{part}": width for part in ("query", "key", "value")}
    if config.gated:
        up, down = "mlp.weights_in", "mlp.weights_out"
    else:
        up, down = ("mlp.fc1", "mlp.fc2") if dinov2 else ("intermediate.dense", "output.dense")
    stacked = {
        "norm1": layers.norm(tensors, at + ("norm1" if dinov2 else "layernorm_before"), count, width),
        "attention": {
            "qkv": layers.dense(tensors, parts, count, width, bias=config.qkv_bias),
            "out": layers.dense(tensors, {f"{at}attention.output.dense": width}, count, width),
        },
        "norm2": layers.norm(tensors, at + ("norm2" if dinov2 else "layernorm_after"), count, width),
        "up": layers.dense(tensors, {at + up: wide * (2 if config.gated else 1)}, count, width),
        "down": layers.dense(tensors, {at + down: width}, count, wide),
    }
    if dinov2:
        for scale, before in (("layer_scale1", stacked["attention"]["out"]), ("layer_scale2", stacked["down"])):
            scale_LxD = tensors.take_layers(f"{at}{scale}.lambda1", count, (width,))
            before["kernel"] = before["kernel"] * scale_LxD[:, None]
            before["bias"] = before["bias"] * scale_LxD
    take = lambda name, *shape: tensors.take(f"embeddings.{name}", shape)  # noqa: E731
    embeddings = {
        "kernel": take("patch_embeddings.projection.weight", width, *patch).reshape(width, -1).T,
        "bias": take("patch_embeddings.projection.bias", width),
        "cls": take("cls_token", 1, 1, width)[0],
        "positions": take("position_embeddings", 1, 1 + config.grid[0] * config.grid[1], width)[0],
    }
    if config.registers:
        embeddings["registers"] = take("register_tokens", 1, config.registers, width)[0]
    tensors.finish(_UNUSED)
    return {"embeddings": embeddings, "layers": stacked}


def hidden_states(
    params: Params, config: Config, pixels: jax.Array, *, collect: Collect = lambda hidden: hidden
) -> Any:
    """What transformers returns as hidden states: the embedding output, then one of each block, without final norm.

    Args:
      pixels: float [N, C, H, W], normalised; H and W are multiples of the patch.
      collect: what to keep of each hidden state [N, T, D]; T is CLS, registers, then patches row by row.

    Returns collect's results stacked [L + 1, ...]. Raises JamError for pixels of another shape.
    """
    hidden = _embed(params["embeddings"], config, pixels)
    return layers.scan(Block(config), params["layers"], hidden, collect=collect)


def _embed(params: Params, config: Config, pixels_NxCxHxW: jax.Array) -> jax.Array:
    n, channels, height, width = pixels_NxCxHxW.shape
    (tall, wide), (rows, columns) = config.patch, (height // config.patch[0], width // config.patch[1])
    if channels != config.channels or (rows * tall, columns * wide) != (height, width) or not rows * columns:
        raise JamError(
            f"pixels have shape [N, {channels}, {height}, {width}], expected {config.channels} channels "
            f"and sides that are multiples of {tall} x {wide}"
        )
    patches = pixels_NxCxHxW.reshape(n, channels, rows, tall, columns, wide).transpose(0, 2, 4, 1, 3, 5)
    tokens_NxPxD = patches.reshape(n, rows * columns, -1) @ params["kernel"] + params["bias"]
    cls_position, positions_PxD = params["positions"][:1], params["positions"][1:]
    if (rows, columns) != config.grid:
        grid = positions_PxD.reshape(*config.grid, -1)
        down, across = (bicubic(*sizes, config.antialias) for sizes in zip(config.grid, (rows, columns), strict=True))
        # Resized inside the compiled function: it costs a thousandth of the blocks, and any size just works.
        resized = jnp.einsum("rh,cw,hwd->rcd", down, across, grid, precision=jax.lax.Precision.HIGHEST)
        positions_PxD = resized.reshape(rows * columns, -1)
    front = jnp.concatenate([params["cls"] + cls_position, *([params["registers"]] if config.registers else [])])
    front_NxFxD = jnp.broadcast_to(front, (n, *front.shape))
    return jnp.concatenate([front_NxFxD, tokens_NxPxD + positions_PxD], axis=1)


def bicubic(size: int, resized: int, antialias: bool) -> np.ndarray:
    """Float32 [resized, size]: the matrix by which torch.nn.functional.interpolate resizes one side.

    Without antialias torch uses the cubic kernel with a = -0.75 and repeats the border; with it a = -0.5, the kernel
    widened when shrinking, and what falls outside left out.
    """
    step = size / resized
    centres = (np.arange(resized) + 0.5) * step - 0.5
    if antialias:
        weights = _cubic((np.arange(size) - centres[:, None]) / max(step, 1), -0.5)
        return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    taps = np.floor(centres).astype(int)[:, None] + np.arange(-1, 3)
    matrix = np.zeros((resized, size))
    np.add.at(matrix, (np.arange(resized)[:, None], taps.clip(0, size - 1)), _cubic(taps - centres[:, None], -0.75))
    return matrix.astype(np.float32)


def _cubic(distance: np.ndarray, a: float) -> np.ndarray:
    x = np.abs(distance)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x < 1, near, np.where(x < 2, far, 0))


__all__ = ["Block", "Config", "bicubic", "config_from", "hidden_states", "params_from"]
