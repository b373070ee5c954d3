import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from jam_jax import export
from jam_jax.activations import Pairs, batches
from jam_jax.datasets import folder
from jam_jax.errors import JamError

ROWS = [
    {"image": "a.png", "caption": "A red car.", "negatives": ["A blue car.", "Two red cars."], "category": "car"},
    {"image": "a.png", "caption": "Ein rotes Auto, schön", "concept": ""},
    {"image": "b.jpg", "caption": "黒い猫", "category": "cat"},
    {"image": "deep/c.webp", "caption": "A blue car.", "category": "car"},
    {"image": "deep/d.png", "caption": "a  BLUE car"},
]


def pictures(root, names=("a.png", "b.jpg", "deep/c.webp", "deep/d.png")):
    for place, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (30 * place, 5, 5)).save(root / name)


def write_json(root, rows):
    root.mkdir(exist_ok=True)
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    (root / "captions.jsonl").write_text("\n".join(lines) + "\n\n")


def write_csv(root, rows, separate):
    root.mkdir(exist_ok=True)
    with (root / "captions.csv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, ["image", "caption", "negatives", "concept", "category"], restval="")
        writer.writeheader()
        for row in rows:
            writer.writerow(row | {"negatives": separate(row["negatives"])} if "negatives" in row else row)


def contents(pairs):
    said = {}
    for m, owner in enumerate(pairs.caption_items):
        if owner >= 0:
            negatives = [pairs.caption_texts[row] for row in pairs.negative_rows[m]]
            key = (pairs.item_ids[owner], pairs.caption_texts[m])
            said[key] = list(zip(negatives, pairs.negative_kinds[m], strict=True))
    return said


@pytest.mark.parametrize("form", ["jsonl", "csv with |", "csv with JSON"])
def test_every_form_gives_the_same_pairs(tmp_path, form):
    pictures(tmp_path)
    if form == "jsonl":
        write_json(tmp_path, ROWS)
    else:
        write_csv(tmp_path, ROWS, "|".join if "|" in form else json.dumps)
    gathered = folder.write(tmp_path)
    pairs = Pairs.open(tmp_path / "pairs.parquet")
    assert contents(pairs) == {
        ("a", "A red car."): [("A blue car.", "given"), ("Two red cars.", "given")],
        ("a", "Ein rotes Auto, schön"): [],
        ("b", "黒い猫"): [],
        ("deep__c", "A blue car."): [],
        ("deep__d", "a  BLUE car"): [],
    }
    assert pairs.concepts == ["a", "b", "deep__c", "deep__c"]  # the last two share a caption
    assert pairs.gallery.tolist() == [True, True, True, False]
    assert pairs.categories == ["car", "cat", "car", "deep__c"]
    made = [m for m, owner in enumerate(pairs.caption_items) if owner == -1]
    assert {pairs.caption_texts[m] for m in made} <= {"A blue car.", "Two red cars."}
    assert {pairs.caption_kinds[m] for m in made} == {"negative"}
    assert json.loads((tmp_path / "skipped.json").read_text()) == [] == gathered.skipped.entries


def test_the_exporter_finds_the_pictures_and_captions(tmp_path):
    pictures(tmp_path / "mine")
    write_json(tmp_path / "mine", ROWS)
    folder.write(tmp_path / "mine", tmp_path / "out")
    folder.write(tmp_path / "mine", tmp_path / "out")  # again: nothing is in the way
    pairs = Pairs.open(tmp_path / "out" / "pairs.parquet")
    data = {"folder": str(tmp_path / "out"), "view": "all", "missing": "stop"}
    seen = export.source_rows("vision", pairs, data, on_bad="stop")
    assert seen.ids == pairs.item_ids
    assert [np.asarray(picture.convert("RGB"))[0, 0, 0] // 25 for picture in seen.take(range(4))] == [0, 1, 2, 3]
    said = export.source_rows("language", pairs, data, on_bad="stop")
    assert len(said.ids) == len(set(said.ids)) == pairs.captions


def test_another_picture_is_not_overwritten(tmp_path):
    pictures(tmp_path / "mine")
    write_json(tmp_path / "mine", ROWS)
    folder.write(tmp_path / "mine", tmp_path / "out")
    (tmp_path / "out" / "pictures" / "all" / "a.png").unlink()
    Image.new("RGB", (1, 1)).save(tmp_path / "out" / "pictures" / "all" / "a.png")
    with pytest.raises(JamError, match=r"a\.png: is another picture than that of captions.jsonl line 1"):
        folder.write(tmp_path / "mine", tmp_path / "out")


def many(root, count=40):
    pictures(root, [f"{i}.png" for i in range(count)])
    write_json(root, [{"image": f"{i}.png", "caption": f"a thing {i // 2}", "category": "x"} for i in range(count)])


def test_splits_are_dealt_by_concept_and_seed(tmp_path):
    many(tmp_path)
    pairs = folder.read(tmp_path, seed=3).pairs
    assert len(set(pairs.concepts)) == 20 == pairs.gallery.sum()
    assert [len(pairs.items_of(split)) for split in ("train", "validation", "test")] == [28, 4, 8]
    assert pairs.splits == folder.read(tmp_path, seed=3).pairs.splits != folder.read(tmp_path, seed=4).pairs.splits


def test_given_splits_stay(tmp_path):
    pictures(tmp_path)
    rows = [ROWS[0] | {"split": "test"}, ROWS[1], ROWS[2] | {"split": "train"}, ROWS[3], ROWS[4]]
    write_json(tmp_path, rows)
    assert folder.read(tmp_path).pairs.splits[:2] == ["test", "train"]
    write_json(tmp_path, [*rows[:3], ROWS[3] | {"split": "train"}, ROWS[4] | {"split": "test"}])
    with pytest.raises(JamError, match="line 5: concept 'deep__c' is in train already and here in test"):
        folder.read(tmp_path)


BAD = [
    ({"image": "gone.png", "caption": "x"}, "there is no picture .*gone.png"),
    ({"image": "a.gif", "caption": "x"}, "'a.gif' is no .webp, .png"),
    ({"image": "empty.png", "caption": "x"}, "empty.png is empty"),
    ({"image": "../a.png", "caption": "x"}, "lies outside the folder"),
    ({"image": 7, "caption": "x"}, "'image' is int"),
    ({"image": "a.png"}, "'caption' is missing"),
    ({"image": "a.png", "caption": ""}, "'caption' is missing"),
    ({"image": "a.png", "caption": " \t"}, "the caption is empty"),
    ({"image": "a.png", "caption": ["x"]}, "the caption is list"),
    ({"image": "a.png", "caption": "word " * 10_000}, "10000 words, more than 1000"),
    ({"image": "a.png", "caption": "beep \x07"}, r"control character U\+0007"),
    ({"image": "a.png", "caption": "x", "negatives": "[1"}, "begins like a JSON list"),
    ({"image": "a.png", "caption": "x", "negatives": [1]}, "of a negative: the caption is int"),
    ({"image": "a.png", "caption": "x", "negatives": [" X. "]}, "a negative is a true caption"),
    ({"image": "a.png", "caption": "x", "split": "dev"}, "split 'dev' is unknown"),
    ({"image": "a.png", "caption": "x", "category": "boat"}, "category 'boat' contradicts 'car' in .* line 1"),
    ({"image": "a.png", "caption": "x", "captoin": "y"}, "column 'captoin' is unknown; did you mean 'caption'"),
    ({"image": "a.jpg", "caption": "x"}, "the id 'a' is that of captions.jsonl line 1 already"),
    ('{"image": ', "is no JSON"),
    ("[1, 2]", "is list; write one object a line"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "reason"), BAD, ids=[reason for _, reason in BAD])
def test_bad_rows_stop_or_are_left_out_with_their_reason(tmp_path, row, reason):
    pictures(tmp_path, ["a.png", "a.jpg", "b.jpg", "deep/c.webp", "deep/d.png"])
    (tmp_path / "empty.png").touch()
    write_json(tmp_path, [*ROWS, row])
    with pytest.raises(JamError, match=f"captions.jsonl line 6: .*{reason}") as caught:
        folder.read(tmp_path)
    assert "\n" not in str(caught.value)
    gathered = folder.write(tmp_path, on_bad="skip")
    (entry,) = json.loads((tmp_path / "skipped.json").read_text())
    assert entry == gathered.skipped.entries[0] and entry["where"] == "captions.jsonl line 6"
    assert gathered.pairs.items == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,text\na.png,x\n", "line 1: column 'text' is unknown"),
        ("image\na.png\n", "line 1: column 'caption' is missing"),
        ('image,caption\na.png,"x\n', "after line 1: unexpected end of data"),
        ("image,caption\na.png,x,y\n", "line 2: has not 2 fields"),
        ("image,caption\na.png\n", "line 2: has not 2 fields"),
        ("", "column 'image' is missing"),
        ("image,caption\n", "no usable picture"),
        (b"image,caption\na.png,\xff\xfe\n", "is not UTF-8"),
    ],
)
def test_a_wrong_csv_is_refused_in_one_line(tmp_path, text, message):
    pictures(tmp_path)
    (tmp_path / "captions.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(JamError, match=message) as caught:
        folder.read(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_needs_one_captions_file(tmp_path):
    with pytest.raises(JamError, match="no such folder"):
        folder.read(tmp_path / "none")
    with pytest.raises(JamError, match="neither captions.jsonl nor captions.csv"):
        folder.read(tmp_path)
    write_json(tmp_path, ROWS)
    write_csv(tmp_path, ROWS, "|".join)
    with pytest.raises(JamError, match="both captions.jsonl and captions.csv"):
        folder.read(tmp_path)


def test_neighbours_come_from_the_same_split_and_category(tmp_path):
    many(tmp_path)
    pairs = folder.write(tmp_path, make="neighbours").pairs
    assert min(map(len, pairs.negative_rows)) > 0
    for m, rows in enumerate(pairs.negative_rows):
        for row in rows:
            i, j = pairs.caption_items[m], pairs.caption_items[row]
            assert pairs.splits[i] == pairs.splits[j] and pairs.concepts[i] != pairs.concepts[j]


def test_rule_made_negatives_reach_a_training_step(tmp_path):
    pytest.importorskip("spacy")
    pictures(tmp_path)
    captions = [
        "A red car next to a small blue house.",
        "Two dogs are chasing a cat.",
        "A man on a horse.",
        "A big cup.",
    ]
    names = ("a.png", "b.jpg", "deep/c.webp", "deep/d.png")
    rows = [{"image": i, "caption": c, "split": "train"} for i, c in zip(names, captions, strict=True)]
    write_json(tmp_path, rows)
    pairs = folder.write(tmp_path, make="rules").pairs
    split = batches.rows(pairs, "train")
    assert split.negative_count[:4].min() > 0 and not split.negative_count[4:].any()
    assert len(split.captions) == pairs.captions
    assert {"colour", "object", "number", "gender", "attribute"} <= {
        kind for kinds in pairs.negative_kinds for kind in kinds
    }


def test_the_command(tmp_path):
    pictures(tmp_path)
    write_json(tmp_path, [*ROWS, {"image": "gone.png", "caption": "x"}])
    command = [sys.executable, "-m", "jam_jax.datasets.folder", f"--folder={tmp_path}"]
    stopped = subprocess.run(command, capture_output=True, text=True, check=False)
    assert stopped.returncode == 2 and stopped.stderr.startswith("error: captions.jsonl line 6: there is no picture")
    assert stopped.stderr.count("\n") == 1
    done = subprocess.run([*command, "--on_bad=skip"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "4 pictures" in done.stdout and "1 left out" in done.stdout
