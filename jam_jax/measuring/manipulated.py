"""What is it in a picture or caption that models agree on? Each manipulation against the unmanipulated."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from etils import epath

from jam_jax.activations import sources
from jam_jax.activations.pairs import Pairs
from jam_jax.datasets import scenes
from jam_jax.errors import JamError
from jam_jax.measuring import data as data_lib
from jam_jax.measuring import grids
from jam_jax.measuring.resampling import interval, resampled


def measure(settings: Mapping[str, Any], root: epath.Path) -> list[dict[str, Any]]:
    """One record for each manipulation, layer pair, metric and direction.

    {manipulation, side, vision, language, vision_layer, language_layer, metric, direction, items, original, score,
    change, low, high}: the interval is that of the change, both resampled alike over items.
    """
    folders = {
        name: root / name for name in (settings["original"], *settings["pictures"], *settings["manipulated_captions"])
    }
    original = folders.pop(settings["original"])
    pairs = sources.open_pairs(original)
    items, captions = data_lib.matched(pairs, settings["data"])
    within = _photographs(settings, pairs, items)
    read = {
        "vision": lambda folder, name: _layers(folder, name, "vision", settings, items, within),
        "language": lambda folder, name: _layers(folder, name, "language", settings, captions, within),
    }
    plain = {side: {name: read[side](original, name) for name in settings["data"][side]} for side in read}
    found = []
    for manipulation, folder in folders.items():
        side = "vision" if manipulation in settings["pictures"] else "language"
        for name in settings["data"][side]:
            for layer, changed in read[side](folder, name).items():
                before = plain[side][name][layer]
                other = "language" if side == "vision" else "vision"
                for other_name, layers in plain[other].items():
                    for other_layer, there in layers.items():
                        named = {side: name, f"{side}_layer": layer, other: other_name, f"{other}_layer": other_layer}
                        sides = (before, changed, there) if side == "vision" else (there, before, changed)
                        found += _records(manipulation, side, named, sides, settings)
    return found


def _records(
    manipulation: str, side: str, named: Mapping[str, Any], sides: tuple[np.ndarray, ...], settings: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Of one manipulation and layer pair: every metric and direction."""
    (plain, changed) = ((sides[0], sides[2]), (sides[1], sides[2])) if side == "vision" else (sides[:2], sides[::2])
    found = []
    for metric in settings["metrics"]:
        for direction in grids.directions(metric):
            measured = resampled(metric, direction, settings)
            (before, moved_before), (after, moved_after) = measured(*plain), measured(*changed)
            change = after - before
            found.append(
                {"manipulation": manipulation, "side": side, **named, "metric": metric, "direction": direction}
                | {"items": len(plain[0]), "original": before, "score": after, "change": change}
                | interval(change, moved_after - moved_before, settings["level"])
            )
    return found


def _layers(
    folder: epath.Path,
    name: str,
    modality: str,
    settings: Mapping[str, Any],
    rows: np.ndarray,
    within: np.ndarray | None,
) -> dict[int, np.ndarray]:
    pairs = sources.open_pairs(folder)
    found = data_lib.backbone(folder, name, settings["data"][f"{modality}_layer"], modality, pairs)
    if found.skipped:
        raise JamError(f"{folder / name}: {len(found.skipped)} rows were skipped; export the scenes without bad ones")
    layers = dict(zip(found.layers, found.rows(rows), strict=True))
    return layers if within is None else {layer: scenes.within(x, within) for layer, x in layers.items()}


def _photographs(settings: Mapping[str, Any], pairs: Pairs, items: np.ndarray) -> np.ndarray | None:
    folder = settings["data"]["within"]
    return scenes.photographs_of(pathlib.Path(folder), pairs)[items] if folder else None


__all__ = ["measure"]
