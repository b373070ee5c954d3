"""Everything that a step changes, and how it begins."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jam_jax.training.objective import Modulator


class State(NamedTuple):
    """step: int32 []. params: {'vision', 'language', 'log_scale'}. opt_state: Optax's. seed: uint32 []."""

    step: jax.Array
    params: Any
    opt_state: Any
    seed: jax.Array


def init_params(modules: Modulator, seed: int, temperature: float) -> Any:
    """Random parameters; log_scale = log(1 / temperature)."""
    vision_key, language_key = jax.random.split(jax.random.key(seed))
    return {
        "vision": modules.vision.init(vision_key, jnp.zeros((1, modules.vision.width)))["params"],
        "language": modules.language.init(language_key, jnp.zeros((1, modules.language.width)))["params"],
        "log_scale": jnp.asarray(np.log(1 / temperature), jnp.float32),
    }


def init_state(params: Any, optimizer: optax.GradientTransformation, seed: int) -> State:
    """The state before the first step."""
    return State(jnp.zeros((), jnp.int32), params, optimizer.init(params), jnp.asarray(seed, jnp.uint32))


def with_linear_paths(params: Any, solutions: Mapping[str, tuple[np.ndarray, np.ndarray]], spread: float = 0.05) -> Any:
    """Parameters whose skip paths start from a linear solution, {'vision': (mean_P, map_PxC), 'language': ...}.

    The first C latent dimensions get the map, scaled to latents of unit mean square norm; the others keep their random
    directions at ``spread`` of that norm, as room to learn. Nothing is set in the decoder: least squares does that,
    see ``with_linear_decoders``.

    Args:
      params: of skip-form autoencoders.
      solutions: per modality, the centre [P] and the map [P, C], C <= latent.
      spread: norm of the random rest relative to the map's part.
    """
    out = dict(params)
    for modality, (mean_P, map_PxC) in solutions.items():
        linear = params[modality]["encoder"]["linear"]
        random_PxR = np.asarray(linear["kernel"])[:, map_PxC.shape[1] :]
        rest_PxR = random_PxR * (spread * np.linalg.norm(map_PxC) / max(1e-12, np.linalg.norm(random_PxR)))
        kernel = jnp.asarray(np.concatenate([map_PxC, rest_PxR], axis=1), jnp.float32)
        encoder = params[modality]["encoder"] | {"linear": {"kernel": kernel, "bias": -jnp.asarray(mean_P) @ kernel}}
        out[modality] = params[modality] | {"encoder": encoder}
    return out
