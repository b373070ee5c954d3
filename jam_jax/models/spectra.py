"""Second moments of paired activations on their principal axes: the step that CCA and ridge regression share.

After one eigendecomposition per modality every regularisation is a diagonal scaling. The pairs are (x[owner[m]], y[m]):
an item with three captions counts three times.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from jam_jax.errors import JamError

# Directions whose variance is below this share of the largest are rounding noise of the Gram matrix in float64.
_RANK_TOLERANCE = 1e-11


@dataclass(frozen=True)
class Spectra:
    """Principal axes of both modalities over the pairs, and the cross-covariance between them (all float64).

    vision_mean [D], vision_DxR orthonormal, vision_variances [R] (descending), the same for language with S axes,
    cross_RxS. Variances are means over pairs (divided by M, not M - 1); axes without variance are left out.
    """

    vision_mean: np.ndarray
    vision_DxR: np.ndarray
    vision_variances: np.ndarray
    language_mean: np.ndarray
    language_ExS: np.ndarray
    language_variances: np.ndarray
    cross_RxS: np.ndarray

    def rotate(self, x_NxD: np.ndarray, y_MxE: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Centred rows of both modalities on the principal axes: float32 [n, R] and [m, S]."""
        x_NxR = (x_NxD - self.vision_mean) @ self.vision_DxR
        y_MxS = (y_MxE - self.language_mean) @ self.language_ExS
        return x_NxR.astype(np.float32), y_MxS.astype(np.float32)

    def inverse_variances(self, regularisation: float) -> tuple[np.ndarray, np.ndarray]:
        """1 / (variance + regularisation * mean variance of an input dimension) of each axis: [R] and [S]."""
        vision, language = self.vision_variances, self.language_variances
        return (
            1 / (vision + regularisation * vision.sum() / len(self.vision_mean)),
            1 / (language + regularisation * language.sum() / len(self.language_mean)),
        )


def spectra(x_NxD: np.ndarray, y_MxE: np.ndarray, owner_M: np.ndarray) -> Spectra:
    """The shared first step of CCA and ridge; pass the result to both to pay for it once.

    Raises JamError for shapes that do not belong together, rows that are not finite, or an input that never varies.
    """
    check_pairs("spectra", x_NxD, y_MxE, owner_M)
    captions_N = np.bincount(owner_M, minlength=len(x_NxD)).astype(np.float64)
    x_NxD, y_MxE = x_NxD.astype(np.float64), y_MxE.astype(np.float64)
    vision_mean, language_mean = captions_N @ x_NxD / len(y_MxE), y_MxE.mean(axis=0)
    x_NxD, y_MxE = x_NxD - vision_mean, y_MxE - language_mean

    vision_DxR, vision_variances = _principal_axes("vision", x_NxD * np.sqrt(captions_N / len(y_MxE))[:, None])
    language_ExS, language_variances = _principal_axes("language", y_MxE / np.sqrt(len(y_MxE)))
    caption_sums_NxE = np.zeros((len(x_NxD), y_MxE.shape[1]))
    np.add.at(caption_sums_NxE, owner_M, y_MxE)
    cross_DxE = x_NxD.T @ caption_sums_NxE / len(y_MxE)
    cross_RxS = vision_DxR.T @ cross_DxE @ language_ExS
    return Spectra(
        vision_mean, vision_DxR, vision_variances, language_mean, language_ExS, language_variances, cross_RxS
    )


def check_pairs(where: str, x_NxD: np.ndarray, y_MxE: np.ndarray, owner_M: np.ndarray) -> None:
    """Raise JamError unless the arrays are finite, two-dimensional, and every caption names a row of x."""
    for name, rows in (("x", x_NxD), ("y", y_MxE)):
        if rows.ndim != 2 or not len(rows):
            raise JamError(f"{where}: {name} has shape {rows.shape}; it must be [rows, width] with at least one row")
        if not np.isfinite(rows).all():
            bad = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
            raise JamError(f"{where}: row {bad} of {name} holds NaN or infinity; every activation must be finite")
    if owner_M.shape != (len(y_MxE),):
        raise JamError(f"{where}: owner has shape {owner_M.shape}; it must be ({len(y_MxE)},), a row of x per caption")
    if owner_M.min() < 0 or owner_M.max() >= len(x_NxD):
        raise JamError(f"{where}: owner runs over {owner_M.min()}..{owner_M.max()}; x has rows 0..{len(x_NxD) - 1}")


def _principal_axes(name: str, rows_NxD: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvectors [D, R] and descending eigenvalues [R] of rows.T @ rows, through the smaller Gram matrix."""
    wide = rows_NxD.shape[0] < rows_NxD.shape[1]
    gram = rows_NxD @ rows_NxD.T if wide else rows_NxD.T @ rows_NxD
    variances, vectors = scipy.linalg.eigh(gram, overwrite_a=True, check_finite=False, driver="evd")
    if not variances[-1] > 0:
        raise JamError(f"baselines: the {name} activations do not vary over the pairs; at least two must differ")
    kept = np.flatnonzero(variances > _RANK_TOLERANCE * variances[-1])[::-1]
    variances, vectors = variances[kept], vectors[:, kept]
    return (rows_NxD.T @ (vectors / np.sqrt(variances)) if wide else vectors), variances
