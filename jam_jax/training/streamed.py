"""Training on batches that are read while it runs: what the loop calls to advance when the data do not fit."""

import collections
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from jam_jax.activations.batches import Batch
from jam_jax.activations.stream import Batches, Codes, prefetched
from jam_jax.training.expansion import Expansion, expand
from jam_jax.training.state import State
from jam_jax.training.step import Step

AHEAD = 2  # batches that are on the device before their step begins

Metrics = dict[str, jax.Array]


class Streamed:
    """``advance(states, step, count) -> states, mean metrics``: one compiled step for each batch that comes from disk.

    All members see the same batches, for reading is what costs; they differ in how they begin and in their dropout.
    Every random number follows from a member's key and the step. Reading goes on between calls, and begins anew only
    where a call does not go on from the one before.

    Args:
      train_step: ``step.make_step``'s. batches: the run's. vision, language: on the device.
      place: puts one process's codes on its devices, as arrays of the whole batch with rows along the devices.
      constrain: as in ``step.make_epoch``. at_once: members trained side by side, None: one by one.
    """

    def __init__(
        self, train_step: Step, batches: Batches, vision: Expansion, language: Expansion, *,
        place: Callable[[Codes], Codes], constrain: Callable[[Batch], Batch], at_once: int | None,
    ):  # fmt: skip
        def one(states: State, codes: Codes, vision: Expansion, language: Expansion) -> tuple[State, Metrics]:
            batch = constrain(expand(codes, vision, language))

            def member(state: State) -> tuple[State, Metrics]:
                return train_step(state, batch, jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step))

            states, metrics = jax.lax.map(member, states, batch_size=at_once)
            return states, {name: values.mean() for name, values in metrics.items()}

        self._one: Callable[..., tuple[State, Metrics]] = jax.jit(one)
        self._add = jax.jit(lambda sums, metrics: jax.tree.map(jnp.add, sums, metrics))
        self._batches, self._expansions, self._place = batches, (vision, language), place
        self._read: Iterator[Codes] = iter(())
        self._placed: collections.deque[Codes] = collections.deque()
        self._next = -1  # the step that reading stands at

    def compile(self, states: State) -> None:
        """Compiles the step for states like these, so that its time can be told from training's."""
        jitted: Any = self._one
        self._one = jitted.lower(states, self._place(self._batches[0]), *self._expansions).compile()

    def __call__(self, states: State, step: int, count: int) -> tuple[State, Metrics]:
        """The states after ``count`` steps from the run's global ``step`` on, and the means of their metrics."""
        if step != self._next:
            self.close()
            self._read = prefetched(self._batches, step)
        self._next = -1  # until this call has come to its end
        sums: Metrics = {}
        for _ in range(count):
            states, metrics = self._one(states, self._take(), *self._expansions)
            # One step late: the device has its next step already. Without this the host would queue an epoch of
            # batches there, and on a CPU the temporaries of every step that is queued.
            jax.block_until_ready(sums)
            sums = self._add(sums, metrics) if sums else metrics
        self._next = step + count
        return states, {name: total / count for name, total in sums.items()}

    def close(self) -> None:
        """Stops reading; the next call begins anew."""
        if hasattr(self._read, "close"):
            self._read.close()
        self._read, self._next = iter(()), -1
        self._placed.clear()

    def _take(self) -> Codes:
        while len(self._placed) < AHEAD:
            codes = next(self._read, None)
            if codes is None:
                break
            self._placed.append(self._place(codes))
        return self._placed.popleft()
