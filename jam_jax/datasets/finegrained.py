"""Benchmarks of fine-grained understanding as pairs for testing: SugarCrepe, ARO and Winoground.

    python -m jam_jax.datasets.finegrained --format=sugarcrepe --annotations=data --pictures=val2017 --out=sugarcrepe

All items are in the test split: 'hard' choice by kind is the benchmark's score. Nothing is downloaded; where the
annotations and pictures come from, and under which terms, the benchmarks' own pages say.
"""

import argparse
import io
import json
import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

from jam_jax.datasets import gather, negatives
from jam_jax.datasets.gather import Gathered, Item, Skipped
from jam_jax.errors import JamError

TEST = "test"
_BOX = ("bbox_x", "bbox_y", "bbox_w", "bbox_h")


def sugarcrepe(annotations: pathlib.Path, pictures: pathlib.Path, *, on_bad: str = "stop") -> Gathered:
    """SugarCrepe: a JSON file, or a folder with one for each category (swap_att.json, ...).

    A file holds {"0": {"filename", "caption", "negative_caption"}, ...}; filenames are those of COCO val2017. The kind
    of a negative is the name of its file. Entries about one picture are captions of one item.
    """
    skipped = Skipped(on_bad)
    items: dict[str, Item] = {}
    for file in _files(annotations):
        entries = _load(file)
        if not isinstance(entries, dict):
            raise JamError(f"{file}: is no SugarCrepe file; it holds one object with an entry for each number")
        for number, entry in entries.items():
            where = f"{file.name} entry {number}"
            problem = _fields(entry, "filename", "caption", "negative_caption")
            problem = problem or gather.picture_problem(pictures / entry["filename"])
            if problem or (problem := _wrong(entry["caption"], entry["negative_caption"])):
                skipped.add(where, problem)
                continue
            picture = pictures / entry["filename"]
            item = items.setdefault(entry["filename"], _item(picture, where))
            _say(item, entry["caption"], entry["negative_caption"], file.stem)
    return gather.gather(_without_contradictions(items.values(), skipped), skipped)


def aro(annotations: pathlib.Path, pictures: pathlib.Path, *, on_bad: str = "stop") -> Gathered:
    """ARO's Visual Genome parts: visual_genome_relation.json, visual_genome_attribution.json, or a folder with both.

    A file holds a list of {"image_path", "bbox_x", "bbox_y", "bbox_w", "bbox_h", "true_caption", "false_caption"} with
    "relation_name" or "attributes". Each entry is an item of its own: the picture cut to the box, in pixels. The kind
    is 'relation' or 'attribute', the category the relation. Items cut from one picture are one concept.
    """
    skipped = Skipped(on_bad)
    items = []
    for file in _files(annotations):
        for number, entry in enumerate(_list(file)):
            where = f"{file.name} entry {number}"
            problem = _fields(entry, "image_path", "true_caption", "false_caption")
            problem = problem or gather.picture_problem(pictures / entry["image_path"])
            problem = problem or _box_problem(entry, pictures / entry["image_path"])
            if problem or (problem := _wrong(entry["true_caption"], entry["false_caption"])):
                skipped.add(where, problem)
                continue
            kind = "attribute" if "attributes" in entry else "relation"
            picture = pictures / entry["image_path"]
            item = Item(
                f"{picture.stem}-{kind}-{number}", _cut(picture, entry), ".png", where, concept=picture.stem,
                category=str(entry.get("relation_name") or kind), split=TEST,
            )  # fmt: skip
            _say(item, entry["true_caption"], entry["false_caption"], kind)
            items.append(item)
    return gather.gather(items, skipped)


def order(annotations: pathlib.Path, pictures: pathlib.Path, *, on_bad: str = "stop", seed: int = 0) -> Gathered:
    """ARO's COCO and Flickr30k Order: a list of {"image", "caption": [...]} (coco_karpathy_test.json).

    ARO shuffles in four ways when it runs; here every caption gets one 'word-order' negative, its words shuffled.
    """
    skipped = Skipped(on_bad)
    items = []
    for file in _files(annotations):
        for number, entry in enumerate(_list(file)):
            where = f"{file.name} entry {number}"
            captions = entry.get("caption") if isinstance(entry, dict) else None
            captions = [captions] if isinstance(captions, str) else captions
            if not isinstance(captions, list) or not isinstance(entry.get("image"), str):
                skipped.add(where, "has no 'image' path and 'caption' list")
                continue
            picture = pictures / entry["image"]
            problem = gather.picture_problem(picture) or next(filter(None, map(gather.caption_problem, captions)), "")
            if problem:
                skipped.add(where, problem)
                continue
            item = _item(picture, where)
            taken = {negatives.same(caption) for caption in captions}
            for caption in captions:
                shuffled = negatives.shuffled(caption, seed=seed)
                made = [] if negatives.same(shuffled) in taken else [(shuffled, "word-order")]
                item.captions[caption.strip()] = made
            items.append(item)
    return gather.gather(items, skipped)


def winoground(annotations: pathlib.Path, pictures: pathlib.Path, *, on_bad: str = "stop") -> Gathered:
    """Winoground: examples.jsonl with {"id", "image_0", "image_1", "caption_0", "caption_1", "collapsed_tag", ...}.

    Image names have no extension there. The two pictures of an example are two items of one concept, and each one's
    caption is the other's hard negative; the kind is the collapsed tag in lower case (object, relation, both).
    The share of 'hard' choices won is that of single captions, not Winoground's text or group score.
    """
    skipped = Skipped(on_bad)
    items = []
    for number, entry in _lines(annotations):
        where = f"{annotations.name} line {number}"
        problem = _fields(entry, "image_0", "image_1", "caption_0", "caption_1")
        if not problem:
            files = [_with_suffix(pictures / entry[name]) for name in ("image_0", "image_1")]
            problem = next(filter(None, map(gather.picture_problem, files)), "")
        if problem or (problem := _wrong(entry["caption_0"], entry["caption_1"])):
            skipped.add(where, problem)
            continue
        kind = str(entry.get("collapsed_tag") or entry.get("tag") or "both").lower()
        for side in (0, 1):
            item = _item(files[side], where)
            item.concept, item.category = f"winoground-{entry.get('id', number)}", kind
            _say(item, entry[f"caption_{side}"], entry[f"caption_{1 - side}"], kind)
            items.append(item)
    return gather.gather(items, skipped)


