"""Scenes whose masks are exact: things with an alpha channel laid on photographs.

    python -m jam_jax.datasets.scenes --data=data --backgrounds=data --out=data/scenes

Writes a data folder: pairs.parquet, pictures/all (the scenes), masks/all (255 where the thing is), backgrounds/all (the
scene as it was without the thing) and photographs.json (which photograph a scene is cut from). A thing keeps its own
captions and gets three that also say where it is.
"""

import argparse
import dataclasses
import hashlib
import io
import json
import pathlib
import sys
from typing import NamedTuple

import numpy as np
from PIL import Image

from jam_jax.activations import selection
from jam_jax.activations.pairs import Pairs
from jam_jax.datasets import backgrounds, gather
from jam_jax.datasets.manipulations import generator_of
from jam_jax.datasets.usable import picture_files
from jam_jax.errors import JamError

SIZE = 224  # pixels a side: what the vision backbones here take, so that nothing is resized again
VIEW = "all"
PHOTOGRAPHS = "photographs.json"
KIND = "scene"  # of the captions that say where the object is
_SOLID = 128  # of an alpha channel, from here on a pixel belongs to the object
_COVERED = (0.1, 0.95)  # share of its own box that an object covers: less is a line, more is a framed picture
_LARGE = (0.5, 0.7)  # longer side of an object as a share of the scene's
_CROP = (0.7, 1.0)  # side of the square cut out of a photograph as a share of its shorter side
# Signs and symbols, which do not stand anywhere.
_FLAT = (
    "alphanum", "arrow", "av-symbol", "currency", "emotion", "gender", "geometric", "keycap", "math", "other-symbol",
    "punctuation", "religion", "time", "transport-sign", "warning", "zodiac", "component", "symbols",
)  # fmt: skip


class Scene(NamedTuple):
    """Picture and background, uint8 [SIZE, SIZE, 3], and mask, uint8 [SIZE, SIZE]."""

    picture: np.ndarray
    mask: np.ndarray
    background: np.ndarray


def compose(thing: Image.Image, photograph: Image.Image, generator: np.random.Generator) -> Scene:
    """Lays a thing on a square cut out of a photograph; size, place, cut and mirroring are drawn.

    The mask is the alpha channel as it was laid on, half-transparent edges included, so ``picture`` is exactly the
    thing over ``background``. Raises JamError for a thing without transparency.
    """
    if not thing.has_transparency_data:
        raise JamError("a thing has no transparency, so there is no telling it from what is around it")
    cut = _cut(photograph, generator)
    whole = thing.convert("RGBA")
    box = whole.getchannel("A").getbbox()
    if box is None:
        raise JamError("a thing is nothing but transparency; leave it out")
    whole = whole.crop(box)
    scale = SIZE * generator.uniform(*_LARGE) / max(whole.size)
    width, height = (max(1, round(side * scale)) for side in whole.size)
    left, upper = (int(generator.integers(SIZE - side + 1)) for side in (width, height))
    layer = Image.new("RGBA", cut.size)
    layer.paste(whole.resize((width, height), Image.Resampling.LANCZOS), (left, upper))
    picture = cut.convert("RGBA")
    picture.alpha_composite(layer)
    return Scene(np.asarray(picture.convert("RGB")), np.asarray(layer.getchannel("A")), np.asarray(cut))


def choose(pairs: Pairs, files: dict[str, pathlib.Path], count: int, seed: int = 0) -> np.ndarray:
    """Rows of the items to lay on photographs: one of a concept, things only, in the order of the pairs.

    Raises JamError when fewer than ``count`` can be used.
    """
    order = sorted(np.flatnonzero(pairs.gallery).tolist(), key=lambda row: _hash(f"{seed}:{pairs.item_ids[row]}"))
    rows: list[int] = []
    concepts: set[str] = set()
    for row in order:
        if len(rows) == count:
            break
        if pairs.concepts[row] not in concepts and _is_thing(pairs.categories[row], files.get(pairs.item_ids[row])):
            rows.append(row)
            concepts.add(pairs.concepts[row])
    if len(rows) < count:
        raise JamError(f"items: {count} scenes are asked for, but only {len(rows)} things have a usable outline")
    return np.array(sorted(rows))


def captioned(pairs: Pairs, rows: np.ndarray, behind: list[int]) -> Pairs:
    """The pairs of some items with three more captions each: their name and a phrase of their background.

    Captions of an item follow each other: its own ones, then three of kind 'scene', the first of its own and a phrase.
    """
    captions = np.flatnonzero(np.isin(pairs.caption_items, rows))
    taken = selection.take(pairs, rows, captions)
    names: dict[int, str] = {}
    for owner, text in zip(taken.caption_items.tolist(), taken.caption_texts, strict=True):
        names.setdefault(owner, text)
    added = [(item, f"{names[item]} {phrase}")
             for item in range(taken.items) for phrase in backgrounds.BACKGROUNDS[behind[item]].phrases]  # fmt: skip
    owners = np.concatenate([taken.caption_items, [item for item, _ in added]]).astype(np.int64)
    order = np.argsort(owners, kind="stable")
    place = np.argsort(order)
    texts = taken.caption_texts + [text for _, text in added]
    kinds = taken.caption_kinds + [KIND] * len(added)
    negative_rows = taken.negative_rows + [[] for _ in added]
    negative_kinds = taken.negative_kinds + [[] for _ in added]
    return dataclasses.replace(
        taken,
        caption_texts=[texts[m] for m in order],
        caption_kinds=[kinds[m] for m in order],
        caption_items=owners[order],
        negative_rows=[[int(place[row]) for row in negative_rows[m]] for m in order],
        negative_kinds=[negative_kinds[m] for m in order],
    )


