"""Does alignment rise when several captions, or several pictures, of one thing are averaged? With two controls."""

from collections.abc import Mapping, Sequence
from typing import Any

from jam_jax.datasets import aggregation
from jam_jax.errors import JamError
from jam_jax.measuring import grids
from jam_jax.measuring.data import Data, first_captions
from jam_jax.measuring.resampling import interval, resampled


def measure(data: Data, settings: Mapping[str, Any], peaks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One record for each peak of linear predictivity, side that is averaged, control and k.

    {.., averaged: 'captions' or 'pictures', control, k, items, score, gain, low, high}: the gain is over one activation
    of the item's own, and the interval that of the gain, over items. Captions are averaged as far as
    ``data.captions_per_item`` asks, on items of ``data.sources``; pictures over the sources that ``data.views`` names.
    Predictor or target, the side that is not averaged stays one activation an item.
    """
    sides = []
    if settings["data"]["captions_per_item"] > 1:
        sides.append(("captions", aggregation.captions_of(data.pairs, settings["data"]["captions_per_item"])))
    if settings["data"]["views"]:
        sides.append(("pictures", aggregation.sources_of(data.pairs, settings["data"]["views"])))
    if not sides:
        raise JamError("data: nothing to average; set data.captions_per_item to 2 or more, or data.views")
    first, wanted = first_captions(data.pairs, settings["data"]["captions"]), settings["data"]["sources"]
    predicted, found = resampled(grids.PREDICTIVITY, grids.DIRECTIONS[0], settings), []
    for peak in peaks:
        if peak["metric"] != grids.PREDICTIVITY:
            continue
        x, y = data.at(peak)
        for averaged, members in sides:
            kept = [
                row
                for row, item in enumerate(members.items.tolist())
                if item in first and data.pairs.gallery[item]
                and (averaged == "pictures" or not wanted or data.pairs.sources[item] in wanted)
            ]  # fmt: skip
            items, rows, single_score = members.items[kept], members.rows[kept], None
            if averaged == "captions":
                several, single = y, x[items]
            else:
                several, single = x, y[[first[item] for item in items.tolist()]]
            for made in aggregation.averages(several, rows, single, seed=settings["seed"]):
                predicts = ("captions", "language_to_vision"), ("pictures", "vision_to_language")
                several_predict = (averaged, peak["direction"]) in predicts
                pair = (made.predictor, made.target) if several_predict else (made.target, made.predictor)
                score, moved = predicted(*pair)
                if single_score is None:  # the first of the averages: one of the item's own
                    single_score, single_moved = score, moved
                gain = score - single_score
                found.append(
                    {name: peak[name] for name in ("vision", "language", "vision_layer", "language_layer", "direction")}
                    | {"averaged": averaged, "control": made.control, "k": made.k, "items": len(items)}
                    | {"score": score, "gain": gain}
                    | interval(gain, moved - single_moved, settings["level"])
                )
    return found


__all__ = ["measure"]
