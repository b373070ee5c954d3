import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jam_jax.errors import JamError
from jam_jax.models.linear import draw_batches, linear_heads


def test_heads_learn_a_planted_shared_space(planted, top_1, validated):
    train, validation = planted()
    heads = linear_heads(
        *train, **validated(validation), steps=100, batch=64, seed=0, latent=16, learning_rates=(3e-3, 3e-2)
    )
    x, y, owner = validation
    reached = top_1(owner)(heads.encode_images(x), heads.encode_texts(y))
    assert reached > 0.7  # chance is 1 / 80
    assert heads.settings["validation"] == pytest.approx(reached)


def test_settings_trained_together_equal_settings_trained_alone(planted):
    train, (x_val, y_val, owner_val) = planted()
    common = {"steps": 20, "batch": 32, "seed": 3, "latent": 8, "evaluations": 1}
    together, alone = [], []

    def record(into):
        return lambda images, texts: into.append((images, texts)) or 0.0

    rates, decays = (1e-3, 1e-2), (0.0, 0.5)
    linear_heads(
        *train,
        x_validation=x_val,
        y_validation=y_val,
        score=record(together),
        learning_rates=rates,
        weight_decays=decays,
        **common,
    )
    for rate in rates:
        for decay in decays:
            linear_heads(
                *train,
                x_validation=x_val,
                y_validation=y_val,
                score=record(alone),
                learning_rates=(rate,),
                weight_decays=(decay,),
                **common,
            )
    assert len(together) == len(alone) == 4
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_allclose(a[0], b[0], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(a[1], b[1], rtol=1e-3, atol=1e-4)
    assert np.abs(together[0][0] - together[1][0]).max() > 1e-3


def test_training_equals_a_plain_loop_with_optax(planted):
    """An independent form of the same run: float64-free NumPy batches, optax.adamw, the loss written out."""
    import optax

    train, (x_val, y_val, _) = planted()
    x, y, owner = train
    seen = []
    steps, rate, decay = 12, 3e-3, 0.3
    heads = linear_heads(
        *train,
        x_validation=x_val,
        y_validation=y_val,
        score=lambda i, t: seen.append(1) or float(len(seen)),
        steps=steps,
        batch=50,
        seed=1,
        latent=4,
        learning_rates=(rate,),
        weight_decays=(decay,),
        warmup=0.25,
        evaluations=3,
    )
    assert heads.settings["step"] == steps and len(seen) == 3

    def loss(params, x_BxD, y_BxE):
        z_v, z_t = x_BxD @ params[0], y_BxE @ params[1]
        sim = (z_v / jnp.linalg.norm(z_v, axis=1, keepdims=True)) @ (
            z_t / jnp.linalg.norm(z_t, axis=1, keepdims=True)
        ).T
        logits, labels = sim / 0.07, jnp.arange(len(sim))
        cross_entropy = optax.softmax_cross_entropy_with_integer_labels
        return (cross_entropy(logits, labels).mean() + cross_entropy(logits.T, labels).mean()) / 2

    key_v, key_t = jax.random.split(jax.random.key(1))
    params = (jax.random.normal(key_v, (20, 4)) / np.sqrt(20), jax.random.normal(key_t, (30, 4)) / np.sqrt(30))
    optimizer = optax.adamw(optax.warmup_cosine_decay_schedule(0.0, rate, 3, steps), weight_decay=decay)
    state, gradient = optimizer.init(params), jax.jit(jax.grad(loss))
    for items, captions in zip(*draw_batches(owner, steps=steps, batch=50, seed=1), strict=True):
        updates, state = optimizer.update(gradient(params, x[items], y[captions]), state, params)
        params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(heads.vision_DxH, params[0], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(heads.language_ExH, params[1], rtol=1e-3, atol=1e-4)


def test_the_best_moment_is_kept(planted):
    train, (x_val, y_val, _) = planted()
    latents = []

    def score(images, texts):
        latents.append(images)
        return -abs(len(latents) - 2.0)  # the second of four evaluations

    heads = linear_heads(
        *train,
        x_validation=x_val,
        y_validation=y_val,
        score=score,
        steps=20,
        batch=32,
        seed=0,
        latent=8,
        learning_rates=(1e-3,),
        weight_decays=(0.1,),
        evaluations=4,
    )
    assert heads.settings["step"] == 10
    np.testing.assert_allclose(heads.encode_images(x_val), latents[1], rtol=1e-5, atol=1e-6)


def test_the_same_seed_gives_the_same_heads_and_another_seed_others(planted, validated):
    train, validation = planted()
    runs = [
        linear_heads(*train, **validated(validation), steps=8, batch=32, seed=seed, latent=8).vision_DxH
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.allclose(runs[0], runs[2])


def test_items_of_one_group_are_not_negatives(planted):
    """With every item in one group no negative is left, so the loss is flat and only decay moves the weights."""
    (x, y, owner), (x_val, y_val, _) = planted()
    common = {
        "x_validation": x_val,
        "y_validation": y_val,
        "score": lambda i, t: 1.0,
        "steps": 10,
        "batch": 32,
        "seed": 0,
        "latent": 8,
        "learning_rates": (1e-2,),
        "weight_decays": (0.0,),
        "evaluations": 1,
    }
    flat = linear_heads(x, y, owner, groups_N=np.zeros(len(x), np.int32), **common)
    key_v, _ = jax.random.split(jax.random.key(0))
    np.testing.assert_allclose(flat.vision_DxH, jax.random.normal(key_v, (20, 8)) / np.sqrt(20), atol=1e-5)
    assert not np.allclose(linear_heads(x, y, owner, **common).vision_DxH, flat.vision_DxH, atol=1e-3)


def test_batches_visit_each_item_once_per_epoch_and_draw_its_own_captions():
    owner = np.array([5, 0, 0, 5, 2, 2, 2, 7, 9, 9])  # items 0, 2, 5, 7, 9 have captions; not in order
    items, captions = draw_batches(owner, steps=400, batch=2, seed=0)
    assert items.shape == captions.shape == (400, 2)
    np.testing.assert_array_equal(owner[captions], items)
    assert all(len(np.unique(items[t : t + 2])) == 4 for t in range(0, 400, 2))
    counts = np.bincount(captions.ravel(), minlength=10)
    assert (counts > 0).all() and abs(counts[0] - counts[3]) < 60  # both captions of item 5


def test_bad_arguments_are_named(planted, validated):
    train, validation = planted(items=40)
    with pytest.raises(JamError, match="batch is 41; it must lie in 2..40"):
        linear_heads(*train, **validated(validation), steps=5, batch=41, seed=0)
    with pytest.raises(JamError, match="must not be empty or zero"):
        linear_heads(*train, **validated(validation), steps=0, batch=8, seed=0)
    with pytest.raises(JamError, match="no setting got a finite validation score"):
        linear_heads(*train, **(validated(validation) | {"score": lambda i, t: np.nan}), steps=2, batch=8, seed=0)
