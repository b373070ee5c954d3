"""How sure is a difference of two scores on the same items? Both are resampled alike, so what they share cancels."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import scipy.special

from jam_jax.measuring import grids
from jam_jax.metrics import significance
from jam_jax.metrics.predictivity import held_out
from jam_jax.metrics.predictivity_interval import Draws
from jam_jax.metrics.statistics import STATISTICS

Score = Callable[[np.ndarray, np.ndarray], float]
Resampled = Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]]
_SHARE = 0.5  # of the items in a subsample, as in significance.bootstrap_grid


def resampled(metric: str, direction: str, settings: Mapping[str, Any]) -> Resampled:
    """A function of pictures [N, D] and captions [N, E]: their score, and how far B resamplings of items move it [B].

    The b-th resampling takes the same items whatever the arrays, as long as there are N of them: of two scores, the
    deviations of the difference are the differences of their deviations. Linear predictivity resamples held-out items
    with the fitted maps as they are (``predictivity_interval``), other metrics are computed anew on half of the items
    (``significance.bootstrap_grid``). ``settings`` has ``samples`` and ``seed``.
    """
    samples, seed = settings["samples"], settings["seed"]
    if metric == grids.PREDICTIVITY:

        def predicted(x_NxD: np.ndarray, y_NxE: np.ndarray) -> tuple[float, np.ndarray]:
            source, target = (y_NxE, x_NxD) if direction == "language_to_vision" else (x_NxD, y_NxE)
            draws = Draws(1, 1, samples, seed)
            for fold in held_out([source], [target]):
                draws.add(*fold)
            drawn_B = draws.drawn_BxLxK[:, 0, 0]
            return float(draws.score_LxK[0, 0]), drawn_B - drawn_B.mean()

        return predicted
    return subsampled(score_of(metric, direction), samples, seed)


def subsampled(score: Score, samples: int, seed: int) -> Resampled:
    """``resampled`` for any score: computed anew on half of the items, deviations brought to the size of all N."""

    def half(x_NxD: np.ndarray, y_NxE: np.ndarray) -> tuple[float, np.ndarray]:
        items = len(x_NxD)
        size = round(_SHARE * items)
        rows_BxM = significance.orders(samples, items, seed)[:, :size]
        draws = np.array([score(x_NxD[rows], y_NxE[rows]) for rows in rows_BxM])
        return score(x_NxD, y_NxE), (draws - draws.mean()) * math.sqrt(size / (items - size))

    return half


def score_of(metric: str, direction: str) -> Score:
    """A statistic as a function of pictures [N, D] and captions [N, E]."""
    statistic = STATISTICS[metric]
    compare = jax.jit(statistic.compare)
    if direction == "language_to_vision":
        return lambda x, y: float(compare(statistic.prepare(y), statistic.prepare(x)))
    return lambda x, y: float(compare(statistic.prepare(x), statistic.prepare(y)))


def interval(value: float, deviations_B: np.ndarray, level: float) -> dict[str, float]:
    """{'low', 'high'} around a value: the normal quantile times the standard deviation of its resamplings."""
    margin = float(scipy.special.ndtri(0.5 + level / 2) * np.std(deviations_B, ddof=1))
    return {"low": value - margin, "high": value + margin}


__all__ = ["Resampled", "Score", "interval", "resampled", "score_of", "subsampled"]
