import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jam_jax import run
from jam_jax.activations import batches
from jam_jax.losses import contrastive
from jam_jax.models import members
from jam_jax.training import objective, state, step
from tests.samples import nested, small_config, write_data


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("step") / "data"
    write_data(folder)
    return folder


# Compiling is most of the time of these tests.
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


class Problem:
    """A small run, taken apart."""

    def __init__(self, root, epochs=4, **changes):
        self.config = nested(small_config(root, train__epochs=epochs, **changes))
        prepared = run.prepare(self.config, pathlib.Path("no-such-run"))
        self.split = run.device_split(prepared)
        widths = self.split.vision.shape[1], self.split.language.shape[1]
        self.modules = objective.modulator(self.config["model"], *widths)
        self.batch = self.config["train"]["batch"]
        self.per_epoch = len(self.split.vision) // self.batch
        self.steps = epochs * self.per_epoch
        self.step = step.make_step(self.config, self.modules, self.steps)

    def member(self, number=0):
        key = state.member_key(0, number)

        @jit
        def begin(key):
            params = state.init_params(self.modules, key, self.config["objective"]["temperature"])
            return state.init_state(params, step.make_optimizer(self.config, self.steps), key)

        return begin(key)

    def epoch(self, at_once=None, train_step=None, negatives=2):
        return jit(
            step.make_epoch(
                train_step or self.step, batch=self.batch, negatives=negatives, constrain=lambda b: b, at_once=at_once
            )
        )

    def drawn(self, negatives=2):
        items = jnp.arange(self.batch, dtype=jnp.int32)
        return jit(functools.partial(batches.draw, negatives=negatives))(self.split, items, jax.random.key(5))


def close(a, b, atol=1e-5):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=atol), a, b)


@pytest.mark.parametrize("name", ["con", "negcon", "spread"])
def test_the_loss_falls(root, name):
    problem = Problem(root, epochs=20, objective__name=name, objective__reconstruction_end=None)
    states, epoch = members.stack([problem.member()]), problem.epoch()
    history = []
    for _ in range(20):
        states, metrics = epoch(states, problem.split)
        history.append({key: float(value) for key, value in metrics.items()})
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]
    assert history[-1]["alignment"] < 0.8 * history[0]["alignment"]
    assert history[-1]["reconstruction"] < 0.8 * history[0]["reconstruction"]
    assert int(states.step[0]) == problem.steps
    assert history[-1]["learning_rate"] < history[5]["learning_rate"]


def test_an_epoch_is_its_steps_one_by_one(root):
    problem = Problem(root)
    begun = problem.member()
    scanned, metrics = problem.epoch()(members.stack([begun]), problem.split)

    epoch_key = jax.random.fold_in(jax.random.wrap_key_data(begun.key), 0)
    order = jax.random.permutation(epoch_key, len(problem.split.vision))
    single, losses = begun, []

    @jit
    def one(current, items, number):
        draw_key, step_key = jax.random.split(jax.random.fold_in(epoch_key, number))
        return problem.step(current, batches.draw(problem.split, items, draw_key, negatives=2), step_key)

    for number in range(problem.per_epoch):
        single, measured = one(single, order[number * problem.batch : (number + 1) * problem.batch], number)
        losses.append(float(measured["loss"]))
    assert float(metrics["loss"]) == pytest.approx(np.mean(losses), rel=1e-5)
    close(jax.tree.map(lambda leaf: leaf[0], scanned.params), single.params)


def test_an_epoch_shows_each_item_once_and_the_next_shuffles_anew(root):
    problem = Problem(root)
    split = problem.split._replace(vision=jnp.arange(len(problem.split.vision), dtype=jnp.float32)[:, None])

    def note(begun, batch, key):
        places = begun.step * problem.batch + jnp.arange(problem.batch)
        seen = begun.params.at[places].set(batch.vision[:, 0])
        return begun._replace(step=begun.step + 1, params=seen), {"loss": jnp.zeros(())}

    total = problem.batch * problem.per_epoch
    empty = problem.member()._replace(params=-jnp.ones(2 * total))
    epoch = problem.epoch(train_step=note)
    states, _ = epoch(members.stack([empty]), split)
    states, _ = epoch(states, split)
    first, second = np.asarray(states.params[0]).reshape(2, -1)
    for order in (first, second):
        assert len(set(order)) == total and order.min() >= 0
    assert not np.array_equal(first, second)


