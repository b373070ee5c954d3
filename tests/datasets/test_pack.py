import numpy as np
import pytest

from jam_jax.activations import Pairs, StoreWriter
from jam_jax.datasets.pack import BACKBONES, pack
from jam_jax.errors import JamError


@pytest.fixture
def full(tmp_path):
    """Full exports of one vision and one language backbone, with more rows than the pairs name."""
    pairs = Pairs(
        ["b", "a"], ["b", "a"], ["x", "x"], ["train", "test"], np.ones(2, bool),
        ["B", "A", "BB"], ["name"] * 3, np.array([0, 1, 0]), [[]] * 3, [[]] * 3,
    )  # fmt: skip
    pairs.write(tmp_path / "pairs.parquet")
    values = {}
    for name, modality, ids in (
        ("mpnet", "language", ["z/0", *pairs.caption_ids]),
        ("vit_s14", "vision", ["a", "c", "b"]),
    ):
        values[name] = np.random.default_rng(0).normal(size=(len(ids), 6)).astype(np.float32)
        writer = StoreWriter(
            tmp_path / "full" / name, modality=modality, backbone=name, revision="", weight_hash="",
            layers={1: 6, 2: 6},
            pooling="mean", dtype="float32", row_ids=ids, rows_per_shard=2, dataset="", dataset_revision="",
        )  # fmt: skip
        for shard in writer.missing():
            rows = np.array(writer.rows_of(shard))
            writer.write_shard(shard, {1: values[name][rows], 2: -values[name][rows]})
        writer.finish()
    return tmp_path, values


def config(folder, **layers):
    chosen = {name: layers.get(name, ()) for name in BACKBONES}
    pairs = str(folder / "pairs.parquet")
    return {"full": str(folder / "full"), "pairs": pairs, "dtype": "int8", "rows_per_shard": 100, "layers": chosen}


def test_pack_holds_the_rows_of_the_pairs_and_the_chosen_layers(full):
    folder, values = full
    stores = pack(config(folder, mpnet=(2,), vit_s14=(1, 2)), folder / "pack")
    assert Pairs.open(folder / "pack" / "pairs.parquet").item_ids == ["b", "a"]
    assert {name: store.layers for name, store in stores.items()} == {"vit_s14": (1, 2), "mpnet": (2,)}
    assert stores["vit_s14"].manifest.row_ids == ["b", "a"]
    assert stores["mpnet"].manifest.row_ids == ["b/0", "a/0", "b/1"]
    np.testing.assert_allclose(stores["vit_s14"].layer(1)[:], values["vit_s14"][[2, 0]], atol=0.02)
    np.testing.assert_allclose(stores["mpnet"].layer(2)[:], -values["mpnet"][1:], atol=0.02)


def test_missing_layers_rows_and_stores_are_named(full):
    folder, _ = full
    with pytest.raises(JamError, match="layer 7 is not stored"):
        pack(config(folder, mpnet=(7,)), folder / "pack")
    with pytest.raises(JamError, match="minilm: no such activation store"):
        pack(config(folder, minilm=(1,)), folder / "pack")
    Pairs(
        ["q"], ["q"], ["x"], ["train"], np.ones(1, bool), ["Q"], ["name"], np.array([0]), [[]], [[]]
    ).write(folder / "pairs.parquet")  # fmt: skip
    with pytest.raises(JamError, match="has no row for q/0"):
        pack(config(folder, mpnet=(1,)), folder / "pack")
