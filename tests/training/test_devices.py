"""The same numbers on one device and on eight: what the mesh may change is only where things are computed."""

import json
import os
import subprocess
import sys

import pytest

from tests.samples import write_data

PROGRAM = """
import functools, json, pathlib, sys
import jax, numpy as np
from jax.sharding import AxisType
from jam_jax import parallel, run
from jam_jax.models import members
from jam_jax.training import step
from tests.training.test_step import Problem

problem = Problem(pathlib.Path(sys.argv[1]), model__dropout=0.1, **json.loads(sys.argv[2]))
ends = []
for devices in (jax.devices()[:1], jax.devices()):
    mesh = jax.make_mesh((len(devices),), ("data",), axis_types=(AxisType.Auto,), devices=devices)
    states, split = parallel.replicate((members.stack([problem.member()]), problem.split), mesh)
    epoch = step.make_epoch(
        problem.step, batch=problem.batch, negatives=2, at_once=None,
        constrain=functools.partial(parallel.constrain_rows, mesh=mesh),
    )
    compiled = jax.jit(epoch).lower(states, split).compile()
    states, metrics = compiled(states, split)
    ends.append((jax.device_get(states.params), float(metrics["loss"]), "all-reduce" in compiled.as_text()))
apart = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), ends[0][0], ends[1][0])
print(json.dumps({
    "devices": jax.device_count(), "params": max(jax.tree.leaves(apart)), "losses": [ends[0][1], ends[1][1]],
    "shared": [ends[0][2], ends[1][2]],
}))
"""


def with_term(form):
    changes = {"objective__geometry.form": form, "objective__geometry.weight": 3.0}
    return pytest.param(changes, marks=pytest.mark.slow, id=form)


@pytest.mark.parametrize("changes", [pytest.param({}, id="plain"), *map(with_term, ("gram", "offset", "cka"))])
def test_eight_devices_compute_what_one_does(tmp_path, changes):
    write_data(tmp_path / "data")
    xla_flags = "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
    environment = os.environ | {"XLA_FLAGS": xla_flags, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "data"), json.dumps(changes)], env=environment,
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["devices"] == 8
    assert found["shared"] == [False, True]  # eight devices really share the batch
    assert found["params"] < 1e-5
    assert abs(found["losses"][0] - found["losses"][1]) < 1e-5 * found["losses"][0]
