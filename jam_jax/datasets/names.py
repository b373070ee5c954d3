"""What a free name ("A pair of green gloves.", "Gloves_02") names, so that collections can be laid side by side."""

import functools
import re
import unicodedata
from collections.abc import Container

import inflect

from jam_jax.datasets import concepts
from jam_jax.datasets.concepts import Name

# Without orange, which is a fruit more often than a colour.
COLOURS = ("red", "yellow", "green", "blue", "purple", "brown", "black", "white", "grey", "pink")
_SIZES = ("small", "large", "big", "little", "tiny", "huge", "medium")
_DIRECTIONS = ("left", "right", "up", "down")
# How a thing is drawn, or what mood it is in: said of the picture, never a thing of its own.
_MANNER = {"cartoon", "simple", "basic", "cute", "happy", "funny", "very", "stylized", "clipart", "clip", "svg"}
_LINKS = {"on", "in", "of", "with", "and"}
_FILLER = {"a", "an", "the", "some", "my", "your"}
_COUNTED = re.compile(r"^(?:pair|couple|set|bunch|picture|kind) of ")
_GENDERS = {"man": "man", "male": "man", "woman": "woman", "female": "woman"}
_PERSONS = {"man", "woman", "boy", "girl", "person", "prince", "princess", "mermaid", "merman"}
# Colour and thing are one name here, as the emoji's own names are ("red envelope").
_FIXED = re.compile(
    r"^(?:red (?:cross|panda|cabbage|wine|pepper|bull|fox|squirrel|hat)|"
    r"(?:black|white|brown|grizzly) bear|black (?:hole|widow|bird|cat)|white (?:house|bread|wine|tiger|board)|"
    r"green (?:tea|peace|pepper|bean|card|house)|blue (?:jay|whale|cheese|tit|print)|brown (?:rice|bread|sugar)|"
    r"yellow (?:jacket|pages|pepper|card)|black (?:board|berry|jack)|grey (?:seal|wolf|heron)|little bear|"
    r"hash brown|big (?:ben|dipper|top|wheel|cat)|little (?:penguin|owl))\b"
)
# Words that end like plurals and are none, or whose singular is another thing.
_UNCHANGED = {
    "asparagus", "bagpipes", "bus", "canvas", "christmas", "cactus", "chess", "compass", "cosmos", "cross", "darts",
    "gas", "glasses", "goggles", "gps", "grass", "iris", "jeans", "lens", "mars", "news", "octopus", "pants", "pliers",
    "scissors", "shorts", "sunglasses", "swiss", "tennis", "texas", "tongs", "trousers", "tweezers", "venus", "virus",
    "walrus", "wales", "us", "uss", "uranus", "bass", "dos", "paris", "atlas", "plus", "minus", "times", "class",
    "clothes", "bellows", "chaos", "dress", "glass", "hibiscus", "crocus", "hippopotamus", "platypus", "rhinoceros",
    "xmas", "pancreas", "papyrus", "status", "series", "species", "physics", "gymnastics", "headquarters", "stairs",
    "arctic", "boss", "brass", "kiss", "mess", "moss", "pass", "press", "princess", "waitress", "mattress", "fortress",
    "actress", "goddess", "wireless", "business", "darkness", "oasis", "genesis", "alias", "bias", "pus", "versus",
    "abrams", "aids", "aries", "arkansas", "asturias", "canarias", "customs", "pisces",
}  # fmt: skip
_GREY = {"gray": "grey"}


def key(name: str) -> str:
    """A name in lower case without accents, punctuation, filler words and plural: equal keys name one thing.

    >>> key("The Gift-Boxes!")
    'gift box'
    """
    plain = unicodedata.normalize("NFKD", name.replace("’", "'")).encode("ascii", "ignore").decode().lower()
    plain = re.sub(r"'s\b", "", plain)
    words = [word for word in re.findall(r"[a-z0-9]+", plain.replace("'", "")) if word not in _FILLER]
    return " ".join(_singular(_GREY.get(word, word)) for word in words) or plain.strip()


def parse(name: str, known: Container[str] = ()) -> Name:
    """The concept and the details (colour, size, direction, gender) of a free name, the concept as a key.

    Args:
      name: a title, a file name or a sentence; of a sentence the part that names counts ("A mince pie is a ...").
      known: keys that stay whole ("red envelope").
    """
    aside = re.search(r"\(([^)]*)\)", name)
    said = re.split(r"[.;:,!?—(]|--|\s(?:is|are|was|were|has|have|resembles|means|called)\s", name + " ", maxsplit=1)[0]
    if not re.search("[A-Za-z]{2}", said):
        said = name
    # Numbers with a nought in front count the drawings of a series.
    text = _COUNTED.sub("", " ".join(word for word in key(said).split() if not re.match(r"0\d", word)))
    if text in known or _FIXED.match(text):
        return Name(text, {})
    details: dict[str, str] = {}
    shown = re.search(r"black and white|" + "|".join(COLOURS), key(aside[1])) if aside else None
    if shown:
        details["colour"] = shown[0]
    words = [word for word in text.split() if word not in _MANNER] or text.split()
    for kind, choices in (("size", _SIZES), ("colour", COLOURS), ("direction", _DIRECTIONS)):
        words, found = _detail(words, choices)
        if found:
            details[kind] = found
    if len(words) == 1 and words[0] in _PERSONS:
        person = concepts.parse(words[0], "person")
        return Name(key(person.concept), details | person.details)
    if len(words) > 1 and words[0] in _GENDERS and words[1] not in (*_LINKS, "hole"):
        details["gender"] = _GENDERS[words.pop(0)]
    return Name(" ".join(words), details)


def _detail(words: list[str], choices: tuple[str, ...]) -> tuple[list[str], str]:
    """Words without those of a detail in front ("red and white flag") or at the end ("pin yellow"), and the detail."""
    if len(words) > 3 and words[0] in choices and words[1] == "and" and words[2] in choices:
        return words[3:], " ".join(words[:3])
    # "Red-eyed" is more than red, and "hole on green" is not green.
    if len(words) > 1 and words[0] in choices and words[1] != "and" and not words[1].endswith(("ed", "eye")):
        return words[1:], words[0]
    if len(words) > 1 and words[-1] in choices and words[-2] not in _LINKS:
        return words[:-1], words[-1]
    return words, ""


@functools.cache
def _singular(word: str) -> str:
    if len(word) < 4 or word in _UNCHANGED or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return {"people": "person", "children": "child", "men": "man", "women": "woman", "teeth": "tooth",
                "feet": "foot", "mice": "mouse", "geese": "goose"}.get(word, word)  # fmt: skip
    return _engine().singular_noun(word) or word


@functools.cache
def _engine() -> inflect.engine:
    return inflect.engine()


__all__ = ["COLOURS", "key", "parse"]
