import numpy as np
import pytest
import scipy.stats

from jam_jax.errors import JamError
from jam_jax.metrics.predictivity import k_folds, linear_predictivity
from jam_jax.metrics.predictivity_interval import _weighted, predictivity_bootstrap


def population(items, seed, width=6, targets=8):
    slope = np.random.default_rng(0).normal(size=(width, targets)) / 2
    rng = np.random.default_rng(seed + 1)
    x = rng.normal(size=(items, width))
    return x, x @ slope + rng.normal(size=(items, targets))


def test_weighted_r_is_that_of_repeated_items():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 12, 3)) + 50
    rows = rng.integers(12, size=(4, 12))
    weights = np.array([np.bincount(row, minlength=12) for row in rows]) / 12
    expected = [[scipy.stats.pearsonr(a[row, e], b[row, e])[0] for e in range(3)] for row in rows]
    np.testing.assert_allclose(_weighted(weights, a, b), expected, rtol=1e-9)
    assert (_weighted(weights, a, np.full_like(b, 0.1)) == 0).all()


def test_intervals_hold_the_scores_and_narrow_with_items():
    (x, y), (other, _) = population(100, 0), population(100, 1)
    low, high = predictivity_bootstrap([x, other], [y], samples=100)
    assert low.shape == high.shape == (2, 1)
    np.testing.assert_allclose((low + high)[:, 0] / 2, [linear_predictivity(source, y) for source in (x, other)])
    few = np.subtract(*predictivity_bootstrap([x[:40]], [y[:40]], samples=100)[::-1])
    assert 0 < (high - low)[0, 0] < few[0, 0]


@pytest.mark.slow
def test_intervals_cover_what_the_maps_score_on_new_items():
    new_x, new_y = population(20_000, 10_000)
    covered = []
    for seed in range(200):
        x, y = population(150, seed)
        low, high = predictivity_bootstrap([x], [y], samples=100, alphas=[1.0])
        truth = []
        for train, _ in k_folds(150, 5, 42):
            centred = x[train] - x[train].mean(0)
            slope = np.linalg.solve(centred.T @ centred + np.diag(centred.var(0)), centred.T @ y[train])
            truth.append([np.corrcoef(p, t)[0, 1] for p, t in zip((new_x @ slope).T, new_y.T, strict=True)])
        covered.append(low[0, 0] <= np.mean(truth) <= high[0, 0])
    assert 0.9 <= np.mean(covered) <= 0.985


@pytest.mark.parametrize(
    ("wrong", "said"), [({"samples": 1}, "1 samples; expected 2 or more"), ({"level": 95}, "expected 0 < level < 1")]
)
def test_bad_settings_are_named(wrong, said):
    x, y = population(40, 0)
    with pytest.raises(JamError, match=said):
        predictivity_bootstrap([x], [y], **wrong)
