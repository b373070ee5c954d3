import dataclasses

import numpy as np
import pytest

from jam_jax import evaluation
from jam_jax.activations import batches
from jam_jax.metrics import retrieval
from tests.samples import sample_pairs


@pytest.fixture
def drawn():
    """Pairs of two sources that share all concepts, and latents of the test split."""
    pairs = sample_pairs()
    sources = ["photo" if item.endswith("dark") else "drawing" for item in pairs.item_ids]
    pairs = dataclasses.replace(pairs, sources=sources, gallery=np.ones(pairs.items, bool))
    rows = batches.rows(pairs, "test")
    rng = np.random.default_rng(0)
    images = rng.normal(size=(len(rows.items), 5))
    return pairs, rows, images, images[rows.owner] + rng.normal(size=(len(rows.captions), 5))


def test_galleries_of_sources_are_never_mixed(drawn):
    pairs, rows, images, texts = drawn
    found = evaluation.score(evaluation.examination(pairs, rows), images, texts)
    source_N = np.asarray(pairs.sources)[rows.items]
    for name in ("drawing", "photo"):
        items = np.flatnonzero(source_N == name)
        captions = np.flatnonzero(source_N[rows.owner] == name)
        place = {item: i for i, item in enumerate(items)}
        owner = np.array([place[item] for item in rows.owner[captions]])
        expected = retrieval.text_to_image(images[items], texts[captions], owner)
        assert found["sources"][name]["text_to_image"] == expected
        assert expected["gallery"] == 12
    for way in ("image_to_text", "text_to_image"):
        parts = [found["sources"][name][way]["r@5"] for name in ("drawing", "photo")]
        assert found[way]["r@5"] == pytest.approx(np.mean(parts))
    hard = [found["sources"][name]["choice"]["hard"] for name in ("drawing", "photo")]
    assert found["choice"]["hard"] == pytest.approx(np.mean(hard))


def test_validation_reads_the_same_recalls(drawn):
    pairs, rows, images, texts = drawn
    exam = evaluation.examination(pairs, rows)
    found, recalls = evaluation.score(exam, images, texts), evaluation.recalls(exam, images, texts)
    assert recalls["text_to_image/r@10"] == pytest.approx(found["text_to_image"]["r@10"])
    assert recalls["image_to_text/r@1"] == pytest.approx(found["image_to_text"]["r@1"])


def test_chance_is_that_of_one_source(drawn):
    pairs, rows, _, _ = drawn
    chance = evaluation.chance(evaluation.examination(pairs, rows))
    assert chance["text_to_image"]["r@1"] == pytest.approx(1 / 12)


def test_one_source_has_no_parts(drawn):
    pairs, rows, images, texts = drawn
    exam = evaluation.examination(dataclasses.replace(pairs, sources=[]), rows)
    assert not exam.sources
    assert "sources" not in evaluation.score(exam, images, texts)
