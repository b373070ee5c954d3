"""Do models align better through the best caption of a picture than through its worst? (He et al., caption ranking)

Who ranks must not be who is measured: scores come from a file (people, or a jointly trained model), or from two other
frozen models: how well a caption matches what a linear map, fitted on other concepts, predicts from the picture.
"""

import csv
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from jam_jax.activations import sources
from jam_jax.activations.pairs import NO_ITEM, Pairs
from jam_jax.errors import JamError
from jam_jax.measuring import data as data_lib
from jam_jax.measuring.data import Data
from jam_jax.measuring.preferred import FOLD_SEED, FOLDS, correlation
from jam_jax.measuring.resampling import interval, resampled
from jam_jax.metrics.predictivity import fit_predict, k_folds

COLUMNS = ("caption", "score")
RANKINGS = ("given", "random")


def measure(data: Data, settings: Mapping[str, Any], peaks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One record for each peak and ranking: the score with every item's best caption and with its worst.

    {.., ranking: 'given' or 'random', items, best, worst, difference, low, high, kinds}: 'random' is the control, whose
    difference should hold 0; kinds is the share of each kind of caption among the best. The interval is that of the
    difference, over items.
    """
    wanted, root = settings["ranking"], sources.folder(settings["data"]["root"])
    if wanted["file"]:
        given_M = from_file(pathlib.Path(wanted["file"]), data.pairs)
    else:
        given_M = by_models(data.pairs, *_rankers(wanted, root, data.pairs))
    scores = {"given": given_M, "random": np.random.default_rng(settings["seed"]).random(data.pairs.captions)}
    scores["random"][~np.isfinite(given_M)] = np.nan
    found = []
    for ranking in RANKINGS:
        items, best, worst = extremes(data.pairs, scores[ranking], settings["data"]["sources"])
        of_kind = [data.pairs.caption_kinds[row] for row in best]
        kinds = {kind: of_kind.count(kind) / len(of_kind) for kind in sorted(set(of_kind))}
        for peak in peaks:
            x, y = data.at(peak)
            measured = resampled(peak["metric"], peak["direction"], settings)
            (high, moved_high), (low, moved_low) = measured(x[items], y[best]), measured(x[items], y[worst])
            names = ("vision", "language", "vision_layer", "language_layer", "metric", "direction")
            found.append(
                {name: peak[name] for name in names}
                | {"ranking": ranking, "items": len(items), "best": high, "worst": low, "difference": high - low}
                | interval(high - low, moved_high - moved_low, settings["level"])
                | {"kinds": kinds}
            )
    return found


def extremes(pairs: Pairs, score_M: np.ndarray, wanted: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Items [N] with captions of different score, one of each concept and source, and their best and worst rows [N].

    ``score_M`` is NaN for captions that nobody ranked; ``wanted`` are sources, all if empty. Raises JamError when fewer
    than ten items are left.
    """
    rows_of, chosen = _rows_of_items(pairs, np.isfinite(score_M)), []
    for item in np.flatnonzero(pairs.gallery).tolist():
        if item in rows_of and (not wanted or pairs.sources[item] in wanted):
            ordered = sorted(rows_of[item], key=lambda row: score_M[row])
            if score_M[ordered[0]] < score_M[ordered[-1]]:
                chosen.append((item, ordered[-1], ordered[0]))
    if len(chosen) < 2 * FOLDS:
        raise JamError(f"ranking: {len(chosen)} items have two captions of different score; {2 * FOLDS} are needed")
    items, best, worst = np.array(chosen).T
    return items, best, worst


def by_models(pairs: Pairs, x_NxD: np.ndarray, y_MxE: np.ndarray) -> np.ndarray:
    """How well each caption fits its picture by two other models: r between prediction and caption, [M].

    The prediction is that of a ridge regression from pictures to the mean of their captions, fitted on the gallery
    items of other concepts; both are taken from the training mean. NaN for captions of no gallery item, and for rows
    that are NaN on either side.
    """
    rows_of = _rows_of_items(pairs, np.isfinite(y_MxE).all(1))
    items = [i for i in np.flatnonzero(pairs.gallery).tolist() if i in rows_of and np.isfinite(x_NxD[i]).all()]
    concepts, concept_N = np.unique([pairs.concepts[item] for item in items], return_inverse=True)
    target_NxE = np.stack([y_MxE[rows_of[item]].mean(0) for item in items])
    x_NxD, score_M = x_NxD[items], np.full(pairs.captions, np.nan)
    for train, test in k_folds(len(concepts), FOLDS, FOLD_SEED):
        fitted, told = (np.flatnonzero(np.isin(concept_N, part)) for part in (train, test))
        mean_E = target_NxE[fitted].mean(0)
        predicted = fit_predict(x_NxD[fitted], target_NxE[fitted] - mean_E, x_NxD[told])
        for n, prediction_E in zip(told.tolist(), predicted, strict=True):
            rows = rows_of[items[n]]
            score_M[rows] = correlation(np.broadcast_to(prediction_E, (len(rows), len(mean_E))), y_MxE[rows] - mean_E)
    return score_M


def from_file(file: pathlib.Path, pairs: Pairs) -> np.ndarray:
    """Scores [M] from a CSV file with the columns caption (its id) and score; NaN where a caption is not in it.

    Raises JamError for a missing file or column, an unknown caption, or a score that is no finite number.
    """
    places = {name: row for row, name in enumerate(pairs.caption_ids)}
    score_M = np.full(pairs.captions, np.nan)
    try:
        with file.open(newline="", encoding="utf-8") as handle:
            reader = csv.DictReader(handle)
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise JamError(f"ranking.file: {file} has no column '{missing[0]}'; it needs caption and score")
            for number, row in enumerate(reader, start=2):
                if row["caption"] not in places:
                    raise JamError(f"ranking.file: {file} line {number}: no caption '{row['caption']}' in the pairs")
                score_M[places[row["caption"]]] = _finite(row["score"], f"ranking.file: {file} line {number}")
    except (OSError, UnicodeDecodeError) as error:
        raise JamError(f"ranking.file: {file} cannot be read ({error}); name a CSV file with caption,score") from error
    return score_M


def _rows_of_items(pairs: Pairs, known_M: np.ndarray) -> dict[int, list[int]]:
    """{item: rows of its captions} of the captions that are known."""
    rows_of: dict[int, list[int]] = {}
    for row in np.flatnonzero(known_M & (pairs.caption_items != NO_ITEM)).tolist():
        rows_of.setdefault(int(pairs.caption_items[row]), []).append(row)
    return rows_of


def _rankers(wanted: Mapping[str, Any], root: epath.Path, pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """One layer of either ranking model, a row for each item and caption of the pairs; NaN where it has none."""
    whole, found = sources.open_pairs(root), []
    for modality, stored, ids in (
        ("vision", whole.item_ids, pairs.item_ids),
        ("language", whole.caption_ids, pairs.caption_ids),
    ):
        side = data_lib.backbone(root, wanted[modality], (wanted[f"{modality}_layer"],), modality, whole)
        (values,) = side.layers.values()
        values[[row for row, name in enumerate(stored) if name in side.skipped]] = np.nan
        places = {name: row for row, name in enumerate(stored)}
        found.append(values[[places[name] for name in ids]])
    return found[0], found[1]


def _finite(text: str | None, where: str) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise JamError(f"{where}: the score is {text!r}; it needs a number")
    return value


__all__ = ["by_models", "extremes", "from_file", "measure"]
