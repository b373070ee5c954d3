"""One metric over all pairs of layers, each score with its null and its interval, as plain records."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jam_jax.measuring.data import Backbone
from jam_jax.metrics import significance
from jam_jax.metrics.predictivity_interval import Draws, predictivity_bootstrap
from jam_jax.metrics.predictivity_null import predictivity_permutation
from jam_jax.metrics.predictivity_shifts import MOST, predictivity_shifts
from jam_jax.metrics.statistics import DIRECTED, STATISTICS

PREDICTIVITY = "linear_predictivity"
METRICS = (PREDICTIVITY, *STATISTICS)
DIRECTIONS = DIRECTED
Layers = Sequence[np.ndarray]


def records(
    metric: str,
    vision: Sequence[tuple[Backbone, Layers]],
    language: Sequence[tuple[Backbone, Layers]],
    settings: Mapping[str, Any],
) -> Iterator[dict[str, Any]]:
    """One record for each layer pair and direction, in the form of results.json.

    ``vision`` and ``language`` are backbones with the rows of each layer, [N, D], the same N items in all of them. All
    layers of all backbones go through the metric together, so what depends on one layer is computed once.
    """
    xs, ys = [layer for _, layers in vision for layer in layers], [layer for _, layers in language for layer in layers]
    names_x = [(side.name, layer) for side, _ in vision for layer in side.layers]
    names_y = [(side.name, layer) for side, _ in language for layer in side.layers]
    for direction, null, low, high in nulls(metric, xs, ys, settings):
        p_adjusted = _adjusted(null, [name for name, _ in names_x], [name for name, _ in names_y], direction)
        for i, (vision_name, vision_layer) in enumerate(names_x):
            for j, (language_name, language_layer) in enumerate(names_y):
                at = (j, i) if direction == "language_to_vision" else (i, j)
                yield {
                    "vision": vision_name, "language": language_name, "vision_layer": vision_layer,
                    "language_layer": language_layer, "metric": metric, "direction": direction,
                    "score": float(null.score[at]), "null_mean": float(null.mean[at]), "null_std": float(null.std[at]),
                    "z": float(null.z[at]), "p": float(null.p[at]), "p_adjusted": float(p_adjusted[i, j]),
                    "calibrated": float(null.calibrated[at]), "low": float(low[at]), "high": float(high[at]),
                }  # fmt: skip


def _adjusted(null: significance.Null, names_x: list[str], names_y: list[str], direction: str) -> np.ndarray:
    """p [Lx, Ly] for whoever looks for the best layer pair of two backbones, each pair of these by itself."""
    score, draws = null.score, null.draws
    if direction == DIRECTIONS[1]:
        score, draws = score.T, draws.transpose(0, 2, 1)
    found = np.ones(score.shape)
    for x, y in itertools.product(dict.fromkeys(names_x), dict.fromkeys(names_y)):
        rows, columns = np.array(names_x) == x, np.array(names_y) == y
        found[np.ix_(rows, columns)] = significance.adjusted(score[rows][:, columns], draws[:, rows][:, :, columns])
    return found


def directions(metric: str) -> tuple[str, ...]:
    """'symmetric', or the two directions of a metric that has them."""
    return DIRECTIONS if metric == PREDICTIVITY else STATISTICS[metric].directions


def nulls(
    metric: str, xs: Layers, ys: Layers, settings: Mapping[str, Any]
) -> Iterator[tuple[str, significance.Null, np.ndarray, np.ndarray]]:
    """(direction, null, low, high) of each direction of a metric; fields [Lx, Ly], or [Ly, Lx] where language predicts.

    ``settings`` are the keys ``permutations``, ``predictivity_permutations`` (of more items than
    ``predictivity_shifts`` is meant for), ``samples``, ``level`` and ``seed`` of a measure config.
    """
    seed, level = settings["seed"], settings["level"]
    if metric != PREDICTIVITY:
        statistic = STATISTICS[metric]
        for direction in statistic.directions:
            sources, targets = (ys, xs) if direction == DIRECTIONS[1] else (xs, ys)
            null = significance.permutation_grid(statistic, sources, targets, settings["permutations"], seed)
            low, high = significance.bootstrap_grid(statistic, sources, targets, settings["samples"], seed, level)
            yield direction, null, low, high
        return
    for direction, sources, targets in zip(DIRECTIONS, (xs, ys), (ys, xs), strict=True):
        if len(sources[0]) > MOST:
            null = predictivity_permutation(sources, targets, settings["predictivity_permutations"], seed)
            yield direction, null, *predictivity_bootstrap(sources, targets, settings["samples"], seed, level)
        else:
            draws = Draws(len(sources), len(targets), settings["samples"], seed)
            null = predictivity_shifts(sources, targets, settings["permutations"], seed, watch=draws.add)
            yield direction, null, *draws.interval(level)


__all__ = ["DIRECTIONS", "METRICS", "PREDICTIVITY", "directions", "nulls", "records"]
