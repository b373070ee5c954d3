"""Linear baselines in closed form: regularised CCA and ridge regression both ways.

Both are fitted on the pairs (x[owner[m]], y[m]) and share one eigendecomposition per modality (spectra.py).
The validation arrays choose among the settings; nothing here ever receives the test split.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import DTypeLike

from jam_jax.errors import JamError
from jam_jax.models.spectra import Spectra, spectra

Score = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Heads:
    """Two affine maps into one space, where the similarity of a pair is the cosine of its encodings.

    vision_mean [D], vision_DxH, language_mean [E], language_ExH. ``blocks`` lists widths that sum to H when each block
    of the latent is to have unit length: the cosine is then the mean of the cosines of the blocks.
    ``settings`` holds what validation chose and the score it reached.
    """

    vision_mean: np.ndarray
    vision_DxH: np.ndarray
    language_mean: np.ndarray
    language_ExH: np.ndarray
    settings: dict[str, Any] = field(default_factory=dict)
    blocks: tuple[int, ...] = ()

    def encode_images(self, x_NxD: np.ndarray) -> np.ndarray:
        """Images [n, D] to latents float32 [n, H]."""
        return _unit_blocks((x_NxD - self.vision_mean) @ self.vision_DxH, self.blocks)

    def encode_texts(self, y_MxE: np.ndarray) -> np.ndarray:
        """Captions [m, E] to latents float32 [m, H]."""
        return _unit_blocks((y_MxE - self.language_mean) @ self.language_ExH, self.blocks)


@dataclass(frozen=True)
class CCASolution:
    """Canonical directions, float32: z_v = (x - vision_mean) @ vision_DxH, z_t = (y - language_mean) @ language_ExH.

    Without regularisation both latents are white over the training pairs, and the correlation of their k-th dimensions
    is correlations[k] (descending); with it, correlations are the singular values of the regularised problem.
    """

    vision_mean: np.ndarray
    vision_DxH: np.ndarray
    language_mean: np.ndarray
    language_ExH: np.ndarray
    correlations: np.ndarray


def cca_solution(
    x_NxD: np.ndarray,
    y_MxE: np.ndarray,
    owner_M: np.ndarray,
    regularisation: float,
    dim: int,
    *,
    shared: Spectra | None = None,
) -> CCASolution:
    """Ridge-regularised CCA: each covariance C becomes C + regularisation * mean(diag C) * I.

    dim is cut to the number of directions that correlate at all.
    Source: Vinod 1976, "Canonical ridge and econometrics of joint production".
    """
    shared = shared or spectra(x_NxD, y_MxE, owner_M)
    vision_RxH, correlations_H, language_SxH = _canonical_directions(shared, regularisation, dim, np.float64)
    return CCASolution(
        shared.vision_mean.astype(np.float32),
        (shared.vision_DxR @ vision_RxH).astype(np.float32),
        shared.language_mean.astype(np.float32),
        (shared.language_ExS @ language_SxH).astype(np.float32),
        correlations_H.astype(np.float32),
    )


def cca(
    x_NxD: np.ndarray,
    y_MxE: np.ndarray,
    owner_M: np.ndarray,
    *,
    x_validation: np.ndarray,
    y_validation: np.ndarray,
    score: Score,
    regularisations: Sequence[float] = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0),
    dims: Sequence[int] = (32, 64, 96, 128, 192, 256, 384, 512),
    powers: Sequence[float] = (0.0, 0.5, 1.0, 2.0),
    shared: Spectra | None = None,
) -> Heads:
    """Regularised CCA whose variates are weighted by correlation ** power, all three settings chosen on validation.

    ``score(images_latent, texts_latent) -> float`` (higher is better) is bound to the validation split by the caller.
    Power 0 is classic CCA; higher powers trust the directions that agree most.
    """
    _check_grid("cca", regularisations=regularisations, dims=dims, powers=powers)
    shared = shared or spectra(x_NxD, y_MxE, owner_M)
    x_NxR, y_MxS = shared.rotate(x_validation, y_validation)
    best_score, best = -np.inf, None
    for regularisation in regularisations:
        # float32 is twice as fast and ample for comparing settings; the chosen one is solved again in float64.
        vision_RxH, correlations_H, language_SxH = _canonical_directions(shared, regularisation, max(dims), np.float32)
        images_NxH, texts_MxH = x_NxR @ vision_RxH, y_MxS @ language_SxH
        for dim in sorted({min(dim, len(correlations_H)) for dim in dims}):
            for power in powers:
                weights_H = correlations_H[:dim] ** power
                value = float(score(images_NxH[:, :dim] * weights_H, texts_MxH[:, :dim] * weights_H))
                if value > best_score:
                    best_score, best = value, (regularisation, dim, power)
    if best is None:
        raise _unscored("cca")
    regularisation, dim, power = best
    solution = cca_solution(x_NxD, y_MxE, owner_M, regularisation, dim, shared=shared)
    weights_H = solution.correlations**power
    return Heads(
        solution.vision_mean,
        solution.vision_DxH * weights_H,
        solution.language_mean,
        solution.language_ExH * weights_H,
        {"regularisation": regularisation, "dim": dim, "power": power, "validation": best_score},
    )


def ridge(
    x_NxD: np.ndarray,
    y_MxE: np.ndarray,
    owner_M: np.ndarray,
    *,
    x_validation: np.ndarray,
    y_validation: np.ndarray,
    score: Score,
    alphas: Sequence[float] = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0),
    shared: Spectra | None = None,
) -> Heads:
    """Ridge regression both ways; validation chooses each alpha, then caption space, picture space or both.

    With W: pictures -> captions and V: captions -> pictures, the latents are [unit(x W), unit(x)] and
    [unit(y), unit(y V)]: the similarity of a pair is the mean of the cosines of prediction and truth in both spaces.
    Each alpha is in units of the mean input variance: scikit-learn's alpha is alpha * mean variance * pairs.
    """
    _check_grid("ridge", alphas=alphas)
    shared = shared or spectra(x_NxD, y_MxE, owner_M)
    x_NxR, y_MxS = shared.rotate(x_validation, y_validation)
    cross_RxE = (shared.cross_RxS @ shared.language_ExS.T).astype(np.float32)
    cross_SxD = (shared.vision_DxR @ shared.cross_RxS).T.astype(np.float32)
    x_NxD_validation = (x_validation - shared.vision_mean).astype(np.float32)
    y_MxE_validation = (y_validation - shared.language_mean).astype(np.float32)

    # space -> (score, alpha, images latent, texts latent) of the best alpha
    best: dict[str, tuple[float, float, np.ndarray, np.ndarray]] = {}
    for alpha in alphas:
        inverse_R, inverse_S = shared.inverse_variances(alpha)
        latents = {
            "caption": ((x_NxR * inverse_R) @ cross_RxE, y_MxE_validation),
            "picture": (x_NxD_validation, (y_MxS * inverse_S) @ cross_SxD),
        }
        for space, (images, texts) in latents.items():
            value = float(score(images, texts))
            if value > (best[space][0] if space in best else -np.inf):
                best[space] = (value, alpha, images, texts)
    if len(best) < 2:
        raise _unscored("ridge")

    caption, picture = best["caption"], best["picture"]
    blocks = (len(shared.language_mean), len(shared.vision_mean))
    both = float(score(*(_unit_blocks(np.concatenate([caption[i], picture[i]], axis=1), blocks) for i in (2, 3))))
    values = {"both": both, "caption": caption[0], "picture": picture[0]}
    space = max(values, key=lambda name: values[name])

    to_caption_DxE = ridge_weights(shared, caption[1], predict="caption")
    to_picture_ExD = ridge_weights(shared, picture[1], predict="picture")
    vision = {"caption": to_caption_DxE, "picture": np.eye(len(to_caption_DxE), dtype=np.float32)}
    language = {"caption": np.eye(len(to_picture_ExD), dtype=np.float32), "picture": to_picture_ExD}
    spaces = ("caption", "picture") if space == "both" else (space,)
    settings = {"space": space, **{f"alpha_{name}": best[name][1] for name in spaces}, "validation": values[space]}
    return Heads(
        shared.vision_mean.astype(np.float32),
        np.concatenate([vision[name] for name in spaces], axis=1),
        shared.language_mean.astype(np.float32),
        np.concatenate([language[name] for name in spaces], axis=1),
        settings,
        blocks if space == "both" else (),
    )


def ridge_weights(shared: Spectra, alpha: float, *, predict: str) -> np.ndarray:
    """Ridge solution, float32: [D, E] for predict='caption' (from pictures), [E, D] for predict='picture'."""
    inverse_R, inverse_S = shared.inverse_variances(alpha)
    if predict == "caption":
        weights = shared.vision_DxR @ (inverse_R[:, None] * shared.cross_RxS) @ shared.language_ExS.T
    else:
        weights = shared.language_ExS @ (inverse_S[:, None] * shared.cross_RxS.T) @ shared.vision_DxR.T
    return weights.astype(np.float32)


def _canonical_directions(
    shared: Spectra, regularisation: float, dim: int, dtype: DTypeLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first ``dim`` canonical directions on the principal axes [R, H], [S, H] and their correlations [H]."""
    inverse_R, inverse_S = shared.inverse_variances(regularisation)
    scale_R, scale_S = np.sqrt(inverse_R), np.sqrt(inverse_S)
    white_RxS = (scale_R[:, None] * shared.cross_RxS * scale_S).astype(dtype)
    left_RxH, correlations_H, right_SxH = _leading_svd(white_RxS, dim)
    return (
        scale_R.astype(dtype)[:, None] * left_RxH,
        correlations_H,
        scale_S.astype(dtype)[:, None] * right_SxH,
    )


