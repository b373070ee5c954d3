"""How a run's train split reaches its steps, above all when memory does not hold it."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jam_jax import parallel
from jam_jax.activations import batches
from jam_jax.activations.pairs import NO_ITEM
from jam_jax.activations.sources import Source
from jam_jax.activations.stored import Stored
from jam_jax.activations.stream import Batches
from jam_jax.models import inputs
from jam_jax.training.expansion import Expansion
from jam_jax.training.step import Step
from jam_jax.training.streamed import Streamed

LINEAR_ITEMS = 65_536  # of a streamed split, what the baselines and a start from CCA are fitted on


def streams(source: Source) -> bool:
    """Whether the rows of a source stay on disk."""
    return isinstance(source.values, Stored)


def held(rows: batches.Rows, *, streamed: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Items and captions of the train split that are held in memory, as rows, and the place of each caption's item.

    All of them, or of a streamed split ``LINEAR_ITEMS`` with their captions.
    """
    if not streamed:
        return rows.items, rows.captions, rows.owner
    items, captions, owner = batches.matched(rows, LINEAR_ITEMS)
    return rows.items[items], rows.captions[captions], owner


def fit_inputs(
    vision: Source, language: Source, rows: batches.Rows, data: Mapping[str, Any]
) -> dict[str, inputs.Inputs]:
    """Modality -> statistics of the train split's items, and of the captions that describe one of them.

    What is streamed is hashed here and looked through for NaN and infinite values, once for each run.
    """
    owned = rows.owner != NO_ITEM
    nothing = rows.items[:0]
    return {
        "vision": _fit(vision, rows.items, nothing, data),
        "language": _fit(language, rows.captions[owned], rows.captions[~owned], data),
    }


def streamed(
    config: Mapping[str, Any], vision: Source, language: Source, fitted: Mapping[str, inputs.Inputs],
    rows: batches.Rows, groups_N: np.ndarray, *, train_step: Step, negatives: int, at_once: int | None,
    mesh: jax.sharding.Mesh,
) -> Streamed:  # fmt: skip
    """Training on the batches that this process reads of a streamed split."""
    assert isinstance(vision.values, Stored) and isinstance(language.values, Stored)
    train = config["train"]
    read = Batches(
        vision.values, language.values, rows, groups_N, batch=train["batch"], negatives=negatives,
        epochs=train["epochs"], seed=config["seed"], process=jax.process_index(), processes=jax.process_count(),
    )  # fmt: skip
    expansions = Expansion.of(vision.values, fitted["vision"]), Expansion.of(language.values, fitted["language"])
    return Streamed(
        train_step, read, *parallel.replicate(expansions, mesh), at_once=at_once,
        place=functools.partial(parallel.gather_rows, mesh=mesh),
        constrain=functools.partial(parallel.constrain_rows, mesh=mesh),
    )  # fmt: skip


def _fit(source: Source, taken: np.ndarray, others: np.ndarray, data: Mapping[str, Any]) -> inputs.Inputs:
    how: dict[str, Any] = {name: data[name] for name in ("standardise", "constant", "components")}
    how["where"] = f"data.{source.store.manifest.modality}_layer {source.layers}"
    if not isinstance(source.values, Stored):
        return inputs.fit(source.values[taken], **how)
    source.store.verify(source.layers)
    for _ in source.values.blocks(others):  # negatives alone: read for the check that reading makes
        pass
    return inputs.fit_blocks(source.values.blocks(taken), source.values.shape[1], **how)
