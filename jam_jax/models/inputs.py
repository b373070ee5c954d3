"""What the modulator and the baselines see of an activation: standardised, and if wanted rotated to main components."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from jam_jax.errors import JamError
from jam_jax.models.moments import moments


class Inputs(NamedTuple):
    """An affine map between activations [n, D] and inputs [n, P], fitted on training rows only.

    Attributes:
      mean: [D]. scale: [D], 1 / standard deviation, 0 for a constant dimension. basis: [D, P] with orthonormal columns.
      With P = D the basis is the identity and is left out (shape [0, 0]).
    """

    mean: np.ndarray
    scale: np.ndarray
    basis: np.ndarray

    @property
    def width(self) -> int:
        """Number of input dimensions P."""
        return int(self.basis.shape[1] or self.mean.shape[0])

    def __call__(self, x_NxD: np.ndarray) -> np.ndarray:
        """Inputs [n, P] of activations [n, D]."""
        standard_NxD = (x_NxD - self.mean) * self.scale
        return standard_NxD @ self.basis if self.basis.size else standard_NxD

    def invert(self, p_NxP: np.ndarray) -> np.ndarray:
        """Activations [n, D] nearest to inputs [n, P]; what the basis left out comes back as the training mean."""
        standard_NxD = p_NxP @ self.basis.T if self.basis.size else p_NxP
        # Where scale is 0, nothing but the mean is known.
        return np.divide(standard_NxD, self.scale, out=np.zeros_like(standard_NxD), where=self.scale != 0) + self.mean


def fit(x_NxD: np.ndarray, *, standardise: bool, constant: str, components: int, where: str) -> Inputs:
    """Statistics of training activations.

    Args:
      x_NxD: training rows.
      standardise: subtract the mean and divide by the standard deviation of each dimension; else leave values raw.
      constant: what to do with a dimension that is constant over the training rows, as dead units are: 'stop' refuses
        it, 'keep_mean' lets it in as zeros, and ``invert`` gives back its mean.
      components: keep this many leading principal components of the result, without whitening; 0 keeps all.
      where: named in errors.

    Raises:
      JamError: a dimension is constant over the training rows and ``constant`` is 'stop', or all of them are.
    """
    width = x_NxD.shape[1]
    mean, scale = np.zeros(width, np.float32), np.ones(width, np.float32)
    if standardise:
        # float64: a massive dimension (mean 100, deviation 0.1) loses its variance in float32 sums.
        mean64, deviation64 = x_NxD.mean(0, dtype=np.float64), x_NxD.std(0, dtype=np.float64)
        mean, scale = _standard(mean64, deviation64, constant, where)
    basis = np.zeros((0, 0), np.float32)
    if 0 < components < width:
        centred_NxD = (x_NxD - mean) * scale
        basis = principal_axes(centred_NxD - centred_NxD.mean(0), components)
    return Inputs(mean, scale, basis)


def fit_blocks(
    blocks: Iterable[np.ndarray], width: int, *, standardise: bool, constant: str, components: int, where: str
) -> Inputs:
    """``fit`` for training rows that come as blocks [n, D], read once and never held together."""
    found = moments(blocks, width, products=0 < components < width)
    mean, scale = np.zeros(width, np.float32), np.ones(width, np.float32)
    if standardise:
        mean, scale = _standard(found.mean, found.deviation, constant, where)
    basis = np.zeros((0, 0), np.float32)
    if found.products is not None:
        products_DxD = found.products * np.outer(scale, scale).astype(np.float64)
        basis = _leading_axes(products_DxD, min(components, found.rows))
    return Inputs(mean, scale, basis)


def _standard(mean: np.ndarray, deviation: np.ndarray, constant: str, where: str) -> tuple[np.ndarray, np.ndarray]:
    dead = deviation <= 1e-7 * np.maximum(1e-30, np.abs(mean))
    if dead.all():
        raise JamError(f"{where}: every dimension has zero variance over the training rows; choose another layer")
    if dead.any() and constant == "stop":
        raise JamError(
            f"{where}: {dead.sum()} dimension(s) have zero variance over the training rows, the first is "
            f"{dead.argmax()}; let them in as zeros with --config.data.constant=keep_mean, or choose another layer"
        )
    return mean.astype(np.float32), np.where(dead, 0, 1 / np.where(dead, 1, deviation)).astype(np.float32)


def principal_axes(x_NxD: np.ndarray, components: int) -> np.ndarray:
    """Leading principal axes [D, components] of centred rows, signs fixed so that the largest entry is positive."""
    n, width = x_NxD.shape
    components = min(components, n, width)
    if n >= width:
        return _leading_axes(x_NxD.T @ x_NxD, components)
    _, vectors_NxN = np.linalg.eigh(x_NxD @ x_NxD.T)
    axes_DxP, _ = np.linalg.qr(x_NxD.T @ vectors_NxN[:, ::-1][:, :components])
    return _signed(axes_DxP)


def _leading_axes(products_DxD: np.ndarray, components: int) -> np.ndarray:
    _, vectors_DxD = np.linalg.eigh(products_DxD)
    return _signed(vectors_DxD[:, ::-1][:, :components])


def _signed(axes_DxP: np.ndarray) -> np.ndarray:
    largest = np.take_along_axis(axes_DxP, np.abs(axes_DxP).argmax(0)[None], axis=0)
    return np.ascontiguousarray(axes_DxP * np.sign(largest), np.float32)
