"""The second half of the main job: read the test split once, and write down what came out."""

import json
import pathlib
import platform
import time
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jam_jax import evaluation, run
from jam_jax.activations.pairs import NO_ITEM, SPLITS
from jam_jax.metrics.reconstruction import r2
from jam_jax.models.inputs import Inputs

_CREDITS = {"emoji": "Pictures: Fluent Emoji 3D by Microsoft, MIT; names and tags: emojibase, MIT."}


def evaluate(prepared: run.Prepared, trained: run.Trained, began: float) -> dict[str, Any]:
    """Reads the test split, once, for the modulator and every baseline; the content of results.json."""
    config, exam, jam = prepared.config, prepared.exams["test"], trained.jam
    rows = prepared.rows["test"]
    raw_x, raw_y = prepared.vision.values[rows.items], prepared.language.values[rows.captions]
    true = rows.owner != NO_ITEM
    z_x, z_y = jam.encode_images(raw_x, unit=False), jam.encode_texts(raw_y, unit=False)
    test = evaluation.score(exam, jam.encode_images(raw_x), jam.encode_texts(raw_y))
    test["reconstruction"] = {
        "vision": _reconstruction(prepared.inputs["vision"], raw_x, jam.reconstruct_images(z_x)),
        "language": _reconstruction(prepared.inputs["language"], raw_y[true], jam.reconstruct_texts(z_y[true])),
    }
    scores, settings = {}, {}
    if prepared.vision.values.shape[1] == prepared.language.values.shape[1]:
        scores["raw"] = evaluation.score(exam, raw_x, raw_y)
    for name in config["baselines"]:
        heads = trained.heads.get(name) or run.fit_baseline(name, prepared)
        scores[name] = evaluation.score(
            exam, heads.encode_images(prepared.x["test"]), heads.encode_texts(prepared.y["test"])
        )
        settings[name] = heads.settings
    progress = trained.progress
    examples = progress.history[-1]["step"] * config["train"]["batch"]
    return {
        "config": config,
        "seed": config["seed"],
        "objective": config["objective"]["name"],
        "data": _describe(prepared),
        "best_epoch": progress.best_epoch,
        "validation": {"score": progress.best_score},
        "test": test,
        "chance": evaluation.chance(exam),
        "baselines": scores,
        "baseline_settings": settings,
        "timing": {
            "total_s": time.perf_counter() - began,
            "compile_s": trained.compile_seconds,
            "train_s": progress.train_seconds,
            "examples_per_s": examples / max(progress.train_seconds, 1e-9),
        },
        "environment": {
            "python": platform.python_version(),
            "jax": jax.__version__,
            "devices": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        },
    }


def report(prepared: run.Prepared, trained: run.Trained, results: Mapping[str, Any], folder: pathlib.Path) -> None:
    """Writes results.json, the TensorBoard events and report.html into the run's folder."""
    from jam_jax.report import events, page
    from jam_jax.report.gallery import gallery

    exam, rows, pictures = prepared.exams["test"], prepared.rows["test"], _pictures(prepared)
    raw_x, raw_y = prepared.vision.values[rows.items], prepared.language.values[rows.captions]
    items, captions = rows.items[exam.gallery], rows.captions[exam.texts]
    shown = gallery(
        trained.jam.encode_images(raw_x)[exam.gallery],
        trained.jam.encode_texts(raw_y)[exam.texts],
        exam.gallery_owner,
        [prepared.pairs.caption_texts[m] for m in captions],
        picture=(lambda row: pictures.data_uri(int(items[row]))) if pictures else None,
        seed=prepared.config["seed"],
    )
    events.write(folder, trained.progress.history)
    page.write(folder / "report.html", results, trained.progress.history, shown)
    (folder / "history.json").write_text(json.dumps(trained.progress.history, indent=1) + "\n")
    # Last: a folder with results.json is a finished run.
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")


def _pictures(prepared: run.Prepared) -> Any:
    from jam_jax.datasets.pictures import Pictures

    file = prepared.root / "pictures.parquet"
    return Pictures.open(file) if file.exists() else None


def _reconstruction(fitted: Inputs, x: np.ndarray, x_hat: np.ndarray) -> float:
    """R^2 over standardised dimensions: raw ones would let a few massive dimensions decide."""
    return r2((x - fitted.mean) * fitted.scale, (x_hat - fitted.mean) * fitted.scale)


def _describe(prepared: run.Prepared) -> dict[str, Any]:
    pairs, rows = prepared.pairs, prepared.rows
    return {
        "name": prepared.root.name,
        "credit": _CREDITS.get(prepared.config["data"]["root"]),
        "vision": prepared.vision.describe(),
        "language": prepared.language.describe(),
        "concepts": {split: len({pairs.concepts[i] for i in rows[split].items}) for split in SPLITS},
        "items": {split: len(rows[split].items) for split in SPLITS},
        "captions": {split: int((rows[split].owner != NO_ITEM).sum()) for split in SPLITS},
    }
