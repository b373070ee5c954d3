"""Each format in small, as the benchmark's own files are written."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from jam_jax import evaluation
from jam_jax.activations import Pairs, batches
from jam_jax.datasets import finegrained, gather
from jam_jax.errors import JamError


def picture(path, size=(40, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((*size[::-1], 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = np.arange(size[0]), np.arange(size[1])[:, None]
    Image.fromarray(pixels).save(path.with_suffix(".png"))
    path.with_suffix(".png").rename(path)


def negatives_of(pairs):
    found = {}
    for m in np.flatnonzero(pairs.caption_items >= 0):
        texts = [pairs.caption_texts[row] for row in pairs.negative_rows[m]]
        found[pairs.caption_texts[m]] = dict(zip(texts, pairs.negative_kinds[m], strict=True))
    return found


def write_sugarcrepe(root, more=()):
    (root / "data").mkdir(parents=True)
    entry = {"filename": "000000000139.jpg", "caption": "A red cup and a blue plate."}
    entry["negative_caption"] = "A blue cup and a red plate."
    swap = {"0": entry, "1": {"filename": "000000000285.jpg", "caption": "Bear.", "negative_caption": "Bears."}}
    add = {"0": entry | {"negative_caption": "A red cup and a wet blue plate."}}
    (root / "data" / "swap_att.json").write_text(json.dumps(swap | dict(more)))
    (root / "data" / "add_att.json").write_text(json.dumps(add))
    for name in ("000000000139.jpg", "000000000285.jpg"):
        picture(root / "val2017" / name)


def test_sugarcrepe(tmp_path):
    write_sugarcrepe(tmp_path)
    gathered = finegrained.sugarcrepe(tmp_path / "data", tmp_path / "val2017")
    assert negatives_of(gathered.pairs) == {
        "A red cup and a blue plate.": {
            "A blue cup and a red plate.": "swap_att",
            "A red cup and a wet blue plate.": "add_att",
        },
        "Bear.": {"Bears.": "swap_att"},
    }
    assert gathered.pairs.item_ids == ["000000000139", "000000000285"] and set(gathered.pairs.splits) == {"test"}
    gather.write(tmp_path / "out", gathered)
    assert negatives_of(Pairs.open(tmp_path / "out" / "pairs.parquet")) == negatives_of(gathered.pairs)
    (one,) = (tmp_path / "out" / "pictures" / "all").glob("000000000285.*")
    assert one.read_bytes() == (tmp_path / "val2017" / "000000000285.jpg").read_bytes()
    single = finegrained.sugarcrepe(tmp_path / "data" / "swap_att.json", tmp_path / "val2017")
    assert single.pairs.items == 2


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"filename": "gone.jpg", "caption": "a b", "negative_caption": "b a"}, "there is no picture"),
        ({"filename": "000000000139.jpg", "caption": "a b"}, "'negative_caption' is missing"),
        ({"filename": "000000000139.jpg", "caption": "a", "negative_caption": " A."}, "the two captions are the same"),
        ({"filename": "000000000139.jpg", "caption": "", "negative_caption": "b"}, "the caption is empty"),
        ({"filename": "000000000139.jpg", "caption": "a\x00", "negative_caption": "b"}, r"U\+0000"),
        (["000000000139.jpg"], "is list, not an object"),
    ],
)
def test_bad_entries_stop_or_are_left_out(tmp_path, entry, reason):
    write_sugarcrepe(tmp_path, {"7": entry}.items())
    with pytest.raises(JamError, match=f"swap_att.json entry 7: .*{reason}"):
        finegrained.sugarcrepe(tmp_path / "data", tmp_path / "val2017")
    gathered = finegrained.sugarcrepe(tmp_path / "data", tmp_path / "val2017", on_bad="skip")
    assert gathered.pairs.items == 2
    assert [entry["where"] for entry in gathered.skipped.entries] == ["swap_att.json entry 7"]


def test_a_negative_that_another_entry_calls_true_is_left_out(tmp_path):
    entry = {"filename": "000000000285.jpg", "caption": "bears", "negative_caption": "No bears"}
    write_sugarcrepe(tmp_path, {"2": entry}.items())
    gathered = finegrained.sugarcrepe(tmp_path / "data", tmp_path / "val2017", on_bad="skip")
    assert negatives_of(gathered.pairs)["Bear."] == {}
    assert "'Bears.' is a true caption" in gathered.skipped.entries[0]["reason"]


def write_aro(root, **changes):
    root.mkdir(exist_ok=True)
    relation = {
        "image_id": "2345", "image_path": "2345.jpg", "bbox_x": 5, "bbox_y": 10, "bbox_w": 20, "bbox_h": 15,
        "object_names": ["cup", "table"], "relation_name": "on", "true_caption": "the cup is on the table",
        "false_caption": "the table is on the cup",
    }  # fmt: skip
    attribution = {
        "image_id": "2345", "image_path": "2345.jpg", "bbox_x": 0, "bbox_y": 0, "bbox_w": 99, "bbox_h": 99,
        "attributes": ["red", "wooden"], "obj1_name": "cup", "obj2_name": "table",
        "true_caption": "the red cup and the wooden table", "false_caption": "the wooden cup and the red table",
    }  # fmt: skip
    (root / "visual_genome_relation.json").write_text(json.dumps([relation | changes]))
    (root / "visual_genome_attribution.json").write_text(json.dumps([attribution]))
    picture(root / "images" / "2345.jpg")


def test_aro_cuts_the_box_out(tmp_path):
    write_aro(tmp_path)
    gathered = finegrained.aro(tmp_path, tmp_path / "images")
    gather.write(tmp_path / "out", gathered)
    pairs = gathered.pairs
    assert negatives_of(pairs)["the cup is on the table"] == {"the table is on the cup": "relation"}
    assert negatives_of(pairs)["the red cup and the wooden table"] == {"the wooden cup and the red table": "attribute"}
    assert pairs.concepts == ["2345", "2345"] and sorted(pairs.categories) == ["attribute", "on"]
    pixels = {
        category: np.asarray(Image.open(tmp_path / "out" / "pictures" / "all" / f"{item}.png")).astype(int)
        for item, category in zip(pairs.item_ids, pairs.categories, strict=True)
    }
    assert pixels["on"].shape == (15, 20, 3) and pixels["attribute"].shape == (30, 40, 3)
    whole = pixels["attribute"]
    assert (pixels["on"] == whole[10:25, 5:25]).all()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bbox_w": 0}, "the box 5, 10, 0 x 15 lies outside the picture of 40 x 30"),
        ({"bbox_x": 40}, "lies outside the picture"),
        ({"bbox_x": None}, "the box has no numbers"),
        ({"image_path": "1.jpg"}, "there is no picture"),
        ({"false_caption": "The cup is on the table."}, "the two captions are the same"),
    ],
)
def test_bad_aro_entries(tmp_path, changes, reason):
    write_aro(tmp_path, **changes)
    with pytest.raises(JamError, match=f"visual_genome_relation.json entry 0: .*{reason}"):
        finegrained.aro(tmp_path, tmp_path / "images")
    assert finegrained.aro(tmp_path, tmp_path / "images", on_bad="skip").pairs.items == 1


def test_order_shuffles_every_caption(tmp_path):
    pytest.importorskip("inflect")
    captions = ["A man rides a brown horse.", "a man on a horse in a field", "horse"]
    picture(tmp_path / "val2014" / "COCO_val2014_000000391895.jpg")
    entries = [{"image": "val2014/COCO_val2014_000000391895.jpg", "caption": captions}, {"image": "x.jpg"}]
    (tmp_path / "coco_karpathy_test.json").write_text(json.dumps(entries))
    gathered = finegrained.order(tmp_path / "coco_karpathy_test.json", tmp_path, on_bad="skip")
    assert [entry["where"] for entry in gathered.skipped.entries] == ["coco_karpathy_test.json entry 1"]
    found = negatives_of(gathered.pairs)
    assert list(found) == captions and found["horse"] == {}
    for caption in captions[:2]:
        ((text, kind),) = found[caption].items()
        words = ["a" if word == "an" else word for word in text.lower().strip(".").split()]
        assert kind == "word-order" and sorted(words) == sorted(caption.lower().strip(".").split())


def write_winoground(root):
    examples = [
        {"id": n, "image_0": f"ex_{n}_img_0", "image_1": f"ex_{n}_img_1", "caption_0": f"{n} old man kisses a young",
         "caption_1": f"{n} young man kisses an old", "tag": "Adjective-Age", "secondary_tag": "", "num_main_preds": 1,
         "collapsed_tag": "Relation"}
        for n in (0, 1)
    ]  # fmt: skip
    root.mkdir(exist_ok=True)
    (root / "examples.jsonl").write_text("\n".join(map(json.dumps, examples)) + "\n")
    for n in (0, 1):
        for side in (0, 1):
            picture(root / "images" / f"ex_{n}_img_{side}.png")


def test_winoground_captions_are_each_others_negatives_and_can_be_scored(tmp_path):
    write_winoground(tmp_path)
    pairs = finegrained.winoground(tmp_path / "examples.jsonl", tmp_path / "images").pairs
    assert pairs.item_ids == ["ex_0_img_0", "ex_0_img_1", "ex_1_img_0", "ex_1_img_1"]
    assert pairs.negative_rows == [[1], [0], [3], [2]] and set(sum(pairs.negative_kinds, [])) == {"relation"}
    assert pairs.caption_items.tolist() == [0, 1, 2, 3]  # no caption of no item
    exam = evaluation.examination(pairs, batches.rows(pairs, "test"))
    images = texts = np.eye(4)
    assert evaluation.score(exam, images, texts)["choice"]["hard_by_kind"] == {"relation": 1.0}
    assert evaluation.score(exam, images, texts[[1, 0, 2, 3]])["choice"]["hard_by_kind"] == {"relation": 0.5}


def test_missing_and_broken_files_are_named(tmp_path):
    for read in finegrained.FORMATS.values():
        with pytest.raises(JamError, match="none.json.*: no such"):
            read(tmp_path / "none.json", tmp_path)
        (tmp_path / "broken.json").write_text('{"0": ')
        with pytest.raises(JamError, match="broken.json.*: is no JSON"):
            read(tmp_path / "broken.json", tmp_path)


def test_the_command(tmp_path):
    write_sugarcrepe(tmp_path)
    command = [sys.executable, "-m", "jam_jax.datasets.finegrained", "--format=sugarcrepe"]
    command += [f"--out={tmp_path / 'out'}", f"--pictures={tmp_path / 'val2017'}"]
    done = subprocess.run([*command, f"--annotations={tmp_path / 'data'}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "2 pictures (0 train, 0 validation, 2 test), 2 captions, 3 hard" in done.stdout
    wrong = subprocess.run([*command, "--annotations=none"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2 and wrong.stderr.startswith("error: none: no such") and wrong.stderr.count("\n") == 1
