"""Activations of one backbone for the larger benchmark (three emoji views, clipart, stamps), all layers, float16.

    python -m jam_jax.export --config=configs/export/large.py:mpnet --workdir=data/large/mpnet

Reads data/weights/<backbone> and data/large, which jam_jax.datasets.large writes; launch/large.sh does everything in
one go, docs/data.md has sizes and times.
"""

import pathlib

from ml_collections import ConfigDict

from jam_jax.config import load_file


def get_config(arg: str = "mpnet") -> ConfigDict:
    """The export of one backbone, named after the colon of --config."""
    config = load_file(pathlib.Path(__file__).with_name("emoji.py"), arg)
    config.data.update({"name": "large", "folder": "data/large", "view": "all"})
    # Smaller shards, for an export of an hour may be interrupted.
    config.update({"on_bad": "skip", "rows_per_shard": 2048})
    if arg != "efficientnet_lite0":  # which is no Hugging Face model
        config.backbone.runtime = "flax"
    return config
