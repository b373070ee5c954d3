import concurrent.futures

import numpy as np
import pytest

from jam_jax.activations.stored import Stored
from jam_jax.errors import JamError
from tests.samples import write_store


@pytest.fixture(params=["float32", "float16", "bfloat16", "int8"])
def store(request, tmp_path):
    rng = np.random.default_rng(0)
    layers = {1: 3 + rng.normal(size=(103, 5)).astype(np.float32), 4: rng.normal(size=(103, 3)).astype(np.float32)}
    ids = [f"row{i}" for i in range(103)]
    return write_store(tmp_path / "eye", layers, ids, "vision", dtype=request.param, rows_per_shard=20)


ORDERS = [
    np.arange(103),
    np.array([102, 0, 55, 55, 19, 20, 3]),
    np.zeros(0, int),
    np.random.default_rng(1).permutation(103),
]


@pytest.mark.parametrize("rows", ORDERS, ids=["all", "some", "none", "shuffled"])
def test_rows_are_the_layers_side_by_side(store, rows):
    stored = Stored(store, (4, 1))
    expected = np.concatenate([store.layer(4)[rows], store.layer(1)[rows]], axis=1)
    np.testing.assert_array_equal(stored[rows], expected)
    assert stored.shape == (103, 8) and stored[rows].dtype == np.float32


def test_codes_with_scale_and_offset_are_the_values(store):
    stored, rows = Stored(store, (1, 4)), np.array([70, 2, 21, 99])
    codes, shard = stored.codes(rows), stored.shard_of(rows)
    np.testing.assert_array_equal(shard, [3, 0, 1, 4])
    assert codes.dtype == stored.dtype and codes.shape == (4, 8)
    scale, offset = stored.scales()
    values = codes.astype(np.float32)
    values = values * scale[shard] + offset[shard] if scale.size else values
    np.testing.assert_array_equal(values, stored[rows])
    assert bool(scale.size) == (store.manifest.dtype == "int8")


def test_taken_rows_are_rows_of_rows(store):
    stored = Stored(store, (1,))
    rows = np.array([90, 4, 17, 60])
    twice = stored.take(rows).take(np.array([3, 0]))
    np.testing.assert_array_equal(twice[:], stored[np.array([60, 90])])
    assert twice.row_ids(np.array([1])) == ["row90"] and len(twice) == 2
    np.testing.assert_array_equal(twice.shard_of(np.array([0, 1])), [3, 4])


def test_blocks_are_all_rows_in_order(store):
    stored, rows = Stored(store, (1, 4)), np.arange(10, 90)
    blocks = list(stored.blocks(rows, 33))
    assert [len(block) for block in blocks] == [33, 33, 14]
    np.testing.assert_array_equal(np.concatenate(blocks), stored[rows])


def test_several_threads_read_the_same(store):
    stored = Stored(store, (1, 4))
    orders = [np.random.default_rng(seed).integers(0, 103, 50) for seed in range(16)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for rows, values in zip(orders, pool.map(stored.__getitem__, orders), strict=True):
            np.testing.assert_array_equal(values, stored[rows])


def test_a_bad_row_is_named(tmp_path):
    values = np.ones((60, 4), np.float32)
    store = write_store(tmp_path / "eye", {1: values}, [f"row{i}" for i in range(60)], "vision", rows_per_shard=25)
    file = tmp_path / "eye" / store.manifest.file_of(1, 1)
    data = bytearray(file.read_bytes())
    begin = len(data) - 25 * 16 + 7 * 16
    data[begin : begin + 4] = np.float32(np.nan).tobytes()
    file.write_bytes(bytes(data))
    stored = Stored(store, (1,)).take(np.arange(59, -1, -1))
    stored[np.arange(20)]
    with pytest.raises(JamError, match=r"eye: row 32 \(row32\) has NaN or infinite values; export it again"):
        list(stored.blocks(np.arange(60), 16))
