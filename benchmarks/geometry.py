"""Does the geometry term align structure, sooner, with less data, and does it help fine detail? Claims of RSA, tested.

    python benchmarks/geometry.py --json benchmarks/results/geometry.json

Small autoencoders (one member from a random start) on the embedded emoji; every seed deals the concepts anew. Structure
is measured on gallery items that were not trained on, one caption each. The parameters kept are those that validation
liked best. Each finished run is in the JSON at once; the same command goes on with what is missing. About 10
minutes of one busy core. The text around the numbers is docs/geometry.md.
"""

import argparse
import functools
import json
import pathlib
import platform
import sys
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parents[1])]
from structure import NAMES, layers, measures, rotation, rows_of_unit_length  # noqa: E402

from jam_jax import config as config_lib  # noqa: E402
from jam_jax import evaluation, main, run  # noqa: E402
from jam_jax.activations import batches  # noqa: E402
from jam_jax.training import objective, state, step  # noqa: E402

STEPS, EVERY, BATCH = 240, 12, 64
FRACTIONS = (0.05, 0.1, 0.25, 0.5)
WEIGHTS = (3.0, 30.0, 300.0)  # of gram beside Con
OTHERS = {"rdm": 3.0, "offset": 30.0, "cka": 3.0}  # as strong at the start as gram with 30: their values are larger
CURVE = (*NAMES, *(f"frozen_{name}" for name in NAMES), "recall")  # after the step number
SMALL = {
    "data.split": "seed",
    "data.vision_layer": (13, 16, 17),
    "data.components": 256,
    "model.init": ("random",),
    "model.hidden": (128,),
    "model.latent": 128,
    "train.batch": BATCH,
    "baselines": (),
}


class Case(NamedTuple):
    """One thing to train: an objective, the share of the training concepts, and whether captions are dealt wrongly."""

    name: str
    form: str = "gram"
    weight: float = 0.0
    fraction: float = 1.0
    shuffled: bool = False

    @property
    def label(self) -> str:
        """How the JSON names it."""
        term = f" + {self.weight:g} {self.form}" if self.weight else ""
        rest = (f" of {self.fraction:.0%}" if self.fraction < 1 else "") + (" shuffled" if self.shuffled else "")
        return f"{self.name}{term}{rest}"


class Dealt(NamedTuple):
    """The data of one seed: all items and captions stand in one array, training ones first, so that shapes agree."""

    prepared: run.Prepared
    split: batches.Split
    concepts: np.ndarray
    items: dict[str, np.ndarray]  # split -> gallery rows
    texts: dict[str, np.ndarray]  # split -> rows of their captions
    owner: dict[str, np.ndarray]  # split -> place of each caption's item


@functools.cache
def deal(seed: int) -> Dealt:
    """Splits, inputs and questions of a seed."""
    prepared = run.prepare(base() | {"seed": seed}, pathlib.Path("no-such-run"))
    split = run.device_split(prepared)
    x, y = (np.concatenate([side[part] for part in run.SPLITS]) for side in (prepared.x, prepared.y))
    items, texts, owner = {}, {}, {}
    for part, exam in prepared.exams.items():
        before = run.SPLITS[: run.SPLITS.index(part)]
        items[part] = exam.gallery + sum(len(prepared.x[name]) for name in before)
        texts[part] = exam.texts + sum(len(prepared.y[name]) for name in before)
        owner[part] = exam.gallery_owner
    padded = {
        name: _padded(np.asarray(getattr(split, name)), len(x if name in ("captions", "caption_count", "group") else y))
        for name in ("captions", "caption_count", "group", "negatives", "negative_count", "owner")
    }
    whole = batches.Split(vision=jnp.asarray(x), language=jnp.asarray(y), **padded)
    concepts = np.asarray(prepared.pairs.concepts)[prepared.rows["train"].items]
    return Dealt(prepared, whole, concepts, items, texts, owner)


def _padded(values: np.ndarray, rows: int) -> jax.Array:
    width = 64 if values.ndim == 2 else None
    shape = (rows,) if width is None else (rows, width)
    out = np.zeros(shape, values.dtype)
    out[tuple(slice(0, size) for size in values.shape)] = values
    return jnp.asarray(out)


@functools.cache
def base() -> dict[str, Any]:
    """configs/spread.py made small."""
    config = config_lib.load_file("configs/spread.py")
    config.update_from_flattened_dict(SMALL)
    return config_lib.validate(config, main.SCHEMA)


