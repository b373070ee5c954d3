import numpy as np
import pytest
import scipy.stats

from jam_jax.errors import JamError
from jam_jax.metrics import significance
from jam_jax.metrics.cyclic import circle, cyclic_grid


def gram(x):
    x = x - x.mean(0)
    gram = x @ x.T
    return (gram / np.linalg.norm(gram)).astype(np.float32)


@pytest.mark.parametrize("items", [16, 17])
def test_draws_are_inner_products_with_reordered_matrices(items):
    rng = np.random.default_rng(0)
    lefts, rights = rng.normal(size=(2, items, items)), rng.normal(size=(3, items, items))
    null = cyclic_grid(list(lefts), list(rights), permutations=6, seed=4)
    order, turns = circle(6, items, seed=4)
    assert sorted(order) == list(range(items)) and len(set(turns)) == 6
    expected = []
    for turn in turns:
        other = np.empty(items, int)
        other[order] = np.roll(order, -turn)
        expected.append(np.einsum("aij,bij->ab", lefts, rights[:, other][:, :, other]))
    np.testing.assert_allclose(null.draws, expected, atol=1e-4)
    np.testing.assert_allclose(null.score, np.einsum("aij,bij->ab", lefts, rights), atol=1e-4)


def test_the_null_is_that_of_free_permutations():
    rng = np.random.default_rng(1)
    a, b = gram(rng.normal(size=(300, 6))), gram(rng.normal(size=(300, 5)))
    draws = cyclic_grid([a], [b], permutations=299).draws[:, 0, 0]
    free = [np.vdot(a, b[order][:, order]) for order in significance.orders(300, 300, seed=0)]
    assert scipy.stats.ks_2samp(draws, free).pvalue > 0.01


def test_p_is_uniform_under_the_null():
    rng = np.random.default_rng(2)
    p = []
    for seed in range(200):
        a, b = gram(rng.normal(size=(20, 3))), gram(rng.normal(size=(20, 3)))
        p.append(cyclic_grid([a], [b], permutations=19, seed=seed).p[0, 0])
    counts = np.bincount(np.rint(np.array(p) * 20).astype(int), minlength=21)[1:]
    assert scipy.stats.chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize(
    ("lefts", "rights", "permutations", "message"),
    [
        ([np.eye(5)], [np.eye(6)], 3, "expected one or more"),
        ([np.eye(5)], [np.ones((5, 4))], 3, "expected one or more"),
        ([np.eye(5)], [], 3, "expected one or more"),
        ([np.eye(5)], [np.eye(5)], 5, r"expected 1\.\.4"),
    ],
)
def test_bad_input_is_named(lefts, rights, permutations, message):
    with pytest.raises(JamError, match=message):
        cyclic_grid(lefts, rights, permutations)
