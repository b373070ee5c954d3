"""What the run gets right and wrong, one query at a time: a random sample and the worst mistakes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from jam_jax.metrics import retrieval
from jam_jax.metrics.arrays import unit_rows


@dataclass(frozen=True)
class Answer:
    """One candidate: its text (for a picture: the picture's first caption), picture data URI, cosine, rightness."""

    text: str
    picture: str | None
    similarity: float
    right: bool


@dataclass(frozen=True)
class Query:
    """One query with its top answers, and the best right answer with its 1-based rank."""

    direction: str  # 'image_to_text' | 'text_to_image'
    text: str
    picture: str | None
    answers: tuple[Answer, ...]
    right_rank: int
    expected: Answer


@dataclass(frozen=True)
class Gallery:
    """Queries drawn at random (best ranked first) and the worst mistakes (worst first) of both directions."""

    sample: tuple[Query, ...]
    worst: tuple[Query, ...]
    seed: int

    def of(self, direction: str) -> tuple[tuple[Query, ...], tuple[Query, ...]]:
        """The sample and the worst mistakes of one direction."""
        pick = [tuple(q for q in queries if q.direction == direction) for queries in (self.sample, self.worst)]
        return pick[0], pick[1]


def _scores(queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    sim = queries @ candidates.T
    return np.where(np.isnan(sim), -np.inf, sim)


def gallery(
    images_GxH: np.ndarray,
    texts_MxH: np.ndarray,
    owner_M: np.ndarray,
    captions: Sequence[str],
    picture: Callable[[int], str | None] | None = None,
    *,
    queries: int = 12,
    worst: int = 6,
    top: int = 5,
    seed: int = 0,
) -> Gallery:
    """Build the gallery of the page from the latents of the retrieval split.

    Args:
      images_GxH, texts_MxH: latents; normalised here, so similarity is the cosine.
      owner_M: row of `images_GxH` that caption m describes.
      captions: the M caption texts.
      picture: row of `images_GxH` -> data URI (None: the page shows the first caption instead).
      queries, worst: how many queries of each kind per direction; at most one per item among the worst.
      top: answers shown per query.
      seed: of the random sample.

    The sample is drawn from all queries, not from the right ones: a reader sees the true share of mistakes.
    """
    images, texts = unit_rows(images_GxH, np), unit_rows(texts_MxH, np)
    owner = np.asarray(owner_M, dtype=np.int64)
    items = np.arange(len(images))
    first_caption = {int(item): captions[m] for m, item in reversed(list(enumerate(owner)))}

    def image_answer(row: int, similarity: float, right: bool) -> Answer:
        return Answer(first_caption.get(row, f"item {row}"), picture(row) if picture else None, similarity, right)

    def text_answer(row: int, similarity: float, right: bool) -> Answer:
        return Answer(captions[row], None, similarity, right)

    rng = np.random.default_rng(seed)
    sample: list[Query] = []
    mistakes: list[Query] = []
    for direction in ("image_to_text", "text_to_image"):
        forward = direction == "image_to_text"
        q, a, q_item, a_item = (images, texts, items, owner) if forward else (texts, images, owner, items)
        ranks = retrieval.ranks(q, a, (q_item, a_item))
        answer, itself = (text_answer, image_answer) if forward else (image_answer, text_answer)

        def query(row: int, q=q, a=a, q_item=q_item, a_item=a_item, answer=answer, itself=itself,
                  direction=direction) -> Query:  # fmt: skip
            sim = _scores(q[row : row + 1], a)[0]
            right = a_item == q_item[row]
            order = np.lexsort((right, -sim))  # a tie shows the wrong answer first, as the rank counts it
            answers = tuple(answer(int(j), float(sim[j]), bool(right[j])) for j in order[:top])
            j = int(order[right[order]][0])
            own = itself(row, 1.0, True)
            rank = 1 + int(np.sum((sim >= sim[j]) & ~right))  # from the very numbers shown, not from another matmul
            return Query(direction, own.text, own.picture, answers, rank, answer(j, float(sim[j]), True))

        answerable = np.flatnonzero(np.isin(q_item, a_item))
        drawn = rng.permutation(answerable)[:queries]
        sample += [query(int(row)) for row in drawn[np.argsort(ranks[drawn], kind="stable")]]
        by_rank = answerable[np.argsort(-ranks[answerable], kind="stable")]
        _, firsts = np.unique(q_item[by_rank], return_index=True)
        wrong = [int(row) for row in by_rank[np.sort(firsts)] if ranks[row] > 1]
        mistakes += [query(row) for row in wrong[:worst]]
    return Gallery(tuple(sample), tuple(mistakes), seed)
