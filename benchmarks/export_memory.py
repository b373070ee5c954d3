"""Does the memory of an export grow with the data set? A tenth and a half of a folder's captions against all of them.

    python -m benchmarks.export_memory --data data/large --weights data/weights/minilm --json benchmarks/results/export_memory.json

Each export is the command itself in a process of its own; what is compared is the most memory that it ever held.
"""  # noqa: E501

import argparse
import dataclasses
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
from typing import Any

import numpy as np

from benchmarks.sides import ROOT, processor
from jam_jax.activations import Pairs

PARTS = {"tenth": 10, "half": 2, "all": 1}


def cut(pairs: Pairs, items: int) -> Pairs:
    """The first items with their own captions, without hard negatives."""
    kept = np.flatnonzero((pairs.caption_items >= 0) & (pairs.caption_items < items))
    per_item = {"item_ids", "concepts", "categories", "splits", "gallery", "sources"}
    fields: dict[str, Any] = {name: getattr(pairs, name)[:items] for name in per_item}
    return dataclasses.replace(
        pairs, **fields,
        caption_texts=[pairs.caption_texts[m] for m in kept], caption_kinds=[pairs.caption_kinds[m] for m in kept],
        caption_items=pairs.caption_items[kept], negative_rows=[[] for _ in kept], negative_kinds=[[] for _ in kept],
    )  # fmt: skip


def peak_megabytes(folder: pathlib.Path, weights: pathlib.Path, python: str) -> tuple[int, float]:
    """Rows and peak memory of one export of the captions in a folder."""
    process = subprocess.Popen(
        [python, "-m", "jam_jax.export", "--config=configs/export/large.py:minilm", f"--workdir={folder / 'out'}",
         f"--config.backbone.weights={weights}", f"--config.data.folder={folder}"],
        cwd=ROOT, env=os.environ | {"JAX_PLATFORMS": "cpu"},
    )  # fmt: skip
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the export ended with status {status}")
    return json.loads((folder / "out" / "manifest.json").read_text())["rows"], usage.ru_maxrss / 1024


def main() -> None:
    """Measures, prints and writes JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, required=True, help="a folder with pairs.parquet")
    parser.add_argument("--weights", type=pathlib.Path, required=True)
    parser.add_argument("--python", default=sys.executable, help="interpreter of the exports; give one without torch")
    parser.add_argument("--json", type=pathlib.Path, required=True)
    asked = parser.parse_args()
    pairs = Pairs.open(asked.data / "pairs.parquet")
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, part in PARTS.items():
            folder = pathlib.Path(scratch) / name
            folder.mkdir()
            cut(pairs, pairs.items // part).write(folder / "pairs.parquet")
            found[name] = peak_megabytes(folder, asked.weights.resolve(), asked.python)
            print(f"{name}: {found[name][0]} rows, {found[name][1]:.0f} MB")
    rows, memory = found.pop("all")
    compared = [
        {"case": f"peak memory at {rows} rows (ours) and {fewer} (peer)", "unit": "MB", "ours": memory, "peer": less,
         "ratio": less / memory}
        for fewer, less in found.values()
    ]  # fmt: skip
    environment = {"python": platform.python_version(), "machine": f"{platform.machine()}, {processor()}"}
    asked.json.write_text(
        json.dumps({"name": "export_memory", "environment": environment, "rows": compared}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
