"""COCO captions and Flickr30k as pairs, from the files that they come in.

    python -m jam_jax.datasets.captions --format=coco --source=coco --out=data/coco
    python -m jam_jax.datasets.captions --format=karpathy --source=dataset_flickr30k.json --pictures=flickr30k-images \\
        --out=data/flickr30k --negatives=rules
    python -m jam_jax.datasets.captions --format=tfds --source=coco_captions/2014/1.1.0 --out=data/coco

A picture is a concept of its own: the official splits are kept although a few captions occur in more than one of them.
"""

import argparse
import json
import pathlib
import sys
from collections.abc import Callable, Iterable
from typing import Any

from jam_jax.datasets import gather, negatives
from jam_jax.datasets.gather import Gathered, Item, Skipped
from jam_jax.datasets.splits import deal
from jam_jax.errors import JamError

VALIDATION = 0.05  # of COCO's training pictures, whose own validation set is the test split here
KARPATHY_SPLITS = {"train": "train", "restval": "train", "val": "validation", "test": "test"}
ARRAY_RECORD = "array_record"


def coco(
    source: pathlib.Path, pictures: pathlib.Path | None = None, *, on_bad: str = "stop", seed: int = 0
) -> Gathered:
    """A COCO folder: annotations/captions_<part>.json and the pictures in <part>/, for example val2017.

    A training part gives train and, drawn by seed, ``VALIDATION`` of its pictures as validation; a validation part
    beside it is the test split. With one part only, its pictures are dealt 70 : 10 : 20. ``pictures`` names another
    folder in which the parts lie. Raises JamError when something is missing.
    """
    skipped = Skipped(on_bad)
    files = sorted((source / "annotations").glob("captions_*.json"))
    if not files:
        raise JamError(
            f"{source}: has no annotations/captions_*.json; get pictures and annotations from cocodataset.org, Download"
        )
    items: list[Item] = []
    for file in files:
        part = file.stem.removeprefix("captions_")
        folder = (pictures or source) / part
        if not folder.is_dir():
            raise JamError(f"{folder}: no such folder, but {file.name} is there; get its pictures or remove that file")
        read = _coco_part(file, folder, skipped)
        if len(files) > 1:
            held_out = deal([item.id for item in read], seed=seed, fractions=(1 - VALIDATION, VALIDATION, 0))
            for item in read:
                item.split = held_out[item.id] if part.startswith("train") else "test"
        items.extend(read)
    return gather.gather(items, skipped, seed=seed)


def karpathy(source: pathlib.Path, pictures: pathlib.Path | None, *, on_bad: str = "stop", seed: int = 0) -> Gathered:
    """Karpathy's split files, dataset_flickr30k.json or dataset_coco.json, and the folder of their pictures.

    They hold {"images": [{"filename", "filepath"?, "split", "sentences": [{"raw"}]}]}; 'restval' counts as train.
    """
    skipped = Skipped(on_bad)
    images = _read(source, "images", "get it from Karpathy's page 'Deep Visual-Semantic Alignments'")["images"]
    if pictures is None or not pictures.is_dir():
        raise JamError(f"{pictures}: no such folder of pictures; Flickr30k's are given on request by its authors")
    items = []
    for number, image in enumerate(images):
        where = f"{source.name} image {number}"
        if not isinstance(image, dict) or not isinstance(image.get("filename"), str):
            skipped.add(where, "has no 'filename'")
            continue
        if image.get("split") not in KARPATHY_SPLITS:
            skipped.add(where, f"split {image.get('split')!r} is none of {', '.join(KARPATHY_SPLITS)}")
            continue
        file = pictures / str(image.get("filepath") or "") / image["filename"]
        item = _item(file, where, skipped, KARPATHY_SPLITS[image["split"]])
        if item:
            sentences = image.get("sentences") or []
            _say(item, (s.get("raw") if isinstance(s, dict) else s for s in sentences), skipped)
            items.append(item)
    return gather.gather(items, skipped, seed=seed)


