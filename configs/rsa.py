"""Geometry alone, with reconstruction: relations among the images mirror those among their captions.

python -m jam_jax.main --config=configs/rsa.py
"""

import pathlib

from ml_collections import ConfigDict

from jam_jax.config import load_file


def get_config() -> ConfigDict:
    """configs/spread.py without a contrastive objective, from starts that share one frame."""
    config = load_file(pathlib.Path(__file__).with_name("spread.py"))
    config.name = config.objective.name = "rsa"
    config.objective.geometry.weight = 30.0
    # The geometry does not see rotations, so retrieval stands on the frame that CCA gives; a member from a random start
    # would have none.
    config.model.init = ("cca", "cca")
    return config
