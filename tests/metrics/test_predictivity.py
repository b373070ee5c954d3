import jax
import numpy as np
import pytest
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler

from jam_jax.errors import JamError
from jam_jax.metrics import predictivity, predictivity_null, significance
from jam_jax.metrics.predictivity import ALPHAS, fit_predict, linear_predictivity, predictivity_grid


def draw(items, width, targets, noise, seed=0):
    """Features whose spectrum falls by three decades, and noisy linear targets."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(items, width)) * np.logspace(0, -3, width) + 3
    return x, x @ rng.normal(size=(width, targets)) + noise * rng.normal(size=(items, targets))


def by_scikit_learn(x, y, alphas=ALPHAS, folds=5, seed=42):
    scores = []
    for train, test in KFold(folds, shuffle=True, random_state=seed).split(x):
        scaler = StandardScaler().fit(x[train])
        model = RidgeCV(alphas).fit(scaler.transform(x[train]), y[train])
        predicted = model.predict(scaler.transform(x[test])).reshape(len(test), -1)
        scores.append([np.corrcoef(p, t)[0, 1] for p, t in zip(predicted.T, y[test].T, strict=True)])
    return np.mean(scores)


@pytest.mark.parametrize(
    ("items", "width", "noise"),
    [(60, 8, 1.0), (60, 80, 1.0), (61, 47, 0.1), (62, 48, 0.1), (60, 8, 0.0), (60, 80, 1e-6), (200, 100, 3.0)],
    ids=["tall", "wide", "one spare direction", "square", "exact", "interpolated", "noisy"],
)
def test_equals_scikit_learn(items, width, noise):
    x, y = draw(items, width, 7, noise)
    assert linear_predictivity(x, y) == pytest.approx(by_scikit_learn(x, y), abs=1e-7)


@pytest.mark.parametrize("width", [8, 48, 80])
@pytest.mark.parametrize("alpha", [1e-8, 1e8])
def test_equals_scikit_learn_at_the_ends_of_the_penalties(width, alpha):
    x, y = draw(61, width, 7, 0.5)
    assert linear_predictivity(x, y, [alpha]) == pytest.approx(by_scikit_learn(x, y, [alpha]), abs=1e-7)


@pytest.mark.parametrize(("folds", "seed", "items"), [(3, 42, 40), (5, 0, 43), (7, 1, 44)])
def test_folds_are_those_of_scikit_learn(folds, seed, items):
    expected = KFold(folds, shuffle=True, random_state=seed).split(np.zeros(items))
    for ours, theirs in zip(predictivity.k_folds(items, folds, seed), expected, strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])


def test_leave_one_out_errors_equal_refits_without_each_item():
    x, y = draw(24, 6, 3, 0.3)
    alphas = np.array([1e-3, 1.0, 30.0])
    z, y = (x - x.mean(0)) / x.std(0), y - y.mean(0)
    expected = []
    for alpha in alphas:
        total = 0.0
        for i in range(len(z)):
            rest = np.arange(len(z)) != i
            x_mean, y_mean = z[rest].mean(0), y[rest].mean(0)
            centred = z[rest] - x_mean
            slope = np.linalg.solve(centred.T @ centred + alpha * np.eye(6), centred.T @ (y[rest] - y_mean))
            total += ((y[i] - y_mean - (z[i] - x_mean) @ slope) ** 2).sum()
        expected.append(total)
    ridge = predictivity.fit(x, x, alphas)
    np.testing.assert_allclose(ridge.double.errors(y)[0], expected, rtol=1e-9)
    np.testing.assert_allclose(ridge.single.errors(y.astype(np.float32))[0], expected, rtol=1e-5)


def test_grid_equals_its_pairs_and_takes_jax_arrays():
    (x, y), (other, _) = draw(50, 9, 4, 1.0), draw(50, 70, 1, 0.0, seed=1)
    grid = predictivity_grid([jax.numpy.asarray(x), other], [y, other, x])
    assert grid.shape == (2, 3)
    np.testing.assert_allclose(grid[1, 0], linear_predictivity(other, y), atol=1e-12)
    np.testing.assert_allclose(grid[0, 1], linear_predictivity(x.astype(np.float32), other), atol=1e-12)


def test_a_linear_image_is_predicted_and_noise_is_not():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(400, 10))
    assert linear_predictivity(x, x @ rng.normal(size=(10, 30))) == pytest.approx(1, abs=1e-9)
    assert abs(linear_predictivity(x, rng.normal(size=(400, 30)))) < 0.05


def test_scale_and_offset_of_a_feature_do_not_matter_and_one_scale_for_all_targets_neither():
    x, y = draw(60, 12, 5, 1.0)
    expected = linear_predictivity(x, y)
    assert linear_predictivity(x * np.logspace(-3, 3, 12) - 5, y) == pytest.approx(expected, abs=1e-9)
    assert linear_predictivity(x, 100 * y + 7) == pytest.approx(expected, abs=1e-9)


def test_constant_dimensions():
    x, y = draw(60, 12, 4, 1.0)
    expected = linear_predictivity(x, y)
    constant = np.full((60, 1), 0.1)
    assert linear_predictivity(np.hstack([x, constant]), y) == pytest.approx(expected, abs=1e-12)
    assert linear_predictivity(x, np.hstack([y, constant])) == pytest.approx(expected * 4 / 5, abs=1e-12)
    assert linear_predictivity(np.repeat(constant, 3, 1), y) == 0
    assert linear_predictivity(x, constant) == 0


def test_a_dimension_that_only_one_item_has_counts_0_as_a_target_and_agrees_as_a_feature():
    x, y = draw(60, 12, 4, 1.0)
    spike = np.zeros((60, 1))
    spike[7] = 1
    assert linear_predictivity(x, spike) == 0
    for alphas in (ALPHAS, [1e-8]):
        ours = linear_predictivity(np.hstack([x, spike]), y, alphas)
        assert ours == pytest.approx(by_scikit_learn(np.hstack([x, spike]), y, alphas), abs=1e-6)


def test_duplicate_rows_are_ordinary_rows():
    x, y = draw(30, 40, 4, 1.0)
    x, y = np.repeat(x, 3, 0), np.repeat(y, 3, 0)
    # Below this, scikit-learn's own leave-one-out errors of features without full rank are rounding.
    alphas = ALPHAS[5:]
    assert linear_predictivity(x, y, alphas) == pytest.approx(by_scikit_learn(x, y, alphas), abs=1e-7)
    ridge = predictivity.fit(x, x, np.array(ALPHAS))
    errors_A = ridge.double.errors(y - y.mean(0))[0]
    # The duplicate of an item left out tells its targets, up to what the penalty takes: errors fall with its square.
    np.testing.assert_allclose(errors_A[1:4] / errors_A[:3], 100, rtol=1e-3)


def test_fit_predict_equals_scikit_learn():
    x, y = draw(70, 20, 5, 0.5)
    scaler = StandardScaler().fit(x[:50])
    model = RidgeCV(ALPHAS).fit(scaler.transform(x[:50]), y[:50])
    ours = fit_predict(x[:50], y[:50], x[50:])
    np.testing.assert_allclose(ours, model.predict(scaler.transform(x[50:])), rtol=1e-8)


def test_the_null_is_that_of_full_refits():
    x, y = draw(40, 8, 5, 4.0)
    wide = draw(40, 50, 1, 0.0, seed=1)[0]
    null = predictivity_null.predictivity_permutation([x, wide], [y], permutations=5, seed=3)
    orders = significance.orders(5, 40, seed=3)
    expected = [[[linear_predictivity(source, y[order])] for source in (x, wide)] for order in orders]
    np.testing.assert_allclose(null.draws, expected, atol=2e-5)
    np.testing.assert_allclose(null.score[:, 0], [linear_predictivity(x, y), linear_predictivity(wide, y)])
    assert null.p.shape == (2, 1) and 1 / 6 <= null.p.min() <= null.p.max() <= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (x[:9], y[:9]), "9 items in 5 folds"),
        (lambda x, y: (x[:5], y[:5]), "N >= 10"),
        (lambda x, y: (x, y[:-1]), "40 and 39|39 and 40"),
        (lambda x, y: (x[:, 0], y), r"layer 0 of x has shape \(40,\)"),
        (lambda x, y: (x, y[:, :0]), "layer 0 of y has shape"),
        (lambda x, y: (x, np.where(np.arange(40)[:, None] == 3, np.nan, y)), "row 3 of layer 0 of y holds NaN"),
    ],
)
def test_bad_arrays_are_named(change, message):
    x, y = draw(40, 6, 3, 1.0)
    with pytest.raises(JamError, match=message):
        linear_predictivity(*change(x, y))


@pytest.mark.parametrize("alphas", [[], [0.0, 1.0], [-1.0], [np.inf]])
def test_bad_penalties_are_named(alphas):
    x, y = draw(40, 6, 3, 1.0)
    with pytest.raises(JamError, match="finite and above 0"):
        linear_predictivity(x, y, alphas)


def test_bad_grids_and_items_to_predict_are_named():
    x, y = draw(40, 6, 3, 1.0)
    with pytest.raises(JamError, match="there is no layer of y"):
        predictivity_grid([x], [])
    with pytest.raises(JamError, match=r"expected finite \[S, 6\]"):
        fit_predict(x, y, x[:, :5])
    with pytest.raises(JamError, match="at least 2 are needed"):
        fit_predict(x[:1], y[:1], x)
