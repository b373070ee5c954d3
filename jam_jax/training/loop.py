"""The training loop: epochs, validation, early stopping, checkpoints; nothing else happens in it."""

import dataclasses
import signal
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from jam_jax.activations.batches import Split
from jam_jax.errors import Interrupted, JamError
from jam_jax.training.checkpoints import Checkpoints, abstract
from jam_jax.training.state import State


@dataclasses.dataclass
class Progress:
    """What a run has to remember besides its state; plain JSON, saved with every checkpoint.

    Attributes:
      epoch: epochs done. best_score, best_epoch: the highest validation score so far and when.
      stale: validations since then. history: one entry for each validated epoch.
      train_seconds: time spent in epochs, over all interruptions.
    """

    epoch: int = 0
    best_score: float = -1.0
    best_epoch: int = 0
    stale: int = 0
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    train_seconds: float = 0.0


def fit(
    state: State,
    split: Split,
    *,
    epoch: Callable[[State, Split], tuple[State, dict[str, jax.Array]]],
    validate: Callable[[Any], dict[str, float]],
    checkpoints: Checkpoints,
    epochs: int,
    validate_every: int,
    checkpoint_every: int,
    patience: int,
) -> tuple[Any, Progress]:
    """Trains to the end or until validation has not improved for ``patience`` validations (0: never stops early).

    Resumes from the newest checkpoint. The order within an epoch is fixed: train, validate, stop or go on, checkpoint.

    Args:
      state, split: the start, and the training split on the device.
      epoch: state, split -> state, mean metrics; compiled.
      validate: params -> {'score': higher is better, ...}.
      epochs, validate_every, checkpoint_every: in epochs.

    Returns:
      The parameters of the best validated epoch, and the progress.

    Raises:
      Interrupted: after saving, on SIGINT or SIGTERM.
      JamError: the loss is NaN or infinite.
    """
    best, progress = state.params, Progress()
    if checkpoints.latest() is not None:
        arrays, saved = checkpoints.restore(abstract({"state": state, "best": best}))
        state, best, progress = State(*arrays["state"]), arrays["best"], Progress(**saved)
    shown = {"desc": "train", "unit": "epoch", "leave": False, "disable": None}  # None: no bar in files and pipes
    with _Signals() as stop, tqdm(total=epochs, initial=progress.epoch, **shown) as bar:
        while progress.epoch < epochs and not (patience and progress.stale >= patience):
            began = time.perf_counter()
            state, metrics = epoch(state, split)
            progress.epoch += 1
            last = progress.epoch == epochs
            if progress.epoch % validate_every == 0 or last:
                measured = {name: float(value) for name, value in jax.device_get(metrics).items()}
                progress.train_seconds += time.perf_counter() - began
                if not np.isfinite(measured["loss"]):
                    raise JamError(
                        f"training: the loss is {measured['loss']} at epoch {progress.epoch} and the last checkpoint "
                        "is kept; lower --config.train.learning_rate or look at the activations"
                    )
                scores = validate(state.params)
                step = int(np.asarray(state.step).flat[0])  # members count alike
                progress.history.append({"epoch": progress.epoch, "step": step, **measured, "validation": scores})
                bar.set_postfix(loss=f"{measured['loss']:.3f}", validation=f"{scores['score']:.3f}")
                if scores["score"] > progress.best_score:
                    best, progress.best_score = state.params, scores["score"]
                    progress.best_epoch, progress.stale = progress.epoch, 0
                else:
                    progress.stale += 1
            else:
                progress.train_seconds += time.perf_counter() - began
            bar.update()
            asked = stop.asked  # read once: a signal that comes while saving is answered after the next epoch
            stopping = asked or last or (patience and progress.stale >= patience)
            if progress.epoch % checkpoint_every == 0 or stopping:
                checkpoints.save(progress.epoch, {"state": state, "best": best}, dataclasses.asdict(progress))
            if asked and not last:
                checkpoints.close()
                raise Interrupted
    return best, progress


class _Signals:
    """Turns SIGINT and SIGTERM into a request that the loop answers after its epoch; a second one acts at once."""

    def __init__(self):
        self.asked = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "_Signals":
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._previous[number] = signal.signal(number, self._handle)
            except ValueError:  # not in the main thread, for example in a notebook's worker
                break
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _: object) -> None:
        self.asked = True
        signal.signal(number, self._previous[number])
