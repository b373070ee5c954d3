"""COCO, Karpathy's split files and a prepared coco_captions in small, as they are distributed."""

import io
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from jam_jax.activations import Pairs
from jam_jax.datasets import captions, gather
from jam_jax.errors import JamError


def jpeg(shade):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), (shade, 0, 0)).save(buffer, "JPEG")
    return buffer.getvalue()


def said(pairs):
    found = {item: [] for item in pairs.item_ids}
    for owner, text in zip(pairs.caption_items, pairs.caption_texts, strict=True):
        found[pairs.item_ids[owner]].append(text)
    return found


def write_coco(root, part, count, **more):
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    (root / part).mkdir(exist_ok=True)
    images = [{"id": i, "file_name": f"{i:012d}.jpg", "height": 6, "width": 8, "license": 1} for i in range(count)]
    notes = [
        {"id": 9 * i + k, "image_id": i, "caption": f"caption {k} of {part} {i}\n"}
        for k in (0, 1)
        for i in range(count)
    ]
    for image in images:
        (root / part / image["file_name"]).write_bytes(jpeg(image["id"]))
    content = {"info": {}, "licenses": [], "images": images, "annotations": notes}
    for key, entries in more.items():
        content[key] = [*content[key], *entries]
    (root / "annotations" / f"captions_{part}.json").write_text(json.dumps(content))


def test_one_part_of_coco_is_dealt(tmp_path):
    write_coco(tmp_path, "val2017", 10)
    gathered = captions.coco(tmp_path)
    pairs = gathered.pairs
    assert said(pairs)["000000000003"] == ["caption 0 of val2017 3", "caption 1 of val2017 3"]
    assert [len(pairs.items_of(split)) for split in ("train", "validation", "test")] == [7, 1, 2]
    gather.write(tmp_path / "out", gathered)
    assert said(Pairs.open(tmp_path / "out" / "pairs.parquet")) == said(pairs)
    for item in pairs.item_ids:
        written = tmp_path / "out" / "pictures" / "all" / f"{item}.jpg"
        assert written.read_bytes() == (tmp_path / "val2017" / f"{item}.jpg").read_bytes()


def test_two_parts_of_coco_keep_the_official_test(tmp_path):
    write_coco(tmp_path, "train2017", 60)
    write_coco(tmp_path, "val2017", 5)
    with pytest.raises(JamError, match="the id '000000000000' is that of captions_train2017.json image 0 already"):
        captions.coco(tmp_path)  # COCO uses no number twice
    (tmp_path / "annotations" / "captions_val2017.json").unlink()
    (tmp_path / "val2014").mkdir()
    (tmp_path / "val2014" / "COCO_val2014_1.jpg").write_bytes(jpeg(1))
    content = {
        "images": [{"id": 1, "file_name": "COCO_val2014_1.jpg"}],
        "annotations": [{"image_id": 1, "caption": "x"}],
    }
    (tmp_path / "annotations" / "captions_val2014.json").write_text(json.dumps(content))
    pairs = captions.coco(tmp_path).pairs
    assert [len(pairs.items_of(split)) for split in ("train", "validation", "test")] == [57, 3, 1]
    assert pairs.item_ids[pairs.items_of("test")[0]] == "COCO_val2014_1"


@pytest.mark.parametrize(
    ("key", "entry", "reason"),
    [
        ("images", {"id": 77, "file_name": "gone.jpg"}, "captions_val2017.json image 4: there is no picture"),
        ("images", {"id": 2, "file_name": "000000000002.jpg"}, "image 4: the id 2 is that of another image already"),
        ("images", {"id": 5}, "image 4: has no 'id' and 'file_name'"),
        ("annotations", {"image_id": 99, "caption": "x"}, "annotation 8: belongs to no image of the file"),
        ("annotations", {"image_id": 1, "caption": " "}, "annotation 8: the caption is empty"),
        ("annotations", {"image_id": 1, "caption": "word " * 10_000}, "annotation 8: the caption has 10000 words"),
        ("annotations", {"image_id": 1}, "annotation 8: the caption is NoneType"),
    ],
)
def test_bad_coco_entries_stop_or_are_left_out(tmp_path, key, entry, reason):
    write_coco(tmp_path, "val2017", 4, **{key: [entry]})
    with pytest.raises(JamError, match=reason):
        captions.coco(tmp_path)
    gathered = captions.coco(tmp_path, on_bad="skip")
    assert gathered.pairs.items == 4 and gathered.pairs.captions == 8 and len(gathered.skipped.entries) == 1


def write_karpathy(root, filepath=None):
    images = [
        {"filename": f"{i}.jpg", "imgid": i, "split": split, "sentids": [i],
         "sentences": [{"raw": f"Sentence {k} of {i} .", "tokens": [], "imgid": i, "sentid": k} for k in range(5)]}
        | ({"filepath": filepath} if filepath else {})
        for i, split in enumerate(["train", "restval", "val", "test"])
    ]  # fmt: skip
    (root / "pictures" / (filepath or "")).mkdir(parents=True)
    for image in images:
        (root / "pictures" / (filepath or "") / image["filename"]).write_bytes(jpeg(image["imgid"]))
    (root / "dataset.json").write_text(json.dumps({"dataset": "flickr30k", "images": images}))


