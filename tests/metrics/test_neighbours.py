import numpy as np
import pytest

from jam_jax import metrics
from jam_jax.errors import JamError
from jam_jax.metrics import neighbours
from tests.metrics import public_forms
from tests.metrics.public_forms import related


@pytest.mark.parametrize("k", [2, 5, 39])
def test_neighbours_in_common_are_those_of_a_loop(k):
    x, y = related()
    assert metrics.mutual_knn(x, y, k) == pytest.approx(public_forms.mutual_knn(x, y, k))
    assert metrics.cycle_knn(x, y, k) == pytest.approx(public_forms.cycle_knn(x, y, k))
    assert metrics.cycle_knn(y, x, k) == pytest.approx(public_forms.cycle_knn(y, x, k))


@pytest.mark.parametrize(("k", "unbiased"), [(5, True), (5, False), (39, True)])
def test_cknna_is_that_of_masked_matrices(k, unbiased):
    x, y = related(noise=0.3)
    expected = public_forms.cknna(x.astype(np.float64), y.astype(np.float64), k, unbiased)
    assert metrics.cknna(x, y, k, unbiased=unbiased) == pytest.approx(expected, abs=1e-5)
    if k >= 39:  # nothing is masked any more
        assert expected == pytest.approx(float(metrics.cka(x, y, unbiased=unbiased)), abs=1e-5)


def test_blocks_of_items_do_not_matter(monkeypatch):
    x, _ = related(n=41)  # a shape of its own, since the size of a block is read when it is compiled
    monkeypatch.setattr(neighbours, "_BLOCK_ENTRIES", 41 * 9)
    side = neighbours.prepare_cknna(x, 6)
    near = public_forms.nearest(x, 6)
    np.testing.assert_array_equal(side.places_NxK, near)
    np.testing.assert_array_equal(side.returned_NxK, [[i in near[j] for j in near[i]] for i in range(41)])
    np.testing.assert_allclose(side.products_NxK, np.take_along_axis(x @ x.T, np.array(near), 1), rtol=1e-4, atol=1e-5)


def test_repeated_rows_count_in_order():
    x = np.ones((6, 3), np.float32)
    np.testing.assert_array_equal(neighbours.neighbours(x, 2), [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1], [0, 1]])
    assert metrics.mutual_knn(x, x, 2) == 1


def test_independent_sides_share_neighbours_by_chance():
    scores = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        scores.append(float(metrics.mutual_knn(rng.normal(size=(60, 5)), rng.normal(size=(60, 5)), 6)))
    assert np.mean(scores) == pytest.approx(6 / 59, abs=3 * np.std(scores) / np.sqrt(20))


def test_a_translation_changes_who_is_near():
    x, y = related()
    assert metrics.mutual_knn(x, x + 5, 5) < 1
    assert metrics.mutual_knn(x, 3 * x, 5) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, y: metrics.mutual_knn(x, y, 40), "mutual_knn: k is 40 for 40 items; use 1..39"),
        (lambda x, y: metrics.cycle_knn(x, y, 0), "cycle_knn: k is 0"),
        (lambda x, y: metrics.cknna(x, y, 1), "cknna: k is 1 for 40 items; use 2..39"),
        (lambda x, y: metrics.cknna(x, y, 41, unbiased=False), "use 2..40"),
        (lambda x, y: metrics.cknna(x[:3], y[:3], 2), "3 items are too few"),
        (lambda x, y: metrics.mutual_knn(x, y * np.nan, 3), "row 0 of y holds NaN"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(JamError, match=message):
        call(*related())