@functools.cache
def program(name: str, form: str, weight: float) -> Any:
    """init(key) and advance(state, split, items_SxB) of an objective, compiled once for all seeds."""
    own = {"name": name, "geometry": {"form": form, "weight": weight, "warmup": 0.1}}
    config = base() | {"objective": base()["objective"] | own}
    modules = objective.modulator(config["model"], *(deal(0).split[side].shape[1] for side in (0, 1)))
    train_step = step.make_step(config, modules, STEPS)
    negatives = 0 if name in ("con", "rsa") else config["objective"]["negatives"]

    def init(key: jax.Array) -> state.State:
        params = state.init_params(modules, key, config["objective"]["temperature"])
        return state.init_state(params, step.make_optimizer(config, STEPS), key)

    def advance(begun: state.State, split: batches.Split, items_SxB: jax.Array) -> state.State:
        def body(current: state.State, items_B: jax.Array) -> tuple[state.State, None]:
            keys = jax.random.split(jax.random.fold_in(jax.random.wrap_key_data(current.key), current.step))
            batch = batches.draw(split, items_B, keys[0], negatives=negatives)
            return train_step(current, batch, keys[1])[0], None

        return jax.lax.scan(body, begun, items_SxB)[0]

    return jax.jit(init), jax.jit(advance)


