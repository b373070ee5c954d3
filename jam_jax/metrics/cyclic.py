"""A permutation null at the price of a Fourier transform, for scores that are inner products of two N x N matrices.

CKA is <A, B> of centred Gram matrices of norm 1; mutual kNN is <A, B> of neighbour matrices with entries 1 / sqrt(N k);
RSA by Pearson r is one of standardised distances. To permute one side freely costs N^2 look-ups in memory for every
permutation. Here the items are laid on a circle in random order and one side is turned against the other: A and B are
read along their diagonals, <A, B turned by k> is a circular correlation, and one Fourier transform a layer gives every
turn of every pair. The turns form a group, so p is as exact as with free permutations (Hemerik and Goeman 2018, "Exact
testing with random permutations"); its draws are all derangements, so their mean can differ from the free one by a
term of order 1 / N.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jam_jax.errors import JamError
from jam_jax.metrics import significance


def cyclic_grid(
    lefts: Sequence[ArrayLike],
    rights: Sequence[ArrayLike],
    permutations: int = 1000,
    seed: int = 0,
    *,
    quantile: float = 0.95,
    maximum: float = 1.0,
) -> significance.Null:
    """``significance.permutation_grid`` for scores <A, B>: fields [Lx, Ly], draws [P, Lx, Ly].

    Args:
      lefts, rights: Lx and Ly matrices [N, N] over the same items. permutations: P < N of the N - 1 turns, without
        replacement. seed: of the order on the circle and of the draw. quantile, maximum: of ``significance.against``.

    Raises:
      JamError: matrices that are not square or of different sizes, or P >= N, for which ``permutation_grid`` is there.
    """
    shapes = sorted({np.shape(matrix) for matrix in (*lefts, *rights)})
    if not len(lefts) or not len(rights) or len(shapes) > 1 or len(shapes[0]) != 2 or len(set(shapes[0])) > 1:
        raise JamError(f"cyclic: matrices have shapes {shapes}; expected one or more of each side, all [N, N]")
    items = shapes[0][0]
    if not 1 <= permutations < items:
        raise JamError(f"cyclic: {permutations} permutations of {items} items; expected 1..{items - 1}, or free ones")
    order_N, turns_P = circle(permutations, items, seed)
    left = [_spectrum(jnp.asarray(matrix), order_N) for matrix in lefts]
    scores = []
    for matrix in rights:
        right = _spectrum(jnp.asarray(matrix), order_N)
        scores.append(jax.device_get([_turned(side, right, items) for side in left]))
    score_NxLxK = np.moveaxis(np.array(scores), -1, 0).swapaxes(1, 2)
    return significance.against(score_NxLxK[0], score_NxLxK[turns_P], quantile=quantile, maximum=maximum)


def circle(permutations: int, items: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Order of the items on the circle [N] and turns [P]; turn k matches item order[i] with item order[i + k]."""
    generator = np.random.default_rng(seed)
    return generator.permutation(items), 1 + generator.choice(items - 1, permutations, replace=False)


@jax.jit
def _spectrum(matrix_NxN: jax.Array, order_N: jax.Array) -> jax.Array:
    """Fourier transform of each diagonal around the circle, [N, N // 2 + 1]."""
    place_N = jnp.arange(len(order_N))
    turned_NxN = order_N[(place_N[:, None] + place_N[None, :]) % len(order_N)]
    return jnp.fft.rfft(matrix_NxN[order_N[None, :], turned_NxN], axis=1)


@jax.jit(static_argnums=2)
def _turned(left: jax.Array, right: jax.Array, items: int) -> jax.Array:
    """Inner products of the left matrix with the right one after each turn 0..N-1, [N]."""
    return jnp.fft.irfft((left.conj() * right).sum(0), n=items)


__all__ = ["cyclic_grid"]
