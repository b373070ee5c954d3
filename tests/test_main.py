"""The main job end to end on a small data set: what it writes, that it resumes, and the model that it leaves."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import jam_jax
from tests.samples import flags, nested, sample_activations, small_config, write_data, write_store


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "sample"
    return root, write_data(root)


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """A finished run with a CCA-started and a random member and every baseline: workdir, results."""
    root, _ = data
    workdir = tmp_path_factory.mktemp("runs") / "finished"
    settings = small_config(root, model__init=("cca", "random"), baselines=("linear", "cca", "ridge"))
    return workdir, jam_jax.train(nested(settings), str(workdir))


def numbers(tree, path=""):
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from numbers(value, f"{path}/{key}")
    elif isinstance(tree, (int, float)):
        yield path, tree


def test_results_have_their_form_and_are_fractions(finished):
    workdir, results = finished
    assert json.loads((workdir / "results.json").read_text()) == json.loads(json.dumps(results))
    for scores in (results["test"], results["chance"], *results["baselines"].values()):
        assert {"image_to_text", "text_to_image", "choice"} <= set(scores)
        assert {"r@1", "r@5", "r@10", "median_rank", "gallery"} == set(scores["image_to_text"])
        for path, value in numbers(scores):
            if not path.endswith(("gallery", "median_rank", "comparisons_by_kind/skin")):
                assert 0 <= value <= 1, path
    assert set(results["baselines"]) == {"linear", "cca", "ridge"}
    assert {"vision", "language"} == set(results["test"]["reconstruction"])
    assert {"total_s", "compile_s", "train_s", "examples_per_s"} == set(results["timing"])
    for name in ("config.json", "history.json", "report.html"):
        assert (workdir / name).stat().st_size > 0
    assert list(workdir.glob("events.out.tfevents*"))


def test_two_models_meet(finished):
    _, results = finished
    assert results["test"]["text_to_image"]["r@1"] > 3 * results["chance"]["text_to_image"]["r@1"]
    assert results["test"]["choice"]["easy"] > 0.7


def test_the_model_is_numpy_in_numpy_out(data, finished):
    (_, pairs), (workdir, results) = data, finished
    vision, language = sample_activations(pairs)
    x, y = np.concatenate([vision[1], vision[2]], axis=1), language[3]
    jam = jam_jax.JAM.load(workdir)
    images, texts = jam.encode_images(x), jam.encode_texts(y)
    assert images.shape == (len(x), 16) and texts.shape == (len(y), 16)
    np.testing.assert_allclose(np.linalg.norm(images, axis=1), 1, atol=1e-5)
    assert jam.reconstruct_images(jam.encode_images(x, unit=False)).shape == x.shape
    assert jam.reconstruct_texts(jam.encode_texts(y, unit=False)).shape == y.shape

    from jam_jax.metrics import retrieval

    items = [i for i in pairs.items_of("test") if pairs.gallery[i]]
    captions = [m for m in range(pairs.captions) if pairs.caption_items[m] in items]
    owner = np.array([items.index(pairs.caption_items[m]) for m in captions])
    assert retrieval.text_to_image(images[items], texts[captions], owner) == results["test"]["text_to_image"]
    with pytest.raises(jam_jax.JamError, match="needs"):
        jam.encode_images(x[:, :5])


def test_a_finished_run_repeats_its_results(finished):
    workdir, results = finished
    config = json.loads((workdir / "config.json").read_text())
    again = jam_jax.train(config, str(workdir))
    assert {**again, "timing": 0} == {**results, "timing": 0}


@pytest.mark.slow
def test_dead_dimensions_may_enter_as_zeros(data, tmp_path):
    _, pairs = data
    root = tmp_path / "dead"
    root.mkdir()
    pairs.write(root / "pairs.parquet")
    vision, language = sample_activations(pairs)
    vision[1][:, 4] = language[3][:, [0, 9]] = 2.5
    write_store(root / "eye", vision, pairs.item_ids, "vision", dtype="int8")
    write_store(root / "words", language, pairs.caption_ids, "language", dtype="int8")
    settings = {"model__init": ("cca",), "baselines": ("cca", "ridge"), "data__constant": "keep_mean"}
    results = jam_jax.train(nested(small_config(root, train__epochs=1, **settings)), str(tmp_path / "run"))
    assert all(np.isfinite(value) for _, value in numbers(results["test"]))
    assert results["baselines"]["cca"]["text_to_image"]["r@1"] > 3 * results["chance"]["text_to_image"]["r@1"]
    jam = jam_jax.JAM.load(tmp_path / "run")
    back = jam.reconstruct_texts(jam.encode_texts(language[3], unit=False))
    assert (back[:, [0, 9]] == 2.5).all()


def test_importing_the_package_loads_nothing_heavy():
    code = "import jam_jax, sys; print([m for m in ('torch', 'flax', 'orbax', 'jax') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def start(root, workdir):
    settings = flags(small_config(root, train__epochs=24, model__init=("cca", "random"), model__hidden=(32,)))
    command = [sys.executable, "-m", "jam_jax.main", "--config=configs/spread.py", f"--workdir={workdir}", *settings]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_checkpoint(process, workdir):
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        if [step for step in (workdir / "checkpoints").glob("*") if step.name.isdigit()]:
            return
        time.sleep(0.01)
    raise AssertionError(f"no checkpoint appeared: {process.communicate()[1]}")


def params(workdir):
    import jax

    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(jam_jax.JAM.load(workdir).params)]


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """The workdir of a run that nothing interrupted."""
    workdir = tmp_path_factory.mktemp("runs") / "whole"
    process = start(data[0], workdir)
    assert process.communicate(timeout=300) and process.returncode == 0
    return workdir


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_ends_bit_equal(data, whole, tmp_path, how):
    workdir = tmp_path / "stopped"
    stopped = start(data[0], workdir)
    wait_for_checkpoint(stopped, workdir)
    stopped.send_signal(how)
    stopped.communicate(timeout=300)
    assert stopped.returncode == (-how if how == signal.SIGKILL else 75)
    assert not (workdir / "results.json").exists()
    resumed = start(data[0], workdir)
    assert resumed.communicate(timeout=300) and resumed.returncode == 0
    assert params(workdir) == params(whole)
    results = [json.loads((run / "results.json").read_text()) for run in (whole, workdir)]
    assert results[0]["test"] == results[1]["test"]
