"""Emoji as pairs: Fluent 3D and Noto pictures with the names and tags of emojibase.

python -m jam_jax.datasets.emoji --folder=data        # writes data/pairs.parquet
"""

import argparse
import hashlib
import itertools
import json
import pathlib
import sys
from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np

from jam_jax.activations.pairs import Pairs
from jam_jax.datasets.concepts import Name, contradiction, parse
from jam_jax.datasets.splits import deal_within
from jam_jax.errors import JamError

FLAGS = 9  # emojibase's group of flags, which no picture set here draws alike
NEIGHBOURS = 16
TONES = (1, 3, 5)  # light, medium and dark in emojibase: tones that a picture tells apart


class Emoji(NamedTuple):
    """One item: hexcode, English name, tags, emojibase group and subgroup, parsed name, whether a base emoji."""

    hexcode: str
    label: str
    tags: tuple[str, ...]
    group: int
    subgroup: str
    name: Name
    base: bool


def read(folder: pathlib.Path, *, variants: int = 800) -> list[Emoji]:
    """All base emoji that have a Fluent picture, and a choice of their skin-tone variants, in Unicode's order.

    Every family of variants gives its light and its dark one; families in a fixed random order also give the medium
    one until ``variants`` are reached. So all 304 families can be told apart by tone, and a gender pair of equal tone
    exists wherever the base emoji has one.

    Raises JamError when the folder lacks the emojibase data or the pictures.
    """
    source = folder / "emojibase" / "data.json"
    pictures = folder / "pictures" / "fluent"
    for place in (source, pictures, source.with_name("groups.json")):
        if not place.exists():
            raise JamError(f"{place}: is missing; run python -m jam_jax.datasets.fetch --to={folder}")
    subgroups = json.loads(source.with_name("groups.json").read_text())["subgroups"]
    drawn = {file.stem for file in pictures.iterdir()}
    everything = json.loads(source.read_text())
    entries = [entry for entry in everything if entry.get("group") != FLAGS and _id(entry["hexcode"]) in drawn]
    chosen = _variants(entries, drawn, variants)
    emoji = []
    for entry in entries:
        subgroup = subgroups[str(entry["subgroup"])] if "subgroup" in entry else "component"
        family = [entry, *(skin for skin in entry.get("skins", ()) if _id(skin["hexcode"]) in chosen)]
        for member in family:
            emoji.append(
                Emoji(
                    _id(member["hexcode"]), member["label"], tuple(entry.get("tags", ())), entry.get("group", -1),
                    subgroup, parse(member["label"], subgroup), member is entry,
                )
            )  # fmt: skip
    return emoji


def pairs(folder: pathlib.Path, *, variants: int = 800, seed: int = 0) -> Pairs:
    """The pairs of the emoji data set: two captions an item, hard negatives by detail, splits by concept."""
    emoji = read(folder, variants=variants)
    concepts = [item.name.concept for item in emoji]
    # Dealt within every emojibase group, so that each split has its share of every group.
    split_of = deal_within({item.name.concept: item.group for item in reversed(emoji)}, seed=seed)
    gallery, seen = [], set()
    for item in emoji:
        gallery.append(item.name.concept not in seen)
        seen.add(item.name.concept)
    negatives = _negatives(emoji)
    # Caption 2 i is the name of item i, caption 2 i + 1 its name with tags; a negative is of the same kind.
    return Pairs(
        item_ids=[item.hexcode for item in emoji],
        concepts=concepts,
        categories=[item.subgroup for item in emoji],
        splits=[split_of[concept] for concept in concepts],
        gallery=np.array(gallery),
        caption_texts=[text for item in emoji for text in (item.label, _with_tags(item))],
        caption_kinds=["name", "tags"] * len(emoji),
        caption_items=np.repeat(np.arange(len(emoji)), 2),
        negative_rows=[[2 * row + kind for row, _ in negatives[i]] for i in range(len(emoji)) for kind in (0, 1)],
        negative_kinds=[[name for _, name in negatives[i]] for i in range(len(emoji)) for _ in (0, 1)],
    )


def _id(hexcode: str) -> str:
    return hexcode.lower()


def _with_tags(item: Emoji) -> str:
    return f"{item.label}: {', '.join(item.tags)}" if item.tags else item.label


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _variants(entries: list[dict[str, Any]], drawn: set[str], count: int) -> set[str]:
    by_tone: dict[int, list[str]] = {tone: [] for tone in TONES}
    for entry in sorted(entries, key=lambda entry: _hash(entry["hexcode"])):
        for skin in entry.get("skins", ()):
            # Two people of two tones have a list of tones and are left out, as are the medium-light and -dark.
            if skin["tone"] in TONES and _id(skin["hexcode"]) in drawn:
                by_tone[skin["tone"]].append(_id(skin["hexcode"]))
    light, medium, dark = by_tone.values()
    ends = [variant for both in itertools.zip_longest(light, dark) for variant in both if variant]
    return set([*ends, *medium][:count])


def _negatives(emoji: list[Emoji]) -> list[list[tuple[int, str]]]:
    by_concept: dict[str, list[int]] = defaultdict(list)
    by_subgroup: dict[str, list[int]] = defaultdict(list)
    for i, item in enumerate(emoji):
        by_concept[item.name.concept].append(i)
        if item.base:
            by_subgroup[item.subgroup].append(i)
    negatives: list[list[tuple[int, str]]] = []
    for i, item in enumerate(emoji):
        siblings = [(j, contradiction(item.name, emoji[j].name)) for j in by_concept[item.name.concept] if j != i]
        others = [j for j in by_subgroup[item.subgroup] if emoji[j].name.concept != item.name.concept]
        near = sorted(others, key=lambda j: _hash(f"{item.hexcode}:{emoji[j].hexcode}"))[:NEIGHBOURS]
        negatives.append([(j, kind) for j, kind in siblings if kind] + [(j, "neighbour") for j in sorted(near)])
    return negatives


def main() -> None:
    """Writes pairs.parquet into a folder that jam_jax.datasets.fetch has filled."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("data"))
    parser.add_argument("--variants", type=int, default=800)
    arguments = parser.parse_args()
    out = arguments.folder / "pairs.parquet"
    try:
        made = pairs(arguments.folder, variants=arguments.variants)
        made.write(out)
    except (JamError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"{out}: {made.items} items, {made.captions} captions, {len(set(made.concepts))} concepts")


if __name__ == "__main__":
    main()
