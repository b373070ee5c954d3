"""One training step, and an epoch of them as one program."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jam_jax.activations.batches import Batch, Split, draw
from jam_jax.training import objective, optimizer, schedules
from jam_jax.training.state import State

Step = Callable[[State, Batch, jax.Array], tuple[State, dict[str, jax.Array]]]


def make_optimizer(config: Mapping[str, Any], steps: int) -> optax.GradientTransformation:
    """The optimizer that a config asks for, with its learning rate ending at ``steps``."""
    train = config["train"]
    return optimizer.make(
        schedules.learning_rate(train["learning_rate"], steps, warmup=train["warmup"]),
        name=train["optimizer"],
        weight_decay=train["weight_decay"],
        clip=train["clip"],
        train_temperature=config["objective"]["train_temperature"],
    )


def make_step(config: Mapping[str, Any], modules: objective.Modulator, steps: int) -> Step:
    """A pure train_step(state, batch, key) -> state, metrics for a run of ``steps`` steps."""
    update = make_optimizer(config, steps).update
    settings = config["objective"]
    alpha_of = schedules.linear(settings["alpha"], settings["alpha_end"], steps)
    weight_of = schedules.linear(settings["reconstruction"], settings["reconstruction_end"], steps)
    geometry_of = schedules.warm_up(settings["geometry"]["weight"], steps, share=settings["geometry"]["warmup"])
    rate_of = schedules.learning_rate(config["train"]["learning_rate"], steps, warmup=config["train"]["warmup"])

    def train_step(state: State, batch: Batch, key: jax.Array) -> tuple[State, dict[str, jax.Array]]:
        alpha, weight = alpha_of(state.step), weight_of(state.step)
        # Accelerators would round the factors of float32 products to 10 bits or 7; losses do not bear that.
        with jax.default_matmul_precision("float32"):
            gradient, metrics = jax.grad(objective.loss, has_aux=True)(
                state.params, batch, key, modules=modules, objective=settings, alpha=alpha, weight=weight,
                geometry_weight=geometry_of(state.step),
            )  # fmt: skip
        updates, opt_state = update(gradient, state.opt_state, state.params)
        metrics |= {
            "alpha": alpha,
            "weight": weight,
            "scale": jnp.exp(state.params["log_scale"]),
            "learning_rate": rate_of(state.step),
        }
        updates = optimizer.scale_linear(updates, state.linear_rate)
        params = optax.apply_updates(state.params, updates)
        return state._replace(step=state.step + 1, params=params, opt_state=opt_state), metrics

    return train_step


def make_epoch(
    step: Step, *, batch: int, negatives: int, constrain: Callable[[Batch], Batch], at_once: int | None
) -> Callable[[State, Split], tuple[State, dict[str, jax.Array]]]:
    """A jit-able epoch(states, split) -> states, mean metrics: for each member one scan over a permutation.

    The device draws the permutation. Items beyond the last whole batch sit out; another permutation leaves others out.
    Every random number follows from the member's key and the step, so a resumed run draws what the uninterrupted one
    would have drawn. ``at_once`` members are trained side by side (vmap), the rest after them; None: one by one.
    """

    def epoch(states: State, split: Split) -> tuple[State, dict[str, jax.Array]]:
        states, metrics = jax.lax.map(lambda state: member(state, split), states, batch_size=at_once)
        return states, {name: values.mean() for name, values in metrics.items()}

    def member(state: State, split: Split) -> tuple[State, dict[str, jax.Array]]:
        epoch_key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
        steps = len(split.vision) // batch
        order_SxB = jax.random.permutation(epoch_key, len(split.vision))[: steps * batch].reshape(steps, batch)

        def body(state: State, items_B: jax.Array) -> tuple[State, dict[str, jax.Array]]:
            draw_key, step_key = jax.random.split(jax.random.fold_in(epoch_key, state.step))
            return step(state, constrain(draw(split, items_B, draw_key, negatives=negatives)), step_key)

        return jax.lax.scan(body, state, order_SxB)

    return epoch
