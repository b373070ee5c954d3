"""Names of different collections that name one thing, or look as if they did."""

import collections
import csv
import pathlib
from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
from rapidfuzz import fuzz, process

ALIKE = 84  # of 100: from where two spellings are reported
_SHORT = 5  # letters: shorter names are alike by chance ("bat", "boat")

# Looked at one by one. By spelling alone nothing is merged: "money" is as near to "monkey" as "coffe" to "coffee".
_SYNONYMS = {
    "8 ball": "pool 8 ball", "8ball": "pool 8 ball", "accordian": "accordion", "aeroplane": "airplane",
    "aircraft": "airplane", "ambulan": "ambulance", "analogue clock": "analog clock", "ballon": "balloon",
    "baloon": "balloon", "bee": "honeybee", "bike": "bicycle", "bulb": "light bulb", "bunny": "rabbit",
    "burger": "hamburger", "camcorder": "video camera", "car": "automobile", "cell phone": "mobile phone",
    "cellphone": "mobile phone", "cellular phone": "mobile phone", "coffe": "hot beverage", "coffee": "hot beverage",
    "cog": "gear", "confetti": "confetti ball", "crescent moon": "moon", "crossbone": "skull and crossbone",
    "desktop": "desktop computer", "dice": "game die", "donut": "doughnut", "dromedary": "camel",
    "envelop": "envelope", "evergreen": "evergreen tree", "flame": "fire", "floppy": "floppy disk",
    "football": "soccer ball", "frie": "french fry", "fry": "french fry", "full moon": "moon", "gift": "wrapped gift",
    "gift box": "wrapped gift", "grandpa": "older person", "grasshopper": "cricket", "handphone": "mobile phone",
    "hen": "chicken", "hourglass": "hourglass done", "hourglass not done": "hourglass done", "human": "person",
    "kid": "child", "ladybird": "lady beetle", "ladybug": "lady beetle", "magnifing glass": "magnifying glass",
    "magnifying glass tilted": "magnifying glass", "mcoon": "moon", "mobile telephone": "mobile phone",
    "motor bike": "motorcycle", "motorbike": "motorcycle", "music note": "musical note",
    "network could": "network cloud", "nurse": "health worker", "packman": "pacman", "padlock": "locked",
    "pawn": "chess pawn", "personal computer": "desktop computer", "phone": "telephone", "piano": "musical keyboard",
    "plane": "airplane", "present": "wrapped gift", "recycle": "recycling symbol", "rugby": "rugby football",
    "rugby ball": "rugby football", "sandglass": "hourglass done", "saturn": "ringed planet", "saw": "carpentry saw",
    "skull and bone": "skull and crossbone", "sledge": "sled", "soccer": "soccer ball",
    "soccer ballon": "soccer ball", "squirrel": "chipmunk", "stickyman": "stick man",
    "teacup": "teacup without handle", "tire": "wheel", "toadstool": "mushroom", "tombstone": "headstone",
    "tv": "television", "tv set": "television", "x mas tree": "christmas tree", "xmas tree": "christmas tree",
    "yang": "yin yang",
    # One thing drawn or titled twice within a collection, or a sort of it that only a colour or flavour tells apart.
    "alcatel oxo1": "alcatel oxo", "australia outline without boundary": "australia outline with boundary",
    "australia shading with boundary": "australia outline with boundary",
    "australia shading without boundary": "australia outline with boundary", "bofish": "blowfish",
    "chocolate soft serve ice cream cone": "soft serve ice cream cone", "double note two": "double note",
    "formula one race car": "formula one car", "head of red lettuce": "head of lettuce", "lime half": "lime",
    "new south wales outline": "new south wales", "new south wales shaded": "new south wales",
    "no cycle": "no bicycle", "no smoking sign": "no smoking", "no u turn sign": "no u turn",
    "northern territory outline": "northern territory", "northern territory shaded": "northern territory",
    "parchment paper portrait symbol": "parchment paper portrait", "recycling box 3d": "recycling box",
    "rondelle dorange": "rondelle orange", "rubik cube random": "rubik cube",
    "sailboat illustration with label point": "sailboat illustration", "santa claus": "claus",
    "shelby cobra blue print": "shelby cobra car blueprint", "south australia outline": "south australia",
    "south australia shaded": "south australia", "stara ksiega old book": "old book", "stop sign angled": "stop sign",
    "us capitol building inkpen style": "us capitol building style",
    "vanilla soft serve ice cream cone": "soft serve ice cream cone", "waningcrescent": "moon",
    "waninggibbous": "moon", "waxingcrescent": "moon", "waxinggibbous": "moon",
    "western australia outline": "western australia", "western australia shaded": "western australia",
}  # fmt: skip


