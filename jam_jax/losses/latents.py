"""Latents before they are compared: unit rows, and products in full precision."""

import jax
import jax.numpy as jnp


def normalise(x: jax.Array) -> jax.Array:
    """Rows of unit norm in float32; zero rows stay zero.

    Dividing by the largest entry first keeps the squares of very large and very small rows in range. It does not change
    the result, so it has no part in the gradient.
    """
    x = x.astype(jnp.float32)
    largest = jax.lax.stop_gradient(jnp.abs(x).max(-1, keepdims=True, initial=0.0))
    x = x / jnp.where(largest == 0, 1.0, largest)
    square = (x * x).sum(-1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.where(square == 0, 1.0, square))


def product(formula: str, a: jax.Array, b: jax.Array) -> jax.Array:
    """An einsum in full float32: accelerators multiply in bfloat16 passes unless told otherwise."""
    return jnp.einsum(formula, a, b, precision=jax.lax.Precision.HIGHEST)


def matmul(a: jax.Array, b: jax.Array) -> jax.Array:
    """a @ b, as ``product``."""
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


__all__ = ["matmul", "normalise", "product"]
