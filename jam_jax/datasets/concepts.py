"""What an emoji's name says beyond its concept: skin tone, gender, hair, colour, size, direction, time, phase, number.

Two emoji of one concept differ in such details only. Details are stripped by rules that hold inside named subgroups,
because the same word is a detail in one ("red heart") and the thing itself in another ("red envelope").
"""

import re
from typing import NamedTuple

KINDS = ("skin", "gender", "hair", "colour", "size", "direction", "clock", "moon", "number")


class Name(NamedTuple):
    """A concept and its details, each kind at most once."""

    concept: str
    details: dict[str, str]


_COLOURS = (
    "light blue", "red", "orange", "yellow", "green", "blue", "purple", "brown", "black", "white", "grey", "pink",
)  # fmt: skip
_COLOUR_GROUPS = {"heart", "geometric", "book-paper", "punctuation", "flag"}
_COLOURED = {"red apple", "green apple", "black cat", "cat", "black bird", "bird", "polar bear", "bear"}
_COLOUR_ALIASES = {"polar bear": ("bear", "white"), "closed book": ("book", "red")}
_SIZES = ("medium-small", "small", "medium", "large")
_SIZE_GROUPS = {"geometric"}
_DIRECTION = re.compile(
    r"\b(?:up-right|up-left|down-right|down-left|up-down|left-right|leftwards|rightwards|upwards|downwards|"
    r"left-facing|right-facing|left|right|up|down)\b"
)
_DIRECTION_GROUPS = {"hand-fingers-open", "hand-fingers-closed", "hand-single-finger", "arrow", "light-video"}
_DIRECTED = {"red triangle pointed up", "red triangle pointed down", "upwards button", "downwards button"} | {
    "fast up button", "fast down button", "chart increasing", "chart decreasing",
}  # fmt: skip
_MOONS = ("waxing crescent", "first quarter", "waxing gibbous", "waning gibbous", "last quarter", "waning crescent")
_MOON = re.compile(rf"^(new|full|{'|'.join(_MOONS)}) (moon(?: face)?)$")
_NUMBER = re.compile(r"^(?:keycap: (.+)|(1st|2nd|3rd) place medal)$")
_TONES = re.compile(r"(?:light|medium-light|medium|medium-dark|dark) skin tone")
_HAIR = ("red hair", "blond hair", "curly hair", "white hair", "bald", "beard")
_PERSONS = {
    "woman": "woman", "women": "woman", "girl": "woman", "princess": "woman", "mermaid": "woman", "Mrs. Claus": "woman",
    "man": "man", "men": "man", "boy": "man", "prince": "man", "merman": "man", "Santa Claus": "man",
    "person": "person", "people": "person", "merperson": "person", "Mx Claus": "person", "child": "person",
    "woman’s": "woman", "women’s": "woman", "man’s": "man", "men’s": "man", "female": "woman", "male": "man",
}  # fmt: skip
_PERSON = re.compile(rf"(?<![\w’])({'|'.join(sorted(map(re.escape, _PERSONS), key=len, reverse=True))})(?![\w’])")
_GENDER_GROUPS = {"clothing", "gender", "transport-sign"}
# Names whose concept the stripped words alone would lose or split.
_CONCEPTS = {
    "child": "child", "boy": "child", "girl": "child", "prince": "royalty", "princess": "royalty",
    "person with crown": "royalty", "Santa Claus": "Claus", "Mrs. Claus": "Claus", "Mx Claus": "Claus",
    "merperson": "merperson", "merman": "merperson", "mermaid": "merperson", "old man": "older person",
    "old woman": "older person", "older person": "older person", "breast-feeding": "feeding baby",
    "woman and man holding hands": "holding hands", "people holding hands": "holding hands",
    "women holding hands": "holding hands", "men holding hands": "holding hands",
}  # fmt: skip


