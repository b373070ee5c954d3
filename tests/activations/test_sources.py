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
