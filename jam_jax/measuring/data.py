"""Activations for measuring: the same items on both sides, one picture and one caption of each."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from etils import epath

from jam_jax.activations import selection, sources
from jam_jax.activations.pairs import NO_ITEM, Pairs
from jam_jax.config import suggest
from jam_jax.errors import JamError


class Backbone(NamedTuple):
    """The measured layers of one backbone: {layer: a row for each item or caption of the pairs, float32 [rows, D]}.

    ``skipped`` are the ids of rows that its export left out; they are 0 in the layers.
    """

    name: str
    layers: dict[int, np.ndarray]
    skipped: frozenset[str] = frozenset()

    def rows(self, wanted: np.ndarray) -> list[np.ndarray]:
        """Each layer's wanted rows."""
        return [values[wanted] for values in self.layers.values()]


class Data(NamedTuple):
    """Pairs and the backbones of both modalities."""

    pairs: Pairs
    vision: list[Backbone]
    language: list[Backbone]

    def at(self, record: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """All rows of the two layers that a record names: pictures and captions."""
        x, y = (
            next(side for side in there if side.name == record[modality]).layers[record[f"{modality}_layer"]]
            for modality, there in (("vision", self.vision), ("language", self.language))
        )
        return x, y


def read(settings: Mapping[str, Any], root: epath.Path) -> Data:
    """Reads every backbone that the ``data`` part of a measure config names.

    What the export of any backbone skipped is left out of the pairs and of all of them. Raises JamError as
    ``activations.sources.load`` does, and when a backbone has none of the wanted layers.
    """
    pairs = sources.open_pairs(root)
    sides = {
        modality: [backbone(root, name, settings[f"{modality}_layer"], modality, pairs) for name in settings[modality]]
        for modality in ("vision", "language")
    }
    return _without_skipped(Data(pairs, sides["vision"], sides["language"]))


def _without_skipped(data: Data) -> Data:
    items, captions = (frozenset().union(*(side.skipped for side in sides)) for sides in (data.vision, data.language))
    if not items and not captions:
        return data
    kept, item_places, caption_places = selection.without(data.pairs, set(items), set(captions))
    # The places count what was not skipped, so what was goes first.
    stored_N = np.array([item not in items for item in data.pairs.item_ids])
    stored_M = np.array([caption not in captions for caption in data.pairs.caption_ids])
    rows = {"vision": np.flatnonzero(stored_N)[item_places], "language": np.flatnonzero(stored_M)[caption_places]}
    print(
        f"{data.pairs.items - kept.items} of {data.pairs.items} items and {data.pairs.captions - kept.captions} of "
        f"{data.pairs.captions} captions are left out, because an export skipped them or what belongs to them",
        file=sys.stderr,
    )
    sides = {
        modality: [side._replace(layers={n: x[rows[modality]] for n, x in side.layers.items()}) for side in there]
        for modality, there in (("vision", data.vision), ("language", data.language))
    }
    return Data(kept, sides["vision"], sides["language"])


def backbone(root: epath.Path, name: str, wanted: Sequence[int], modality: str, pairs: Pairs) -> Backbone:
    """Those of the wanted layers that a store has, all of them when none is named."""
    store = sources.open_store(root, name, f"data.{modality}")
    layers = [layer for layer in store.layers if not wanted or layer in wanted]
    if not layers:
        stored = ", ".join(map(str, store.layers))
        raise JamError(f"data.{modality}_layer: '{name}' has none of {tuple(wanted)}; it stores {stored}")
    values = sources.load(root, name, layers, modality, pairs).values[:]
    skipped = frozenset(row["id"] for row in store.manifest.skipped)
    if skipped:
        ids = pairs.item_ids if modality == "vision" else pairs.caption_ids
        every = np.zeros((len(ids), values.shape[1]), values.dtype)
        every[[i for i, name_of_row in enumerate(ids) if name_of_row not in skipped]] = values
        values = every
    ends = np.cumsum([store.manifest.layers[layer] for layer in layers])[:-1]
    return Backbone(name, dict(zip(layers, np.split(values, ends, axis=1), strict=True)), skipped)


def matched(pairs: Pairs, settings: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the measured items [N] and of one caption of each [N]: its first of the wanted kinds (of any, if empty).

    One item of each concept and source: items that differ in a detail are not independent, and a null or an interval
    that takes them so is too narrow. ``settings`` are the ``data`` part of a measure config: ``captions`` the kinds,
    ``sources`` the sets of pictures, all if empty. Raises JamError when nothing is left.
    """
    kinds, wanted = settings["captions"], settings["sources"]
    unknown = [source for source in wanted if source not in pairs.sources]
    if unknown:
        raise JamError(f"data.sources: '{unknown[0]}' is unknown{suggest(unknown[0], sorted(set(pairs.sources)))}")
    first = first_captions(pairs, kinds)
    chosen = [
        (item, first[item])
        for item in np.flatnonzero(pairs.gallery).tolist()
        if item in first and (not wanted or pairs.sources[item] in wanted)
    ]
    if len(chosen) < 2:
        raise JamError(f"data.captions: {len(chosen)} items have a caption of {kinds}; name kinds that are there")
    items, captions = zip(*chosen, strict=True)
    return np.array(items), np.array(captions)


def first_captions(pairs: Pairs, kinds: Sequence[str]) -> dict[int, int]:
    """{item: row of its first caption of the wanted kinds, or of any}."""
    first: dict[int, int] = {}
    for row, (item, kind) in enumerate(zip(pairs.caption_items.tolist(), pairs.caption_kinds, strict=True)):
        if item != NO_ITEM and (not kinds or kind in kinds):
            first.setdefault(item, row)
    return first


__all__ = ["Backbone", "Data", "backbone", "first_captions", "matched", "read"]
