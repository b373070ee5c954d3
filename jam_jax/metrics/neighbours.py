"""Similarity of neighbourhoods: mutual kNN, cycle kNN and CKNNA of "The Platonic Representation Hypothesis".

Neighbours are those of largest inner product, as in the paper's code: no row is centred or normalised here, so pass
rows of unit norm for cosine. Of equally near items the first counts. Only lists of neighbours [N, k] are kept of a
side; they are found for a block of items at a time, so N may be in the hundreds of thousands.
Wrong shapes, NaN and k out of range raise JamError. Source: Huh et al. 2024, arXiv 2405.07987.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jam_jax.errors import JamError
from jam_jax.metrics.arrays import Array
from jam_jax.metrics.inputs import check, gram, matmul

_BLOCK_ENTRIES = 1 << 25  # of inner products at a time: 128 MB


class Neighbourhood(NamedTuple):
    """One side of CKNNA: each item's neighbours [N, k], inner products with them, and whether they name it as well."""

    places_NxK: jax.Array
    products_NxK: jax.Array
    returned_NxK: jax.Array


def mutual_knn(x_NxD: Array, y_NxE: Array, k: int = 10) -> jax.Array:
    """Mean share of an item's k nearest neighbours in x that are also among its k nearest in y; a scalar in 0..1.

    Chance is k / (N - 1). Invariant to rotation and one positive scale for each side, not to translation.
    """
    check_sides("mutual_knn", x_NxD, y_NxE, k=k)
    return compare_mutual(neighbours(x_NxD, k), neighbours(y_NxE, k))


def cycle_knn(x_NxD: Array, y_NxE: Array, k: int = 10) -> jax.Array:
    """Share of items that a step to one of the k nearest in y, then to one of the k nearest in x, can lead back to.

    A scalar in 0..1. Not symmetric; with x = y below 1 as well, since being near is not mutual.
    """
    check_sides("cycle_knn", x_NxD, y_NxE, k=k)
    return compare_cycle(neighbours(x_NxD, k), neighbours(y_NxE, k))


def cknna(x_NxD: Array, y_NxE: Array, k: int = 10, *, unbiased: bool = True) -> jax.Array:
    """Linear CKA with Gram matrices set to 0 but where j is among the k nearest of i on both sides; a scalar.

    The public definition, without the 1e-6 it adds to the denominator; the Gram matrices are those of the rows as they
    are. Unbiased, an item is no neighbour of its own (2 <= k < N, N >= 4), else it may be (2 <= k <= N). 0 where a
    side's own HSIC is not positive. Not quite symmetric, as published: being near is not mutual.
    """
    least = 4 if unbiased else 2
    check_sides("cknna", x_NxD, y_NxE, k=k, least=least, fewest=2, itself=not unbiased)
    prepare = functools.partial(prepare_cknna, k=k, unbiased=unbiased)
    return compare_cknna(prepare(x_NxD), prepare(y_NxE), unbiased=unbiased)


def neighbours(x_NxD: Array, k: int) -> jax.Array:
    """Places of the k items of largest inner product with each item, itself excluded, nearest first: int32 [N, k]."""
    return _nearest(jnp.asarray(x_NxD, jnp.float32), k, False)[0]


def prepare_cknna(x_NxD: Array, k: int = 10, *, unbiased: bool = True) -> Neighbourhood:
    """Neighbours of one side with all that the masked HSIC needs to know of them."""
    return _neighbourhood(jnp.asarray(x_NxD, jnp.float32), k, not unbiased)


@jax.jit
def compare_mutual(x_NxK: jax.Array, y_NxK: jax.Array) -> jax.Array:
    """Share of neighbours in common of two lists."""
    return _same(x_NxK, y_NxK).sum() / x_NxK.size


@jax.jit
def compare_cycle(x_NxK: jax.Array, y_NxK: jax.Array) -> jax.Array:
    """Share of items that are a neighbour in x of one of their neighbours in y."""
    item_N = jnp.arange(len(x_NxK))
    return (x_NxK[y_NxK] == item_N[:, None, None]).any((1, 2)).mean()


@functools.partial(jax.jit, static_argnames="unbiased")
def compare_cknna(x: Neighbourhood, y: Neighbourhood, *, unbiased: bool = True) -> jax.Array:
    """Masked HSIC of two sides over the root of that of each with itself."""
    own = _hsic(x, x, unbiased) * _hsic(y, y, unbiased)
    return jnp.where(own > 0, _hsic(x, y, unbiased) / jnp.sqrt(jnp.where(own > 0, own, 1.0)), 0.0)


