import dataclasses
import json
import os
import shutil

import numpy as np
import pytest
from etils import epath
from safetensors.numpy import load_file

from jam_jax.activations import Store, StoreWriter, convert, shards
from jam_jax.errors import JamError

ROWS, PER_SHARD, WIDTHS = 23, 5, {0: 7, 9: 12}  # the last shard has 3 rows
DTYPES = ("float32", "float16", "bfloat16", "int8")


@pytest.fixture
def values():
    rng = np.random.default_rng(0)
    made = {layer: rng.normal(size=(ROWS, width)).astype(np.float32) for layer, width in WIDTHS.items()}
    made[9][:, 3] = 400 + made[9][:, 3]  # a massive dimension that hardly varies
    made[9][:, 4] = np.maximum(made[9][:, 4], 0)  # a rectified one
    made[9][:, 5] = 2.5  # a constant one
    return made


def writer(path, dtype="float32", **changes):
    fields = {
        "modality": "vision", "backbone": "eye", "revision": "1", "weight_hash": "abc", "layers": WIDTHS,
        "pooling": "mean", "dtype": dtype, "row_ids": [f"item{i}" for i in range(ROWS)], "rows_per_shard": PER_SHARD,
        "dataset": "test", "dataset_revision": "1",
    }  # fmt: skip
    return StoreWriter(path, **(fields | changes))


def write(path, values, dtype="float32"):
    out = writer(path, dtype)
    for shard in out.missing():
        out.write_shard(shard, {layer: rows[out.rows_of(shard)] for layer, rows in values.items()})
    return out.finish()


def bound(values, dtype):
    """Largest error that a dtype may make, for each value: half a unit in the last place, or half an int8 step."""
    if dtype == "float32":
        return np.zeros_like(values)
    if dtype in ("float16", "bfloat16"):
        bits = {"float16": 11, "bfloat16": 8}[dtype]
        return np.abs(values) * 2.0**-bits + 2.0**-25
    steps = np.empty_like(values)
    for start in range(0, len(values), PER_SHARD):  # int8 scales are per shard
        part = values[start : start + PER_SHARD]
        steps[start : start + PER_SHARD] = (part.max(0) - part.min(0)) / 254
    return steps / 2 + np.abs(values) * 1e-6


def files(path):
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


@pytest.mark.parametrize("dtype", DTYPES)
def test_round_trip_within_the_dtypes_bound(tmp_path, values, dtype):
    store = Store.open(write(tmp_path / "s", values, dtype).path)
    assert store.layers == (0, 9)
    for layer in WIDTHS:
        read = store.layer(layer)[:]
        assert read.dtype == np.float32
        assert store.layer(layer).shape == read.shape == values[layer].shape
        assert (np.abs(read - values[layer]) <= bound(values[layer], dtype)).all()
    assert (np.abs(store.layer(9)[:][:, 5] - 2.5) <= 1e-6 * 2.5).all()  # constants survive int8 too
    store.verify()


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_rows_equal_numpy_memmap(tmp_path, values, dtype):
    stored = values[9].astype(dtype)
    stored.tofile(tmp_path / "plain")
    peer = np.memmap(tmp_path / "plain", dtype, "r", shape=stored.shape)
    layer = write(tmp_path / "s", values, dtype).layer(9)
    rng = np.random.default_rng(1)
    mask = rng.random(ROWS) < 0.4
    for rows in (
        rng.permutation(ROWS), [22, 0, 22, 7, 7, -1, -ROWS], rng.integers(-ROWS, ROWS, 100), mask, ~mask,
        np.zeros(ROWS, bool),
        slice(None), slice(3, 17, 4), slice(None, None, -1), slice(-4, None), slice(5, 5), 4, -1, np.int64(11),
        np.array([[1, 20], [3, -3]]), np.array([], int), [],
    ):  # fmt: skip
        wanted = np.asarray(peer[rows if not isinstance(rows, list) else np.array(rows, int)], np.float32)
        np.testing.assert_array_equal(layer[rows], wanted, strict=True)
    np.testing.assert_array_equal(np.asarray(layer), values[9].astype(dtype).astype(np.float32))


@pytest.mark.parametrize("rows", [[0, ROWS], [-ROWS - 1], ROWS, np.ones(ROWS - 1, bool)])
def test_rows_outside_are_an_index_error(tmp_path, values, rows):
    with pytest.raises(IndexError, match="23 rows"):
        write(tmp_path / "s", values).layer(0)[rows]


def test_results_do_not_write_through_to_the_file(tmp_path, values):
    layer = write(tmp_path / "s", values).layer(0)
    layer[:2][:] = 7
    np.testing.assert_array_equal(layer[:2], values[0][:2])


