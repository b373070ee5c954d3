"""A data folder -> a copy of it with manipulated pictures or captions, which exports like any other.

    python -m jam_jax.datasets.manipulate --folder=data/scenes --view=all --manipulation=grayscale --out=data/manipulated/grayscale

Rows keep their order and ids, so that stores of copies and of the original can be compared row by row. Objects are told
from their surroundings by masks/<view>/<item id>.png where the folder has them, else by the alpha channel.
"""  # noqa: E501

import argparse
import dataclasses
import functools
import pathlib
import sys

import numpy as np
from PIL import Image, UnidentifiedImageError

from jam_jax.activations.pairs import Pairs
from jam_jax.config import suggest
from jam_jax.datasets import caption_manipulations, gather, manipulations
from jam_jax.datasets.manipulations import Sample, generator_of
from jam_jax.datasets.scenes import png
from jam_jax.datasets.usable import picture_files
from jam_jax.errors import JamError

ALL = (*manipulations.MANIPULATIONS, *caption_manipulations.MANIPULATIONS)


def manipulate(
    folder: pathlib.Path, manipulation: str, out: pathlib.Path, *, view: str = "fluent", seed: int = 0
) -> list[str]:
    """Writes the copy; returns the ids of captions that were kept whole because nothing would have been left of them.

    Manipulated pictures are PNG; those that stay as they are become hard links where possible. Raises JamError for an
    unknown manipulation, a missing or unreadable picture or mask, and rather than overwrite another picture.
    """
    if manipulation not in ALL:
        known = ", ".join(ALL)
        raise JamError(f"manipulation '{manipulation}' is unknown{suggest(manipulation, ALL)} (there are {known})")
    pairs = Pairs.open(folder / "pairs.parquet")
    parts = (folder / part / view for part in ("pictures", "masks", "backgrounds"))
    pictures, masks, backgrounds = map(picture_files, parts)
    missing = [item for item in pairs.item_ids if item not in pictures]
    if missing:
        raise JamError(f"{folder / 'pictures' / view}: {len(missing)} items have no picture, the first is {missing[0]}")
    kept: list[str] = []
    if manipulation in caption_manipulations.MANIPULATIONS:
        texts, rows = caption_manipulations.manipulate(pairs.caption_texts, pairs.caption_ids, manipulation, seed)
        kept = [pairs.caption_ids[row] for row in rows]
        pairs = dataclasses.replace(pairs, caption_texts=texts)
        items = [gather.Item(item, pictures[item], pictures[item].suffix.lower(), item) for item in pairs.item_ids]
    else:

        def changed(item: str) -> bytes:
            sample = Sample(
                _read(pictures[item], "RGB", "RGBA"),
                _read(masks[item], "L", "L") if item in masks else None,
                _read(backgrounds[item], "RGB", "RGB") if item in backgrounds else None,
                generator_of(item, seed),
            )
            try:
                return png(manipulations.MANIPULATIONS[manipulation](sample))
            except JamError as error:
                raise JamError(f"{pictures[item]}: {manipulation}: {error}") from error

        items = [gather.Item(item, functools.partial(changed, item), ".png", item) for item in pairs.item_ids]
    gather.write(out, gather.Gathered(pairs, items, gather.Skipped("stop")), view=view)
    return kept


def _read(file: pathlib.Path, opaque: str, transparent: str) -> np.ndarray:
    """Pixels in one mode, or in the other if the picture has transparency; JamError for a broken file."""
    try:
        with Image.open(file) as opened:
            opened.load()
            return np.array(opened.convert(transparent if opened.has_transparency_data else opaque))
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise JamError(f"{file}: is no readable picture ({type(error).__name__})") from error


def main() -> None:
    """Command line: writes one manipulated copy; bad input ends as one line and exit code 2."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("data"))
    parser.add_argument("--view", default="fluent")
    parser.add_argument("--manipulation", required=True, help=f"one of {', '.join(ALL)}")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    try:
        kept = manipulate(asked.folder, asked.manipulation, asked.out, view=asked.view, seed=asked.seed)
    except (JamError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"{asked.out}: {asked.manipulation}")
    if kept:
        print(f"{len(kept)} captions would have been empty and are kept whole, the first is {kept[0]}")


if __name__ == "__main__":
    main()


__all__ = ["ALL", "manipulate"]
