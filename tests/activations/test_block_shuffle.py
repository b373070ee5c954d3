import numpy as np
import pytest

from jam_jax.activations.block_shuffle import BlockShuffle


@pytest.mark.parametrize("items", [1, 2, 7, 64, 65, 1000])
@pytest.mark.parametrize(("block", "window"), [(1, 1), (4, 3), (16, 4), (7, 1000), (2000, 2)])
def test_every_epoch_is_a_permutation(items, block, window):
    shuffle = BlockShuffle(items, seed=3, block=block, window=window)
    for epoch in range(4):
        np.testing.assert_array_equal(np.sort(shuffle.order(epoch, 0, items)), np.arange(items))


def test_epochs_and_seeds_differ_and_repeat():
    orders = [BlockShuffle(500, seed, block=8, window=4).order(epoch, 0, 500) for seed in (0, 1) for epoch in (0, 1)]
    assert len({order.tobytes() for order in orders}) == 4
    np.testing.assert_array_equal(orders[1], BlockShuffle(500, 0, block=8, window=4).order(1, 0, 500))


def test_any_stretch_is_cut_from_the_whole():
    shuffle = BlockShuffle(1003, seed=0, block=8, window=5)
    whole = shuffle.order(2, 0, 1003)
    for start, stop in ((0, 1), (39, 41), (17, 300), (990, 1003), (40, 40), (0, 1003)):
        again = BlockShuffle(1003, seed=0, block=8, window=5).order(2, start, stop)
        np.testing.assert_array_equal(again, whole[start:stop])


def test_a_window_comes_from_a_few_stretches():
    shuffle = BlockShuffle(1003, seed=1, block=8, window=5)
    for start in range(0, 1003, 40):
        items = np.sort(shuffle.order(0, start, min(1003, start + 40)))
        # Five blocks, one more at a border and one that wraps around: as many runs of neighbours at most.
        assert (np.diff(items) > 1).sum() + 1 <= 7


def test_a_small_store_is_shuffled_uniformly():
    # Each item is at each place equally often: chi-square of 12 x 12 counts with 121 degrees of freedom.
    shuffle, counts = BlockShuffle(12, seed=0, block=2, window=6), np.zeros((12, 12))
    for epoch in range(3000):
        counts[shuffle.order(epoch, 0, 12), np.arange(12)] += 1
    assert ((counts - 250) ** 2 / 250).sum() < 180  # p = 0.0004


def test_neighbours_are_parted():
    order = BlockShuffle(20_000, seed=0, block=16, window=64).order(0, 0, 20_000)
    assert (np.abs(np.diff(order)) <= 16).mean() < 0.1
    assert abs(np.corrcoef(order, np.arange(20_000))[0, 1]) < 0.1
