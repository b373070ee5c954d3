"""The training objective: encode both sides, align the latents, reconstruct the inputs."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jam_jax.activations.batches import Batch
from jam_jax.losses import contrastive, geometry, reconstruction
from jam_jax.models.autoencoder import Autoencoder


class Modulator(NamedTuple):
    """The two autoencoders; parameters are {'vision': ..., 'language': ..., 'log_scale': []}."""

    vision: Autoencoder
    language: Autoencoder


def modulator(
    model: Mapping[str, Any], vision_width: int, language_width: int, precision: str = "float32"
) -> Modulator:
    """The modules for the ``model`` part of a config and the widths of the two inputs.

    Training may ask for another ``precision``; what is evaluated and used later is always float32.
    """
    settings = {key: model[key] for key in ("form", "hidden", "latent", "dropout", "gate_bias")}
    settings["precision"] = precision
    return Modulator(Autoencoder(width=vision_width, **settings), Autoencoder(width=language_width, **settings))


def loss(
    params: Any,
    batch: Batch,
    key: jax.Array,
    *,
    modules: Modulator,
    objective: Mapping[str, Any],
    alpha: jax.Array,
    weight: jax.Array,
    geometry_weight: jax.Array | float = 0.0,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Alignment + weight * 1/2 (MSE of both reconstructions), and its parts.

    Alignment is the contrastive objective, if the config names one, plus ``geometry_weight`` times the geometry term,
    if the config gives it a weight at all. Negatives are encoded together with the captions and not reconstructed.
    ``weight`` is lambda, ``alpha`` Spread's.
    """
    vision_key, language_key, vision_out_key, language_out_key = jax.random.split(key, 4)
    count, negatives = batch.mask.shape
    texts = jnp.concatenate([batch.language, batch.negatives.reshape(count * negatives, batch.language.shape[-1])])
    z_vision = _apply(modules.vision, params["vision"], "encode", batch.vision, vision_key)
    z_texts = _apply(modules.language, params["language"], "encode", texts, language_key)
    z_language, z_negatives = z_texts[:count], z_texts[count:].reshape(count, negatives, z_texts.shape[-1])
    vision_hat = _apply(modules.vision, params["vision"], "decode", z_vision, vision_out_key)
    language_hat = _apply(modules.language, params["language"], "decode", z_language, language_out_key)

    scale, parts = jnp.exp(params["log_scale"]), {}
    if objective["name"] == "rsa":
        aligned = jnp.zeros(())
    elif objective["name"] == "con":
        aligned = contrastive.con(z_vision, z_language, scale=scale, same=batch.same)
    else:
        members = {"mask": batch.mask, "same": batch.same, "same_negatives": batch.same_negatives}
        if objective["name"] == "negcon":
            aligned = contrastive.negcon(z_vision, z_language, z_negatives, scale=scale, **members)
        else:
            nearest = objective["nearest"]
            context = contrastive.nearest_captions(batch.language, nearest) if nearest else None
            aligned = contrastive.spread(
                z_vision, z_language, z_negatives, scale=scale, alpha=alpha, context=context, **members
            )
    if objective["geometry"]["weight"]:
        parts["geometry"] = geometry.FORMS[objective["geometry"]["form"]](z_vision, z_language)
        aligned = aligned + geometry_weight * parts["geometry"]
    vision_mse = reconstruction.mse(batch.vision, vision_hat)
    language_mse = reconstruction.mse(batch.language, language_hat)
    total = reconstruction.total(aligned, vision_mse, language_mse, weight=weight)
    parts |= {"loss": total, "alignment": aligned, "reconstruction": (vision_mse + language_mse) / 2}
    return total, parts


def _apply(module: Autoencoder, params: Any, method: str, values: jax.Array, key: jax.Array) -> jax.Array:
    applied: Any = module.apply({"params": params}, values, train=True, method=method, rngs={"dropout": key})
    return applied
