import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jam_jax import losses
from jam_jax.errors import JamError
from tests.losses import reference

SIZES = [(1, 2), (4, 0), (5, 2)]
problems = st.builds(
    lambda size, **settings: reference.problem(n=size[0], k=size[1], **settings),
    size=st.sampled_from(SIZES),
    seed=st.integers(0, 2**31),
    scale=st.floats(0.5, 50),
    alpha=st.floats(0, 1),
    density=st.sampled_from([0, 0.2, 0.6, 1]),
)


def stacked(p):
    """con, negcon, spread, con_con, context_nce."""
    v, t, u, scale, alpha, *_ = p
    members = {name: mask for name, mask in p.masks.items() if name != "context"}
    return jnp.stack(
        [
            losses.con(v, t, scale=scale, same=p.same),
            losses.negcon(v, t, u, scale=scale, **members),
            losses.spread(v, t, u, scale=scale, alpha=alpha, **p.masks),
            losses.con_con(v, t, u, scale=scale, **p.masks),
            losses.context_nce(v, t, u, scale=scale, **p.masks),
        ]
    )


values = jax.jit(stacked)
gradients = jax.jit(jax.jacrev(lambda x, p: stacked(p._replace(**x))))


def differentiable(p):
    return {"vision": p.vision, "language": p.language, "negatives": p.negatives, "scale": p.scale}


@settings(deadline=None, max_examples=60)
@given(problems)
def test_values_are_those_of_loops_in_float64(p):
    np.testing.assert_allclose(values(p), reference.values(p), rtol=1e-5, atol=2e-7 * (1 + p.scale))


@pytest.mark.parametrize("size", SIZES[1:])
def test_gradients_are_finite_differences_of_loops_in_float64(size):
    p = reference.problem(1, *size, width=4)
    got = gradients(differentiable(p), p)
    for name, value in differentiable(p).items():
        value = np.asarray(value, np.float64)
        expected = np.zeros((len(reference.NAMES), value.size))
        for place in range(value.size):
            step = np.zeros(value.size)
            step[place] = 1e-5
            up, down = (reference.values(p._replace(**{name: value + s * step.reshape(value.shape)})) for s in (1, -1))
            expected[:, place] = (up - down) / 2e-5
        tolerance = 1e-5 * abs(expected).max(initial=0.1)
        np.testing.assert_allclose(np.reshape(got[name], expected.shape), expected, rtol=1e-5, atol=tolerance)


@settings(deadline=None, max_examples=30)
@given(problems)
def test_context_cancels_out(p):
    con, negcon, spread, coarse, fine = np.asarray(values(p._replace(alpha=0.5)))
    image_to_text, text_to_image = coarse + fine, 2 * spread - (coarse + fine) / 2
    tolerance = 1e-6 * (1 + p.scale)
    np.testing.assert_allclose(2 * negcon, image_to_text + text_to_image, rtol=1e-5, atol=tolerance)
    np.testing.assert_allclose(2 * spread, image_to_text / 2 + text_to_image, rtol=1e-5, atol=tolerance)
    if not p.mask.any():
        np.testing.assert_allclose(negcon, con, rtol=1e-5, atol=tolerance)


@settings(deadline=None, max_examples=20)
@given(problems)
def test_order_rotation_and_row_lengths_do_not_matter(p):
    rng = np.random.default_rng(0)
    n, k, width = p.negatives.shape
    expected, tolerance = values(p), 1e-6 * (1 + p.scale)
    order, order_K = rng.permutation(n), rng.permutation(k)
    moved = p._replace(
        **{name: getattr(p, name)[order] for name in ("vision", "language")},
        negatives=p.negatives[order][:, order_K],
        mask=p.mask[order][:, order_K],
        same=p.same[order][:, order],
        same_negatives=p.same_negatives[order][:, order][:, :, order_K],
        context=p.context[order][:, order],
    )
    np.testing.assert_allclose(values(moved), expected, rtol=1e-5, atol=tolerance)
    rotation = np.linalg.qr(rng.normal(size=(width, width)))[0].astype(np.float32)
    latents = ("vision", "language", "negatives")
    rotated = p._replace(**{name: getattr(p, name) @ rotation for name in latents})
    np.testing.assert_allclose(values(rotated), expected, rtol=1e-5, atol=tolerance)
    for power in (-25.0, 0.0, 25.0):
        scaled = {
            name: getattr(p, name) * np.float32(10) ** (power + rng.uniform(-2, 2, (*getattr(p, name).shape[:-1], 1)))
            for name in latents
        }
        scaled = {name: np.asarray(value, np.float32) for name, value in scaled.items()}
        np.testing.assert_allclose(values(p._replace(**scaled)), expected, rtol=1e-5, atol=tolerance)


def test_masks_left_out_mean_everything_counts():
    p = reference.problem(0, 4, 1, density=0)
    v, t, u = p[:3]
    left_out = jnp.stack(
        [
            losses.con(v, t, scale=p.scale),
            losses.negcon(v, t, u, scale=p.scale),
            losses.spread(v, t, u, scale=p.scale, alpha=p.alpha),
            losses.con_con(v, t, u, scale=p.scale),
            losses.context_nce(v, t, u, scale=p.scale),
        ]
    )
    np.testing.assert_allclose(left_out, values(p), rtol=1e-6)


