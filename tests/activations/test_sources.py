import dataclasses

import numpy as np
import pytest

from jam_jax.activations import sources
from jam_jax.errors import JamError
from tests.samples import sample_activations, write_data, write_store


@pytest.fixture
def data(tmp_path):
    return write_data(tmp_path / "data"), sources.folder(str(tmp_path / "data"))


def test_layers_stand_side_by_side(data):
    pairs, root = data
    vision, _ = sample_activations(pairs)
    loaded = sources.load(root, "eye", (2, 1), "vision", pairs)
    np.testing.assert_array_equal(loaded.values, np.concatenate([vision[2], vision[1]], axis=1))
    assert loaded.describe()["layers"] == [2, 1] and loaded.describe()["width"] == 20


def test_a_store_outside_the_root_is_named_by_path(data, tmp_path):
    pairs, root = data
    write_store(tmp_path / "far" / "eye2", sample_activations(pairs)[0], pairs.item_ids, "vision", dtype="int8")
    assert sources.load(root, str(tmp_path / "far" / "eye2"), (1,), "vision", pairs).values.shape == (120, 12)


def test_what_stays_on_disk_reads_alike(data, tmp_path, capsys):
    pairs, root = data
    loaded, there = (way(root, "words", (3, 0), "language", pairs) for way in (sources.load, sources.on_disk))
    rows = np.array([200, 3, 77])
    np.testing.assert_array_equal(there.values[rows], loaded.values[rows])
    assert there.describe() == loaded.describe()
    write_store(
        root / "blink", {1: sample_activations(pairs)[0][1][1:]}, pairs.item_ids[1:], "vision",
        skipped=[{"id": pairs.item_ids[0], "reason": "broken"}],
    )  # fmt: skip
    kept = [
        sources.without_skipped(
            pairs, way(root, "blink", (1,), "vision", pairs), way(root, "words", (3,), "language", pairs)
        )
        for way in (sources.load, sources.on_disk)
    ]
    for one, other in zip(kept[0][1:], kept[1][1:], strict=True):
        np.testing.assert_array_equal(one.values, other.values[:])


@pytest.mark.parametrize(
    ("name", "layers", "modality", "message"),
    [
        ("eyes", (1,), "vision", r"data.vision: backbone 'eyes' is unknown in data; did you mean 'eye'\?"),
        ("eye", (7,), "vision", "data.vision_layer: 7 is not stored for 'eye'; choose from 1, 2"),
        ("eye", (), "vision", "data.vision_layer is empty; choose from 1, 2"),
        ("words", (3,), "vision", "data.vision: 'words' holds language activations; choose a vision backbone"),
    ],
)
def test_wrong_names(data, name, layers, modality, message):
    with pytest.raises(JamError, match=message):
        sources.load(data[1], name, layers, modality, data[0])


def test_other_items_are_named(data):
    pairs, root = data
    renamed = dataclasses.replace(pairs, item_ids=[*pairs.item_ids[:5], "other", *pairs.item_ids[6:]])
    with pytest.raises(JamError, match=f"row 5 is '{pairs.item_ids[5]}' where 'other' belongs"):
        sources.load(root, "eye", (1,), "vision", renamed)


def test_only_the_layers_that_are_read_are_hashed(data, tmp_path):
    pairs, root = data
    file = tmp_path / "data" / "eye" / "layer_01" / "shard-00001-of-00003.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x00")
    sources.load(root, "eye", (2,), "vision", pairs)
    with pytest.raises(JamError, match="layer_01/shard-00001-of-00003.safetensors: its bytes differ"):
        sources.load(root, "eye", (2, 1), "vision", pairs)


def test_what_one_export_skipped_is_left_out_on_both_sides(data, tmp_path, capsys):
    pairs, root = data
    vision, language = sample_activations(pairs)
    lost, mute = pairs.item_ids[3], pairs.caption_ids[20]
    kept = [row for row, item in enumerate(pairs.item_ids) if item != lost]
    told = [row for row, caption in enumerate(pairs.caption_ids) if caption != mute]
    for name, layers, modality, ids, rows, gone in (
        ("blink", vision, "vision", pairs.item_ids, kept, lost),
        ("stutter", language, "language", pairs.caption_ids, told, mute),
    ):
        left = {layer: values[rows] for layer, values in layers.items()}
        write_store(
            root / name, left, [ids[row] for row in rows], modality,
            skipped=[{"id": gone, "reason": "broken"}],
        )  # fmt: skip
    eye = sources.load(root, "blink", (1,), "vision", pairs)
    words = sources.load(root, "stutter", (3,), "language", pairs)
    left, eye, words = sources.without_skipped(pairs, eye, words)
    assert (left.items, left.captions) == (119, 237)
    assert "1 of 120 items and 3 of 240 captions are left out" in capsys.readouterr().err
    texts = {text: row for row, text in enumerate(pairs.caption_texts)}
    np.testing.assert_array_equal(eye.values, vision[1][[pairs.item_ids.index(item) for item in left.item_ids]])
    np.testing.assert_array_equal(words.values, language[3][[texts[text] for text in left.caption_texts]])


def test_a_row_that_is_gone_without_a_word_is_an_error(data):
    pairs, root = data
    vision, _ = sample_activations(pairs)
    write_store(root / "short", {1: vision[1][1:]}, pairs.item_ids[1:], "vision")
    with pytest.raises(JamError, match="'short' has 119 rows but the pairs name 120"):
        sources.load(root, "short", (1,), "vision", pairs)
