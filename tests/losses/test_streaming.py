"""Blockwise objectives against the dense ones on the same arrays: values, all gradients, ragged blocks, all masks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jam_jax.errors import JamError
from jam_jax.losses import contrastive, streaming

N, H = 37, 8


def latents(k, seed=0, n=N):
    rng = np.random.default_rng(seed)
    draw = [rng.normal(size=shape).astype(np.float32) for shape in ((n, H), (n, H), (n, k, H))]
    return [jnp.asarray(x) for x in draw]


def members(k, seed=1, n=N):
    """Numbers for the blockwise form and the bool arrays that they stand for."""
    rng = np.random.default_rng(seed)
    group, item = rng.integers(0, n // 2, n), rng.permutation(n)
    negative_item = rng.integers(-1, n, (n, k))
    mask = rng.random((n, k)) < 0.7
    context = np.stack([rng.permutation(n)[:4] for _ in range(n)])
    context[rng.random(context.shape) < 0.3] = -1
    dense_context = np.zeros((n, n), bool)
    for row, others in enumerate(context):
        dense_context[row, others[others >= 0]] = True
    dense = {
        "mask": mask, "same": group[:, None] == group, "same_negatives": item[:, None, None] == negative_item[None],
        "context": dense_context,
    }  # fmt: skip
    numbers = {"mask": mask, "group": group, "item": item, "negative_item": negative_item, "context": context}
    return jax.tree.map(jnp.asarray, numbers), jax.tree.map(jnp.asarray, dense)


def value_and_gradients(loss, *arguments):
    return jax.jit(jax.value_and_grad(loss, argnums=tuple(range(len(arguments)))))(*arguments)


def agree(ours, dense, tolerance=1e-5):
    np.testing.assert_allclose(ours[0], dense[0], rtol=tolerance)
    for a, b in zip(ours[1], dense[1], strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance * max(1, float(jnp.abs(b).max(initial=0.0))))


@pytest.mark.parametrize("block", [8, 16, 1024], ids=["ragged", "two and a bit", "one block"])
@pytest.mark.parametrize("k", [1, 3])
def test_spread_with_everything_equals_dense(k, block):
    numbers, masks = members(k)
    x = (*latents(k), jnp.asarray(20.0), jnp.asarray(0.3))
    agree(
        value_and_gradients(
            lambda v, t, u, s, a: streaming.spread(v, t, u, scale=s, alpha=a, block=block, **numbers), *x
        ),
        value_and_gradients(lambda v, t, u, s, a: contrastive.spread(v, t, u, scale=s, alpha=a, **masks), *x),
    )


@pytest.mark.parametrize("k", [0, 2])
def test_negcon_and_con_equal_dense(k):
    numbers, masks = members(k)
    numbers, masks = {**numbers}, {**masks}
    del numbers["context"], masks["context"]
    v, t, u = latents(k)
    s = jnp.asarray(1 / 0.07)
    agree(
        value_and_gradients(lambda *x: streaming.negcon(*x[:3], scale=x[3], block=8, **numbers), v, t, u, s),
        value_and_gradients(lambda *x: contrastive.negcon(*x[:3], scale=x[3], **masks), v, t, u, s),
    )
    agree(
        value_and_gradients(lambda *x: streaming.con(*x[:2], scale=x[2], group=numbers["group"], block=8), v, t, s),
        value_and_gradients(lambda *x: contrastive.con(*x[:2], scale=x[2], same=masks["same"]), v, t, s),
    )


def test_without_any_mask():
    v, t, u = latents(1)
    agree(
        value_and_gradients(lambda *x: streaming.spread(*x, scale=15.0, alpha=0.7, block=16), v, t, u),
        value_and_gradients(lambda *x: contrastive.spread(*x, scale=15.0, alpha=0.7), v, t, u),
    )


@pytest.mark.parametrize("scale", [0.01, 1000.0])
def test_extreme_temperatures_and_lengths(scale):
    v, t, u = latents(2)
    v, t = v * 1e15, t.at[3].set(0.0)
    agree(
        value_and_gradients(lambda t, u: streaming.spread(v, t, u, scale=scale, alpha=0.5, block=16), t, u),
        value_and_gradients(lambda t, u: contrastive.spread(v, t, u, scale=scale, alpha=0.5), t, u),
        tolerance=2e-5,
    )


def test_what_is_masked_may_be_nan_and_a_row_may_have_no_negative():
    v, t, u = latents(2)
    mask = jnp.ones((N, 2), bool).at[5].set(False).at[9, 1].set(False)
    spoilt = jnp.where(mask[:, :, None], u, jnp.nan)
    agree(
        value_and_gradients(lambda *x: streaming.negcon(*x, scale=15.0, mask=mask, block=8), v, t, spoilt),
        value_and_gradients(lambda *x: contrastive.negcon(*x, scale=15.0, mask=mask), v, t, u),
    )
    none = jnp.zeros((N, 2), bool)
    value, (_, _, gradient) = value_and_gradients(
        lambda *x: streaming.negcon(*x, scale=15.0, mask=none, block=8), v, t, u
    )
    np.testing.assert_allclose(value, contrastive.con(v, t, scale=15.0), rtol=1e-5)
    assert (np.asarray(gradient) == 0).all()


def test_nothing_of_the_size_of_all_pairs_is_ever_made():
    n = 4096
    v, t, u = latents(1, n=n)
    step = jax.jit(jax.value_and_grad(lambda *x: streaming.spread(*x, scale=15.0, alpha=0.5, block=256), (0, 1, 2)))
    compiled = step.lower(v, t, u).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < n * n * 4 / 8


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"group": jnp.zeros((N, 1), int)}, r"group is int32 of shape \(37, 1\)"),
        ({"item": jnp.zeros(N, int)}, "belong together"),
        ({"mask": jnp.ones((N, 2))}, "mask is float32"),
        ({"block": 0}, "block is 0"),
    ],
)
def test_bad_shapes_are_named(change, said):
    v, t, u = latents(2)
    with pytest.raises(JamError, match=said):
        streaming.negcon(v, t, u, scale=1.0, **change)
    with pytest.raises(JamError, match=r"vision is \(37, 8\), language \(36, 8\)"):
        streaming.con(v, t[1:], scale=1.0)
