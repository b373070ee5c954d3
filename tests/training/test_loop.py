import json
import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jam_jax.errors import Interrupted, JamError
from jam_jax.training import loop
from jam_jax.training.checkpoints import Checkpoints, abstract
from jam_jax.training.state import State


def start():
    return State(
        step=jnp.zeros((1,), jnp.int32), params={"w": jnp.zeros((1, 3))}, opt_state={"m": jnp.zeros((1, 2))},
        key=jnp.zeros((1, 2), jnp.uint32), linear_rate=jnp.ones((1,)),
    )  # fmt: skip


class Run:
    """A training that adds one to every weight each epoch, and whose validation scores are given in advance."""

    def __init__(self, scores, loss=lambda epoch: 1.0 / epoch, at_epoch=None):
        self.scores, self.loss, self.at_epoch = scores, loss, at_epoch or {}
        self.epochs = 0

    def epoch(self, state, split):
        self.epochs += 1
        done = int(state.step[0]) + 1
        if done in self.at_epoch:
            self.at_epoch[done]()
        state = state._replace(step=state.step + 1, params=jax.tree.map(lambda w: w + 1, state.params))
        return state, {"loss": jnp.asarray(self.loss(done))}

    def validate(self, params):
        return {"score": self.scores[int(params["w"][0, 0]) - 1]}

    def fit(self, workdir, **changes):
        settings = {"epochs": len(self.scores), "validate_every": 1, "checkpoint_every": 2, "patience": 0} | changes
        saved = Checkpoints(workdir)
        try:
            best, progress = loop.fit(
                start(), None, epoch=self.epoch, validate=self.validate, checkpoints=saved, **settings
            )
        finally:
            saved.close()
        return int(best["w"][0, 0]), progress


def test_the_best_parameters_come_back_and_not_the_last(tmp_path):
    run = Run([0.1, 0.5, 0.9, 0.3, 0.2, 0.4])
    best, progress = run.fit(tmp_path)
    assert (best, progress.best_epoch, progress.best_score, progress.epoch) == (3, 3, 0.9, 6)
    assert [entry["validation"]["score"] for entry in progress.history] == run.scores
    assert [entry["step"] for entry in progress.history] == [1, 2, 3, 4, 5, 6]
    # And from disk.
    saved = Checkpoints(tmp_path)
    assert float(saved.restore_best({"w": jax.ShapeDtypeStruct((1, 3), jnp.float32)})["w"][0, 0]) == 3
    saved.close()


def test_a_tie_keeps_the_earlier(tmp_path):
    assert Run([0.2, 0.7, 0.7, 0.7]).fit(tmp_path)[0] == 2


def test_early_stopping_fires_and_holds(tmp_path):
    scores = [0.1, 0.6, 0.5, 0.6, 0.4, 0.9, 1.0, 1.0]
    run = Run(scores)
    best, progress = run.fit(tmp_path, patience=3)
    assert run.epochs == progress.epoch == 5  # 0.5, 0.6, 0.4: three validations without a better one
    assert best == 2
    again = Run(scores)
    assert again.fit(tmp_path, patience=3)[0] == 2  # the same command on a finished run
    assert again.epochs == 0


def test_patience_counts_since_the_best(tmp_path):
    run = Run([0.1, 0.0, 0.2, 0.1, 0.3, 0.2, 0.4, 0.3])
    assert run.fit(tmp_path, patience=2)[1].epoch == 8


def test_patience_zero_never_stops_early(tmp_path):
    run = Run([0.9] + [0.1] * 11)
    assert run.fit(tmp_path)[1].epoch == 12


def test_validation_every_few_epochs_and_at_the_end(tmp_path):
    best, progress = Run([0.9, 0.1, 0.2, 0.9, 0.3, 0.9, 0.1]).fit(tmp_path, validate_every=3)
    assert [entry["epoch"] for entry in progress.history] == [3, 6, 7]
    assert best == 6


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("validate_every", [1, 4])
def test_an_interrupted_run_goes_on_where_it_was(tmp_path, number, validate_every):
    scores = [0.1, 0.8, 0.3, 0.4, 0.2, 0.7, 0.6]
    settings = {"validate_every": validate_every, "checkpoint_every": 100}
    whole = Run(scores).fit(tmp_path / "whole", **settings)
    before = signal.getsignal(number)
    cut = Run(scores, at_epoch={3: lambda: os.kill(os.getpid(), number)})
    with pytest.raises(Interrupted):
        cut.fit(tmp_path / "cut", **settings)
    assert cut.epochs == 3  # the epoch that was under way is finished and kept
    assert signal.getsignal(number) == before
    resumed = Run(scores)
    best, progress = resumed.fit(tmp_path / "cut", **settings)
    assert resumed.epochs == 4
    assert (best, progress.best_score, progress.history) == (whole[0], whole[1].best_score, whole[1].history)


def test_a_signal_in_the_last_epoch_is_a_finished_run(tmp_path):
    run = Run([0.1, 0.2], at_epoch={2: lambda: os.kill(os.getpid(), signal.SIGTERM)})
    assert run.fit(tmp_path)[0] == 2


@pytest.mark.parametrize("loss", [np.nan, np.inf])
def test_a_broken_loss_stops_with_one_line_and_keeps_the_last_checkpoint(tmp_path, loss):
    run = Run([0.1] * 6, loss=lambda epoch: loss if epoch == 5 else 1.0)
    with pytest.raises(JamError, match=f"the loss is {loss} at epoch 5"):
        run.fit(tmp_path)
    saved = Checkpoints(tmp_path)
    assert saved.latest() == 4
    saved.close()


def test_progress_is_plain_json(tmp_path):
    progress = Run([0.1, 0.2]).fit(tmp_path)[1]
    assert json.loads(json.dumps(vars(progress))) == vars(progress)


def test_restored_arrays_are_bit_equal(tmp_path):
    rng = np.random.default_rng(0)
    weights = {"w": jnp.asarray(rng.normal(size=(1, 3)), jnp.float32)}
    made = start()._replace(params=weights, key=jnp.asarray([[7, 9]], jnp.uint32))
    saved = Checkpoints(tmp_path)
    saved.save(1, {"state": made, "best": made.params}, {"epoch": 1})
    saved.close()
    reopened = Checkpoints(tmp_path)
    arrays, progress = reopened.restore(abstract({"state": start(), "best": start().params}))
    reopened.close()
    assert progress == {"epoch": 1}
    jax.tree.map(np.testing.assert_array_equal, State(*arrays["state"]), made)
