import numpy as np
import pytest

from jam_jax.backbones.pooling import pool
from jam_jax.errors import JamError

LENGTHS = (1, 3, 5, 2)
T, D = 5, 4


def padded(side):
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(len(LENGTHS), T, D)).astype(np.float32)
    mask = np.zeros((len(LENGTHS), T), bool)
    for i, length in enumerate(LENGTHS):
        mask[i, slice(0, length) if side == "right" else slice(T - length, T)] = True
    hidden[~mask] = np.nan
    return hidden, mask


def naive(hidden, mask, pooling, prefix):
    out = []
    for tokens, real in zip(hidden, mask, strict=True):
        kept = [token for token, is_real in zip(tokens, real, strict=True) if is_real]
        if pooling == "cls":
            out.append(kept[0])
        elif pooling == "last":
            out.append(kept[-1])
        else:
            kept = kept[prefix:] if pooling == "mean_without_prefix" else kept
            total = [0.0] * D
            for token in kept:
                total = [a + float(b) for a, b in zip(total, token, strict=True)]
            out.append([a / len(kept) for a in total])
    return np.array(out, np.float32)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("pooling", ["cls", "last", "mean"])
def test_pool_equals_naive_loops(side, pooling):
    hidden, mask = padded(side)
    got = pool(hidden, mask, pooling, prefix_tokens=1)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, naive(hidden, mask, pooling, 1), rtol=1e-6)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("prefix", [0, 1, 2])
def test_prefix_is_left_out_on_both_sides(side, prefix):
    hidden, mask = (array[1:3] for array in padded(side))
    got = pool(hidden, mask, "mean_without_prefix", prefix)
    np.testing.assert_allclose(got, naive(hidden, mask, "mean_without_prefix", prefix), rtol=1e-6)


def test_both_sides_agree():
    values = np.random.default_rng(1).normal(size=(1, 3, D)).astype(np.float32)
    pad = np.full((1, 2, D), np.inf, np.float32)
    left = np.concatenate([pad, values], axis=1), np.array([[False, False, True, True, True]])
    right = np.concatenate([values, pad], axis=1), np.array([[True, True, True, False, False]])
    for pooling in ("cls", "last", "mean", "mean_without_prefix"):
        np.testing.assert_array_equal(pool(*left, pooling, 1), pool(*right, pooling, 1))


def test_pictures_need_no_full_mask():
    hidden = np.random.default_rng(2).normal(size=(2, 5, D)).astype(np.float32)
    real = np.ones((2, 1), bool)
    np.testing.assert_allclose(pool(hidden, real, "mean"), hidden.mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(pool(hidden, real, "mean_without_prefix", 1), hidden[:, 1:].mean(axis=1), rtol=1e-5)


def test_long_means_keep_their_digits():
    hidden = (1000 + np.random.default_rng(3).normal(size=(1, 20000, 2))).astype(np.float32)
    exact = hidden[0].astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(pool(hidden, np.ones((1, 1), bool), "mean")[0], exact, rtol=1e-7)


@pytest.mark.parametrize(
    ("pooling", "prefix", "message"),
    [
        ("median", 1, "pooling 'median' is unknown"),
        ("cls", 0, "no CLS token"),
        ("mean_without_prefix", 1, "row 0 of the batch has no token left"),
    ],
)
def test_what_cannot_be_pooled_is_said(pooling, prefix, message):
    hidden, mask = padded("right")
    with pytest.raises(JamError, match=message):
        pool(hidden, mask, pooling, prefix)