FORMATS: dict[str, Callable[..., Gathered]] = {
    "sugarcrepe": sugarcrepe,
    "aro": aro,
    "order": order,
    "winoground": winoground,
}


def _item(picture: pathlib.Path, where: str) -> Item:
    # The picture is the concept: these benchmarks are tested on whole, so two of one caption do no harm.
    return Item(picture.stem, picture, picture.suffix.lower(), where, concept=picture.stem, split=TEST)


def _say(item: Item, caption: str, negative: str, kind: str) -> None:
    made = item.captions.setdefault(caption.strip(), [])
    if (negative.strip(), kind) not in made:
        made.append((negative.strip(), kind))


def _without_contradictions(items: Any, skipped: Skipped) -> Iterator[Item]:
    """Items without the negatives that another entry calls a true caption of the same picture."""
    for item in items:
        true = {negatives.same(caption) for caption in item.captions}
        for caption, made in item.captions.items():
            for text, _ in made:
                if negatives.same(text) in true:
                    skipped.add(item.where, f"{text!r} is a true caption of the same picture")
            item.captions[caption] = [entry for entry in made if negatives.same(entry[0]) not in true]
        yield item


def _wrong(caption: object, negative: object) -> str:
    problem = gather.caption_problem(caption) or gather.caption_problem(negative)
    if not problem and negatives.same(str(caption)) == negatives.same(str(negative)):
        return "the two captions are the same"
    return problem


def _fields(entry: Any, *names: str) -> str:
    if not isinstance(entry, dict):
        return f"is {type(entry).__name__}, not an object with {', '.join(names)}"
    missing = [name for name in names if not isinstance(entry.get(name), str)]
    return f"{missing[0]!r} is missing or no text" if missing else ""


def _box_problem(entry: dict[str, Any], picture: pathlib.Path) -> str:
    from PIL import Image, UnidentifiedImageError

    if not all(isinstance(entry.get(name), int | float) for name in _BOX):
        return f"the box has no numbers {', '.join(_BOX)}"
    x, y, width, height = (entry[name] for name in _BOX)
    try:
        with Image.open(picture) as opened:
            across, down = opened.size
    except (OSError, UnidentifiedImageError):
        return f"{picture} is no readable picture"
    if not (0 <= x < across and 0 <= y < down and width >= 1 and height >= 1):
        return f"the box {x}, {y}, {width} x {height} lies outside the picture of {across} x {down}"
    return ""


def _cut(picture: pathlib.Path, entry: dict[str, Any]) -> Callable[[], bytes]:
    x, y, width, height = (entry[name] for name in _BOX)

    def cut() -> bytes:
        from PIL import Image

        with Image.open(picture) as opened:
            # A box may end beyond the picture; outside of it is nothing.
            part = opened.convert("RGB").crop((x, y, min(x + width, opened.width), min(y + height, opened.height)))
        buffer = io.BytesIO()
        part.save(buffer, "PNG")
        return buffer.getvalue()

    return cut


def _with_suffix(picture: pathlib.Path) -> pathlib.Path:
    if picture.suffix.lower() in gather.PICTURES:
        return picture
    found = (picture.with_name(picture.name + suffix) for suffix in gather.PICTURES)
    return next((file for file in found if file.exists()), picture.with_name(picture.name + ".png"))


def _files(annotations: pathlib.Path) -> list[pathlib.Path]:
    files = sorted(annotations.glob("*.json")) if annotations.is_dir() else [annotations]
    if not files or not files[0].is_file():
        raise JamError(f"{annotations}: no such JSON file or folder with JSON files; get it from the benchmark's page")
    return files


def _load(file: pathlib.Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except ValueError as error:
        raise JamError(f"{file}: is no JSON ({error}); get it again") from error


def _list(file: pathlib.Path) -> list[Any]:
    entries = _load(file)
    if not isinstance(entries, list):
        raise JamError(f"{file}: holds {type(entries).__name__}, not the list of entries that ARO has")
    return entries


def _lines(file: pathlib.Path) -> Iterator[tuple[int, Any]]:
    if not file.is_file():
        raise JamError(f"{file}: no such file; name Winoground's examples.jsonl, from the benchmark's page")
    for number, line in enumerate(file.read_bytes().split(b"\n"), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except ValueError as error:
                raise JamError(f"{file} line {number}: is no JSON ({error}); get it again") from error


def main() -> None:
    """Command line: imports one benchmark; bad input ends as one line and exit code 2."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--format", choices=FORMATS, required=True)
    for name in ("annotations", "pictures", "out"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
    parser.add_argument("--on_bad", choices=gather.ON_BAD, default="stop")
    asked = parser.parse_args()
    try:
        gathered = FORMATS[asked.format](asked.annotations, asked.pictures, on_bad=asked.on_bad)
        gather.write(asked.out, gathered)
    except (JamError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    print(gather.summary(asked.out, gathered))


if __name__ == "__main__":
    main()


__all__ = ["FORMATS", "aro", "order", "sugarcrepe", "winoground"]
