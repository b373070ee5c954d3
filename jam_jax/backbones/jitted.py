"""Hidden states of a backbone whose forward pass is one pure JAX function, compiled once for each shape of batch."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jam_jax.backbones import preprocessing, weights
from jam_jax.backbones.pooling import chosen

Arrays = dict[str, np.ndarray]
# forward(params, arrays, collect) -> collect(hidden [N, T, D]) of every layer, as a sequence or stacked on a first axis
Forward = Callable[[Any, Mapping[str, jax.Array], Callable[[jax.Array], jax.Array]], Any]


def bucket(size: int) -> int:
    """The least of 1, 2, 4, 6, 8, 12, 16, 24, 32, 48 ... that is not below ``size``.

    Padding to these costs a fifth of the work on average and saves compiling every size that occurs.
    """
    power = 1 << max(size - 1, 0).bit_length()
    return 3 * power // 4 if power >= 8 and size <= 3 * power // 4 else power


class Compiled:
    """A forward pass with its weights, on all devices of this process: each computes its share of a batch's rows.

    ``params``, a dictionary of arrays or of such dictionaries, is emptied on the way to the devices, so that the
    weights are never in memory twice.
    """

    def __init__(self, forward: Forward, params: dict[str, Any]):
        devices = np.array(jax.local_devices())
        mesh = Mesh(devices, ("data",), axis_types=(AxisType.Auto,))
        self._rows = NamedSharding(mesh, PartitionSpec("data"))
        self._devices = len(devices)
        self._params = _moved(params, NamedSharding(mesh, PartitionSpec()))

        def states(params: Any, arrays: Mapping[str, jax.Array]) -> tuple[jax.Array, ...]:
            return tuple(forward(params, arrays, lambda hidden: hidden))

        def pooled(
            params: Any, arrays: Mapping[str, jax.Array], kept_NxT: jax.Array, layers: tuple[int, ...]
        ) -> tuple[jax.Array, ...]:
            def average(hidden_NxTxD: jax.Array) -> jax.Array:
                # By selection, not by product: what stands in the padding means nothing. Feature maps shrink from
                # layer to layer; no token of theirs is left out but by 'last', which takes the last.
                here_NxT = kept_NxT[:, -hidden_NxTxD.shape[1] :]
                sums_NxD = jnp.where(here_NxT[:, :, None], hidden_NxTxD, 0).astype(jnp.float32).sum(axis=1)
                return sums_NxD / here_NxT.sum(axis=1)[:, None]

            every = forward(params, arrays, average)
            return tuple(every[layer] for layer in layers)

        self._states, self._pooled = jax.jit(states), jax.jit(pooled, static_argnums=3)

    def states(self, arrays: Arrays) -> tuple[np.ndarray, ...]:
        """Every hidden state, float32 [N, T, D]."""
        rows, placed = self._place(arrays)
        with _exact():
            return tuple(np.asarray(hidden)[:rows] for hidden in self._states(self._params, placed))

    def pooled(self, arrays: Arrays, kept_NxT: np.ndarray, layers: tuple[int, ...]) -> tuple[jax.Array, ...]:
        """Averages over the kept tokens, float32 [N, D] for each layer; returns before they are computed."""
        rows, placed = self._place({**arrays, "kept": kept_NxT})
        kept = placed.pop("kept")
        with _exact():
            averages = self._pooled(self._params, placed, kept, layers)
        return averages if len(averages[0]) == rows else tuple(average[:rows] for average in averages)

    def shapes(self, arrays: Arrays) -> tuple[tuple[int, ...], ...]:
        """Shapes of every hidden state, without computing any."""
        return tuple(hidden.shape for hidden in jax.eval_shape(self._states, self._params, arrays))

    def _place(self, arrays: Arrays) -> tuple[int, dict[str, jax.Array]]:
        rows = len(next(iter(arrays.values())))
        wanted = -(-bucket(rows) // self._devices) * self._devices
        # The rows that fill up a batch repeat its first one, so that they are no special case anywhere.
        order = np.concatenate([np.arange(rows), np.zeros(wanted - rows, int)])
        return rows, jax.device_put({name: value[order] for name, value in arrays.items()}, self._rows)


def _moved(params: dict[str, Any], sharding: NamedSharding) -> dict[str, Any]:
    placed: dict[str, Any] = {}
    for name in list(params):
        part = params.pop(name)
        if isinstance(part, dict):
            placed[name] = _moved(part, sharding)
        else:
            placed[name] = jax.device_put(np.ascontiguousarray(part), sharding).block_until_ready()
    return placed


def _exact() -> Any:
    """float32 products on TPUs too, unless JAX_DEFAULT_MATMUL_PRECISION asks for something else."""
    return jax.default_matmul_precision(jax.config.jax_default_matmul_precision or "highest")  # type: ignore[attr-defined]


class JittedVision(preprocessing.PictureInputs):
    """See ``backbones.Backbone``."""

    def __init__(
        self, forward: Forward, params: Any, processor: Any, config: Mapping[str, Any], source: weights.Source
    ):
        super().__init__(processor, config, source)
        self._compiled = Compiled(forward, params)
        shapes = self._compiled.shapes(self.probe)
        self.widths = tuple(shape[2] for shape in shapes)
        self._tokens = max(shape[1] for shape in shapes)
        self.prefix_tokens = shapes[0][1] - self.patches if self.patches else 0

    def hidden_states(self, batch: Arrays) -> tuple[np.ndarray, ...]:
        """Float32 [N, T, D] of each layer, embedding output first."""
        return self._compiled.states(batch)

    def pooled(self, batch: Arrays, layers: Sequence[int], pooling: str) -> Mapping[int, jax.Array]:
        """Pooled hidden states {layer: float32 [N, D]} of a batch; returns before they are computed."""
        every_NxT = np.ones((len(batch["pixels"]), self._tokens), bool)
        kept_NxT = chosen(every_NxT, pooling, self.prefix_tokens)
        return dict(zip(layers, self._compiled.pooled(batch, kept_NxT, tuple(layers)), strict=True))


class JittedLanguage(preprocessing.TextInputs):
    """See ``backbones.Backbone``."""

    def __init__(
        self, forward: Forward, params: Any, tokenizer: Any, config: Mapping[str, Any], source: weights.Source
    ):
        super().__init__(tokenizer, config, source)
        self._compiled = Compiled(forward, params)
        self.widths = tuple(shape[2] for shape in self._compiled.shapes(self.probe))

    def hidden_states(self, batch: Arrays) -> tuple[np.ndarray, ...]:
        """Float32 [N, T, D] of each layer, embedding output first; what stands at padded places means nothing."""
        tokens = batch["ids"].shape[1]
        place = slice(0, tokens) if self.padding_side == "right" else slice(-tokens, None)
        return tuple(hidden[:, place] for hidden in self._compiled.states(self._lengthened(batch)))

    def pooled(self, batch: Arrays, layers: Sequence[int], pooling: str) -> Mapping[int, jax.Array]:
        """Pooled hidden states {layer: float32 [N, D]} of a batch; returns before they are computed."""
        batch = self._lengthened(batch)
        kept_NxT = chosen(batch["mask"], pooling, self.prefix_tokens)
        return dict(zip(layers, self._compiled.pooled(batch, kept_NxT, tuple(layers)), strict=True))

    def _lengthened(self, batch: Arrays) -> Arrays:
        tokens = batch["ids"].shape[1]
        more = max(min(bucket(tokens), self.max_tokens) - tokens, 0)
        sides = ((0, 0), (0, more) if self.padding_side == "right" else (more, 0))
        return {
            "ids": np.pad(batch["ids"], sides, constant_values=self.pad).astype(np.int32),
            "mask": np.pad(batch["mask"], sides),
        }


__all__ = ["Compiled", "Forward", "JittedLanguage", "JittedVision", "bucket"]
