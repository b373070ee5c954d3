"""Forced choice: which of two captions belongs to the image? Chance is 1/2.

The distractor decides how hard it is: 'easy' is a caption of another category, 'medium' of the same category but of
another concept, and hard ones are the pairs' own hard negatives.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jam_jax.errors import JamError
from jam_jax.metrics.arrays import Array, namespace, plain, similarity, tolerance, unit_rows

DIFFICULTIES = ("easy", "medium")
_BLOCK_ENTRIES = 1 << 22


def forced_choice(
    images_NxH: Array,
    texts_MxH: Array,
    owner_M: Array,
    distractors: Array | Sequence[Sequence[int]],
    mask: Array | None = None,
) -> dict[str, Any]:
    """Share of comparisons won, where caption m wins when cos(image of m, m) > cos(image of m, distractor).

    A tie is a miss, and so is NaN. The share is averaged over the distractors of a caption, then over the captions that
    have any, so that captions with many do not dominate. Works on traced arrays, inside jit.

    Args:
      images_NxH, texts_MxH: latents of any norm. owner_M: int [M], the image of each caption.
      distractors: caption rows, int [M, K] with ``mask`` bool [M, K] (None: all valid), or a list for each caption.

    Returns:
      'accuracy' in 0..1 and 'comparisons', their number; with none the accuracy is NaN.
    """
    if not isinstance(distractors, np.ndarray | jax.Array):
        distractors, mask = padded(distractors)
    xp = namespace(images_NxH, texts_MxH, owner_M, distractors, mask)
    mask = np.ones(distractors.shape, bool) if mask is None else mask
    _check(texts_MxH, owner_M, distractors, mask)
    owner_M, rows_MxK, mask_MxK = xp.asarray(owner_M), xp.asarray(distractors), xp.asarray(mask)
    texts_MxH, own_M = xp.asarray(texts_MxH), np.arange(len(texts_MxH))
    if xp is np:  # most captions have no hard negative of a kind: neither they nor their images need be looked at
        texts_MxH, owner_M, own_M, rows_MxK, mask_MxK = _asked(texts_MxH, owner_M, rows_MxK, mask_MxK)
        shown, owner_M = np.unique(owner_M, return_inverse=True)
        images_NxH = np.asarray(images_NxH)[shown]
    images_NxH, texts_MxH = unit_rows(images_NxH, xp), unit_rows(texts_MxH, xp)
    count = len(own_M)
    size = max(1, _BLOCK_ENTRIES // max(1, len(texts_MxH)))
    won = [xp.zeros(0, int)]
    for start in range(0, count, size):
        block = slice(start, min(start + size, count))
        sim_BxM = similarity(images_NxH[owner_M[block]], texts_MxH, xp)
        right_Bx1 = xp.take_along_axis(sim_BxM, own_M[block, None], axis=1)
        wrong_BxK = xp.take_along_axis(sim_BxM, rows_MxK[block], axis=1)
        won.append(((right_Bx1 > wrong_BxK + tolerance(sim_BxM)) & mask_MxK[block]).sum(1))
    comparisons_M = mask_MxK.sum(1)
    share_M = xp.concatenate(won) / xp.maximum(comparisons_M, 1)
    captions = (comparisons_M > 0).sum()
    accuracy = xp.where(captions > 0, share_M.sum() / xp.maximum(captions, 1), np.nan)
    return plain({"accuracy": accuracy, "comparisons": comparisons_M.sum()})


def distractors(
    difficulty: str,
    *,
    kinds: Sequence[str],
    categories: Sequence[str],
    concepts: Sequence[str],
    limit: int = 128,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Distractors of each caption among captions of the same kind: rows int [M, K] and mask bool [M, K], K <= limit.

    Args:
      difficulty: 'easy', another category and concept; 'medium', the same category and another concept.
      kinds, categories, concepts: of each of M captions.
      limit: where there are more, this many are drawn without replacement.
      seed: of that draw.

    Raises:
      JamError: unknown difficulty, or lengths differ.
    """
    if difficulty not in DIFFICULTIES:
        raise JamError(f"distractors: difficulty {difficulty!r} is unknown; choose from {', '.join(DIFFICULTIES)}")
    if not len(kinds) == len(categories) == len(concepts):
        raise JamError(
            f"distractors: {len(kinds)} kinds, {len(categories)} categories, {len(concepts)} concepts; need M each"
        )
    kind_M, category_M, concept_M = (np.unique(list(x), return_inverse=True)[1] for x in (kinds, categories, concepts))
    generator = np.random.default_rng(seed)
    lists = []
    for m in range(len(kind_M)):
        alike_M = category_M == category_M[m]
        wanted_M = (
            (alike_M if difficulty == "medium" else ~alike_M) & (kind_M == kind_M[m]) & (concept_M != concept_M[m])
        )
        rows = np.flatnonzero(wanted_M)
        lists.append(rows if len(rows) <= limit else np.sort(generator.choice(rows, limit, replace=False)))
    return padded(lists)


def padded(lists: Sequence[Sequence[int] | np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Rows int [M, K] and mask bool [M, K] of M lists of up to K rows, padded with row 0."""
    counts_M = np.array([len(rows) for rows in lists], int)
    mask = np.arange(counts_M.max(initial=0)) < counts_M[:, None]
    rows_MxK = np.zeros(mask.shape, int)
    rows_MxK[mask] = [row for rows in lists for row in rows]
    return rows_MxK, mask


def _asked(texts_MxH: Any, owner_M: Any, rows_MxK: Any, mask_MxK: Any) -> tuple[np.ndarray, ...]:
    """The captions that have distractors (A of them) and the texts that occur, with all numbers counted among these."""
    asked_A = np.flatnonzero(mask_MxK.any(1))
    used = np.union1d(asked_A, rows_MxK[mask_MxK])
    place_M = np.zeros(len(texts_MxH), int)
    place_M[used] = np.arange(len(used))
    rows_AxK = np.where(mask_MxK[asked_A], place_M[rows_MxK[asked_A]], 0)
    return texts_MxH[used], owner_M[asked_A], place_M[asked_A], rows_AxK, mask_MxK[asked_A]


def _check(texts_MxH: Array, owner_M: Array, rows_MxK: Array, mask: Array) -> None:
    count = len(texts_MxH)
    if np.shape(owner_M) != (count,):
        raise JamError(f"forced_choice: owner has shape {np.shape(owner_M)}; expected ({count},), one for each caption")
    if np.ndim(rows_MxK) != 2 or len(rows_MxK) != count or np.shape(mask) != np.shape(rows_MxK):
        shapes = f"{np.shape(rows_MxK)} and mask {np.shape(mask)}"
        raise JamError(f"forced_choice: distractors have shape {shapes}; expected [M, K] = ({count}, K) for both")
