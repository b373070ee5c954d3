"""How much of its input an autoencoder gives back."""

from typing import Any

import numpy as np

from jam_jax.errors import JamError
from jam_jax.metrics.arrays import Array, namespace


def r2(x: Array, x_hat: Array) -> Any:
    """Variance-weighted R^2 over dimensions, 1 - sum (x - x_hat)^2 / sum (x - mean of x)^2; of [N, D] and [N, D].

    1 is perfect, 0 is what the mean of these rows would give; constant rows give 1 if perfect, else 0. A float, or a
    traced scalar inside jit. Raises JamError when the shapes differ.
    """
    if np.shape(x) != np.shape(x_hat) or np.ndim(x) != 2:
        raise JamError(f"r2: x has shape {np.shape(x)} and x_hat {np.shape(x_hat)}; expected the same [N, D]")
    xp = namespace(x, x_hat)
    dtype = np.float64 if xp is np else np.float32
    x, x_hat = xp.asarray(x).astype(dtype), xp.asarray(x_hat).astype(dtype)
    error, variance = ((x - x_hat) ** 2).sum(), ((x - x.mean(0)) ** 2).sum()
    constant = xp.where(error == 0, 1.0, 0.0)
    value = xp.where(variance == 0, constant, 1 - error / xp.where(variance == 0, 1.0, variance))
    return float(value) if xp is np else value
