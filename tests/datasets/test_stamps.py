import json
import subprocess
import sys

import pytest
from PIL import Image

from jam_jax.datasets import stamps
from jam_jax.errors import JamError
from tests.datasets import small_collections as collections


@pytest.fixture
def folder(tmp_path):
    def add(path, text, **more):
        collections.stamp(tmp_path, path, text, **more)

    add("animals/mammals/cats/cartoon/lion.png", "A happy lion!\nde.utf8=Ein Löwe!\n")
    add("food/banana.svg", "A banana.\n", picture=collections.svg())
    add("food/pear.png", "A pear.")
    add("food/pear.svg", "A pear.", picture=collections.svg())
    add("food/pear_again.png", "A pear.", picture=collections.png(sum(b"food/pear.png")))
    add("food/broken.svg", "Broken.", picture=b"<svg")
    add("food/cut.png", "Cut.", picture=collections.png()[:-300])
    add("symbols/alphabets/english/a.png", "The letter A.")
    add("town/silent.png", None)
    add("town/foreign.png", "de.utf8=Ein Haus.")
    add("town/blank.png", "\n")
    return tmp_path


def test_the_english_sentence_is_the_name_and_folders_are_the_tags(folder):
    items, _ = stamps.read(folder)
    assert [(item.id, item.captions, item.category) for item in items] == [
        ("stamps-animals-mammals-cats-cartoon-lion",
         ("A happy lion", "A happy lion: animals, mammals, cats"), "animals/mammals/cats/cartoon"),
        ("stamps-food-banana", ("A banana", "A banana: food"), "food"),
        ("stamps-food-pear", ("A pear", "A pear: food"), "food"),
    ]  # fmt: skip


def test_drawings_are_made_pictures_once_and_their_shape_is_kept(folder):
    banana = stamps.read(folder)[0][1]
    with Image.open(banana.file) as picture:
        assert picture.size == (512, 256)
        assert picture.getpixel((10, 100)) == (255, 0, 0, 255) and picture.getpixel((500, 100))[3] == 0
    written = banana.file.stat().st_mtime_ns
    again, skipped = stamps.read(folder)
    assert again[1].file.stat().st_mtime_ns == written and len(again) == 3


def test_every_stamp_left_out_has_its_reason(folder):
    for _ in range(2):
        _, skipped = stamps.read(folder)
        assert {reason: sorted(files) for reason, files in skipped.files.items()} == {
            "drawing of a picture that is there": ["food/pear.svg"],
            "duplicate": ["food/pear_again.png"],
            "drawing that cannot be drawn": ["food/broken.svg"],
            "truncated": ["food/cut.png"],
            "letter, digit or sign": ["symbols/alphabets/english/a.png"],
            "no sentence": ["town/blank.png", "town/foreign.png", "town/silent.png"],
        }


def test_the_command_counts_and_keeps_the_reasons(folder):
    command = [sys.executable, "-m", "jam_jax.datasets.stamps", "--folder", str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0 and "3 stamps can be used\n3 left out: no sentence\n" in done.stdout
    assert json.loads((folder / "stamps" / "skipped.json").read_text())["counts"]["truncated"] == 1


def test_what_was_not_fetched_is_said(tmp_path):
    with pytest.raises(JamError, match="stamps: is missing; run .*--only=stamps"):
        stamps.read(tmp_path)
