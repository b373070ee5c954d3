"""Several autoencoders of one modality as one: parameters stacked along a leading member axis, latents side by side.

Members that start apart make different mistakes; the mean of their cosines ranks better than any of them. With latents
of unit length each, side by side, the cosine of the whole is that mean.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jam_jax.models.autoencoder import Autoencoder


def stack(members: Sequence[Any]) -> Any:
    """One pytree with a leading member axis from pytrees of equal shapes."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)


def encode(module: Autoencoder, params: Any, x_NxP: jax.Array) -> jax.Array:
    """Latents [N, M, H] of M members, of any length."""
    z_MxNxH: Any = jax.vmap(lambda one: module.apply({"params": one}, x_NxP, method="encode"))(params)
    return jnp.swapaxes(z_MxNxH, 0, 1)


def decode(module: Autoencoder, params: Any, z_NxMxH: jax.Array) -> jax.Array:
    """Reconstruction [N, P]: each member decodes its own latents [N, M, H], and the mean is taken."""
    z_MxNxH = jnp.swapaxes(z_NxMxH, 0, 1)
    x_MxNxP: Any = jax.vmap(lambda one, z: module.apply({"params": one}, z, method="decode"))(params, z_MxNxH)
    return x_MxNxP.mean(0)


def unit(z_NxMxH: jax.Array) -> jax.Array:
    """Unit latents [N, M H]: every member of equal length, side by side; zero latents stay zero."""
    norms = jnp.linalg.norm(z_NxMxH, axis=-1, keepdims=True)
    unit_NxMxH = z_NxMxH / jnp.maximum(norms, 1e-12) / jnp.sqrt(z_NxMxH.shape[1])
    return unit_NxMxH.reshape(len(z_NxMxH), -1)
