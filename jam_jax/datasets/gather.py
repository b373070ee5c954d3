"""From pictures with captions of any source to a data folder: pairs.parquet, pictures, what was left out and why."""

import dataclasses
import json
import os
import pathlib
import shutil
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from jam_jax.activations.pairs import NO_ITEM, SPLITS, Pairs
from jam_jax.datasets.negatives import attach, same
from jam_jax.datasets.splits import deal
from jam_jax.datasets.usable import LONGEST, ON_BAD, PICTURES, caption_problem
from jam_jax.errors import JamError


@dataclasses.dataclass
class Item:
    """A picture and its captions before they become pairs.

    Attributes:
      id: also the name of its picture. picture: a file, or a function that gives the bytes. suffix: '.jpg', ...
      captions: caption -> its hard negatives as (text, kind).
      concept, category, split: empty where the source says nothing.
      where: file and line, for messages.
    """

    id: str
    picture: pathlib.Path | Callable[[], bytes]
    suffix: str
    where: str
    captions: dict[str, list[tuple[str, str]]] = dataclasses.field(default_factory=dict)
    concept: str = ""
    category: str = ""
    split: str = ""


class Skipped:
    """Bad input: refused at once, or left out and listed as {'where', 'reason'}, as ``on_bad`` says."""

    def __init__(self, on_bad: str):
        if on_bad not in ON_BAD:
            raise JamError(f"on_bad is {on_bad!r}; choose from {', '.join(ON_BAD)}")
        self.on_bad = on_bad
        self.entries: list[dict[str, str]] = []

    def add(self, where: str, reason: str) -> None:
        """One more; raises JamError when bad input stops."""
        if self.on_bad == "stop":
            raise JamError(f"{where}: {reason}; correct it, or leave such rows out with on_bad=skip")
        self.entries.append({"where": where, "reason": reason})

    def write(self, folder: pathlib.Path) -> None:
        """Writes skipped.json, also when nothing was left out: then it says so."""
        (folder / "skipped.json").write_text(json.dumps(self.entries, indent=1, ensure_ascii=False) + "\n")


class Gathered(NamedTuple):
    """What an importer read: pairs, the items in their order, and what was left out."""

    pairs: Pairs
    items: list[Item]
    skipped: Skipped


def picture_problem(file: pathlib.Path) -> str:
    """Why a file can be no picture, judged without decoding it; empty when it can."""
    if file.suffix.lower() not in PICTURES:
        return f"the picture {file.name!r} is no {', '.join(PICTURES)} file"
    if not file.is_file():
        return f"there is no picture {file}"
    return "" if file.stat().st_size else f"the picture {file} is empty"


def gather(items: Iterable[Item], skipped: Skipped, *, seed: int = 0) -> Gathered:
    """The items that have captions and an id of their own, and their pairs.

    Items without a concept are one with those that share a caption, else a concept of their own. Concepts without a
    split are dealt 70 : 10 : 20 by a hash of seed and name. An item whose split contradicts its concept's is bad input.
    A missing category is the concept. The first item of each concept is in the gallery.
    Raises JamError when nothing is left.
    """
    items = _one_per_id(items, skipped)
    concepts = _concepts(items)
    split_of: dict[str, str] = {}
    kept = []
    for item, concept in zip(items, concepts, strict=True):
        if item.split and split_of.setdefault(concept, item.split) != item.split:
            skipped.add(item.where, f"concept {concept!r} is in {split_of[concept]} already and here in {item.split}")
        else:
            kept.append((item, concept))
    if not kept:
        raise JamError("no usable picture with a caption is left; look at the reasons in skipped.json")
    split_of |= deal([concept for _, concept in kept if concept not in split_of], seed=seed)
    seen: set[str] = set()
    gallery = [not (concept in seen or seen.add(concept)) for _, concept in kept]  # type: ignore[func-returns-value]
    owned = [(i, caption) for i, (item, _) in enumerate(kept) for caption in item.captions]
    pairs = Pairs(
        item_ids=[item.id for item, _ in kept],
        concepts=[concept for _, concept in kept],
        categories=[item.category or concept for item, concept in kept],
        splits=[split_of[concept] for _, concept in kept],
        gallery=np.array(gallery),
        caption_texts=[caption for _, caption in owned],
        caption_kinds=["caption"] * len(owned),
        caption_items=np.array([i for i, _ in owned], int),
        negative_rows=[[] for _ in owned],
        negative_kinds=[[] for _ in owned],
    )
    made = [kept[i][0].captions[caption] for i, caption in owned]
    return Gathered(attach(pairs, made), [item for item, _ in kept], skipped)


