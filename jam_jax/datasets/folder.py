"""Anyone's own pictures: a folder with captions.jsonl or captions.csv.

    python -m jam_jax.datasets.folder --folder=mine --on_bad=skip --negatives=rules

One row is one caption of one picture: ``image`` (a path inside the folder) and ``caption``, and where wanted
``negatives`` (wrong captions: a list, in CSV also separated by '|'), ``concept``, ``category`` and ``split``. Rows with
the same image are captions of one picture. It writes pairs.parquet, pictures/all and skipped.json into the folder.
"""

import argparse
import csv
import json
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

from jam_jax.activations.pairs import SPLITS
from jam_jax.config import suggest
from jam_jax.datasets import gather, negatives
from jam_jax.datasets.gather import Gathered, Item, Skipped
from jam_jax.errors import JamError

NEEDED = ("image", "caption")
COLUMNS = (*NEEDED, "negatives", "concept", "split", "category")
GIVEN = "given"  # the kind of hard negatives that the folder brings itself


def read(folder: str | pathlib.Path, *, on_bad: str = "stop", seed: int = 0) -> Gathered:
    """Pairs, items and what was left out, each with file, line and reason.

    With on_bad='stop' the first bad row raises JamError; a missing file or wrong columns of a CSV always do. See the
    module's docstring for the form, and ``gather.gather`` for concepts and splits that are not given.
    """
    folder, skipped = pathlib.Path(folder), Skipped(on_bad)
    if not folder.is_dir():
        raise JamError(f"{folder}: no such folder; name one with captions.jsonl or captions.csv")
    files = [folder / name for name in ("captions.jsonl", "captions.csv") if (folder / name).is_file()]
    if len(files) != 1:
        found = "both captions.jsonl and captions.csv, keep one" if files else "neither captions.jsonl nor captions.csv"
        raise JamError(f"{folder}: holds {found}; docs/negatives.md shows their form")
    by_image: dict[str, Item] = {}
    rows = _json_rows if files[0].suffix == ".jsonl" else _csv_rows
    for where, row in rows(files[0], skipped):
        problem = _take(row, where, folder, by_image)
        if problem:
            skipped.add(where, problem)
    return gather.gather(by_image.values(), skipped, seed=seed)


def write(
    folder: str | pathlib.Path,
    out: str | pathlib.Path | None = None,
    *,
    on_bad: str = "stop",
    make: str = "none",
    seed: int = 0,
) -> Gathered:
    """Reads a folder and writes pairs.parquet, pictures/all and skipped.json into it, or into ``out``.

    ``make`` adds hard negatives: 'rules' (English captions) or 'neighbours' (needs categories). Raises JamError.
    """
    gathered = read(folder, on_bad=on_bad, seed=seed)
    gathered = gathered._replace(pairs=negatives.make(make, gathered.pairs, seed=seed))
    gather.write(pathlib.Path(out or folder), gathered)
    return gathered


def _take(row: dict[str, Any], where: str, folder: pathlib.Path, by_image: dict[str, Item]) -> str:
    """Adds a row to the item of its picture, or says why it cannot be used."""
    missing = [column for column in NEEDED if row.get(column) in (None, "")]
    if missing:
        return f"{missing[0]!r} is missing"
    if not isinstance(row["image"], str):
        return f"'image' is {type(row['image']).__name__}, not a path"
    image = pathlib.PurePosixPath(row["image"])
    if image.is_absolute() or ".." in image.parts:
        return f"the picture {row['image']!r} lies outside the folder; put it inside"
    problem = gather.picture_problem(folder / image) or gather.caption_problem(row["caption"])
    if problem:
        return problem
    wrong, problem = _negatives(row.get("negatives"))
    if problem:
        return problem
    said = {name: str(row.get(name) or "").strip() for name in ("concept", "category", "split")}
    if said["split"] and said["split"] not in SPLITS:
        return f"split {said['split']!r} is unknown; choose from {', '.join(SPLITS)}"
    item = by_image.setdefault(
        image.as_posix(),
        Item(
            "__".join(image.with_suffix("").parts), folder / image, image.suffix.lower(), where,
            concept=said["concept"], category=said["category"], split=said["split"],
        ),
    )  # fmt: skip
    for name, value in said.items():
        if value and getattr(item, name) not in ("", value):
            return f"{name} {value!r} contradicts {getattr(item, name)!r} in {item.where}"
        setattr(item, name, value or getattr(item, name))
    known = item.captions.setdefault(row["caption"].strip(), [])
    known.extend((text, GIVEN) for text in wrong if (text, GIVEN) not in known)
    taken = {negatives.same(caption) for caption in item.captions}
    for caption, listed in item.captions.items():
        if any(negatives.same(text) in taken for text, _ in listed):
            item.captions[caption] = [entry for entry in listed if negatives.same(entry[0]) not in taken]
            return "a negative is a true caption of the same picture, so it is none"
    return ""


def _negatives(value: Any) -> tuple[list[str], str]:
    """The list of negatives of a row, and what is wrong with it."""
    if value in (None, "", []):
        return [], ""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.lstrip().startswith("[") else value.split("|")
        except ValueError:
            return [], "'negatives' begins like a JSON list and is none"
    if not isinstance(value, list):
        return [], f"'negatives' is {type(value).__name__}, not a list of texts"
    for text in value:
        if problem := gather.caption_problem(text):
            return [], f"of a negative: {problem}"
    return [text.strip() for text in value], ""


def _json_rows(file: pathlib.Path, skipped: Skipped) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(file.read_bytes().split(b"\n"), 1):
        where = f"{file.name} line {number}"
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            skipped.add(where, f"is no JSON ({error})")
            continue
        if not isinstance(row, dict):
            skipped.add(where, f"is {type(row).__name__}; write one object a line")
        elif unknown := [column for column in row if column not in COLUMNS]:
            skipped.add(where, f"column {unknown[0]!r} is unknown{suggest(unknown[0], COLUMNS)}")
        else:
            yield where, row


def _csv_rows(file: pathlib.Path, skipped: Skipped) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise JamError(f"{file}: is not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from error
    reader = csv.DictReader(text.replace("\0", "\ufffd").splitlines(keepends=True), strict=True)
    columns = reader.fieldnames or []
    for column in columns:
        if column not in COLUMNS:
            raise JamError(f"{file} line 1: column {column!r} is unknown{suggest(column, COLUMNS)}")
    for column in NEEDED:
        if column not in columns:
            raise JamError(f"{file} line 1: column {column!r} is missing; the first line names the columns")
    try:
        for row in reader:
            where = f"{file.name} line {reader.line_num}"
            if None in row or None in row.values():
                skipped.add(where, f"has not {len(columns)} fields; put texts with a comma in double quotes")
            else:
                yield where, row
    except csv.Error as error:
        raise JamError(f"{file} after line {reader.line_num}: {error}; put quotes in pairs") from error


def main() -> None:
    """Command line: prepares a folder; bad input ends as one line and exit code 2."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, help="another folder for what is written")
    parser.add_argument("--on_bad", choices=gather.ON_BAD, default="stop")
    parser.add_argument("--negatives", choices=negatives.MADE, default="none")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    try:
        gathered = write(asked.folder, asked.out, on_bad=asked.on_bad, make=asked.negatives, seed=asked.seed)
    except (JamError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    print(gather.summary(asked.out or asked.folder, gathered))


if __name__ == "__main__":
    main()


__all__ = ["COLUMNS", "GIVEN", "read", "write"]
