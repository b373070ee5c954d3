from typing import NamedTuple

import calibrated_similarity
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import torch

from jam_jax import metrics
from jam_jax.errors import JamError
from jam_jax.metrics import significance, statistics


class Statistic(NamedTuple):
    prepare: object
    compare: object
    permute: object


def gram(x):
    x = x - x.mean(0)
    return x @ x.T


def cosine(k, m):
    return jnp.vdot(k, m) / jnp.sqrt(jnp.vdot(k, k) * jnp.vdot(m, m))


def neighbours(x, k=3):
    distance = ((x[:, None] - x[None]) ** 2).sum(-1) + jnp.diag(jnp.full(len(x), jnp.inf))
    return distance <= jnp.sort(distance, 1)[:, k - 1 : k]


CKA = Statistic(gram, cosine, lambda k, order: k[order][:, order])
KNN = Statistic(neighbours, lambda a, b: (a & b).sum() / a.sum(), lambda a, order: a[order][:, order])
# A statistic of items whose distribution is known: Pearson r of two columns.
PEARSON = Statistic(
    lambda x: (x[:, 0] - x[:, 0].mean()) / x[:, 0].std(), lambda a, b: (a * b).mean(), lambda a, order: a[order]
)


def related(items, strength, seed, widths=(6, 5)):
    rng = np.random.default_rng(seed)
    common = strength * rng.normal(size=(items, 4))
    return [
        (common @ rng.normal(size=(4, width)) + rng.normal(size=(items, width))).astype(np.float32) for width in widths
    ]


def test_draws_equal_the_statistic_of_reordered_rows():
    x, y = related(30, 1.0, 0)
    null = significance.permutation(CKA, x, y, permutations=20, seed=5)
    orders = significance.orders(20, 30, seed=5)
    assert (np.sort(orders, 1) == np.arange(30)).all()
    np.testing.assert_allclose(null.draws, [cosine(gram(x), gram(y[order])) for order in orders], rtol=1e-4)
    np.testing.assert_allclose([null.mean, null.std], [null.draws.mean(), null.draws.std(ddof=1)])
    assert null.p == pytest.approx((1 + (null.draws >= null.score).sum()) / 21)
    assert null.z == pytest.approx((null.score - null.mean) / null.std)


@pytest.mark.parametrize("memory", [1, 10_000_000])
def test_a_grid_equals_its_pairs_whatever_the_memory(memory):
    (x, y), (other, _) = related(30, 1.0, 0), related(30, 1.0, 1)
    grid = significance.permutation_grid(CKA, [x, other], [y, x, other], permutations=7, memory=memory)
    assert grid.p.shape == (2, 3) and grid.draws.shape == (7, 2, 3)
    pair = significance.permutation(CKA, other, y, permutations=7)
    for ours, theirs in zip(grid, pair, strict=True):
        np.testing.assert_allclose(ours[..., 1, 0], theirs, rtol=1e-4)
    assert grid.score[0, 1] == pytest.approx(1) and grid.p[0, 1] == 1 / 8


def test_p_and_calibrated_scores_are_those_of_the_public_package():
    x, y = related(30, 0.4, 1)
    other, more = related(30, 0.3, 2)
    turns = iter(np.tile(significance.orders(40, 30, seed=5), (5, 1)))
    public = {
        "K": 40, "perm_fn": lambda *_: torch.from_numpy(next(turns).astype(np.int64)), "alpha": 0.1,
        "sim": lambda a, b: float(KNN.compare(*(KNN.prepare(jnp.asarray(z.numpy())) for z in (a, b)))),
    }  # fmt: skip

    as_torch = {name: torch.from_numpy(side) for name, side in zip("xyom", (x, y, other, more), strict=True)}
    null = significance.permutation_grid(KNN, [x, other], [y, more], permutations=40, seed=5, quantile=0.9)
    for i, j, a, b in ((0, 0, "x", "y"), (1, 1, "o", "m")):
        score, p, _ = calibrated_similarity.calibrate(as_torch[a], as_torch[b], **public)
        assert null.calibrated[i, j] == pytest.approx(float(score), abs=1e-6)
        assert null.p[i, j] == pytest.approx(float(p))
    _, p, _ = calibrated_similarity.calibrate_layers(
        [as_torch["x"], as_torch["o"]], [as_torch["y"], as_torch["m"]], agg="max", **public
    )
    adjusted = significance.adjusted(null.score, null.draws)
    assert adjusted.flat[null.score.argmax()] == pytest.approx(float(p))
    assert (adjusted >= null.p).all()


def test_p_is_uniform_under_the_null():
    rng = np.random.default_rng(0)
    sources = list(rng.normal(size=(20, 40, 3)).astype(np.float32))
    targets = list(rng.normal(size=(20, 40, 3)).astype(np.float32))
    # Pairs (i, j) that share a side are dependent only through it: rows of the table are close to independent.
    p = significance.permutation_grid(PEARSON, sources, targets, permutations=99).p
    assert scipy.stats.kstest(p.ravel() - 0.005, "uniform").pvalue > 0.01
    assert (p <= 0.05).mean() == pytest.approx(0.05, abs=0.03)


