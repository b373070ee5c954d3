"""Exporting activations against transformers in eager PyTorch: same pictures and captions, all layers, same pooling.

    python -m benchmarks.export --data data --json benchmarks/results/export.json

Needs a folder that jam_jax.datasets.fetch and jam_jax.datasets.emoji have filled, and requirements-test.txt. Each side
is a process of its own, they take turns, the least disturbed round counts. Ours is the shipped path
(`jam_jax.export.activations`, runtime flax): opening pictures and counting tokens, sorting by length, the model,
pooling, bringing the rows to the host. The peer takes batches in the order of the data, pads to the longest of each and
pools with torch; `peer sorted` is the same with its rows sorted by length, as a careful user would write it. Compiling
is timed apart. ``--python`` names an environment of requirements.txt and requirements-export.txt alone, as machines
that export have it: where torch is installed, transformers imports it, which is 190 MB that ours does not need.
"""

import argparse
import json
import os
import pathlib
import platform
import sys
import time
from typing import Any

import numpy as np

from benchmarks.sides import Side, processor
from benchmarks.worker import serve
from jam_jax.allocator import keep_freed_memory

CASES = {"vit_s14": 48, "mpnet": 512, "minilm": 1024, "smollm2": 512}  # rows of one repetition
BATCH = 32


def inputs(data: pathlib.Path, name: str) -> list[Any]:
    """The first rows of a case: picture files, or captions of mixed length (names, and names with tags)."""
    from jam_jax.activations import Pairs

    pairs = Pairs.open(data / "pairs.parquet")
    if name == "vit_s14":
        return [data / "pictures" / "fluent" / f"{item}.webp" for item in pairs.item_ids[: CASES[name]]]
    order = np.random.default_rng(0).permutation(pairs.captions)
    return [pairs.caption_texts[row] for row in order[: CASES[name]]]


def serve_ours(data: pathlib.Path, name: str) -> None:
    """Serves timings of the shipped exporter, and its pooled rows of the last layer for comparison."""
    from etils import epath

    from jam_jax import backbones, export
    from jam_jax.config import load_file
    from jam_jax.datasets.rows import Pictures

    pooling = load_file("configs/export/emoji.py", name).pooling
    began = time.perf_counter()
    backbone = backbones.load(str(data / "weights" / name), "flax", name=name)
    loaded = time.perf_counter()
    rows = inputs(data, name)
    given: Any = Pictures([epath.Path(file) for file in rows]) if backbone.modality == "vision" else rows
    layers = range(len(backbone.widths))

    def run(count: int) -> dict[int, np.ndarray]:
        for _ in range(count):
            found = export.activations(backbone, given, layers=layers, pooling=pooling, batch=BATCH)
        return found

    started = time.perf_counter()
    found = run(1)
    first = time.perf_counter()
    run(1)
    compiling = first - started - (time.perf_counter() - first)
    check = {str(layer): found[layer][:8].tolist() for layer in (0, layers[-1] // 2, layers[-1])}
    serve({"rows": run}, check=check, load_s=loaded - began, compile_s=compiling)


def measure(
    data: pathlib.Path, name: str, threads: int, rounds: int, python: str
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows for one backbone, and facts for the environment."""
    common = ("--data", str(data.resolve()), "--name", name)
    peer = ("benchmarks.torch_export", *common, "--threads", str(threads))
    ours = Side(threads, "benchmarks.export", "--worker", *common, python=python)
    sides = {"ours": ours, "peer": Side(threads, *peer)}
    if name != "vit_s14":
        sides["peer sorted"] = Side(threads, *peer, "--sorted")
    for layer, rows in ours.facts["check"].items():
        theirs = np.asarray(sides["peer"].facts["check"][layer])
        np.testing.assert_allclose(rows, theirs, atol=1e-4 * max(1.0, np.abs(theirs).max()))
    times: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, process in sides.items():
            times[side].append(process.time("rows", 1)["wall"])
    memory = {side: process.peak_megabytes() for side, process in sides.items()}
    for process in sides.values():
        process.close()
    rates = {side: CASES[name] / min(taken) for side, taken in times.items()}
    found = [
        {"case": f"{name}, {side}", "ours": rates["ours"], "peer": rates[side], "unit": "rows/s",
         "ratio": rates["ours"] / rates[side]}
        for side in sides if side != "ours"
    ]  # fmt: skip
    found.append({
        "case": f"{name}, peak memory", "ours": memory["ours"], "peer": memory["peer"], "unit": "MB",
        "ratio": memory["peer"] / memory["ours"],
    })  # fmt: skip
    facts = ours.facts
    return found, {name: {"compile_s": facts["compile_s"], "load_s": facts["load_s"], "rows": CASES[name]}}


def main() -> None:
    """Measures, prints a table and writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path("data"))
    parser.add_argument("--json", help="write {name, environment, rows} here")
    parser.add_argument("--names", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--python", default=sys.executable, help="interpreter of ours; give one without torch")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--name", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        keep_freed_memory()
        serve_ours(arguments.data, arguments.name)
        return
    environment: dict[str, Any] = {
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {processor()}",
        "threads": arguments.threads,
        "load_before": os.getloadavg()[0],
    }
    rows: list[dict[str, Any]] = []
    for name in arguments.names:
        found, facts = measure(arguments.data, name, arguments.threads, arguments.rounds, arguments.python)
        rows += found
        environment |= facts
        for row in found:
            print(f"{row['case']:24} {row['ours']:9.1f} {row['peer']:9.1f} {row['unit']:7} {row['ratio']:5.2f} x")
        print(
            f"{name}: compiling took {facts[name]['compile_s']:.1f} s, loading {facts[name]['load_s']:.1f} s",
            flush=True,
        )
    if arguments.json:
        target = pathlib.Path(arguments.json)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps({"name": "export", "environment": environment, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
