"""The README's table: Con, NegCon, Spread and the baselines on held-out concepts, over seeds.

    python benchmarks/objectives.py --json benchmarks/results/objectives.json

Every seed deals the concepts anew into train, validation and test and starts the members anew; everything but the
objective is as in configs/spread.py. Each method's settings and epochs are chosen on that seed's validation split.
"""

import argparse
import dataclasses
import json
import pathlib
import platform
import sys
import tempfile
import time
from typing import Any

import jax
import numpy as np
from scipy import stats

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from jam_jax import config as config_lib  # noqa: E402
from jam_jax import evaluation, main, run  # noqa: E402

ALPHAS = (0.1, 0.3, 0.5, 0.7, 0.9)
COLUMNS = ("R@1", "R@5", "R@10", "medium", "hard", "skin", "gender")


def objectives() -> dict[str, dict[str, Any]]:
    """Label -> what it sets in the objective part of the config."""
    spread = {f"Spread, alpha {alpha}": {"name": "spread", "alpha": alpha} for alpha in ALPHAS}
    return {"Con": {"name": "con"}, "NegCon": {"name": "negcon"}} | spread


def columns(scores: dict[str, Any]) -> list[float]:
    """The table's columns in percent; recalls are the mean of both directions."""
    ways, choices = (scores["image_to_text"], scores["text_to_image"]), scores["choice"]
    recalls = [np.mean([way[f"r@{k}"] for way in ways]) for k in (1, 5, 10)]
    kinds = [choices["hard_by_kind"].get(kind, np.nan) for kind in ("skin", "gender")]
    return [100 * float(value) for value in (*recalls, choices["medium"], choices["hard"], *kinds)]


def one_seed(base: dict[str, Any], seed: int) -> dict[str, list[float]]:
    """Label -> columns on the test split of this seed."""
    config = base | {"seed": seed, "data": base["data"] | {"split": "seed"}}
    with tempfile.TemporaryDirectory() as scratch:
        prepared = run.prepare(config, pathlib.Path(scratch) / "none")
        heads = {name: run.fit_baseline(name, prepared) for name in config["baselines"]}
        exam, found = prepared.exams["test"], {}
        for label, settings in objectives().items():
            chosen = dataclasses.replace(prepared, config=config | {"objective": config["objective"] | settings})
            began = time.perf_counter()
            trained = run.fit(chosen, pathlib.Path(scratch) / label.replace(" ", ""), heads)
            rows = prepared.rows["test"]
            images = trained.jam.encode_images(prepared.vision.values[rows.items])
            texts = trained.jam.encode_texts(prepared.language.values[rows.captions])
            found[label] = columns(evaluation.score(exam, images, texts))
            print(f"seed {seed} {label}: {found[label]} ({time.perf_counter() - began:.0f} s)", flush=True)
        for name, fitted in heads.items():
            latents = fitted.encode_images(prepared.x["test"]), fitted.encode_texts(prepared.y["test"])
            found[name] = columns(evaluation.score(exam, *latents))
        found["chance"] = columns(evaluation.chance(exam))
    return found


def interval(values: np.ndarray) -> float:
    """Half the width of the 95 % t interval of the mean over seeds."""
    return float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))


def markdown(table: dict[str, np.ndarray]) -> str:
    """Rows of mean +- interval, and each objective's paired difference to CCA."""
    lines = ["| | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for label, values in table.items():
        cells = [f"{v.mean():.1f} ± {interval(v):.1f}" if v.std() > 1e-9 else f"{v.mean():.1f}" for v in values.T]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    for label in objectives():
        gaps = (table[label] - table["cca"]).T
        lines.append(f"| {label} − CCA | " + " | ".join(f"{g.mean():+.1f} ± {interval(g):.1f}" for g in gaps) + " |")
    return "\n".join(lines)


def main_() -> None:
    """Runs all seeds, prints the table as Markdown, writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    base = config_lib.validate(config_lib.load_file("configs/spread.py"), main.SCHEMA)
    found = [one_seed(base, seed) for seed in range(arguments.seeds)]
    table = {label: np.array([seed[label] for seed in found]) for label in found[0]}
    print(markdown(table))
    if arguments.json:
        environment = {"python": platform.python_version(), "jax": jax.__version__, "cores": jax.device_count()}
        rows = {label: dict(zip(COLUMNS, values.T.tolist(), strict=True)) for label, values in table.items()}
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        content = {"name": "objectives", "environment": environment, "config": base, "percent_by_seed": rows}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main_()
