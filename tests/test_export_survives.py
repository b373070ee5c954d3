"""An export that is killed, or runs out of disk, keeps what it finished and goes on from there."""

import os
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from jam_jax.activations import Pairs, Store  # noqa: E402
from tests.backbones.conftest import WORDS, save_language_model  # noqa: E402
from tests.test_export import digests  # noqa: E402

ITEMS = 60
EXPORT = """
import sys
from jam_jax.config import load_file
from jam_jax.export import export
config = load_file("configs/export/emoji.py", "mpnet")
config.backbone.update({"weights": sys.argv[1], "runtime": "flax"})
config.data.folder = sys.argv[2]
config.update({"rows_per_shard": 8, "batch": 4, "dtype": "float32"})
print("ready", flush=True)
export(config, sys.argv[3])
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("export")
    save_language_model(root / "model", "bert")
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, rng.integers(1, 12))) + f" {i}" for i in range(ITEMS)]
    names = [f"item{i}" for i in range(ITEMS)]
    Pairs(
        names, names, ["thing"] * ITEMS, ["train"] * ITEMS, np.ones(ITEMS, bool),
        texts, ["name"] * ITEMS, np.arange(ITEMS), [[]] * ITEMS, [[]] * ITEMS,
    ).write(root / "pairs.parquet")  # fmt: skip
    return root


def start(folder, out, **settings):
    command = [sys.executable, "-c", EXPORT, str(folder / "model"), str(folder), str(out)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **pipes, **settings)


@pytest.mark.slow
def test_killed_again_and_again_it_ends_with_the_same_bytes(folder, tmp_path):
    _, said = start(folder, tmp_path / "whole").communicate()
    assert (tmp_path / "whole" / "manifest.json").exists(), said
    out, kills = tmp_path / "cut", 0
    while not (out / "manifest.json").exists():
        process = start(folder, out)
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        there = len(list(out.rglob("*.safetensors")))
        # Killed as soon as a few more files are there: amid a shard, between its layers, or amid a write.
        while process.poll() is None and len(list(out.rglob("*.safetensors"))) < there + 5 + kills % 3:
            pass
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.communicate()
        assert kills < 40
    assert kills >= 3
    for left in out.rglob(".*.part"):  # a write that was cut
        left.unlink()
    assert digests(out) == digests(tmp_path / "whole")


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_what_is_written_stays_valid(folder, tmp_path):
    out = tmp_path / "out"
    process = start(folder, out)
    assert process.stdout.readline() == "ready\n"
    process.communicate()
    expected = digests(out)
    for file in sorted(out.rglob("*.safetensors"))[10:]:
        file.unlink()
    (out / "manifest.json").rename(tmp_path / "manifest.json")
    kept = digests(out)

    def small_disk():
        resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))  # of a file, which fails as a full disk does

    process = start(folder, out, preexec_fn=small_disk)
    _, said = process.communicate()
    assert process.returncode != 0
    assert "JamError" in said and "cannot be written" in said and "choose a writable folder with room" in said
    assert {name: digest for name, digest in digests(out).items() if name in kept} == kept
    _, said = start(folder, out).communicate()
    assert digests(out) == expected, said
    Store.open(out).verify()
    assert os.listdir(out)
