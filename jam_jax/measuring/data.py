"""Activations for measuring: the same items on both sides, one picture and one caption of each."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from etils import epath

from jam_jax.activations import sources
from jam_jax.activations.pairs import NO_ITEM, Pairs
from jam_jax.errors import JamError


class Backbone(NamedTuple):
    """The measured layers of one backbone: {layer: all rows of its store, float32 [rows, D]}."""

    name: str
    layers: dict[int, np.ndarray]

    def rows(self, wanted: np.ndarray) -> list[np.ndarray]:
        """Each layer's wanted rows."""
        return [values[wanted] for values in self.layers.values()]


class Data(NamedTuple):
    """Pairs and the backbones of both modalities."""

    pairs: Pairs
    vision: list[Backbone]
    language: list[Backbone]


def read(settings: Mapping[str, Any], root: epath.Path) -> Data:
    """Reads every backbone that the ``data`` part of a measure config names.

    Raises JamError as ``activations.sources.load`` does, and when a backbone has none of the wanted layers.
    """
    pairs = sources.open_pairs(root)
    sides = {
        modality: [backbone(root, name, settings[f"{modality}_layer"], modality, pairs) for name in settings[modality]]
        for modality in ("vision", "language")
    }
    return Data(pairs, sides["vision"], sides["language"])


def backbone(root: epath.Path, name: str, wanted: Sequence[int], modality: str, pairs: Pairs) -> Backbone:
    """Those of the wanted layers that a store has, all of them when none is named."""
    store = sources.open_store(root, name, f"data.{modality}")
    layers = [layer for layer in store.layers if not wanted or layer in wanted]
    if not layers:
        stored = ", ".join(map(str, store.layers))
        raise JamError(f"data.{modality}_layer: '{name}' has none of {tuple(wanted)}; it stores {stored}")
    if skipped := store.manifest.skipped:
        raise JamError(
            f"data.{modality}: '{name}' left {len(skipped)} rows out when it was exported ({skipped[0]['id']}); "
            "measure on a data set without them"
        )
    values = sources.load(root, name, layers, modality, pairs).values
    ends = np.cumsum([store.manifest.layers[layer] for layer in layers])[:-1]
    return Backbone(name, dict(zip(layers, np.split(values, ends, axis=1), strict=True)))


def matched(pairs: Pairs, kinds: Sequence[str], *, per_concept: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the measured items [N] and of one caption of each [N]: its first of the wanted kinds (of any, if empty).

    ``per_concept`` takes one item of each concept: items that differ in a detail are not independent, and a null or an
    interval that takes them so is too narrow. Raises JamError when nothing is left.
    """
    items: list[int] = []
    captions: list[int] = []
    first = first_captions(pairs, kinds)
    for item in np.flatnonzero(pairs.gallery) if per_concept else range(pairs.items):
        if int(item) in first:
            items.append(int(item))
            captions.append(first[int(item)])
    if len(items) < 2:
        raise JamError(f"data.captions: {len(items)} items have a caption of {tuple(kinds)}; name kinds that are there")
    return np.array(items), np.array(captions)


def first_captions(pairs: Pairs, kinds: Sequence[str]) -> dict[int, int]:
    """{item: row of its first caption of the wanted kinds, or of any}."""
    first: dict[int, int] = {}
    for row, (item, kind) in enumerate(zip(pairs.caption_items.tolist(), pairs.caption_kinds, strict=True)):
        if item != NO_ITEM and (not kinds or kind in kinds):
            first.setdefault(item, row)
    return first


__all__ = ["Backbone", "Data", "backbone", "first_captions", "matched", "read"]
