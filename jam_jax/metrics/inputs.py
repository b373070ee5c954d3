"""What the statistics of similarity ask of their two arrays, and the forms of rows they start from."""

import jax
import jax.numpy as jnp
import numpy as np

from jam_jax.errors import JamError
from jam_jax.metrics.arrays import Array

_STRIPS = 4  # of a Gram matrix: 10 of 16 blocks are computed, and blocks stay large enough to be fast


def check(where: str, *sides: Array, least: int = 2) -> None:
    """Raise JamError unless all sides are [N, width] of the same N >= least and finite (unknown while tracing)."""
    for name, x in zip("xy", sides, strict=False):
        if np.ndim(x) != 2 or not x.shape[1]:
            raise JamError(f"{where}: {name} has shape {np.shape(x)}; expected [N, width]")
        if len(x) != len(sides[0]):
            raise JamError(f"{where}: x has {len(sides[0])} rows and y {len(x)}; row n of both must be the same item")
        if len(x) < least:
            raise JamError(f"{where}: {len(x)} items are too few; it needs at least {least}")
        xp = np if isinstance(x, np.ndarray) else jnp
        if not isinstance(x, jax.core.Tracer) and not bool(xp.isfinite(x).all()):
            bad = int(np.flatnonzero(~np.isfinite(np.asarray(x)).all(axis=1))[0])
            raise JamError(f"{where}: row {bad} of {name} holds NaN or infinity; every activation must be finite")


@jax.jit
def centred(x_NxD: Array) -> jax.Array:
    """Rows minus their mean, over the largest entry: float32 [N, D]; all that uses it is free of scale.

    The first row goes before the mean does, so that constant columns become 0 and not rounding noise.
    """
    x_NxD = jnp.asarray(x_NxD)
    x_NxD = (x_NxD - x_NxD[:1]).astype(jnp.float32)
    x_NxD = x_NxD / one_for_zero(jnp.abs(x_NxD).max())
    return x_NxD - x_NxD.mean(0)


@jax.jit
def unit_rows(x_NxD: Array) -> jax.Array:
    """Rows of unit norm, float32 [N, D]; zero rows stay zero."""
    x_NxD = jnp.asarray(x_NxD).astype(jnp.float32)
    x_NxD = x_NxD / one_for_zero(jnp.abs(x_NxD).max(1, keepdims=True))
    return x_NxD / one_for_zero(jnp.linalg.norm(x_NxD, axis=1, keepdims=True))


def one_for_zero(x: jax.Array) -> jax.Array:
    """A divisor that leaves zeros as they are."""
    return jnp.where(x == 0, 1.0, x)


def matmul(a: Array, b: Array) -> jax.Array:
    """a @ b in full float32: accelerators multiply in bfloat16 passes unless told otherwise."""
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def gram(x_NxD: Array) -> jax.Array:
    """x x' in full float32, [N, N]; what lies below the diagonal blocks is copied and not computed."""
    n = len(x_NxD)
    if n < 4 * _STRIPS:
        return matmul(x_NxD, x_NxD.T)
    ends = [n * i // _STRIPS for i in range(_STRIPS + 1)]
    blocks = {
        (i, j): matmul(x_NxD[ends[i] : ends[i + 1]], x_NxD[ends[j] : ends[j + 1]].T)
        for i in range(_STRIPS)
        for j in range(i, _STRIPS)
    }
    strips = [[blocks[i, j] if i <= j else blocks[j, i].T for j in range(_STRIPS)] for i in range(_STRIPS)]
    return jnp.concatenate([jnp.concatenate(strip, axis=1) for strip in strips])
