import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from jam_jax.errors import JamError
from jam_jax.models import inputs


def fit(x, *, standardise=True, constant="stop", components=0):
    return inputs.fit(x, standardise=standardise, constant=constant, components=components, where="here")


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    mixed = rng.normal(size=(200, 12)) @ (rng.normal(size=(12, 12)) * 0.8 ** np.arange(12))
    mixed[:, 3] = 100 + 0.1 * mixed[:, 3]  # a massive dimension that hardly varies
    return mixed.astype(np.float32)


def test_standardising_is_scikit_learns(x):
    train, rest = x[:150], x[150:]
    fitted, peer = fit(train), StandardScaler().fit(train.astype(np.float64))
    np.testing.assert_allclose(fitted(rest), peer.transform(rest), rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(fitted.mean, peer.mean_, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(1 / fitted.scale, peer.scale_, rtol=1e-5)
    assert fitted.width == 12 and fitted(rest).dtype == np.float32


@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize(("rows", "components"), [(150, 5), (150, 11), (10, 4)])  # more rows than dimensions, and fewer
def test_components_are_scikit_learns(x, rows, components, standardise):
    train = x[:rows].astype(np.float64)
    seen = StandardScaler().fit_transform(train) if standardise else train
    peer = PCA(components, svd_solver="full").fit(seen)
    fitted = fit(x[:rows], standardise=standardise, components=components)
    assert fitted.basis.shape == (12, components) and fitted.width == components
    cosines = np.abs((peer.components_ * fitted.basis.T).sum(1))
    np.testing.assert_allclose(cosines, 1, atol=1e-3)
    np.testing.assert_allclose(fitted.basis.T @ fitted.basis, np.eye(components), atol=1e-5)
    variances = fitted(x[:rows]).astype(np.float64).var(0, ddof=1)
    np.testing.assert_allclose(variances, peer.explained_variance_, rtol=2e-3, atol=1e-4)


def test_signs_do_not_depend_on_the_solver(x):
    fitted = fit(x, components=6)
    largest = np.abs(fitted.basis).argmax(0)
    assert (fitted.basis[largest, np.arange(6)] > 0).all()


@pytest.mark.parametrize("standardise", [True, False])
def test_invert_is_the_way_back(x, standardise):
    fitted = fit(x, standardise=standardise)
    np.testing.assert_allclose(fitted.invert(fitted(x)), x, rtol=1e-5, atol=1e-4)
    cut = fit(x, standardise=standardise, components=5)
    p = cut(x)
    np.testing.assert_allclose(cut(cut.invert(p)), p, atol=2e-3)
    # The nearest activations that the five components can say: no random ones of the same form come closer.
    here = np.linalg.norm((cut.invert(p) - x) * cut.scale)
    moved = cut.invert(p + 0.1 * np.random.default_rng(0).normal(size=p.shape).astype(np.float32))
    assert here < np.linalg.norm((moved - x) * cut.scale)


def test_more_components_than_dimensions_keeps_all(x):
    assert fit(x, components=12).basis.size == fit(x, components=600).basis.size == 0
    assert fit(x, components=600).width == 12


def test_more_components_than_rows(x):
    fitted = fit(x[:6], components=9)
    assert fitted.width == fitted(x).shape[1] == 6


@pytest.mark.parametrize("value", [0.0, 0.1, -2.5, 1e4])
def test_constant_dimensions(x, value):
    x[:, [2, 7]] = value
    with pytest.raises(JamError, match=r"here: 2 dimension.* zero variance .* first is 2; .*data.constant=keep_mean"):
        fit(x)
    fitted = fit(x, constant="keep_mean")
    new = x.copy()
    new[:, 2] += 1  # what was dead in training says nothing later
    p = fitted(new)
    assert (p[:, [2, 7]] == 0).all()
    np.testing.assert_allclose(fitted.invert(p), x, rtol=1e-5, atol=1e-4)
    p[:, 2] = 3
    back = fitted.invert(p)
    assert np.isfinite(back).all() and (back[:, 2] == np.float32(value)).all()
    others = [d for d in range(12) if d not in (2, 7)]
    np.testing.assert_array_equal(fitted(x)[:, others], fit(x[:, others])(x[:, others]))
    cut = fit(x, constant="keep_mean", components=5)
    assert (cut.basis[[2, 7]] == 0).all() or np.abs(cut.basis[[2, 7]]).max() < 1e-5
    assert (cut.invert(cut(x))[:, 7] == np.float32(value)).all()


@pytest.mark.parametrize("constant", ["stop", "keep_mean"])
def test_nothing_but_constants_is_refused(constant):
    with pytest.raises(JamError, match="every dimension has zero variance"):
        fit(np.ones((5, 3), np.float32), constant=constant)


def test_raw_values_may_be_constant(x):
    x[:, 2] = 1
    fitted = fit(x, standardise=False)
    np.testing.assert_array_equal(fitted(x), x)
    np.testing.assert_array_equal(fitted.invert(x), x)


def test_invert_leaves_its_argument_alone(x):
    fitted = fit(x)
    p = fitted(x)
    before = p.copy()
    fitted.invert(p)
    np.testing.assert_array_equal(p, before)


def blocks_of(x, sizes):
    return np.split(x, np.cumsum(sizes)[:-1])


@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("components", [0, 5])
@pytest.mark.parametrize("sizes", [(200,), (1, 60, 99, 40), (1,) * 200])
def test_blocks_give_what_all_rows_at_once_give(x, standardise, components, sizes):
    settings = {"standardise": standardise, "constant": "stop", "components": components, "where": "here"}
    whole, blocks = inputs.fit(x, **settings), inputs.fit_blocks(blocks_of(x, sizes), 12, **settings)
    for name in ("mean", "scale"):
        np.testing.assert_allclose(getattr(blocks, name), getattr(whole, name), rtol=1e-6)
    # Whole rows are centred in float32, so the massive dimension sets how well the axes agree.
    np.testing.assert_allclose(blocks.basis, whole.basis, atol=2e-4)
    peer = PCA(5, svd_solver="full").fit(blocks_standard(x.astype(np.float64), standardise))
    if components:
        np.testing.assert_allclose(np.abs((peer.components_ * blocks.basis.T).sum(1)), 1, atol=1e-6)


def blocks_standard(x, standardise):
    return StandardScaler().fit_transform(x) if standardise else x


def test_blocks_refuse_constants_as_rows_do(x):
    x[:, [2, 7]] = 0.1
    settings = {"standardise": True, "components": 0, "where": "here"}
    with pytest.raises(JamError, match="here: 2 dimension.* first is 2"):
        inputs.fit_blocks(blocks_of(x, (150, 50)), 12, constant="stop", **settings)
    kept = inputs.fit_blocks(blocks_of(x, (150, 50)), 12, constant="keep_mean", **settings)
    assert (kept.scale[[2, 7]] == 0).all()
