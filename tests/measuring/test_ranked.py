import numpy as np
import pytest

from jam_jax.errors import JamError
from jam_jax.measuring import ranked
from tests.samples import sample_activations, sample_pairs


@pytest.fixture(scope="module")
def activations():
    """Pairs with the activations of one layer of either side; captions of kind 'tags' are mostly noise."""
    pairs = sample_pairs()
    vision, language = sample_activations(pairs)
    y = language[3].copy()
    tags = np.array([kind == "tags" for kind in pairs.caption_kinds])
    y[tags] += np.random.default_rng(9).normal(size=y[tags].shape) * 2 * y.std()
    return pairs, vision[2], y


def test_models_rank_noisy_captions_below_clean_ones(activations):
    pairs, x, y = activations
    score = ranked.by_models(pairs, x, y)
    owned_by_gallery = pairs.gallery[pairs.caption_items]
    assert np.isfinite(score[owned_by_gallery]).all() and np.isnan(score[~owned_by_gallery]).all()
    items, best, worst = ranked.extremes(pairs, score, ())
    assert (items == np.flatnonzero(pairs.gallery)).all()
    assert (pairs.caption_items[best] == items).all() and (pairs.caption_items[worst] == items).all()
    assert (score[best] > score[worst]).all()
    assert np.mean([pairs.caption_kinds[row] == "name" for row in best]) > 0.8


def test_what_a_ranking_model_does_not_know_is_not_ranked(activations):
    pairs, x, y = activations
    x, y = x.copy(), y.copy()
    x[0], y[5] = np.nan, np.nan  # an item of the gallery, and one of the two captions of another
    score = ranked.by_models(pairs, x, y)
    assert np.isnan(score[[0, 1, 5]]).all() and np.isfinite(score[4])
    assert not {0, int(pairs.caption_items[4])} & set(ranked.extremes(pairs, score, ())[0].tolist())


def test_a_file_ranks_what_it_names(activations, tmp_path):
    pairs, _, _ = activations
    file = tmp_path / "ranking.csv"
    file.write_text("score,caption\n" + "".join(f"{-m},{name}\n" for m, name in enumerate(pairs.caption_ids[:60])))
    score = ranked.from_file(file, pairs)
    assert (score[:60] == -np.arange(60)).all() and np.isnan(score[60:]).all()
    items, best, worst = ranked.extremes(pairs, score, ())
    assert (best == worst - 1).all() and len(items) == 15


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("caption,rank\n", "no column 'score'"),
        ("caption,score\nnobody,1\n", "line 2: no caption 'nobody'"),
        ("caption,score\n{first},good\n", "the score is 'good'"),
        ("caption,score\n{first},nan\n", "the score is 'nan'"),
        ("caption,score\n{first}\n", "the score is None"),
    ],
)
def test_a_bad_file_is_told_by_its_line(activations, tmp_path, text, said):
    pairs, _, _ = activations
    file = tmp_path / "ranking.csv"
    file.write_text(text.format(first=pairs.caption_ids[0]))
    with pytest.raises(JamError, match=said):
        ranked.from_file(file, pairs)
    with pytest.raises(JamError, match="cannot be read"):
        ranked.from_file(tmp_path / "none.csv", pairs)


def test_too_few_ranked_items_are_told():
    pairs = sample_pairs()
    score = np.full(pairs.captions, np.nan)
    score[:4] = 0, 1, 2, 3
    with pytest.raises(JamError, match="1 items have two captions of different score"):
        ranked.extremes(pairs, score, ())