def permute_places(places_NxK: jax.Array, order_N: jax.Array) -> jax.Array:
    """Lists of neighbours of the items in another order."""
    inverse_N = jnp.zeros_like(order_N).at[order_N].set(jnp.arange(len(order_N), dtype=order_N.dtype))
    return inverse_N[places_NxK[order_N]]


def permute_cknna(x: Neighbourhood, order_N: jax.Array) -> Neighbourhood:
    """Neighbourhoods of the items in another order."""
    return Neighbourhood(permute_places(x.places_NxK, order_N), x.products_NxK[order_N], x.returned_NxK[order_N])


def check_sides(where: str, *sides: Array, k: int, least: int = 2, fewest: int = 1, itself: bool = False) -> None:
    """As ``inputs.check``, and k must leave every item as many neighbours."""
    check(where, *sides, least=least)
    most = len(sides[0]) - (not itself)
    if not fewest <= k <= most:
        raise JamError(f"{where}: k is {k} for {len(sides[0])} items; use {fewest}..{most}")


def _same(x_NxK: jax.Array, y_NxK: jax.Array) -> jax.Array:
    """Which entries of the lists name the same item: bool [N, K, K]."""
    return x_NxK[:, :, None] == y_NxK[:, None, :]


def _hsic(x: Neighbourhood, y: Neighbourhood, unbiased: bool) -> jax.Array:
    """HSIC of Gram matrices K and L masked to common neighbours, up to a factor; neither masked matrix is symmetric."""
    n = len(x.places_NxK)
    same_NxKxK = _same(x.places_NxK, y.places_NxK)
    k_NxK = jnp.where(same_NxKxK.any(2), x.products_NxK, 0.0)
    l_NxK = jnp.where(same_NxKxK, y.products_NxK[:, None, :], 0.0).sum(2)
    # Entry (i, j) of K meets (j, i) of L: both masks must hold in both directions, and products are symmetric.
    both_NxK = x.returned_NxK & (same_NxKxK & y.returned_NxK[:, None, :]).any(2)
    trace = jnp.where(both_NxK, k_NxK * l_NxK, 0.0).sum()
    k_rows_N, l_rows_N = k_NxK.sum(1), l_NxK.sum(1)
    k_columns_N, l_columns_N = (jnp.zeros(n).at[x.places_NxK].add(values) for values in (k_NxK, l_NxK))
    totals = k_rows_N.sum() * l_rows_N.sum()
    if unbiased:
        return trace + totals / ((n - 1) * (n - 2)) - 2 * (k_columns_N @ l_rows_N) / (n - 2)
    return trace - (k_columns_N @ l_rows_N + l_columns_N @ k_rows_N) / n + totals / n**2


@functools.partial(jax.jit, static_argnums=(1, 2))
def _nearest(x_NxD: jax.Array, k: int, itself: bool) -> tuple[jax.Array, jax.Array]:
    """Places and inner products of the k nearest, [N, k] both."""
    if len(x_NxD) ** 2 <= _BLOCK_ENTRIES:
        sim_NxN = gram(x_NxD)
        if not itself:
            sim_NxN = jnp.where(jnp.eye(len(x_NxD), dtype=bool), -jnp.inf, sim_NxN)
        products_NxK, places_NxK = jax.lax.top_k(sim_NxN, k)
        return places_NxK, products_NxK

    def of_one(item: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        place, row_D = item
        products_N = matmul(x_NxD, row_D)
        if not itself:
            products_N = jnp.where(jnp.arange(len(x_NxD)) == place, -jnp.inf, products_N)
        products_K, places_K = jax.lax.top_k(products_N, k)
        return places_K, products_K

    block = max(1, _BLOCK_ENTRIES // len(x_NxD))
    return jax.lax.map(of_one, (jnp.arange(len(x_NxD)), x_NxD), batch_size=min(block, len(x_NxD)))


@functools.partial(jax.jit, static_argnums=(1, 2))
def _neighbourhood(x_NxD: jax.Array, k: int, itself: bool) -> Neighbourhood:
    places_NxK, products_NxK = _nearest(x_NxD, k, itself)
    item_N = jnp.arange(len(x_NxD))
    # One neighbour of all items at a time: [N, k] rather than [N, k, k] entries.
    returned_KxN = jax.lax.map(lambda places_N: (places_NxK[places_N] == item_N[:, None]).any(1), places_NxK.T)
    return Neighbourhood(places_NxK, products_NxK, returned_KxN.T)
