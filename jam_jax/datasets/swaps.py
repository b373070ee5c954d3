"""The exchanges that rule-made hard negatives consist of: which words of a parsed caption may give way to which.

Every rule takes a parsed caption, the words already said of the item and a random generator, and gives lists of edits,
one for each negative. Rules would rather do nothing than make a sentence that is broken or still true.
"""

from collections.abc import Callable, Collection, Iterator

import numpy as np

from jam_jax.datasets import describing
from jam_jax.datasets import lexicon as lx
from jam_jax.datasets.grammar import (
    Caption,
    Edit,
    Phrase,
    exchange,
    is_joined,
    lower,
    replace,
    starts_sentence,
    subject_of,
    text_of,
)


def objects(caption: Caption, said: Collection[str], generator: np.random.Generator) -> Iterator[list[Edit]]:
    """Two noun phrases for each other, where a verb or preposition means another thing the other way round."""
    if any(word.tag in ("PRP", "PRP$") for word in caption.words):
        return  # 'his' and 'itself' would no longer agree
    phrase_at = {phrase.head: phrase for phrase in caption.phrases if _is_movable(caption, phrase)}
    for phrase in phrase_at.values():
        above = _subject(caption, phrase.head)
        other = phrase_at.get(above) if above is not None else None
        # Of one number, so that the verb still agrees.
        if other and other.end <= phrase.start and _tag(caption, other) == _tag(caption, phrase):
            if caption.words[other.head].lemma == caption.words[phrase.head].lemma:
                continue
            texts = text_of(caption, phrase.start, phrase.end), text_of(caption, other.start, other.end)
            yield [Edit(other.start, other.end, texts[0]), Edit(phrase.start, phrase.end, texts[1])]


def relations(caption: Caption, said: Collection[str], generator: np.random.Generator) -> Iterator[list[Edit]]:
    """A place or order for its opposite: left and right, above and below, before and after, with and without."""
    words = caption.words
    place = 0
    while place < len(words):
        for length in (4, 3, 2, 1):
            phrase = " ".join(word.lower for word in words[place : place + length])
            if phrase in lx.RELATIONS and place + length <= len(words) and _relates(caption, place, length):
                yield [Edit(place, place + length, lx.RELATIONS[phrase])]
                place += length - 1
                break
        else:
            yield from ([Edit(place, place + 1, other)] for other in _single_relation(caption, place))
        place += 1


def numbers(caption: Caption, said: Collection[str], generator: np.random.Generator) -> Iterator[list[Edit]]:
    """A number from two on for a larger one, so that nouns and verbs keep their number; two numbers for each other."""
    found = []
    for place, word in enumerate(caption.words):
        value = _number(word.lower)
        noun = caption.words[word.head]
        alone = not any(is_joined(caption, near) for near in (place - 1, place))
        if value and alone and word.dependency == "nummod" and noun.tag == "NNS" and word.head > place:
            found.append((place, value, noun.lemma))
            larger = [n for n in range(value + 1, min(value + 4, 13)) if not {str(n), lx.NUMBERS[n - 2]} & set(said)]
            written = [str(n) if word.text.isdigit() else lx.NUMBERS[n - 2] for n in larger]
            yield from replace(place, written, generator)
    for (first, value, counted), (second, other_value, other_counted) in zip(found, found[1:], strict=False):
        if value != other_value and counted != other_counted:
            yield exchange(caption, first, second)


def genders(caption: Caption, said: Collection[str], generator: np.random.Generator) -> Iterator[list[Edit]]:
    """All words of one gender for the other's, pronouns too; nothing where both are named."""
    edits, sides, named = [], set(), False
    for place, word in enumerate(caption.words):
        other = lx.PRONOUNS.get((word.lower, word.tag)) or lx.GENDER.get(word.lower)
        if not other or (word.tag.startswith("V") and word.lower == "man"):
            continue
        follows = caption.words[place + 1] if place + 1 < len(caption.words) else None
        if word.lower in lx.GENDER_NAMES and follows and (follows.is_noun or follows.lower == "of"):
            return
        edits.append(Edit(place, place + 1, other))
        sides.add(word.lower in lx.FEMALE)
        named = named or word.tag != "PRP$"
    # Of somebody who only has 'his bike' the gender is hardly seen. 'said' has the item's other captions too.
    if named and len(sides) == 1 and {name in lx.FEMALE for name in said if name in lx.GENDERED} == sides:
        yield edits


def kinds_of(word: str) -> list[tuple[str, str]]:
    """(kind, value) of a word by itself, for families of captions that are not parsed."""
    value = lx.COLOUR_ALIASES.get(word, word)
    kinds = [("colour", value)] if value in describing.COLOURS else []
    kinds += [("number", word)] if _number(word) else []
    kinds += [("gender", word)] if word in lx.GENDER else []
    kinds += [("relation", word)] if word in lx.SIDES else []
    return kinds + ([("attribute", word)] if word in lx.OPPOSITES or word in lx.MATERIALS else [])


