"""Similarity of subspaces: CCA, SVCCA and PWCCA.

A side becomes an orthonormal basis of its centred rows once, by a singular value decomposition in float64 on the host
(directions of little variance count as much as others here); two sides are then compared by the singular values of a
small product. Common to all: x [N, D] and y [N, E], row n of both the same item; a scalar in 0..1; a side that does not
vary has similarity 0. Independent sides are far from 0 when the widths are not small beside N; unregularised, a side of
rank N - 1 has similarity 1 with every other. Wrong shapes, NaN and settings out of range raise JamError.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jam_jax.errors import JamError
from jam_jax.metrics.arrays import Array
from jam_jax.metrics.inputs import check, matmul

# Directions below this share of the largest singular value are rounding noise of float32 activations.
_RANK_TOLERANCE = 1e-6


class Basis(NamedTuple):
    """One side: a basis [N, R], R = min(N, D), padded with zeros; how many of it count; centred rows on it [R, D]."""

    basis_NxR: Any
    rank: Any
    rows_RxD: Any


def cca(x_NxD: Array, y_NxE: Array, *, dim: int | None = None, reg: float = 0.0) -> jax.Array:
    """Mean of the ``dim`` largest canonical correlations (None: of all min(rank x, rank y)).

    Args:
      reg: this share of the mean variance of a dimension is added to every variance; correlations shrink, and
        the similarity of a side with itself falls below 1.

    Invariant to any invertible linear map and translation of each side when ``reg`` is 0. Source: Hotelling 1936.
    """
    check("cca", x_NxD, y_NxE)
    if dim is not None and dim < 1:
        raise JamError(f"cca: dim is {dim}; use at least 1, or None for all canonical correlations")
    return compare_cca(prepare_cca(x_NxD, reg=reg), prepare_cca(y_NxE, reg=reg), dim=dim)


def svcca(x_NxD: Array, y_NxE: Array, *, keep: float = 0.99) -> jax.Array:
    """Mean canonical correlation of the leading principal directions of each side.

    Args:
      keep: below 1 the fewest directions that hold this share of the variance, a whole number so many directions.

    Invariant to rotation, translation and one scale for each side. Source: Raghu et al. 2017, arXiv 1706.05806.
    """
    check("svcca", x_NxD, y_NxE)
    return compare_cca(prepare_cca(x_NxD, keep=keep), prepare_cca(y_NxE, keep=keep))


def pwcca(x_NxD: Array, y_NxE: Array) -> jax.Array:
    """Canonical correlations averaged with weights sum_d |<h_i, x_d>|, what of x its canonical variable h_i carries.

    Not symmetric: the weights are those of x. Source: Morcos et al. 2018, arXiv 1806.05759.
    """
    check("pwcca", x_NxD, y_NxE)
    return compare_pwcca(prepare_cca(x_NxD), prepare_cca(y_NxE))


def prepare_cca(x_NxD: Array, *, reg: float = 0.0, keep: float = 1.0) -> Basis:
    """The basis of one side, regularised and cut to ``keep`` as in ``cca`` and ``svcca``; works under jit and vmap."""
    if not 0 <= reg < np.inf:
        raise JamError(f"cca: reg is {reg}; use 0 or a positive share of the mean variance")
    if not keep > 0 or (keep > 1 and keep != int(keep)):
        raise JamError(f"svcca: keep is {keep}; use a share of variance in 0..1 or a whole number of directions")
    on_host = functools.partial(_basis, reg=reg, keep=keep)
    if not isinstance(x_NxD, jax.core.Tracer):
        return Basis(*map(jnp.asarray, on_host(x_NxD)))
    (n, d), r = x_NxD.shape, min(x_NxD.shape)
    forms = (jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in (((n, r), "f4"), ((), "i4"), ((r, d), "f4")))
    return jax.pure_callback(on_host, Basis(*forms), x_NxD, vmap_method="sequential")


def _basis(x_NxD: Array, *, reg: float, keep: float) -> Basis:
    rows_NxD = np.asarray(x_NxD, np.float64)
    rows_NxD = rows_NxD - rows_NxD[0]
    rows_NxD = rows_NxD - rows_NxD.mean(0)
    basis_NxR, scale_R, turn_RxD = np.linalg.svd(rows_NxD, full_matrices=False)
    scale_R = scale_R / (scale_R[0] or 1.0)
    rank, variance_R = int((scale_R > _RANK_TOLERANCE).sum()), scale_R**2
    if isinstance(keep, int):
        rank = min(rank, keep)
    elif keep < 1 and rank:
        rank = min(rank, int(np.searchsorted(np.cumsum(variance_R), keep * variance_R.sum())) + 1)
    counted_R = np.arange(len(scale_R)) < rank
    regularised_R = np.where(counted_R, variance_R + reg * variance_R.sum() / rows_NxD.shape[1], 1.0)
    basis_NxR = basis_NxR * np.where(counted_R, scale_R / np.sqrt(regularised_R), 0.0)
    rows_RxD = scale_R[:, None] * turn_RxD
    return Basis(basis_NxR.astype(np.float32), np.int32(rank), rows_RxD.astype(np.float32))


@functools.partial(jax.jit, static_argnames="dim")
def compare_cca(x: Basis, y: Basis, *, dim: int | None = None) -> jax.Array:
    """Mean of the ``dim`` largest canonical correlations of two sides, or of all."""
    # The singular values of the padding are 0 and stand last.
    correlations_C = jnp.linalg.svd(matmul(x.basis_NxR.T, y.basis_NxR), compute_uv=False)
    counted = jnp.minimum(x.rank, y.rank)
    counted = counted if dim is None else jnp.minimum(counted, dim)
    return jnp.where(jnp.arange(len(correlations_C)) < counted, correlations_C, 0.0).sum() / jnp.maximum(counted, 1)


@jax.jit
def compare_pwcca(x: Basis, y: Basis) -> jax.Array:
    """Canonical correlations of two sides weighted by the first."""
    turn_RxC, correlations_C, _ = jnp.linalg.svd(matmul(x.basis_NxR.T, y.basis_NxR), full_matrices=False)
    weight_C = jnp.abs(matmul(turn_RxC.T, x.rows_RxD)).sum(1)
    weight_C = jnp.where(jnp.arange(len(weight_C)) < jnp.minimum(x.rank, y.rank), weight_C, 0.0)
    total = weight_C.sum()
    return (weight_C @ correlations_C) / jnp.where(total == 0, 1.0, total)


def permute_cca(x: Basis, order_N: jax.Array) -> Basis:
    """The basis with the items in another order."""
    return x._replace(basis_NxR=x.basis_NxR[order_N])
