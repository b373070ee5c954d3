"""Pairs without the rows that an export had to skip."""

import dataclasses

import numpy as np

from jam_jax.activations.pairs import NO_ITEM, Pairs


def take(pairs: Pairs, items: np.ndarray, captions: np.ndarray) -> Pairs:
    """The pairs of some items and captions (rows in order; the captions' items among them), hard negatives included.

    A gallery keeps one item of each concept that it had one of: the first that is left.
    """
    place_of_item = np.full(pairs.items, -1)
    place_of_item[items] = np.arange(len(items))
    place_of_caption = np.full(pairs.captions, -1)
    place_of_caption[captions] = np.arange(len(captions))
    owners = pairs.caption_items[captions]
    kept: dict[str, object] = {
        "caption_items": np.where(owners == NO_ITEM, NO_ITEM, place_of_item[owners]),
        "negative_rows": [
            [int(place_of_caption[row]) for row in pairs.negative_rows[m] if place_of_caption[row] >= 0]
            for m in captions
        ],
        "negative_kinds": [
            [
                kind
                for row, kind in zip(pairs.negative_rows[m], pairs.negative_kinds[m], strict=True)
                if place_of_caption[row] >= 0
            ]
            for m in captions
        ],
    }
    for field in dataclasses.fields(pairs):
        if field.name not in kept:
            values = getattr(pairs, field.name)
            rows = captions if field.name.startswith("caption_") else items
            kept[field.name] = values[rows] if isinstance(values, np.ndarray) else [values[row] for row in rows]
    selected = dataclasses.replace(pairs, **kept)  # type: ignore[arg-type]
    return dataclasses.replace(selected, gallery=selected.gallery | _orphans(pairs, selected))


def without(pairs: Pairs, items: set[str], captions: set[str]) -> tuple[Pairs, np.ndarray, np.ndarray]:
    """The pairs without skipped items and captions (by id), and without items that no caption is left for.

    Returns them with the places that the kept items and captions have among those that were not skipped: the rows of
    a vision and of a language store that skipped them.
    """
    stored_N = np.array([item not in items for item in pairs.item_ids])
    stored_M = np.array([caption not in captions for caption in pairs.caption_ids])
    free_M = pairs.caption_items == NO_ITEM
    captioned_N = np.zeros(pairs.items, bool)
    captioned_N[pairs.caption_items[stored_M & ~free_M]] = True
    kept_N = stored_N & captioned_N
    kept_items = np.flatnonzero(kept_N)
    kept_captions = np.flatnonzero(stored_M & (free_M | kept_N[pairs.caption_items]))
    selected = take(pairs, kept_items, kept_captions)
    return selected, (np.cumsum(stored_N) - 1)[kept_items], (np.cumsum(stored_M) - 1)[kept_captions]


def _orphans(before: Pairs, after: Pairs) -> np.ndarray:
    """The first item of each concept whose gallery item is gone; bool [N]."""
    shown = {concept for concept, chosen in zip(after.concepts, after.gallery, strict=True) if chosen}
    wanted = {concept for concept, chosen in zip(before.concepts, before.gallery, strict=True) if chosen} - shown
    orphans = np.zeros(after.items, bool)
    for i, concept in enumerate(after.concepts):
        if concept in wanted:
            orphans[i] = True
            wanted.remove(concept)
    return orphans


__all__ = ["take", "without"]
