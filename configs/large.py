"""Spread on the larger benchmark: three views of emoji, clipart and stamps, everything else as configs/spread.py.

    bash launch/large.sh data && python -m jam_jax.main --config=configs/large.py

Galleries are per source; the scores are means over the sources.
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
