"""Is a similarity more than chance, and how sure is it? Permutation nulls, calibrated scores and intervals over items.

These functions take any statistic that is split in three, as ``jam_jax.metrics.statistics`` does: ``prepare`` (rows
[N, D] -> a pytree about one side), ``compare`` (two prepared sides -> a score) and ``permute`` (prepared, order [N] ->
what prepare(x[order]) would give). What depends on one side is computed once for all layers and all permutations; work
runs on the device in blocks of a memory budget. All layer pairs see the same permutations and the same subsamples, so
the draws also give the null of a maximum over layers.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from numpy.typing import ArrayLike

from jam_jax.errors import JamError

MEMORY = 256 << 20
# Draws this close below a score, as a share of it, count as ties: device and host round differently.
_TIE = 2e-6


class Splits(Protocol):
    """What is asked of a statistic here; ``statistics.Statistic`` is one."""

    @property
    def prepare(self) -> Callable[[Any], Any]: ...

    @property
    def compare(self) -> Callable[[Any, Any], Any]: ...

    @property
    def permute(self) -> Callable[[Any, Any], Any]: ...


class Null(NamedTuple):
    """A score against its permutations of the pairing; every field has the shape of the score, [] or [Lx, Ly].

    mean, std: of the P permuted scores. p: (1 + number of permuted scores >= score) / (1 + P), exact under the null for
    any P. z: (score - mean) / std; NaN when all permuted scores are equal to the score. calibrated: 0 at or below the
    critical value, 1 at the statistic's maximum (see ``against``). draws: the permuted scores, [P] or [P, Lx, Ly].
    """

    score: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    z: np.ndarray
    p: np.ndarray
    calibrated: np.ndarray
    draws: np.ndarray


def against(score: ArrayLike, draws: ArrayLike, *, quantile: float = 0.95, maximum: float = 1.0) -> Null:
    """A score [...] against permuted scores [P, ...], P >= 1.

    calibrated = max(0, (score - c) / (maximum - c)), where the critical value c is the order statistic of rank
    ceil(quantile * (P + 1)) of the score and its draws together: above it p <= 1 - quantile. This is the calibration of
    arXiv 2602.14486 (its algorithm 1, in the authors' code), so scores of models of different width and depth share a
    zero. It is 0 where c reaches the maximum. NaN never helps: a draw that is NaN counts as >= the score, and
    a score that is NaN has p = 1.
    """
    score, draws = np.asarray(score, np.float64), np.asarray(draws, np.float64)
    if draws.ndim != score.ndim + 1 or draws.shape[1:] != score.shape or not len(draws):
        raise JamError(f"significance: the score has shape {score.shape}, draws {draws.shape}; expected [P, *score]")
    if not 0 < quantile < 1:
        raise JamError(f"significance: quantile is {quantile}; expected a number between 0 and 1")
    count = len(draws)
    std = draws.std(0, ddof=1) if count > 1 else np.full(score.shape, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = draws.mean(0)
        z = (score - mean) / std
        below = (draws < score - _TIE * np.abs(score)).sum(0)
        ordered = np.sort(np.concatenate([draws, score[None]]), axis=0)
        critical = ordered[math.ceil(quantile * (count + 1)) - 1]
        calibrated = np.where(critical < maximum, np.maximum(0, (score - critical) / (maximum - critical)), 0.0)
    return Null(score, mean, std, z, (1 + count - below) / (1 + count), calibrated, draws)


def adjusted(score: ArrayLike, draws: ArrayLike) -> np.ndarray:
    """p of each of many scores [...] when the best of them is looked for: draws [P, ...] of the same permutations.

    (1 + number of permutations whose largest score of all is >= this one) / (1 + P): Westfall and Young's single-step
    maxT, which holds the chance of a single false finding; at the best score it is the p of the maximum, the
    aggregation-aware calibration of arXiv 2602.14486.
    """
    score, draws = np.asarray(score, np.float64), np.asarray(draws, np.float64)
    if draws.shape[1:] != score.shape or not len(draws):
        raise JamError(f"significance: the score has shape {score.shape}, draws {draws.shape}; expected [P, *score]")
    largest_P = draws.reshape(len(draws), -1).max(1)
    below = (largest_P.reshape(-1, *[1] * score.ndim) < score - _TIE * np.abs(score)).sum(0)
    return (1 + len(draws) - below) / (1 + len(draws))


def orders(permutations: int, items: int, seed: int) -> np.ndarray:
    """Uniformly random permutations of the items, int32 [P, N]."""
    if permutations < 1:
        raise JamError(f"significance: {permutations} permutations; expected at least 1")
    generator = np.random.default_rng(seed)
    return generator.permuted(np.tile(np.arange(items, dtype=np.int32), (permutations, 1)), axis=1)


def permutation(
    statistic: Splits, x_NxD: ArrayLike, y_NxE: ArrayLike, permutations: int = 1000, seed: int = 0, **kwargs: Any
) -> Null:
    """The score of two arrays against permutations of their pairing: fields are scalars, draws [P].

    The test is exact when items are exchangeable under the null. Near duplicates are not: permute whole concepts by
    passing one item of each. Keywords: ``memory`` of ``permutation_grid``, ``quantile`` and ``maximum`` of ``against``.
    """
    null = permutation_grid(statistic, [x_NxD], [y_NxE], permutations, seed, **kwargs)
    return Null(*(field[..., 0, 0] for field in null))


def permutation_grid(
    statistic: Splits,
    xs: Sequence[ArrayLike],
    ys: Sequence[ArrayLike],
    permutations: int = 1000,
    seed: int = 0,
    *,
    memory: int = MEMORY,
    quantile: float = 0.95,
    maximum: float = 1.0,
) -> Null:
    """``permutation`` for every layer in xs with every layer in ys: fields [Lx, Ly], draws [P, Lx, Ly].

    A statistic that has ``shifted`` is permuted by all N - 1 cyclic shifts along one random order of the items, or
    along as many orders as it takes to have the permutations asked for: with the pairing as it is, the shifts along an
    order are a group, so p is exact among them (Hemerik and Goeman 2018), and there may be more than were asked for.

    Args:
      xs, ys: arrays [N, D_i] and [N, E_j] of the same N items. memory: bytes for permuted copies at a time.

    Raises:
      JamError: no layers, or layers of different numbers of items.
    """
    items = _items(xs, ys)
    prepare, compare = jax.jit(statistic.prepare), jax.jit(statistic.compare)
    left = [prepare(jnp.asarray(x)) for x in xs]
    shifted = getattr(statistic, "shifted", None)
    needed = permutations if shifted is None else min(permutations, -(-permutations // (items - 1)))
    order_OxN = jnp.asarray(orders(needed, items, seed))
    found, draws = [], []
    at_once: dict[tuple[Any, ...], int] = {}  # by the shapes of a right side: asking the compiler takes a compilation
    for y in ys:
        right = prepare(jnp.asarray(y))
        found.append([compare(side, right) for side in left])
        if shifted is None:
            shapes = tuple(leaf.shape for leaf in jax.tree.leaves(right))
            if shapes not in at_once:
                at_once[shapes] = _permutations_at_once(memory, statistic, left, right, order_OxN)
            block = min(permutations, at_once[shapes])
            draws.append(_permuted_scores(statistic.compare, statistic.permute, block, left, right, order_OxN))
        else:
            draws.append(_shifted_scores(shifted, left, right, order_OxN))
    score_LxK, draws_PxLxK = np.array(jax.device_get(found)).T, np.stack(jax.device_get(draws), axis=-1)
    return against(score_LxK, draws_PxLxK, quantile=quantile, maximum=maximum)


@functools.partial(jax.jit, static_argnums=0)
def _shifted_scores(
    shifted: Callable[[Any, Any, jax.Array], jax.Array], left: list[Any], right: Any, order_OxN: jax.Array
) -> jax.Array:
    """Scores [O * (N - 1), Lx] under all shifts along each order but the one that changes nothing."""

    def scores(order_N: jax.Array) -> jax.Array:
        return jnp.stack([shifted(side, right, order_N)[1:] for side in left], axis=-1)

    return jax.lax.map(scores, order_OxN).reshape(-1, len(left))


def bootstrap(
    statistic: Splits, x_NxD: ArrayLike, y_NxE: ArrayLike, samples: int = 200, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """An interval (low, high) that covers the population's score with about the given probability, over items.

    See ``bootstrap_grid``.
    """
    low, high = bootstrap_grid(statistic, [x_NxD], [y_NxE], samples, seed, level)
    return float(low[0, 0]), float(high[0, 0])


def bootstrap_grid(
    statistic: Splits,
    xs: Sequence[ArrayLike],
    ys: Sequence[ArrayLike],
    samples: int = 200,
    seed: int = 0,
    level: float = 0.95,
    *,
    share: float = 0.5,
    memory: int = MEMORY,
) -> tuple[np.ndarray, np.ndarray]:
    """Intervals for every pair of layers, (low [Lx, Ly], high [Lx, Ly]), by drawing m = share * N items out of N.

    The usual bootstrap draws items with replacement, and an item drawn twice is its own nearest neighbour and its own
    entry of 1 in a kernel: every statistic of neighbours or kernels comes out too high. So subsamples are drawn WITHOUT
    replacement (the m out of n bootstrap of Bickel, Goetze and van Zwet 1997; with this variance it is the delete-d
    jackknife of Shao and Wu 1989) and each is computed anew, neighbours and all. The variance at N items is
    m / (N - m) times that of the subsamples, and the interval is the score plus and minus the normal quantile times its
    root, not clipped to the statistic's range. Coverage is near nominal for smooth statistics such as correlations and
    CKA. It is conservative for neighbour statistics, whose neighbours change with every item left out: simulated
    intervals of mutual kNN are 1.5 to 1.7 times as wide as needed, at any share. Items must be independent; with
    several pictures of one concept the interval is too narrow.

    Args:
      samples: subsamples; the interval's width has a relative error of about 1 / sqrt(2 * samples).
      memory: bytes for prepared subsamples at a time.

    Raises:
      JamError: no layers, different numbers of items, fewer than 2 samples, a level or share outside (0, 1).
    """
    items = _items(xs, ys)
    size = round(share * items)
    if samples < 2 or not 0 < level < 1 or not 2 <= size < items:
        raise JamError(
            f"bootstrap: {samples} samples of {size} out of {items} items at level {level}; expected at least 2 "
            "samples of at least 2 but not all items, and a level between 0 and 1"
        )
    rows_SxM = orders(samples, items, seed)[:, :size]
    prepare, compare = jax.jit(statistic.prepare), jax.jit(statistic.compare)
    layers_x, layers_y = [jnp.asarray(x) for x in xs], [jnp.asarray(y) for y in ys]
    whole_x, whole_y = [prepare(x) for x in layers_x], [prepare(y) for y in layers_y]
    score_LxK = np.array(jax.device_get([[compare(a, b) for b in whole_y] for a in whole_x]), np.float64)
    drawn = []
    # Preparing a subsample may take two matrices of all its pairs beside what is kept.
    block = min(_block(memory, (whole_x, whole_y), samples), max(1, memory // (2 * 4 * size**2)))
    for start in range(0, samples, block):
        rows_BxM = rows_SxM[start : start + block]
        sides = [[_each(statistic.prepare, layer[rows_BxM]) for layer in layers] for layers in (layers_x, layers_y)]
        scores = jax.device_get([[_each(statistic.compare, a, b) for b in sides[1]] for a in sides[0]])
        drawn.append(np.moveaxis(np.array(scores, np.float64), -1, 0))
    deviation_LxK = np.concatenate(drawn).std(0, ddof=1) * math.sqrt(size / (items - size))
    margin_LxK = scipy.special.ndtri(0.5 + level / 2) * deviation_LxK
    return score_LxK - margin_LxK, score_LxK + margin_LxK


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _permuted_scores(
    compare: Callable, permute: Callable, block: int, left: list[Any], right: Any, order_PxN: jax.Array
) -> jax.Array:
    """Scores [P, Lx] of all left sides with one right side in every order."""

    def scores(order_N: jax.Array) -> jax.Array:
        permuted = permute(right, order_N)
        return jnp.stack([compare(side, permuted) for side in left])

    return jax.lax.map(scores, order_PxN, batch_size=block)


@functools.partial(jax.jit, static_argnums=0)
def _each(function: Callable, *arguments: Any) -> Any:
    """The function mapped over the first axis of its arguments."""
    return jax.vmap(function)(*arguments)


def _items(xs: Sequence[ArrayLike], ys: Sequence[ArrayLike]) -> int:
    counts = sorted({np.shape(layer)[0] for layer in (*xs, *ys)})
    if not len(xs) or not len(ys) or len(counts) > 1:
        raise JamError(
            f"significance: {len(xs)} and {len(ys)} layers of {' and '.join(map(str, counts))} items; expected at "
            "least one layer each, and the same items in all"
        )
    return counts[0]


def _permutations_at_once(memory: int, statistic: Splits, left: list[Any], right: Any, order_PxN: jax.Array) -> int:
    """How many permutations fit in the memory, going by what the compiler sets aside for one."""
    one = _permuted_scores.lower(statistic.compare, statistic.permute, 1, left, right, order_PxN[:1]).compile()
    analysis = one.memory_analysis()
    return max(1, memory // max(1, analysis.temp_size_in_bytes)) if analysis is not None else 1


def _block(memory: int, prepared: Any, most: int) -> int:
    """How many copies of what is prepared, and as much again in temporaries, fit in the memory."""
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(prepared))
    return int(np.clip(memory // max(1, 2 * size), 1, most))


__all__ = ["Null", "adjusted", "against", "bootstrap", "bootstrap_grid", "orders", "permutation", "permutation_grid"]
