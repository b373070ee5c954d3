"""The reconstruction part of the objective, and how it joins the alignment (JAM, arXiv 2507.01201)."""

import jax
import jax.numpy as jnp

from jam_jax.errors import JamError


def mse(x: jax.Array, x_hat: jax.Array) -> jax.Array:
    """Mean squared error over all entries of two arrays of one shape, in float32; a scalar.

    Raises JamError when the shapes differ, which would otherwise broadcast.
    """
    if x.shape != x_hat.shape:
        raise JamError(f"mse: x_hat has shape {x_hat.shape}; expected {x.shape} as x has")
    return jnp.square(x.astype(jnp.float32) - x_hat.astype(jnp.float32)).mean()


def total(
    alignment: jax.Array, vision_mse: jax.Array, language_mse: jax.Array, *, weight: jax.Array | float
) -> jax.Array:
    """alignment + weight * 1/2 (vision_mse + language_mse); ``weight`` is the paper's lambda."""
    return alignment + weight * (vision_mse + language_mse) / 2
