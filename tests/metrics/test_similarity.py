import jax
import numpy as np
import pytest
import scipy.spatial
import scipy.stats
from sklearn.metrics.pairwise import rbf_kernel

from jam_jax import metrics
from jam_jax.errors import JamError
from jam_jax.metrics import statistics
from tests.metrics import public_forms
from tests.metrics.public_forms import related, rotation

LEAST = {"cka": 4, "cka_biased": 2, "cka_rbf": 4, "rsa": 3, "mutual_knn": 11, "cycle_knn": 11, "cknna": 11}


def slow(values):
    return [pytest.param(value, marks=pytest.mark.slow) for value in sorted(values)]


@pytest.mark.parametrize("unbiased", [True, False])
def test_cka_is_that_of_its_formula(unbiased):
    x, y = related()
    a, b = x.astype(np.float64), y.astype(np.float64)
    expected = public_forms.cka(a @ a.T, b @ b.T, unbiased)
    assert metrics.cka(x, y, unbiased=unbiased) == pytest.approx(expected, abs=1e-5)
    expected = public_forms.cka(rbf_kernel(a, gamma=1 / 18), rbf_kernel(b, gamma=1 / 18), unbiased)
    assert metrics.cka(x, y, kernel="rbf", sigma=3.0, unbiased=unbiased) == pytest.approx(expected, abs=1e-5)


def test_rbf_without_sigma_is_as_wide_as_the_median_distance():
    x, y = related()
    kernels = (
        rbf_kernel(a, gamma=1 / (2 * np.median(scipy.spatial.distance.pdist(a)) ** 2))
        for a in (x.astype(np.float64), y.astype(np.float64))
    )
    assert metrics.cka(x, y, kernel="rbf") == pytest.approx(public_forms.cka(*kernels, True), abs=1e-5)


@pytest.mark.parametrize("distance", ["correlation", "euclidean", *slow(["cosine"])])
@pytest.mark.parametrize("compare", ["spearman", *slow(["pearson"])])
def test_rsa_is_that_of_scipy(distance, compare):
    x, y = related()
    a, b = (scipy.spatial.distance.pdist(side.astype(np.float64), distance) for side in (x, y))
    expected = {"spearman": scipy.stats.spearmanr, "pearson": scipy.stats.pearsonr}[compare](a, b).statistic
    assert metrics.rsa(x, y, distance=distance, compare=compare) == pytest.approx(expected, abs=1e-4)


def test_rsa_gives_tied_distances_their_mean_rank():
    x, y = related()
    x = x[np.arange(40) // 3]
    a, b = (scipy.spatial.distance.pdist(side, "euclidean") for side in (x, y))
    expected = scipy.stats.spearmanr(a, b).statistic
    assert metrics.rsa(x, y, distance="euclidean") == pytest.approx(expected, abs=1e-4)


def test_procrustes_is_that_of_scipy():
    x, y = related()
    assert metrics.procrustes(x, y) == pytest.approx(np.sqrt(1 - scipy.spatial.procrustes(x, y)[2]), abs=1e-5)


@pytest.mark.parametrize("name", ["cka", "cka_biased", "cka_rbf", "rsa", "procrustes", "mutual_knn", "cknna", "svcca"])
def test_a_side_is_identical_to_itself_and_to_its_rotation(name):
    x, y = related()
    statistic = statistics.named(name)

    def score(a, b):
        return float(statistic.compare(statistic.prepare(a), statistic.prepare(b)))

    assert score(x, x) == pytest.approx(1, abs=1e-5)
    if name != "rsa":  # correlation distances take each row's mean away, which a rotation changes
        assert score(x, y) == pytest.approx(score(x, 7 * y @ rotation(1, 9)), abs=1e-4)
    if name != "cknna":  # nor is the published form quite symmetric
        assert score(x, y) == pytest.approx(score(y, x), abs=1e-5)
    if name != "svcca":  # it keeps all 9 directions here
        assert abs(score(x, y) - score(x, y * np.geomspace(0.01, 100, 9, dtype=np.float32))) > 1e-3


@pytest.mark.parametrize("name", ["cka", "cka_biased", "cka_rbf", "procrustes", "cca", "svcca"])
def test_where_the_origin_lies_does_not_matter(name):
    x, y = related()
    statistic = statistics.named(name)
    score = statistic.compare(statistic.prepare(x), statistic.prepare(y))
    moved = statistic.compare(statistic.prepare(x + 32), statistic.prepare(y - 16))
    assert moved == pytest.approx(float(score), abs=1e-4)


def test_independent_sides_are_at_zero_unbiased_and_far_from_it_biased():
    scores = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(40, 9)), rng.normal(size=(40, 9))
        scores.append([metrics.cka(x, y), metrics.cka(x, y, unbiased=False), metrics.rsa(x, y)])
    mean, error = np.mean(scores, axis=0), np.std(scores, axis=0) / np.sqrt(40)
    assert abs(mean[0]) < 3 * error[0] and abs(mean[2]) < 3 * error[2]
    assert mean[1] > 0.1