def write(folder: pathlib.Path, gathered: Gathered, *, view: str = "all") -> None:
    """Writes pairs.parquet, skipped.json and pictures/<view>/<item id>.<ext>, which are hard links where possible.

    Raises JamError rather than overwrite another picture.
    """
    pictures = folder / "pictures" / view
    pictures.mkdir(parents=True, exist_ok=True)
    there = {file.stem: file for file in pictures.iterdir() if file.suffix.lower() in PICTURES}
    for item in gathered.items:
        target = pictures / f"{item.id}{item.suffix}"
        old = there.get(item.id)
        if old is None:
            _place(item.picture, target)
        elif old != target or not _holds(old, item.picture):
            raise JamError(f"{old}: is another picture than that of {item.where}; delete it or choose another folder")
    gathered.skipped.write(folder)
    gathered.pairs.write(folder / "pairs.parquet")


def summary(folder: pathlib.Path, gathered: Gathered) -> str:
    """One line for people, after ``write``."""
    pairs = gathered.pairs
    true = int((pairs.caption_items != NO_ITEM).sum())
    of = ", ".join(f"{len(pairs.items_of(split))} {split}" for split in SPLITS)
    return (
        f"{folder}: {pairs.items} pictures ({of}), {true} captions, {sum(map(len, pairs.negative_rows))} hard "
        f"negatives, {len(set(pairs.concepts))} concepts; {len(gathered.skipped.entries)} left out, see skipped.json"
    )


def _one_per_id(items: Iterable[Item], skipped: Skipped) -> list[Item]:
    by_id: dict[str, Item] = {}
    for item in items:
        if not item.captions:
            skipped.add(item.where, f"the picture {item.id!r} has no usable caption")
        elif item.id in by_id:
            skipped.add(item.where, f"the id {item.id!r} is that of {by_id[item.id].where} already")
        else:
            by_id[item.id] = item
    return list(by_id.values())


def _concepts(items: Sequence[Item]) -> list[str]:
    """Given concepts, and for the others the id of the first item that they are linked to by shared captions."""
    root = list(range(len(items)))

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    first: dict[str, int] = {}
    for i, item in enumerate(items):
        for caption in () if item.concept else item.captions:
            a, b = find(first.setdefault(same(caption), i)), find(i)
            root[max(a, b)] = min(a, b)
    return [item.concept or items[find(i)].id for i, item in enumerate(items)]


def _place(picture: pathlib.Path | Callable[[], bytes], target: pathlib.Path) -> None:
    if callable(picture):
        unfinished = target.with_suffix(".part")
        unfinished.write_bytes(picture())
        unfinished.replace(target)
        return
    try:
        os.link(picture.resolve(), target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(picture, target)


def _holds(file: pathlib.Path, picture: pathlib.Path | Callable[[], bytes]) -> bool:
    if callable(picture):
        return file.read_bytes() == picture()
    return file.samefile(picture) or file.read_bytes() == picture.read_bytes()


__all__ = [
    "LONGEST", "ON_BAD", "PICTURES", "Gathered", "Item", "Skipped", "caption_problem", "gather",
    "picture_problem", "summary", "write",
]  # fmt: skip
