import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

from jam_jax.training import optimizer, schedules

STEPS = 12


@pytest.fixture
def params():
    rng = np.random.default_rng(0)

    def side(width):
        return {
            "encoder": {"linear": {"kernel": rng.normal(size=(width, 3)), "bias": rng.normal(size=3)}},
            "decoder": {"out": {"kernel": rng.normal(size=(3, width)), "bias": rng.normal(size=width)}, "gate": 0.1},
        }  # fmt: skip

    tree = {"vision": side(5), "language": side(4), "log_scale": np.log(1 / 0.07)}
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), tree)


def gradients(params, step, size=1.0):
    rng = np.random.default_rng(step + 1)
    return jax.tree.map(lambda leaf: jnp.asarray(size * rng.normal(size=leaf.shape), jnp.float32), params)


def make(rate=lambda step: 1e-2, **changes):
    settings = {"name": "adamw", "weight_decay": 0.1, "clip": 0.0, "train_temperature": True} | changes
    return optimizer.make(rate, **settings)


def run(transformation, params, size=1.0):
    state = transformation.init(params)
    update = jax.jit(transformation.update)
    for step in range(STEPS):
        updates, state = update(gradients(params, step, size), state, params)
        params = optax.apply_updates(params, updates)
    return params


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_against_torch(params, name):
    rate = schedules.learning_rate(1e-2, STEPS, warmup=0.25)
    ours = run(make(rate, name=name), params)

    leaves, tree = jax.tree.flatten(params)
    peers = [torch.nn.Parameter(torch.tensor(np.asarray(leaf))) for leaf in leaves]
    groups = [
        {"params": [p for p in peers if p.ndim > 1], "weight_decay": 0.1},
        {"params": [p for p in peers if p.ndim <= 1], "weight_decay": 0.0},  # biases, gates, temperature
    ]
    peer = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name](groups, lr=1.0)
    for step in range(STEPS):
        for group in peer.param_groups:
            group["lr"] = float(rate(jnp.asarray(step)))
        for p, gradient in zip(peers, jax.tree.leaves(gradients(params, step)), strict=True):
            p.grad = torch.tensor(np.asarray(gradient))
        peer.step()
    wanted = jax.tree.unflatten(tree, [p.detach().numpy() for p in peers])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6), ours, wanted)


def test_decay_leaves_biases_gates_and_temperature_alone(params):
    zero = jax.tree.map(jnp.zeros_like, params)
    transformation = make(weight_decay=0.5)
    updates, _ = transformation.update(zero, transformation.init(params), params)
    for (path, update), leaf in zip(jax.tree_util.tree_leaves_with_path(updates), jax.tree.leaves(params), strict=True):
        if path[-1].key == "kernel":
            np.testing.assert_allclose(update, -1e-2 * 0.5 * leaf, rtol=1e-6)
        else:
            assert not np.any(update)


def clipped_by_itself(gradient, params, clip):
    """The gradient that reaches Adam: its first moment after one step, / (1 - 0.9)."""
    transformation = make(clip=clip, weight_decay=0.0)
    _, state = transformation.update(gradient, transformation.init(params), params)
    moments = optax.tree.get(state, "mu")
    return jax.tree.map(lambda leaf: leaf / 0.1, moments)


def test_each_autoencoder_is_clipped_by_itself(params):
    gradient = gradients(params, 0)
    gradient["vision"] = jax.tree.map(lambda g: 100 * g, gradient["vision"])
    gradient["language"] = jax.tree.map(lambda g: 1e-3 * g, gradient["language"])
    gradient["log_scale"] = jnp.asarray(50.0)
    seen = clipped_by_itself(gradient, params, clip=1.0)
    assert float(optax.tree.norm(seen["vision"])) == pytest.approx(1.0, rel=1e-5)
    factor = 1 / float(optax.tree.norm(gradient["vision"]))
    np.testing.assert_allclose(
        seen["vision"]["encoder"]["linear"]["kernel"],
        factor * gradient["vision"]["encoder"]["linear"]["kernel"], rtol=1e-5,
    )  # fmt: skip
    # Small gradients of the other side, and the temperature's, are as they were.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), seen["language"], gradient["language"])
    assert float(seen["log_scale"]) == pytest.approx(50.0, rel=1e-5)


def test_clip_zero_never_clips(params):
    gradient = gradients(params, 0, size=1e3)
    seen = clipped_by_itself(gradient, params, clip=0.0)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), seen, gradient)


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_the_temperature_moves_when_it_is_trained_and_only_then(params, name):
    trained = run(make(name=name, train_temperature=True), params)
    frozen = run(make(name=name, train_temperature=False), params)
    assert float(frozen["log_scale"]) == float(params["log_scale"])
    assert abs(float(trained["log_scale"] - params["log_scale"])) > 1e-3
    trained.pop("log_scale"), frozen.pop("log_scale")
    jax.tree.map(np.testing.assert_array_equal, trained, frozen)


def test_scale_linear_slows_the_skip_paths_only(params):
    updates = gradients(params, 0)
    scaled = optimizer.scale_linear(updates, 0.1)
    for side in ("vision", "language"):
        for leaf in ("kernel", "bias"):
            np.testing.assert_allclose(
                scaled[side]["encoder"]["linear"][leaf], 0.1 * updates[side]["encoder"]["linear"][leaf], rtol=1e-6
            )
        jax.tree.map(np.testing.assert_array_equal, scaled[side]["decoder"], updates[side]["decoder"])
    assert float(scaled["log_scale"]) == float(updates["log_scale"])
