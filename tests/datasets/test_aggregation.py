import dataclasses

import numpy as np
import pytest

from jam_jax.activations.pairs import Pairs
from jam_jax.datasets import aggregation
from jam_jax.errors import JamError


@pytest.fixture
def pairs():
    """Captions of items 0, 1, 2: three, one, two of kind x; a caption of no item among them."""
    return Pairs(
        item_ids=["a", "b", "c"], concepts=["a", "b", "c"], categories=["x"] * 3, splits=["train"] * 3,
        gallery=[True] * 3, caption_texts=list("abcdefg"), caption_kinds=["x", "x", "x", "x", "", "x", "x"],
        caption_items=[0, 1, 0, 2, -1, 0, 2], negative_rows=[[]] * 7, negative_kinds=[[]] * 7,
    )  # fmt: skip


@pytest.fixture
def rows():
    return np.arange(40).reshape(8, 5)


def test_items_with_enough_captions_and_their_first_rows(pairs):
    two = aggregation.captions_of(pairs, least=2)
    assert two.items.tolist() == [0, 2] and two.rows.tolist() == [[0, 2], [3, 6]]
    assert aggregation.captions_of(pairs, least=3, kinds=("x",)).items.tolist() == [0]
    with pytest.raises(JamError, match="no item has 4 captions, at most 3"):
        aggregation.captions_of(pairs, least=4)
    with pytest.raises(JamError, match="no item has 1 captions of kind y, at most 0"):
        aggregation.captions_of(pairs, least=1, kinds=("y",))


def test_views_are_matched_by_id_whatever_their_order(pairs):
    stores = [["a", "b", "c"], ["c", "a"], ["b", "c", "a"]]
    made = aggregation.views_of(pairs, stores)
    assert made.items.tolist() == [0, 2]
    names = np.concatenate(stores)
    assert names[made.rows].tolist() == [["a"] * 3, ["c"] * 3]
    with pytest.raises(JamError, match="no item of the pairs is in all 2 views"):
        aggregation.views_of(pairs, [["a"], ["b"]])


def test_views_within_one_store_are_matched_by_what_follows_the_source(pairs):
    large = dataclasses.replace(
        pairs, item_ids=["noto-1f600", "fluent-1f601", "fluent-1f600"], sources=["noto", "fluent", "fluent"]
    )
    made = aggregation.sources_of(large, ("fluent", "noto"))
    assert made.items.tolist() == [2] and made.rows.tolist() == [[2, 0]]
    with pytest.raises(JamError, match="nothing is in all of the sources fluent, twemoji; the pairs have fluent, noto"):
        aggregation.sources_of(large, ("fluent", "twemoji"))


def test_average_of_the_first_k(rows):
    x = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float16)
    for k in (1, 3, 5):
        expected = np.stack([np.mean([x[r].astype(np.float64) for r in item[:k]], axis=0) for item in rows])
        made = aggregation.average(x, rows, k)
        assert made.dtype == np.float32
        np.testing.assert_allclose(made, expected, rtol=1e-5, atol=1e-6)
    for k in (0, 6):
        with pytest.raises(JamError, match=f"k is {k}, but there are 1 to 5 rows"):
            aggregation.average(x, rows, k)


@pytest.mark.parametrize("seed", range(5))
def test_controls_differ_from_the_own_rows_in_what_they_say_and_in_nothing_else(rows, seed):
    own, different, shuffled = (aggregation.controlled(rows, name, seed) for name in aggregation.CONTROLS)
    owner = own // 5
    assert (owner == np.arange(8)[:, None]).all() and (np.sort(own, axis=1) == rows).all()
    np.testing.assert_array_equal(different[:, 0], own[:, 0])
    owners = different // 5
    assert all(len(set(item)) == 5 for item in owners.tolist())
    # Every row is used as often as before, only by others.
    np.testing.assert_array_equal(np.sort(different.ravel()), np.sort(rows.ravel()))
    assert (shuffled // 5 != np.arange(8)[:, None]).all()
    assert sorted(map(tuple, shuffled.tolist())) == sorted(map(tuple, own.tolist()))


def test_controls_of_few_items_never_meet_themselves():
    rows = np.arange(10).reshape(2, 5)
    made = aggregation.controlled(rows, "different_items")
    assert (made[:, 1:] // 5 == [[1], [0]]).all()


def test_averaging_noise_away_raises_the_correlation_and_the_controls_do_not():
    generator = np.random.default_rng(0)
    target = generator.normal(size=(400, 3))
    rows = np.arange(2000).reshape(400, 5)
    x = (target[:, None] + 2 * generator.normal(size=(400, 5, 3))).reshape(2000, 3)
    made = {(a.control, a.k): a for a in aggregation.averages(x, rows, target)}
    assert set(made) == {(control, k) for control in aggregation.CONTROLS for k in range(1, 6)}

    def r(control, k):
        case = made[control, k]
        return np.corrcoef(case.predictor.ravel(), case.target.ravel())[0, 1]

    assert r("own", 1) == r("different_items", 1)
    assert r("own", 5) > r("own", 1) + 0.15
    assert r("different_items", 5) < r("own", 1) - 0.15
    assert abs(r("shuffled", 5)) < 0.1


def test_counts_beyond_the_rows_are_left_out(rows):
    made = list(aggregation.averages(np.zeros((40, 2)), rows[:, :3], np.zeros((8, 2)), counts=(1, 3, 5)))
    assert {a.k for a in made} == {1, 3}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda rows: aggregation.controlled(rows, "mixed"), "control 'mixed' is unknown; choose from own"),
        (lambda rows: aggregation.controlled(rows[:1], "shuffled"), "1 item is too few for a control"),
        (
            lambda rows: list(aggregation.averages(np.zeros((40, 2)), rows, np.zeros((7, 2)))),
            "the target has 7 rows for 8 items",
        ),
    ],
)
def test_bad_input_is_named_in_one_line(rows, call, message):
    with pytest.raises(JamError, match=message):
        call(rows)
