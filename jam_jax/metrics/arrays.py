"""What the metrics share: one code for NumPy arrays and, inside jit, for traced ones."""

from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

Array: TypeAlias = np.ndarray | jax.Array


def namespace(*arrays: Any) -> Any:
    """``jax.numpy`` when any array is being traced, else ``numpy``.

    A metric is read once per evaluation, and compiling one for each new shape costs far more than running it.
    """
    return jnp if any(isinstance(array, jax.core.Tracer) for array in arrays) else np


def unit_rows(x_NxH: Array, xp: Any) -> Array:
    """Rows of unit norm [N, H], float64 in NumPy and float32 in JAX; zero rows stay zero, infinite ones become NaN."""
    x_NxH = xp.asarray(x_NxH).astype(np.float64 if xp is np else np.float32)
    largest_Nx1 = xp.abs(x_NxH).max(1, keepdims=True, initial=0.0)
    with np.errstate(invalid="ignore"):
        x_NxH = x_NxH / xp.where(largest_Nx1 == 0, 1.0, largest_Nx1)
    norm_Nx1 = xp.sqrt((x_NxH * x_NxH).sum(1, keepdims=True))
    return x_NxH / xp.where(norm_Nx1 == 0, 1.0, norm_Nx1)


def similarity(a_NxH: Array, b_MxH: Array, xp: Any) -> Array:
    """Inner products [N, M] in full precision of the dtype."""
    if xp is np:
        return a_NxH @ b_MxH.T
    return jnp.matmul(a_NxH, b_MxH.T, precision=jax.lax.Precision.HIGHEST)


def tolerance(x: Array) -> float:
    """Cosines closer than this are equal: a matrix product can round the same two rows differently in two places."""
    return 16 * float(np.finfo(x.dtype).eps)


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """The same dictionary with Python numbers, or as it is where values are traced."""
    if namespace(*values.values()) is jnp:
        return values
    return {name: np.asarray(value).item() for name, value in values.items()}
