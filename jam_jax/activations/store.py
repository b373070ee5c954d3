"""The activation store: one folder per backbone, one memory-mapped safetensors file per layer and shard.

    manifest.json                          written last and atomically: a folder without it is not a store
    layer_09/shard-00000-of-00003.safetensors

The files are read through numpy.memmap on a local disk and as whole bytes from any other place etils.epath opens.
"""

import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from jam_jax.activations import shards
from jam_jax.errors import JamError

FORMAT = 1
MODALITIES = ("vision", "language")


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a store says of itself; every field is written to manifest.json."""

    modality: str
    backbone: str
    revision: str
    weight_hash: str
    layers: dict[int, int]  # layer -> width
    pooling: str
    dtype: str
    row_ids: list[str]
    rows_per_shard: int
    dataset: str
    dataset_revision: str
    padding_side: str = ""
    text_template: str = ""
    libraries: dict[str, str] = dataclasses.field(default_factory=dict)
    skipped: list[dict[str, str]] = dataclasses.field(default_factory=list)  # {id, reason} of rows left out
    shards: list[dict[str, Any]] = dataclasses.field(default_factory=list)  # {layer, shard, file, bytes, sha256}
    format: int = FORMAT

    @property
    def rows(self) -> int:
        """Number of rows of every layer."""
        return len(self.row_ids)

    @property
    def shard_count(self) -> int:
        """Number of shards of every layer."""
        return -(-self.rows // self.rows_per_shard)

    def rows_of(self, shard: int) -> range:
        """Row numbers that live in one shard."""
        return range(shard * self.rows_per_shard, min((shard + 1) * self.rows_per_shard, self.rows))

    def file_of(self, layer: int, shard: int) -> str:
        """Path of one shard inside the store."""
        return f"layer_{layer:02d}/shard-{shard:05d}-of-{self.shard_count:05d}.safetensors"

    def to_json(self) -> str:
        """The text of manifest.json, the same for the same content."""
        fields = dataclasses.asdict(self)
        fields["rows"] = self.rows
        fields["layers"] = {str(layer): width for layer, width in sorted(self.layers.items())}
        return json.dumps(fields, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str) -> "Manifest":
        """Reads manifest.json; raises JamError when it is damaged or of an unknown format."""
        try:
            fields = json.loads(text)
            rows = fields.pop("rows")
            fields["layers"] = {int(layer): int(width) for layer, width in fields["layers"].items()}
            manifest = cls(**fields)
            if rows != manifest.rows:
                raise ValueError(f"{rows} rows but {manifest.rows} row ids")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise JamError(f"{where}: the manifest is damaged ({error}); export the store again") from error
        if manifest.format != FORMAT:
            raise JamError(f"{where}: store format {manifest.format} is unknown; this jam_jax reads format {FORMAT}")
        return manifest


class Layer:
    """Rows of one layer: ``layer[rows]`` gives float32 [n, D] for an index array, a slice or one row number."""

    def __init__(self, store: "Store", layer: int):
        self._store = store
        self._layer = layer
        self.shape = (store.manifest.rows, store.manifest.layers[layer])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        manifest = self._store.manifest
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        rows = np.asarray(rows)
        if rows.dtype == bool:
            if rows.shape != (len(self),):
                raise IndexError(f"boolean rows of shape {rows.shape}: the store has {len(self)} rows")
            rows = np.flatnonzero(rows)
        outside = rows[(rows < -len(self)) | (rows >= len(self))]
        if outside.size:
            raise IndexError(f"row {outside.flat[0]} of layer {self._layer}: the store has {len(self)} rows")
        flat_rows = np.where(rows < 0, rows + len(self), rows).reshape(-1).astype(np.int64)
        out = np.empty((flat_rows.size, self.shape[1]), np.float32)
        shard_of_row = flat_rows // manifest.rows_per_shard
        for shard in np.unique(shard_of_row):
            here = shard_of_row == shard
            values = self._store.shard(self._layer, int(shard))
            block = values.read(flat_rows[here] - shard * manifest.rows_per_shard)
            if here.all():
                out = block
            else:
                out[here] = block
        return out.reshape(*rows.shape, self.shape[1])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or np.float32, copy=False)


class Store:
    """An opened activation store; see the module docstring for the format."""

    def __init__(self, path: epath.Path, manifest: Manifest):
        self.path = path
        self.manifest = manifest
        self.shard = functools.lru_cache(maxsize=None)(self._open_shard)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "Store":
        """Opens a store and checks the size of every shard.

        Raises JamError when the folder is missing or unfinished, a shard is missing or has another size.
        """
        root = epath.Path(path)
        if not root.exists():
            raise JamError(f"{root}: no such activation store; export it, or name one that exists")
        manifest_path = root / "manifest.json"
        if not manifest_path.exists():
            raise JamError(f"{root}: has no manifest.json, so its export is unfinished; run the same export again")
        manifest = Manifest.from_json(manifest_path.read_text(), str(manifest_path))
        for entry in manifest.shards:
            file = root / entry["file"]
            if not file.exists():
                raise JamError(f"{file}: shard is missing; run the export again or copy the store again")
            size = file.stat().length
            if size != entry["bytes"]:
                raise JamError(f"{file}: has {size} bytes where the manifest says {entry['bytes']}; copy it again")
        return cls(root, manifest)

    @property
    def layers(self) -> tuple[int, ...]:
        """Layers that are stored, in order."""
        return tuple(sorted(self.manifest.layers))

    def layer(self, layer: int) -> Layer:
        """One layer; raises JamError when the store does not hold it."""
        if layer not in self.manifest.layers:
            raise JamError(f"{self.path}: layer {layer} is not stored; choose from {', '.join(map(str, self.layers))}")
        return Layer(self, layer)

    def verify(self, layers: Sequence[int] | None = None) -> None:
        """Reads every byte, of all layers or these; raises JamError naming the first shard with another SHA-256."""
        for entry in self.manifest.shards:
            file = self.path / entry["file"]
            wanted = layers is None or entry["layer"] in layers
            if wanted and shards.sha256(file) != entry["sha256"]:
                raise JamError(f"{file}: its bytes differ from the manifest's SHA-256; copy or export it again")

    def _open_shard(self, layer: int, shard: int) -> shards.Shard:
        file = self.path / self.manifest.file_of(layer, shard)
        opened = shards.open_shard(file)
        expected = (len(self.manifest.rows_of(shard)), self.manifest.layers[layer])
        if opened.values.shape != expected:
            raise JamError(f"{file}: holds {opened.values.shape} where the manifest says {expected}; export it again")
        return opened


class StoreWriter:
    """Writes a store shard by shard; shards already there are kept, so an interrupted export resumes.

    Give it the fields of ``Manifest`` (without ``shards``). Shards are independent: any process may write any of them.
    Raises JamError when a finished or half-written store with other fields stands at the path.
    """

    def __init__(self, path: str | os.PathLike[str], **fields: Any):
        self.manifest = Manifest(**fields)
        self.path = epath.Path(path)
        if self.manifest.dtype not in shards.DTYPES:
            raise JamError(f"dtype {self.manifest.dtype!r} is unknown; choose from {', '.join(shards.DTYPES)}")
        if self.manifest.modality not in MODALITIES:
            raise JamError(f"modality {self.manifest.modality!r} is unknown; choose from {', '.join(MODALITIES)}")
        if self.manifest.rows_per_shard < 1 or not self.manifest.row_ids:
            raise JamError(f"{path}: a store needs at least one row and one row per shard")
        plan = self.path / "plan.json"
        mine = self.manifest.to_json()
        if (self.path / "manifest.json").exists():
            written = Manifest.from_json((self.path / "manifest.json").read_text(), str(self.path / "manifest.json"))
            if dataclasses.replace(written, shards=[]).to_json() != mine:
                raise JamError(f"{path}: holds a finished store of another export; choose another folder or delete it")
        elif plan.exists():
            if plan.read_text() != mine:
                raise JamError(f"{path}: holds an unfinished export of other settings; choose another folder")
        else:
            self.path.mkdir(parents=True, exist_ok=True)
            shards.write_atomically(plan, mine.encode())

    @property
    def shards(self) -> int:
        """Number of shards of every layer."""
        return self.manifest.shard_count

    def rows_of(self, shard: int) -> range:
        """Row numbers that go into one shard."""
        return self.manifest.rows_of(shard)

    def missing(self) -> list[int]:
        """Shards of which at least one layer is not written yet."""
        layers = self.manifest.layers
        return [s for s in range(self.shards) if not all(self._file(layer, s).exists() for layer in layers)]

    def write_shard(self, shard: int, layers: Mapping[int, np.ndarray]) -> None:
        """Writes one shard of every layer from {layer: float32 [n, D]}, each file atomically.

        Raises JamError on missing layers, wrong shapes, and NaN or infinite values (naming the row).
        """
        rows = self.rows_of(shard)
        if set(layers) != set(self.manifest.layers):
            needed = sorted(self.manifest.layers)
            raise JamError(f"{self.path}: shard {shard} got layers {sorted(layers)}, needs {needed}")
        for layer, values in layers.items():
            expected = (len(rows), self.manifest.layers[layer])
            if values.shape != expected:
                raise JamError(f"{self.path}: layer {layer} shard {shard} has shape {values.shape}, needs {expected}")
            bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
            if bad.size:
                row = rows[int(bad[0])]
                raise JamError(
                    f"{self.path}: layer {layer} row {row} ({self.manifest.row_ids[row]}) is NaN or infinite; "
                    "look at that input and at the backbone's precision"
                )
            file = self._file(layer, shard)
            file.parent.mkdir(parents=True, exist_ok=True)
            shards.write_atomically(file, shards.to_bytes(values, self.manifest.dtype))

    def finish(self) -> Store:
        """Hashes all shards, writes the manifest and opens the store; raises JamError when shards are missing."""
        missing = self.missing()
        if missing:
            raise JamError(f"{self.path}: {len(missing)} of {self.shards} shards are missing, first {missing[0]}")
        entries = []
        for layer in sorted(self.manifest.layers):
            for shard in range(self.shards):
                data = self._file(layer, shard).read_bytes()
                entries.append({
                    "layer": layer, "shard": shard, "file": self.manifest.file_of(layer, shard),
                    "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(),
                })  # fmt: skip
        manifest = dataclasses.replace(self.manifest, shards=entries)
        shards.write_atomically(self.path / "manifest.json", manifest.to_json().encode())
        (self.path / "plan.json").unlink(missing_ok=True)
        return Store.open(self.path)

    def _file(self, layer: int, shard: int) -> epath.Path:
        return self.path / self.manifest.file_of(layer, shard)


def convert(
    store: Store,
    path: str | os.PathLike[str],
    *,
    layers: Sequence[int],
    dtype: str,
    rows: Sequence[int] | None = None,
    rows_per_shard: int | None = None,
) -> Store:
    """Copies chosen layers and rows of a store into another one, in another dtype if wanted."""
    chosen = np.arange(store.manifest.rows) if rows is None else np.asarray(rows)
    fields = {f.name: getattr(store.manifest, f.name) for f in dataclasses.fields(store.manifest)}
    fields.update(
        layers={layer: store.layer(layer).shape[1] for layer in layers},
        dtype=dtype,
        row_ids=[store.manifest.row_ids[row] for row in chosen],
        rows_per_shard=rows_per_shard or store.manifest.rows_per_shard,
        shards=[],
    )
    writer = StoreWriter(path, **fields)
    for shard in writer.missing():
        writer.write_shard(shard, {layer: store.layer(layer)[chosen[writer.rows_of(shard)]] for layer in layers})
    return writer.finish()


__all__ = ["Layer", "Manifest", "Store", "StoreWriter", "convert"]
