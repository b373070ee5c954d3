"""Linear contrastive heads: one matrix per modality, trained with the symmetric InfoNCE loss.

The baseline with the modulator's own loss, optimizer, batches and budget, but no hidden layer and no reconstruction.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jam_jax.errors import JamError
from jam_jax.losses.contrastive import con
from jam_jax.models.baselines import Heads, Score
from jam_jax.models.spectra import check_pairs


class _Data(NamedTuple):
    """What training reads, on the device: activations, what each step draws, and which items are alike."""

    x_NxD: jax.Array
    y_MxE: jax.Array
    x_validation: jax.Array
    y_validation: jax.Array
    items_TxB: jax.Array
    captions_TxB: jax.Array
    groups_N: jax.Array
    schedule_T: jax.Array


def linear_heads(
    x_NxD: np.ndarray,
    y_MxE: np.ndarray,
    owner_M: np.ndarray,
    *,
    x_validation: np.ndarray,
    y_validation: np.ndarray,
    score: Score,
    steps: int,
    batch: int,
    seed: int,
    latent: int = 256,
    learning_rates: Sequence[float] = (3e-3, 1e-2, 3e-2),
    weight_decays: Sequence[float] = (0.1, 1.0),
    scale: float = 1 / 0.07,
    warmup: float = 0.05,
    evaluations: int = 8,
    groups_N: np.ndarray | None = None,
) -> Heads:
    """Train every learning rate x weight decay at once; validation chooses the setting and when to stop.

    Each epoch passes once over the items in random order, with one random caption per item; an incomplete last batch
    is left out. AdamW, linear warm-up over the share ``warmup`` of the steps, then cosine to zero.
    ``score(images_latent, texts_latent) -> float`` (higher is better) is read ``evaluations`` times, evenly over the
    steps. Items with equal ``groups_N`` [N] (int) are not each other's negatives; None: every other item is one.
    Raises JamError for a batch larger than the number of items with captions, and for data as in `spectra`.
    """
    check_pairs("linear_heads", x_NxD, y_MxE, owner_M)
    captioned = len(np.unique(owner_M))
    if not 2 <= batch <= captioned:
        raise JamError(f"linear_heads: batch is {batch}; it must lie in 2..{captioned}, the number of training items")
    if steps < 1 or evaluations < 1 or not learning_rates or not weight_decays:
        raise JamError("linear_heads: steps, evaluations, learning_rates and weight_decays must not be empty or zero")

    items_TxB, captions_TxB = draw_batches(owner_M, steps=steps, batch=batch, seed=seed)
    groups_N = np.arange(len(x_NxD)) if groups_N is None else groups_N
    schedule = optax.warmup_cosine_decay_schedule(0.0, 1.0, max(1, round(warmup * steps)), max(2, steps))
    schedule_T = schedule(np.arange(steps))
    arrays = (x_NxD, y_MxE, x_validation, y_validation, items_TxB, captions_TxB, groups_N, schedule_T)
    data = _Data(*map(jnp.asarray, arrays))
    learning_rate_G, weight_decay_G = (
        jnp.asarray(np.ravel(a), jnp.float32) for a in np.meshgrid(learning_rates, weight_decays, indexing="ij")
    )

    params = _initial(jax.random.key(seed), x_NxD.shape[1], y_MxE.shape[1], latent)
    # every setting starts from the same matrices, as it sees the same batches
    params_G = jax.tree.map(lambda p: jnp.repeat(p[None], len(learning_rate_G), axis=0), params)
    state_G = jax.vmap(optax.scale_by_adam().init)(params_G)

    best_score, best = -np.inf, None
    ends = np.unique(np.round(np.linspace(0, steps, evaluations + 1)[1:]).astype(int))
    start = 0
    for end in ends:
        params_G, state_G, latents_G = _advance(
            params_G, state_G, learning_rate_G, weight_decay_G, data, start, int(end), scale=scale
        )
        start = int(end)
        vision_GxDxH, language_GxExH = params_G
        images_GxNxH, texts_GxMxH = (np.asarray(latents) for latents in latents_G)
        for g in range(len(learning_rate_G)):
            value = float(score(images_GxNxH[g], texts_GxMxH[g]))
            if value > best_score:
                best_score = value
                settings = {
                    "learning_rate": float(learning_rate_G[g]),
                    "weight_decay": float(weight_decay_G[g]),
                    "step": int(end),
                    "validation": value,
                }
                best = (np.asarray(vision_GxDxH[g]), np.asarray(language_GxExH[g]), settings)
    if best is None:
        raise JamError("linear_heads: no setting got a finite validation score; lower the learning rates")
    vision_DxH, language_ExH, settings = best
    zeros_D, zeros_E = np.zeros(len(vision_DxH), np.float32), np.zeros(len(language_ExH), np.float32)
    return Heads(zeros_D, vision_DxH, zeros_E, language_ExH, settings)


def draw_batches(owner_M: np.ndarray, *, steps: int, batch: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Items int32 [steps, batch], each at most once per epoch, and for each of them one of its captions at random."""
    rng = np.random.default_rng(seed)
    by_item_M = np.argsort(owner_M, kind="stable")
    items, first, count = np.unique(owner_M[by_item_M], return_index=True, return_counts=True)
    per_epoch = len(items) // batch
    epochs = [rng.permutation(len(items))[: per_epoch * batch] for _ in range(-(-steps // per_epoch))]
    chosen_TxB = np.concatenate(epochs)[: steps * batch].reshape(steps, batch)
    captions_TxB = by_item_M[first[chosen_TxB] + rng.integers(0, count[chosen_TxB])]
    return items[chosen_TxB].astype(np.int32), captions_TxB.astype(np.int32)


def _initial(key: jax.Array, width_vision: int, width_language: int, latent: int) -> tuple[jax.Array, jax.Array]:
    key_vision, key_language = jax.random.split(key)
    return (
        jax.random.normal(key_vision, (width_vision, latent)) / np.sqrt(width_vision),
        jax.random.normal(key_language, (width_language, latent)) / np.sqrt(width_language),
    )


@partial(jax.jit, static_argnames="scale")
def _advance(params_G, state_G, learning_rate_G, weight_decay_G, data, start, end, *, scale):
    """Steps start..end - 1 of all settings, and the validation latents after them.

    The bounds are traced, so that segments of any length share one program.
    """

    def step(t, carry):
        items_B = data.items_TxB[t]
        groups_B = data.groups_N[items_B]
        same_BxB = groups_B[:, None] == groups_B
        x_BxD, y_BxE = data.x_NxD[items_B], data.y_MxE[data.captions_TxB[t]]

        def update(params, state, learning_rate, weight_decay):
            def loss(params):
                vision_DxH, language_ExH = params
                return con(x_BxD @ vision_DxH, y_BxE @ language_ExH, scale=scale, same=same_BxB)

            updates, state = optax.scale_by_adam().update(jax.grad(loss)(params), state)
            rate = learning_rate * data.schedule_T[t]
            return jax.tree.map(lambda p, u: p - rate * (u + weight_decay * p), params, updates), state

        params_G, state_G = carry
        return jax.vmap(update)(params_G, state_G, learning_rate_G, weight_decay_G)

    params_G, state_G = jax.lax.fori_loop(start, end, step, (params_G, state_G))
    vision_GxDxH, language_GxExH = params_G
    return params_G, state_G, (data.x_validation @ vision_GxDxH, data.y_validation @ language_GxExH)