class Pair(NamedTuple):
    """Two names, where each is found, how alike they are (0..100), whether they are one concept, and why."""

    first: str
    first_sources: str
    second: str
    second_sources: str
    similarity: int
    merged: bool
    reason: str


def find(sources_of: Mapping[str, Collection[str]], tags: Mapping[str, str]) -> tuple[dict[str, str], list[Pair]]:
    """The concept of each name, and all pairs of names that are or might be one concept.

    Merged are names of the same letters ("ice cream", "icecream"), of the same words and the synonyms listed here; all
    of them are equalities, so no chain of likenesses can grow. Names spelled alike, tags of a single emoji and narrower
    names ("siamese cat") are reported and kept apart.

    Args:
      sources_of: the sources of each name, names being keys (`jam_jax.datasets.names.key`).
      tags: the emoji concept of each tag that only one of them has.
    """
    names = sorted(sources_of)
    concept_of = dict(zip(names, names, strict=True))
    reasons: dict[str, str] = {}
    # An emoji's own name first, then one that leads to an emoji.
    preferred = {name: ("emoji" not in sources_of[name], name not in _SYNONYMS, len(name), name) for name in names}

    def rename(name: str, concept: str, reason: str) -> None:
        for other in [other for other, meant in concept_of.items() if meant == name]:
            concept_of[other] = concept
            reasons.setdefault(other, reason)

    for reason, form in (("same letters", _letters), ("same words", _words)):
        groups = collections.defaultdict(list)
        for name in sorted(set(concept_of.values())):
            groups[form(name)].append(name)
        for group in groups.values():
            chosen = min(group, key=preferred.__getitem__)
            for name in group:
                if name != chosen:
                    rename(name, chosen, reason)
    for name, meant in _SYNONYMS.items():
        if name in concept_of and concept_of.get(meant, name) not in (name, concept_of[name]):
            rename(concept_of[name], concept_of[meant], "synonym")
    pairs = [_pair(name, concept_of[name], sources_of, True, reason) for name, reason in reasons.items()]
    pairs += [_pair(a, b, sources_of, False, why) for a, b, why in _likely(names, sources_of, tags, concept_of)]
    return concept_of, sorted(pairs, key=lambda pair: (not pair.merged, pair.reason, -pair.similarity, pair.first))


def _likely(
    names: list[str], sources_of: Mapping[str, Collection[str]], tags: Mapping[str, str], concept_of: Mapping[str, str]
) -> list[tuple[str, str, str]]:
    """Pairs that are kept apart; two emoji are not compared, since their concepts have rules of their own."""
    kept = [
        (name, tags[name], "tag of one emoji")
        for name in names
        if name in tags
        and "emoji" not in sources_of[name]
        and tags[name] in concept_of
        and concept_of[name] != concept_of[tags[name]]
    ]
    alike = process.cdist(names, names, scorer=fuzz.ratio, score_cutoff=ALIKE, dtype=np.uint8)
    narrower = collections.defaultdict(list)
    for name in names:
        if " " in name:
            narrower[name.split()[-1]].append(name)
    close = [(names[i], names[j], "spelled alike") for i, j in np.argwhere(np.triu(alike, 1)).tolist()]
    close += [(name, other, "narrower name") for name in names for other in narrower[name]]
    for first, second, reason in close:
        both = {*sources_of[first], *sources_of[second]}
        emoji = "emoji" in sources_of[first] and "emoji" in sources_of[second]
        short = reason == "spelled alike" and min(len(first), len(second)) < _SHORT
        # A collection has many narrower names of its own; two of one spelling are a sign of a thing titled twice.
        told = len(both) > 1 or reason == "spelled alike"
        if told and not emoji and not short and concept_of[first] != concept_of[second]:
            kept.append((first, second, reason))
    return kept


def _letters(name: str) -> str:
    return name.replace(" ", "")


def _words(name: str) -> str:
    return " ".join(sorted(name.split()))


def _pair(first: str, second: str, sources_of: Mapping[str, Collection[str]], merged: bool, reason: str) -> Pair:
    of = ["+".join(sorted(sources_of.get(name, ()))) for name in (first, second)]
    return Pair(first, of[0], second, of[1], round(fuzz.ratio(first, second)), merged, reason)


def write(path: pathlib.Path, pairs: list[Pair]) -> None:
    """Writes the pairs as CSV, merged ones first."""
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(Pair._fields)
        writer.writerows(pairs)


__all__ = ["Pair", "find", "write"]
