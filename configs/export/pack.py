"""Which layers of the full emoji exports go into the embedded pack.

    python -m jam_jax.datasets.pack --config=configs/export/pack.py --workdir=jam_jax/assets/emoji

Takes a few seconds; the full exports come first, see docs/data.md.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """int8 keeps every row at a cosine above 0.999 with its float16 original, 0.9999 on average."""
    return ConfigDict({
        "full": "data/full",
        "pairs": "data/pairs.parquet",
        "dtype": "int8",
        "rows_per_shard": 1 << 20,  # one file a layer
        "layers": {
            "vit_s14": (8, 10, 11, 12),
            "efficientnet_lite0": (8, 11, 13, 16, 17),
            "mpnet": (11, 12),
            "minilm": (5, 6),
            "smollm2": (8, 15, 22, 30),
        },
    })  # fmt: skip
