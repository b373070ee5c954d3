import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jam_jax.activations import Pairs
from jam_jax.errors import JamError
from tests.samples import sample_pairs


def equal(a, b):
    return all(
        np.array_equal(getattr(a, f.name), getattr(b, f.name))
        if isinstance(getattr(a, f.name), np.ndarray)
        else getattr(a, f.name) == getattr(b, f.name)
        for f in dataclasses.fields(Pairs)
    )


def test_what_is_written_is_what_is_read(tmp_path):
    pairs = sample_pairs()
    ragged = dataclasses.replace(
        pairs,
        caption_texts=["ünï 🌊 \n \"'", *pairs.caption_texts[1:]],
        negative_rows=[[], *pairs.negative_rows[1:]],
        negative_kinds=[[], *pairs.negative_kinds[1:]],
    )
    for written in (pairs, ragged):
        written.write(tmp_path / "pairs.parquet")
        read = Pairs.open(tmp_path / "pairs.parquet")
        assert equal(read, written)
        assert read.gallery.dtype == bool and read.caption_items.dtype == np.int64


def test_caption_ids_count_within_the_item():
    pairs = dataclasses.replace(
        sample_pairs(concepts=10), caption_items=np.arange(40) % 20, negative_rows=[[]] * 40, negative_kinds=[[]] * 40
    )
    ids = pairs.caption_ids
    assert ids[0] == "thing0-plain/0" and ids[20] == "thing0-plain/1" and ids[39] == "thing9-dark/1"
    assert len(set(ids)) == pairs.captions


@pytest.mark.parametrize("seed", range(5))
def test_resplit_never_shares_a_concept(seed):
    pairs = sample_pairs()
    dealt = pairs.resplit(seed, (0.5, 0.2, 0.3))
    owned = {split: {dealt.concepts[i] for i in dealt.items_of(split)} for split in ("train", "validation", "test")}
    assert [len(owned[split]) for split in owned] == [30, 12, 18]
    assert len(set.union(*owned.values())) == 60
    assert sum(len(dealt.items_of(split)) for split in owned) == pairs.items
    assert equal(dealt, pairs.resplit(seed, (0.5, 0.2, 0.3)))
    assert dealt.splits != pairs.resplit(seed + 1).splits
    assert equal(dataclasses.replace(dealt, splits=pairs.splits), pairs)


def _put(values, index, value):
    return [*values[:index], value, *values[index + 1 :]]


CONTRADICTIONS = [  # column, change, message
    ("splits", lambda v: _put(v, 0, "train" if v[1] != "train" else "test"), "concept 'thing0' is in .*; split by"),
    ("splits", lambda v: ["dev"] * len(v), "split 'dev' is unknown; choose from train"),
    ("negative_rows", lambda v: _put(v, 4, [5, 9]), "caption 4 names a caption of its own item"),
    ("negative_rows", lambda v: _put(v, 4, [4, 9]), "caption 4 names a caption of its own item"),
    ("negative_rows", lambda v: _put(v, 3, [0, 999]), "caption 3 names hard negative 999, but there are 240"),
    ("negative_rows", lambda v: _put(v, 3, [0, -1]), "caption 3 names hard negative -1"),
    ("negative_kinds", lambda v: _put(v, 2, ["skin"]), "caption 2 has 2 hard negatives and 1 kinds"),
    ("caption_items", lambda v: _put(v.tolist(), 239, 120), "belongs to item 120, but there are 120 items"),
    ("caption_items", lambda v: _put(v.tolist(), 0, -1), "belongs to item -1"),
    ("concepts", lambda v: v[1:], "concepts has 119 entries for 120 items"),
    ("gallery", lambda v: v[1:], "gallery has 119 entries for 120 items"),
    ("caption_kinds", lambda v: v[1:], "caption_kinds has 239 entries for 240 captions"),
]


@pytest.mark.parametrize(("column", "change", "message"), CONTRADICTIONS)
def test_contradictions_are_refused(column, change, message):
    pairs = sample_pairs()
    with pytest.raises(JamError, match=message):
        dataclasses.replace(pairs, **{column: change(getattr(pairs, column))})


def test_a_contradictory_file_is_named(tmp_path):
    file = tmp_path / "pairs.parquet"
    sample_pairs().write(file)
    table = pq.read_table(file)
    row = table.to_pylist()[0]
    row["splits"][0] = "elsewhere"
    pq.write_table(pa.Table.from_pylist([row], schema=table.schema), file)
    with pytest.raises(JamError, match="pairs.parquet: split 'elsewhere' is unknown"):
        Pairs.open(file)
    pq.write_table(table.drop_columns(["negative_kinds"]), file)
    with pytest.raises(JamError, match="pairs.parquet: column 'negative_kinds' is missing"):
        Pairs.open(file)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"not parquet at all"])
def test_a_damaged_file_is_named(tmp_path, data):
    (tmp_path / "pairs.parquet").write_bytes(data)
    with pytest.raises(JamError, match="pairs.parquet: is not a readable Parquet file"):
        Pairs.open(tmp_path / "pairs.parquet")
    with pytest.raises(JamError, match="no such pairs file"):
        Pairs.open(tmp_path / "other.parquet")


def test_the_embedded_pairs_hold_together():
    from jam_jax.activations import sources

    pairs = sources.open_pairs(sources.folder("emoji"))
    assert {pairs.splits[i] for i in range(pairs.items)} == {"train", "validation", "test"}
    assert np.bincount(pairs.caption_items, minlength=pairs.items).min() >= 2
    on_show = [pairs.concepts[i] for i in np.flatnonzero(pairs.gallery)]
    assert len(on_show) == len(set(on_show)) == len(set(pairs.concepts))
    for m, rows in enumerate(pairs.negative_rows):
        assert {pairs.caption_kinds[row] for row in rows} <= {pairs.caption_kinds[m]}


def test_sources_are_kept_and_older_files_have_none(tmp_path):
    pairs = sample_pairs()
    assert pairs.sources == [""] * pairs.items
    named = dataclasses.replace(pairs, sources=["clipart", "stamps"] * (pairs.items // 2))
    named.write(tmp_path / "pairs.parquet")
    assert Pairs.open(tmp_path / "pairs.parquet").sources == named.sources == named.resplit(1).sources
    older = pq.read_table(tmp_path / "pairs.parquet").drop_columns(["sources"])
    pq.write_table(older, tmp_path / "older.parquet")
    assert equal(Pairs.open(tmp_path / "older.parquet"), pairs)
    with pytest.raises(JamError, match="sources has 1 entries for 120 items"):
        dataclasses.replace(pairs, sources=["clipart"])