def test_shards_are_plain_safetensors(tmp_path, values):
    write(tmp_path / "s", values)
    write(tmp_path / "q", values, "int8")
    last = "layer_09/shard-00004-of-00005.safetensors"
    np.testing.assert_array_equal(load_file(tmp_path / "s" / last)["values"], values[9][20:])
    packed = load_file(tmp_path / "q" / last)
    assert packed["values"].dtype == np.int8 and packed["values"].shape == (3, 12)
    decoded = packed["values"] * packed["scale"] + packed["offset"]
    np.testing.assert_array_equal(decoded, Store.open(tmp_path / "q").layer(9)[20:])


@pytest.mark.parametrize("dtype", DTYPES)
def test_same_values_give_the_same_bytes(tmp_path, values, dtype):
    write(tmp_path / "a", values, dtype)
    write(tmp_path / "b", values, dtype)
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_verify_names_the_altered_shard(tmp_path, values):
    store = write(tmp_path / "s", values)
    file = tmp_path / "s" / "layer_09" / "shard-00002-of-00005.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    reopened = Store.open(store.path)
    with pytest.raises(JamError, match=r"layer_09/shard-00002-of-00005.safetensors: its bytes differ"):
        reopened.verify()
    with pytest.raises(JamError, match="shard-00002"):
        reopened.verify([9])
    reopened.verify([0])


@pytest.mark.parametrize("keep", [0, 4, 60, -1])
def test_a_truncated_shard_is_named_on_open(tmp_path, values, keep):
    write(tmp_path / "s", values)
    file = tmp_path / "s" / "layer_00" / "shard-00003-of-00005.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(JamError, match=r"layer_00/shard-00003-of-00005.safetensors: has \d+ bytes where .* says \d+"):
        Store.open(tmp_path / "s")
    with pytest.raises(JamError, match="shard-00003.*not a readable shard"):
        np.asarray(shards.open_shard(epath.Path(file)).values)


@pytest.mark.parametrize(
    "junk", [b"\x00" * 64, b"\xff" * 64, b"\x02" + b"\x00" * 7 + b"[]", b"\x02" + b"\x00" * 7 + b"{}"]
)
def test_a_shard_of_junk_is_named(tmp_path, values, junk):
    file = tmp_path / "shard.safetensors"
    file.write_bytes(junk)
    with pytest.raises(JamError, match="shard.safetensors: is not a readable shard"):
        shards.open_shard(epath.Path(file))


def test_a_missing_shard_is_named(tmp_path, values):
    write(tmp_path / "s", values)
    (tmp_path / "s" / "layer_00" / "shard-00001-of-00005.safetensors").unlink()
    with pytest.raises(JamError, match="shard-00001-of-00005.safetensors: shard is missing"):
        Store.open(tmp_path / "s")


def test_without_its_manifest_a_store_is_unfinished(tmp_path, values):
    write(tmp_path / "s", values)
    (tmp_path / "s" / "manifest.json").unlink()
    with pytest.raises(JamError, match="no manifest.json, so its export is unfinished"):
        Store.open(tmp_path / "s")
    with pytest.raises(JamError, match="no such activation store"):
        Store.open(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[: len(text) // 2], "manifest is damaged"),
        (lambda text: "[]", "manifest is damaged"),
        (lambda text: json.dumps(json.loads(text) | {"rows": 5}), "5 rows but 23 row ids"),
        (lambda text: json.dumps(json.loads(text) | {"format": 99}), "format 99 is unknown"),
        (lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != "dtype"}), "dtype"),
    ],
)
def test_a_damaged_manifest_says_so(tmp_path, values, damage, message):
    manifest = write(tmp_path / "s", values).path / "manifest.json"
    manifest.write_text(damage(manifest.read_text()))
    with pytest.raises(JamError, match=message):
        Store.open(tmp_path / "s")


def test_an_unknown_layer_lists_the_known(tmp_path, values):
    with pytest.raises(JamError, match="layer 3 is not stored; choose from 0, 9"):
        write(tmp_path / "s", values).layer(3)


