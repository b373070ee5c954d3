"""The optimizer of both autoencoders and the temperature."""

from typing import Any

import jax
import optax

from jam_jax.training.schedules import Schedule


def make(
    schedule: Schedule,
    *,
    name: str,
    weight_decay: float,
    clip: float,
    train_temperature: bool,
) -> optax.GradientTransformation:
    """Adam for parameters {'vision', 'language', 'log_scale'}.

    Args:
      schedule: learning rate by step.
      name: 'adamw' (decoupled decay) or 'adam' (L2 added to the gradient, as in JAM's release).
      weight_decay: for matrices only; biases, gates and norms are not decayed.
      clip: largest gradient norm, of each autoencoder by itself; 0 never clips.
      train_temperature: whether log_scale moves.
    """
    decay = optax.add_decayed_weights(weight_decay, mask=_matrices)
    adam = optax.scale_by_adam()
    each = optax.clip_by_global_norm(clip) if clip else optax.identity()
    steps = [
        optax.partition({"vision": each, "language": each, "log_scale": optax.identity()}, _top_level),
        *((adam, decay) if name == "adamw" else (decay, adam)),
        optax.scale_by_learning_rate(schedule),
    ]
    if not train_temperature:
        steps.append(optax.masked(optax.set_to_zero(), lambda params: _mark(params, lambda p, _: p[0] == "log_scale")))
    return optax.chain(*steps)


def scale_linear(updates: Any, factor: jax.Array) -> Any:
    """Updates with those of the skip paths multiplied: a path that starts as a good solution should move slowly."""
    return jax.tree.map(lambda update, linear: update * factor if linear else update, updates, _linear(updates))


def _mark(params: Any, rule: Any) -> Any:
    return jax.tree_util.tree_map_with_path(lambda path, leaf: rule([entry.key for entry in path], leaf), params)


def _top_level(params: Any) -> Any:
    return _mark(params, lambda path, _: path[0])


def _linear(params: Any) -> Any:
    return _mark(params, lambda path, _: "linear" in path)


def _matrices(params: Any) -> Any:
    return _mark(params, lambda _, leaf: leaf.ndim > 1)