def excludes(kind: str, value: str, other: str) -> bool:
    """Whether a picture of ``value`` cannot be one of ``other``, both of one kind."""
    if kind == "colour":
        return other != value and other not in lx.NEAR_COLOURS[value]
    if kind == "number":
        return (_number(other) or 0) > (_number(value) or 0)
    if kind in ("gender", "relation"):
        return (lx.GENDER if kind == "gender" else lx.SIDES)[value] == other
    return lx.OPPOSITES.get(value) == other or other in lx.MATERIALS.get(value, ())


def _is_movable(caption: Caption, phrase: Phrase) -> bool:
    """Whether a phrase names a thing by itself: no pronoun, possessive, number agreement or 'of' hangs on it."""
    inside = caption.words[phrase.start : phrase.end]
    head = caption.words[phrase.head]
    return (
        head.is_noun
        and head.lower not in lx.PARTS
        and not any(word.tag in ("PRP$", "PRP", "POS", "WP", "WDT", "EX") for word in inside)
        and lower(caption, phrase.end) not in ("of", "and", "or", "'s")
        and lower(caption, phrase.start - 1) not in ("of", "and", "or", ",")
        and (head.tag == "NNS" or inside[0].lower in ("a", "an", "the"))
        and phrase.head == phrase.end - 1
    )


def _tag(caption: Caption, phrase: Phrase) -> str:
    return caption.words[phrase.head].tag


def _subject(caption: Caption, place: int) -> int | None:
    """The noun that does something to the one at ``place`` or is somewhere in relation to it, else None."""
    word = caption.words[place]
    link = caption.words[word.head]
    if word.dependency == "dobj" and link.lemma not in lx.SYMMETRIC:
        return subject_of(caption, word.head)
    if word.dependency == "pobj" and link.lower in lx.ASYMMETRIC:
        above = caption.words[link.head]
        return link.head if above.is_noun else subject_of(caption, link.head)
    return None


def _relates(caption: Caption, place: int, length: int) -> bool:
    """Whether words are a preposition with something after it."""
    words, end = caption.words, place + length
    if length > 1:
        return end < len(words) and words[end].tag not in (",", ".")
    word = words[place]
    if word.lower in ("before", "after") and words[word.head].lemma in lx.PURSUING:
        return False
    behind = word.tag in ("IN", "RB") and end < len(words) and words[end].tag in (
        "DT", "PRP$", "JJ", "NN", "NNS", "CD", "VBG", "NNP", "PRP"
    )  # fmt: skip
    return behind and word.dependency in ("prep", "mark", "advmod", "pcomp") and lower(caption, place - 1) != "from"


def _single_relation(caption: Caption, place: int) -> list[str]:
    word, head = caption.words[place], caption.words[caption.words[place].head]
    before, after = lower(caption, place - 1), lower(caption, place + 1)
    if word.lower in lx.SIDES:
        # "the left" of "on the left of" is taken as a whole; "left" alone is a verb, "right" alone may mean "correct".
        named = before in ("the", "its") and word.dependency in ("pobj", "amod", "compound")
        pointing = before in ("pointing", "facing", "turning", "looking", "pointed", "turned")
        return [lx.SIDES[word.lower]] if after in lx.SIDED or pointing or (named and after != "of") else []
    if word.lower in ("up", "down") and head.lemma in lx.MOVING and word.tag in ("RP", "IN", "RB"):
        return ["down" if word.lower == "up" else "up"]
    if word.lower == "on" and word.dependency == "prep" and after in ("a", "an", "the", "his", "her", "their"):
        objects_ = [w for w in caption.words if w.dependency == "pobj" and caption.words[w.head] is word]
        return ["under"] if objects_ and objects_[0].lower in lx.SURFACES else []
    if word.lower == "with" and word.dependency == "prep" and head.is_noun and not starts_sentence(caption, place):
        tag = caption.words[place + 1].tag if after else ""
        plain = after in ("a", "an") or (tag in ("NN", "NNS", "JJ") and after not in lx.QUANTIFIERS)
        with_ = [i for i, other in enumerate(caption.words) if other.head == place]
        # 'without a hat and a bag' leaves open which of them is there.
        listed = any(other.dependency == "conj" and other.head in with_ for other in caption.words)
        return ["without"] if plain and not listed else []
    return []


def _number(word: str) -> int | None:
    """The value of a number from two to eleven, in letters or digits: of more than these nobody counts the things."""
    if word in lx.NUMBERS[:-1]:
        return lx.NUMBERS.index(word) + 2
    return int(word) if word.isascii() and word.isdigit() and 2 <= int(word) <= 11 else None


RULES: dict[str, Callable[[Caption, Collection[str], np.random.Generator], Iterator[list[Edit]]]] = {
    "attribute": describing.attributes,
    "object": objects,
    "relation": relations,
    "number": numbers,
    "colour": describing.colours,
    "gender": genders,
}

__all__ = ["RULES", "excludes", "kinds_of"]
