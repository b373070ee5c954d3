"""Data with a known answer, for everything that fits two modalities together."""

import numpy as np
import pytest


def _planted(seed=0, items=400, validation=80, shared=6, width_vision=20, width_language=30, noise=0.5, captions=2):
    """Two noisy linear views of one hidden space: (train x, y, owner), (validation x, y, owner)."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(items + validation, shared))
    owner = np.repeat(np.arange(items + validation), captions)
    x = hidden @ rng.normal(size=(shared, width_vision)) + noise * rng.normal(size=(len(hidden), width_vision))
    y = hidden[owner] @ rng.normal(size=(shared, width_language)) + noise * rng.normal(
        size=(len(owner), width_language)
    )
    x, y, split = x.astype(np.float32), y.astype(np.float32), items * captions
    return (x[:items], y[:split], owner[:split]), (x[items:], y[split:], owner[split:] - items)


def _top_1(owner):
    """Mean top-1 accuracy of both directions by cosine, bound to one split as the caller of a baseline does."""

    def score(images, texts):
        sim = (images / np.linalg.norm(images, axis=1, keepdims=True)) @ (
            texts / np.linalg.norm(texts, axis=1, keepdims=True)
        ).T
        hits = owner[sim.argmax(1)] == np.arange(len(images)), sim.argmax(0) == owner
        return (hits[0].mean() + hits[1].mean()) / 2

    return score


def _validated(validation):
    x, y, owner = validation
    return {"x_validation": x, "y_validation": y, "score": _top_1(owner)}


@pytest.fixture
def planted():
    return _planted


@pytest.fixture
def top_1():
    return _top_1


@pytest.fixture
def validated():
    return _validated
