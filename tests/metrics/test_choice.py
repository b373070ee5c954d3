import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jam_jax.errors import JamError
from jam_jax.metrics import choice


def naive_choice(v, t, owner, lists):
    shares = []
    for m, rows in enumerate(lists):
        image = v[owner[m]]
        right = image @ t[m] / np.linalg.norm(t[m])
        won = [right > image @ t[row] / np.linalg.norm(t[row]) + 1e-12 for row in rows]
        shares += [np.mean(won)] if won else []
    return np.mean(shares), sum(map(len, lists))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 12), st.sampled_from([1, 20, 1 << 22]))
def test_forced_choice_is_that_of_a_loop_in_any_block_size(seed, images, texts, entries):
    rng = np.random.default_rng(seed)
    v, t, owner = rng.normal(size=(images, 4)), rng.normal(size=(texts, 4)), rng.integers(0, images, texts)
    lists = [list(rng.integers(0, texts, rng.integers(0, 4))) for _ in range(texts)]
    lists[0] = [0, texts - 1]
    before, choice._BLOCK_ENTRIES = choice._BLOCK_ENTRIES, entries
    try:
        got = choice.forced_choice(v, t, owner, lists)
        padded = choice.forced_choice(v, t, owner, *choice.padded(lists))
    finally:
        choice._BLOCK_ENTRIES = before
    assert got == padded
    accuracy, comparisons = naive_choice(v, t, owner, lists)
    assert got == {"accuracy": pytest.approx(accuracy), "comparisons": comparisons}


def test_ties_and_nan_are_misses():
    v, t, owner = np.eye(2), np.array([[1.0, 0], [2, 0], [0, 1], [np.nan, 0]]), np.array([0, 0, 1, 1])
    lists = [[1], [0, 2], [3], [0]]
    assert choice.forced_choice(v, t, owner, lists)["accuracy"] == (0 + 0.5 + 0 + 0) / 4


def test_without_any_distractor_there_is_no_accuracy():
    got = choice.forced_choice(np.eye(2), np.eye(2), np.arange(2), [[], []])
    assert np.isnan(got["accuracy"])
    assert got["comparisons"] == 0


def test_inside_jit_gives_the_same():
    rng = np.random.default_rng(0)
    v, t, owner = rng.normal(size=(5, 8)), rng.normal(size=(10, 8)), np.repeat(np.arange(5), 2)
    rows, mask = rng.integers(0, 10, (10, 3)), rng.uniform(size=(10, 3)) < 0.7
    traced = jax.jit(choice.forced_choice)(v, t, owner, rows, mask)
    plain = choice.forced_choice(v, t, owner, rows, mask)
    assert plain == {key: pytest.approx(float(value)) for key, value in traced.items()}
    assert type(plain["comparisons"]) is int


def test_distractors_keep_kind_category_and_concept_apart():
    rng = np.random.default_rng(1)
    kinds, concepts = rng.choice(["name", "tags"], 60), rng.integers(0, 20, 60)
    categories = concepts // 4
    for difficulty in choice.DIFFICULTIES:
        rows, mask = choice.distractors(difficulty, kinds=kinds, categories=categories, concepts=concepts)
        for m in range(60):
            expected = [
                n
                for n in range(60)
                if kinds[n] == kinds[m]
                and concepts[n] != concepts[m]
                and (categories[n] == categories[m]) == (difficulty == "medium")
            ]
            assert rows[m][mask[m]].tolist() == expected


def test_a_limit_draws_the_same_subset_for_the_same_seed():
    what = {"kinds": ["name"] * 50, "categories": list(range(50)), "concepts": list(range(50))}
    rows, mask = choice.distractors("easy", **what, limit=7, seed=3)
    again, _ = choice.distractors("easy", **what, limit=7, seed=3)
    other, _ = choice.distractors("easy", **what, limit=7, seed=4)
    np.testing.assert_array_equal(rows, again)
    assert mask.all() and rows.shape == (50, 7) and (rows != other).any()
    assert all(len(set(row)) == 7 and m not in row for m, row in enumerate(rows.tolist()))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: choice.distractors("hard", kinds=[], categories=[], concepts=[]),
            "'hard' is unknown; choose from easy",
        ),
        (lambda: choice.distractors("easy", kinds=["a"], categories=[], concepts=[]), "1 kinds, 0 categories"),
        (lambda: choice.forced_choice(np.eye(2), np.eye(2), np.arange(3), [[], []]), r"owner has shape \(3,\)"),
        (lambda: choice.forced_choice(np.eye(2), np.eye(2), np.arange(2), [[1]]), r"expected \[M, K\] = \(2, K\)"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(JamError, match=message):
        call()
