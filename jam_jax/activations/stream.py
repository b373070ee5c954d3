"""Batches of a training split that stays on disk, drawn and read by the host as the stores have them."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from jam_jax.activations.batches import Rows
from jam_jax.activations.block_shuffle import BlockShuffle, generator
from jam_jax.activations.stored import Stored

Array = Any  # NumPy's on the host, JAX's on the device


class Codes(NamedTuple):
    """One process's share, b rows, of a batch as it stands in the stores; item and group numbers as in ``Split``.

    Attributes:
      vision: [b, D], language: [b, E], negatives: [b, K, E] in the stores' dtypes. *_shard: int32, the shard of each.
      mask: bool [b, K], False where a negative is padding.
      item, group: int32 [b]. owner: int32 [b, K], item of each negative.
    """

    vision: Array
    vision_shard: Array
    language: Array
    language_shard: Array
    negatives: Array
    negatives_shard: Array
    mask: Array
    item: Array
    group: Array
    owner: Array


class Batches:
    """The batches of a whole run: ``batches[step]`` is one process's share of the batch of a global step.

    It is a function of (seed, step): a run that goes on at a step reads what the uninterrupted one would have read. The
    global batch does not depend on the number of processes; within it items are in the order of the store, so that each
    process reads near places, and no two read the same. Safe to read from several threads, as grain's.

    Args:
      vision, language: rows of the stores. rows: the training split in these. group: [N] as in ``Split``.
      batch: rows of the global batch, a multiple of the number of processes. negatives: K.
      shuffle: an order of the split's items; items beyond an epoch's last whole batch sit out.
      process, processes: which share.
    """

    def __init__(
        self, vision: Stored, language: Stored, rows: Rows, group: np.ndarray, *, batch: int, negatives: int,
        epochs: int, seed: int, shuffle: BlockShuffle | None = None, process: int = 0, processes: int = 1,
    ):  # fmt: skip
        self._vision, self._language, self._rows, self._group = vision, language, rows, group
        self._negatives, self._seed = min(negatives, rows.negatives.shape[1]), seed
        self._shuffle = shuffle or BlockShuffle(len(rows.items), seed)
        self.batch, self.per_epoch = batch, len(rows.items) // batch
        self._length = epochs * self.per_epoch
        self._share = slice(process * batch // processes, (process + 1) * batch // processes)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, step: int) -> Codes:
        rows, share = self._rows, self._share
        items_B = self.items(step)
        # Drawn for all processes, so that the batch is the same however many there are.
        draw = generator(self._seed, 1, step)
        count_B = rows.caption_count[items_B]
        captions_B = rows.of_item[items_B, (draw.random(len(items_B)) * count_B).astype(np.int64)]
        valid_BxC = np.arange(rows.negatives.shape[1]) < rows.negative_count[captions_B][:, None]
        # Random numbers with invalid places last: the first K in this order are a draw without replacement.
        order_BxC = np.where(valid_BxC, draw.random(valid_BxC.shape), 2.0)
        places_BxK = np.argsort(order_BxC, axis=1)[:, : self._negatives]
        items, captions, places = items_B[share], captions_B[share], places_BxK[share]
        negatives = np.take_along_axis(rows.negatives[captions], places, axis=1)
        pictures, texts, others = rows.items[items], rows.captions[captions], rows.captions[negatives.reshape(-1)]
        return Codes(
            vision=self._vision.codes(pictures),
            vision_shard=self._vision.shard_of(pictures),
            language=self._language.codes(texts),
            language_shard=self._language.shard_of(texts),
            negatives=self._language.codes(others).reshape(*negatives.shape, self._language.shape[1]),
            negatives_shard=self._language.shard_of(others).reshape(negatives.shape),
            mask=np.take_along_axis(valid_BxC[share], places, axis=1),
            item=items.astype(np.int32),
            group=self._group[items].astype(np.int32),
            owner=rows.owner[negatives].astype(np.int32),
        )

    def items(self, step: int) -> np.ndarray:
        """Item numbers [B] of the global batch of a step, in the order of the store."""
        epoch, place = divmod(step, self.per_epoch)
        return np.sort(self._shuffle.order(epoch, place * self.batch, (place + 1) * self.batch))

    def item_ids(self, step: int) -> list[str]:
        """Names of the items of a step: what to look at when its loss is not a number."""
        return self._vision.row_ids(self._rows.items[self.items(step)])


def prefetched(batches: Batches, start: int, *, threads: int = 2, ahead: int = 3) -> Iterator[Codes]:
    """The shares of the steps from ``start`` on, ``ahead`` of them read before they are asked for.

    Whole batches are grain's items: one row per item costs two orders of magnitude.
    """
    import grain  # here, because a second of imports is for those who stream

    steps = grain.MapDataset.source(batches).slice(slice(start, None))
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=max(threads, ahead))
    return iter(steps.to_iter_dataset(options))


__all__ = ["Batches", "Codes", "prefetched"]
