"""What a training step sees: one split as arrays that live on the device, and random batches drawn from them there."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jam_jax.activations.pairs import NO_ITEM, Pairs


class Split(NamedTuple):
    """One split on the device; item and caption numbers count within the split.

    Attributes:
      vision: [N, P] inputs of the items. language: [M, Q] inputs of the captions.
      captions: int [N, C] captions of each item, padded by repeating its first. caption_count: int [N].
      negatives: int [M, K] hard negatives of each caption, padded with 0. negative_count: int [M].
      owner: int [M] item of each caption, -1 for a caption of no item: these come last.
      group: int [N]; items of one group are not used as each other's negatives.
    """

    vision: jax.Array
    language: jax.Array
    captions: jax.Array
    caption_count: jax.Array
    negatives: jax.Array
    negative_count: jax.Array
    owner: jax.Array
    group: jax.Array


class Batch(NamedTuple):
    """One batch: B items, one caption of each, K hard negatives of that caption.

    Attributes:
      vision: [B, P]. language: [B, Q]. negatives: [B, K, Q]. mask: bool [B, K], False where a negative is padding.
      same: bool [B, B], caption j also shows item i. same_negatives: bool [B, B, K], negative k of j belongs to i.
    """

    vision: jax.Array
    language: jax.Array
    negatives: jax.Array
    mask: jax.Array
    same: jax.Array
    same_negatives: jax.Array


class Rows(NamedTuple):
    """Which rows of the stores make a split: items [N], captions [M], and what Split holds besides activations."""

    items: np.ndarray
    captions: np.ndarray
    of_item: np.ndarray
    caption_count: np.ndarray
    negatives: np.ndarray
    negative_count: np.ndarray
    owner: np.ndarray


def rows(pairs: Pairs, split: str, *, caption_kinds: Sequence[str] = (), negative_kinds: Sequence[str] = ()) -> Rows:
    """Selects a split's items, captions of the wanted kinds and hard negatives of the wanted kinds (empty: all).

    A hard negative counts only when its own item is in the same split, so nothing of the test split is ever trained on.
    Captions of no item that are negatives of the selected ones come last, with owner -1.
    """
    items = pairs.items_of(split)
    local_item = np.full(pairs.items, -1)
    local_item[items] = np.arange(len(items))
    kinds = np.asarray(pairs.caption_kinds)
    wanted = np.isin(kinds, list(caption_kinds)) if caption_kinds else np.ones(pairs.captions, bool)
    owned = wanted & (pairs.caption_items != NO_ITEM) & (local_item[pairs.caption_items] >= 0)
    made = {row for m in np.flatnonzero(owned) for row in pairs.negative_rows[m] if pairs.caption_items[row] == NO_ITEM}
    captions = np.concatenate([np.flatnonzero(owned), np.array(sorted(made), int)])
    local_caption = np.full(pairs.captions, -1)
    local_caption[captions] = np.arange(len(captions))
    owner = np.where(pairs.caption_items[captions] == NO_ITEM, NO_ITEM, local_item[pairs.caption_items[captions]])
    of_item: list[list[int]] = [[] for _ in items]
    for caption, item in enumerate(owner[owner != NO_ITEM].tolist()):
        of_item[item].append(caption)
    negatives = [
        [
            int(local_caption[row])
            for row, kind in zip(pairs.negative_rows[m], pairs.negative_kinds[m], strict=True)
            if local_caption[row] >= 0 and (not negative_kinds or kind in negative_kinds)
        ]
        for m in captions.tolist()
    ]
    padded_of_item, caption_count = _pad([captions_ or [0] for captions_ in of_item], repeat_first=True)
    padded_negatives, negative_count = _pad(negatives, repeat_first=False)
    return Rows(items, captions, padded_of_item, caption_count, padded_negatives, negative_count, owner)


def matched(rows: Rows, most: int | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What linear solutions are fitted on: item numbers, caption numbers of these, and the place of each one's item.

    Captions of no item are left out. Of more than ``most`` items every so-many-th is taken.
    """
    count = len(rows.items)
    items = np.arange(count) if most is None or count <= most else np.arange(most) * count // most
    place = np.full(count, NO_ITEM)
    place[items] = np.arange(len(items))
    captions = np.flatnonzero((rows.owner != NO_ITEM) & (place[rows.owner] != NO_ITEM))
    return items, captions, place[rows.owner[captions]]


def groups(pairs: Pairs, items: np.ndarray, same: str) -> np.ndarray:
    """Group number [N] of each item: 'none' puts each in a group of its own, 'concept' puts a concept in one group."""
    if same == "none":
        return np.arange(len(items))
    return np.unique(np.asarray(pairs.concepts)[items], return_inverse=True)[1]


def draw(split: Split, items_B: jax.Array, key: jax.Array, *, negatives: int) -> Batch:
    """A batch of the given items: a random caption for each, and K of its hard negatives without replacement."""
    caption_key, negative_key = jax.random.split(key)
    count_B = split.caption_count[items_B]
    chosen_B = jnp.floor(jax.random.uniform(caption_key, items_B.shape) * count_B).astype(jnp.int32)
    captions_B = split.captions[items_B, jnp.minimum(chosen_B, count_B - 1)]
    candidates_BxC = split.negatives[captions_B]
    valid_BxC = jnp.arange(candidates_BxC.shape[1]) < split.negative_count[captions_B][:, None]
    # Random numbers with invalid places last: the first K in this order are a draw without replacement.
    order_BxC = jnp.where(valid_BxC, jax.random.uniform(negative_key, valid_BxC.shape), 2.0)
    places_BxK = jax.lax.top_k(-order_BxC, negatives)[1] if negatives else jnp.zeros((len(items_B), 0), jnp.int32)
    rows_BxK = jnp.take_along_axis(candidates_BxC, places_BxK, axis=1)
    group_B = split.group[items_B]
    return Batch(
        vision=split.vision[items_B],
        language=split.language[captions_B],
        negatives=split.language[rows_BxK],
        mask=jnp.take_along_axis(valid_BxC, places_BxK, axis=1),
        same=group_B[:, None] == group_B[None, :],
        same_negatives=items_B[:, None, None] == split.owner[rows_BxK][None, :, :],
    )


def _pad(lists: list[list[int]], *, repeat_first: bool) -> tuple[np.ndarray, np.ndarray]:
    count = np.array([len(entries) for entries in lists], np.int32)
    padded = np.zeros((len(lists), max(1, int(count.max(initial=0)))), np.int32)
    for i, entries in enumerate(lists):
        if entries:
            padded[i] = entries[0] if repeat_first else 0
            padded[i, : len(entries)] = entries
    return padded, count
