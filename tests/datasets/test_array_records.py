import subprocess
import sys

import numpy as np
import pytest

from jam_jax.datasets import array_records
from jam_jax.errors import JamError
from tests.samples import write_store

tfds = pytest.importorskip("tensorflow_datasets")


def store_of(path, dtype, rows=130):
    rng = np.random.default_rng(0)
    layers = {0: rng.normal(size=(rows, 5)), 11: 100 * rng.normal(size=(rows, 3))}
    layers = {layer: values.astype(np.float32) for layer, values in layers.items()}
    return write_store(path, layers, [f"ünit{i}/0" for i in range(rows)], "language", dtype=dtype)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_tfds_reads_back_the_same_bits_in_the_same_order(tmp_path, dtype):
    store = store_of(tmp_path / "store", dtype)
    out = array_records.export(store, tmp_path / "out", records_per_file=40)
    rows = tfds.builder_from_directory(str(out)).as_data_source()["rows"]
    assert len(rows) == 130
    records = [rows[i] for i in range(130)]
    assert [record["id"].decode() for record in records] == store.manifest.row_ids
    for layer in store.layers:
        read = np.stack([record[f"layer_{layer:02d}"] for record in records])
        assert read.dtype == np.float32 and read.tobytes() == store.layer(layer)[:].tobytes()


def test_no_file_holds_more_records_than_it_may(tmp_path):
    out = array_records.export(store_of(tmp_path / "store", "float32"), tmp_path / "out", records_per_file=40)
    lengths = tfds.builder_from_directory(str(out)).info.splits["rows"].shard_lengths
    assert sum(lengths) == 130 and max(lengths) <= 40 and len(list(out.glob("*array_record*"))) == 4
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out", "store"]


def test_the_manifest_comes_along(tmp_path):
    out = array_records.export(store_of(tmp_path / "store", "float32"), tmp_path / "out")
    metadata = tfds.builder_from_directory(str(out)).info.metadata
    assert metadata["backbone"] == "store" and metadata["pooling"] == "mean" and "row_ids" not in metadata


def test_what_is_there_is_not_overwritten(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(JamError, match="is there already"):
        array_records.export(store_of(tmp_path / "store", "float32"), tmp_path / "out")


@pytest.mark.slow
def test_the_command_needs_no_tensorflow(tmp_path):
    store_of(tmp_path / "store", "float32")
    argv = ["", f"--store={tmp_path / 'store'}", f"--out={tmp_path / 'out'}"]
    code = (
        f"import sys; sys.argv = {argv!r}\nfrom jam_jax.datasets import array_records; array_records.main()\n"
        "assert not {'tensorflow', 'torch'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("130 records, layers 0, 11")
    again = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert again.returncode == 2 and again.stderr.count("\n") == 1 and again.stderr.startswith("error: ")
