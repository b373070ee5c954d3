import numpy as np
import pytest
import scipy.linalg
from sklearn.cross_decomposition import CCA
from sklearn.decomposition import PCA

from jam_jax import metrics
from jam_jax.errors import JamError
from tests.metrics.public_forms import related


def correlations(x, y, reg=0.0):
    """Canonical correlations by the generalised eigenvalue problem in float64."""
    x, y = (side.astype(np.float64) - side.mean(0, dtype=np.float64) for side in (x, y))
    xx, yy, xy = x.T @ x, y.T @ y, x.T @ y
    xx, yy = (c + reg * np.trace(c) / len(c) * np.eye(len(c)) for c in (xx, yy))
    squares = scipy.linalg.eigh(xy @ np.linalg.solve(yy, xy.T), xx, eigvals_only=True)[::-1]
    return np.sqrt(np.maximum(squares, 0))[: min(len(xx), len(yy))]


def test_cca_is_that_of_scikit_learn():
    x, y = related(d=6)
    a, b = CCA(n_components=2, max_iter=20000, tol=1e-12).fit_transform(x.astype(np.float64), y.astype(np.float64))
    expected = np.mean([np.corrcoef(a[:, i], b[:, i])[0, 1] for i in range(2)])
    assert metrics.cca(x, y, dim=2) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("dim", "reg"), [(None, 0.0), (3, 0.0), (None, 0.1), (100, 1.0)])
def test_cca_is_that_of_the_eigenvalue_problem(dim, reg):
    x, y = related(d=6)
    assert metrics.cca(x, y, dim=dim, reg=reg) == pytest.approx(correlations(x, y, reg)[:dim].mean(), abs=1e-5)


@pytest.mark.parametrize("keep", [3, 0.9, 0.99])
def test_svcca_is_cca_of_principal_components(keep):
    x, y = related(d=6)
    a, b = (PCA(keep, svd_solver="full").fit_transform(side.astype(np.float64)) for side in (x, y))
    assert metrics.svcca(x, y, keep=keep) == pytest.approx(correlations(a, b).mean(), abs=1e-5)


@pytest.mark.parametrize("swap", [False, True])
def test_pwcca_weighs_by_what_the_first_side_carries(swap):
    x, y = related(d=6)[::-1] if swap else related(d=6)
    a, b = (side.astype(np.float64) - side.mean(0, dtype=np.float64) for side in (x, y))
    q, r = np.linalg.qr(a)[0], np.linalg.qr(b)[0]
    turn, rho, _ = np.linalg.svd(q.T @ r, full_matrices=False)
    weight = np.abs((q @ turn).T @ a).sum(1)
    assert metrics.pwcca(x, y) == pytest.approx(weight @ rho / weight.sum(), abs=1e-5)
    assert metrics.pwcca(x, x) == pytest.approx(1, abs=1e-5)


def test_cca_does_not_see_invertible_maps_and_svcca_does():
    x, y = related(d=6)
    z = y @ np.random.default_rng(5).normal(size=(9, 9)).astype(np.float32) + 3
    assert metrics.cca(x, z) == pytest.approx(float(metrics.cca(x, y)), abs=1e-4)
    assert abs(metrics.svcca(x, z, keep=3) - metrics.svcca(x, y, keep=3)) > 1e-2


def test_fewer_items_than_dimensions():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(10, 20)), rng.normal(size=(10, 15))
    assert metrics.cca(x, y) == pytest.approx(1, abs=1e-5)
    assert metrics.cca(x, y, reg=10.0) < 0.7
    assert metrics.svcca(x, y, keep=2) < 0.99


def test_a_rank_below_the_width_counts_as_it_is():
    x, y = related(d=6)
    wide = np.concatenate([x, x @ np.ones((6, 3), np.float32)], axis=1)
    assert metrics.cca(wide, y) == pytest.approx(float(metrics.cca(x, y)), abs=1e-4)
    assert metrics.svcca(wide, y, keep=100) == pytest.approx(float(metrics.cca(x, y)), abs=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, y: metrics.cca(x, y, dim=0), "dim is 0"),
        (lambda x, y: metrics.cca(x, y, reg=-1), "reg is -1"),
        (lambda x, y: metrics.svcca(x, y, keep=0), "keep is 0"),
        (lambda x, y: metrics.svcca(x, y, keep=2.5), "keep is 2.5"),
        (lambda x, y: metrics.pwcca(x[:1], y[:1]), "1 items are too few"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(JamError, match=message):
        call(*related())
