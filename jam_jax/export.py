"""Backbone x pictures or captions -> activation store.

python -m jam_jax.export --config=configs/export/emoji.py:mpnet
"""

import contextlib
import importlib.metadata
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath
from tqdm import tqdm

from jam_jax import backbones
from jam_jax.activations.pairs import Pairs
from jam_jax.activations.pipeline import ahead
from jam_jax.activations.shards import DTYPES
from jam_jax.activations.store import Manifest, Store, StoreWriter
from jam_jax.backbones.pooling import POOLINGS
from jam_jax.config import INTERRUPTED, Field, run, validate
from jam_jax.datasets.rows import source_rows
from jam_jax.datasets.usable import ON_BAD
from jam_jax.errors import JamError

SCHEMA = {
    "backbone.name": Field(str),
    "backbone.weights": Field(str),
    "backbone.revision": Field(str),
    "backbone.runtime": Field(str, choices=backbones.RUNTIMES),
    "data.name": Field(str),
    "data.folder": Field(str),
    "data.view": Field(str),
    "on_bad": Field(str, choices=ON_BAD),
    "pooling": Field(str, choices=POOLINGS),
    "layers": Field(int, low=0, many=True),
    "dtype": Field(str, choices=tuple(DTYPES)),
    "batch": Field(int, low=1),
    "rows_per_shard": Field(int, low=1),
    "process": Field(int, low=0),
    "processes": Field(int, low=1),
}
_LIBRARIES = (
    "jax",
    "torch",
    "torchax",
    "transformers",
    "tokenizers",
    "efficientnet-lite-pytorch",
    "gguf",
    "numpy",
    "pillow",
)
_THREADS, _DEPTH = 2, 4  # batches that are prepared at a time, and ahead of the device


def export(config: Mapping[str, Any], out: str | os.PathLike[str]) -> Store | None:
    """Writes the pooled hidden states of one backbone for all items or captions of a data set.

    ``config.data.folder`` holds pairs.parquet and pictures/<view>/<item id>.webp (or .png, .jpg). A vision backbone
    reads the pictures, a language backbone the captions; rows follow the pairs. All of them are looked at before the
    first goes through the model: missing and unreadable ones end the export (``on_bad='stop'``) or are left out and
    listed in the manifest with their reasons ('skip'). Shards already written are kept, so an interrupted export goes
    on and ends with the same bytes. With several processes, each given its ``process`` number, process p writes the
    shards s with s % processes == p, and the last one to end writes the manifest.

    Returns the store, or None while shards of other processes are still missing. Raises JamError, one line, for bad
    settings, missing or broken pictures, empty captions and values that are not finite.
    """
    settings = validate(config, SCHEMA, where="export config")
    if settings["process"] >= settings["processes"]:
        raise JamError(f"process is {settings['process']} of {settings['processes']} processes; count from 0")
    data, wanted = settings["data"], settings["backbone"]
    pairs = Pairs.open(epath.Path(data["folder"]) / "pairs.parquet")
    backbone = backbones.load(wanted["weights"], wanted["runtime"], name=wanted["name"], revision=wanted["revision"])
    layers = settings["layers"] or tuple(range(len(backbone.widths)))
    unknown = [layer for layer in layers if layer >= len(backbone.widths)]
    if unknown:
        raise JamError(f"layers: {unknown[0]} is unknown; {backbone.name} has layers 0 to {len(backbone.widths) - 1}")
    rows = source_rows(backbone.modality, pairs, data, on_bad=settings["on_bad"], known=known_skips(out))
    if rows.skipped:
        first = rows.skipped[0]
        print(f"{len(rows.skipped)} rows are skipped, the first is {first['id']}: {first['reason']}", file=sys.stderr)
    writer = StoreWriter(
        out,
        modality=backbone.modality, backbone=backbone.name, revision=backbone.revision,
        weight_hash=backbone.weight_hash, layers={layer: backbone.widths[layer] for layer in layers},
        pooling=settings["pooling"], dtype=settings["dtype"], row_ids=rows.ids,
        rows_per_shard=settings["rows_per_shard"],
        dataset="/".join(filter(None, [data["name"], data["view"] if backbone.modality == "vision" else ""])),
        dataset_revision=rows.fingerprint, padding_side=backbone.padding_side, text_template=backbone.text_template,
        libraries=_versions(), skipped=rows.skipped,
    )  # fmt: skip
    mine = [s for s in writer.missing() if s % settings["processes"] == settings["process"]]
    total = sum(len(writer.rows_of(shard)) for shard in mine)
    with tqdm(total=total, desc=backbone.name, unit="row", disable=None, dynamic_ncols=True) as progress:
        for shard in mine:
            pooled = activations(
                backbone,
                rows.take(writer.rows_of(shard)),
                layers=layers,
                pooling=settings["pooling"],
                batch=settings["batch"],
                done=progress.update,
            )
            writer.write_shard(shard, pooled)
    return None if writer.missing() else writer.finish()


