"""Statistics of similarity by name, each split so that many layers and permutations share what one side alone needs.

    from jam_jax.metrics import statistics
    cka = statistics.named("cka")
    vision, language = statistics.stack(cka, vision_layers), statistics.stack(cka, language_layers)
    scores = statistics.grid(cka, vision, language)  # [Lx, Ly]

A protocol is what a named statistic does to the activations as they come from the model, settings and all.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp

from jam_jax.errors import JamError
from jam_jax.metrics import canonical, neighbours, similarity
from jam_jax.metrics.arrays import Array
from jam_jax.metrics.inputs import check, unit_rows

SYMMETRIC = ("symmetric",)
DIRECTED = ("vision_to_language", "language_to_vision")


@dataclasses.dataclass(frozen=True)
class Statistic:
    """A metric split so that what depends on one side alone is computed once.

    name: how results call it. protocol: one sentence for reports.
    prepare: x [N, D] -> a side, a pytree of arrays of the same shapes for any x of the same shape.
    compare: two sides -> a scalar; works under jit and vmap. With two directions ``compare(x, y)`` is the first,
      x the vision side, and ``compare(y, x)`` the second.
    permute: a side and order int [N] -> the side that x[order] would give, by re-indexing.
    shifted: two sides and order int [N] -> scores [N] where score s is that of ``permute(x, order)`` with
      ``permute(y, roll(order, -s))``; where it is far cheaper than N calls of compare, else None. The shifts along one
      order are a group that holds the pairing as it is (s = 0), so a p-value among them is exact.
    """

    name: str
    prepare: Callable[[Array], Any]
    compare: Callable[[Any, Any], jax.Array]
    permute: Callable[[Any, jax.Array], Any]
    directions: tuple[str, ...] = SYMMETRIC
    protocol: str = ""
    shifted: Callable[[Any, Any, jax.Array], jax.Array] | None = None


def named(name: str) -> Statistic:
    """The statistic of that name; JamError lists them all."""
    if name not in STATISTICS:
        raise JamError(f"metric {name!r} is unknown; choose from {', '.join(STATISTICS)}")
    return STATISTICS[name]


def stack(statistic: Statistic, layers: Iterable[Array]) -> Any:
    """Prepared sides of layers of equal shape [N, D], stacked along a first axis; JamError as the metric's."""
    sides = [statistic.prepare(layer) for layer in layers]
    if not sides:
        raise JamError(f"{statistic.name}: no layers; expected at least one [N, D]")
    shapes = {tuple(leaf.shape for leaf in jax.tree.leaves(side)) for side in sides}
    if len(shapes) > 1:
        raise JamError(f"{statistic.name}: layers of one side differ in shape; stack those of equal width apart")
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *sides)


def grid(statistic: Statistic, xs: Any, ys: Any) -> jax.Array:
    """Scores [Lx, Ly] of all pairs of two stacks of sides, batched into a few products."""
    return _grid(statistic.compare, xs, ys)


def shifted_grid(statistic: Statistic, xs: Any, ys: Any, order_N: jax.Array) -> jax.Array:
    """``shifted`` of all pairs of two stacks of sides: scores [Lx, Ly, N]; for statistics that have it."""
    if statistic.shifted is None:
        raise JamError(f"{statistic.name}: has no short way to all shifts; permute and compare")
    return _shifted_grid(statistic.shifted, xs, ys, order_N)


@functools.partial(jax.jit, static_argnums=0)
def _grid(compare: Callable[[Any, Any], jax.Array], xs: Any, ys: Any) -> jax.Array:
    return jax.vmap(lambda x: jax.vmap(lambda y: compare(x, y))(ys))(xs)


@functools.partial(jax.jit, static_argnums=0)
def _shifted_grid(shifted: Callable[[Any, Any, jax.Array], jax.Array], xs: Any, ys: Any, order_N: jax.Array) -> Any:
    return jax.vmap(lambda x: jax.vmap(lambda y: shifted(x, y, order_N))(ys))(xs)


def _inner(name: str, protocol: str, least: int, prepare: Callable[..., jax.Array], **settings: Any) -> Statistic:
    """A statistic that is an inner product of matrices over pairs of items."""

    def checked(x_NxD: Array) -> jax.Array:
        check(name, x_NxD, least=least)
        return prepare(x_NxD, **settings)

    return Statistic(
        name, checked, similarity.inner, similarity.permute_both, protocol=protocol, shifted=similarity.shifted_inner
    )


def _neighbours(name: str, k: int, compare: Callable[[Any, Any], jax.Array], directions: tuple[str, ...]) -> Statistic:
    def prepare(x_NxD: Array) -> jax.Array:
        neighbours.check_sides(name, x_NxD, k=k)
        return neighbours.neighbours(unit_rows(x_NxD), k)

    protocol = f"rows of unit norm, {k} nearest by inner product"
    return Statistic(name, prepare, compare, neighbours.permute_places, directions, protocol)


def _cknna(k: int) -> Statistic:
    def prepare(x_NxD: Array) -> neighbours.Neighbourhood:
        neighbours.check_sides("cknna", x_NxD, k=k, least=4, fewest=2)
        return neighbours.prepare_cknna(unit_rows(x_NxD), k)

    protocol = f"rows of unit norm, {k} nearest by inner product, unbiased HSIC, vision first"
    return Statistic("cknna", prepare, neighbours.compare_cknna, neighbours.permute_cknna, protocol=protocol)


def _canonical(
    name: str, protocol: str, compare: Callable[[Any, Any], jax.Array], directions: tuple[str, ...], **settings: Any
) -> Statistic:
    def prepare(x_NxD: Array) -> canonical.Basis:
        check(name, x_NxD)
        return canonical.prepare_cca(x_NxD, **settings)

    return Statistic(name, prepare, compare, canonical.permute_cca, directions, protocol)


def _procrustes() -> Statistic:
    def prepare(x_NxD: Array) -> jax.Array:
        check("procrustes", x_NxD)
        return similarity.prepare_procrustes(x_NxD)

    def permute(side_NxD: jax.Array, order_N: jax.Array) -> jax.Array:
        return side_NxD[order_N]

    protocol = "centred, unit norm as a whole, nuclear norm of the cross product"
    return Statistic("procrustes", prepare, similarity.compare_procrustes, permute, protocol=protocol)


_CKA, _RSA = similarity.prepare_cka, similarity.prepare_rsa
_ALL = (
    _inner("cka", "linear kernel, unbiased HSIC", 4, _CKA),
    _inner("cka_biased", "linear kernel, biased HSIC", 2, _CKA, unbiased=False),
    _inner("cka_rbf", "RBF kernel as wide as the median distance, unbiased HSIC", 4, _CKA, kernel="rbf"),
    _inner("rsa", "correlation distances of rows, Spearman correlation over pairs", 3, _RSA),
    _neighbours("mutual_knn", 10, neighbours.compare_mutual, SYMMETRIC),
    _neighbours("cycle_knn", 10, neighbours.compare_cycle, DIRECTED),
    _cknna(10),
    _canonical("cca", "variances + 1 % of their mean, mean of all", canonical.compare_cca, SYMMETRIC, reg=0.01),
    _canonical("svcca", "10 principal directions of each side, not scaled", canonical.compare_cca, SYMMETRIC, keep=10),
    _canonical("pwcca", "not regularised, weights of the first side", canonical.compare_pwcca, DIRECTED),
    _procrustes(),
)  # fmt: skip
STATISTICS = {statistic.name: statistic for statistic in _ALL}
