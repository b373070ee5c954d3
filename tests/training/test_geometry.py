"""The geometry term in training: beside every objective and alone, for one member and several, and the whole config."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jam_jax
from jam_jax import config, main
from jam_jax.losses import geometry
from jam_jax.models import members
from jam_jax.training import objective
from tests.samples import small_config, write_data
from tests.training.test_step import Problem, close, jit

SLOW = pytest.mark.slow


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("geometry") / "data"
    write_data(folder)
    return folder


def with_term(root, form="gram", weight=3.0, warmup=0.0, **changes):
    term = {"objective__geometry.form": form, "objective__geometry.weight": weight}
    return Problem(root, **term, **{"objective__geometry.warmup": warmup}, **changes)


@pytest.mark.parametrize("form", ["gram", *(pytest.param(form, marks=SLOW) for form in ("rdm", "offset", "cka"))])
def test_the_geometry_falls(root, form):
    problem = with_term(root, form, epochs=20, objective__name="rsa", objective__reconstruction_end=None)
    states, epoch = members.stack([problem.member()]), problem.epoch(negatives=0)
    history = []
    for _ in range(20):
        states, metrics = epoch(states, problem.split)
        history.append({key: float(value) for key, value in metrics.items()})
    assert history[-1]["geometry"] < 0.8 * history[0]["geometry"]
    assert history[-1]["reconstruction"] < 0.8 * history[0]["reconstruction"]
    assert history[-1]["alignment"] == pytest.approx(3 * history[-1]["geometry"], rel=1e-5)


@pytest.mark.parametrize("name", ["con", "rsa", pytest.param("negcon", marks=SLOW), pytest.param("spread", marks=SLOW)])
def test_the_term_is_added_to_the_objective_and_reaches_vision_alone(root, name):
    problem = with_term(root, objective__name=name, model__dropout=0.0)
    batch, params = problem.drawn(), problem.member().params

    def total(params, geometry_weight, settings):
        given = {"alpha": jnp.asarray(0.3), "weight": jnp.asarray(0.6), "geometry_weight": geometry_weight}
        return objective.loss(
            params, batch, jax.random.key(0), modules=problem.modules, objective=settings, **given
        )  # fmt: skip

    def term(params):
        z = problem.modules.vision.apply({"params": params["vision"]}, batch.vision, method="encode")
        t = problem.modules.language.apply({"params": params["language"]}, batch.language, method="encode")
        return geometry.gram(z, t)

    settings = problem.config["objective"]
    loss = jit(jax.value_and_grad(functools.partial(total, settings=settings), has_aux=True))
    ((value, parts), gradient), ((before, _), gradient_before) = loss(params, 2.5), loss(params, 0.0)
    expected, of_term = jit(jax.value_and_grad(term))(params)
    assert float(parts["geometry"]) == pytest.approx(float(expected), rel=1e-4)
    assert float(value - before) == pytest.approx(2.5 * float(expected), rel=1e-3)
    close(jax.tree.map(jnp.subtract, gradient, gradient_before), jax.tree.map(lambda g: 2.5 * g, of_term), atol=1e-4)
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(of_term["language"]))
    unused = settings | {"geometry": settings["geometry"] | {"weight": 0.0}}
    assert "geometry" not in jax.eval_shape(functools.partial(total, settings=unused), params, 0.0)[1]


def test_the_weight_rises_over_its_share_of_the_steps(root):
    problem = with_term(root, warmup=0.5, objective__name="rsa", objective__reconstruction=0.0)
    one, current, batch = jit(problem.step), problem.member(), problem.drawn(0)
    for number in range(problem.steps):
        current, metrics = one(current, batch, jax.random.key(number))
        expected = 3 * min(1.0, 2 * number / problem.steps) * float(metrics["geometry"])
        assert float(metrics["alignment"]) == pytest.approx(expected, rel=1e-5, abs=1e-9)


@SLOW
def test_members_side_by_side_are_members_one_by_one(root):
    problem = with_term(root, "cka", objective__name="con", model__dropout=0.0)
    starts = members.stack([problem.member(m) for m in range(2)])
    apart, together = (problem.epoch(at_once, negatives=0)(starts, problem.split) for at_once in (None, 2))
    close(apart[0].params, together[0].params, atol=1e-4)
    assert float(apart[1]["geometry"]) == pytest.approx(float(together[1]["geometry"]), rel=1e-4)


@SLOW
def test_the_shipped_config_shrunk_runs_from_data_to_results(root, tmp_path):
    loaded = config.load_file("configs/rsa.py")
    kept = {"objective.negatives", "model.init"}
    settings = {key: value for key, value in small_config(root).items() if key not in kept}
    loaded.update_from_flattened_dict(settings | {"train.epochs": 6})
    results = jam_jax.train(config.validate(loaded, main.SCHEMA), str(tmp_path / "run"))
    assert results["objective"] == "rsa"
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert history[-1]["geometry"] < history[0]["geometry"]
    assert -1 <= results["validation"]["score"] <= 1
    assert results["validation"]["score"] == max(entry["validation"]["score"] for entry in history)
    # Both members start in CCA's frame, and the geometry does not leave it.
    assert results["test"]["text_to_image"]["r@1"] > 3 * results["chance"]["text_to_image"]["r@1"]
    assert results["test"]["choice"]["easy"] > 0.7
