"""Bad input through the command line: one line that says what is wrong and what would be right, exit code 2."""

import dataclasses
import hashlib
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.samples import flags, small_config, write_data, write_store


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "sample"
    write_data(root)
    return root


@pytest.fixture
def broken(data, tmp_path):
    """A copy of the data that a test may break."""
    return shutil.copytree(data, tmp_path / "broken")


def main(*arguments):
    command = [sys.executable, "-m", "jam_jax.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def refused(workdir, root, *overrides, **changes):
    """The one line that the main job refuses with."""
    done = main("--config=configs/spread.py", f"--workdir={workdir}", *flags(small_config(root, **changes)), *overrides)
    assert done.returncode == 2, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), done.stderr
    return lines[0]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("--config.objective.name=spred", "did you mean 'spread'"),
        ("--config.objective.alhpa=0.5", "did you mean 'objective.alpha'"),
        ("--config.objective.alpha=1.5", "must be within 0 and 1"),
        ("--config.objective.alpha=-0.1", "must be within 0 and 1"),
        ("--config.objective.alpha=nan", "must be within 0 and 1"),
        ("--config.objective.alpha_end=x", "objective.alpha_end is 'x'; it needs a number"),
        ("--config.objectve.alpha=0.5", "did you mean 'objective.alpha'"),
        ("--config.objective=con", "'objective' is a group of keys; set one of objective.name"),
        ("--config.objective.geometry.form=grm", "did you mean 'gram'"),
        ("--config.objective.geometry.weight=-1", "objective.geometry.weight is -1.0; it must be 0 or more"),
        ("--config.objective.geometry.weight=nan", "objective.geometry.weight is nan; it must be 0 or more"),
        ("--config.objective.geometry.warmup=1.5", "objective.geometry.warmup is 1.5; it must be within 0 and 1"),
        ("--config.objective.geometry.warmup=-0.1", "objective.geometry.warmup is -0.1; it must be within 0 and 1"),
        ("--config.objective.geometry=gram", "set one of objective.geometry.form"),
        ("--config.train.epochs=many", "train.epochs is 'many'; it needs an integer"),
        ("--config.train.epochs=2.5", "train.epochs is '2.5'; it needs an integer"),
        ("--config.train.learning_rate=inf", "train.learning_rate is inf; it must be finite"),
        ("--config.data.standardise=maybe", "data.standardise is 'maybe'; it needs True or False"),
        ("--config.data.vision_layer=(1,'a')", "data.vision_layer is 'a'; it needs an integer"),
        ("--config.data.vision_layer=(1,", "data.vision_layer"),
        ("--config.data.vision_layer=()", "data.vision_layer is empty; it needs at least an integer"),
        ("--config.model.init=()", "model.init is empty; it needs at least a text, one of random, cca"),
        ("--config.seed=-1", "seed is -1; it must be within 0"),
        ("--config.train.batch=1", "must be 2 or more"),
        ("--config.model.form=skipp", "did you mean 'skip'"),
        ("--wrkdir=x", "flag --wrkdir is unknown"),
        ("spread", "settings are given as --config.key=value"),
    ],
)
def test_a_setting_is_refused_before_anything_is_written(tmp_path, override, said):
    done = main("--config=configs/spread.py", f"--workdir={tmp_path / 'run'}", override)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1 and done.stderr.startswith("error: ") and said in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_config_that_is_missing_or_broken(tmp_path):
    (tmp_path / "broken.py").write_text("def get_config(:\n")
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "raises.py").write_text("def get_config():\n    return 1 / 0\n")
    (tmp_path / "none.py").write_text("def get_config():\n    pass\n")
    (tmp_path / "part.py").write_text("def get_config():\n    return {'name': 'x'}\n")
    (tmp_path / "exits.py").write_text("raise SystemExit(0)\n")
    for arguments, said in [
        ([], "error: --config is missing; name a config file"),
        (["--config="], "no such config file"),
        (["--config=configs/spread.py:arg"], "configs/spread.py: the config file does not run (TypeError"),
        ([f"--config={tmp_path / 'raises.py'}"], "raises.py: the config file does not run (ZeroDivisionError"),
        ([f"--config={tmp_path / 'none.py'}"], "none.py: get_config gives NoneType; let it return a ConfigDict"),
        ([f"--config={tmp_path / 'part.py'}"], "part.py: key 'seed' is missing"),
        ([f"--config={tmp_path / 'exits.py'}"], "exits.py: the config file does not run (SystemExit"),
        (["--config=configs/spred.py"], "did you mean 'configs/spread.py'"),
        ([f"--config={tmp_path / 'broken.py'}"], "does not run (SyntaxError"),
        ([f"--config={tmp_path / 'empty.py'}"], "has no get_config"),
    ]:
        done = main(*arguments)
        assert done.returncode == 2 and done.stderr.startswith("error: ") and said in done.stderr, done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data__vision": "eyes"}, "did you mean 'eye'"),
        ({"data__vision": "words"}, "holds language activations"),
        ({"data__vision_layer": (1, 7)}, "7 is not stored for 'eye'; choose from 1, 2"),
        ({"data__captions": ("nmae",)}, "did you mean 'name'"),
        ({"objective__negative_kinds": ("skni",)}, "did you mean 'skin'"),
        ({"data__root": "/nowhere"}, "no folder /nowhere"),
        ({"objective__name": "rsa"}, "objective.geometry.weight is 0, but objective.name 'rsa' has no other term"),
        ({"objective__geometry.weight": 1, "train__batch": 3}, "objective.geometry compares pairs of items"),
        ({"model__init": ("cca",), "model__form": "plain"}, "model.init 'cca' needs the linear paths of model.form"),
        ({"train__batch": 512}, "more than the 72 items of the train split"),
    ],
)
def test_a_setting_that_the_data_refuse(data, tmp_path, changes, said):
    assert said in refused(tmp_path / "run", data, **changes)
    assert not (tmp_path / "run").exists()


