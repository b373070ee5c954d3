"""One split as a test of any pair of encoders: retrieval both ways, forced choice, chance; the form of results.json."""

import collections
import dataclasses
from typing import Any

import numpy as np

from jam_jax.activations.batches import Rows
from jam_jax.activations.pairs import NO_ITEM, Pairs
from jam_jax.metrics import choice, retrieval

NEIGHBOUR = "neighbour"  # a hard negative of another concept: that is the medium choice


@dataclasses.dataclass(frozen=True)
class Examination:
    """The questions that a split asks; item and caption numbers count within the split.

    Attributes:
      gallery: items that retrieval is scored on, one for each concept. texts: their captions.
      owner: int [M], item of each caption, -1 for one of no item.
      gallery_owner: place in ``gallery`` of each of ``texts``.
      distractors: 'easy' and 'medium' -> (rows among ``texts``, mask).
      hard: kind -> list of hard negative rows for every caption of the split.
      sources: where the items come from several sources (picture sets), the questions of each: galleries are never
        mixed, for a picture's style would give its source away. Scores are then means over the sources.
    """

    gallery: np.ndarray
    texts: np.ndarray
    owner: np.ndarray
    gallery_owner: np.ndarray
    distractors: dict[str, tuple[np.ndarray, np.ndarray]]
    hard: dict[str, list[list[int]]]
    sources: dict[str, "Examination"] = dataclasses.field(default_factory=dict)


def examination(pairs: Pairs, rows: Rows) -> Examination:
    """Prepares the questions of the split that ``rows`` selected."""
    source_of = np.asarray(pairs.sources)[rows.items]
    names = sorted(set(source_of.tolist()))
    if len(names) == 1:
        return _questions(pairs, rows, np.ones(len(rows.items), bool))
    parts = {name: _questions(pairs, rows, source_of == name) for name in names}
    return dataclasses.replace(_questions(pairs, rows, np.ones(len(rows.items), bool)), sources=parts)


def _questions(pairs: Pairs, rows: Rows, asked_N: np.ndarray) -> Examination:
    in_gallery = pairs.gallery[rows.items] & asked_N
    gallery = np.flatnonzero(in_gallery)
    owned_M = rows.owner != NO_ITEM
    texts = np.flatnonzero(in_gallery[rows.owner] & owned_M)
    place = np.cumsum(in_gallery) - 1
    items = rows.items[rows.owner[texts]]
    known: dict[str, Any] = {
        "kinds": [pairs.caption_kinds[m] for m in rows.captions[texts]],
        "categories": [pairs.categories[i] for i in items],
        "concepts": [pairs.concepts[i] for i in items],
    }
    local = {int(m): row for row, m in enumerate(rows.captions)}
    hard: dict[str, list[list[int]]] = collections.defaultdict(lambda: [[] for _ in rows.captions])
    for row, m in enumerate(rows.captions.tolist()):
        if not owned_M[row] or not asked_N[rows.owner[row]]:
            continue
        for negative, kind in zip(pairs.negative_rows[m], pairs.negative_kinds[m], strict=True):
            if kind != NEIGHBOUR and negative in local:
                hard[kind][row].append(local[negative])
    return Examination(
        gallery=gallery,
        texts=texts,
        owner=rows.owner,
        gallery_owner=place[rows.owner[texts]],
        distractors={difficulty: choice.distractors(difficulty, **known) for difficulty in choice.DIFFICULTIES},
        hard=dict(hard),
    )


def score(exam: Examination, images_NxH: np.ndarray, texts_MxH: np.ndarray) -> dict[str, Any]:
    """Retrieval and choice of latents (all items and captions of the split), in the form of results.json.

    With several sources 'sources' holds the scores of each.
    """
    if exam.sources:
        each = {name: score(part, images_NxH, texts_MxH) for name, part in exam.sources.items()}
        return _mean(list(each.values())) | {"sources": each}
    images, texts, owner = images_NxH[exam.gallery], texts_MxH[exam.texts], exam.gallery_owner
    choices: dict[str, Any] = {
        difficulty: choice.forced_choice(images, texts, owner, *exam.distractors[difficulty])["accuracy"]
        for difficulty in choice.DIFFICULTIES
    }
    everything = [sum((lists[m] for lists in exam.hard.values()), []) for m in range(len(exam.owner))]
    by_kind = {
        kind: choice.forced_choice(images_NxH, texts_MxH, exam.owner, lists)
        for kind, lists in sorted(exam.hard.items())
    }
    choices["hard"] = choice.forced_choice(images_NxH, texts_MxH, exam.owner, everything)["accuracy"]
    choices["hard_by_kind"] = {kind: result["accuracy"] for kind, result in by_kind.items()}
    choices["hard_comparisons_by_kind"] = {kind: result["comparisons"] for kind, result in by_kind.items()}
    return {
        "image_to_text": retrieval.image_to_text(images, texts, owner),
        "text_to_image": retrieval.text_to_image(images, texts, owner),
        "choice": choices,
    }


def chance(exam: Examination) -> dict[str, Any]:
    """What random latents would score, exactly."""
    if exam.sources:
        return _mean([chance(part) for part in exam.sources.values()])
    return {
        "image_to_text": retrieval.chance_image_to_text(exam.gallery_owner, len(exam.gallery)),
        "text_to_image": retrieval.chance_text_to_image(exam.gallery_owner, len(exam.gallery)),
        "choice": {"easy": 0.5, "medium": 0.5, "hard": 0.5, "hard_by_kind": dict.fromkeys(sorted(exam.hard), 0.5)},
    }


def recalls(exam: Examination, images: Any, texts: Any) -> dict[str, Any]:
    """What validation reads: R@1, 5, 10 both ways, and their mean as 'score'; also works inside jit."""
    if exam.sources:
        return _mean([recalls(part, images, texts) for part in exam.sources.values()])
    both = {
        "image_to_text": retrieval.image_to_text(images[exam.gallery], texts[exam.texts], exam.gallery_owner),
        "text_to_image": retrieval.text_to_image(images[exam.gallery], texts[exam.texts], exam.gallery_owner),
    }
    flat = {f"{way}/r@{k}": both[way][f"r@{k}"] for way in both for k in retrieval.CUTOFFS}
    return flat | {"score": sum(flat.values()) / len(flat)}


def _mean(scores: list[dict[str, Any]]) -> dict[str, Any]:
    """The mean of nested numbers, each over the scores that have it."""
    names = list(dict.fromkeys(name for found in scores for name in found))
    means: dict[str, Any] = {}
    for name in names:
        values = [found[name] for found in scores if found.get(name) is not None]
        if values and isinstance(values[0], dict):
            means[name] = _mean(values)
        else:
            means[name] = sum(values) / len(values) if values else None
    return means
