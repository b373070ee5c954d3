import numpy as np
import pytest
import scipy.linalg
from sklearn.cross_decomposition import CCA
from sklearn.linear_model import Ridge

from jam_jax.errors import JamError
from jam_jax.models import baselines
from jam_jax.models.spectra import spectra


def test_canonical_correlations_equal_scikit_learn_without_regularisation(planted):
    (x, y, owner), _ = planted(noise=1.5)
    solution = baselines.cca_solution(x, y, owner, 0.0, 5)
    reference = CCA(n_components=5, max_iter=5000, tol=1e-10).fit(x[owner], y)
    z_v, z_t = reference.transform(x[owner], y)
    expected = [np.corrcoef(z_v[:, k], z_t[:, k])[0, 1] for k in range(5)]
    np.testing.assert_allclose(solution.correlations, expected, atol=1e-4)


@pytest.mark.parametrize("regularisation", [0.01, 1.0])
@pytest.mark.parametrize(("items", "width_vision", "width_language"), [(200, 20, 30), (40, 70, 50), (60, 30, 150)])
def test_regularised_solution_solves_the_generalised_eigenproblem(
    regularisation, items, width_vision, width_language, planted
):
    """Also with fewer items than dimensions, on either side, where the basis comes from the other Gram matrix."""
    (x, y, owner), _ = planted(items=items, width_vision=width_vision, width_language=width_language, noise=1.0)
    xc, yc = x[owner].astype(np.float64), y.astype(np.float64)
    xc, yc = xc - xc.mean(0), yc - yc.mean(0)
    cov_v, cov_t, cross = xc.T @ xc / len(y), yc.T @ yc / len(y), xc.T @ yc / len(y)
    cov_v += regularisation * np.trace(cov_v) / width_vision * np.eye(width_vision)
    cov_t += regularisation * np.trace(cov_t) / width_language * np.eye(width_language)
    total = width_vision + width_language
    left = np.zeros((total, total))
    left[:width_vision, width_vision:] = cross
    left[width_vision:, :width_vision] = cross.T
    expected = scipy.linalg.eigh(left, scipy.linalg.block_diag(cov_v, cov_t), eigvals_only=True)[::-1][:8]

    solution = baselines.cca_solution(x, y, owner, regularisation, 8)
    np.testing.assert_allclose(solution.correlations, expected, atol=1e-5)
    for matrix, cov in ((solution.vision_DxH, cov_v), (solution.language_ExH, cov_t)):
        np.testing.assert_allclose(matrix.T @ cov @ matrix, np.eye(8), atol=1e-4)
    np.testing.assert_allclose(
        solution.vision_DxH.T @ cross @ solution.language_ExH, np.diag(solution.correlations), atol=1e-4
    )


def test_ridge_equals_scikit_learn_both_ways(planted):
    (x, y, owner), _ = planted(noise=1.0)
    alpha, shared = 0.3, spectra(x, y, owner)
    for predict, source, target in (("caption", x[owner], y), ("picture", y, x[owner])):
        penalty = alpha * source.var(axis=0, dtype=np.float64).mean() * len(source)
        reference = Ridge(alpha=penalty).fit(source.astype(np.float64), target.astype(np.float64))
        np.testing.assert_allclose(
            baselines.ridge_weights(shared, alpha, predict=predict), reference.coef_.T, rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("fit", [baselines.cca, baselines.ridge])
def test_recovers_a_planted_shared_space_and_reports_the_score_it_reached(fit, planted, top_1, validated):
    train, (x, y, owner) = planted(validation=160)
    heads = fit(*train, **validated((x[:80], y[:160], owner[:160])))
    reached = top_1(owner[:160])(heads.encode_images(x[:80]), heads.encode_texts(y[:160]))
    assert reached > 0.9
    assert heads.settings["validation"] == pytest.approx(reached, abs=0.01)
    # items that neither fitting nor choosing saw
    assert top_1(owner[160:] - 80)(heads.encode_images(x[80:]), heads.encode_texts(y[160:])) > 0.9


def test_cca_correlations_shrink_to_noise_outside_the_planted_space(planted):
    (x, y, owner), _ = planted(items=4000, captions=1, shared=3, noise=0.2)
    correlations = baselines.cca_solution(x, y, owner, 0.0, 10).correlations
    assert (correlations[:3] > 0.9).all() and (correlations[3:] < 0.15).all()


@pytest.mark.parametrize("fit", [baselines.cca, baselines.ridge])
def test_more_captions_per_item_equal_repeated_pairs(fit, planted, validated):
    (x, y, owner), validation = planted(captions=3)
    keep = np.random.default_rng(1).permutation(len(y))[: len(y) // 2]
    once = fit(x, y[keep], owner[keep], **validated(validation))
    repeated = fit(x[owner[keep]], y[keep], np.arange(len(keep)), **validated(validation))
    assert once.settings == repeated.settings
    for a, b in (
        (once.encode_images(validation[0]), repeated.encode_images(validation[0])),
        (once.encode_texts(validation[1]), repeated.encode_texts(validation[1])),
    ):
        np.testing.assert_allclose(a @ a.T, b @ b.T, rtol=1e-3, atol=1e-3)


def similarities(heads, x, y):
    images, texts = heads.encode_images(x), heads.encode_texts(y)
    return (images / np.linalg.norm(images, axis=1, keepdims=True)) @ (
        texts / np.linalg.norm(texts, axis=1, keepdims=True)
    ).T


@pytest.mark.parametrize("fit", [baselines.cca, baselines.ridge])
def test_rotating_the_inputs_changes_nothing(fit, planted, validated):
    (x, y, owner), (x_val, y_val, owner_val) = planted()
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(20, 20)))[0].astype(np.float32)
    plain = fit(x, y, owner, **validated((x_val, y_val, owner_val)))
    rotated = fit(x @ rotation, y, owner, **validated((x_val @ rotation, y_val, owner_val)))
    np.testing.assert_allclose(
        similarities(plain, x_val, y_val), similarities(rotated, x_val @ rotation, y_val), atol=1e-3
    )