def parse(label: str, subgroup: str) -> Name:
    """The concept and the details of an emoji's English name.

    Args:
      label: as in emojibase, e.g. 'woman farmer: dark skin tone'.
      subgroup: its emojibase subgroup, e.g. 'person-role'.
    """
    name, details = label, {}
    tones = _TONES.findall(name)
    if tones:
        details["skin"] = ", ".join(tones)
        name = re.sub(r"[:,] ?$", "", re.sub(r",? *(?:" + _TONES.pattern + r")", "", name)).strip().rstrip(":,").strip()
        name = re.sub(r":\s*,\s*", ": ", name)
    if subgroup == "person":
        name, details = _hair(name, details)
    if subgroup in ("time",) and (name.endswith("o’clock") or name.endswith("-thirty")):
        return Name("clock face", details | {"clock": name})
    if moon := _MOON.match(name):
        return Name(moon[2], details | {"moon": moon[1]})
    if number := _NUMBER.match(name):
        return Name("keycap" if number[1] else "place medal", details | {"number": number[1] or number[2]})
    if subgroup in _COLOUR_GROUPS or name in _COLOURED or name in _COLOUR_ALIASES:
        name, details = _colour(name, details)
    if subgroup in _SIZE_GROUPS or name.startswith("sun behind"):
        name, details = _strip(name, "size", re.compile(rf"\b(?:{'|'.join(_SIZES)})\b"), details)
    if subgroup in _DIRECTION_GROUPS or label in _DIRECTED:
        name, details = _direction(name, details)
    if subgroup.startswith("person") or subgroup == "family" or subgroup in _GENDER_GROUPS:
        return _gender(name, details, subgroup)
    return Name(name, details)


def contradiction(picture: Name, caption: Name) -> str | None:
    """The one kind of detail in which a caption is wrong about a picture of its concept, else None.

    A caption that leaves a detail open ("farmer" of a woman farmer, "person" of a bald one) is not wrong, and a
    picture of a person of no stated gender contradicts no gender.
    """
    if picture.concept != caption.concept:
        return None
    kinds = [kind for kind in KINDS if picture.details.get(kind) != caption.details.get(kind)]
    if len(kinds) != 1 or kinds[0] not in caption.details:
        return None
    if kinds[0] == "gender":
        shown, said = picture.details.get("gender", "person"), caption.details["gender"]
        # A family of another size differs in more than its genders.
        if "person" in (shown, said) or (picture.concept == "family" and shown.count(",") != said.count(",")):
            return None
    return kinds[0]


def _strip(name: str, kind: str, words: re.Pattern[str], details: dict[str, str]) -> tuple[str, dict[str, str]]:
    found = words.findall(name)
    if not found:
        return name, details
    return " ".join(words.sub(" ", name).split()), details | {kind: " ".join(found)}


def _colour(name: str, details: dict[str, str]) -> tuple[str, dict[str, str]]:
    if name in _COLOUR_ALIASES:
        concept, colour = _COLOUR_ALIASES[name]
        return concept, details | {"colour": colour}
    return _strip(name, "colour", re.compile(rf"\b(?:{'|'.join(_COLOURS)})\b"), details)


def _direction(name: str, details: dict[str, str]) -> tuple[str, dict[str, str]]:
    if name in ("chart increasing", "chart decreasing"):
        return "chart", details | {"direction": name.split()[1]}
    return _strip(name, "direction", _DIRECTION, details)


def _hair(name: str, details: dict[str, str]) -> tuple[str, dict[str, str]]:
    for hair in _HAIR:
        if name.endswith(f": {hair}") or name.endswith(f", {hair}"):
            return name[: -len(hair) - 2], details | {"hair": hair}
    return name, details


def _gender(name: str, details: dict[str, str], subgroup: str) -> Name:
    people = [_PERSONS[word] for word in _PERSON.findall(name)]
    if name in _CONCEPTS:
        gender = "woman" if name == "breast-feeding" else ", ".join(people) or "person"
        return Name(_CONCEPTS[name], details | {"gender": gender})
    if subgroup == "family" and name.partition(":")[0] in ("family", "kiss", "couple with heart"):
        concept, _, members = name.partition(": ")
        return Name(concept, details | {"gender": members or "person"})
    if not people:
        # "farmer" beside "man farmer": the unmarked form of a role shows a person of no stated gender.
        return Name(name, details | {"gender": "person"}) if subgroup.startswith("person-") else Name(name, details)
    stripped = " ".join(_PERSON.sub(" ", name).split()).lstrip(":, ")
    return Name(stripped or "person", details | {"gender": ", ".join(people)})