def test_an_unfinished_store_and_a_missing_one(broken, tmp_path):
    (broken / "eye" / "manifest.json").unlink()
    assert "eye: has no manifest.json, so its export is unfinished" in refused(tmp_path / "run", broken)
    shutil.rmtree(broken / "eye")
    assert "backbone 'eye' is unknown" in refused(tmp_path / "run", broken)
    said = refused(tmp_path / "run", broken, data__vision=tmp_path / "eye")
    assert f"{tmp_path}/eye: no such activation store" in said
    (broken / "pairs.parquet").unlink()
    assert "pairs.parquet: no such pairs file" in refused(tmp_path / "run", broken)
    assert not (tmp_path / "run").exists()


def test_a_missing_shard_a_truncated_one_and_an_altered_one_are_named(broken, tmp_path):
    shard = sorted((broken / "eye" / "layer_01").iterdir())[0]
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    assert f"layer_01/{shard.name}" in refused(tmp_path / "run", broken)
    shard.write_bytes(content[:-8])
    assert f"layer_01/{shard.name}" in refused(tmp_path / "run", broken)
    shard.unlink()
    assert f"layer_01/{shard.name}" in refused(tmp_path / "run", broken)


def _rewrite(root, layer, change):
    """Alters the values of a layer of 'eye' and makes the manifest agree, as a faulty exporter would."""
    manifest = json.loads((root / "eye" / "manifest.json").read_text())
    for entry in manifest["shards"]:
        if entry["layer"] == layer:
            file = root / "eye" / entry["file"]
            values = load_file(file)["values"]
            save_file({"values": change(values)}, file)
            entry["bytes"], entry["sha256"] = file.stat().st_size, hashlib.sha256(file.read_bytes()).hexdigest()
    (root / "eye" / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rows_that_are_not_finite(broken, tmp_path, bad):
    def change(values):
        values[3, 2] = bad
        return values

    _rewrite(broken, 1, change)
    assert "NaN or infinite" in refused(tmp_path / "run", broken)


def test_a_dimension_that_never_varies(broken, tmp_path):
    def change(values):
        values[:, 4] = 2.5
        return values

    _rewrite(broken, 1, change)
    said = refused(tmp_path / "run", broken)
    assert "zero variance" in said and "the first is 4" in said and "keep_mean" in said


def test_stores_of_different_items(broken, tmp_path):
    pairs_of_words = json.loads((broken / "words" / "manifest.json").read_text())["row_ids"]
    shutil.rmtree(broken / "words")
    values = np.random.default_rng(0).normal(size=(len(pairs_of_words), 16)).astype(np.float32)
    write_store(broken / "words", {3: values}, list(reversed(pairs_of_words)), "language")
    assert "other items" in refused(tmp_path / "run", broken)


def test_contradicting_pairs(broken, tmp_path):
    from jam_jax.activations import Pairs

    pairs = Pairs.open(broken / "pairs.parquet")
    moved = ["test" if split == "train" else split for split in pairs.splits]
    dataclasses.replace(pairs, splits=moved).write(broken / "pairs.parquet")
    assert "train split has no items" in refused(tmp_path / "run", broken)


def test_a_workdir_that_cannot_be_written_or_holds_something_else(data, tmp_path):
    (tmp_path / "file").write_text("mine")
    assert f"{tmp_path}/file/run: cannot be" in refused(tmp_path / "file" / "run", data)
    assert "holds no run" in refused(tmp_path / "file", data)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    assert "holds no run" in refused(tmp_path / "full", data)
    assert [file.name for file in (tmp_path / "full").iterdir()] == ["mine.txt"]
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.slow
def test_a_workdir_with_another_config_keeps_its_run(data, tmp_path):
    workdir = tmp_path / "run"
    arguments = ["--config=configs/spread.py", f"--workdir={workdir}"]
    assert main(*arguments, *flags(small_config(data, train__epochs=1))).returncode == 0
    before = {file: file.read_bytes() for file in workdir.rglob("*") if file.is_file()}
    said = refused(workdir, data, train__epochs=1, objective__alpha=0.25)
    assert "objective.alpha" in said and "0.25" in said
    assert before == {file: file.read_bytes() for file in workdir.rglob("*") if file.is_file()}
    (workdir / "config.json").write_text("{")
    assert "config.json: is damaged" in refused(workdir, data, train__epochs=1)
