"""The larger benchmark: emoji in three views, clipart and stamps as one data set whose concepts the sources share.

python -m jam_jax.datasets.fetch --to=data --only=emojibase,fluent,noto,twemoji,clipart,stamps
python -m jam_jax.datasets.large --data=data --out=data/large
"""

import argparse
import hashlib
import json
import pathlib
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from PIL import Image

from jam_jax.activations.pairs import SPLITS, Pairs
from jam_jax.datasets import near_duplicates
from jam_jax.datasets.concepts import contradiction
from jam_jax.datasets.items import drawn_part
from jam_jax.datasets.large_items import VIEWS, Entry, Gathered, gather
from jam_jax.datasets.splits import deal_within
from jam_jax.errors import JamError

NEIGHBOURS = 16
SIDE = 512  # pixels of the longer side from where pictures are shrunk


def build(data: pathlib.Path, out: pathlib.Path, *, seed: int = 0) -> tuple[Pairs, dict[str, Any]]:
    """Writes pairs.parquet, pictures/all, near_duplicates.csv, skipped.json and statistics.json.

    The same data give the same bytes. Returns the pairs and their statistics; raises JamError for what is missing.
    """
    gathered = gather(data)
    made = pairs(gathered, seed=seed)
    out.mkdir(parents=True, exist_ok=True)
    _write_pictures(gathered.entries, out / "pictures" / "all")
    near_duplicates.write(out / "near_duplicates.csv", gathered.near_duplicates)
    for source, skipped in gathered.skipped.items():
        skipped.write(out / f"skipped_{source}.json")
    numbers = statistics(made)
    numbers["skipped"] = {source: skipped.counts() for source, skipped in gathered.skipped.items()}
    numbers["near_duplicates"] = dict(
        sorted(Counter(f"{p.reason}, {'merged' if p.merged else 'kept'}" for p in gathered.near_duplicates).items())
    )
    (out / "statistics.json").write_text(json.dumps(numbers, indent=1) + "\n")
    made.write(out / "pairs.parquet")
    return made, numbers


def pairs(gathered: Gathered, *, seed: int = 0) -> Pairs:
    """The pairs: two captions an item, concepts dealt into splits within sources, a gallery item a source and concept.

    Caption 2 i is the name of item i, caption 2 i + 1 its name with tags; a hard negative is a caption of the same
    source and kind.
    """
    entries = gathered.entries
    split_of = _splits(entries, seed)
    shown: set[tuple[str, str]] = set()
    gallery = []
    for entry in entries:
        gallery.append((entry.source, entry.name.concept) not in shown)
        shown.add((entry.source, entry.name.concept))
    found = _negatives(gathered)
    negatives = [_different(entries, i, kind, found[i]) for i in range(len(entries)) for kind in (0, 1)]
    return Pairs(
        item_ids=[entry.id for entry in entries],
        concepts=[entry.name.concept for entry in entries],
        categories=[entry.category for entry in entries],
        splits=[split_of[entry.name.concept] for entry in entries],
        gallery=np.array(gallery),
        caption_texts=[text for entry in entries for text in entry.captions],
        caption_kinds=["name", "tags"] * len(entries),
        caption_items=np.repeat(np.arange(len(entries)), 2),
        negative_rows=[[row for row, _ in many] for many in negatives],
        negative_kinds=[[kind for _, kind in many] for many in negatives],
        sources=[entry.source for entry in entries],
    )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _splits(entries: Sequence[Entry], seed: int) -> dict[str, str]:
    """Concepts dealt among those that the same sources have, so that each split has its share of every source.

    The three views of emoji count as one source here: nearly all concepts are in all of them.
    """
    sources_of: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        sources_of[entry.name.concept].add("emoji" if entry.source in VIEWS else entry.source)
    return deal_within({concept: tuple(sorted(sources)) for concept, sources in sources_of.items()}, seed=seed)


def _negatives(gathered: Gathered) -> list[list[tuple[int, str]]]:
    """For each item others of its source whose captions are wrong about it, and in what."""
    entries = gathered.entries
    of_emoji = {(entry.source, entry.emoji): i for i, entry in enumerate(entries) if entry.emoji >= 0}
    by_concept: dict[tuple[str, str], list[int]] = defaultdict(list)
    by_category: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i, entry in enumerate(entries):
        by_concept[entry.source, entry.name.concept].append(i)
        by_category[entry.source, _top(entry.category)].append(i)
    negatives = []
    for entry in entries:
        if entry.emoji >= 0:
            there = [(of_emoji.get((entry.source, row)), kind) for row, kind in gathered.emoji_negatives[entry.emoji]]
            negatives.append(
                [(j, kind) for j, kind in there
                 if j is not None and (kind != "neighbour" or _another(entry, entries[j]))]
            )  # fmt: skip
            continue
        siblings = by_concept[entry.source, entry.name.concept]
        stated = [(j, kind) for j in siblings if (kind := _contradiction(entry, entries[j]))]
        others = [j for j in by_category[entry.source, _top(entry.category)] if _another(entry, entries[j])]
        # Those of the same folder are nearer, and some folders hold one thing; one of each concept is enough.
        others.sort(key=lambda j: (entries[j].folder != entry.folder, _hash(f"{entry.id}:{entries[j].id}")))
        first = {entries[j].name.concept: j for j in reversed(others)}
        near = sorted(first.values(), key=others.index)[:NEIGHBOURS]
        negatives.append(stated + [(j, "neighbour") for j in sorted(near)])
    return negatives


