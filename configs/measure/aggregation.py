"""Does alignment rise when three vendors' pictures of an emoji, or its two captions, are averaged?

    bash launch/large.sh data && python -m jam_jax.measure --config=configs/measure/aggregation.py

Peaks are found on the first view, one item of each concept; then k = 1..3 views, and k = 1..2 captions, are averaged on
the side that predicts or is predicted, beside the two controls of jam_jax.datasets.aggregation.
"""

import pathlib

from ml_collections import ConfigDict

from jam_jax.config import load_file


def get_config() -> ConfigDict:
    """configs/measure/layers.py on the emoji of the larger benchmark."""
    config = load_file(pathlib.Path(__file__).with_name("layers.py"))
    config.name = "aggregation"
    config.studies = ("layers", "aggregation")
    config.data.root = "data/large"
    config.data.vision = ("vit_s14",)
    config.data.vision_layer = (4, 6, 8, 10, 12)
    config.data.language = ("mpnet",)
    config.data.language_layer = (8, 11)
    config.data.sources = ("fluent",)
    config.data.views = ("fluent", "noto", "twemoji")
    config.data.captions_per_item = 2
    config.metrics = ("linear_predictivity", "cka")
    return config
