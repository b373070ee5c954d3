import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from jam_jax.activations import Pairs
from jam_jax.datasets import large
from jam_jax.errors import JamError
from tests.datasets import small_collections as collections

SUBGROUPS = {"0": "animal-mammal", "1": "heart", "2": "person-role"}
COMMON = [
    f"{kind} beast" for kind in ("furry", "spiny", "scaly", "quiet", "shy", "bold", "swift", "lazy", "odd", "old")
]
EMOJI = {
    "A1": ("cat face", 3, 0, ["pet"]),
    "A2": ("cat", 3, 0, ["kitty"]),
    "B1": ("red heart", 0, 1, ["love"]),
    "B2": ("blue heart", 0, 1, ["love"]),
    "C1": ("man cook", 1, 2, []),
    "C2": ("woman cook", 1, 2, []),
    **{f"D{i}": (name, 3, 0, []) for i, name in enumerate(COMMON)},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    collections.emoji(folder, EMOJI, SUBGROUPS)
    (folder / "pictures" / "noto" / "c2.png").unlink()
    (folder / "pictures" / "noto" / "c1.png").write_bytes(b"broken")
    for name in ("Cat", "Siamese Cat", "Cats_02", "Dog", *COMMON):
        collections.clipart(folder, f"animals/{name.replace(' ', '_')}", title=name, keywords=["animal"])
    collections.clipart(folder, "animals/dog_yellow", title="Yellow Dog")
    collections.clipart(folder, "animals/dog_green", title="Green Dog", keywords=["cat"])
    wide = collections.png(5, (2000, 1500), (0, 0, 2000, 1000))
    collections.clipart(folder, "tools/hot_dog", title="Hot Dog", picture=wide)
    for path, text in (("animals/cats/cat", "A cat."), ("animals/dogs/dog", "A green dog."), ("food/pie", "A pie.")):
        collections.stamp(folder, f"{path}.png", text)
    return folder


@pytest.fixture(scope="module")
def built(folder):
    return large.build(folder, folder / "large")


def rows(pairs, source):
    return [i for i in range(pairs.items) if pairs.sources[i] == source]


def negatives(pairs, item_id, which=0):
    """Texts and kinds of the hard negatives of an item's name, or name with tags."""
    m = 2 * pairs.item_ids.index(item_id) + which
    return {
        pairs.caption_texts[row]: kind
        for row, kind in zip(pairs.negative_rows[m], pairs.negative_kinds[m], strict=True)
    }


def test_views_and_collections_are_items_with_two_captions(built):
    pairs, _ = built
    assert {source: len(rows(pairs, source)) for source in dict.fromkeys(pairs.sources)} == {
        "fluent": 16, "noto": 14, "twemoji": 16, "clipart": 17, "stamps": 3,
    }  # fmt: skip
    cat = pairs.item_ids.index("noto-a2")
    assert pairs.caption_texts[2 * cat : 2 * cat + 2] == ["cat", "cat: kitty"]
    assert pairs.caption_items.tolist() == np.repeat(np.arange(pairs.items), 2).tolist()


def test_one_thing_is_one_concept_in_all_sources(built):
    pairs, _ = built
    cats = [item for item, concept in zip(pairs.item_ids, pairs.concepts, strict=True) if concept == "cat"]
    assert cats == [
        "fluent-a1", "fluent-a2", "noto-a1", "noto-a2", "twemoji-a1", "twemoji-a2", "clipart-animals-cat",
        "clipart-animals-cats_02", "stamps-animals-cats-cat",
    ]  # fmt: skip
    assert {"dog", "hot dog", "siamese cat", "heart", "cook", "pie"} <= set(pairs.concepts)


def test_splits_never_share_a_concept_and_each_group_of_sources_has_its_share(built):
    pairs, _ = built
    split_of = dict(zip(pairs.concepts, pairs.splits, strict=True))
    both = [split_of[name] for name in COMMON]  # emoji and clipart have them
    assert [both.count(split) for split in ("train", "validation", "test")] == [7, 1, 2]
    assert all(split_of[c] == s for c, s in zip(pairs.concepts, pairs.splits, strict=True))


def test_the_gallery_has_one_item_of_each_source_and_concept(built):
    pairs, _ = built
    shown = [(pairs.sources[i], pairs.concepts[i]) for i in np.flatnonzero(pairs.gallery)]
    assert sorted(shown) == sorted(set(zip(pairs.sources, pairs.concepts, strict=True)))


def test_emoji_have_the_hard_negatives_of_their_own_view(built):
    pairs, _ = built
    assert negatives(pairs, "twemoji-b1") == {"blue heart": "colour"}
    assert negatives(pairs, "fluent-c1", 1) == {"woman cook": "gender"}
    # The cat and the cat's face are one thing here, though they are two emoji.
    assert negatives(pairs, "fluent-a1") == dict.fromkeys(COMMON, "neighbour")


def test_hard_negatives_of_titles_are_wrong(built):
    pairs, _ = built
    for m, found in enumerate(pairs.negative_rows):
        own = pairs.caption_items[m]
        mine = {pairs.caption_texts[2 * own + which].lower() for which in (0, 1)}
        texts = [pairs.caption_texts[row].lower() for row in found]
        assert not mine & set(texts) and len(set(texts)) == len(texts)
        assert all(pairs.sources[pairs.caption_items[row]] == pairs.sources[own] for row in found)
        assert all(pairs.caption_kinds[row] == pairs.caption_kinds[m] for row in found)
    siamese, yellow = negatives(pairs, "clipart-animals-siamese_cat"), negatives(pairs, "clipart-animals-dog_yellow")
    assert "Cat" not in siamese and "Cats" not in siamese  # a siamese cat is a cat
    assert yellow["Green Dog"] == "colour" and "Dog" not in yellow
    assert not {"Cat", "Cats"} & set(negatives(pairs, "clipart-animals-dog_green"))  # its keyword
    plain = negatives(pairs, "clipart-animals-dog")
    assert not {"Green Dog", "Yellow Dog"} & set(plain)  # which colour it has is not said
    assert set(negatives(pairs, "clipart-tools-hot_dog")) == set()  # nothing else lies in its folder
    assert negatives(pairs, "stamps-animals-cats-cat") == {"A green dog": "neighbour"}


def test_pictures_are_copied_cut_to_what_is_drawn_and_shrunk(built, folder):
    pairs, _ = built
    pictures = folder / "large" / "pictures" / "all"
    assert {file.name for file in pictures.iterdir()} == {f"{item}.png" for item in pairs.item_ids}
    assert (pictures / "noto-a1.png").read_bytes() == (folder / "pictures/noto/a1.png").read_bytes()
    with Image.open(pictures / "clipart-animals-cat.png") as picture:
        assert picture.size == (32, 32)
    with Image.open(pictures / "clipart-tools-hot_dog.png") as picture:
        assert (picture.size, picture.mode) == ((512, 256), "RGBA")


def test_the_transparent_page_does_not_bleed_into_the_edge(tmp_path):
    disc = Image.new("RGBA", (2000, 2000), (0, 255, 0, 0))
    disc.paste((255, 0, 0, 255), (500, 0, 1503, 2000))
    disc.putpixel((0, 0), (255, 0, 0, 255))
    disc.putpixel((1999, 1999), (255, 0, 0, 255))
    disc.save(tmp_path / "disc.png")
    entry = large.Entry("x", "clipart", tmp_path / "disc.png", ("", ""), "", "", None, frozenset(), -1)
    large._write_picture(entry, tmp_path / "small")
    with Image.open(tmp_path / "small.png") as small:
        shown = np.asarray(small)[np.asarray(small)[..., 3] > 16]
    assert shown[:, 0].min() > 200 and shown[:, 1].max() < 20


def test_building_again_gives_the_same_bytes(built, folder):
    def content():
        return {file: file.read_bytes() for file in (folder / "large").rglob("*") if file.is_file()}

    before = content()
    (folder / "large/pictures/all/stale.png").write_bytes(b"")
    large.build(folder, folder / "large")
    assert content() == before


def test_statistics_and_reports_are_written(built, folder):
    pairs, numbers = built
    out = folder / "large"
    assert json.loads((out / "statistics.json").read_text()) == numbers
    assert numbers["by_source"]["all"]["all"] == {
        "items": pairs.items, "captions": 2 * pairs.items, "concepts": len(set(pairs.concepts)),
        "gallery": int(pairs.gallery.sum()),
    }  # fmt: skip
    assert sum(numbers["by_source"]["stamps"][split]["items"] for split in ("train", "validation", "test")) == 3
    assert numbers["concepts_by_sources"]["clipart+emoji+stamps"] == 1
    assert numbers["skipped"]["noto"] == {"not drawn in this view": 1, "not a picture": 1}
    assert json.loads((out / "skipped_noto.json").read_text())["files"]["not a picture"] == ["c1.png"]
    near = list(csv.DictReader((out / "near_duplicates.csv").open()))
    assert {(row["first"], row["second"], row["merged"]) for row in near} >= {("cat", "siamese cat", "False")}
    assert pairs.sources == Pairs.open(out / "pairs.parquet").sources


@pytest.mark.slow
def test_the_command_prints_and_ends_with_one_line_when_a_part_is_missing(built, folder, tmp_path):
    command = [sys.executable, "-m", "jam_jax.datasets.large", "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    (folder / "clipart").rename(folder / "elsewhere")
    try:
        with pytest.raises(JamError, match="clipart.* is missing; run python -m jam_jax.datasets.fetch"):
            large.build(folder, tmp_path / "out")
    finally:
        (folder / "elsewhere").rename(folder / "clipart")
