"""Hard negatives: captions that are wrong about an item in one detail.

By rule for any caption (``rules``), from captions of other items that differ in one word (``families``), and from
items of the same category (``neighbours``). docs/negatives.md shows samples of every kind.
"""

import dataclasses
import hashlib
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence

import numpy as np
from tqdm import tqdm

from jam_jax.activations.pairs import NO_ITEM, Pairs
from jam_jax.datasets import grammar, swaps
from jam_jax.datasets.grammar import Caption
from jam_jax.errors import JamError

KINDS = ("attribute", "object", "relation", "number", "colour", "gender", "word-order")
PER_KIND = 2
MADE = ("none", "rules", "neighbours")
NEIGHBOURS = 8
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


def shuffled(caption: str, *, seed: int = 0) -> str:
    """The words in another order, drawn by seed and caption; a capital stays at the start and a full stop at the end.

    Fewer than ``SHORTEST_ORDER`` words stay as they are.
    """
    body = " ".join(caption.split())
    stop = body[len(body.rstrip(".!")) :]
    words = body[: len(body) - len(stop)].split(" ")
    if len(words) < SHORTEST_ORDER:
        return caption
    capital = words[0] in ("A", "I") or (words[0][:1].isupper() and words[0][1:].islower())
    words[0] = words[0].lower() if capital else words[0]
    order = [words[place] for place in _generator(caption, seed, "order").permutation(len(words))]
    for place, word in enumerate(order[:-1]):
        if word in grammar.ARTICLES and order[place + 1][:1].isalpha():
            order[place] = grammar.indefinite(order[place + 1])
    joined = " ".join(order)
    return (joined[:1].upper() + joined[1:] if capital else joined) + stop


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


def attach(pairs: Pairs, made: Iterable[Collection[tuple[str, str]]]) -> Pairs:
    """Pairs with more hard negatives: for each caption (text, kind), such as ``rules`` gives.

    A text that is a caption of another item in the same split becomes a negative as that row; any other becomes a
    caption of no item, of caption kind 'negative', one for each caption that it belongs to, so that no split sees
    another's. Raises JamError when a text is a true caption of the item itself.
    """
    row_of: dict[tuple[str, str], int] = {}
    said: dict[int, set[str]] = defaultdict(set)
    owners = pairs.caption_items.tolist()
    for row, owner in enumerate(owners):
        if owner != NO_ITEM:
            said[owner].add(same(pairs.caption_texts[row]))
            row_of.setdefault((pairs.splits[owner], same(pairs.caption_texts[row])), row)
    texts = list(pairs.caption_texts)
    rows = [list(known) for known in pairs.negative_rows]
    kinds = [list(known) for known in pairs.negative_kinds]
    for row, extra in enumerate(made):
        for text, kind in extra:
            owner = owners[row]
            if same(text) in said[owner]:
                raise JamError(f"{text!r} is a true caption of item {pairs.item_ids[owner]}, not a hard negative")
            other = row_of.get((pairs.splits[owner], same(text)))
            if other is None:
                other = len(texts)
                texts.append(text)
            if other not in rows[row]:
                rows[row].append(other)
                kinds[row].append(kind)
    count = len(texts) - pairs.captions
    return dataclasses.replace(
        pairs,
        caption_texts=texts,
        caption_kinds=[*pairs.caption_kinds, *["negative"] * count],
        caption_items=np.array([*owners, *[NO_ITEM] * count], int),
        negative_rows=[*rows, *([] for _ in range(count))],
        negative_kinds=[*kinds, *([] for _ in range(count))],
    )


def make(how: str, pairs: Pairs, *, seed: int = 0) -> Pairs:
    """Pairs with hard negatives made as a command line says: 'none', 'rules' or 'neighbours'."""
    if how not in MADE:
        raise JamError(f"negatives is {how!r}; choose from {', '.join(MADE)}")
    if how == "neighbours":
        return with_neighbours(pairs, k=NEIGHBOURS, seed=seed)
    return with_rules(pairs, seed=seed) if how == "rules" else pairs


def with_rules(pairs: Pairs, *, seed: int = 0) -> Pairs:
    """Pairs with the rule-made hard negatives of every caption; about 200 captions a second on one core."""
    true = np.flatnonzero(pairs.caption_items != NO_ITEM)
    captions_of: dict[int, list[str]] = defaultdict(list)
    for row in true:
        captions_of[int(pairs.caption_items[row])].append(pairs.caption_texts[row])
    made = rules_of_many(
        [pairs.caption_texts[row] for row in true],
        seed=seed,
        avoid=(captions_of[int(pairs.caption_items[row])] for row in true),
    )
    of_row = dict(zip(true.tolist(), tqdm(made, "negatives", len(true), unit="caption", disable=None), strict=True))
    return attach(pairs, [of_row.get(row, []) for row in range(pairs.captions)])


def with_neighbours(pairs: Pairs, *, k: int, seed: int = 0) -> Pairs:
    """Pairs with up to ``k`` captions of the same category and split as further hard negatives of every caption."""
    true = np.flatnonzero(pairs.caption_items != NO_ITEM)
    items = pairs.caption_items[true]
    near = neighbours(
        [f"{pairs.splits[i]}/{pairs.categories[i]}" for i in items],
        [pairs.concepts[i] for i in items],
        [pairs.caption_texts[row] for row in true],
        k=k,
        seed=seed,
    )
    made: list[list[tuple[str, str]]] = [[] for _ in range(pairs.captions)]
    for row, others in zip(true, near, strict=True):
        made[row] = [(pairs.caption_texts[true[other]], "neighbour") for other in others]
    return attach(pairs, made)


def _rules(text: str, parsed: Caption, seed: int, avoid: Collection[str]) -> list[tuple[str, str]]:
    generator = _generator(text, seed, "rules")
    taken = {same(text), *map(same, avoid)}
    said = {word for caption in taken for word in re.findall(r"\w+", caption)}
    made = []
    for kind in KINDS:
        candidates = [shuffled(text, seed=seed)] if kind == "word-order" else [
            grammar.apply(parsed, edits) for edits in swaps.RULES[kind](parsed, said, generator)
        ]  # fmt: skip
        count = 0
        for place in generator.permutation(len(candidates)):
            if count < PER_KIND and same(candidates[place]) not in taken:
                taken.add(same(candidates[place]))
                made.append((candidates[place], kind))
                count += 1
    return made


def _generator(text: str, seed: int, purpose: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{purpose}:{seed}:{text}".encode("utf-8", "surrogatepass")).digest()
    return np.random.default_rng(list(digest))


__all__ = [
    "KINDS", "MADE", "PER_KIND", "attach", "families", "make", "neighbours", "rules", "rules_of_many", "same",
    "shuffled", "with_neighbours", "with_rules",
]  # fmt: skip
