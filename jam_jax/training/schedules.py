"""Numbers that change during training, each as a function of the step."""

from collections.abc import Callable

import jax.numpy as jnp
import optax

Schedule = Callable[[jnp.ndarray], jnp.ndarray]


def linear(start: float, end: float | None, steps: int) -> Schedule:
    """From ``start`` at step 0 to ``end`` at ``steps``; constant when end is None."""
    if end is None or end == start:
        return lambda step: jnp.full((), start, jnp.float32)
    return optax.linear_schedule(start, end, steps)


def warm_up(end: float, steps: int, *, share: float) -> Schedule:
    """From 0 at step 0 in a line to ``end`` after ``share`` of the steps, then constant; a share of 0 starts at end."""
    rising = round(share * steps)
    return linear(0.0, end, rising) if rising else linear(end, None, steps)


def learning_rate(peak: float, steps: int, *, warmup: float) -> Schedule:
    """Linear warm-up over a fraction of the steps, then a cosine that reaches 0 at ``steps``."""
    rising = min(round(warmup * steps), steps - 1)
    return optax.warmup_cosine_decay_schedule(0.0 if rising else peak, peak, rising, steps, 0.0)
