"""How alike are two models in each pair of layers: the matrix, its peak, and how it rises with depth."""

from collections.abc import Mapping, Sequence
from typing import Any

from jam_jax.measuring import grids
from jam_jax.measuring.data import Data, matched

Record = dict[str, Any]
_PAIR = ("metric", "direction", "vision", "language")


def measure(data: Data, settings: Mapping[str, Any]) -> list[Record]:
    """Every metric over all layer pairs of all backbones: the ``pairs`` of results.json."""
    items, captions = matched(data.pairs, settings["data"])
    vision = [(side, side.rows(items)) for side in data.vision]
    language = [(side, side.rows(captions)) for side in data.language]
    return [record for metric in settings["metrics"] for record in grids.records(metric, vision, language, settings)]


def peaks(records: Sequence[Record]) -> list[Record]:
    """The best layer pair of each metric, direction and pair of backbones.

    ``vision_depth`` and ``language_depth`` are its place between the shallowest measured layer (0) and the deepest (1).
    A peak is the largest of many scores: ``p_adjusted`` allows for that, ``p`` does not.
    """
    found = []
    for group in grouped(records):
        best = max(group, key=lambda record: record["score"])
        depths = {}
        for side in ("vision", "language"):
            layers = sorted({record[f"{side}_layer"] for record in group})
            span = layers[-1] - layers[0]
            depths[f"{side}_depth"] = (best[f"{side}_layer"] - layers[0]) / span if span else None
        found.append(best | depths)
    return found


def profiles(records: Sequence[Record]) -> list[Record]:
    """For each layer of each model the best score over the layers of the other: {.., side, layer, score}."""
    found = []
    for group in grouped(records):
        for side in ("vision", "language"):
            for layer in sorted({record[f"{side}_layer"] for record in group}):
                best = max((r for r in group if r[f"{side}_layer"] == layer), key=lambda record: record["score"])
                found.append({key: best[key] for key in _PAIR} | {"side": side, "layer": layer, "score": best["score"]})
    return found


def grouped(records: Sequence[Record]) -> list[list[Record]]:
    """Records of one metric, direction and pair of backbones together, in the order they come."""
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        groups.setdefault(tuple(record[key] for key in _PAIR), []).append(record)
    return list(groups.values())


__all__ = ["grouped", "measure", "peaks", "profiles"]
