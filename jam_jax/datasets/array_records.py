"""An activation store as a TensorFlow Datasets folder of array_record files; TensorFlow is not needed.

python -m jam_jax.datasets.array_records --store=data/full/mpnet --out=data/array_records/mpnet
tfds.builder_from_directory("data/array_records/mpnet").as_data_source()["rows"][7]
# {"id": b"1f600/1", "layer_00": float32 [768], ...}
"""

import argparse
import dataclasses
import json
import os
import pathlib
import shutil
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from jam_jax.activations.store import Store
from jam_jax.errors import JamError

RECORDS_PER_FILE = 50_000  # single reads of larger array_record files slow down with their number of records
SPLIT = "rows"
_BLOCK = 4096


def export(store: Store, out: str | os.PathLike[str], *, records_per_file: int = RECORDS_PER_FILE) -> pathlib.Path:
    """Writes all rows and layers of a store, in row order, and returns the folder.

    Every record holds ``id``, the row id, and ``layer_LL``, float32 [D], for each layer; metadata.json repeats the
    manifest without its row ids. The folder appears when it is complete. Raises JamError when it is there already.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise JamError(f"{error}; install it with pip install -r requirements-data.txt") from error
    folder = pathlib.Path(out)
    if folder.exists():
        raise JamError(f"{folder}: is there already; choose another folder or delete it")
    unfinished = folder.with_name(folder.name + ".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    builder = _builder(tfds, store)(data_dir=unfinished, file_format="array_record")
    files = -(-store.manifest.rows // records_per_file)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(num_shards=files))
    pathlib.Path(builder.data_dir).rename(folder)
    shutil.rmtree(unfinished)
    return folder


def _builder(tfds: Any, store: Store) -> Any:
    """The builder's class; made here because its base class comes from a library that only this command needs."""
    manifest = store.manifest

    class Activations(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            widths = {_name(layer): (width,) for layer, width in sorted(manifest.layers.items())}
            vectors = {name: tfds.features.Tensor(shape=shape, dtype=np.float32) for name, shape in widths.items()}
            said = {k: v for k, v in dataclasses.asdict(manifest).items() if k not in ("row_ids", "shards")}
            return tfds.core.DatasetInfo(
                builder=self,
                description=f"{manifest.modality} activations of {manifest.backbone} on {manifest.dataset}",
                features=tfds.features.FeaturesDict({"id": tfds.features.Text(), **vectors}),
                metadata=tfds.core.MetadataDict(json.loads(json.dumps(said))),
                disable_shuffling=True,
            )

        def _split_generators(self, dl_manager):
            return {SPLIT: self._generate_examples()}

        def _generate_examples(self):
            return _records(store)

    return Activations


def _records(store: Store) -> Iterator[tuple[int, dict[str, Any]]]:
    ids = store.manifest.row_ids
    for start in range(0, len(ids), _BLOCK):
        block = {_name(layer): store.layer(layer)[start : start + _BLOCK] for layer in store.layers}
        for row, row_id in enumerate(ids[start : start + _BLOCK]):
            yield start + row, {"id": row_id, **{name: values[row] for name, values in block.items()}}


def _name(layer: int) -> str:
    return f"layer_{layer:02d}"


def main() -> None:
    """Exports one store; bad input ends as one line and exit code 2."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--store", required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    try:
        store = Store.open(arguments.store)
        out = export(store, arguments.out)
    except (JamError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"{out}: {store.manifest.rows} records, layers {', '.join(map(str, store.layers))}")


if __name__ == "__main__":
    main()


__all__ = ["RECORDS_PER_FILE", "SPLIT", "export"]
