"""Where in depth do the five embedded models agree? All layers, from the embedding output to the last block.

    bash launch/large.sh data && python -m jam_jax.measure --config=configs/measure/depth.py
    python -m jam_jax.measure --config=configs/measure/depth.py --config.metrics=linear_predictivity \
      --config.data.vision=vit_s14 --config.data.language=mpnet --config.data.vision_layer='(0, 2, 4, 6, 8, 10, 12)' \
      --config.data.language_layer='(0, 2, 4, 6, 8, 10, 12)'

One item of each Fluent emoji concept with its first caption. Linear predictivity is for a few layers at a time.
"""

import pathlib

from ml_collections import ConfigDict

from jam_jax.config import load_file


def get_config() -> ConfigDict:
    """configs/measure/layers.py on all layers of all backbones of the larger benchmark."""
    config = load_file(pathlib.Path(__file__).with_name("layers.py"))
    config.name = "depth"
    config.studies = ("layers",)
    config.data.root = "data/large"
    config.data.vision = ("vit_s14", "efficientnet_lite0")
    config.data.language = ("mpnet", "minilm", "smollm2")
    config.data.captions = ()
    config.data.sources = ("fluent",)
    config.metrics = ("cka", "mutual_knn", "cknna")
    return config
