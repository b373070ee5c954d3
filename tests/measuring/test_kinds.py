import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jam_jax.measuring import kinds
from jam_jax.measuring.resampling import subsampled
from tests.samples import sample_pairs


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.lists(st.integers(1, 6), min_size=2, max_size=5))
def test_easy_pairs_are_of_another_category(seed, sizes):
    categories = np.repeat([f"c{i}" for i in range(len(sizes))], sizes)
    found = kinds.other_category(categories, np.random.default_rng(seed))
    assert (categories[found] != categories).all()
    if 2 * max(sizes) <= sum(sizes):
        assert sorted(found) == list(range(len(categories)))


def test_hard_pairs_are_wrong_about_a_detail_of_the_same_concept():
    pairs = sample_pairs()
    items, captions = kinds.rows(pairs, ("name",), seed=0)
    assert [pairs.item_ids[i] for i in items] == [f"thing{c}-plain" for c in range(60)]
    assert [pairs.caption_texts[m] for m in captions["matching"]] == [f"plain thing {c}" for c in range(60)]
    assert [pairs.caption_texts[m] for m in captions["hard"]] == [f"dark thing {c}" for c in range(60)]


def test_a_drop_has_an_interval_over_items():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    ys = {"matching": x, "easy": rng.normal(size=(200, 3)), "hard": x}

    def mean_product(a, b):
        return float((a * b).mean())

    scores, drops = kinds.compare(subsampled(mean_product, samples=200, seed=0), x, ys, level=0.95)
    assert scores["matching"] == scores["hard"] and drops["hard"] == {"drop": 0.0, "low": 0.0, "high": 0.0}
    difference = (x * x - x * ys["easy"]).mean(1)
    margin = 1.96 * difference.std(ddof=1) / np.sqrt(200)
    assert drops["easy"]["drop"] == scores["matching"] - scores["easy"]
    np.testing.assert_allclose(drops["easy"]["high"] - drops["easy"]["drop"], margin, rtol=0.25)
