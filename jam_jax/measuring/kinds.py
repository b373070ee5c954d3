"""Does a statistic tell matching pairs from wrong ones? Matching, easy and hard pairs (JAM's first figure).

A statistic of whole sets sees only how items lie to each other. Hard negatives move every caption by a like detail, so
most of that structure stays, and a statistic can be as high for pictures with wrong captions as with their own.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import scipy.special

from jam_jax.activations.pairs import Pairs
from jam_jax.evaluation import NEIGHBOUR
from jam_jax.measuring import grids
from jam_jax.measuring.data import Data, first_captions
from jam_jax.metrics import significance
from jam_jax.metrics.predictivity import linear_predictivity
from jam_jax.metrics.statistics import STATISTICS

KINDS = ("matching", "easy", "hard")
Score = Callable[[np.ndarray, np.ndarray], float]


def measure(data: Data, settings: Mapping[str, Any], peaks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One record for each of ``peaks`` (of ``layers.peaks``), measured at its layer pair.

    {vision, language, layers, metric, direction, items, scores {matching, easy, hard}, drops {easy, hard: {drop, low,
    high}}}: a statistic separates when the interval of its drop from matching pairs lies above 0.
    """
    items, captions = rows(data.pairs, settings["data"]["captions"], settings["seed"])
    vision = {side.name: side for side in data.vision}
    language = {side.name: side for side in data.language}
    found = []
    for peak in peaks:
        x = vision[peak["vision"]].layers[peak["vision_layer"]][items]
        store = language[peak["language"]].layers[peak["language_layer"]]
        ys = {kind: store[captions[kind]] for kind in KINDS}
        cheap = peak["metric"] != grids.PREDICTIVITY
        samples = settings["samples" if cheap else "predictivity_samples"]
        scores, drops = compare(
            score_of(peak["metric"], peak["direction"]), x, ys, samples, settings["seed"], settings["level"]
        )
        names = ("vision", "language", "vision_layer", "language_layer", "metric", "direction")
        found.append({name: peak[name] for name in names} | {"items": len(items), "scores": scores, "drops": drops})
    return found


def rows(pairs: Pairs, kinds: Sequence[str], seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Items [N] with a hard negative that is no neighbour, one of each concept, and caption rows {kind: [N]}.

    'matching' is the item's first caption of the wanted kinds, 'hard' its first hard negative, 'easy' the caption of an
    item of another category, each used about as often as any other.
    """
    first = first_captions(pairs, kinds)
    chosen = []
    for item in np.flatnonzero(pairs.gallery).tolist():
        if item in first:
            row = first[item]
            hard = [
                n for n, k in zip(pairs.negative_rows[row], pairs.negative_kinds[row], strict=True) if k != NEIGHBOUR
            ]
            if hard:
                chosen.append((item, row, hard[0]))
    items, matching, hard_rows = (np.array(column, int) for column in zip(*chosen, strict=True))
    categories = np.array([pairs.categories[item] for item in items])
    easy = matching[other_category(categories, np.random.default_rng(seed))]
    return items, {"matching": matching, "easy": easy, "hard": hard_rows}


def other_category(categories: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """For each item another one of another category [N]; a permutation wherever no category has half of the items."""
    # Sorted by category, a step by the size of the largest category leads out of every category.
    order = generator.permutation(len(categories))
    order = order[np.argsort(categories[order], kind="stable")]
    step = int(np.unique(categories, return_counts=True)[1].max())
    found = np.empty(len(order), int)
    found[order] = np.roll(order, -step)
    same = np.flatnonzero(categories[found] == categories)
    for item in same:
        found[item] = generator.choice(np.flatnonzero(categories != categories[item]))
    return found


def score_of(metric: str, direction: str) -> Score:
    """The metric as a function of pictures [N, D] and captions [N, E]."""
    if metric == grids.PREDICTIVITY:
        if direction == "language_to_vision":
            return lambda x, y: float(linear_predictivity(y, x))
        return lambda x, y: float(linear_predictivity(x, y))
    statistic = STATISTICS[metric]
    compare = jax.jit(statistic.compare)
    if direction == "language_to_vision":
        return lambda x, y: float(compare(statistic.prepare(y), statistic.prepare(x)))
    return lambda x, y: float(compare(statistic.prepare(x), statistic.prepare(y)))


def compare(
    score: Score, x: np.ndarray, ys: Mapping[str, np.ndarray], samples: int, seed: int, level: float, share: float = 0.8
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Scores of each kind of pairs, and how much lower the wrong kinds are, with intervals over items.

    Matching and wrong pairs are measured on the same subsamples, so what they have in common cancels; the interval is
    that of ``significance.bootstrap_grid``.
    """
    items = len(x)
    size = round(share * items)
    scores = {kind: score(x, y) for kind, y in ys.items()}
    drawn: dict[str, list[float]] = {kind: [] for kind in KINDS[1:]}
    for taken in significance.orders(samples, items, seed)[:, :size]:
        true = score(x[taken], ys["matching"][taken])
        for kind, drops in drawn.items():
            drops.append(true - score(x[taken], ys[kind][taken]))
    width = scipy.special.ndtri(0.5 + level / 2) * math.sqrt(size / (items - size))
    found = {}
    for kind, drops in drawn.items():
        drop, margin = scores["matching"] - scores[kind], float(width * np.std(drops, ddof=1))
        found[kind] = {"drop": drop, "low": drop - margin, "high": drop + margin}
    return scores, found


__all__ = ["KINDS", "compare", "measure", "other_category", "rows", "score_of"]
