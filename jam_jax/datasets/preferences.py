"""Two pictures of one caption, of which people prefer one: the form of Pick-a-Pic, and the same made from pairs.

    python -m jam_jax.datasets.preferences --from=pickapic/data --out=data/preferences

Reads Parquet files with the public data set's columns caption, jpg_0, jpg_1, label_0, label_1 and writes a data folder
with two views, pictures/preferred and pictures/rejected, and one caption an item: the exporter gives three stores whose
rows belong together. Ties are dropped. Nothing is downloaded.
"""

import argparse
import hashlib
import pathlib
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jam_jax.activations.pairs import Pairs
from jam_jax.datasets import gather
from jam_jax.datasets.inspect import inspect
from jam_jax.datasets.usable import ON_BAD, caption_problem
from jam_jax.errors import JamError

COLUMNS = ("caption", "jpg_0", "jpg_1", "label_0", "label_1")
PREFERRED, REJECTED = "preferred", "rejected"
_ROWS = 64  # at a time: a row holds two pictures of up to a megabyte


class Choices(NamedTuple):
    """n times a caption, a preferred and a rejected picture: rows [n] of a language store and of a vision store."""

    captions: np.ndarray
    preferred: np.ndarray
    rejected: np.ndarray


class Written(NamedTuple):
    """What became of a data set of preferences: its pairs, how many ties were dropped, and what was left out."""

    pairs: Pairs
    ties: int
    skipped: gather.Skipped


def against_neighbours(pairs: Pairs, *, kind: str = "", seed: int = 0) -> Choices:
    """The true picture against that of a neighbour: another concept of the same category, split and source.

    One choice for each gallery item that has such a neighbour in the gallery, in the order of the pairs; which one, is
    drawn by seed and item id. The caption is the item's first, or its first of a kind.
    Raises JamError when no item has both.
    """
    caption_of: dict[int, int] = {}
    for row, (owner, found) in enumerate(zip(pairs.caption_items.tolist(), pairs.caption_kinds, strict=True)):
        if not kind or found == kind:
            caption_of.setdefault(owner, row)
    places: dict[tuple[str, str, str], list[int]] = {}
    gallery = np.flatnonzero(pairs.gallery).tolist()
    for item in gallery:
        places.setdefault(_place(pairs, item), []).append(item)
    choices = []
    for item in gallery:
        others = [other for other in places[_place(pairs, item)] if pairs.concepts[other] != pairs.concepts[item]]
        if others and item in caption_of:
            choices.append((caption_of[item], item, min(others, key=lambda other: _hash(pairs, seed, item, other))))
    if not choices:
        of_kind = f" and a caption of kind {kind!r}" if kind else ""
        raise JamError(f"no item of the gallery has a neighbour of its category and split{of_kind}")
    return Choices(*np.array(choices).T)


def read(source: str | pathlib.Path, out: str | pathlib.Path, *, limit: int = 0, on_bad: str = "stop") -> Written:
    """Reads one Parquet file, or all of a folder in order of their names, and writes a data folder.

    Items are numbered by their row. Equal captions are one concept, so no prompt is in two splits.

    Args:
      limit: ends after so many preferences; 0 reads all.
      on_bad: 'stop' raises JamError for a broken picture, an unusable caption or labels that are not 0, 0.5 and 1;
        'skip' leaves such rows out and lists them in skipped.json.

    Raises JamError for missing files or columns, when nothing is left, and when ``out`` holds a data set already.
    """
    out, skipped = pathlib.Path(out), gather.Skipped(on_bad)
    if (out / "pairs.parquet").exists():
        raise JamError(f"{out}: holds a data set already; choose another folder")
    for view in (PREFERRED, REJECTED):
        (out / "pictures" / view).mkdir(parents=True, exist_ok=True)
    items: list[gather.Item] = []
    ties = 0
    for number, (where, row) in enumerate(_rows(pathlib.Path(source))):
        if limit and len(items) == limit:
            break
        labels, pictures = (row["label_0"], row["label_1"]), [_bytes(row[name]) for name in ("jpg_0", "jpg_1")]
        if labels == (0.5, 0.5):
            ties += 1
            continue
        if problem := _problem(row["caption"], labels, pictures):
            skipped.add(where, problem)
            continue
        name = f"{number:08d}.jpg"
        for view, picture in zip((PREFERRED, REJECTED), pictures if labels[0] else reversed(pictures), strict=True):
            (out / "pictures" / view / name).write_bytes(picture)
        items.append(
            gather.Item(name[:-4], out / "pictures" / PREFERRED / name, ".jpg", where, {row["caption"].strip(): []})
        )
    made = gather.gather(items, skipped)
    gather.write(out, made, view=PREFERRED)
    return Written(made.pairs, ties, skipped)


def _rows(source: pathlib.Path) -> Iterator[tuple[str, dict[str, Any]]]:
    files = sorted(source.glob("*.parquet")) if source.is_dir() else [source]
    if not files or not files[0].is_file():
        raise JamError(f"{source}: no Parquet file there; download Pick-a-Pic, or name a file with its columns")
    for file in files:
        try:
            opened = pq.ParquetFile(file)
        except (pa.ArrowException, OSError) as error:
            raise JamError(f"{file}: is not a readable Parquet file ({type(error).__name__})") from error
        with opened:
            missing = [column for column in COLUMNS if column not in opened.schema_arrow.names]
            if missing:
                raise JamError(f"{file}: column {missing[0]!r} is missing; it needs {', '.join(COLUMNS)}")
            number = 0
            for batch in opened.iter_batches(_ROWS, columns=list(COLUMNS), use_threads=False):
                for row in batch.to_pylist():
                    yield f"{file.name} row {number}", row
                    number += 1


def _bytes(picture: Any) -> bytes:
    """The encoded picture: bytes, or a struct with such, which is how the datasets library stores it."""
    found = picture.get("bytes") if isinstance(picture, dict) else picture
    return found if isinstance(found, bytes) else b""


def _problem(caption: object, labels: tuple[Any, Any], pictures: list[bytes]) -> str:
    if sorted(labels, key=str) != [0, 1]:
        return f"the labels are {labels[0]} and {labels[1]}, not 0 and 1, or both 0.5 for a tie"
    for name, picture in zip(("jpg_0", "jpg_1"), pictures, strict=True):
        if reason := inspect(picture):
            return f"the picture {name} cannot be used: {reason}"
    return caption_problem(caption)


def _place(pairs: Pairs, item: int) -> tuple[str, str, str]:
    return pairs.categories[item], pairs.splits[item], pairs.sources[item]


def _hash(pairs: Pairs, seed: int, item: int, other: int) -> str:
    return hashlib.sha256(f"{seed}:{pairs.item_ids[item]}:{pairs.item_ids[other]}".encode()).hexdigest()


def main() -> None:
    """Command line: writes a data folder of preferences; bad input ends as one line and exit code 2."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--from", dest="source", type=pathlib.Path, required=True, help="a Parquet file or a folder")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--limit", type=int, default=0, help="end after so many preferences")
    parser.add_argument("--on_bad", choices=ON_BAD, default="stop")
    asked = parser.parse_args()
    try:
        made = read(asked.source, asked.out, limit=asked.limit, on_bad=asked.on_bad)
    except (JamError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    left_out = len(made.skipped.entries)
    print(f"{asked.out}: {made.pairs.items} preferences, {made.ties} ties dropped, {left_out} left out")


if __name__ == "__main__":
    main()


__all__ = ["COLUMNS", "PREFERRED", "REJECTED", "Choices", "Written", "against_neighbours", "read"]