def write(
    data: pathlib.Path, photographs: pathlib.Path, out: pathlib.Path, *, view: str, items: int, seed: int = 0
) -> Pairs:
    """Composes scenes from the pictures of a data folder's view and writes a data folder of them.

    Raises JamError when pairs, pictures or photographs are missing.
    """
    pairs = Pairs.open(data / "pairs.parquet")
    pictures = data / "pictures" / view
    if not pictures.is_dir():
        raise JamError(f"{pictures}: no such folder; name a view of {data / 'pictures'} with --view")
    files = picture_files(pictures)
    opened = [Image.open(file).convert("RGB") for file in backgrounds.files(photographs)]
    rows = choose(pairs, files, items, seed)
    behind = _deal(len(rows), len(opened), seed)
    scenes = []
    for row, photograph in zip(rows.tolist(), behind, strict=True):
        item = pairs.item_ids[row]
        with Image.open(files[item]) as thing:
            scenes.append(compose(thing, opened[photograph], generator_of(item, seed)))
    made = captioned(pairs, rows, behind)
    for folder, part in (("masks", "mask"), ("backgrounds", "background")):
        (out / folder / VIEW).mkdir(parents=True, exist_ok=True)
        for item, scene in zip(made.item_ids, scenes, strict=True):
            (out / folder / VIEW / f"{item}.png").write_bytes(png(getattr(scene, part)))
    gathered = [
        gather.Item(item, (lambda scene=scene: png(scene.picture)), ".png", f"scene {item}")  # type: ignore[misc]
        for item, scene in zip(made.item_ids, scenes, strict=True)
    ]
    gather.write(out, gather.Gathered(made, gathered, gather.Skipped("stop")), view=VIEW)
    said = {item: backgrounds.BACKGROUNDS[number].file for item, number in zip(made.item_ids, behind, strict=True)}
    (out / PHOTOGRAPHS).write_text(json.dumps(said, indent=1) + "\n")
    return made


def photographs_of(folder: pathlib.Path, pairs: Pairs) -> np.ndarray:
    """For each item the number of the photograph that its scene is cut from, int [N].

    Raises JamError when the folder is none of scenes, or one of other items.
    """
    file = folder / PHOTOGRAPHS
    if not file.is_file():
        raise JamError(f"{file}: is missing; jam_jax.datasets.scenes writes it beside the scenes")
    said = json.loads(file.read_text())
    missing = [item for item in pairs.item_ids if item not in said]
    if missing:
        raise JamError(f"{file}: says nothing of {missing[0]}; the pairs are those of other scenes")
    return np.unique([said[item] for item in pairs.item_ids], return_inverse=True)[1]


def within(x_NxD: np.ndarray, photographs_N: np.ndarray) -> np.ndarray:
    """Activations less the mean of all scenes on the same photograph, float32 [N, D].

    What is left says nothing of which photograph it is: with few photographs and captions that name them, models agree
    on these before anything else.
    """
    members_PxN = np.arange(photographs_N.max() + 1)[:, None] == photographs_N
    means_PxD = members_PxN @ x_NxD.astype(np.float32) / np.maximum(members_PxN.sum(1, keepdims=True), 1)
    return (x_NxD - means_PxD[photographs_N]).astype(np.float32)


def png(pixels: np.ndarray) -> bytes:
    """The bytes of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _cut(photograph: Image.Image, generator: np.random.Generator) -> Image.Image:
    side = int(min(photograph.size) * generator.uniform(*_CROP))
    left, upper = (int(generator.integers(length - side + 1)) for length in photograph.size)
    box = (left, upper, left + side, upper + side)
    cut = photograph.convert("RGB").resize((SIZE, SIZE), Image.Resampling.LANCZOS, box=box, reducing_gap=3)
    return cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if generator.integers(2) else cut


def _deal(items: int, photographs: int, seed: int) -> list[int]:
    """A photograph for each item, each as often as another."""
    return np.random.default_rng(seed).permutation(np.arange(items) % photographs).tolist()


def _is_thing(category: str, file: pathlib.Path | None) -> bool:
    if file is None or category.startswith(_FLAT):
        return False
    with Image.open(file) as picture:
        if not picture.has_transparency_data:
            return False
        alpha = picture.convert("RGBA").getchannel("A")
    box = alpha.getbbox()
    return box is not None and _COVERED[0] < float(np.mean(np.asarray(alpha.crop(box)) >= _SOLID)) < _COVERED[1]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def main() -> None:
    """Command line: writes a folder of scenes; bad input ends as one line and exit code 2."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path("data"), help="pairs and pictures of things")
    parser.add_argument("--view", default="fluent")
    parser.add_argument("--backgrounds", type=pathlib.Path, default=pathlib.Path("data"))
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("data/scenes"))
    parser.add_argument("--items", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    try:
        made = write(asked.data, asked.backgrounds, asked.out, view=asked.view, items=asked.items, seed=asked.seed)
    except (JamError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"{asked.out}: {made.items} scenes, {made.captions} captions")


if __name__ == "__main__":
    main()


__all__ = [
    "KIND", "PHOTOGRAPHS", "SIZE", "VIEW", "Scene", "captioned", "choose", "compose", "photographs_of", "png", "within",
    "write",
]  # fmt: skip
