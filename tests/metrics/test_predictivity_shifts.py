import numpy as np
import pytest

from jam_jax.errors import JamError
from jam_jax.metrics import significance
from jam_jax.metrics.predictivity import held_out, linear_predictivity
from jam_jax.metrics.predictivity_shifts import predictivity_shifts

ITEMS = 45


def layers(seed=0):
    """A source and targets that depend on it, and a source wider than there are items that tells nothing.

    The targets are of very different size; one never varies, and one has a single item that differs.
    """
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(ITEMS, 5))
    x = z @ rng.normal(size=(5, 12)) + rng.normal(size=(ITEMS, 12)) + 3
    y = (z @ rng.normal(size=(5, 9)) + 2 * rng.normal(size=(ITEMS, 9))) * np.logspace(-2, 2, 9) - 7
    y[:, 3], y[:, 4] = 2.0, np.arange(ITEMS) == 7
    return [x, rng.normal(size=(ITEMS, 60))], [y, x]


def refitted(xs, ys, shift, seed):
    """The same permutation by rearranging the targets and fitting anew: ``shift`` counts over all orders."""
    order_N = significance.orders(2, ITEMS, seed)[shift // (ITEMS - 1)]
    rows = np.empty(ITEMS, int)
    rows[order_N] = np.roll(order_N, -(shift % (ITEMS - 1) + 1))
    return [[linear_predictivity(x, y[rows]) for y in ys] for x in xs]


@pytest.mark.parametrize("memory", [1, 1 << 30], ids=["one source and dimension at a time", "all at once"])
def test_every_shift_is_a_full_refit(memory):
    xs, ys = layers()
    null = predictivity_shifts(xs, ys, permutations=50, seed=3, memory=memory)
    assert null.draws.shape == (2 * (ITEMS - 1), 2, 2)
    some = (0, 13, ITEMS - 2, ITEMS - 1, 2 * ITEMS - 3)
    expected = [refitted(xs, ys, shift, 3) for shift in some]
    np.testing.assert_allclose(null.draws[list(some)], expected, atol=1e-6)
    np.testing.assert_allclose(null.score, [[linear_predictivity(x, y) for y in ys] for x in xs], atol=1e-12)
    assert null.p[0, 0] == pytest.approx(1 / (2 * ITEMS - 1))  # related: no shift comes near
    assert null.p[1, 0] > 0.05


def test_targets_that_never_vary_score_0():
    (x, _), _ = layers()
    null = predictivity_shifts([x], [np.full((ITEMS, 3), 5.0)], permutations=4)
    assert (null.score == 0).all() and (null.draws == 0).all() and (null.p == 1).all()


def test_whoever_watches_sees_the_folds_of_the_score():
    xs, ys = layers()
    seen = []
    predictivity_shifts(xs, ys, permutations=4, watch=lambda *fold: seen.append(fold))
    expected = list(held_out(xs, ys))
    assert [fold[:2] for fold in seen] == [fold[:2] for fold in expected]
    for (*_, prediction, target), (*_, same_prediction, same_target) in zip(seen, expected, strict=True):
        np.testing.assert_array_equal(prediction, same_prediction)
        np.testing.assert_array_equal(target, same_target)


@pytest.mark.slow
def test_p_is_uniform_under_the_null():
    rng = np.random.default_rng(0)
    p = []
    for seed in range(150):
        x, y = rng.normal(size=(2, 40, 6))
        p.append(float(predictivity_shifts([x], [y], permutations=39, seed=seed).p[0, 0]))
    # Kolmogorov-Smirnov at the 1 % level, for p on a grid of fortieths.
    grid = np.arange(1, 41) / 40
    assert np.abs([np.mean(np.array(p) <= at + 1e-9) - at for at in grid]).max() < 1.63 / np.sqrt(len(p))


def test_bad_input_is_named():
    xs, ys = layers()
    with pytest.raises(JamError, match="0 permutations"):
        predictivity_shifts(xs, ys, permutations=0)
    with pytest.raises(JamError, match="9 items in 5 folds"):
        predictivity_shifts([xs[0][:9]], [ys[0][:9]])
