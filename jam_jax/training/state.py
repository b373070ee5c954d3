"""Everything that a step changes, and how it begins."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jam_jax.training.objective import Modulator


class State(NamedTuple):
    """One member of a run; a run stacks its members along a leading axis of every leaf.

    Attributes:
      step: int32 []. params: {'vision', 'language', 'log_scale'}. opt_state: Optax's.
      key: uint32 [2], key data that every random number of this member follows from, together with the step.
      linear_rate: float32 [], factor on the learning rate of the skip paths.
    """

    step: jax.Array
    params: Any
    opt_state: Any
    key: jax.Array
    linear_rate: jax.Array


def member_key(seed: int, member: int) -> jax.Array:
    """The random key of one member of a run."""
    return jax.random.fold_in(jax.random.key(seed), member)


def init_params(modules: Modulator, key: jax.Array, temperature: float) -> Any:
    """Random parameters; log_scale = log(1 / temperature)."""
    vision_key, language_key = jax.random.split(key)
    return {
        "vision": modules.vision.init(vision_key, jnp.zeros((1, modules.vision.width)))["params"],
        "language": modules.language.init(language_key, jnp.zeros((1, modules.language.width)))["params"],
        "log_scale": jnp.asarray(np.log(1 / temperature), jnp.float32),
    }


def init_state(
    params: Any, optimizer: optax.GradientTransformation, key: jax.Array, linear_rate: jax.Array | float = 1.0
) -> State:
    """The state of one member before its first step."""
    return State(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt_state=optimizer.init(params),
        key=jax.random.key_data(key),
        linear_rate=jnp.asarray(linear_rate, jnp.float32),
    )
