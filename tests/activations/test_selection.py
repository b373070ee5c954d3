import numpy as np
import pytest

from jam_jax.activations import Pairs, selection


@pytest.fixture
def pairs():
    return Pairs(
        item_ids=["a", "b", "c", "d"], concepts=["x", "x", "y", "z"], categories=["k"] * 4,
        splits=["train", "train", "validation", "test"], gallery=np.array([True, False, True, True]),
        caption_texts=[f"text {m}" for m in range(7)], caption_kinds=["name", "tags"] * 3 + ["name"],
        caption_items=np.array([0, 0, 1, 1, 2, 2, 3]),
        negative_rows=[[2, 4], [3], [0], [1], [6], [], [4, 0]],
        negative_kinds=[["skin", "neighbour"], ["skin"], ["skin"], ["skin"], ["n"], [], ["n", "m"]],
    )  # fmt: skip


def test_negatives_and_owners_follow_their_captions(pairs):
    kept = selection.take(pairs, np.array([0, 2, 3]), np.array([0, 4, 5, 6]))
    assert kept.item_ids == ["a", "c", "d"]
    assert kept.caption_texts == ["text 0", "text 4", "text 5", "text 6"]
    assert kept.caption_items.tolist() == [0, 1, 1, 2]
    assert kept.negative_rows == [[1], [3], [], [1, 0]]
    assert kept.negative_kinds == [["neighbour"], ["n"], [], ["n", "m"]]


def test_rows_point_into_stores_that_skipped(pairs):
    kept, item_rows, caption_rows = selection.without(pairs, items={"b"}, captions={"c/0", "d/0"})
    assert kept.item_ids == ["a", "c"]  # d has no caption left
    vision = [item for item in pairs.item_ids if item != "b"]
    language = [caption for caption in pairs.caption_ids if caption not in ("c/0", "d/0")]
    assert [vision[row] for row in item_rows] == ["a", "c"]
    assert [language[row] for row in caption_rows] == ["a/0", "a/1", "c/1"]
    assert kept.caption_texts == ["text 0", "text 1", "text 5"]


def test_a_concept_keeps_a_gallery_item(pairs):
    kept, _, _ = selection.without(pairs, items={"a"}, captions=set())
    assert dict(zip(kept.item_ids, kept.gallery.tolist(), strict=True)) == {"b": True, "c": True, "d": True}


def test_nothing_skipped_changes_nothing(pairs):
    kept, item_rows, caption_rows = selection.without(pairs, set(), set())
    assert kept.item_ids == pairs.item_ids and kept.negative_rows == pairs.negative_rows
    np.testing.assert_array_equal(kept.gallery, pairs.gallery)
    np.testing.assert_array_equal(item_rows, np.arange(4))
    np.testing.assert_array_equal(caption_rows, np.arange(7))
