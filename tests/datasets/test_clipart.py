import json
import subprocess
import sys

import pytest

from jam_jax.datasets import clipart
from jam_jax.errors import JamError
from tests.datasets import small_collections as collections

BOMB = '<!DOCTYPE svg [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'


@pytest.fixture
def folder(tmp_path):
    def add(path, **more):
        collections.clipart(tmp_path, path, **more)

    add("animals/bugs/bee_01", title="Bee_02", keywords=["insect", "hash(0x8a3)", "", "bee", "map_symbol", "11"])
    add("food/fruit/apple.svg_x", title="CayennePepper (B and W)")
    add("food/fruit/apple1", title="Clipart by Nicu Buculei - pear", keywords=["food"])
    add("food/plain", title="Plate", dtd='<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.0//EN" "svg10.dtd">')
    add("food/twice", title="Twice", picture=collections.png(1))
    add("food/twice_again", title="Twice", picture=collections.png(1))
    add("shapes/stars/star", title="Star")
    add("computer/icons/folder", title="Folder")
    add("animals/cavallo_architetto_franc_01", title="Cavallo")
    add("people/untitled", title="  ")
    add("people/number", title="12")
    add("people/mirjam", title="Mirjam Meijer", creator="Mirjam Meijer")
    add("unsorted/fattoria", title="Various Cliparts")
    add("people/bomb", title="&b;", dtd=BOMB)
    add("people/cut", title="Cut", picture=collections.png(3)[:-200])
    add("people/empty", title="Empty", picture=collections.png(3, drawn=(0, 0, 0, 0)))
    add("people/dot", title="Dot", picture=collections.png(3, drawn=(3, 3, 9, 9)))
    add("people/big", title="Big", picture=collections.png(0, (4001, 4000), (0, 0, 9, 9)))
    add("people/alone", title="Alone")
    (tmp_path / "clipart/svg/people/alone.svg").unlink()
    return tmp_path


def test_titles_and_keywords_come_from_the_drawing(folder):
    items, _ = clipart.read(folder)
    assert [(item.id, item.captions, item.category, item.folder) for item in items] == [
        ("clipart-animals-bugs-bee_01", ("Bee", "Bee: insect, map symbol"), "animals", "animals/bugs"),
        ("clipart-food-fruit-apple.svg_x", ("Cayenne Pepper (black and white)",) * 2, "food", "food/fruit"),
        ("clipart-food-fruit-apple1", ("apple", "apple: food"), "food", "food/fruit"),
        ("clipart-food-plain", ("Plate", "Plate"), "food", "food"),
        ("clipart-food-twice", ("Twice", "Twice"), "food", "food"),
    ]


def test_every_picture_left_out_has_its_reason(folder):
    _, skipped = clipart.read(folder)
    assert {reason: sorted(files) for reason, files in skipped.files.items()} == {
        "theme, shape, flag or card": ["computer/icons/folder.png", "shapes/stars/star.png"],
        "title not in English": ["animals/cavallo_architetto_franc_01.png"],
        "no title": ["people/mirjam.png", "people/number.png", "people/untitled.png"],
        "title of a series": ["unsorted/fattoria.png"],
        "unreadable metadata": ["people/bomb.png"],
        "truncated": ["people/cut.png"],
        "nothing but transparency": ["people/empty.png"],
        "too small": ["people/dot.png"],
        "too many pixels": ["people/big.png"],
        "duplicate": ["food/twice_again.png"],
        "no drawing with a title": ["people/alone.png"],
    }


@pytest.mark.parametrize(
    ("title", "cleaned"),
    [
        ("horse#1", "horse"), ("Bus1 BW", "Bus (black and white)"), ("hat - clothing", "hat"),
        ("books-aj.svg", "books"), ("frying pan (padella in italian)", "frying pan"),
        ("45 RPM Record", "45 RPM Record"),
        ("Stemma di Valle d&#39;Aosta", "Stemma di Valle d'Aosta"), ("04 waxing openclipart", "waxing"),
    ],
)  # fmt: skip
def test_titles_are_cleaned(title, cleaned):
    assert clipart.clean(title) == cleaned == clipart.clean(cleaned)


def test_the_command_counts_and_keeps_the_reasons(folder):
    command = [sys.executable, "-m", "jam_jax.datasets.clipart", "--folder", str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0 and "5 pictures can be used\n" in done.stdout
    kept = json.loads((folder / "clipart" / "skipped.json").read_text())
    assert kept["counts"]["no title"] == 3 and kept["files"]["too small"] == ["people/dot.png"]
    assert "3 left out: no title\n" in done.stdout


def test_what_was_not_fetched_is_said(tmp_path):
    with pytest.raises(JamError, match="clipart.* is missing; run python -m jam_jax.datasets.fetch .*--only=clipart"):
        clipart.read(tmp_path)
