"""Everything that a step changes, and how it begins."""

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
