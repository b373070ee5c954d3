"""An order of items that is random for training and nearly sequential for a disk."""

import functools

import numpy as np


class BlockShuffle:
    """A permutation of ``items`` numbers for each epoch, any stretch of which is found without the rest.

    The order is made in three moves, each of which is a permutation of 0 .. N-1:

    1. Turn: item i becomes i + t mod N for a random t, so that the borders of blocks lie elsewhere in each epoch.
       It is undone by t's opposite.
    2. Blocks: the turned line is cut into blocks of ``block`` neighbours (the last may be shorter), and whole blocks
       are put in a random order. Each number is in exactly one block, and each block is placed exactly once.
    3. Windows: the line of blocks is cut into windows of ``window * block`` places, and the places within each window
       are permuted at random. Windows do not overlap and cover the line, and each is mapped onto itself.

    What permutations do one after the other is a permutation, so an epoch shows every item exactly once.

    A batch comes from one window or two, that is from about ``window`` stretches of the store. Up to ``window * block``
    items the order is uniformly random; above, items of one block meet in a batch more often than chance has it.
    Everything follows from (seed, epoch) through counter-based generators: nothing but the place has to be saved.
    """

    def __init__(self, items: int, seed: int, *, block: int = 256, window: int = 256):
        self.items, self.block, self.span = items, block, window * block
        self._seed, self._blocks = seed, -(-items // block)
        # An epoch's order of blocks is 16 bytes for each; the epoch before may still be read beside the next.
        self._epoch = functools.lru_cache(maxsize=2)(self._lay_blocks)
        self._window = functools.lru_cache(maxsize=4)(self._shuffle_window)

    def order(self, epoch: int, start: int, stop: int) -> np.ndarray:
        """Items int64 at the places start .. stop - 1 of an epoch's order."""
        parts = []
        for window in range(start // self.span, -(-stop // self.span)):
            first = window * self.span
            parts.append(self._window(epoch, window)[max(0, start - first) : stop - first])
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def _lay_blocks(self, epoch: int) -> tuple[int, np.ndarray, np.ndarray]:
        """The turn, the order of the blocks, and the place where each of these ends."""
        draw = generator(self._seed, epoch)
        turn, order = int(draw.integers(self.items)), draw.permutation(self._blocks)
        return turn, order, np.cumsum(np.minimum(self.block, self.items - order * self.block))

    def _shuffle_window(self, epoch: int, window: int) -> np.ndarray:
        turn, order, ends = self._epoch(epoch)
        places = np.arange(window * self.span, min((window + 1) * self.span, self.items))
        at = np.searchsorted(ends, places, "right")
        # The n-th from last place of a block holds its n-th from last number.
        turned = np.minimum((order[at] + 1) * self.block, self.items) - (ends[at] - places)
        items = (turned + turn) % self.items
        generator(self._seed, epoch, window).shuffle(items)
        return items


def generator(*numbers: int) -> np.random.Generator:
    """Random numbers that follow from these non-negative ones alone, without a state that would have to be saved."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(numbers)))


__all__ = ["BlockShuffle", "generator"]
