"""The main job: config -> train -> evaluate -> report.

python -m jam_jax.main --config=configs/spread.py
"""

import hashlib
import json
import pathlib
import sys
import time
from collections.abc import Mapping
from typing import Any

from jam_jax import config as config_lib
from jam_jax.config import Field
from jam_jax.errors import Interrupted, JamError

SCHEMA = {
    "name": Field(str),
    "seed": Field(int, low=0, high=2**31 - 1),
    "data.root": Field(str),
    "data.vision": Field(str),
    "data.vision_layer": Field(int, low=0, many=True, some=True),
    "data.language": Field(str),
    "data.language_layer": Field(int, low=0, many=True, some=True),
    "data.captions": Field(str, many=True),
    "data.split": Field(str, choices=("pairs", "seed")),
    "data.standardise": Field(bool),
    "data.constant": Field(str, choices=("stop", "keep_mean")),
    "data.components": Field(int, low=0),
    "data.resident": Field(str, choices=("auto", "yes", "no")),
    "objective.name": Field(str, choices=("con", "negcon", "spread", "rsa")),
    "objective.alpha": Field(float, low=0, high=1),
    "objective.alpha_end": Field(float, low=0, high=1, optional=True),
    "objective.negatives": Field(int, low=0, high=64),
    "objective.negative_kinds": Field(str, many=True),
    "objective.nearest": Field(int, low=0),
    "objective.same": Field(str, choices=("none", "concept")),
    "objective.geometry.form": Field(str, choices=("gram", "rdm", "offset", "cka")),
    "objective.geometry.weight": Field(float, low=0),
    "objective.geometry.warmup": Field(float, low=0, high=1),
    "objective.temperature": Field(float, low=1e-3, high=10),
    "objective.train_temperature": Field(bool),
    "objective.reconstruction": Field(float, low=0),
    "objective.reconstruction_end": Field(float, low=0, optional=True),
    "model.form": Field(str, choices=("plain", "skip")),
    "model.init": Field(str, choices=("random", "cca"), many=True, some=True),
    "model.hidden": Field(int, low=1, many=True),
    "model.latent": Field(int, low=1),
    "model.dropout": Field(float, low=0, high=0.99),
    "model.gate_bias": Field(float),
    "train.epochs": Field(int, low=1),
    "train.batch": Field(int, low=2),
    "train.optimizer": Field(str, choices=("adamw", "adam")),
    "train.learning_rate": Field(float, low=0),
    "train.linear_rate": Field(float, low=0),
    "train.weight_decay": Field(float, low=0),
    "train.warmup": Field(float, low=0, high=1),
    "train.clip": Field(float, low=0),
    "train.precision": Field(str, choices=("float32", "bfloat16")),
    "train.validate_every": Field(int, low=1),
    "train.checkpoint_every": Field(int, low=1),
    "train.patience": Field(int, low=0),
    "baselines": Field(str, choices=("ridge", "cca", "linear"), many=True),
}  # fmt: skip


def train(config: Mapping[str, Any], workdir: str) -> dict[str, Any]:
    """Trains and evaluates a modulator; returns what it also writes as ``<workdir>/results.json``.

    The same call on the same workdir resumes, or repeats the evaluation of a finished run. The test split is read
    once, at the end.

    Raises:
      JamError: bad config, data or workdir; one line for people.
      Interrupted: SIGINT or SIGTERM came; the run is saved.
    """
    began = time.perf_counter()
    settings = config_lib.validate(config, SCHEMA)
    folder = pathlib.Path(workdir)
    _check(folder, settings)
    # Imported only now: a wrong config is told at once, before a second of imports.
    from jam_jax import outcome, run

    prepared = run.prepare(settings, folder)
    _claim(folder, settings)
    trained = run.fit(prepared, folder)
    results = outcome.evaluate(prepared, trained, began)
    outcome.report(prepared, trained, results, folder)
    return results


def default_workdir(config: Mapping[str, Any]) -> str:
    """runs/<name>-<hash of the config>: the same command finds its run again, another one never meets it."""
    return f"runs/{config['name']}-{hashlib.sha256(config_lib.to_json(config).encode()).hexdigest()[:8]}"


def _check(folder: pathlib.Path, config: Mapping[str, Any]) -> None:
    """Raises JamError unless the folder is new, empty, or holds a run of this very config."""
    file = folder / "config.json"
    try:
        written = json.loads(file.read_text()) if file.exists() else None
        occupied = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    except ValueError as error:
        raise JamError(f"{file}: is damaged; delete the folder or choose another --workdir") from error
    except OSError as error:
        raise JamError(f"{folder}: cannot be read ({error.strerror}); choose another --workdir") from error
    if written is None:
        if occupied:
            raise JamError(f"{folder}: is not empty and holds no run; choose another --workdir")
        return
    wanted = json.loads(config_lib.to_json(config))
    if written != wanted:
        key, there, here = next(_differences(written, wanted))
        raise JamError(f"{folder}: holds a run with {key}={there!r}, not {here!r}; choose another --workdir")


def _claim(folder: pathlib.Path, config: Mapping[str, Any]) -> None:
    """Makes the folder with its config.json; raises JamError when it cannot be written."""
    from jam_jax.activations.shards import write_atomically

    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "config.json").exists():
            write_atomically(folder / "config.json", config_lib.to_json(config).encode())
    except OSError as error:
        raise JamError(f"{folder}: cannot be written ({error.strerror}); choose another --workdir") from error


def _differences(written: Any, wanted: Any, prefix: str = ""):
    for key in sorted({*written, *wanted}):
        there, here = written.get(key), wanted.get(key)
        if isinstance(there, dict) and isinstance(here, dict):
            yield from _differences(there, here, f"{prefix}{key}.")
        elif there != here:
            yield f"{prefix}{key}", there, here


def _command(config: dict[str, Any], workdir: str) -> int:
    workdir = workdir or default_workdir(config)
    try:
        results = train(config, workdir)
    except Interrupted:
        print(f"interrupted: {workdir} is saved; the same command goes on with it", file=sys.stderr)
        return config_lib.INTERRUPTED
    from jam_jax.report import table

    table.show(results)
    print(f"{workdir}/report.html  results.json  config.json  ({results['timing']['total_s']:.0f} s)")
    return 0


if __name__ == "__main__":
    config_lib.run(SCHEMA, _command, workdir="")