@pytest.mark.parametrize("name", statistics.STATISTICS)
def test_permuting_a_side_is_preparing_the_permuted_rows(name):
    statistic, (x, y) = statistics.named(name), related()
    order = np.random.default_rng(3).permutation(len(x)).astype(np.int32)
    side = jax.jit(statistic.prepare)(x)
    permuted = jax.jit(statistic.permute)(side, order)
    # The basis of a subspace may turn and change sign, so what counts is the score, on both sides of the comparison.
    other, again = statistic.prepare(y), statistic.prepare(x[order])
    assert statistic.compare(permuted, other) == pytest.approx(float(statistic.compare(again, other)), abs=1e-5)
    assert statistic.compare(other, permuted) == pytest.approx(float(statistic.compare(other, again)), abs=1e-5)


@pytest.mark.parametrize(("name", "n"), [("cka", 40), ("rsa", 40), ("cka_biased", 17)])
def test_all_shifts_at_once_are_those_of_one_permutation_after_the_other(name, n):
    statistic, (x, y) = statistics.named(name), related(n=n)
    permute, compare = jax.jit(statistic.permute), jax.jit(statistic.compare)
    a, b, order = statistic.prepare(x), statistic.prepare(y), np.random.default_rng(0).permutation(n)
    expected = [float(compare(permute(a, order), permute(b, np.roll(order, -shift)))) for shift in range(n)]
    np.testing.assert_allclose(jax.jit(statistic.shifted)(a, b, order), expected, atol=1e-5)
    assert expected[0] == pytest.approx(float(statistic.compare(a, b)), abs=1e-5)


@pytest.mark.parametrize("name", ["cka", "pwcca", *slow(set(statistics.STATISTICS) - {"cka", "pwcca"})])
def test_a_grid_of_layers_is_every_pair_of_them(name):
    statistic = statistics.named(name)
    vision = [related(seed)[0] for seed in range(2)]
    language = [related(seed)[1] for seed in range(3)]
    xs, ys = statistics.stack(statistic, vision), statistics.stack(statistic, language)
    sides = [[statistic.prepare(layer) for layer in layers] for layers in (vision, language)]
    expected = [[float(statistic.compare(x, y)) for y in sides[1]] for x in sides[0]]
    np.testing.assert_allclose(statistics.grid(statistic, xs, ys), expected, atol=1e-5)
    if statistic.shifted:
        shifted = statistics.shifted_grid(statistic, xs, ys, np.arange(40))
        assert shifted.shape == (2, 3, 40)
        np.testing.assert_allclose(shifted[:, :, 0], expected, atol=1e-5)


@pytest.mark.parametrize("name", statistics.STATISTICS)
def test_what_never_varies_has_no_similarity_but_shared_neighbours_by_order(name):
    statistic, (x, y) = statistics.named(name), related()
    score = float(statistic.compare(statistic.prepare(np.full_like(x, 0.1)), statistic.prepare(y)))
    if "knn" in name or name == "cknna":
        assert np.isfinite(score)  # all items are equally near: the first ones count
    else:
        assert score == 0


def test_a_constant_column_and_repeated_rows_change_nothing_that_they_should_not():
    x, y = related()
    more = np.concatenate([x, np.full((40, 1), 1e4, np.float32)], axis=1)
    assert metrics.cka(more, y) == pytest.approx(float(metrics.cka(x, y)), abs=1e-6)
    assert metrics.cca(more, y) == pytest.approx(float(metrics.cca(x, y)), abs=1e-5)
    twice = np.concatenate([x, x]), np.concatenate([y, y])
    assert metrics.cka(*twice, unbiased=False) == pytest.approx(float(metrics.cka(x, y, unbiased=False)), abs=1e-5)


@pytest.mark.parametrize("name", statistics.STATISTICS)
def test_nan_and_too_few_items_are_named(name):
    statistic, x = statistics.named(name), related()[0]
    with pytest.raises(JamError, match=f"{name}: .*items"):
        statistic.prepare(x[: LEAST.get(name, 2) - 1])
    x[7, 2] = np.nan
    with pytest.raises(JamError, match=f"{name}: row 7 of x holds NaN"):
        statistic.prepare(x)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, y: metrics.cka(x, y[:-1]), "x has 40 rows and y 39"),
        (lambda x, y: metrics.cka(x[:3], y[:3]), "3 items are too few; it needs at least 4"),
        (lambda x, y: metrics.cka(x, y, kernel="cosine"), "'cosine' is unknown; choose from linear, rbf"),
        (lambda x, y: metrics.rsa(x, y, distance="l1"), "'l1' is unknown; choose from correlation"),
        (lambda x, y: metrics.rsa(x, y, compare="tau"), "'tau' is unknown; choose from spearman"),
        (lambda x, y: metrics.procrustes(x[0], y), r"x has shape \(9,\); expected \[N, width\]"),
        (lambda x, y: metrics.procrustes(x, y * np.inf), "row 0 of y holds NaN or infinity"),
        (lambda x, y: statistics.named("knn"), "'knn' is unknown; choose from cka"),
        (lambda x, y: statistics.stack(statistics.named("procrustes"), [x, y[:, :6]]), "differ in shape"),
        (lambda x, y: statistics.stack(statistics.named("cka"), []), "no layers"),
        (lambda x, y: statistics.shifted_grid(statistics.named("cca"), x, y, 0), "has no short way"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(JamError, match=message):
        call(*related())
