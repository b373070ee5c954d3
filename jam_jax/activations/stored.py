"""Activations that stay on disk: rows of some layers of a store, side by side, read when they are asked for."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from jam_jax.activations.shards import DTYPES
from jam_jax.activations.store import Store
from jam_jax.errors import JamError

NEAR_BYTES = 64 << 10  # a disk reads across a gap of this length about as fast as it would start anew behind it


class Stored:
    """Rows [n, D] of layers that stand side by side; ``stored[rows]`` gives float32, ``codes`` what is in the files.

    Only the rows asked for are read, through memory maps, so memory does not grow with the store. ``take`` selects and
    orders rows without reading them. Safe to read from several threads.
    """

    def __init__(self, store: Store, layers: Sequence[int], rows: np.ndarray | None = None):
        self.store, self.layers = store, tuple(layers)
        self._rows = np.arange(store.manifest.rows) if rows is None else np.asarray(rows, np.int64)
        self._widths = [store.manifest.layers[layer] for layer in self.layers]
        self.shape = (len(self._rows), sum(self._widths))
        self.dtype = DTYPES[store.manifest.dtype]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Rows float32 [n, D]; raises JamError where one of them is NaN or infinite."""
        rows = np.arange(len(self))[rows]
        values, shard = self.codes(rows).astype(np.float32), self.shard_of(rows)
        for number in np.unique(shard) if self.dtype == np.int8 else ():
            here, (scale, offset) = shard == number, self._affine(int(number))
            values[here] = values[here] * scale + offset
        self.check(values, rows)
        return values

    def take(self, rows: np.ndarray) -> "Stored":
        """These rows in this order, still on disk."""
        return Stored(self.store, self.layers, self._rows[rows])

    def codes(self, rows: np.ndarray) -> np.ndarray:
        """Rows [n, D] in the store's own dtype, for int8 codes that ``scales`` and ``shard_of`` give a meaning to."""
        order = np.argsort(self._rows[rows], kind="stable")
        wanted = self._rows[rows][order]
        pieces = list(self._pieces(wanted))
        for shard, local, _ in pieces:  # all at once: a disk is slow when it is asked for one row after another
            self._will_read(shard, local)
        codes = np.empty((len(wanted), self.shape[1]), self.dtype)
        for shard, local, places in pieces:
            left = 0
            for layer, width in zip(self.layers, self._widths, strict=True):
                values = self.store.shard(layer, shard).values
                codes[order[places], left : left + width] = np.take(values, local, axis=0)
                left += width
        return codes

    def shard_of(self, rows: np.ndarray) -> np.ndarray:
        """Number of the shard of each of these rows, int32."""
        return (self._rows[rows] // self.store.manifest.rows_per_shard).astype(np.int32)

    def scales(self) -> tuple[np.ndarray, np.ndarray]:
        """Scale and offset [S, D] of each of S shards: value = code * scale + offset; [0, 0] unless int8."""
        if self.dtype != np.int8:
            return np.zeros((0, 0), np.float32), np.zeros((0, 0), np.float32)
        both = [self._affine(shard) for shard in range(self.store.manifest.shard_count)]
        return np.stack([scale for scale, _ in both]), np.stack([offset for _, offset in both])

    def blocks(self, rows: np.ndarray, size: int = 8192) -> Iterator[np.ndarray]:
        """These rows as float32 blocks [size, D], in order; the last may be shorter."""
        for start in range(0, len(rows), size):
            yield self[rows[start : start + size]]

    def row_ids(self, rows: np.ndarray) -> list[str]:
        """The store's names of these rows."""
        return [self.store.manifest.row_ids[row] for row in self._rows[rows]]

    def check(self, values: np.ndarray, rows: np.ndarray) -> None:
        """Raises JamError naming the first of these rows whose values [n, D] are not all finite."""
        finite = np.isfinite(values)
        if not finite.all():
            row = self._rows[rows[np.flatnonzero(~finite.all(axis=1))[0]]]
            raise JamError(
                f"{self.store.path}: row {row} ({self.store.manifest.row_ids[row]}) has NaN or infinite values; "
                "export it again"
            )

    def _pieces(self, wanted: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Shard, rows within it and places among ``wanted``, which is sorted."""
        per_shard = self.store.manifest.rows_per_shard
        shards, starts = np.unique(wanted // per_shard, return_index=True)
        for shard, start, stop in zip(shards.tolist(), starts, np.append(starts, len(wanted))[1:], strict=True):
            yield shard, wanted[start:stop] - shard * per_shard, np.arange(start, stop)

    def _will_read(self, shard: int, local: np.ndarray) -> None:
        for layer, width in zip(self.layers, self._widths, strict=True):
            ends = np.flatnonzero(np.diff(local) * width * self.dtype.itemsize > NEAR_BYTES)
            firsts, lasts = local[np.append(0, ends + 1)], local[np.append(ends, len(local) - 1)]
            self.store.shard(layer, shard).will_read(firsts.tolist(), lasts.tolist())

    def _affine(self, shard: int) -> tuple[np.ndarray, np.ndarray]:
        opened = [self.store.shard(layer, shard) for layer in self.layers]
        scale, offset = ([getattr(one, name) for one in opened] for name in ("scale", "offset"))
        return np.concatenate(scale), np.concatenate(offset)


__all__ = ["Stored"]