def test_calibrated_is_above_0_exactly_where_p_is_small_and_1_at_the_maximum():
    draws = np.arange(1, 100) / 200
    scores = np.array([0.1, 0.472, 0.478, 0.6, 1.0])
    null = significance.against(scores, np.repeat(draws[:, None], 5, 1))
    np.testing.assert_array_equal(null.calibrated > 0, null.p <= 0.05)
    assert null.calibrated[-1] == 1 and null.calibrated[3] == pytest.approx((0.6 - 0.475) / (1 - 0.475))
    assert significance.against(scores[3], draws, quantile=0.9).calibrated == pytest.approx((0.6 - 0.45) / 0.55)
    assert significance.against(0.6, draws, maximum=0.4).calibrated == 0


def test_ties_and_nan_never_help():
    draws = np.array([0.0, 0.5, 0.5, 0.2])
    assert significance.against(0.5, draws).p == 3 / 5
    assert significance.against(0.5 + 1e-8, draws).p == 3 / 5
    assert significance.against(0.6, [0.1, np.nan, 0.2]).p == 2 / 4
    nan = significance.against(np.nan, draws)
    assert nan.p == 1 and np.isnan(nan.z)
    assert np.isnan(significance.against(0.5, [0.5, 0.5]).z)


def test_bootstrap_is_deterministic_and_holds_the_score():
    x, y = related(60, 1.0, 0)
    low, high = significance.bootstrap(CKA, x, y, samples=50, seed=1)
    assert low < float(cosine(gram(x), gram(y))) < high
    assert (low, high) == significance.bootstrap(CKA, x, y, samples=50, seed=1)
    narrow = significance.bootstrap(CKA, x, y, samples=50, seed=1, level=0.5)
    assert low < narrow[0] < narrow[1] < high


def test_a_grid_of_intervals_equals_its_pairs_whatever_the_memory():
    (x, y), (other, _) = related(40, 1.0, 0), related(40, 1.0, 1)
    low, high = significance.bootstrap_grid(CKA, [x, other], [y, x], samples=20, memory=1)
    assert low.shape == high.shape == (2, 2)
    np.testing.assert_allclose([low[1, 0], high[1, 0]], significance.bootstrap(CKA, other, y, samples=20), rtol=1e-4)


def test_the_interval_of_a_mean_has_the_textbook_width():
    values = np.random.default_rng(0).normal(size=(400, 1)).astype(np.float32)
    mean = Statistic(lambda x: x[:, 0], lambda a, b: a.mean(), lambda a, order: a[order])
    low, high = significance.bootstrap(mean, values, values, samples=1000)
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statistic", "least", "most"), [(PEARSON, 0.9, 0.985), (CKA, 0.9, 0.985), (KNN, 0.95, 1)],
    ids=["pearson", "cka", "neighbours are conservative"],
)  # fmt: skip
def test_intervals_cover_the_expected_score(statistic, least, most):
    score = jax.jit(lambda x, y: statistic.compare(statistic.prepare(x), statistic.prepare(y)))
    truth = np.mean([float(score(*population(100, 10_000 + seed))) for seed in range(500)])
    intervals = [significance.bootstrap(statistic, *population(100, seed), samples=100) for seed in range(300)]
    assert least <= np.mean([low <= truth <= high for low, high in intervals]) <= most


def population(items, seed):
    """Items of one population: the maps from the common factors stay."""
    maps = np.random.default_rng(0).normal(size=(2, 4, 5))
    rng = np.random.default_rng(seed + 1)
    common = rng.normal(size=(items, 4))
    return [(common @ mapped + rng.normal(size=(items, 5))).astype(np.float32) for mapped in maps]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, y: significance.permutation(CKA, x, y[:-1]), "29 and 30 items"),
        (lambda x, y: significance.permutation_grid(CKA, [], [y]), "0 and 1 layers"),
        (lambda x, y: significance.permutation(CKA, x, y, permutations=0), "0 permutations"),
        (lambda x, y: significance.bootstrap(CKA, x, y, samples=1), "1 samples"),
        (lambda x, y: significance.bootstrap(CKA, x, y, level=95), "at level 95"),
        (lambda x, y: significance.bootstrap(CKA, x[:2], y[:2]), "out of 2 items"),
        (lambda x, y: significance.against(0.5, np.zeros((3, 2))), "expected .P, .score"),
        (lambda x, y: significance.against(0.5, np.zeros(3), quantile=95), "quantile is 95"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(JamError, match=message):
        call(*related(30, 1.0, 0))


def test_a_statistic_with_shifts_is_permuted_by_all_shifts_along_an_order():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 4)), rng.normal(size=(30, 6))
    null = significance.permutation(statistics.named("cka"), x, y, permutations=20, seed=3)
    order = significance.orders(1, 30, seed=3)[0]
    expected = [float(metrics.cka(x[order], y[np.roll(order, -shift)])) for shift in range(1, 30)]
    np.testing.assert_allclose(null.draws, expected, atol=1e-5)
    assert null.p == (1 + np.sum(np.array(expected) >= null.score)) / 30
    assert len(significance.permutation(statistics.named("cka"), x, y, permutations=40).draws) == 58
