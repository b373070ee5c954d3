"""The modulator: one small autoencoder for each modality, in the paper's plain form and with a linear skip path."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jam_jax.models.precision import dot_general


class Block(nn.Module):
    """LayerNorm -> Dense to 2h -> SwiGLU gate to h -> Dropout; [..., d] -> [..., width].

    silu(a) * b with zero-mean a is nearly even in its input, so a stack of such blocks forgets the sign of what it
    sees and trains to almost nothing on real activations. A positive gate bias starts each gate open, which keeps the
    sign: the cosine of f(x) and -f(-x) is positive through three blocks with a bias of 2, and negative with none.
    """

    width: int
    dropout: float
    gate_bias: float
    precision: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        def bias(key: Any, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
            del key
            return jnp.where(jnp.arange(shape[0]) < self.width, self.gate_bias, 0.0).astype(dtype)

        x = nn.LayerNorm()(x)
        both = nn.Dense(2 * self.width, bias_init=bias, dot_general=dot_general(self.precision))(x)
        gate, value = jnp.split(both, 2, axis=-1)
        return nn.Dropout(self.dropout)(nn.silu(gate) * value, deterministic=not train)


class Trunk(nn.Module):
    """Blocks of the given widths, then a plain Dense to ``out``; [..., d] -> [..., out]."""

    hidden: Sequence[int]
    out: int
    dropout: float
    gate_bias: float
    precision: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        for width in self.hidden:
            x = Block(width, self.dropout, self.gate_bias, self.precision)(x, train=train)
        return nn.Dense(self.out, dot_general=dot_general(self.precision))(x)


class SkipTrunk(nn.Module):
    """A linear map plus a gated Trunk: the map works from the first step, the branch learns what a map cannot.

    The gate is one learned number that starts at 0.1.
    """

    hidden: Sequence[int]
    out: int
    dropout: float
    gate_bias: float
    precision: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        gate = self.param("gate", nn.initializers.constant(0.1), ())
        settings = (self.dropout, self.gate_bias, self.precision)
        branch = Trunk(self.hidden, self.out, *settings, name="branch")(x, train=train)
        return nn.Dense(self.out, dot_general=dot_general(self.precision), name="linear")(x) + gate * branch


class Autoencoder(nn.Module):
    """Encoder to the latent and mirrored decoder, untied; inputs [..., width], latents [..., latent], not normalised.

    Source: JAM (arXiv 2507.01201), fully connected blocks with LayerNorm and SwiGLU. ``form`` names the trunk:
    'plain' as in the paper, 'skip' with a linear path beside it in encoder and decoder. ``precision`` is of the matrix
    products alone: parameters, sums and everything between the products are float32.
    """

    width: int
    hidden: Sequence[int] = (512, 512, 512)
    latent: int = 256
    dropout: float = 0.1
    gate_bias: float = 2.0
    form: str = "plain"
    precision: str = "float32"

    def setup(self):
        trunk = {"plain": Trunk, "skip": SkipTrunk}[self.form]
        self.encoder = trunk(tuple(self.hidden), self.latent, self.dropout, self.gate_bias, self.precision)
        widths = tuple(reversed(self.hidden))
        self.decoder = trunk(widths, self.width, self.dropout, self.gate_bias, self.precision)

    def encode(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Latents [..., latent] of inputs [..., width]."""
        return self.encoder(x, train=train)

    def decode(self, z: jax.Array, *, train: bool = False) -> jax.Array:
        """Reconstructions [..., width] of latents [..., latent]."""
        return self.decoder(z, train=train)

    def __call__(self, x: jax.Array, *, train: bool = False) -> tuple[jax.Array, jax.Array]:
        """Latents and reconstructions."""
        z = self.encode(x, train=train)
        return z, self.decode(z, train=train)