@pytest.mark.slow
def test_members_train_as_if_alone(root):
    problem = Problem(root)

    def walk(begun, batch, key):
        moved = 0.9 * begun.params + batch.vision.mean(0) + jax.random.normal(key, begun.params.shape)
        return begun._replace(step=begun.step + 1, params=moved), {"loss": moved.sum()}

    starts = [problem.member(m)._replace(params=jnp.zeros(problem.split.vision.shape[1])) for m in range(3)]
    alone = [problem.epoch(train_step=walk)(members.stack([one]), problem.split) for one in starts]
    for at_once in (None, 2, 3):
        together, metrics = problem.epoch(at_once, walk)(members.stack(starts), problem.split)
        for m, (one, _) in enumerate(alone):
            close(together.params[m], one.params[0])
        assert float(metrics["loss"]) == pytest.approx(np.mean([float(own["loss"]) for _, own in alone]), rel=1e-4)
    assert not np.allclose(alone[0][0].params, alone[1][0].params)


def test_alpha_lambda_and_temperature(root):
    settings = {"objective__alpha": 0.2, "objective__alpha_end": 0.8, "objective__reconstruction_end": 0.1}
    problem = Problem(root, objective__train_temperature=True, **settings)
    one, current, batch = jit(problem.step), problem.member(), problem.drawn()
    scales = []
    for number in range(6):
        current, metrics = one(current, batch, jax.random.key(number))
        share = number / problem.steps
        assert float(metrics["alpha"]) == pytest.approx(0.2 + 0.6 * share, abs=1e-6)
        assert float(metrics["weight"]) == pytest.approx(1.0 - 0.9 * share, abs=1e-6)
        scales.append(float(metrics["scale"]))
    assert scales[0] == pytest.approx(1 / 0.07, rel=1e-5)
    assert len(set(scales[1:])) == 5  # it is in the optimizer; the optimizer's own test shows the frozen one


@pytest.mark.parametrize("name", ["con", "negcon", "spread"])
def test_the_objective_is_its_parts(root, name):
    problem = Problem(root, objective__name=name, model__dropout=0.0, objective__same="concept")
    batch, params = problem.drawn(), problem.member().params
    total, parts = objective.loss(
        params, batch, jax.random.key(0), modules=problem.modules, objective=problem.config["objective"],
        alpha=jnp.asarray(0.3), weight=jnp.asarray(0.6),
    )  # fmt: skip
    vision, language = ({"params": params[side]} for side in ("vision", "language"))
    z, x_hat = problem.modules.vision.apply(vision, batch.vision)
    t, y_hat = problem.modules.language.apply(language, batch.language)
    u = problem.modules.language.apply(language, batch.negatives, method="encode")
    members_ = {"mask": batch.mask, "same": batch.same, "same_negatives": batch.same_negatives}
    aligned = {
        "con": lambda: contrastive.con(z, t, scale=1 / 0.07, same=batch.same),
        "negcon": lambda: contrastive.negcon(z, t, u, scale=1 / 0.07, **members_),
        "spread": lambda: contrastive.spread(z, t, u, scale=1 / 0.07, alpha=0.3, **members_),
    }[name]()
    errors = np.mean((x_hat - batch.vision) ** 2), np.mean((y_hat - batch.language) ** 2)  # negatives are not decoded
    assert float(parts["alignment"]) == pytest.approx(float(aligned), rel=1e-4)
    assert float(parts["reconstruction"]) == pytest.approx(np.mean(errors), rel=1e-4)
    assert float(total) == pytest.approx(float(aligned) + 0.6 * np.mean(errors), rel=1e-4)
    assert bool(batch.same.sum() > problem.batch)