def tfds(source: pathlib.Path, pictures: None = None, *, on_bad: str = "stop", seed: int = 0) -> Gathered:
    """TensorFlow Datasets' ``coco_captions``, prepared as array_record: the folder with dataset_info.json.

    The pictures stay encoded as they are, so TensorFlow is not needed for reading. Preparing needs it:
    tfds.builder('coco_captions', file_format='array_record').download_and_prepare(). Raises JamError for a folder that
    was prepared as TFRecord, which only TensorFlow reads.
    """
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise JamError(f"{error}; install it with pip install -r requirements-data.txt") from error
    if not (source / "dataset_info.json").is_file():
        raise JamError(
            f"{source}: has no dataset_info.json; prepare it where TensorFlow is installed with "
            "tfds.builder('coco_captions', file_format='array_record').download_and_prepare()"
        )
    builder = tensorflow_datasets.builder_from_directory(str(source))
    if builder.info.file_format.value != ARRAY_RECORD:
        raise JamError(
            f"{source}: is prepared as {builder.info.file_format.value}, which only TensorFlow reads; where it is "
            "installed, convert it to array_record with python -m tensorflow_datasets.scripts.convert_format"
        )
    lacking = {"image", "image/filename", "captions"} - set(builder.info.features)
    if lacking:
        raise JamError(f"{source}: has no feature {sorted(lacking)[0]!r}; name a prepared coco_captions")
    skipped = Skipped(on_bad)
    items = []
    rows = builder.as_data_source(decoders={"image": tensorflow_datasets.decode.SkipDecoding()})
    for split, records in rows.items():
        for number in range(len(records)):
            record = records[number]
            name = pathlib.PurePosixPath(record["image/filename"].decode())
            item = Item(
                name.stem, _encoded(records, number), name.suffix.lower() or ".jpg", f"{split} record {number}",
                concept=name.stem, split=KARPATHY_SPLITS.get(split, ""),
            )  # fmt: skip
            _say(item, (text.decode() for text in record["captions"]["text"]), skipped)
            items.append(item)
    return gather.gather(items, skipped, seed=seed)


FORMATS: dict[str, Callable[..., Gathered]] = {"coco": coco, "karpathy": karpathy, "tfds": tfds}


def _coco_part(file: pathlib.Path, folder: pathlib.Path, skipped: Skipped) -> list[Item]:
    content = _read(file, "images", "get it again")
    by_id: dict[Any, Item | None] = {}
    for number, image in enumerate(content["images"]):
        where = f"{file.name} image {number}"
        if not isinstance(image, dict) or "id" not in image or not isinstance(image.get("file_name"), str):
            skipped.add(where, "has no 'id' and 'file_name'")
        elif image["id"] in by_id:
            skipped.add(where, f"the id {image['id']} is that of another image already")
        else:
            by_id[image["id"]] = _item(folder / image["file_name"], where, skipped)
    for number, entry in enumerate(content.get("annotations") or []):
        where = f"{file.name} annotation {number}"
        if not isinstance(entry, dict) or entry.get("image_id") not in by_id:
            skipped.add(where, "belongs to no image of the file")
            continue
        item = by_id[entry["image_id"]]
        if item:  # else its picture is listed as bad already
            _say(item, [entry.get("caption")], skipped, where)
    return [item for item in by_id.values() if item]


def _item(file: pathlib.Path, where: str, skipped: Skipped, split: str = "") -> Item | None:
    problem = gather.picture_problem(file)
    if problem:
        skipped.add(where, problem)
        return None
    return Item(file.stem, file, file.suffix.lower(), where, concept=file.stem, split=split)


def _say(item: Item, captions: Iterable[Any], skipped: Skipped, where: str = "") -> None:
    for caption in captions:
        problem = gather.caption_problem(caption)
        if problem:
            skipped.add(where or item.where, problem)
        else:
            item.captions.setdefault(caption.strip(), [])


def _encoded(records: Any, number: int) -> Callable[[], bytes]:
    return lambda: records[number]["image"]


def _read(file: pathlib.Path, key: str, advice: str) -> dict[str, Any]:
    if not file.is_file():
        raise JamError(f"{file}: no such file; {advice}")
    try:
        content = json.loads(file.read_bytes())
    except ValueError as error:
        raise JamError(f"{file}: is no JSON ({error}); {advice}") from error
    if not isinstance(content, dict) or not isinstance(content.get(key), list):
        raise JamError(f"{file}: has no list {key!r}; {advice}")
    return content


def main() -> None:
    """Command line: imports one data set; bad input ends as one line and exit code 2."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--format", choices=FORMATS, required=True)
    parser.add_argument("--source", type=pathlib.Path, required=True)
    parser.add_argument("--pictures", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--on_bad", choices=gather.ON_BAD, default="stop")
    parser.add_argument("--negatives", choices=("none", "rules"), default="none")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    try:
        gathered = FORMATS[asked.format](asked.source, asked.pictures, on_bad=asked.on_bad, seed=asked.seed)
        gathered = gathered._replace(pairs=negatives.make(asked.negatives, gathered.pairs, seed=asked.seed))
        gather.write(asked.out, gathered)
    except (JamError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    print(gather.summary(asked.out, gathered))


if __name__ == "__main__":
    main()


__all__ = ["FORMATS", "coco", "karpathy", "tfds"]
