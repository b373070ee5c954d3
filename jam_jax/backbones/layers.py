"""What vision transformers and text encoders share: attention over all tokens, layers in a scan, their loading."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jam_jax.backbones.tensors import Tensors
from jam_jax.errors import JamError

Params = dict[str, Any]
Collect = Callable[[jax.Array], Any]

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "gelu": lambda x: nn.gelu(x, approximate=False),
    "gelu_new": lambda x: nn.gelu(x, approximate=True),
    "gelu_pytorch_tanh": lambda x: nn.gelu(x, approximate=True),
    "relu": nn.relu,
    "silu": nn.silu,
    "swish": nn.silu,
}


class Attention(nn.Module):
    """Every token looks at every token; [N, T, D] -> [N, T, D].

    ``bias`` is added to the scores, broadcast to [N, heads, T, T]: a large negative number hides a token. Queries, keys
    and values come from one product, which is faster than three. The softmax is in float32.
    """

    heads: int
    qkv_bias: bool = True

    @nn.compact
    def __call__(self, hidden_NxTxD: jax.Array, bias: jax.Array | None = None) -> jax.Array:
        n, t, width = hidden_NxTxD.shape
        qkv = nn.Dense(3 * width, use_bias=self.qkv_bias, name="qkv")(hidden_NxTxD)
        q, k, v = jnp.moveaxis(qkv.reshape(n, t, 3, self.heads, -1), (2, 3), (0, 2))
        if bias is None:
            # On CPU picture by picture: the scores stay in the cache, which takes a tenth off a layer at 257 tokens.
            mixed_NxHxTxd = jax.lax.platform_dependent(q, k, v, cpu=_attend_one_by_one, default=_attend)
        else:
            mixed_NxHxTxd = _attend(q, k, v, bias)
        return nn.Dense(width, name="out")(jnp.moveaxis(mixed_NxHxTxd, 1, 2).reshape(n, t, width))


def _attend(q: jax.Array, k: jax.Array, v: jax.Array, bias: jax.Array | float = 0.0) -> jax.Array:
    scores = jnp.einsum("...qd,...kd->...qk", q * q.shape[-1] ** -0.5, k, preferred_element_type=jnp.float32) + bias
    # Heads move back only after this product: in one einsum XLA multiplies the transposes, which is slow on CPU.
    return nn.softmax(scores).astype(v.dtype) @ v


def _attend_one_by_one(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
    return jax.lax.map(lambda one: _attend(*one), (q, k, v))


def layer_norm(epsilon: float, name: str) -> nn.LayerNorm:
    """Layer norm with the variance of centred values: the fast formula loses digits where the mean is large."""
    return nn.LayerNorm(epsilon=epsilon, use_fast_variance=False, name=name)


def scan(block: nn.Module, layers: Params, hidden: jax.Array, *more: jax.Array, collect: Collect) -> Any:
    """Runs ``block(hidden, *more)`` with each layer's parameters in turn, compiled once whatever the depth.

    Returns collect(hidden states) of the input and after each layer, stacked on a leading axis [L + 1, ...]; as
    ``collect`` runs inside the loop, hidden states that it pools are never all in memory.
    """

    def step(hidden: jax.Array, layer: Params) -> tuple[jax.Array, Any]:
        after: Any = block.apply({"params": layer}, hidden, *more)
        return after, collect(after)

    first = collect(hidden)
    _, rest = jax.lax.scan(step, hidden, layers)
    return jax.tree.map(lambda head, tail: jnp.concatenate([head[None], tail]), first, rest)


def dense(tensors: Tensors, outputs: Mapping[str, int], layers: int, inputs: int, *, bias: bool = True) -> Params:
    """Linear layers of one input as a single one: {'kernel': [L, in, out], 'bias': [L, out]}.

    ``outputs`` gives the width of each by name, with '{}' for the layer's number; they stand side by side in its order.
    """
    width = sum(outputs.values())
    kernel_LxIxO = np.empty((layers, inputs, width), np.float32)  # filled in place: weights are large
    bias_LxO = np.empty((layers, width), np.float32)
    for layer in range(layers):
        start = 0
        for name, size in outputs.items():
            place = slice(start, start := start + size)
            kernel_LxIxO[layer, :, place] = tensors.take(f"{name.format(layer)}.weight", (size, inputs)).T
            if bias:
                bias_LxO[layer, place] = tensors.take(f"{name.format(layer)}.bias", (size,))
    return {"kernel": kernel_LxIxO} | ({"bias": bias_LxO} if bias else {})


def norm(tensors: Tensors, name: str, layers: int, width: int) -> Params:
    """The layer norms ``name`` as {'scale': [L, D], 'bias': [L, D]}."""
    take = lambda half: tensors.take_layers(f"{name}.{half}", layers, (width,))  # noqa: E731
    return {"scale": take("weight"), "bias": take("bias")}


class Settings:
    """A Hugging Face config.json with defaults for what older files leave out; refuses what a model cannot do.

    ``names`` says what the file calls a setting, where that is not what its kin call it.
    """

    def __init__(self, hf: Mapping[str, Any], defaults: Mapping[str, Any], names: Mapping[str, str] | None = None):
        self._names = names or {}
        self._values = {self._names.get(key, key): value for key, value in defaults.items()} | dict(hf)

    def number(self, key: str, least: int = 1) -> int:
        """A whole number, by default a positive one."""
        name, value = self._find(key)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise JamError(f"config.json: {name} is {value!r}, expected a whole number of at least {least}")
        return value

    def real(self, key: str) -> float:
        """A number."""
        name, value = self._find(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise JamError(f"config.json: {name} is {value!r}, expected a number")
        return float(value)

    def flag(self, key: str) -> bool:
        """True or false."""
        name, value = self._find(key)
        if not isinstance(value, bool):
            raise JamError(f"config.json: {name} is {value!r}, expected true or false")
        return value

    def pair(self, key: str) -> tuple[int, int]:
        """Height and width, given as one number where they are equal."""
        name, value = self._find(key)
        height, width = value if isinstance(value, list | tuple) and len(value) == 2 else (value, value)
        if not all(isinstance(side, int) and side > 0 for side in (height, width)):
            raise JamError(f"config.json: {name} is {value!r}, expected one or two positive whole numbers")
        return height, width

    def activation(self, key: str) -> str:
        """The name of a known activation."""
        return self.one_of(key, tuple(ACTIVATIONS))

    def one_of(self, key: str, choices: Sequence[Any]) -> Any:
        """One of the settings that are supported."""
        name, value = self._find(key)
        if value not in choices:
            raise JamError(f"config.json: {name} {value!r} is not supported; known: {', '.join(map(str, choices))}")
        return value

    def _find(self, key: str) -> tuple[str, Any]:
        name = self._names.get(key, key)
        return name, self._values[name]


__all__ = [
    "ACTIVATIONS", "Attention", "Collect", "Params", "Settings", "dense", "layer_norm", "norm", "scan",
]  # fmt: skip
