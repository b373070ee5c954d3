"""What is done to captions before a model reads them: word order broken, or words of some kinds taken away.

A word is what stands between spaces; its part of speech is that of its last token which is no punctuation, by spaCy as
in jam_jax.datasets.grammar. A caption of which nothing would be left gives '': ``manipulate`` keeps such a one whole.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from jam_jax.datasets import grammar
from jam_jax.datasets.grammar import Caption, Word
from jam_jax.datasets.manipulations import generator_of
from jam_jax.errors import JamError

_PUNCTUATION = (".", ",", ":", "``", "''", "-LRB-", "-RRB-", "HYPH", "NFP", "SYM", "POS")
_NAMES = ("NNP", "NNPS")
_AUXILIARY = ("aux", "auxpass")


class Manipulated(NamedTuple):
    """Captions after a manipulation, in order, and the rows that were kept whole as nothing would have been left."""

    texts: list[str]
    kept: list[int]


def shuffled(caption: Caption, generator: np.random.Generator) -> str:
    """The words in another order, punctuation where it stood; the order differs wherever two words do.

    The capital of a first word that is no name goes to the word that is first now.
    """
    groups = _groups(caption)
    words = [_text(group) for group in groups]
    places = [place for place, word in enumerate(words) if _bare(word)]
    cores = [_bare(words[place]) for place in places]
    capital = bool(cores) and _is_capitalised(cores[0]) and _key(groups[places[0]]).tag not in _NAMES
    if capital:
        cores[0] = cores[0][0].lower() + cores[0][1:]
    mixed = cores
    while len(set(cores)) > 1 and mixed == cores:
        mixed = [cores[i] for i in generator.permutation(len(cores))]
    for place, core in zip(places, mixed, strict=True):
        words[place] = words[place].replace(_bare(words[place]), core, 1)
    text = " ".join(words)
    if not capital:
        return text
    first = text.index(mixed[0])
    return text[:first] + text[first].upper() + text[first + 1 :]


def nouns(caption: Caption) -> str:
    """The nouns and names, in order, without punctuation."""
    return _of(caption, _is_noun)


def nouns_and_verbs(caption: Caption) -> str:
    """The nouns, names and verbs, in order, without punctuation; auxiliary verbs are none."""
    return _of(caption, lambda word: _is_noun(word) or _is_verb(word))


def without_stop_words(caption: Caption) -> str:
    """The words that are none of spaCy's English stop words, in order, with their punctuation.

    That list has articles, prepositions and pronouns, and also 'front', 'top', 'side', 'full' and numbers to twelve.
    """
    from spacy.lang.en.stop_words import STOP_WORDS

    texts = [_text(group) for group in _groups(caption)]
    return " ".join(text for text in texts if _bare(text).lower() not in STOP_WORDS)


MANIPULATIONS: dict[str, Callable[[Caption, np.random.Generator], str]] = {
    "words_shuffled": shuffled,
    "nouns": lambda caption, generator: nouns(caption),
    "nouns_and_verbs": lambda caption, generator: nouns_and_verbs(caption),
    "stop_words_dropped": lambda caption, generator: without_stop_words(caption),
}


def manipulate(captions: Iterable[str], ids: Iterable[str], manipulation: str, seed: int = 0) -> Manipulated:
    """All captions after a manipulation of ``MANIPULATIONS``; about 450 a second on one core.

    ``ids`` give each caption its own random numbers. Raises JamError for an unknown manipulation, or without spaCy.
    """
    if manipulation not in MANIPULATIONS:
        raise JamError(f"manipulation {manipulation!r} is unknown; choose from {', '.join(MANIPULATIONS)}")
    captions, ids = list(captions), list(ids)
    change = MANIPULATIONS[manipulation]
    texts, kept = [], []
    for row, (parsed, name) in enumerate(zip(grammar.parse(captions), ids, strict=True)):
        text = change(parsed, generator_of(name, seed))
        if not text:
            kept.append(row)
        texts.append(text or captions[row])
    return Manipulated(texts, kept)


def _groups(caption: Caption) -> list[list[Word]]:
    """Tokens between spaces, together; the unparsed rest of a very long caption is left out."""
    groups: list[list[Word]] = [[]]
    for word in caption.words:
        groups[-1].append(word)
        if word.space:
            groups.append([])
    return [group for group in groups if group]


def _text(group: list[Word]) -> str:
    return "".join(word.text for word in group)


def _key(group: list[Word]) -> Word:
    """The token that says what kind of word a group is."""
    return next((word for word in reversed(group) if word.tag not in _PUNCTUATION), group[-1])


def _bare(text: str) -> str:
    """A word without the punctuation before and after it; '' for a dash that stands alone."""
    letters = [place for place, sign in enumerate(text) if sign.isalnum()]
    return text[letters[0] : letters[-1] + 1] if letters else ""


def _is_capitalised(word: str) -> bool:
    return word[0].isupper() and word[1:] == word[1:].lower() and word != "I"


def _of(caption: Caption, wanted: Callable[[Word], bool]) -> str:
    kept = []
    for group in _groups(caption):
        key = _key(group)
        if wanted(key):
            kept.append(_bare(_text(group[: group.index(key) + 1])))
    return " ".join(text for text in kept if text)


def _is_noun(word: Word) -> bool:
    return word.is_noun or word.tag in _NAMES


def _is_verb(word: Word) -> bool:
    return word.tag.startswith("VB") and word.dependency not in _AUXILIARY


__all__ = [
    "MANIPULATIONS", "Manipulated", "manipulate", "nouns", "nouns_and_verbs", "shuffled", "without_stop_words",
]  # fmt: skip
