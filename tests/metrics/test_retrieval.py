import itertools

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import top_k_accuracy_score

from jam_jax.errors import JamError
from jam_jax.metrics import retrieval


def naive_ranks(queries, gallery, right):
    """Rank of the best right answer by counting, for cosines that a tie or NaN decides against us."""
    found = []
    for q in range(len(queries)):
        cosines = [queries[q] @ g / np.sqrt((queries[q] @ queries[q]) * (g @ g)) for g in gallery]
        best = max((c for c, r in zip(cosines, right[q], strict=True) if r and not np.isnan(c)), default=-np.inf)
        wrong = [c for c, r in zip(cosines, right[q], strict=True) if not r]
        found.append(1 + sum(np.isnan(c) or c > best - 1e-12 for c in wrong))
    return np.array(found)


def latents(seed, images, texts, width=5):
    rng = np.random.default_rng(seed)
    owner = np.concatenate([np.arange(images), rng.integers(0, images, texts - images)])
    return rng.normal(size=(images, width)), rng.normal(size=(texts, width)), rng.permutation(owner)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**31), st.integers(1, 9), st.integers(0, 12), st.sampled_from([1, 7, 1 << 22]))
def test_ranks_are_those_of_a_loop_in_any_block_size(seed, images, more, entries):
    v, t, owner = latents(seed, images, images + more)
    right = owner[None] == np.arange(images)[:, None]
    before, retrieval._BLOCK_ENTRIES = retrieval._BLOCK_ENTRIES, entries
    try:
        np.testing.assert_array_equal(retrieval.ranks(v, t, right), naive_ranks(v, t, right))
        np.testing.assert_array_equal(retrieval.ranks(v, t, (np.arange(images), owner)), naive_ranks(v, t, right))
        np.testing.assert_array_equal(retrieval.ranks(t, v, owner), naive_ranks(t, v, right.T))
    finally:
        retrieval._BLOCK_ENTRIES = before


def test_recall_is_top_k_accuracy():
    v, t, owner = latents(0, 30, 90)
    cosine = (t / np.linalg.norm(t, axis=1, keepdims=True)) @ (v / np.linalg.norm(v, axis=1, keepdims=True)).T
    got = retrieval.text_to_image(v, t, owner)
    for k in (1, 5, 10):
        assert got[f"r@{k}"] == pytest.approx(top_k_accuracy_score(owner, cosine, k=k))
    assert got["gallery"] == 30


def test_any_caption_of_an_image_is_right():
    v = np.eye(2)
    t = np.array([[0, 1.0], [1, 0], [0.6, 0.8]])
    owner = np.array([0, 0, 1])
    assert retrieval.image_to_text(v, t, owner) == {
        "r@1": 0.5,  # image 1 finds caption 0 of image 0 first
        "r@5": 1.0,
        "r@10": 1.0,
        "median_rank": 1.5,
        "gallery": 3,
    }


def test_ties_and_exact_duplicates_count_against_us():
    rng = np.random.default_rng(0)
    for width in (3, 64, 257):
        row = rng.normal(size=width).astype(np.float32)
        # Duplicates at many places: matrix products round the edges of their tiles in another order.
        gallery = np.tile(row, (37, 1))
        for place in (0, 18, 36):
            for ranks in (retrieval.ranks, jax.jit(retrieval.ranks)):
                assert ranks(row[None], gallery, np.array([place]))[0] == 37
    collapsed = np.zeros((4, 3))
    assert retrieval.image_to_text(collapsed, collapsed, np.arange(4))["median_rank"] == 4


def test_nan_never_helps():
    v, t = np.eye(3), np.eye(3)
    v[0], t[1, 0] = np.nan, np.nan
    for ranks in (retrieval.ranks, jax.jit(retrieval.ranks)):
        np.testing.assert_array_equal(ranks(v, t, np.arange(3)), [3, 3, 2])
        np.testing.assert_array_equal(ranks(np.full((1, 3), np.inf), np.eye(3), np.array([1])), [3])
        np.testing.assert_array_equal(ranks(np.eye(3), np.eye(3), np.zeros((3, 3), bool)), [4, 4, 4])


def test_row_lengths_do_not_matter():
    v, t, owner = latents(1, 20, 40)
    rng = np.random.default_rng(0)
    scaled = v * rng.uniform(1e-3, 1e3, (20, 1)), t * rng.uniform(1e-30, 1e30, (40, 1))
    assert retrieval.image_to_text(*scaled, owner) == retrieval.image_to_text(v, t, owner)


def test_inside_jit_and_float32_give_the_same():
    v, t, owner = (x.astype(np.float32) if x.dtype == float else x for x in latents(2, 40, 80, width=32))
    for measure in (retrieval.image_to_text, retrieval.text_to_image):
        plain, traced = measure(v, t, owner), jax.jit(measure)(v, t, owner)
        assert {key: pytest.approx(float(value)) for key, value in traced.items()} == plain
        assert all(type(value) in (int, float) for value in plain.values())
        assert measure(jax.numpy.asarray(v), jax.numpy.asarray(t), jax.numpy.asarray(owner)) == plain


@pytest.mark.parametrize("counts", [(1, 1, 1, 1), (2, 1, 3), (1, 5), (4,), (1, 1, 1)])
def test_chance_is_the_mean_over_all_rankings(counts):
    owner = np.repeat(np.arange(len(counts)), counts)
    orders = np.array(list(itertools.permutations(range(len(owner)))))
    for got, ranks in [
        (
            retrieval.chance_image_to_text(owner, len(counts)),
            np.concatenate([1 + np.argmax(owner[orders] == i, axis=1) for i in range(len(counts))]),
        ),
        (
            retrieval.chance_text_to_image(owner, len(counts)),
            np.concatenate(
                [1 + np.argmax(np.array(list(itertools.permutations(range(len(counts))))) == i, axis=1) for i in owner]
            ),
        ),
    ]:
        for k in (1, 5, 10):
            assert got[f"r@{k}"] == pytest.approx((ranks <= k).mean())
        assert got["median_rank"] == np.median(ranks)


def test_chance_of_a_large_gallery_stays_exact():
    got = retrieval.chance_image_to_text(np.repeat(np.arange(5000), 5), 5000)
    assert got["r@1"] == pytest.approx(5 / 25000)
    assert got["gallery"] == 25000
    assert retrieval.chance_text_to_image(np.arange(1000), 1000)["median_rank"] == 500.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda v, t, o: retrieval.image_to_text(v, t, o * 0), r"image 1 has no caption \(2 such images\)"),
        (lambda v, t, o: retrieval.text_to_image(v, t, o + 1), r"owners lie in 1\.\.3; expected 0\.\.2"),
        (lambda v, t, o: retrieval.text_to_image(v, t, o[:2]), r"relevant has shape \[\(2,\)\]; expected \(3,\)"),
        (lambda v, t, o: retrieval.text_to_image(v[:, :2], t, o), r"queries are \(3, 4\), gallery \(3, 2\)"),
        (lambda v, t, o: retrieval.text_to_image(v, t, o[:0]), r"owner has shape \(0,\)"),
        (lambda v, t, o: retrieval.chance_image_to_text(o, 4), r"image 3 has no caption"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(JamError, match=message) as caught:
        call(np.eye(3, 4), np.eye(3, 4), np.arange(3))
    assert "\n" not in str(caught.value)
