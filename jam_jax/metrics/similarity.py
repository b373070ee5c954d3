"""Similarity of two sets of activations as wholes: CKA, RSA and Procrustes.

CKA and RSA are inner products of two matrices [N, N], each made from one side alone: a centred, unit-norm Gram matrix
or matrix of distances. All layer pairs are then one matrix product, and a permutation of the items is a re-indexing.
Common to all: x [N, D] and y [N, E], row n of both the same item; values in float32; a side that does not vary has
similarity 0 with everything. Wrong shapes, NaN and too few items raise JamError.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jam_jax.errors import JamError
from jam_jax.metrics.arrays import Array
from jam_jax.metrics.inputs import centred, check, gram, matmul, one_for_zero, unit_rows

KERNELS = ("linear", "rbf")
DISTANCES = ("correlation", "cosine", "euclidean")
COMPARISONS = ("spearman", "pearson")


def cka(
    x_NxD: Array, y_NxE: Array, *, kernel: str = "linear", sigma: float | None = None, unbiased: bool = True
) -> jax.Array:
    """Centred kernel alignment HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)); a scalar.

    Biased it lies in 0..1 and grows with width / N; unbiased it is about 0 for independent sides and may be negative.
    Invariant to rotation, translation and one scale for each side, not to linear maps in general.

    Args:
      kernel: 'linear', x x^T, or 'rbf', exp(-|x_i - x_j|^2 / (2 sigma^2)).
      sigma: of 'rbf', in units of the activations; None takes the median distance between two items of each side.
      unbiased: the HSIC of Song et al. 2012 (N >= 4), else that of Gretton et al. 2005.

    Source: Kornblith et al. 2019, arXiv 1905.00414.
    """
    check("cka", x_NxD, y_NxE, least=4 if unbiased else 2)
    prepare = functools.partial(prepare_cka, kernel=kernel, sigma=sigma, unbiased=unbiased)
    return inner(prepare(x_NxD), prepare(y_NxE))


def rsa(x_NxD: Array, y_NxE: Array, *, distance: str = "correlation", compare: str = "spearman") -> jax.Array:
    """Correlation over all pairs of items of their distance in x with their distance in y; a scalar in -1..1, N >= 3.

    Args:
      distance: 'correlation' and 'cosine' are 1 - r of two rows (1 where a row has none), or 'euclidean'.
      compare: 'spearman' (ties share their mean rank) or 'pearson'.

    Invariant to rotation and scale; to translation only with 'euclidean', or the same one of all dimensions with
    'correlation'. Source: Kriegeskorte et al. 2008.
    """
    check("rsa", x_NxD, y_NxE, least=3)
    prepare = functools.partial(prepare_rsa, distance=distance, compare=compare)
    return inner(prepare(x_NxD), prepare(y_NxE))


def procrustes(x_NxD: Array, y_NxE: Array) -> jax.Array:
    """|X^T Y|_* / (|X| |Y|), the inner product of centred sides after the best rotation; a scalar in 0..1.

    1 minus its square is the disparity of ``scipy.spatial.procrustes``. Invariant to rotation, translation and one
    scale for each side. It grows with width / N: independent sides are not at 0. Source: Schoenemann 1966.
    """
    check("procrustes", x_NxD, y_NxE)
    return compare_procrustes(prepare_procrustes(x_NxD), prepare_procrustes(y_NxE))


@functools.partial(jax.jit, static_argnames=("kernel", "sigma", "unbiased"))
def prepare_cka(
    x_NxD: Array, *, kernel: str = "linear", sigma: float | None = None, unbiased: bool = True
) -> jax.Array:
    """The Gram matrix of one side, centred and of unit norm: float32 [N, N]."""
    _choose("cka", "kernel", kernel, KERNELS)
    n = len(x_NxD)
    if kernel == "linear":
        x_NxD = centred(x_NxD)
        gram_NxN = gram(x_NxD)
    else:
        square_NxN = _squared_distances(x_NxD)
        width = jnp.median(_upper(square_NxN)) if sigma is None else sigma**2
        gram_NxN = jnp.exp(-square_NxN / (2 * one_for_zero(jnp.asarray(width, jnp.float32))))
    if not unbiased:
        # Grams of centred rows are centred already, up to rounding; once more costs little.
        mean_N = gram_NxN.mean(0)
        return _unit(_without_noise(gram_NxN - mean_N - mean_N[:, None] + mean_N.mean(), gram_NxN))
    # U-centring: the unbiased HSIC is then the plain inner product of what is left off the diagonal.
    off_NxN = _hollow(gram_NxN)
    share_N = off_NxN.sum(0) / (n - 2)
    gram_NxN = off_NxN - share_N - share_N[:, None] + off_NxN.sum() / ((n - 1) * (n - 2))
    return _unit(_hollow(_without_noise(gram_NxN, off_NxN)))


@functools.partial(jax.jit, static_argnames=("distance", "compare"))
def prepare_rsa(x_NxD: Array, *, distance: str = "correlation", compare: str = "spearman") -> jax.Array:
    """Distances of all pairs of items (or their ranks), of mean 0 and unit norm: float32 [N, N], diagonal 0."""
    _choose("rsa", "distance", distance, DISTANCES)
    _choose("rsa", "compare", compare, COMPARISONS)
    n = len(x_NxD)
    if distance == "euclidean":
        square_NxN = _squared_distances(x_NxD)
        distance_NxN = jnp.sqrt(square_NxN)
    else:
        if distance == "correlation":
            x_NxD = centred(jnp.asarray(x_NxD).T).T
        x_NxD = unit_rows(x_NxD)
        distance_NxN = 1 - gram(x_NxD)
    pairs_P = _upper(distance_NxN)
    if compare == "spearman":
        pairs_P = _ranks(pairs_P)
    pairs_P = pairs_P - pairs_P[0]
    pairs_P = pairs_P - pairs_P.mean()
    upper_NxN = jnp.zeros((n, n)).at[np.triu_indices(n, 1)].set(pairs_P)
    return _unit(upper_NxN + upper_NxN.T)


@jax.jit
def prepare_procrustes(x_NxD: Array) -> jax.Array:
    """Centred rows of one side, of unit norm as a whole: float32 [N, D]."""
    return _unit(centred(x_NxD))


def inner(a: jax.Array, b: jax.Array) -> jax.Array:
    """Inner product of two matrices of the same shape."""
    return jnp.vdot(a, b, precision=jax.lax.Precision.HIGHEST)


def compare_procrustes(x_NxD: jax.Array, y_NxE: jax.Array) -> jax.Array:
    """Nuclear norm of the cross product of two prepared sides."""
    return jnp.linalg.svd(matmul(x_NxD.T, y_NxE), compute_uv=False).sum()


def permute_both(x_NxN: jax.Array, order_N: jax.Array) -> jax.Array:
    """Rows and columns of a matrix over pairs of items in another order."""
    return x_NxN[order_N][:, order_N]


def shifted_inner(x_NxN: jax.Array, y_NxN: jax.Array, order_N: jax.Array) -> jax.Array:
    """Inner products of symmetric matrices under all N cyclic shifts of the items of y along ``order``; float32 [N].

    Entry s is ``inner`` of x[order] with y[roll(order, -s)], so entry 0 is the pairing as it is. Along each diagonal of
    the matrices a shift is a circular correlation, and the Fourier transform gives all shifts at once: N permutations
    for little more than the price of one.
    """
    n = len(order_N)
    spectrum_F = jnp.einsum(
        "of,of->f",
        jnp.conj(diagonal_spectra(x_NxN[order_N][:, order_N])),
        diagonal_spectra(y_NxN[order_N][:, order_N]),
        precision=jax.lax.Precision.HIGHEST,
    )
    return jnp.fft.irfft(spectrum_F, n)


def diagonal_spectra(x_NxN: jax.Array) -> jax.Array:
    """Fourier transforms [N/2 + 1, F] of the cyclic diagonals 0..N/2 of a symmetric matrix.

    Each is multiplied by the root of how often it occurs, so that the inner product of two such spectra is that of the
    whole matrices.
    """
    n = len(x_NxN)
    offset_O = jnp.arange(n // 2 + 1)
    column_OxN = (jnp.arange(n) + offset_O[:, None]) % n
    return jnp.fft.rfft(x_NxN[jnp.arange(n), column_OxN] * _occurrence(n)[:, None])


def vector_spectra(y_ExN: jax.Array) -> jax.Array:
    """``diagonal_spectra`` of y y' for each row y of the array: [E, N/2 + 1, F]."""
    n = y_ExN.shape[1]
    doubled_ExN = jnp.concatenate([y_ExN, y_ExN], axis=1)
    shifted_ExOxN = jax.vmap(lambda o: jax.lax.dynamic_slice_in_dim(doubled_ExN, o, n, 1), out_axes=1)(
        jnp.arange(n // 2 + 1)
    )
    return jnp.fft.rfft(y_ExN[:, None] * shifted_ExOxN * _occurrence(n)[:, None])


def _occurrence(n: int) -> jax.Array:
    """Root of how often each of the diagonals 0..N/2 occurs in a symmetric matrix, [N/2 + 1]."""
    offset_O = jnp.arange(n // 2 + 1)
    return jnp.where((offset_O == 0) | (2 * offset_O == n), 1.0, jnp.sqrt(2.0))


def _squared_distances(x_NxD: Array) -> jax.Array:
    x_NxD = jnp.asarray(x_NxD)
    x_NxD = (x_NxD - x_NxD[:1]).astype(jnp.float32)
    x_NxD = x_NxD - x_NxD.mean(0)
    norm_N = (x_NxD * x_NxD).sum(1)
    square_NxN = jnp.maximum(norm_N + norm_N[:, None] - 2 * gram(x_NxD), 0.0)
    # Equal rows are at distance 0; the difference of two large numbers says so only roughly.
    return _hollow(_without_noise(square_NxN, norm_N + norm_N[:, None]))


def _without_noise(difference: jax.Array, terms: jax.Array) -> jax.Array:
    """A difference without what is rounding noise beside the terms it was made of."""
    return jnp.where(jnp.abs(difference) <= 4 * jnp.finfo(jnp.float32).eps * jnp.abs(terms).max(), 0.0, difference)


def _upper(x_NxN: jax.Array) -> jax.Array:
    return x_NxN[np.triu_indices(len(x_NxN), 1)]


def _ranks(x_P: jax.Array) -> jax.Array:
    """Ranks [P], ties at their mean; compiles in half the time of ``jax.scipy.stats.rankdata``, and runs as fast."""
    sorted_P = jnp.sort(x_P)
    return (jnp.searchsorted(sorted_P, x_P) + jnp.searchsorted(sorted_P, x_P, side="right") + 1) / 2


def _hollow(x_NxN: jax.Array) -> jax.Array:
    return jnp.where(jnp.eye(len(x_NxN), dtype=bool), 0.0, x_NxN)


def _unit(x: jax.Array) -> jax.Array:
    return x / one_for_zero(jnp.linalg.norm(x))


def _choose(where: str, what: str, name: str, names: tuple[str, ...]) -> None:
    if name not in names:
        raise JamError(f"{where}: {what} {name!r} is unknown; choose from {', '.join(names)}")
