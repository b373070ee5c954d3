"""The objectives written a second time: loops in float64, straight from the formulas, and random problems to try."""

from typing import NamedTuple

import numpy as np


class Problem(NamedTuple):
    """Latents in float32 and everything else that an objective takes."""

    vision: np.ndarray
    language: np.ndarray
    negatives: np.ndarray
    scale: float
    alpha: float
    mask: np.ndarray
    same: np.ndarray
    same_negatives: np.ndarray
    context: np.ndarray

    @property
    def masks(self):
        """The keyword arguments of ``spread``; ``context`` last."""
        return dict(zip(self._fields[5:], self[5:], strict=True))


NAMES = ("con", "negcon", "spread", "con_con", "context_nce")


def problem(seed, n, k, *, width=6, scale=14.0, alpha=0.3, density=0.3):
    """Random latents and masks; ``density`` is the share of True in the masks, and of False in ``mask``."""
    rng = np.random.default_rng(seed)
    vision, language, negatives = (
        rng.normal(size=s).astype(np.float32) for s in ((n, width), (n, width), (n, k, width))
    )
    draw = [rng.uniform(size=shape) < density for shape in ((n, k), (n, n), (n, n, k), (n, n))]
    return Problem(vision, language, negatives, scale, alpha, ~draw[0], *draw[1:])


def values(p: Problem) -> np.ndarray:
    """con, negcon, spread, con_con, context_nce of a problem in float64."""
    v, t, u = (np.asarray(x, np.float64) for x in p[:3])
    n, k = u.shape[:2]
    image_con, image_negcon, coarse, fine, text = [], [], [], [], []
    for i in range(n):
        positive = p.scale * _cosine(v[i], t[i])
        captions, everything, context = [positive], [positive], [positive]
        for j in range(n):
            if j != i and not p.same[i, j]:
                captions.append(p.scale * _cosine(v[i], t[j]))
                everything.append(captions[-1])
                if p.context[i, j]:
                    context.append(captions[-1])
            for m in range(k):
                if p.mask[j, m] and not p.same_negatives[i, j, m]:
                    everything.append(p.scale * _cosine(v[i], u[j, m]))
                    if j == i:
                        context.append(everything[-1])
        images = [p.scale * _cosine(v[j], t[i]) for j in range(n) if j == i or not p.same[j, i]]
        image_con.append(_log_sum_exp(captions) - positive)
        image_negcon.append(_log_sum_exp(everything) - positive)
        coarse.append(_log_sum_exp(everything) - _log_sum_exp(context))
        fine.append(_log_sum_exp(context) - positive)
        text.append(_log_sum_exp(images) - positive)
    image_con, image_negcon, coarse, fine, text = map(np.mean, (image_con, image_negcon, coarse, fine, text))
    mixed = (1 - p.alpha) * coarse + p.alpha * fine
    return np.array([(image_con + text) / 2, (image_negcon + text) / 2, (mixed + text) / 2, coarse, fine])


def _cosine(a, b):
    return a @ b / np.sqrt((a @ a) * (b @ b))


def _log_sum_exp(x):
    return np.max(x) + np.log(np.sum(np.exp(np.asarray(x) - np.max(x))))
