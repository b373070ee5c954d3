"""Describing words of a parsed caption - colours, sizes, ages, materials - and what they may give way to."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np

from jam_jax.datasets import lexicon as lx
from jam_jax.datasets.grammar import Caption, Edit, exchange, is_joined, lower, replace, subject_of

COLOURS = (*lx.PLAIN_COLOURS, *lx.VIVID_COLOURS)
_DESCRIBES = ("amod", "compound", "acomp", "attr", "nmod", "oprd", "conj")
_SHADES = ("light", "dark", "bright", "pale", "deep")
_MODIFIED_NOUN_ONLY = ("orange", "gold", "silver", "rose", "tan", "pink", "violet", "navy", "teal")


class _Attribute(NamedTuple):
    """A describing word: its place, its class, its value within the class, the place of the noun that it describes."""

    place: int
    kind: str
    value: str
    noun: int


def colours(caption: Caption, said: Collection[str], generator: np.random.Generator) -> Iterator[list[Edit]]:
    """One colour for another, and two colours for each other."""
    found = [attribute for attribute in _attributes(caption) if attribute.kind in ("colour", "hair")]
    for attribute in found:
        hair = lx.HAIR_COLOURS if caption.words[attribute.noun].lower == "hair" else lx.HAIRED
        options = hair.get(attribute.value) or _other_colours(attribute.value)
        if lower(caption, attribute.place - 1) in _SHADES:
            options = tuple(option for option in options if option in lx.VIVID_COLOURS)
        yield from replace(attribute.place, [option for option in options if not _is_said(option, said)], generator)
    for first, second in _pairs(caption, [a for a in found if a.kind == "colour"]):
        if second.value not in (first.value, *lx.NEAR_COLOURS[first.value]):
            yield exchange(caption, first.place, second.place)


def attributes(caption: Caption, said: Collection[str], generator: np.random.Generator) -> Iterator[list[Edit]]:
    """A size, age, material or state for its opposite, and two that exclude each other for each other."""
    found = [attribute for attribute in _attributes(caption) if attribute.kind in ("opposite", "material")]
    for attribute in found:
        options = lx.MATERIALS.get(attribute.value) or (_opposite(caption, attribute),)
        yield from replace(attribute.place, [option for option in options if option not in said], generator)
    for first, second in _pairs(caption, found):
        if first.kind == second.kind and (first.kind == "material" or _opposite(caption, first) == second.value):
            yield exchange(caption, first.place, second.place)


def _attributes(caption: Caption) -> Iterator[_Attribute]:
    for place, word in enumerate(caption.words):
        if word.dependency not in _DESCRIBES or is_joined(caption, place - 1) or is_joined(caption, place):
            continue
        noun = word.head if word.dependency in ("amod", "compound", "nmod") else subject_of(caption, word.head)
        if noun is None or not caption.words[noun].is_noun or noun == place:
            continue
        kind, value = _class(caption, place, noun)
        if kind:
            yield _Attribute(place, kind, value, noun)


def _class(caption: Caption, place: int, noun: int) -> tuple[str, str]:
    word, described = caption.words[place], caption.words[noun]
    value = lx.COLOUR_ALIASES.get(word.lower, word.lower)
    if word.lower in lx.HAIR_COLOURS:
        return "hair", word.lower
    if value in COLOURS:
        of_kind = described.lower in lx.COLOURED_KINDS or described.lower in lx.PEOPLE
        predicate = word.lower in _MODIFIED_NOUN_ONLY and noun < place
        listed = any(lower(caption, place + far) in COLOURS for far in (-2, 2)) and any(
            lower(caption, place + near) in ("and", ",", "or", "&") for near in (-1, 1)
        )
        return ("", "") if of_kind or predicate or listed else ("colour", value)
    if word.lower in lx.MATERIALS:
        return "material", word.lower
    if word.lower in lx.OPPOSITES and word.tag in ("JJ", "JJR", "VBG", "VBN"):
        after = lower(caption, place + 1)
        of_colour = word.lower in _SHADES and lx.COLOUR_ALIASES.get(after, after) in COLOURS
        set_phrase = {(word.lower, described.lower), (word.lower, after)} & lx.SET_PHRASES
        sized = word.lower in lx.SIZES and described.lower in lx.PEOPLE
        aged = word.lower in lx.AGES and described.lower in lx.CHILDREN
        if not (of_colour or set_phrase or sized or aged or after == "of"):
            return "opposite", word.lower
    return "", ""


def _opposite(caption: Caption, attribute: _Attribute) -> str:
    noun = caption.words[attribute.noun].lower
    if attribute.value == "dark" and noun in ("skin", "tone"):
        return "light"
    return (lx.OPPOSITES_OF_THE_LIVING if noun in lx.LIVING else lx.OPPOSITES)[attribute.value]


def _other_colours(value: str) -> tuple[str, ...]:
    family = lx.PLAIN_COLOURS if value in lx.PLAIN_COLOURS else lx.VIVID_COLOURS
    return tuple(colour for colour in family if colour != value and colour not in lx.NEAR_COLOURS[value])


def _is_said(colour: str, said: Collection[str]) -> bool:
    return colour in said or any(alias in said for alias, value in lx.COLOUR_ALIASES.items() if value == colour)


def _pairs(caption: Caption, found: list[_Attribute]) -> Iterator[tuple[_Attribute, _Attribute]]:
    """Attributes, one after the other, of two different things."""
    for first, second in zip(found, found[1:], strict=False):
        if caption.words[first.noun].lemma != caption.words[second.noun].lemma and first.value != second.value:
            yield first, second


__all__ = ["COLOURS", "attributes", "colours"]
