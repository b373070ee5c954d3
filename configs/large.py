"""Spread on the larger benchmark: three views of emoji, clipart and stamps, everything else as configs/spread.py.

    bash launch/large.sh data && python -m jam_jax.main --config=configs/large.py

104 s on 2 cores, exports and data being there. Galleries are per source; the scores are means over the sources. Seed 0:
R@1 28.0 image to text and 27.1 text to image, medium 74.8, hard 75.0 (CCA 24.8, 25.2, 72.7, 71.6; linear contrastive
heads 24.7, 21.2, 73.3, 75.8).
"""

import pathlib

from ml_collections import ConfigDict

from jam_jax.config import load_file


def get_config() -> ConfigDict:
    """configs/spread.py on data/large."""
    config = load_file(pathlib.Path(__file__).with_name("spread.py"))
    config.name = "large"
    config.data.root = "data/large"
    return config
