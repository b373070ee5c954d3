"""The measure command: a shrunk shipped config end to end, and bad input in one line."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest

from jam_jax import metrics
from jam_jax.activations import Store
from tests.samples import flags, write_data

SMALL = {
    "data.vision": ("eye",), "data.language": ("words",), "data.captions": ("name",), "permutations": 30, "samples": 5,
    "predictivity_permutations": 3,
    "metrics": ("linear_predictivity", "cka", "mutual_knn", "cycle_knn"),
}  # fmt: skip


def run(*arguments):
    command = [sys.executable, "-m", "jam_jax.measure", "--config=configs/measure/layers.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "sample"
    write_data(root)
    return root


@pytest.fixture(scope="module")
def measured(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("measured") / "run"
    studies = ("layers", "kinds", "preference", "ranking", "aggregation")
    rankers = {"ranking.vision": "eye", "ranking.vision_layer": 1, "ranking.language": "words"}
    settings = SMALL | rankers | {"data.root": root, "studies": studies, "data.captions_per_item": 2}
    settings["ranking.language_layer"] = 0
    done = run(f"--workdir={folder}", *flags(settings))
    assert done.returncode == 0, done.stderr
    return folder, json.loads((folder / "results.json").read_text()), done.stdout


def test_every_pair_of_layers_is_there_with_its_null_and_interval(root, measured):
    _, results, _ = measured
    pairs = results["pairs"]
    ways = [("cka", "symmetric"), ("mutual_knn", "symmetric")]
    ways += [(m, d) for m in ("linear_predictivity", "cycle_knn") for d in ("vision_to_language", "language_to_vision")]
    expected = {(m, d, v, w) for m, d in ways for v in (1, 2) for w in (0, 3)}
    assert {(r["metric"], r["direction"], r["vision_layer"], r["language_layer"]) for r in pairs} == expected
    assert len(pairs) == len(expected)
    assert all(0 < r["p"] <= 1 and r["low"] <= r["score"] <= r["high"] for r in pairs)
    eye, words = Store.open(root / "eye"), Store.open(root / "words")
    x, y = eye.layer(2)[:][::2], words.layer(3)[:][::4]  # plain things, their names
    scores = {r["direction"]: r["score"] for r in pairs
              if (r["metric"], r["vision_layer"], r["language_layer"]) == ("linear_predictivity", 2, 3)}  # fmt: skip
    assert scores["vision_to_language"] == pytest.approx(metrics.linear_predictivity(x, y), abs=1e-6)
    assert scores["language_to_vision"] == pytest.approx(metrics.linear_predictivity(y, x), abs=1e-6)
    cka = next(r for r in pairs if (r["metric"], r["vision_layer"], r["language_layer"]) == ("cka", 2, 3))
    assert cka["score"] == pytest.approx(float(metrics.cka(x, y)), abs=1e-5)
    assert cka["p"] <= 1 / 31 and abs(cka["null_mean"]) < 0.1  # aligned by construction


def test_other_studies_take_the_peaks(measured):
    _, results, _ = measured
    best = max((r for r in results["pairs"] if r["metric"] == "cka"), key=lambda r: r["score"])
    peak = next(r for r in results["peaks"] if r["metric"] == "cka")
    assert (peak["vision_layer"], peak["language_layer"]) == (best["vision_layer"], best["language_layer"])
    kinds = next(r for r in results["kinds"] if r["metric"] == "cka")
    assert kinds["scores"]["matching"] > kinds["scores"]["easy"]
    assert kinds["drops"]["easy"]["drop"] == pytest.approx(kinds["scores"]["matching"] - kinds["scores"]["easy"])
    assert all(r["item_level"]["accuracy"] > 0.8 for r in results["preference"])
    assert {r["ranking"] for r in results["ranking"]} == {"given", "random"}
    assert all(r["low"] <= r["best"] - r["worst"] <= r["high"] for r in results["ranking"])
    assert {(r["control"], r["k"]) for r in results["aggregation"]} == {
        (control, k) for control in ("own", "different_items", "shuffled") for k in (1, 2)
    }


def test_page_figures_and_table_say_the_same(measured):
    folder, results, told = measured
    page = (folder / "report.html").read_text()
    peak = next(r for r in results["peaks"] if r["metric"] == "cka")
    assert f"{peak['score']:.3f}" in page and f"{peak['score']:.3f}" in told
    assert "<script" not in page and "http" not in page.replace("http://www.w3.org", "")
    for name in ("layers-cka", "depth-cka", "kinds", "ranking-given", "aggregation-captions-language_to_vision"):
        assert (folder / "figures" / f"{name}.png").stat().st_size > 1000
        assert (folder / "figures" / f"{name}.svg").read_text().startswith("<?xml")
    rows = list(csv.DictReader((folder / "figures" / "layers-cka.csv").open()))
    told = [r["score"] for r in results["pairs"] if r["metric"] == "cka"]
    np.testing.assert_allclose([float(row["score"]) for row in rows], told)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"metrics": ("ckaa",)}, "metrics 'ckaa' is unknown; did you mean 'cka'?"),
        ({"studies": ("layer",)}, "did you mean 'layers'?"),
        ({"data.vision": ("ey",)}, "did you mean 'eye'?"),
        ({"data.vision_layer": (7,)}, "'eye' has none of (7,); it stores 1, 2"),
        ({"data.captions": ("nme",)}, "0 items have a caption of ('nme',)"),
        ({"studies": ("layers", "aggregation")}, "nothing to average"),
    ],
)
def test_bad_input_is_one_line(root, tmp_path, changes, said):
    done = run(f"--workdir={tmp_path / 'run'}", *flags(SMALL | {"data.root": root, "metrics": ("cka",)} | changes))
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 2 and len(lines) == 1 and said in lines[0], done.stderr


def test_results_of_another_config_are_kept(root, measured, tmp_path):
    folder, results, _ = measured
    done = run(f"--workdir={folder}", *flags(SMALL | {"data.root": root}))
    assert done.returncode == 2 and "holds results of another config" in done.stderr
    assert json.loads((folder / "results.json").read_text()) == results
    (tmp_path / "note.txt").write_text("mine")
    done = run(f"--workdir={tmp_path}", *flags(SMALL | {"data.root": root}))
    assert done.returncode == 2 and "is not empty" in done.stderr
