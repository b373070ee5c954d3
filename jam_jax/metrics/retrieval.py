"""Cross-modal retrieval by cosine similarity: ranks, R@K, median rank, and what chance would give.

Rows are L2-normalised here. Ties count against the model: a wrong candidate as similar as the best right one ranks
before it, exact duplicates in the gallery included. NaN never helps: a query whose right answers are NaN gets the worst
rank, and a NaN candidate ranks before every right one. All functions but those for chance also work inside jit.
"""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from jam_jax.errors import JamError
from jam_jax.metrics.arrays import Array, namespace, plain, similarity, tolerance, unit_rows

CUTOFFS = (1, 5, 10)
_BLOCK_ENTRIES = 1 << 22  # of similarities at a time: 32 MB in float64


def ranks(queries_QxH: Array, gallery_GxH: Array, relevant: Array | tuple[Array, Array]) -> Array:
    """Rank of the best right answer of each query, 1 is best; int [Q].

    The rank is 1 + the number of wrong candidates at least as similar as the most similar right one. No array of Q x G
    is made beyond a block of queries.

    Args:
      queries_QxH, gallery_GxH: of any norm.
      relevant: the right answers: int [Q], one row of the gallery for each query; or bool [Q, G]; or a pair of labels
        int [Q] and int [G], where a candidate is right when it has the query's label. With none the rank is G + 1.
    """
    labels = relevant if isinstance(relevant, tuple) else (relevant,)
    xp = namespace(queries_QxH, gallery_GxH, *labels)
    queries_QxH, gallery_GxH = unit_rows(queries_QxH, xp), unit_rows(gallery_GxH, xp)
    _check(queries_QxH, gallery_GxH, labels)
    found = []
    for block in _blocks(len(queries_QxH), len(gallery_GxH)):
        right_BxG = _right(labels, block, len(gallery_GxH), xp)
        sim_BxG = similarity(queries_QxH[block], gallery_GxH, xp)
        best_B = xp.where(right_BxG & ~xp.isnan(sim_BxG), sim_BxG, -np.inf).max(1)
        # "not below" rather than "at or above": comparisons with NaN are False.
        before_BxG = ~(sim_BxG < best_B[:, None] - tolerance(sim_BxG)) & ~right_BxG
        found.append(before_BxG.sum(1) + 1)
    return xp.concatenate(found)


def image_to_text(images_NxH: Array, texts_MxH: Array, owner_M: Array) -> dict[str, Any]:
    """Retrieval of captions by images under the multi-caption protocol: any caption of the image is a right answer.

    Args:
      images_NxH, texts_MxH: latents of any norm. owner_M: int [M], the image of each caption.

    Returns:
      'r@1', 'r@5', 'r@10' (shares of queries in 0..1), 'median_rank', 'gallery' (number of captions).

    Raises:
      JamError: an image has no caption, or an owner is no image.
    """
    _check_owners(owner_M, len(images_NxH), every="image")
    xp = namespace(images_NxH, texts_MxH, owner_M)
    labels = (np.arange(len(images_NxH)), xp.asarray(owner_M))
    return summary(ranks(images_NxH, texts_MxH, labels), gallery=len(texts_MxH))


def text_to_image(images_NxH: Array, texts_MxH: Array, owner_M: Array) -> dict[str, Any]:
    """Retrieval of images by captions: each caption has one right image; arguments and result as ``image_to_text``.

    Every caption is a query; 'gallery' is the number of images.
    """
    _check_owners(owner_M, len(images_NxH))
    return summary(ranks(texts_MxH, images_NxH, owner_M), gallery=len(images_NxH))


def summary(ranks_Q: Array, *, gallery: int) -> dict[str, Any]:
    """{'r@1', 'r@5', 'r@10', 'median_rank', 'gallery'} of ranks [Q]."""
    recalls = {f"r@{k}": (ranks_Q <= k).mean() for k in CUTOFFS}
    return plain({**recalls, "median_rank": namespace(ranks_Q).median(ranks_Q), "gallery": gallery})


