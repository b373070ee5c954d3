import numpy as np
import pytest

from jam_jax.report.gallery import gallery
from tests.report import samples


def naive(images, texts, owner, captions, direction):
    """Every query's candidates, sorted one by one in plain Python: [(similarity, right, text)], wrong first on ties."""
    unit = lambda v: np.asarray(v, float) / np.linalg.norm(v)  # noqa: E731
    first = {}
    for m, item in enumerate(owner):
        first.setdefault(int(item), captions[m])
    out = {}
    for q in range(len(images) if direction == "image_to_text" else len(texts)):
        found = []
        for c in range(len(texts) if direction == "image_to_text" else len(images)):
            i, m = (q, c) if direction == "image_to_text" else (c, q)
            text = captions[m] if direction == "image_to_text" else first[i]
            found.append((float(unit(images[i]) @ unit(texts[m])), bool(owner[m] == i), text))
        out[q] = sorted(found, key=lambda f: (-f[0], f[1]))
    return out


def rank_of(found):
    return next(place for place, (_, right, _) in enumerate(found, 1) if right)


@pytest.mark.parametrize("direction", ["image_to_text", "text_to_image"])
def test_answers_marks_and_ranks_are_those_of_a_naive_loop(direction):
    images, texts, owner, captions = samples.latents()
    built = gallery(images, texts, owner, captions, samples.picture, queries=200, worst=5, seed=1)
    sample, worst = built.of(direction)
    expected = naive(images, texts, owner, captions, direction)
    assert len(sample) == len(expected)
    names = captions if direction == "text_to_image" else [captions[list(owner).index(i)] for i in range(len(images))]
    for query in (*sample, *worst):
        found = expected[names.index(query.text)]
        assert [a.text for a in query.answers] == [text for _, _, text in found[:5]]
        assert [a.right for a in query.answers] == [right for _, right, _ in found[:5]]
        np.testing.assert_allclose([a.similarity for a in query.answers], [s for s, _, _ in found[:5]], atol=1e-6)
        assert query.right_rank == rank_of(found)
        assert query.expected.text == found[query.right_rank - 1][2]
    ranks = [rank_of(found) for found in expected.values()]
    assert worst[0].right_rank == max(ranks) > 1
    assert [q.right_rank for q in worst] == sorted((q.right_rank for q in worst), reverse=True)
    assert [q.right_rank for q in sample] == sorted(ranks)


def test_pictures_belong_to_images_only():
    images, texts, owner, captions = samples.latents()
    built = gallery(images, texts, owner, captions, samples.picture, queries=3)
    asks, _ = built.of("image_to_text")
    answers, _ = built.of("text_to_image")
    row_of = {captions[list(owner).index(i)]: i for i in range(len(images))}
    assert all(q.picture == samples.picture(row_of[q.text]) and q.answers[0].picture is None for q in asks)
    assert all(q.picture is None and a.picture == samples.picture(row_of[a.text]) for q in answers for a in q.answers)


def test_ties_count_against_us_and_show_the_wrong_answer_first():
    images = np.ones((3, 4), np.float32)
    built = gallery(images, images, np.arange(3), list("abc"), queries=3)
    assert {query.right_rank for query in built.sample} == {3}
    assert all([a.right for a in query.answers] == [False, False, True] for query in built.sample)


def test_worst_mistakes_are_of_different_items_and_none_where_all_is_right():
    images, texts, owner, captions = samples.latents()
    _, worst = gallery(images, texts, owner, captions, worst=6).of("text_to_image")
    assert len({query.expected.text for query in worst}) == len(worst) == 6
    assert gallery(images, images[owner], owner, captions).worst == ()


def test_the_seed_decides_the_sample():
    arguments = samples.latents()
    assert gallery(*arguments, seed=4) == gallery(*arguments, seed=4)
    assert gallery(*arguments, seed=4).sample != gallery(*arguments, seed=5).sample


def test_latents_that_are_not_numbers_rank_last_and_nothing_breaks():
    images, texts, owner, captions = samples.latents()
    images[7] = np.nan
    built = gallery(images, texts, owner, captions, queries=200)
    (query,) = [q for q in built.of("image_to_text")[0] if q.text == captions[list(owner).index(7)]]
    assert query.right_rank == 1 + sum(owner != 7)


def test_an_image_without_captions_asks_nothing():
    images, texts, owner, captions = samples.latents()
    keep = owner != 5
    built = gallery(images, texts[keep], owner[keep], [c for c, k in zip(captions, keep, strict=True) if k], queries=99)
    assert len(built.of("image_to_text")[0]) == len(images) - 1
