"""NegCon, everything else as configs/spread.py.

    python -m jam_jax.main --config=configs/negcon.py

About 40 s on 2 cores. Over 5 seeds that deal the concepts anew: R@1 25.6 +- 2.5, medium choice 71.8 +- 2.4
(benchmarks/objectives.py).
"""

import pathlib

from ml_collections import ConfigDict

from jam_jax.config import load_file


def get_config() -> ConfigDict:
    """configs/spread.py with another objective."""
    config = load_file(pathlib.Path(__file__).with_name("spread.py"))
    config.name = config.objective.name = "negcon"
    return config
