import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jam_jax.errors import JamError
from jam_jax.losses import geometry

FORMS = tuple(geometry.FORMS)


def sides(seed=0, n=7, width=5, wide=6, noise=1.0):
    """Vision [n, width] and language [n, wide] that share some structure and lie far from the origin, float64."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(n, 4))
    views = (hidden @ rng.normal(size=(4, size)) + noise * rng.normal(size=(n, size)) for size in (width, wide))
    return [view + 3 * rng.normal(size=view.shape[1]) for view in views]


def cosine(a, b):
    return a @ b / np.sqrt((a @ a) * (b @ b))


def reference(form, vision, language):
    """The formulas once more, as loops in float64."""
    n = len(vision)
    if form == "offset":
        gaps = []
        for p in range(n // 2):
            for q in range(n // 2):
                if p != q:
                    cosines = [cosine(x[2 * p] - x[2 * p + 1], x[2 * q] - x[2 * q + 1]) for x in (vision, language)]
                    gaps.append((cosines[0] - cosines[1]) ** 2)
        return np.mean(gaps)
    vision, language = vision - vision.mean(0), language - language.mean(0)
    pairs = [(i, j) for i in range(n) for j in range(i)]
    cosines = np.array([[cosine(x[i], x[j]) for x in (vision, language)] for i, j in pairs])
    if form == "gram":
        return np.mean((cosines[:, 0] - cosines[:, 1]) ** 2)
    if form == "rdm":
        return 1 - stats.pearsonr(cosines[:, 0], cosines[:, 1]).statistic
    return 1 - hsic(vision, language) / np.sqrt(hsic(vision, vision) * hsic(language, language))


def hsic(x, y):
    """Sums over distinct indices, as the unbiased estimator is defined (Song et al. 2012, theorem 5)."""
    n, k, m = len(x), x @ x.T, y @ y.T
    two = three = four = 0.0
    for i in range(n):
        for j in range(n):
            for q in range(n):
                for r in range(n):
                    if len({i, j}) == 2 and q == i and r == j:
                        two += k[i, j] * m[i, j]
                    if len({i, j, q}) == 3 and r == i:
                        three += k[i, j] * m[i, q]
                    if len({i, j, q, r}) == 4:
                        four += k[i, j] * m[q, r]
    falling = [n * (n - 1), n * (n - 1) * (n - 2), n * (n - 1) * (n - 2) * (n - 3)]
    return two / falling[0] + four / falling[2] - 2 * three / falling[1]


@jax.jit
def every(vision, language):
    return jnp.stack([form(vision, language) for form in geometry.FORMS.values()])


gradients = jax.jit(jax.jacrev(every, argnums=(0, 1)))


@pytest.mark.parametrize("n", [4, 7, 8])
@pytest.mark.parametrize("seed", [0, 1])
def test_values_are_those_of_loops_in_float64(n, seed):
    vision, language = sides(seed, n)
    expected = [reference(form, vision, language) for form in FORMS]
    np.testing.assert_allclose(every(vision, language), expected, rtol=1e-5, atol=1e-6)


def test_gradients_are_finite_differences_of_loops_and_none_reaches_language():
    vision, language = sides(2)
    by_vision, by_language = gradients(vision, language)
    expected = np.zeros((len(FORMS), *vision.shape))
    for place in np.ndindex(vision.shape):
        step = np.zeros(vision.shape)
        step[place] = 1e-5
        for f, form in enumerate(FORMS):
            up, down = (reference(form, vision + sign * step, language) for sign in (1, -1))
            expected[f][place] = (up - down) / 2e-5
    np.testing.assert_allclose(by_vision, expected, rtol=1e-3, atol=2e-6)
    assert not np.any(by_language)


def test_equal_geometry_has_no_loss_and_no_gradient():
    _, language = sides(3)
    for vision in (language, language @ np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0] * 0.3 + 5):
        np.testing.assert_allclose(every(vision, language), 0, atol=2e-6)
        np.testing.assert_allclose(gradients(vision, language)[0], 0, atol=2e-5)


def test_rotation_scale_and_shift_of_either_side_change_nothing():
    vision, language = sides(4)
    rng = np.random.default_rng(1)
    before = every(vision, language)
    moved = [x @ np.linalg.qr(rng.normal(size=(x.shape[1],) * 2))[0] * 7 + rng.normal() for x in (vision, language)]
    np.testing.assert_allclose(every(moved[0], language), before, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(every(vision, moved[1]), before, rtol=2e-5, atol=1e-6)


def test_the_pairing_matters_and_the_order_of_pairs_only_to_offset():
    vision, language = sides(5, noise=0.1)
    order = np.random.default_rng(2).permutation(len(vision))
    before, together, apart = (
        every(vision, language),
        every(vision[order], language[order]),
        every(vision[order], language),
    )
    for f, form in enumerate(FORMS):
        assert float(apart[f]) > 2 * float(before[f])
        assert (float(together[f]) == pytest.approx(float(before[f]), abs=1e-6)) == (form != "offset")


def test_only_cka_sees_lengths():
    # The mean must stay, so rows are scaled in opposite pairs.
    half, (_, language) = np.random.default_rng(3).normal(size=(4, 5)), sides(6, 8)
    lengths = np.array([[1.0], [2.0], [0.5], [3.0]])
    plain, scaled = (np.concatenate([x, -x]) for x in (half, half * lengths))
    gaps = np.abs(np.asarray(every(plain, language)) - np.asarray(every(scaled, language)))
    assert dict(zip(FORMS, gaps > 1e-5, strict=True)) == {"gram": False, "rdm": False, "offset": True, "cka": True}


def test_rdm_ignores_scale_and_shift_of_the_cosines():
    # Unit rows of zero mean; then vectors whose cosines are 0.4 times theirs plus a constant.
    unit = np.random.default_rng(6).normal(size=(4, 5))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    language = np.concatenate([unit, -unit])
    n = len(language)
    even = (n * np.eye(n) - 1) / (n - 1)
    values, vectors = np.linalg.eigh(0.4 * language @ language.T + 0.6 * even)
    found = dict(zip(FORMS, every(vectors * np.sqrt(np.maximum(values, 0)), language), strict=True))
    assert float(found["rdm"]) == pytest.approx(0, abs=1e-5)
    assert float(found["gram"]) > 0.01


def test_a_side_without_spread_is_finite():
    vision, language = sides(8)
    for flat in (np.ones_like(vision), np.zeros_like(vision)):
        for value in (every(flat, language), every(vision, flat), *gradients(flat, language)):
            assert np.isfinite(value).all()
    # One row at the mean of the others, and one far away.
    vision[0] = vision[1:].mean(0)
    vision[1] *= 1e6
    assert np.isfinite(every(vision, language)).all() and np.isfinite(gradients(vision, language)[0]).all()


def test_half_precision_is_computed_in_float32():
    vision, language = (np.asarray(x, np.float16) for x in sides(9))
    np.testing.assert_array_equal(every(vision, language), every(*(np.float32(x) for x in (vision, language))))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("vision", "language", "said"),
    [
        ((3, 5), (3, 5), r"vision has shape \(3, 5\); expected \[N, H\] with N of 4 or more"),
        ((5, 5), (6, 5), "vision has 5 rows and language 6; row i is one pair"),
        ((5, 5), (5,), r"language has shape \(5,\); expected"),
        ((2, 5, 5), (5, 5), r"vision has shape \(2, 5, 5\); expected"),
        ((5, 0), (5, 3), r"vision has shape \(5, 0\); expected"),
    ],
)
def test_wrong_shapes(form, vision, language, said):
    with pytest.raises(JamError, match=f"{form}: {said}"):
        geometry.FORMS[form](jnp.zeros(vision), jnp.zeros(language))
