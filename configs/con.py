"""Con, everything else as configs/spread.py.

    python -m jam_jax.main --config=configs/con.py

About 40 s on 2 cores. Over 5 seeds that deal the concepts anew: R@1 26.2 +- 2.3, medium choice 71.7 +- 2.2
(benchmarks/objectives.py).
"""

import pathlib

from ml_collections import ConfigDict

from jam_jax.config import load_file


def get_config() -> ConfigDict:
    """configs/spread.py with another objective."""
    config = load_file(pathlib.Path(__file__).with_name("spread.py"))
    config.name = config.objective.name = "con"
    return config