def activations(
    backbone: backbones.Backbone,
    inputs: Sequence[Any],
    *,
    layers: Sequence[int],
    pooling: str,
    batch: int,
    done: Callable[[int], Any] = lambda rows: None,
) -> dict[int, np.ndarray]:
    """Pooled hidden states {layer: float32 [len(inputs), D]} of pictures or strings, in the order given.

    Rows of like length go through the model together, equal captions once; which rows share a batch depends on the
    inputs only. Threads open pictures and count tokens ahead of the device, and a batch is fetched from the device when
    the next one is under way there.
    """
    if backbone.modality == "language" and len(unique := list(dict.fromkeys(inputs))) < len(inputs):
        once = activations(backbone, unique, layers=layers, pooling=pooling, batch=batch)
        done(len(inputs))
        place = {text: row for row, text in enumerate(unique)}
        return {layer: values[[place[text] for text in inputs]] for layer, values in once.items()}
    pooled = {layer: np.empty((len(inputs), backbone.widths[layer]), np.float32) for layer in layers}
    under_way: deque[tuple[np.ndarray, Mapping[int, Any]]] = deque()

    def prepare(rows: np.ndarray) -> tuple[np.ndarray, Any]:
        return rows, backbone.preprocess([inputs[row] for row in rows])

    def fetch() -> None:
        rows, found = under_way.popleft()
        for layer in layers:
            pooled[layer][rows] = np.asarray(found[layer])
        done(len(rows))

    for rows, prepared in ahead(prepare, _batches(backbone.lengths(inputs), batch), threads=_THREADS, depth=_DEPTH):
        under_way.append((rows, backbone.pooled(prepared, layers, pooling)))
        if len(under_way) > 1:
            fetch()
    while under_way:
        fetch()
    return pooled


def _batches(lengths: Sequence[int], batch: int) -> Iterator[np.ndarray]:
    order = np.argsort(np.asarray(lengths), kind="stable")
    for start in range(0, len(order), batch):
        yield order[start : start + batch]


def known_skips(out: str | os.PathLike[str]) -> list[dict[str, str]] | None:
    """What an earlier start of the same export skipped, None when it is the first: saves looking at all rows again."""
    for name in ("manifest.json", "plan.json"):
        file = epath.Path(out) / name
        if file.exists():
            return Manifest.from_json(file.read_text(), str(file)).skipped
    return None


def _versions() -> dict[str, str]:
    versions = {}
    for distribution in _LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[distribution] = importlib.metadata.version(distribution)
    return versions


def _command(config: dict[str, Any], workdir: str) -> int:
    out = workdir or os.path.join(config["data"]["folder"], "full", config["backbone"]["name"])
    try:
        store = export(config, out)
    except KeyboardInterrupt:
        print(f"interrupted; the finished shards in {out} are kept, the same command goes on", file=sys.stderr)
        return INTERRUPTED
    if store is None:
        print(f"{out}: shards of this process are written, those of other processes are still missing")
    else:
        print(f"{out}: {store.manifest.rows} rows, layers {', '.join(map(str, store.layers))}, {store.manifest.dtype}")
    return 0


if __name__ == "__main__":
    run(SCHEMA, _command, workdir="")
