"""train.precision: what bfloat16 products may change, and what they must not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jam_jax.training import objective, step
from tests.samples import write_data
from tests.training.test_step import Problem, jit

STEPS = 30


@pytest.fixture(scope="module")
def problem(tmp_path_factory):
    folder = tmp_path_factory.mktemp("precision") / "data"
    write_data(folder)
    return Problem(folder, epochs=10, model__dropout=0.0)


def trained(problem, precision):
    widths = problem.modules.vision.width, problem.modules.language.width
    modules = objective.modulator(problem.config["model"], *widths, precision)
    one, now, losses = jit(step.make_step(problem.config, modules, problem.steps)), problem.member(), []
    batch = problem.drawn()
    for number in range(STEPS):
        now, metrics = one(now, batch, jax.random.key(number))
        losses.append([float(metrics[name]) for name in ("loss", "alignment", "reconstruction")])
    return now, np.array(losses)


def test_losses_agree_within_bounds(problem):
    """The bounds that models/precision.py states."""
    (full, expected), (half, found) = (trained(problem, precision) for precision in ("float32", "bfloat16"))
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-3)
    np.testing.assert_allclose(found, expected, rtol=1e-2)
    assert found[-1, 0] < 0.8 * found[0, 0]
    assert not np.array_equal(found, expected)  # the switch does something
    for leaf in jax.tree.leaves((half.params, half.opt_state)):
        assert leaf.dtype in (jnp.float32, jnp.int32)  # master parameters and the optimizer's memory
