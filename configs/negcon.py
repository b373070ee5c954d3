"""NegCon, everything else as configs/spread.py.

    python -m jam_jax.main --config=configs/negcon.py
"""

import pathlib

from ml_collections import ConfigDict

from jam_jax.config import load_file


def get_config() -> ConfigDict:
    """configs/spread.py with another objective."""
    config = load_file(pathlib.Path(__file__).with_name("spread.py"))
    config.name = config.objective.name = "negcon"
    return config
