"""CKA without any N x N array, for N in the hundreds of thousands; the values are those of ``similarity.cka``.

Linear CKA needs the D x E cross products only, also unbiased. RBF kernels are made for a block of items at a time.
Sums over items are float32 within a block and float64 across blocks. ``neighbours`` keeps to blocks by itself.
"""

import functools
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jam_jax.errors import JamError
from jam_jax.metrics.arrays import Array
from jam_jax.metrics.inputs import check, matmul

_BLOCK_ENTRIES = 1 << 24  # of each kernel at a time: 64 MB
_BLOCK_ROWS = 8192
_NOISE = 8 * float(np.finfo(np.float32).eps)


def cka(
    x_NxD: Array, y_NxE: Array, *, kernel: str = "linear", sigma: float | None = None, unbiased: bool = True
) -> float:
    """``similarity.cka`` in blocks. Arrays mapped from a file are read a few times, never held (linear) or once (RBF).

    'linear' takes time O(N D E), 'rbf' O(N^2 (D + E)); 'rbf' needs ``sigma``, since blocks do not give the median
    distance. Raises JamError as ``similarity.cka``.
    """
    check("cka", x_NxD, y_NxE, least=4 if unbiased else 2)
    if kernel not in ("linear", "rbf"):
        raise JamError(f"cka: kernel {kernel!r} is unknown; choose from linear, rbf")
    if kernel == "rbf" and sigma is None:
        raise JamError("cka: blockwise 'rbf' needs sigma, a distance in units of the activations")
    x, y = _Side(x_NxD), _Side(y_NxE)
    traces, x_kernel, y_kernel = _linear(x, y) if sigma is None or kernel == "linear" else _rbf(x, y, sigma)
    pairs = (x_kernel, y_kernel), (x_kernel, x_kernel), (y_kernel, y_kernel)
    both, x_own, y_own = (_hsic(trace, *pair, unbiased) for trace, pair in zip(traces, pairs, strict=True))
    # What float32 cannot tell from a kernel that is the same for all pairs does not vary.
    varies = all(own > _NOISE * trace for own, trace in zip((x_own, y_own), traces[1:], strict=True))
    return float(both / np.sqrt(x_own * y_own)) if varies else 0.0


class _Side:
    """Rows of one side, centred and scaled as they are read."""

    def __init__(self, rows_NxD: Array):
        self._rows_NxD = rows_NxD
        self._first_D = np.asarray(rows_NxD[0], np.float64)
        total_D, largest = np.zeros_like(self._first_D), 0.0
        for block in self.blocks():
            rows_BxD = np.asarray(rows_NxD[block], np.float64) - self._first_D
            total_D, largest = total_D + rows_BxD.sum(0), max(largest, float(np.abs(rows_BxD).max()))
        self._mean_D, self.scale = total_D / len(rows_NxD), largest or 1.0

    def __len__(self) -> int:
        return len(self._rows_NxD)

    def blocks(self) -> Iterator[slice]:
        return _blocks(len(self), _BLOCK_ROWS)

    def rows(self, block: slice) -> np.ndarray:
        """Float32 [B, D]."""
        rows_BxD = np.asarray(self._rows_NxD[block], np.float64) - self._first_D - self._mean_D
        return (rows_BxD / self.scale).astype(np.float32)


class _Kernel(NamedTuple):
    """What HSIC needs of a kernel beside traces: its diagonal [N], and its row sums [N] without the diagonal."""

    diagonal_N: np.ndarray
    sums_N: np.ndarray


def _hsic(trace: float, x: _Kernel, y: _Kernel, unbiased: bool) -> float:
    """HSIC up to a factor of N alone, from the trace of the product of two kernels without their diagonals."""
    n = len(x.sums_N)
    if unbiased:
        return trace + x.sums_N.sum() * y.sums_N.sum() / ((n - 1) * (n - 2)) - 2 * float(x.sums_N @ y.sums_N) / (n - 2)
    x_N, y_N = x.sums_N + x.diagonal_N, y.sums_N + y.diagonal_N
    return trace + float(x.diagonal_N @ y.diagonal_N) - 2 * float(x_N @ y_N) / n + x_N.sum() * y_N.sum() / n**2