@pytest.mark.parametrize("filepath", [None, "val2014"])
def test_karpathy_splits_are_kept(tmp_path, filepath):
    write_karpathy(tmp_path, filepath)
    pairs = captions.karpathy(tmp_path / "dataset.json", tmp_path / "pictures").pairs
    assert pairs.splits == ["train", "train", "validation", "test"]
    assert said(pairs)["2"] == [f"Sentence {k} of 2 ." for k in range(5)]
    (tmp_path / "pictures" / (filepath or "") / "3.jpg").unlink()
    with pytest.raises(JamError, match="dataset.json image 3: there is no picture"):
        captions.karpathy(tmp_path / "dataset.json", tmp_path / "pictures")
    assert captions.karpathy(tmp_path / "dataset.json", tmp_path / "pictures", on_bad="skip").pairs.items == 3


def prepare_tfds(path, file_format="array_record"):
    tfds = pytest.importorskip("tensorflow_datasets")

    class CocoCaptions(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        """The features of coco_captions."""

        VERSION = tfds.core.Version("1.1.0")

        def _info(self):
            features = {
                "image": tfds.features.Image(encoding_format="jpeg"),
                "image/filename": tfds.features.Text(),
                "image/id": np.int64,
                "captions": tfds.features.Sequence({"id": np.int64, "text": np.str_}),
                "objects": tfds.features.Sequence({
                    "area": np.int64, "bbox": tfds.features.BBoxFeature(), "id": np.int64, "is_crowd": np.bool_,
                    "label": tfds.features.ClassLabel(num_classes=80),
                }),
            }  # fmt: skip
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            starts = {"train": range(3), "val": range(3, 4), "test": range(4, 6), "restval": range(6, 7)}
            return {split: self._generate_examples(numbers) for split, numbers in starts.items()}

        def _generate_examples(self, numbers):
            for i in numbers:
                box = tfds.features.BBox(0.0, 0.0, 0.5, 1.0)
                yield i, {
                    "image": io.BytesIO(jpeg(i)), "image/filename": f"COCO_{i}.jpg", "image/id": i,
                    "captions": [{"id": k, "text": f"cäption {k} of {i}"} for k in range(5)],
                    "objects": [{"area": 1, "bbox": box, "id": 1, "is_crowd": False, "label": 2}],
                }  # fmt: skip

    builder = CocoCaptions(data_dir=path, file_format=file_format)
    builder.download_and_prepare()
    return path / "coco_captions" / "1.1.0"


def test_a_prepared_coco_captions_needs_no_tensorflow(tmp_path):
    prepared = prepare_tfds(tmp_path)
    code = (
        f"import sys; sys.argv = ['', '--format=tfds', '--source={prepared}', '--out={tmp_path / 'out'}']\n"
        "from jam_jax.datasets import captions; captions.main()\nassert not {'tensorflow', 'torch'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "7 pictures (4 train, 1 validation, 2 test), 35 captions" in done.stdout
    pairs = Pairs.open(tmp_path / "out" / "pairs.parquet")
    assert said(pairs)["COCO_5"] == [f"cäption {k} of 5" for k in range(5)]
    splits = dict(zip(pairs.item_ids, pairs.splits, strict=True))
    assert splits["COCO_3"] == "validation" and splits["COCO_6"] == "train" and splits["COCO_4"] == "test"
    for i in range(7):
        assert (tmp_path / "out" / "pictures" / "all" / f"COCO_{i}.jpg").read_bytes() == jpeg(i)


def test_tfrecord_is_refused_with_what_is_needed(tmp_path):
    prepared = prepare_tfds(tmp_path)
    info = prepared / "dataset_info.json"
    info.write_text(info.read_text().replace("array_record", "tfrecord"))
    with pytest.raises(
        JamError, match="prepared as tfrecord, which only TensorFlow reads; where it is installed, convert"
    ):
        captions.tfds(prepared)


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda root: captions.coco(root), r"has no annotations/captions_\*.json; get pictures"),
        (lambda root: captions.karpathy(root / "x.json", root), "x.json: no such file; get it from"),
        (lambda root: captions.karpathy(root / "list.json", root), "list.json: has no list 'images'"),
        (lambda root: captions.karpathy(root / "half.json", root), "half.json: is no JSON"),
        (lambda root: captions.karpathy(root / "fine.json", root / "none"), "none: no such folder of pictures"),
    ],
)
def test_what_is_missing_is_said_in_one_line(tmp_path, read, message):
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "half.json").write_text('{"images": [')
    (tmp_path / "fine.json").write_text('{"images": []}')
    with pytest.raises(JamError, match=message) as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_missing_tfds_folder_is_said_in_one_line(tmp_path):
    pytest.importorskip("tensorflow_datasets")
    with pytest.raises(JamError, match="has no dataset_info.json; prepare it where TensorFlow is installed"):
        captions.tfds(tmp_path)
