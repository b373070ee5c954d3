"""Rebuilds a slice of the embedded pack from the real weights, where JAM_JAX_DATA names a fetched data folder."""

import os
import pathlib

import numpy as np
import pytest

import jam_jax
from jam_jax import backbones, export
from jam_jax.activations import Pairs, Store
from jam_jax.config import load_file

DATA = os.environ.get("JAM_JAX_DATA", "")
PACK = pathlib.Path(jam_jax.__file__).parent / "assets" / "emoji"
ROWS = 8
# int8 costs a row up to a few 1e-5; what is wrong in the model or its input costs far more than these bounds allow.
LEAST_MEAN_COSINE = 0.9999
LEAST_ROW_COSINE = 0.9995


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="JAM_JAX_DATA names no fetched data folder")
@pytest.mark.parametrize("name", ["vit_s14", "efficientnet_lite0", "mpnet", "minilm", "smollm2"])
def test_a_slice_of_the_pack_is_rebuilt(name):
    packed = Store.open(PACK / name)
    config = load_file("configs/export/emoji.py", name)
    backbone = backbones.load(os.path.join(DATA, "weights", name), name=name, revision=config.backbone.revision)
    assert backbone.weight_hash == packed.manifest.weight_hash
    assert backbone.text_template == packed.manifest.text_template
    assert config.pooling == packed.manifest.pooling
    pairs = Pairs.open(PACK / "pairs.parquet")
    data = {**config.data, "folder": DATA}
    source = export.source_rows(backbone.modality, pairs, data, on_bad="stop")
    assert source.ids == packed.manifest.row_ids
    rows = np.linspace(0, len(source.ids) - 1, ROWS).astype(int)
    rebuilt = export.activations(
        backbone, source.take(rows), layers=packed.layers, pooling=config.pooling, batch=config.batch
    )
    for layer in packed.layers:
        stored = packed.layer(layer)[rows]
        norms = np.linalg.norm(stored, axis=1) * np.linalg.norm(rebuilt[layer], axis=1)
        cosines = (stored * rebuilt[layer]).sum(axis=1) / norms
        assert cosines.mean() >= LEAST_MEAN_COSINE, f"layer {layer}"
        assert cosines.min() >= LEAST_ROW_COSINE, f"layer {layer}"
