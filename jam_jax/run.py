"""The first half of the main job: prepare the data, fit the modulator and the baselines."""

import dataclasses
import functools
import pathlib
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jam_jax import evaluation, feeding, parallel
from jam_jax.activations import batches, sources
from jam_jax.activations.pairs import NO_ITEM, SPLITS, Pairs
from jam_jax.config import suggest
from jam_jax.errors import JamError
from jam_jax.evaluation import Examination
from jam_jax.jam import JAM
from jam_jax.losses import geometry
from jam_jax.models import baselines, inputs, linear, members
from jam_jax.models.spectra import Spectra, spectra
from jam_jax.training import checkpoints, loop, objective, start, state, step


@dataclasses.dataclass(frozen=True)
class Prepared:
    """Everything a run knows before it trains.

    Attributes:
      config: validated. pairs: with the splits of this run. vision, language: sources as read.
      rows: split -> its rows. inputs: modality -> training-set statistics.
      x, y: split -> inputs of its items [N, P] and captions [M, Q]. exams: split -> its questions.
      held: the rows of the train split that x and y hold, as ``feeding.held`` has them.
    """

    config: dict[str, Any]
    pairs: Pairs
    root: Any
    vision: sources.Source
    language: sources.Source
    rows: dict[str, batches.Rows]
    inputs: dict[str, inputs.Inputs]
    x: dict[str, np.ndarray]
    y: dict[str, np.ndarray]
    held: tuple[np.ndarray, np.ndarray, np.ndarray]
    exams: dict[str, Examination]

    @property
    def steps(self) -> int:
        """Training steps of the whole run."""
        return self.config["train"]["epochs"] * (len(self.rows["train"].items) // self.config["train"]["batch"])

    @property
    def matched(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What the linear baselines are fitted on: train items, their captions, and the item of each of these."""
        owner = self.held[2]
        owned = owner != NO_ITEM
        return self.x["train"], self.y["train"][owned], owner[owned]

    @functools.cached_property
    def spectra(self) -> Spectra:
        """The decomposition that CCA and ridge share; seconds of work, done when the first of them asks."""
        return spectra(*self.matched)


@dataclasses.dataclass(frozen=True)
class Trained:
    """The best parameters, how training went, and the linear solutions that were computed on the way."""

    jam: JAM
    progress: loop.Progress
    compile_seconds: float
    heads: dict[str, baselines.Heads]


def prepare(config: dict[str, Any], folder: pathlib.Path) -> Prepared:
    """Reads and checks the data; raises JamError for anything that training could not stand on."""
    data = config["data"]
    if "cca" in config["model"]["init"] and config["model"]["form"] != "skip":
        raise JamError("model.init 'cca' needs the linear paths of model.form 'skip'; or use model.init 'random'")
    _check_geometry(config)
    root = sources.folder(data["root"])
    pairs = sources.open_pairs(root)
    if data["split"] == "seed":
        pairs = pairs.resplit(config["seed"])
    _check_kinds(data["captions"], pairs.caption_kinds, "data.captions")
    kinds = {kind for kinds in pairs.negative_kinds for kind in kinds}
    _check_kinds(config["objective"]["negative_kinds"], kinds, "objective.negative_kinds")
    pairs, vision, language = sources.load_both(root, data, pairs)
    chosen = functools.partial(batches.rows, pairs, caption_kinds=data["captions"])
    rows = {split: chosen(split) for split in SPLITS}
    rows["train"] = chosen("train", negative_kinds=config["objective"]["negative_kinds"])
    for split in SPLITS:
        if not len(rows[split].items):
            raise JamError(f"data.root: the {split} split has no items; write the pairs with all three splits")
        if (rows[split].caption_count == 0).any():
            raise JamError(f"data.captions: an item of the {split} split has no caption of {data['captions']}")
    if config["train"]["batch"] > len(rows["train"].items):
        raise JamError(
            f"train.batch is {config['train']['batch']}, more than the {len(rows['train'].items)} items of the train "
            "split; lower --config.train.batch"
        )
    fitted = checkpoints.load_inputs(folder) or feeding.fit_inputs(vision, language, rows["train"], data)
    held = feeding.held(rows["train"], streamed=feeding.streams(vision))
    items_of = {split: rows[split].items for split in SPLITS} | {"train": held[0]}
    captions_of = {split: rows[split].captions for split in SPLITS} | {"train": held[1]}
    return Prepared(
        config, pairs, root, vision, language, rows, fitted,
        x={split: fitted["vision"](vision.values[items_of[split]]) for split in SPLITS},
        y={split: fitted["language"](language.values[captions_of[split]]) for split in SPLITS},
        held=held,
        exams={split: evaluation.examination(pairs, rows[split]) for split in SPLITS[1:]},
    )  # fmt: skip


def fit(
    prepared: Prepared, folder: pathlib.Path, heads: Mapping[str, baselines.Heads] = MappingProxyType({})
) -> Trained:
    """Trains, or goes on training, and returns the parameters that validation liked best.

    ``heads`` are baselines of these very inputs, where a caller has fitted them already.
    """
    config, x, y = prepared.config, prepared.x, prepared.y
    settings = config["train"]
    mesh = parallel.data_mesh()
    parallel.check_batch(settings["batch"], mesh, "train.batch")
    modules = objective.modulator(config["model"], x["train"].shape[1], y["train"].shape[1])
    saved = checkpoints.Checkpoints(folder)
    checkpoints.save_inputs(folder, prepared.inputs)

    heads = dict(heads)
    if "cca" not in heads and ("cca" in config["baselines"] or "cca" in config["model"]["init"]):
        heads["cca"] = fit_baseline("cca", prepared)
    begun = parallel.replicate(begin(prepared, modules, heads), mesh)

    clock = time.perf_counter()
    epoch, split = make_epoch(begun, prepared, mesh)
    validate = make_validation(modules, prepared, mesh)
    validate(begun.params)
    compile_seconds = time.perf_counter() - clock
    try:
        best, progress = loop.fit(
            begun, split, epoch=epoch, validate=validate, checkpoints=saved, epochs=settings["epochs"],
            validate_every=settings["validate_every"], checkpoint_every=settings["checkpoint_every"],
            patience=settings["patience"],
        )  # fmt: skip
    finally:
        saved.close()
    return Trained(JAM(config, prepared.inputs, jax.device_get(best)), progress, compile_seconds, heads)


def make_epoch(begun: state.State, prepared: Prepared, mesh: jax.sharding.Mesh) -> tuple[Any, Any]:
    """states, split -> states after another epoch, mean metrics; compiled for states like ``begun``. And the split."""
    config, rows = prepared.config, prepared.rows["train"]
    widths = prepared.x["train"].shape[1], prepared.y["train"].shape[1]
    modules = objective.modulator(config["model"], *widths, config["train"]["precision"])
    train_step = step.make_step(config, modules, prepared.steps)
    negatives = 0 if config["objective"]["name"] in ("con", "rsa") else config["objective"]["negatives"]
    negatives = min(negatives, rows.negatives.shape[1])
    batch, at_once = config["train"]["batch"], parallel.members_at_once(len(config["model"]["init"]))
    if feeding.streams(prepared.vision):
        groups = batches.groups(prepared.pairs, rows.items, config["objective"]["same"])
        advance = feeding.streamed(
            config, prepared.vision, prepared.language, prepared.inputs, rows, groups, train_step=train_step,
            negatives=negatives, at_once=at_once, mesh=mesh,
        )  # fmt: skip
        advance.compile(begun)
        return lambda states, _: advance(states, int(states.step[0]), len(rows.items) // batch), None
    split = parallel.replicate(device_split(prepared), mesh)
    constrain = functools.partial(parallel.constrain_rows, mesh=mesh)
    epoch = step.make_epoch(train_step, batch=batch, negatives=negatives, constrain=constrain, at_once=at_once)
    return jax.jit(epoch).lower(begun, split).compile(), split


def begin(prepared: Prepared, modules: objective.Modulator, heads: Mapping[str, baselines.Heads]) -> state.State:
    """The states of all members before the first step, stacked."""
    config = prepared.config
    inits, temperature = config["model"]["init"], config["objective"]["temperature"]
    keys = jnp.stack([state.member_key(config["seed"], member) for member in range(len(inits))])
    # One compiled program for all members: hundreds of small ones would take seconds and hundreds of megabytes.
    params = jax.device_get(jax.jit(jax.vmap(lambda key: state.init_params(modules, key, temperature)))(keys))
    starts = [jax.tree.map(lambda leaf, place=member: leaf[place], params) for member in range(len(inits))]
    starts = [
        start_from(heads["cca"], one, prepared) if init == "cca" else one
        for init, one in zip(inits, starts, strict=True)
    ]
    rates = jnp.array([config["train"]["linear_rate"] if init == "cca" else 1.0 for init in inits], jnp.float32)
    optimizer = step.make_optimizer(config, prepared.steps)
    make = jax.jit(jax.vmap(lambda params, key, rate: state.init_state(params, optimizer, key, rate)))
    return make(jax.tree.map(lambda *leaves: np.stack(leaves), *starts), keys, rates)


def device_split(prepared: Prepared) -> batches.Split:
    """The training split as arrays for the device."""
    rows = prepared.rows["train"]
    groups = batches.groups(prepared.pairs, rows.items, prepared.config["objective"]["same"])
    return batches.Split(
        vision=jnp.asarray(prepared.x["train"]),
        language=jnp.asarray(prepared.y["train"]),
        captions=jnp.asarray(rows.of_item),
        caption_count=jnp.asarray(rows.caption_count),
        negatives=jnp.asarray(rows.negatives),
        negative_count=jnp.asarray(rows.negative_count),
        owner=jnp.asarray(rows.owner, jnp.int32),
        group=jnp.asarray(groups, jnp.int32),
    )


def make_validation(modules: objective.Modulator, prepared: Prepared, mesh: jax.sharding.Mesh):
    """params -> recalls on the validation gallery as floats; one compiled program.

    'score' decides which epoch is kept: the mean recall; for 'rsa', which does not turn the sides into one frame, the
    Pearson correlation between the cosines among the images and those among their first captions.
    """
    exam = prepared.exams["validation"]
    first = exam.texts[np.unique(exam.gallery_owner, return_index=True)[1]]
    by_geometry = prepared.config["objective"]["name"] == "rsa"
    x, y = parallel.replicate((prepared.x["validation"], prepared.y["validation"]), mesh)

    @jax.jit
    def measured(params: Any, x: jax.Array, y: jax.Array) -> dict[str, jax.Array]:
        images = members.unit(members.encode(modules.vision, params["vision"], x))
        texts = members.unit(members.encode(modules.language, params["language"], y))
        found = evaluation.recalls(exam, images, texts)
        return found | {"score": 1 - geometry.rdm(images[exam.gallery], texts[first])} if by_geometry else found

    return lambda params: {name: float(value) for name, value in jax.device_get(measured(params, x, y)).items()}


def start_from(heads: baselines.Heads, params: Any, prepared: Prepared) -> Any:
    """Skip paths that start as the linear solution."""
    latent = prepared.config["model"]["latent"]
    for modality, x, mean, matrix in (
        ("vision", prepared.x["train"], heads.vision_mean, heads.vision_DxH),
        ("language", prepared.y["train"], heads.language_mean, heads.language_ExH),
    ):
        params = start.with_linear_paths(params, modality, x, mean, matrix[:, :latent], scale=np.sqrt(latent))
    return params


def fit_baseline(name: str, prepared: Prepared) -> baselines.Heads:
    """One baseline on the run's inputs and training split, its settings chosen on the run's validation split."""
    config, exam = prepared.config, prepared.exams["validation"]

    def score(images: np.ndarray, texts: np.ndarray) -> float:
        return float(evaluation.recalls(exam, images, texts)["score"])

    arguments: tuple[Any, ...] = prepared.matched
    held_out = {"x_validation": prepared.x["validation"], "y_validation": prepared.y["validation"]}
    chosen: dict[str, Any] = held_out | {"score": score}
    if name == "linear":
        return linear.linear_heads(
            *arguments, **chosen, seed=config["seed"], batch=config["train"]["batch"], latent=config["model"]["latent"],
            steps=prepared.steps,
            scale=1 / config["objective"]["temperature"], warmup=config["train"]["warmup"],
            groups_N=batches.groups(prepared.pairs, prepared.held[0], config["objective"]["same"]),
        )  # fmt: skip
    closed_form = baselines.cca if name == "cca" else baselines.ridge
    return closed_form(*arguments, **chosen, shared=prepared.spectra)


def _check_geometry(config: Mapping[str, Any]) -> None:
    weight, batch = config["objective"]["geometry"]["weight"], config["train"]["batch"]
    if config["objective"]["name"] == "rsa" and not weight:
        raise JamError("objective.geometry.weight is 0, but objective.name 'rsa' has no other term; use 1 or more")
    if weight and batch < geometry.LEAST:
        raise JamError(
            f"train.batch is {batch}; objective.geometry compares pairs of items, so use {geometry.LEAST} or more"
        )


def _check_kinds(wanted: tuple[str, ...], known: Any, key: str) -> None:
    known = sorted(set(known))
    for kind in wanted:
        if kind not in known:
            raise JamError(f"{key}: '{kind}' is unknown{suggest(kind, known)}")
