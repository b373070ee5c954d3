import io
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from jam_jax.activations.pairs import Pairs
from jam_jax.datasets import preferences
from jam_jax.datasets.rows import source_rows
from jam_jax.errors import JamError


def jpg(shade):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, 0, 0)).save(buffer, "JPEG")
    return buffer.getvalue()


def row(caption, first, second, labels=(1.0, 0.0)):
    return {"caption": caption, "jpg_0": first, "jpg_1": second, "label_0": labels[0], "label_1": labels[1]}


ROWS = [
    row("a cat", jpg(10), jpg(20)),
    row("a dog ", jpg(30), jpg(40), (0.0, 1.0)),
    row("a cow", jpg(50), jpg(60), (0.5, 0.5)),
    row("a cat", jpg(70), jpg(80)),
]


def write(file, rows):
    # The public files have more columns, and not in this order.
    pq.write_table(pa.Table.from_pylist([{"are_different": True, **r} for r in rows]), file)


def shade(file):
    return Image.open(file).getpixel((0, 0))[0]


def test_preferred_and_rejected_are_two_views_of_one_data_folder(tmp_path):
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / "train-00000.parquet", ROWS[:2])
    write(tmp_path / "in" / "train-00001.parquet", ROWS[2:])
    made = preferences.read(tmp_path / "in", tmp_path / "out")
    assert made.ties == 1 and made.pairs.item_ids == ["00000000", "00000001", "00000003"]
    pairs = Pairs.open(tmp_path / "out" / "pairs.parquet")
    assert pairs.caption_texts == ["a cat", "a dog", "a cat"]
    assert pairs.concepts[0] == pairs.concepts[2] != pairs.concepts[1]
    expected = {"preferred": [10, 40, 70], "rejected": [20, 30, 80]}
    for view, shades in expected.items():
        rows = source_rows("vision", pairs, {"folder": str(tmp_path / "out"), "view": view}, on_bad="stop")
        assert rows.ids == pairs.item_ids
        np.testing.assert_allclose([p.getpixel((0, 0))[0] for p in rows.take([0, 1, 2])], shades, atol=2)


def test_pictures_as_the_datasets_library_stores_them(tmp_path):
    rows = [row("a cat", {"bytes": jpg(10), "path": None}, {"bytes": jpg(200), "path": "x.jpg"})]
    write(tmp_path / "one.parquet", rows)
    preferences.read(tmp_path / "one.parquet", tmp_path / "out")
    assert shade(tmp_path / "out/pictures/rejected/00000000.jpg") > 190


def test_a_limit_counts_preferences_not_rows(tmp_path):
    write(tmp_path / "one.parquet", [ROWS[2], *ROWS])
    made = preferences.read(tmp_path / "one.parquet", tmp_path / "out", limit=2)
    assert made.pairs.item_ids == ["00000001", "00000002"]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (row("a cat", b"no picture", jpg(1)), "one.parquet row 1: the picture jpg_0 cannot be used: not a picture"),
        (row("a cat", jpg(1), None), "the picture jpg_1 cannot be used: empty file"),
        (row(" ", jpg(1), jpg(2)), "the caption is empty"),
        (row(None, jpg(1), jpg(2)), "the caption is NoneType, not a text"),
        (row("a cat", jpg(1), jpg(2), (1.0, 1.0)), "the labels are 1.0 and 1.0, not 0 and 1, or both 0.5"),
        (row("a cat", jpg(1), jpg(2), (None, None)), "the labels are None and None"),
    ],
)
def test_bad_rows_stop_or_are_left_out_with_their_reason(tmp_path, bad, message):
    write(tmp_path / "one.parquet", [ROWS[0], bad])
    with pytest.raises(JamError, match=message) as raised:
        preferences.read(tmp_path / "one.parquet", tmp_path / "stopped")
    assert "\n" not in str(raised.value)
    made = preferences.read(tmp_path / "one.parquet", tmp_path / "out", on_bad="skip")
    assert made.pairs.item_ids == ["00000000"] and made.skipped.entries[0]["where"] == "one.parquet row 1"


def test_wrong_files_are_named(tmp_path):
    with pytest.raises(JamError, match="no Parquet file there"):
        preferences.read(tmp_path, tmp_path / "out")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(JamError, match="bad.parquet: is not a readable Parquet file"):
        preferences.read(tmp_path / "bad.parquet", tmp_path / "out")
    pq.write_table(pa.table({"caption": ["a"], "jpg_0": [b""]}), tmp_path / "less.parquet")
    with pytest.raises(JamError, match="less.parquet: column 'jpg_1' is missing"):
        preferences.read(tmp_path / "less.parquet", tmp_path / "out")
    write(tmp_path / "one.parquet", ROWS)
    preferences.read(tmp_path / "one.parquet", tmp_path / "out")
    with pytest.raises(JamError, match="holds a data set already"):
        preferences.read(tmp_path / "one.parquet", tmp_path / "out")
    write(tmp_path / "ties.parquet", [ROWS[2]])
    with pytest.raises(JamError, match="no usable picture"):
        preferences.read(tmp_path / "ties.parquet", tmp_path / "none")


@pytest.fixture
def pairs():
    """Category x: a, a' (of one concept), b; its test split c alone. Category y: d, and e, which is in no gallery."""
    return Pairs(
        item_ids=["a", "a2", "b", "c", "d", "e"], concepts=["a", "a", "b", "c", "d", "e"], categories=list("xxxxyy"),
        splits=["train", "train", "train", "test", "train", "train"], gallery=[True, True, True, True, True, False],
        caption_texts=[f"{item} {kind}" for item in "aAbcde" for kind in ("name", "tags")],
        caption_kinds=["name", "tags"] * 6, caption_items=np.repeat(np.arange(6), 2),
        negative_rows=[[]] * 12, negative_kinds=[[]] * 12,
    )  # fmt: skip


def test_a_neighbour_is_another_concept_of_the_same_category_and_split(pairs):
    made = preferences.against_neighbours(pairs)
    assert made.preferred.tolist() == [0, 1, 2] and made.captions.tolist() == [0, 2, 4]
    assert made.rejected[:2].tolist() == [2, 2] and made.rejected[2] in (0, 1)
    assert preferences.against_neighbours(pairs, kind="tags").captions.tolist() == [1, 3, 5]
    drawn = {int(preferences.against_neighbours(pairs, seed=seed).rejected[2]) for seed in range(20)}
    assert drawn == {0, 1}


def test_without_neighbours_or_captions_of_the_kind_one_line_says_so(pairs):
    with pytest.raises(JamError, match="no item of the gallery has a neighbour .* and a caption of kind 'scene'"):
        preferences.against_neighbours(pairs, kind="scene")


def test_the_command_ends_with_one_line_and_code_2(tmp_path):
    command = [sys.executable, "-m", "jam_jax.datasets.preferences", "--from", str(tmp_path), "--out", str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
