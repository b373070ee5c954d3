import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jam_jax.models.autoencoder import Autoencoder, Block

WIDTH, LATENT = 20, 6


def made(form="plain", hidden=(16, 12), **settings):
    model = Autoencoder(width=WIDTH, hidden=hidden, latent=LATENT, form=form, **settings)
    x = jax.random.normal(jax.random.key(1), (5, WIDTH))
    return model, model.init(jax.random.key(0), x), x


@pytest.mark.parametrize("form", ["plain", "skip"])
@pytest.mark.parametrize("hidden", [(16,), (16, 12), [16, 12, 8], ()])
def test_shapes_and_leading_axes(form, hidden):
    model, params, x = made(form, hidden)
    z, x_hat = model.apply(params, x)
    assert z.shape == (5, LATENT) and x_hat.shape == x.shape
    np.testing.assert_array_equal(model.apply(params, x, method="encode"), z)
    np.testing.assert_array_equal(model.apply(params, z, method="decode"), x_hat)
    boxed = model.apply(params, x.reshape(5, 1, WIDTH), method="encode")
    np.testing.assert_allclose(boxed[:, 0], z, rtol=1e-5, atol=1e-6)


def dense(d, out):
    return d * out + out


def trunk(d, hidden, out):
    count = 0
    for width in hidden:
        count, d = count + 2 * d + dense(d, 2 * width), width  # LayerNorm, Dense to gate and value
    return count + dense(d, out)


@pytest.mark.parametrize("form", ["plain", "skip"])
def test_parameter_counts(form):
    params = made(form)[1]
    expected = trunk(WIDTH, (16, 12), LATENT) + trunk(LATENT, (12, 16), WIDTH)
    if form == "skip":
        expected += dense(WIDTH, LATENT) + dense(LATENT, WIDTH) + 2
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == expected


def test_a_block_against_numpy():
    block = Block(width=3, dropout=0.5, gate_bias=2.0)
    x = np.asarray(jax.random.normal(jax.random.key(0), (4, 5)))
    params = block.init(jax.random.key(1), x, train=False)
    weights, norm = params["params"]["Dense_0"], params["params"]["LayerNorm_0"]
    np.testing.assert_array_equal(weights["bias"], [2, 2, 2, 0, 0, 0])
    normal = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-6) * norm["scale"] + norm["bias"]
    both = normal @ weights["kernel"] + weights["bias"]
    gate, value = both[:, :3], both[:, 3:]
    np.testing.assert_allclose(
        block.apply(params, x, train=False), gate / (1 + np.exp(-gate)) * value, rtol=1e-4, atol=1e-5
    )


def oddness(gate_bias, depth):
    """Cosine of f(x) and -f(-x), averaged: 1 for a linear map, 0 or below where the sign of the input is lost."""
    model = Autoencoder(width=64, hidden=(128,) * depth, latent=32, gate_bias=gate_bias)
    x = jax.random.normal(jax.random.key(1), (200, 64))
    params = model.init(jax.random.key(0), x)
    f, g = (model.apply(params, sign * x, method="encode") for sign in (1, -1))
    cosine = jnp.sum(f * -g, 1) / jnp.linalg.norm(f, axis=1) / jnp.linalg.norm(g, axis=1)
    return float(cosine.mean())


def test_the_gate_bias_keeps_the_sign_of_the_input():
    for depth, kept in ((1, 0.4), (3, 0.15)):
        assert oddness(0.0, depth) < 0
        assert kept < oddness(2.0, depth) < oddness(4.0, depth)
    assert oddness(8.0, 1) > 0.95  # wide open: nearly linear


def test_skip_is_a_linear_map_plus_a_small_branch():
    model, params, x = made("skip")
    encoder = params["params"]["encoder"]
    assert float(encoder["gate"]) == pytest.approx(0.1)
    linear = x @ encoder["linear"]["kernel"] + encoder["linear"]["bias"]
    closed = jax.tree_util.tree_map_with_path(lambda path, v: v * 0 if path[-1].key == "gate" else v, params)
    np.testing.assert_allclose(model.apply(closed, x, method="encode"), linear, rtol=1e-4, atol=1e-5)
    branch = model.apply(params, x, method="encode") - linear
    assert 0 < float(jnp.abs(branch).mean()) < 0.5 * float(jnp.abs(linear).mean())
    assert "linear" not in made("plain")[1]["params"]["encoder"]


def test_dropout_only_while_training():
    model, params, x = made(dropout=0.5)

    def encode(key, train):
        return model.apply(params, x, train=train, method="encode", rngs={"dropout": jax.random.key(key)})

    np.testing.assert_array_equal(encode(0, False), encode(1, False))
    np.testing.assert_array_equal(encode(0, True), encode(0, True))
    assert not np.array_equal(encode(0, True), encode(1, True))