def _linear(x: _Side, y: _Side) -> tuple[list[float], _Kernel, _Kernel]:
    """Traces of the kernels' products (xy, xx, yy) and the two linear kernels."""
    crosses = [np.zeros(()), np.zeros(()), np.zeros(())]
    squares: list[list[np.ndarray]] = [[], []]
    for block in x.blocks():
        x_BxD, y_BxE = x.rows(block), y.rows(block)
        for i, (a, b) in enumerate(((x_BxD, y_BxE), (x_BxD, x_BxD), (y_BxE, y_BxE))):
            crosses[i] = crosses[i] + np.asarray(_product(jnp.asarray(a), jnp.asarray(b)), np.float64)
        for found, rows in zip(squares, (x_BxD, y_BxE), strict=True):
            found.append((rows.astype(np.float64) ** 2).sum(1))
    x_N, y_N = (np.concatenate(found) for found in squares)
    own = (x_N @ y_N, x_N @ x_N, y_N @ y_N)
    traces = [float((cross**2).sum() - squared) for cross, squared in zip(crosses, own, strict=True)]
    # Rows are centred, so a whole row of the Gram matrix sums to 0.
    return traces, _Kernel(x_N, -x_N), _Kernel(y_N, -y_N)


def _rbf(x: _Side, y: _Side, sigma: float) -> tuple[list[float], _Kernel, _Kernel]:
    """As ``_linear`` for RBF kernels, whose diagonal is 1."""
    n = len(x)
    sides = [
        (jnp.concatenate([jnp.asarray(side.rows(block)) for block in side.blocks()]), side.scale / sigma)
        for side in (x, y)
    ]
    traces, sums = np.zeros(3), []
    for block in _blocks(n, max(1, _BLOCK_ENTRIES // n)):
        found, *rows = _rbf_block(*sides, block.start, size=block.stop - block.start)
        traces += np.asarray(found, np.float64)
        sums.append(np.asarray(rows, np.float64))
    x_N, y_N = np.concatenate(sums, axis=1)
    return list(map(float, traces)), _Kernel(np.ones(n), x_N), _Kernel(np.ones(n), y_N)


@functools.partial(jax.jit, static_argnames="size")
def _rbf_block(
    x: tuple[jax.Array, float], y: tuple[jax.Array, float], start: int, *, size: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Inner products xy, xx, yy and row sums of both kernels over a block of rows, without the diagonal."""
    kernels = []
    for rows_NxD, scale in (x, y):
        rows_NxD = rows_NxD * scale
        block_BxD = jax.lax.dynamic_slice_in_dim(rows_NxD, start, size)
        norm_N, norm_B = (rows_NxD**2).sum(1), (block_BxD**2).sum(1)
        square_BxN = jnp.maximum(norm_N + norm_B[:, None] - 2 * matmul(block_BxD, rows_NxD.T), 0.0)
        itself_BxN = jnp.arange(len(rows_NxD)) == start + jnp.arange(size)[:, None]
        kernels.append(jnp.where(itself_BxN, 0.0, jnp.exp(-0.5 * square_BxN)))
    k_BxN, l_BxN = kernels
    traces = jnp.stack([(k_BxN * l_BxN).sum(), (k_BxN * k_BxN).sum(), (l_BxN * l_BxN).sum()])
    return traces, k_BxN.sum(1), l_BxN.sum(1)


@jax.jit
def _product(a_BxD: jax.Array, b_BxE: jax.Array) -> jax.Array:
    return matmul(a_BxD.T, b_BxE)


def _blocks(count: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, count)) for start in range(0, count, size))