@jax.jit
def encode(params: Any, x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Latents of items and captions."""
    modules = objective.modulator(base()["model"], x.shape[1], y.shape[1])
    return (
        modules.vision.apply({"params": params["vision"]}, x, method="encode"),
        modules.language.apply({"params": params["language"]}, y, method="encode"),
    )  # type: ignore[return-value]


def train(case: Case, seed: int) -> dict[str, Any]:
    """Trains one case; its validation curve, and what the parameters that validation liked best score on test."""
    dealt, rng = deal(seed), np.random.default_rng(seed)
    init, advance = program(case.name, case.form, case.weight)
    names = rng.permutation(np.unique(dealt.concepts))  # smaller shares are parts of larger ones
    allowed = np.flatnonzero(np.isin(dealt.concepts, names[: round(case.fraction * len(names))]))
    split, wrong = dealt.split, rng.permutation(len(dealt.concepts))
    if case.shuffled:
        place = np.concatenate([wrong, np.arange(len(wrong), len(split.vision))])
        split = split._replace(captions=split.captions[place], caption_count=split.caption_count[place])
    each = len(allowed) // BATCH * BATCH or len(allowed)  # fewer items than a batch stand in it more than once
    order = np.concatenate([rng.permutation(allowed)[:each] for _ in range(-(-STEPS * BATCH // each))])
    order_SxB = jnp.asarray(order[: STEPS * BATCH].reshape(STEPS, BATCH), jnp.int32)

    current = init(state.member_key(seed, 0))
    curve, best, best_score = [], current.params, -np.inf
    for done in range(0, STEPS + 1, EVERY):
        if done:
            current = advance(current, split, order_SxB[done - EVERY : done])
        found = look(current.params, dealt, "validation")
        curve.append([done, *(round(found[name], 4) for name in CURVE)])
        score = found["rsa"] if case.name == "rsa" else found["recall"]
        if score > best_score:
            best, best_score = current.params, score
    return {"case": case.label, "seed": seed, "test": examine(best, dealt), "curve": curve}


def look(params: Any, dealt: Dealt, part: str) -> dict[str, float]:
    """Structure and mean recall on the gallery of a split."""
    x, y = np.asarray(dealt.split.vision)[dealt.items[part]], np.asarray(dealt.split.language)[dealt.texts[part]]
    images, texts = map(np.asarray, encode(params, x, y))
    first = np.unique(dealt.owner[part], return_index=True)[1]
    recall = recalls(images, texts, dealt.owner[part])
    frozen = measures(images, y[first])
    return measures(images, texts[first]) | {f"frozen_{name}": frozen[name] for name in NAMES} | {"recall": recall[0]}


def recalls(images: np.ndarray, texts: np.ndarray, owner: np.ndarray) -> tuple[float, float, float]:
    """Mean of R@1, 5, 10 both ways; R@1; R@10."""
    from jam_jax.metrics import retrieval

    images, texts = rows_of_unit_length(images), rows_of_unit_length(texts)
    ways = [ask(images, texts, owner) for ask in (retrieval.image_to_text, retrieval.text_to_image)]
    each = [float(np.mean([way[f"r@{k}"] for way in ways])) for k in (1, 5, 10)]
    return float(np.mean(each)), each[0], each[2]


def examine(params: Any, dealt: Dealt) -> dict[str, float]:
    """The test split: structure, retrieval (also after one rotation fitted on training pairs), fine detail."""
    found = look(params, dealt, "test")
    images, texts = (np.asarray(side) for side in encode(params, dealt.split.vision, dealt.split.language))
    train_items = np.arange(len(dealt.concepts))
    train_texts = np.asarray(dealt.split.captions)[train_items, 0]
    sides = [rows_of_unit_length(images[train_items]), rows_of_unit_length(texts[train_texts])]
    turned = images @ rotation(*(side - side.mean(0) for side in sides))
    pick = dealt.items["test"], dealt.texts["test"]
    found["r@1"], found["r@10"] = recalls(images[pick[0]], texts[pick[1]], dealt.owner["test"])[1:]
    found["r@10_rotated"] = recalls(turned[pick[0]], texts[pick[1]], dealt.owner["test"])[2]
    sizes = [len(dealt.prepared.x["test"]), len(dealt.prepared.y["test"])]
    choices = evaluation.score(
        dealt.prepared.exams["test"], rows_of_unit_length(images[-sizes[0] :]), rows_of_unit_length(texts[-sizes[1] :])
    )["choice"]
    found |= {name: choices[name] for name in ("medium", "hard")}
    found |= {kind: choices["hard_by_kind"].get(kind, float("nan")) for kind in ("skin", "gender")}
    return {name: round(float(value), 4) for name, value in found.items()}


def beside_con() -> list[Case]:
    """Every term beside Con; the validation split chooses among them."""
    return [*(Case("con", "gram", weight) for weight in WEIGHTS), *(Case("con", *other) for other in OTHERS.items())]


def alone() -> list[Case]:
    """Every form by itself."""
    return [Case("rsa", form, weight) for form, weight in {"gram": 30.0, **OTHERS}.items()]


def choose(runs: list[dict[str, Any]]) -> Case:
    """The term with the highest mutual kNN at the end of training on validation: no form trains on that."""
    place = 1 + CURVE.index("mutual_knn")
    ends = {case: [one["curve"][-1][place] for one in runs if one["case"] == case.label] for case in beside_con()}
    return max(ends, key=lambda case: float(np.mean(ends[case])))


def after(chosen: Case) -> list[Case]:
    """What is run with the chosen term: Spread, shuffled captions, shares of the training concepts."""
    kinds = [Case("con"), chosen, chosen._replace(name="rsa")]
    fractions = [kind._replace(fraction=fraction) for fraction in FRACTIONS for kind in kinds]
    shuffled = [kind._replace(shuffled=True) for kind in kinds]
    return [chosen._replace(name="spread"), *kinds, *shuffled, *fractions]


def main_() -> None:
    """Runs what the JSON lacks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=pathlib.Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    settings = {"steps": STEPS, "curve": ["step", *CURVE], "config": json.loads(json.dumps(base()))}
    content: dict[str, Any] = json.loads(arguments.json.read_text()) if arguments.json.exists() else {}
    if content.get("settings") != settings:
        environment = {"python": platform.python_version(), "jax": jax.__version__}
        content = {"name": "geometry", "environment": environment, "settings": settings, "layers": layers(), "runs": []}

    def finish(wanted: list[Case]) -> None:
        there = {(one["case"], one["seed"]) for one in content["runs"]}
        for case in wanted:
            for seed in range(arguments.seeds):
                if (case.label, seed) not in there:
                    began = time.perf_counter()
                    content["runs"].append(train(case, seed))
                    write(content, arguments.json)
                    print(f"{case.label}, seed {seed} ({time.perf_counter() - began:.1f} s)", flush=True)

    finish([Case("con"), Case("spread"), *beside_con(), *alone()])
    chosen = choose(content["runs"])
    content["chosen"] = {"form": chosen.form, "weight": chosen.weight}
    finish(after(chosen))
    write(content, arguments.json)


def write(content: dict[str, Any], file: pathlib.Path) -> None:
    """One line for each run and layer pair."""
    file.parent.mkdir(parents=True, exist_ok=True)
    blocks = []
    for key, value in content.items():
        lines = value if isinstance(value, list) else None
        text = "[\n  " + ",\n  ".join(map(json.dumps, lines)) + "\n ]" if lines else json.dumps(value)
        blocks.append(f' "{key}": {text}')
    part = file.with_suffix(".part")
    part.write_text("{\n" + ",\n".join(blocks) + "\n}\n")
    part.replace(file)


if __name__ == "__main__":
    main_()