def chance_image_to_text(owner_M: np.ndarray, n: int) -> dict[str, Any]:
    """What ``image_to_text`` expects of a random ranking, exactly: n images, image i with c_i of the M captions.

    Its best right answer ranks below k with probability C(M - c_i, k) / C(M, k). 'median_rank' is the median of the
    rank of a random image. Raises JamError as ``image_to_text``.
    """
    _check_owners(owner_M, n, every="image")
    return _chance(np.bincount(np.asarray(owner_M), minlength=n), len(owner_M))


def chance_text_to_image(owner_M: np.ndarray, n: int) -> dict[str, Any]:
    """What ``text_to_image`` expects of a random ranking, exactly: one right image among n."""
    _check_owners(owner_M, n)
    return _chance(np.ones(1, int), n)


def _chance(right_Q: np.ndarray, gallery: int) -> dict[str, Any]:
    """Expectation over queries with the given numbers of right answers in a gallery."""
    counts, weights = np.unique(right_Q, return_counts=True)
    place_G = np.arange(gallery)
    # P(rank > k) is the product over j < k of (M - c - j) / (M - j).
    survival_CxG = np.cumprod(np.maximum(0, gallery - counts[:, None] - place_G) / (gallery - place_G), axis=1)
    reached_G = 1 - weights @ survival_CxG / weights.sum()
    recalls = {f"r@{k}": reached_G[min(k, gallery) - 1] for k in CUTOFFS}
    # Any place between the two is a median when a rank is reached with probability 1/2 exactly.
    low, high = np.argmax(reached_G >= 0.5 - 1e-12) + 1, np.argmax(reached_G > 0.5 + 1e-12) + 1
    return plain({**recalls, "median_rank": (low + high) / 2, "gallery": gallery})


def _blocks(queries: int, gallery: int) -> Iterator[slice]:
    size = max(1, _BLOCK_ENTRIES // max(1, gallery))
    return (slice(start, start + size) for start in range(0, queries, size))


def _right(labels: tuple[Array, ...], block: slice, gallery: int, xp: Any) -> Array:
    """Which candidates are right for a block of queries; bool [B, G]."""
    rows = xp.asarray(labels[0])[block]
    if rows.ndim == 2:
        return rows
    return rows[:, None] == xp.asarray(labels[-1] if len(labels) == 2 else np.arange(gallery))[None, :]


def _check(queries_QxH: Array, gallery_GxH: Array, labels: tuple[Array, ...]) -> None:
    (q, width), (g, gallery_width) = queries_QxH.shape, gallery_GxH.shape
    if not q or not g or width != gallery_width:
        raise JamError(f"retrieval: queries are {(q, width)}, gallery {(g, gallery_width)}; expected [Q, H] and [G, H]")
    shapes = [np.shape(label) for label in labels]
    if shapes not in ([(q,)], [(q, g)], [(q,), (g,)]):
        raise JamError(
            f"retrieval: relevant has shape {shapes}; expected ({q},), ({q}, {g}) or the pair ({q},), ({g},)"
        )


def _check_owners(owner_M: Array, images: int, every: str = "") -> None:
    if np.ndim(owner_M) != 1 or not len(owner_M):
        raise JamError(f"retrieval: owner has shape {np.shape(owner_M)}; expected the image of each caption, [M]")
    if isinstance(owner_M, jax.core.Tracer):
        return
    owner_M = np.asarray(owner_M)
    if owner_M.min() < 0 or owner_M.max() >= images:
        raise JamError(f"retrieval: owners lie in {owner_M.min()}..{owner_M.max()}; expected 0..{images - 1}")
    without = np.setdiff1d(np.arange(images if every else 0), owner_M)
    if len(without):
        raise JamError(f"retrieval: image {without[0]} has no caption ({len(without)} such images); leave them out")