def test_masked_negatives_may_hold_anything():
    p = reference.problem(3, 5, 2)
    poisoned = p._replace(negatives=np.where(p.mask[:, :, None], p.negatives, np.nan))
    np.testing.assert_array_equal(values(poisoned), values(p))
    for name, gradient in gradients(differentiable(poisoned), poisoned).items():
        np.testing.assert_array_equal(gradient, gradients(differentiable(p), p)[name])


@pytest.mark.parametrize("size", SIZES)
def test_nothing_valid_and_zero_rows_give_finite_gradients(size):
    p = reference.problem(0, *size, density=1.0)
    zeros = p._replace(vision=p.vision * 0, negatives=p.negatives * 0, mask=np.ones_like(p.mask))
    for case in (p, zeros, zeros._replace(language=p.language * 0)):
        assert np.isfinite(values(case)).all()
        assert all(np.isfinite(g).all() for g in gradients(differentiable(case), case).values())


def test_a_perfect_batch_of_one_costs_nothing():
    v = np.float32([[3.0, 4.0]])
    assert losses.con(v, v, scale=100.0) == 0
    assert losses.negcon(v, v, -v[:, None], scale=100.0) == 0


def test_logits_beyond_the_range_of_exp_stay_exact():
    v = np.float32([[1, 0], [-1, 0]])
    assert losses.con(v, -v, scale=1e4) == pytest.approx(2e4)
    assert losses.con(v, v, scale=1e4) == 0


def test_bfloat16_latents_are_computed_in_float32():
    p = reference.problem(0, 4, 1)
    rounded = [jnp.asarray(x, jnp.bfloat16) for x in p[:3]]
    narrow = losses.negcon(*rounded, scale=14.0)
    assert narrow.dtype == jnp.float32
    np.testing.assert_allclose(narrow, losses.negcon(*(x.astype(jnp.float32) for x in rounded), scale=14.0), rtol=1e-6)


def test_vmap_is_a_loop():
    many = [reference.problem(seed, 4, 1, scale=10.0 + seed, alpha=seed / 3) for seed in range(3)]
    together = jax.vmap(stacked)(jax.tree.map(lambda *leaves: np.stack(leaves), *many))
    np.testing.assert_allclose(together, [values(p) for p in many], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("k", [0, 1, 3, 5])
def test_nearest_captions_are_those_of_a_sort(k):
    language = np.random.default_rng(k).normal(size=(6, 4)).astype(np.float32)
    unit = language / np.linalg.norm(language, axis=1, keepdims=True)
    expected = np.zeros((6, 6), bool)
    for i in range(6):
        others = sorted((j for j in range(6) if j != i), key=lambda j: -unit[i] @ unit[j])
        expected[i, others[:k]] = True
    np.testing.assert_array_equal(losses.nearest_captions(language, k), expected)
    with pytest.raises(JamError, match=r"k is 6, but each of 6 captions has 5 others; use 0\.\.5"):
        losses.nearest_captions(language, 6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vision": np.zeros(6, np.float32)}, r"vision has shape \(6,\); expected \[N, H\]"),
        ({"vision": np.zeros((0, 6), np.float32)}, r"vision has shape \(0, 6\); .* at least one row"),
        ({"language": np.zeros((4, 5), np.float32)}, r"language has shape \(4, 5\); expected \[N, H\] = \(4, 6\)"),
        ({"negatives": np.zeros((4, 6), np.float32)}, r"expected \[N, K, H\] = \(4, K, 6\)"),
        ({"mask": np.ones((4, 2), bool)}, r"mask is bool of shape \(4, 2\); expected bool \[N, K\] = \(4, 1\)"),
        ({"mask": np.ones((4, 1), np.float32)}, r"mask is float32 .* expected bool"),
        ({"same": np.ones((4, 1), bool)}, r"same is bool of shape \(4, 1\); expected bool \[N, N\] = \(4, 4\)"),
        ({"same_negatives": np.ones((4, 4), bool)}, r"same_negatives .* expected bool \[N, N, K\] = \(4, 4, 1\)"),
        ({"context": np.ones((4, 1), bool)}, r"context .* expected bool \[N, N\] = \(4, 4\)"),
    ],
)
def test_wrong_shapes_are_named_while_tracing(change, message):
    p = reference.problem(0, 4, 1)._replace(**change)
    with pytest.raises(JamError, match=message) as caught:
        jax.eval_shape(lambda: losses.spread(*p[:3], scale=1.0, alpha=0.5, **p.masks))
    assert "\n" not in str(caught.value)


SHARDED = """
import jax, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jam_jax import losses
from tests.losses import reference

assert jax.device_count() == 8
p = reference.problem(0, 32, 2, width=16)
latents, masks = p[:3], p.masks
def loss(latents, masks):
    members = {name: mask for name, mask in masks.items() if name != "context"}
    return losses.spread(*latents, scale=14.0, alpha=0.3, **masks) + losses.negcon(*latents, scale=14.0, **members)
step = jax.jit(jax.value_and_grad(loss))
one = step(*jax.device_put((latents, masks), jax.devices()[0]))
mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
spread_out = jax.device_put((latents, masks), NamedSharding(mesh, PartitionSpec("data")))
many = step(*spread_out)
assert len(spread_out[0][0].sharding.device_set) == 8
for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(many), strict=True):
    a, b = np.asarray(a), np.asarray(b)
    np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-5 * abs(a).max())
"""


def test_eight_devices_give_the_same_numbers():
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    environment["PYTHONPATH"] = os.pathsep.join([os.getcwd(), *sys.path])
    done = subprocess.run([sys.executable, "-c", SHARDED], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
