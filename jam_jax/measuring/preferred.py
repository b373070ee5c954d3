"""Do models align better through the picture that fits a caption? Set level and item level (He et al., section 4)."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.special

from jam_jax.datasets.preferences import Choices, against_neighbours
from jam_jax.measuring import grids
from jam_jax.measuring.data import Data
from jam_jax.measuring.resampling import interval, resampled
from jam_jax.metrics.predictivity import ALPHAS, fit_predict, k_folds

FOLDS, FOLD_SEED = 5, 42


def measure(data: Data, settings: Mapping[str, Any], peaks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One record for each peak of linear predictivity, at its layer pair, of true pictures against neighbours'.

    {.., items, set_level {preferred, rejected, difference, low, high}, item_level {accuracy, low, high}}; chance at the
    item level is 0.5.
    """
    kind = settings["data"]["captions"][0] if settings["data"]["captions"] else ""
    choices = against_neighbours(data.pairs, kind=kind, seed=settings["seed"])
    found = []
    for peak in peaks:
        if peak["metric"] != grids.PREDICTIVITY:
            continue
        x, y = data.at(peak)
        names = ("vision", "language", "vision_layer", "language_layer", "metric", "direction")
        found.append(
            {name: peak[name] for name in names}
            | {"items": len(choices.captions)}
            | {"set_level": set_level(x, y, choices, peak["direction"], settings)}
            | {"item_level": item_level(x, y, choices, peak["direction"], settings["level"])}
        )
    return found


def set_level(
    x: np.ndarray, y: np.ndarray, choices: Choices, direction: str, settings: Mapping[str, Any]
) -> dict[str, float]:
    """Linear predictivity on (caption, preferred) against (caption, rejected), with an interval of the difference."""
    measured, texts = resampled(grids.PREDICTIVITY, direction, settings), y[choices.captions]
    preferred, moved = measured(x[choices.preferred], texts)
    rejected, moved_rejected = measured(x[choices.rejected], texts)
    difference = preferred - rejected
    return {"preferred": preferred, "rejected": rejected, "difference": difference} | interval(
        difference, moved - moved_rejected, settings["level"]
    )


def item_level(x: np.ndarray, y: np.ndarray, choices: Choices, direction: str, level: float) -> dict[str, float]:
    """Two-way choice by the correlation of a prediction with its target, fitted on preferred pairs of the other folds.

    Where captions predict pictures, the prediction is compared with both pictures; where pictures predict captions,
    both predictions with the caption. Ties are misses. The interval is Wilson's.
    """
    good, bad, texts = x[choices.preferred], x[choices.rejected], y[choices.captions]
    right = np.zeros(len(texts), bool)
    for train, test in k_folds(len(texts), FOLDS, FOLD_SEED):
        if direction == "language_to_vision":
            told = fit_predict(texts[train], good[train], texts[test], ALPHAS)
            right[test] = correlation(told, good[test]) > correlation(told, bad[test])
        else:
            both = np.concatenate([good[test], bad[test]])
            told_good, told_bad = np.split(fit_predict(good[train], texts[train], both, ALPHAS), 2)
            right[test] = correlation(told_good, texts[test]) > correlation(told_bad, texts[test])
    accuracy, n = float(right.mean()), len(right)
    z = float(scipy.special.ndtri(0.5 + level / 2))
    middle = (accuracy + z * z / (2 * n)) / (1 + z * z / n)
    margin = z / (1 + z * z / n) * math.sqrt(accuracy * (1 - accuracy) / n + z * z / (4 * n * n))
    return {"accuracy": accuracy, "low": middle - margin, "high": middle + margin}


def correlation(a_NxD: np.ndarray, b_NxD: np.ndarray) -> np.ndarray:
    """Pearson r of each row of a with the same row of b, [N]; NaN where a row does not vary."""
    a_NxD, b_NxD = (z - z.mean(axis=1, keepdims=True) for z in (a_NxD, b_NxD))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (a_NxD * b_NxD).sum(1) / np.sqrt((a_NxD**2).sum(1) * (b_NxD**2).sum(1))


__all__ = ["correlation", "item_level", "measure", "set_level"]
