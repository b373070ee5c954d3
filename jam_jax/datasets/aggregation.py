"""Averages of k activations of one item: of several captions, or of several pictures of a concept.

Averaging takes noise away and can raise a score by itself, so every average comes with two controls of the same k: one
where all but the first are other items', and one whose pairing with the target is broken.
"""

import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from jam_jax.activations.pairs import Pairs
from jam_jax.errors import JamError

CONTROLS = ("own", "different_items", "shuffled")
COUNTS = (1, 2, 3, 4, 5)


class Members(NamedTuple):
    """Which rows of activations belong to which item: items [N] of the pairs, rows [N, V], V of each."""

    items: np.ndarray
    rows: np.ndarray


class Average(NamedTuple):
    """Predictor and target, both float [N, ...] with a row for each item; the score is the caller's."""

    control: str
    k: int
    predictor: np.ndarray
    target: np.ndarray


def captions_of(pairs: Pairs, least: int = max(COUNTS), kinds: Sequence[str] = ()) -> Members:
    """The first ``least`` captions, of some kinds or of any, of every item that has as many.

    Rows are those of a language store. Raises JamError when no item has as many.
    """
    rows_of: list[list[int]] = [[] for _ in range(pairs.items)]
    for row, (item, kind) in enumerate(zip(pairs.caption_items.tolist(), pairs.caption_kinds, strict=True)):
        if item >= 0 and (not kinds or kind in kinds):
            rows_of[item].append(row)
    items = [item for item, rows in enumerate(rows_of) if len(rows) >= least]
    if not items:
        most = max(map(len, rows_of), default=0)
        raise JamError(f"no item has {least} captions{' of kind ' + ', '.join(kinds) if kinds else ''}, at most {most}")
    return Members(np.array(items), np.array([rows_of[item][:least] for item in items]))


def views_of(pairs: Pairs, row_ids: Sequence[Sequence[str]]) -> Members:
    """The pictures of every item that all views have; ``row_ids`` are those of one vision store for each view.

    Rows are those of the stores' activations, one store after the other (``np.concatenate``). Raises JamError when no
    item is in all views.
    """
    starts = np.cumsum([0, *map(len, row_ids)])
    places = [{name: start + row for row, name in enumerate(ids)} for start, ids in zip(starts, row_ids, strict=False)]
    items = [i for i, name in enumerate(pairs.item_ids) if places and all(name in place for place in places)]
    if not items:
        raise JamError(f"no item of the pairs is in all {len(places)} views; export them for the same pairs")
    return Members(np.array(items), np.array([[place[pairs.item_ids[i]] for place in places] for i in items]))


def sources_of(pairs: Pairs, sources: Sequence[str]) -> Members:
    """The pictures of everything that all sources show, for pairs like those of the larger benchmark.

    There one store holds all sources and an id is '<source>-<name>'; ``items`` are those of the first source.
    Raises JamError when nothing is in all sources.
    """
    places = [
        {name.removeprefix(f"{source}-"): row
         for row, (name, found) in enumerate(zip(pairs.item_ids, pairs.sources, strict=True)) if found == source}
        for source in sources
    ]  # fmt: skip
    names = [name for name in places[0] if all(name in place for place in places)] if places else []
    if not names:
        raise JamError(f"nothing is in all of the sources {', '.join(sources)}; the pairs have {_said(pairs.sources)}")
    rows = np.array([[place[name] for place in places] for name in names])
    return Members(rows[:, 0], rows)


def average(x_MxD: np.ndarray, rows_NxV: np.ndarray, k: int) -> np.ndarray:
    """Mean of the first k rows of each item, float32 [N, D]; raises JamError when k is not in 1..V."""
    if not 1 <= k <= rows_NxV.shape[1]:
        raise JamError(f"k is {k}, but there are 1 to {rows_NxV.shape[1]} rows of each item to average")
    return np.mean([np.asarray(x_MxD[rows_N], np.float32) for rows_N in rows_NxV.T[:k]], axis=0)


def controlled(rows_NxV: np.ndarray, control: str, seed: int = 0) -> np.ndarray:
    """Rows [N, V] in an order drawn for each item, under a control.

    'own': all of the item. 'different_items': the first is the item's own and the same as in 'own', each of the others
    is one of another item's, all of different items as far as there are enough. 'shuffled': those of 'own', all handed
    to another item. Raises JamError for an unknown control or fewer than two items.
    """
    if control not in CONTROLS:
        raise JamError(f"control {control!r} is unknown; choose from {', '.join(CONTROLS)}")
    items, views = rows_NxV.shape
    if items < 2:
        raise JamError(f"{items} item is too few for a control; take at least 2")
    own = np.random.default_rng(seed).permuted(rows_NxV, axis=1)
    if control == "own":
        return own
    generator = np.random.default_rng([seed, zlib.crc32(control.encode())])
    # Along one random cycle through all items nobody meets itself, whatever the number of steps below their count.
    cycle = generator.permutation(items)
    place = np.argsort(cycle)
    if control == "shuffled":
        return own[cycle[(place + 1) % items]]
    steps = [0, *(1 + generator.permutation(items - 1)[np.arange(views - 1) % (items - 1)])]
    return np.stack([own[cycle[(place + step) % items], view] for view, step in enumerate(steps)], axis=1)


def averages(
    predictor_MxD: np.ndarray,
    rows_NxV: np.ndarray,
    target_NxE: np.ndarray,
    *,
    counts: Sequence[int] = COUNTS,
    seed: int = 0,
) -> Iterator[Average]:
    """Every control and k: the predictor's side is averaged, the target stays one activation an item.

    With k = 1 'own' and 'different_items' are the same. Counts beyond V are left out. For an average on both sides give
    an ``average`` of the other side as the target. Raises JamError for a target of other items.
    """
    if len(target_NxE) != len(rows_NxV):
        raise JamError(f"the target has {len(target_NxE)} rows for {len(rows_NxV)} items; give one row an item")
    for control in CONTROLS:
        rows = controlled(rows_NxV, control, seed)
        for k in counts:
            if k <= rows.shape[1]:
                yield Average(control, k, average(predictor_MxD, rows, k), target_NxE)


def _said(sources: Sequence[str]) -> str:
    return ", ".join(sorted(set(filter(None, sources)))) or "none"


__all__ = [
    "CONTROLS", "COUNTS", "Average", "Members", "average", "averages", "captions_of", "controlled", "sources_of",
    "views_of",
]  # fmt: skip
