"""Two or more stores -> how alike they are: statistics over all layer pairs, with nulls and intervals.

python -m jam_jax.measure --config=configs/measure/layers.py
"""

import json
import pathlib
import time
from collections.abc import Mapping
from typing import Any

from jam_jax import config as config_lib
from jam_jax.config import Field
from jam_jax.errors import JamError

# Names of jam_jax.measuring.grids.METRICS, which imports JAX: a wrong config is told before that.
METRICS = (
    "linear_predictivity", "cka", "cka_biased", "cka_rbf", "rsa", "mutual_knn", "cycle_knn", "cknna", "cca", "svcca",
    "pwcca", "procrustes",
)  # fmt: skip
STUDIES = ("layers", "kinds", "preference", "ranking", "aggregation", "manipulations")
SCHEMA = {
    "name": Field(str),
    "seed": Field(int, low=0),
    "studies": Field(str, choices=STUDIES, many=True, some=True),
    "data.root": Field(str),
    "data.vision": Field(str, many=True, some=True),
    "data.vision_layer": Field(int, low=0, many=True),
    "data.language": Field(str, many=True, some=True),
    "data.language_layer": Field(int, low=0, many=True),
    "data.captions": Field(str, many=True),
    "data.captions_per_item": Field(int, low=1),
    "data.sources": Field(str, many=True),
    "data.views": Field(str, many=True),
    "data.within": Field(str, optional=True),
    "metrics": Field(str, choices=METRICS, many=True, some=True),
    "permutations": Field(int, low=1),
    "samples": Field(int, low=2),
    "predictivity_permutations": Field(int, low=1),
    "level": Field(float, low=0.5, high=0.999),
    "ranking.file": Field(str, optional=True),
    "ranking.vision": Field(str),
    "ranking.vision_layer": Field(int, low=0),
    "ranking.language": Field(str),
    "ranking.language_layer": Field(int, low=0),
    "original": Field(str),
    "pictures": Field(str, many=True),
    "manipulated_captions": Field(str, many=True),
}  # fmt: skip


def measure(config: Mapping[str, Any], workdir: str) -> dict[str, Any]:
    """Measures what the config names; returns what it also writes as ``<workdir>/results.json``.

    Beside it stand report.html, and each figure as PNG, SVG and CSV in ``<workdir>/figures``. A folder that holds
    results of another config is refused. Raises JamError, one line, for a bad config, bad data or a bad workdir.
    """
    began = time.perf_counter()
    settings = config_lib.validate(config, SCHEMA)
    folder = pathlib.Path(workdir)
    _check(folder, settings)
    from jam_jax.activations import sources
    from jam_jax.measuring import aggregated, data, kinds, layers, manipulated, preferred, ranked
    from jam_jax.report import measured

    root, wanted = sources.folder(settings["data"]["root"]), settings["studies"]
    results: dict[str, Any] = {"config": settings, "timing": {}}

    def timed(name: str, found: list[dict[str, Any]], since: float) -> None:
        results[name] = found
        results["timing"][f"{name}_s"] = time.perf_counter() - since

    if set(wanted) - {"manipulations"}:
        read = data.read(settings["data"], root)
        clock = time.perf_counter()
        timed("pairs", layers.measure(read, settings), clock)
        results["peaks"] = layers.peaks(results["pairs"])
        for name, study in (
            ("kinds", kinds), ("preference", preferred), ("ranking", ranked), ("aggregation", aggregated),
        ):  # fmt: skip
            if name in wanted:
                clock = time.perf_counter()
                timed(name, study.measure(read, settings, results["peaks"]), clock)
    if "manipulations" in wanted:
        clock = time.perf_counter()
        timed("manipulations", manipulated.measure(settings, root), clock)
    results["timing"]["total_s"] = time.perf_counter() - began
    measured.write(folder, results)
    (folder / "config.json").write_text(config_lib.to_json(settings))
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    return results


def _check(folder: pathlib.Path, settings: Mapping[str, Any]) -> None:
    """Raises JamError unless the folder is new, empty, or holds results of this very config."""
    file = folder / "config.json"
    try:
        written = json.loads(file.read_text()) if file.exists() else None
        occupied = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
        if not occupied:
            folder.mkdir(parents=True, exist_ok=True)
    except ValueError as error:
        raise JamError(f"{file}: is damaged; delete the folder or choose another --workdir") from error
    except OSError as error:
        raise JamError(f"{folder}: cannot be written ({error.strerror}); choose another --workdir") from error
    if written is None and occupied:
        raise JamError(f"{folder}: is not empty and holds no results; choose another --workdir")
    if written is not None and written != json.loads(config_lib.to_json(settings)):
        raise JamError(f"{folder}: holds results of another config; choose another --workdir")


def _command(config: dict[str, Any], workdir: str) -> int:
    from jam_jax.allocator import keep_freed_memory
    from jam_jax.main import default_workdir

    keep_freed_memory()
    workdir = workdir or default_workdir(config)
    results = measure(config, workdir)
    from jam_jax.report import measured

    measured.show(results)
    print(f"{workdir}/report.html  results.json  figures/  ({results['timing']['total_s']:.0f} s)")
    return 0


if __name__ == "__main__":
    config_lib.run(SCHEMA, _command, workdir="")
