"""Does a statistic tell matching pairs from wrong ones? Matching, easy and hard pairs (JAM's first figure).

A statistic of whole sets sees only how items lie to each other. Hard negatives move every caption by a like detail, so
most of that structure stays, and a statistic can be as high for pictures with wrong captions as with their own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jam_jax.activations.pairs import Pairs
from jam_jax.errors import JamError
from jam_jax.evaluation import NEIGHBOUR
from jam_jax.measuring.data import Data, first_captions
from jam_jax.measuring.resampling import Resampled, interval, resampled

KINDS = ("matching", "easy", "hard")


def measure(data: Data, settings: Mapping[str, Any], peaks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One record for each of ``peaks`` (of ``layers.peaks``), measured at its layer pair.

    {vision, language, layers, metric, direction, items, scores {matching, easy, hard}, drops {easy, hard: {drop, low,
    high}}}: a statistic separates when the interval of its drop from matching pairs lies above 0.
    """
    items, captions = rows(
        data.pairs, settings["data"]["captions"], settings["seed"], sources=settings["data"]["sources"]
    )
    found = []
    for peak in peaks:
        x, y = data.at(peak)
        ys = {kind: y[captions[kind]] for kind in KINDS}
        scores, drops = compare(resampled(peak["metric"], peak["direction"], settings), x[items], ys, settings["level"])
        names = ("vision", "language", "vision_layer", "language_layer", "metric", "direction")
        found.append({name: peak[name] for name in names} | {"items": len(items), "scores": scores, "drops": drops})
    return found


def rows(
    pairs: Pairs, kinds: Sequence[str], seed: int, *, sources: Sequence[str] = ()
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Items [N] with a hard negative that is no neighbour, one of each concept, and caption rows {kind: [N]}.

    'matching' is the item's first caption of the wanted kinds, 'hard' its first hard negative, 'easy' the caption of an
    item of another category, each used about as often as any other. Items are of the wanted ``sources`` (empty: all).
    Raises JamError when fewer than four items have such a negative.
    """
    first = first_captions(pairs, kinds)
    chosen = []
    for item in np.flatnonzero(pairs.gallery).tolist():
        if item in first and (not sources or pairs.sources[item] in sources):
            row = first[item]
            hard = [
                n for n, k in zip(pairs.negative_rows[row], pairs.negative_kinds[row], strict=True) if k != NEIGHBOUR
            ]
            if hard:
                chosen.append((item, row, hard[0]))
    if len(chosen) < 4:
        raise JamError(f"studies: 'kinds' needs items with hard negatives that are no neighbours, found {len(chosen)}")
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


def compare(
    resampled: Resampled, x: np.ndarray, ys: Mapping[str, np.ndarray], level: float
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Scores of each kind of pairs, and how much lower than matching ones the wrong kinds are, with intervals."""
    found = {kind: resampled(x, y) for kind, y in ys.items()}
    matching, moved = found["matching"]
    drops = {}
    for kind in KINDS[1:]:
        drop = matching - found[kind][0]
        drops[kind] = {"drop": drop} | interval(drop, moved - found[kind][1], level)
    return {kind: score for kind, (score, _) in found.items()}, drops


__all__ = ["KINDS", "compare", "measure", "other_category", "rows"]