def _leading_svd(matrix_RxS: np.ndarray, dim: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The ``dim`` largest singular triplets, through the eigenvectors of the smaller product.

    An SVD of 1700 x 1500 costs several times as much; squaring costs accuracy only for values near the square root of
    the precision, which are left out.
    """
    if matrix_RxS.shape[0] < matrix_RxS.shape[1]:
        right, values, left = _leading_svd(matrix_RxS.T, dim)
        return left, values, right
    # evd and not evr, which was up to 20 times slower here on flat spectra, even for a few vectors
    squares, vectors = scipy.linalg.eigh(matrix_RxS.T @ matrix_RxS, overwrite_a=True, check_finite=False, driver="evd")
    values, right_SxH = np.sqrt(np.maximum(squares[::-1][:dim], 0)), vectors[:, ::-1][:, :dim]
    kept = values > 10 * values[0] * np.sqrt(np.finfo(values.dtype).eps)
    values, right_SxH = values[kept], right_SxH[:, kept]
    return matrix_RxS @ right_SxH / values, values, right_SxH


def _unit_blocks(latent_NxH: np.ndarray, blocks: tuple[int, ...]) -> np.ndarray:
    """Each block of columns scaled to unit length per row; without blocks, the latent as it is."""
    if not blocks:
        return latent_NxH
    parts = np.split(latent_NxH, np.cumsum(blocks)[:-1], axis=1)
    return np.concatenate([p / np.maximum(np.linalg.norm(p, axis=1, keepdims=True), 1e-12) for p in parts], axis=1)


def _check_grid(where: str, **grids: Sequence[float]) -> None:
    for name, grid in grids.items():
        if not len(grid) or min(grid) < 0 or (name == "dims" and min(grid) < 1):
            raise JamError(f"{where}: {name} is {tuple(grid)}; give one value or more, none negative (dims >= 1)")


def _unscored(where: str) -> JamError:
    return JamError(f"{where}: no setting got a finite validation score; score(images, texts) must return a number")
