"""Backbone x pictures or captions -> activation store.

python -m jam_jax.export --config=configs/export/emoji.py:mpnet
"""

import contextlib
import hashlib
import importlib.metadata
import io
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from etils import epath
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from jam_jax import backbones
from jam_jax.activations.pairs import Pairs
from jam_jax.activations.pipeline import ahead
from jam_jax.activations.shards import DTYPES
from jam_jax.activations.store import Store, StoreWriter
from jam_jax.backbones.pooling import POOLINGS, pool
from jam_jax.config import INTERRUPTED, Field, run, validate
from jam_jax.errors import JamError

SCHEMA = {
    "backbone.name": Field(str),
    "backbone.weights": Field(str),
    "backbone.revision": Field(str),
    "backbone.runtime": Field(str, choices=backbones.RUNTIMES),
    "data.name": Field(str),
    "data.folder": Field(str),
    "data.view": Field(str),
    "data.missing": Field(str, choices=("stop", "leave_out")),
    "pooling": Field(str, choices=POOLINGS),
    "layers": Field(int, low=0, many=True),
    "dtype": Field(str, choices=tuple(DTYPES)),
    "batch": Field(int, low=1),
    "rows_per_shard": Field(int, low=1),
    "process": Field(int, low=0),
    "processes": Field(int, low=1),
}
_LIBRARIES = ("torch", "transformers", "tokenizers", "efficientnet-lite-pytorch", "gguf", "numpy", "pillow")
_THREADS, _DEPTH = 2, 4  # batches that are prepared at a time, and ahead of the device
_PICTURES = (".webp", ".png", ".jpg", ".jpeg")


def export(config: Mapping[str, Any], out: str | os.PathLike[str]) -> Store | None:
    """Writes the pooled hidden states of one backbone for all items or captions of a data set.

    ``config.data.folder`` holds pairs.parquet and pictures/<view>/<item id>.webp (or .png, .jpg). A vision backbone
    reads the pictures, a language backbone the captions; rows follow the pairs. Shards already written are kept, so an
    interrupted export goes on and ends with the same bytes. With several processes, each given its ``process`` number,
    process p writes the shards s with s % processes == p, and the last one to end writes the manifest.

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
    rows = source_rows(backbone.modality, pairs, data)
    writer = StoreWriter(
        out,
        modality=backbone.modality, backbone=backbone.name, revision=backbone.revision,
        weight_hash=backbone.weight_hash, layers={layer: backbone.widths[layer] for layer in layers},
        pooling=settings["pooling"], dtype=settings["dtype"], row_ids=rows.ids,
        rows_per_shard=settings["rows_per_shard"],
        dataset="/".join(filter(None, [data["name"], data["view"] if backbone.modality == "vision" else ""])),
        dataset_revision=rows.fingerprint, padding_side=backbone.padding_side, text_template=backbone.text_template,
        libraries=_versions(),
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

    Rows of like length go through the model together; which rows share a batch depends on the inputs only. Threads
    open pictures and count tokens ahead of the device, and a batch is fetched from the device when the next one is
    under way there.
    """
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


class Rows(NamedTuple):
    """What makes the rows of a store: their ids, a function from row numbers to inputs, a fingerprint of all inputs."""

    ids: list[str]
    take: Callable[[Iterable[int]], Sequence[Any]]
    fingerprint: str


class Pictures(Sequence[Image.Image]):
    """Picture files as PIL pictures, each opened when it is asked for: a shard of decoded pictures is too much."""

    def __init__(self, files: Sequence[epath.Path]):
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, place: Any) -> Any:
        file = self.files[place]
        try:
            picture = Image.open(io.BytesIO(file.read_bytes()))
            picture.load()
        except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
            raise JamError(
                f"{file}: is no readable picture ({type(error).__name__}); replace it or leave it out"
            ) from error
        return picture


def source_rows(modality: str, pairs: Pairs, data: Mapping[str, Any]) -> Rows:
    """The pictures of one view, or the captions; ``data`` is ``config.data`` of an export.

    Raises JamError for an empty caption, an unknown view and, unless ``data.missing`` allows it, a missing picture.
    """
    folder = epath.Path(data["folder"])
    digest = hashlib.sha256()
    if modality == "language":
        for row, text in enumerate(pairs.caption_texts):
            if not text.strip():
                raise JamError(f"{folder}: caption {pairs.caption_ids[row]} is empty; leave it out of the pairs")
            digest.update(text.encode() + b"\0")
        fingerprint = f"captions-sha256:{digest.hexdigest()[:16]}"
        texts = pairs.caption_texts
        return Rows(pairs.caption_ids, lambda rows: [texts[row] for row in rows], fingerprint)
    pictures = folder / "pictures" / data["view"]
    if not pictures.exists():
        raise JamError(f"data.view: no folder {pictures}; fetch the pictures first, see docs/data.md")
    names = {file.stem: file for file in sorted(pictures.iterdir()) if file.suffix.lower() in _PICTURES}
    missing = [item for item in pairs.item_ids if item not in names]
    if missing and data["missing"] == "stop":
        raise JamError(
            f"{pictures}: {len(missing)} of {pairs.items} items have no picture, the first is {missing[0]}; add them, "
            "or set data.missing='leave_out' for a store without these rows"
        )
    if missing:
        print(f"{pictures}: {len(missing)} of {pairs.items} items have no picture and are left out", file=sys.stderr)
    ids = [item for item in pairs.item_ids if item in names]
    for item in ids:
        digest.update(hashlib.sha256(names[item].read_bytes()).digest())
    fingerprint = f"pictures-sha256:{digest.hexdigest()[:16]}"
    return Rows(ids, lambda rows: Pictures([names[ids[row]] for row in rows]), fingerprint)


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