def _top(category: str) -> str:
    return category.partition("/")[0]


def _another(entry: Entry, other: Entry) -> bool:
    """Whether a name is wrong of an item: not the same thing, a wider name of it ("cat" of a siamese cat) or a tag."""
    mine, theirs = entry.name.concept, other.name.concept
    return mine != theirs and not set(theirs.split()) <= set(mine.split()) and theirs not in entry.tags


def _contradiction(entry: Entry, other: Entry) -> str | None:
    """The detail in which a title contradicts another of its concept.

    A title that is silent on a detail leaves it open, unlike an emoji's name, and "a yellow flag" is half true of a
    blue and yellow one.
    """
    kind = contradiction(entry.name, other.name)
    if kind is None or kind not in entry.name.details:
        return None
    shown, said = (set(name.details[kind].split()) for name in (entry.name, other.name))
    return None if shown <= said or said <= shown else kind


def _different(entries: Sequence[Entry], i: int, which: int, found: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Caption rows of negatives: no text that is a caption of the item itself, and none twice."""
    seen = {text.casefold() for text in entries[i].captions}
    rows = []
    for j, kind in found:
        text = entries[j].captions[which].casefold()
        if text not in seen:
            seen.add(text)
            rows.append((2 * j + which, kind))
    return rows


def _write_pictures(entries: Sequence[Entry], folder: pathlib.Path) -> None:
    """Writes the pictures under the ids of their items, the empty page around drawings cut off and large ones shrunk.

    What was there before goes.
    """
    unfinished = folder.with_name(folder.name + ".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    with ThreadPoolExecutor() as pool:
        for _ in pool.map(lambda entry: _write_picture(entry, unfinished / entry.id), entries):
            pass
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)


def _write_picture(entry: Entry, out: pathlib.Path) -> None:
    with Image.open(entry.file) as picture:
        if entry.emoji >= 0 and max(picture.size) <= SIDE:
            shutil.copyfile(entry.file, f"{out}{entry.file.suffix.lower()}")
            return
    drawn = drawn_part(entry.file)
    mode = "RGBA" if drawn.has_transparency_data else "RGB"
    small = drawn.convert(mode)
    if max(drawn.size) > SIDE:
        scale = SIDE / max(drawn.size)
        size = max(1, round(drawn.width * scale)), max(1, round(drawn.height * scale))
        # Colour of transparent places must not bleed into the edge: RGBa is weighed by alpha.
        weighed = small.convert("RGBa" if mode == "RGBA" else mode)
        small = weighed.resize(size, Image.Resampling.LANCZOS).convert(mode)
    small.save(f"{out}.png")


def statistics(made: Pairs) -> dict[str, Any]:
    """Items, captions and concepts by source and split, hard negatives by kind, concepts that sources share."""
    by_source: dict[str, dict[str, Any]] = {}
    captions = np.bincount(made.caption_items, minlength=made.items)
    of_concept: dict[str, set[str]] = defaultdict(set)
    for concept, source in zip(made.concepts, made.sources, strict=True):
        of_concept[concept].add("emoji" if source in VIEWS else source)
    for source in [*dict.fromkeys(made.sources), "all"]:
        by_source[source] = {}
        for split in (*SPLITS, "all"):
            rows = [
                i for i in range(made.items)
                if source in (made.sources[i], "all") and split in (made.splits[i], "all")
            ]  # fmt: skip
            by_source[source][split] = {
                "items": len(rows),
                "captions": int(captions[rows].sum()),
                "concepts": len({made.concepts[i] for i in rows}),
                "gallery": int(made.gallery[rows].sum()),
            }
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for m, of_caption in enumerate(made.negative_kinds):
        kinds[made.sources[made.caption_items[m]]].update(of_caption)
    return {
        "by_source": by_source,
        "hard_negatives": {source: dict(sorted(count.items())) for source, count in kinds.items()},
        "captions_without_hard_negative": sum(not rows for rows in made.negative_rows),
        "concepts_by_sources": dict(sorted(Counter("+".join(sorted(s)) for s in of_concept.values()).items())),
        "largest_concepts": dict(Counter(made.concepts).most_common(12)),
    }


def main() -> None:
    """Builds the data set and prints its statistics."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path("data"))
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("data/large"))
    arguments = parser.parse_args()
    try:
        _, numbers = build(arguments.data, arguments.out)
    except (JamError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    for title, values in numbers.items():
        print(f"{title}: {values}" if not isinstance(values, dict) else f"{title}:")
        for name, value in values.items() if isinstance(values, dict) else ():
            print(f"  {name}: {value}")


if __name__ == "__main__":
    main()
