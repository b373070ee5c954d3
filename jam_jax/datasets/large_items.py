"""Emoji in three views, clipart and stamps as one list of items with concepts that the sources share."""

import pathlib
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from jam_jax.datasets import clipart, emoji, names, stamps
from jam_jax.datasets.concepts import Name
from jam_jax.datasets.inspect import inspect
from jam_jax.datasets.items import Skipped
from jam_jax.datasets.near_duplicates import Pair, find
from jam_jax.errors import JamError

VIEWS = ("fluent", "noto", "twemoji")


class Entry(NamedTuple):
    """One item of the larger set: id, source, picture, its two captions, place in the source, concept with details.

    ``emoji`` is the row of the emoji data set that it is a view of, -1 for others; ``tags`` are keys.
    """

    id: str
    source: str
    file: pathlib.Path
    captions: tuple[str, str]
    category: str
    folder: str
    name: Name
    tags: frozenset[str]
    emoji: int


class Gathered(NamedTuple):
    """All items; negatives (row, kind) of each emoji row; pairs of near-duplicate names; what was left out."""

    entries: list[Entry]
    emoji_negatives: list[list[tuple[int, str]]]
    near_duplicates: list[Pair]
    skipped: dict[str, Skipped]


def gather(folder: pathlib.Path) -> Gathered:
    """Reads everything that jam_jax.datasets.fetch put into a folder; raises JamError when a part is missing."""
    signs = emoji.read(folder)
    pairs = emoji.pairs(folder)
    found = {source: reader.read(folder) for source, reader in (("clipart", clipart), ("stamps", stamps))}
    skipped = {source: left_out for source, (_, left_out) in found.items()}
    concepts = [_concept(sign) for sign in signs]
    known = set(concepts)
    parsed = {source: [names.parse(item.name, known) for item in items] for source, (items, _) in found.items()}
    sources_of: dict[str, set[str]] = defaultdict(set)
    for concept in concepts:
        sources_of[concept].add("emoji")
    for source, many in parsed.items():
        for name in many:
            sources_of[name.concept].add(source)
    concept_of, near_duplicates = find(sources_of, _own_tags(signs, concepts))

    entries = []
    for view in VIEWS:
        files, skipped[view] = _drawn(folder, view, signs)
        for row, sign in enumerate(signs):
            if row in files:
                texts = (pairs.caption_texts[2 * row], pairs.caption_texts[2 * row + 1])
                name = sign.name._replace(concept=concept_of[concepts[row]])
                entries.append(
                    Entry(f"{view}-{sign.hexcode}", view, files[row], texts, sign.subgroup, sign.subgroup, name,
                          frozenset(), row)
                )  # fmt: skip
    for source, (items, _) in found.items():
        for item, name in zip(items, parsed[source], strict=True):
            name = name._replace(concept=concept_of[name.concept])
            tags = frozenset(map(names.key, item.tags))
            entries.append(
                Entry(item.id, source, item.file, item.captions, item.category, item.folder, name, tags, -1)
            )  # fmt: skip
    # Captions come in twos, name before name with tags.
    negatives = [
        [(row // 2, kind) for row, kind in zip(rows, kinds, strict=True)]
        for rows, kinds in zip(pairs.negative_rows[::2], pairs.negative_kinds[::2], strict=True)
    ]
    return Gathered(entries, negatives, near_duplicates, skipped)


def _concept(sign: emoji.Emoji) -> str:
    """The key of an emoji's concept; a "cat face" shows a cat."""
    concept = sign.name.concept
    return names.key(concept.removesuffix(" face") if sign.subgroup.startswith("animal") else concept)


def _own_tags(signs: list[emoji.Emoji], concepts: list[str]) -> dict[str, str]:
    owners: dict[str, set[str]] = defaultdict(set)
    for sign, concept in zip(signs, concepts, strict=True):
        for tag in sign.tags:
            owners[names.key(tag)].add(concept)
    return {tag: next(iter(owned)) for tag, owned in owners.items() if len(owned) == 1}


def _drawn(folder: pathlib.Path, view: str, signs: list[emoji.Emoji]) -> tuple[dict[int, pathlib.Path], Skipped]:
    """The sound pictures of a view by emoji row."""
    pictures, skipped = folder / "pictures" / view, Skipped()
    if not pictures.exists():
        raise JamError(f"{pictures}: is missing; run python -m jam_jax.datasets.fetch --to={folder} --only={view}")
    by_stem = {file.stem: file for file in sorted(pictures.iterdir())}
    there = {row: by_stem[sign.hexcode] for row, sign in enumerate(signs) if sign.hexcode in by_stem}
    for sign in signs:
        if sign.hexcode not in by_stem:
            skipped.add("not drawn in this view", sign.hexcode)
    with ThreadPoolExecutor() as pool:
        reasons = dict(zip(there, pool.map(inspect, there.values()), strict=True))
    for row, reason in reasons.items():
        if reason:
            skipped.add(reason, there.pop(row).name)
    return there, skipped


__all__ = ["VIEWS", "Entry", "Gathered", "gather"]