def test_scaling_each_input_changes_nothing_without_regularisation(planted, validated):
    (x, y, owner), (x_val, y_val, owner_val) = planted(noise=1.0)
    scales = np.linspace(0.1, 10, 20, dtype=np.float32)
    only = {"regularisations": (0.0,), "dims": (6,), "powers": (1.0,)}
    plain = baselines.cca(x, y, owner, **validated((x_val, y_val, owner_val)), **only)
    scaled = baselines.cca(x * scales, y, owner, **validated((x_val * scales, y_val, owner_val)), **only)
    np.testing.assert_allclose(
        similarities(plain, x_val, y_val), similarities(scaled, x_val * scales, y_val), atol=1e-3
    )


def test_validation_chooses_the_best_of_the_grid(planted, top_1):
    train, (x_val, y_val, owner_val) = planted(items=60, width_vision=80, width_language=70, noise=2.0)
    score, seen = top_1(owner_val), []

    def recording(images, texts):
        assert len(images) == len(x_val) and len(texts) == len(y_val)
        seen.append(score(images, texts))
        return seen[-1]

    heads = baselines.cca(*train, x_validation=x_val, y_validation=y_val, score=recording)
    assert heads.settings["validation"] == max(seen) > min(seen)
    assert len(seen) == 6 * 4 * 2  # all dims above the rank of 59 are one: 32, 59


def test_ridge_keeps_the_space_that_validation_prefers(planted):
    train, (x_val, y_val, _) = planted()
    for space, width in (("caption", 30), ("picture", 20), ("both", 50)):
        heads = baselines.ridge(
            *train, x_validation=x_val, y_validation=y_val, score=lambda i, t, w=width: float(i.shape[1] == w)
        )
        assert heads.settings["space"] == space
        assert heads.encode_images(x_val).shape == (80, width)


def test_similarity_of_both_ridges_is_the_mean_of_the_two_cosines(planted):
    train, (x_val, y_val, _) = planted()

    def fit(width):
        return baselines.ridge(
            *train, x_validation=x_val, y_validation=y_val, alphas=(1.0,), score=lambda i, t: float(i.shape[1] == width)
        )

    np.testing.assert_allclose(
        similarities(fit(50), x_val, y_val),
        (similarities(fit(30), x_val, y_val) + similarities(fit(20), x_val, y_val)) / 2,
        atol=1e-5,
    )


def test_shared_spectra_give_the_same_heads(planted, validated):
    train, validation = planted()
    shared = spectra(*train)
    for fit in (baselines.cca, baselines.ridge):
        alone, together = fit(*train, **validated(validation)), fit(*train, shared=shared, **validated(validation))
        np.testing.assert_array_equal(alone.vision_DxH, together.vision_DxH)
        assert alone.settings == together.settings


def test_dim_is_cut_to_the_rank(planted):
    (x, y, owner), _ = planted(width_vision=7)
    assert baselines.cca_solution(x, y, owner, 0.1, 64).vision_DxH.shape == (7, 7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y, o: (np.where(np.arange(len(x))[:, None] == 3, np.nan, x), y, o), "row 3 of x holds NaN"),
        (lambda x, y, o: (x, y, o[:-1]), "owner has shape"),
        (lambda x, y, o: (x, y, o + 1), "owner runs over"),
        (lambda x, y, o: (x * 0 + 2, y, o), "vision activations do not vary"),
        (lambda x, y, o: (x, y[:, 0], o), "y has shape"),
    ],
)
def test_bad_pairs_are_named(change, message, planted, validated):
    train, validation = planted()
    with pytest.raises(JamError, match=message):
        baselines.cca(*change(*train), **validated(validation))


def test_bad_grids_and_scores_are_named(planted, validated):
    train, validation = planted()
    with pytest.raises(JamError, match="dims is"):
        baselines.cca(*train, **validated(validation), dims=())
    with pytest.raises(JamError, match="no setting got a finite validation score"):
        baselines.ridge(*train, **(validated(validation) | {"score": lambda i, t: float("nan")}))
