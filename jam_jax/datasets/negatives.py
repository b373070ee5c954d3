"""Hard negatives: captions that are wrong about an item in one detail.

By rule for any caption (``rules``), from captions of other items that differ in one word (``families``), and from
items of the same category (``neighbours``). docs/negatives.md shows samples of every kind.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence

import numpy as np

from jam_jax.datasets import grammar, swaps
from jam_jax.datasets.grammar import Caption

KINDS = ("attribute", "object", "relation", "number", "colour", "gender", "word-order")
PER_KIND = 2
SHORTEST_ORDER = 4  # words: fewer in another order often mean the same


def rules(caption: str, *, seed: int = 0, avoid: Collection[str] = ()) -> list[tuple[str, str]]:
    """Wrong captions made of a true one by exchanging words, at most ``PER_KIND`` of each kind.

    The same for the same seed and captions. None equals a caption of ``avoid`` or another of the negatives, whatever
    the capitals, white space and final stop; and no word comes in that a caption of ``avoid`` has.

    Args:
      caption: English; other languages give 'word-order' only.
      avoid: the other true captions of the item.

    Returns:
      (text, kind) with kind in ``KINDS``; none for captions that no rule fits, such as single nouns.
    """
    return next(rules_of_many([caption], seed=seed, avoid=[avoid]))


def rules_of_many(
    captions: Sequence[str], *, seed: int = 0, avoid: Iterable[Collection[str]] | None = None
) -> Iterator[list[tuple[str, str]]]:
    """``rules`` of each caption, parsed in batches; ``avoid`` has one collection for each."""
    for text, parsed, others in zip(captions, grammar.parse(captions), avoid or ((),) * len(captions), strict=True):
        yield _rules(text, parsed, seed, others)


def same(caption: str) -> str:
    """What two captions share that say the same: no capitals, single spaces, no final stop."""
    return " ".join(caption.casefold().split()).rstrip(" .!")


def families(captions: Sequence[str], owners: Sequence[int] | np.ndarray) -> list[list[tuple[int, str]]]:
    """For each caption the captions of other items that equal it but for one word of a kind, as (row, kind).

    'red balloon' and 'blue balloon' are a family of kind 'colour', 'a man with a hat' and 'a woman with a hat' one of
    kind 'gender'. Captions need not be parsed, so this is fast.
    """
    members: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    for row, caption in enumerate(captions):
        words = same(caption).split()
        for place, word in enumerate(words):
            for kind, value in swaps.kinds_of(word):
                members[" ".join([*words[:place], "", *words[place + 1 :]]), kind].append((row, value))
    found: list[dict[int, str]] = [{} for _ in captions]
    said: list[set[str]] = [set() for _ in range(max(owners, default=-1) + 1)]
    for row, owner in enumerate(owners):
        said[owner].add(same(captions[row]))
    for (_, kind), family in members.items():
        for row, value in family:
            for other, other_value in family:
                if swaps.excludes(kind, value, other_value) and same(captions[other]) not in said[owners[row]]:
                    found[row][other] = kind
    return [sorted(rows.items()) for rows in found]


def neighbours(
    categories: Sequence[str], concepts: Sequence[str], captions: Sequence[str], *, k: int, seed: int = 0
) -> list[list[int]]:
    """For each of M captions up to k captions of the same category and another concept, drawn by seed, in row order.

    A caption that also describes an item of the concept is never drawn. Arguments hold one entry for each caption:
    the category and the concept of its item, and its text. The kind of these negatives is 'neighbour'.
    """
    members: dict[str, list[int]] = defaultdict(list)
    said: dict[str, set[str]] = defaultdict(set)
    for row, (category, concept, caption) in enumerate(zip(categories, concepts, captions, strict=True)):
        members[category].append(row)
        said[concept].add(same(caption))
    drawn = []
    for row, (category, concept) in enumerate(zip(categories, concepts, strict=True)):
        generator = np.random.default_rng([seed, row])
        others = members[category]
        chosen: list[int] = []
        # A permutation of a large category for every caption would be quadratic: draw places, at most a few times k.
        places = generator.permutation(len(others)) if len(others) <= 8 * k else generator.integers(
            len(others), size=8 * k
        )  # fmt: skip
        for other in (others[place] for place in places):
            if len(chosen) == k:
                break
            if concepts[other] != concept and other not in chosen and same(captions[other]) not in said[concept]:
                chosen.append(other)
        drawn.append(sorted(chosen))
    return drawn


def _rules(text: str, parsed: Caption, seed: int, avoid: Collection[str]) -> list[tuple[str, str]]:
    digest = hashlib.sha256(f"{seed}:{text}".encode("utf-8", "surrogatepass")).digest()
    generator = np.random.default_rng(list(digest))
    taken = {same(text), *map(same, avoid)}
    said = {word for caption in taken for word in re.findall(r"\w+", caption)}
    made = []
    for kind in KINDS:
        candidates = [_shuffled(text, generator)] if kind == "word-order" else [
            grammar.apply(parsed, edits) for edits in swaps.RULES[kind](parsed, said, generator)
        ]  # fmt: skip
        count = 0
        for place in generator.permutation(len(candidates)):
            if count < PER_KIND and same(candidates[place]) not in taken:
                taken.add(same(candidates[place]))
                made.append((candidates[place], kind))
                count += 1
    return made


def _shuffled(text: str, generator: np.random.Generator) -> str:
    """The words in another order; a capital stays at the start and a full stop at the end."""
    body = " ".join(text.split())
    stop = body[len(body.rstrip(".!")) :]
    words = body[: len(body) - len(stop)].split(" ")
    if len(words) < SHORTEST_ORDER:
        return text
    if words[0][:1].isupper() and words[0][1:].islower() or words[0] in ("A", "I"):
        words[0] = words[0].lower()
        capital = True
    else:
        capital = False
    shuffled = [words[place] for place in generator.permutation(len(words))]
    for place, word in enumerate(shuffled[:-1]):
        if word in grammar.ARTICLES and shuffled[place + 1][:1].isalpha():
            shuffled[place] = grammar.indefinite(shuffled[place + 1])
    joined = " ".join(shuffled)
    return (joined[:1].upper() + joined[1:] if capital else joined) + stop


__all__ = ["KINDS", "PER_KIND", "families", "neighbours", "rules", "rules_of_many", "same"]
