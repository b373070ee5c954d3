import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jam_jax import parallel
from jam_jax.activations import batches
from jam_jax.activations.block_shuffle import BlockShuffle
from jam_jax.activations.store import Store, convert
from jam_jax.activations.stored import Stored
from jam_jax.activations.stream import Batches
from jam_jax.models import inputs, members
from jam_jax.training import state
from jam_jax.training.expansion import Expansion, expand
from jam_jax.training.streamed import Streamed
from tests.samples import write_data
from tests.training.test_step import Problem

LAYERS = {"eye": (1, 2), "words": (3,)}


class Streams:
    """The sample data on disk in one dtype, and what reads it."""

    def __init__(self, root, dtype):
        self.pairs = write_data(root)
        self.stored = {
            name: Stored(convert(Store.open(root / name), root / f"{name}-{dtype}", layers=layers, dtype=dtype), layers)
            for name, layers in LAYERS.items()
        }
        self.rows = batches.rows(self.pairs, "train")
        read = {"eye": self.rows.items, "words": self.rows.captions}
        self.inputs = {
            name: inputs.fit_blocks(
                stored.blocks(read[name], 50), stored.shape[1], standardise=True, constant="stop", components=14,
                where=name,
            )
            for name, stored in self.stored.items()
        }  # fmt: skip
        self.expansions = [Expansion.of(self.stored[name], self.inputs[name]) for name in LAYERS]

    def batches(self, **share):
        shuffle = BlockShuffle(len(self.rows.items), 0, block=4, window=6)
        group = batches.groups(self.pairs, self.rows.items, "concept")
        return Batches(
            *self.stored.values(), self.rows, group, batch=16, negatives=2, epochs=3, seed=0, shuffle=shuffle, **share
        )

    def advance(self, train_step=None, at_once=None, **share):
        """Training with this step, or with one that adds up what it sees and compiles in no time."""
        mesh = parallel.data_mesh()
        return Streamed(
            train_step or walk, self.batches(**share), *parallel.replicate(self.expansions, mesh), at_once=at_once,
            place=functools.partial(parallel.gather_rows, mesh=mesh),
            constrain=functools.partial(parallel.constrain_rows, mesh=mesh),
        )  # fmt: skip


def walk(member, batch, key):
    moved = 0.9 * member.params + batch.vision.mean(0) + jax.random.normal(key, member.params.shape)
    return member._replace(step=member.step + 1, params=moved), {"loss": moved.sum() + batch.negatives.mean()}


def walkers(count=1):
    """Members whose parameters are the sum of what they saw."""
    zeros, keys = jnp.zeros((count, 14)), [jax.random.key_data(state.member_key(0, m)) for m in range(count)]
    return state.State(jnp.zeros(count, jnp.int32), zeros, (), jnp.stack(keys), jnp.ones(count))


@pytest.fixture(scope="module", params=["int8", "bfloat16", "float32"])
def streams(request, tmp_path_factory):
    return Streams(tmp_path_factory.mktemp("streams") / "data", request.param)


@pytest.fixture(scope="module")
def advance(tmp_path_factory):
    return Streams(tmp_path_factory.mktemp("streams") / "data", "int8").advance()


def test_the_device_expands_what_the_host_would(streams):
    batch = streams.batches()
    codes = batch[3]
    seen = jax.jit(expand)(codes, *streams.expansions)
    items = streams.rows.items[batch.items(3)]
    vision = streams.inputs["eye"](streams.stored["eye"][items])
    np.testing.assert_allclose(seen.vision, vision, atol=2e-5)
    assert seen.vision.shape == (16, 14) and seen.negatives.shape == (16, 2, 14)
    concepts, items_B = np.array([streams.pairs.concepts[i] for i in items]), batch.items(3)
    np.testing.assert_array_equal(seen.same, concepts[:, None] == concepts)
    for i in range(16):
        np.testing.assert_array_equal(seen.same_negatives[i], codes.owner == items_B[i])
    # The captions and negatives are rows of the split, expanded alike.
    everything = streams.inputs["words"](streams.stored["words"][streams.rows.captions])
    for rows in (seen.language, seen.negatives.reshape(-1, 14)):
        nearest = np.abs(np.asarray(rows)[:, None] - everything).max(-1).min(1)
        assert nearest.max() < 2e-5


def test_cut_anywhere_and_resumed_bit_equal(advance):
    begun = walkers(2)
    whole, metrics = advance(begun, 0, 12)
    assert not np.array_equal(whole.params[0], whole.params[1])
    for cut in (1, 5, 11):
        first, before = advance(begun, 0, cut)
        went_on, after = advance(first, cut, 12 - cut)  # reading goes on
        np.testing.assert_array_equal(went_on.params, whole.params)
        advance.close()
        resumed, _ = advance(first, cut, 12 - cut)  # reading begins anew, as in another process
        np.testing.assert_array_equal(resumed.params, whole.params)
        # Metrics are means over the steps of a call.
        mean = (cut * float(before["loss"]) + (12 - cut) * float(after["loss"])) / 12
        assert float(metrics["loss"]) == pytest.approx(mean, rel=1e-5)


def test_a_call_that_failed_leaves_no_trace(advance):
    begun, _ = advance(walkers(2), 0, 2)
    expected, _ = advance(begun, 2, 3)
    with pytest.raises(IndexError):
        advance(begun, 5, 1000)  # past the run's end
    again, _ = advance(begun, 2, 3)
    np.testing.assert_array_equal(again.params, expected.params)


def test_members_side_by_side_are_members_one_by_one_and_compiling_ahead_changes_nothing(advance, tmp_path):
    apart, _ = advance(walkers(2), 2, 3)
    together = Streams(tmp_path / "data", "int8").advance(at_once=2)
    together.compile(walkers(2))
    np.testing.assert_allclose(together(walkers(2), 2, 3)[0].params, apart.params, atol=1e-5)


@pytest.mark.slow
def test_the_real_step_learns(tmp_path):
    streams = Streams(tmp_path / "data", "int8")
    problem = Problem(tmp_path / "data", epochs=3, data__components=14)
    advance, states = streams.advance(problem.step), members.stack([problem.member()])
    losses = []
    for epoch in range(3):
        states, metrics = advance(states, epoch * problem.per_epoch, problem.per_epoch)
        losses.append(float(metrics["loss"]))
    assert losses[-1] < losses[0] and int(states.step[0]) == problem.steps