def test_an_interrupted_write_resumes_byte_equal(tmp_path, values):
    write(tmp_path / "whole", values)
    part = writer(tmp_path / "part")
    for shard in (3, 0):
        part.write_shard(shard, {layer: rows[part.rows_of(shard)] for layer, rows in values.items()})
    # As after a kill between two layers of one shard, with the next file half-written beside it.
    (tmp_path / "part" / "layer_09" / "shard-00003-of-00005.safetensors").unlink()
    (tmp_path / "part" / "layer_09" / ".shard-00003-of-00005.safetensors.1.part").write_bytes(b"half")
    with pytest.raises(JamError, match="unfinished"):
        Store.open(tmp_path / "part")
    resumed = writer(tmp_path / "part")
    assert resumed.missing() == [1, 2, 3, 4]
    with pytest.raises(JamError, match="4 of 5 shards are missing, first 1"):
        resumed.finish()
    write(tmp_path / "part", values)
    found = {name: data for name, data in files(tmp_path / "part").items() if not name.endswith(".part")}
    assert found == files(tmp_path / "whole")


def test_a_failing_disk_leaves_no_half_files(tmp_path, values, monkeypatch):
    out = writer(tmp_path / "s")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(JamError, match="shard-00000.*cannot be written .No space left on device."):
        out.write_shard(0, {layer: rows[:PER_SHARD] for layer, rows in values.items()})
    assert list(files(tmp_path / "s")) == ["plan.json"]
    monkeypatch.undo()
    write(tmp_path / "s", values)
    store = Store.open(tmp_path / "s")
    np.testing.assert_array_equal(store.layer(9)[:], values[9])
    assert "plan.json" not in files(tmp_path / "s")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused_by_row(tmp_path, values, dtype, bad):
    out = writer(tmp_path / "s", dtype)
    values[9][7, 2] = bad
    with pytest.raises(JamError, match=r"layer 9 row 7 \(item7\) is NaN or infinite"):
        out.write_shard(1, {layer: rows[out.rows_of(1)] for layer, rows in values.items()})
    assert 1 in out.missing()


def test_values_beyond_float16_are_refused(tmp_path, values):
    values[0][0, 0] = 1e6
    with pytest.raises(JamError, match="too large for float16; export as bfloat16"):
        write(tmp_path / "s", values, "float16")
    write(tmp_path / "b", values, "bfloat16")


@pytest.mark.parametrize(
    "given",
    [{0: (5, 7)}, {0: (5, 7), 9: (5, 11)}, {0: (4, 7), 9: (4, 12)}, {0: (5, 7), 9: (5, 12), 3: (5, 1)}],
)
def test_wrong_shapes_and_layers_are_refused(tmp_path, given):
    out = writer(tmp_path / "s")
    with pytest.raises(JamError):
        out.write_shard(0, {layer: np.zeros(shape, np.float32) for layer, shape in given.items()})
    assert 0 in out.missing()


@pytest.mark.parametrize(
    "changes", [{"dtype": "float64"}, {"modality": "sound"}, {"row_ids": []}, {"rows_per_shard": 0}]
)
def test_impossible_settings_are_refused(tmp_path, changes):
    with pytest.raises(JamError):
        writer(tmp_path / "s", **changes)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("finished", [False, True])
def test_a_store_of_other_settings_is_left_alone(tmp_path, values, finished):
    if finished:
        write(tmp_path / "s", values)
    else:
        writer(tmp_path / "s")
    before = files(tmp_path / "s")
    with pytest.raises(JamError, match="choose another folder"):
        writer(tmp_path / "s", dtype="float16")
    assert files(tmp_path / "s") == before


def test_the_manifest_tells_everything(tmp_path, values):
    described = {"padding_side": "left", "text_template": "a {caption}", "libraries": {"torch": "2.13.0"}}
    out = writer(tmp_path / "s", **described)
    for shard in out.missing():
        out.write_shard(shard, {layer: rows[out.rows_of(shard)] for layer, rows in values.items()})
    manifest = out.finish().manifest
    assert manifest.rows == ROWS and manifest.row_ids[-1] == "item22" and manifest.layers == WIDTHS
    assert {key: getattr(manifest, key) for key in described} == described
    assert dataclasses.replace(manifest, shards=[]) == out.manifest
    assert len(manifest.shards) == 10
    for entry in manifest.shards:
        assert (tmp_path / "s" / entry["file"]).stat().st_size == entry["bytes"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_convert_cuts_and_requantises(tmp_path, values, dtype):
    store = write(tmp_path / "s", values)
    rows = [20, 3, 4, 11, 0, 1, 2]
    cut = convert(store, tmp_path / "cut", layers=[9], dtype=dtype, rows=rows)
    assert cut.layers == (9,) and cut.manifest.dtype == dtype
    assert cut.manifest.row_ids == [f"item{row}" for row in rows]
    assert (np.abs(cut.layer(9)[:] - values[9][rows]) <= bound(values[9][rows], dtype)).all()
    shutil.rmtree(tmp_path / "s")  # the copy stands alone
    Store.open(tmp_path / "cut").verify()
