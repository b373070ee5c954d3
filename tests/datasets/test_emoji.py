import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from jam_jax.activations import Pairs
from jam_jax.datasets import emoji
from jam_jax.errors import JamError

TONES = ["light", "medium-light", "medium", "medium-dark", "dark"]
SUBGROUPS = {"0": "person-role", "1": "heart", "2": "animal-bird", "3": "country-flag"}


def entry(hexcode, label, group, subgroup, tags=(), skins=False):
    made = {"hexcode": hexcode, "label": label, "group": group, "subgroup": subgroup, "tags": list(tags)}
    if skins:
        made["skins"] = [
            {"hexcode": f"{hexcode}-1F3F{'BCDEF'[tone]}", "label": f"{label}: {name} skin tone", "tone": tone + 1}
            for tone, name in enumerate(TONES)
        ]
        both = f"{label}: light skin tone, dark skin tone"
        made["skins"].append({"hexcode": f"{hexcode}-1F3FB-1F3FF", "label": both, "tone": [1, 5]})
    return made


ROLES = ["cook", "judge", "pilot", "singer", "farmer"]
COLOURS = ["red", "blue", "green"]
BIRDS = [f"bird of kind {kind}" for kind in range(30)]
ENTRIES = [
    *(
        entry(f"A{i}{g}", f"{gender}{role}", 1, 0, ["work", role], skins=True)
        for i, role in enumerate(ROLES)
        for g, gender in enumerate(["", "man ", "woman "])
    ),
    *(entry(f"B{i}", f"{colour} heart", 0, 1, ["love"]) for i, colour in enumerate(COLOURS)),
    *(entry(f"C{i:02d}", bird, 3, 2) for i, bird in enumerate(BIRDS)),
    entry("D0", "flag: Nowhere", 9, 3),
    entry("E0", "bird never drawn", 3, 2),
]
UNDRAWN = {"e0", "d0"}


@pytest.fixture
def folder(tmp_path):
    """A fetched data folder in the form of emojibase, its pictures empty files."""
    (tmp_path / "emojibase").mkdir()
    (tmp_path / "emojibase" / "data.json").write_text(json.dumps(ENTRIES))
    (tmp_path / "emojibase" / "groups.json").write_text(json.dumps({"subgroups": SUBGROUPS}))
    (tmp_path / "pictures" / "fluent").mkdir(parents=True)
    for member in (member for base in ENTRIES for member in (base, *base.get("skins", ()))):
        if member["hexcode"].lower() not in UNDRAWN:
            (tmp_path / "pictures" / "fluent" / f"{member['hexcode'].lower()}.webp").touch()
    return tmp_path


@pytest.fixture
def pairs(folder):
    return emoji.pairs(folder, variants=40)


def test_every_drawn_base_emoji_is_an_item_and_flags_are_not(pairs):
    bases = {base["hexcode"].lower() for base in ENTRIES} - UNDRAWN
    assert bases == {item for item in pairs.item_ids if "1f3f" not in item}


def test_variants_come_light_and_dark_first_and_stop_at_their_number(folder, pairs):
    chosen = [item for item in pairs.item_ids if "1f3f" in item]
    assert len(chosen) == len(set(chosen)) == 40
    ends = {item[-5:] for item in chosen}
    assert ends == {"1f3fb", "1f3fd", "1f3ff"}  # never two tones at once
    assert sum(item.endswith("1f3fb") for item in chosen) == sum(item.endswith("1f3ff") for item in chosen) == 15
    few = emoji.pairs(folder, variants=6)
    tones = sorted(item[-5:] for item in few.item_ids if "1f3f" in item)
    assert tones == ["1f3fb"] * 3 + ["1f3ff"] * 3


def test_an_item_has_its_name_and_its_name_with_tags_as_captions(pairs):
    row = pairs.item_ids.index("a02")
    captions = [m for m in range(pairs.captions) if pairs.caption_items[m] == row]
    assert [(pairs.caption_kinds[m], pairs.caption_texts[m]) for m in captions] == [
        ("name", "woman cook"),
        ("tags", "woman cook: work, cook"),
    ]


def test_no_concept_is_in_two_splits_and_the_shares_are_right(pairs):
    split_of = {}
    for concept, split in zip(pairs.concepts, pairs.splits, strict=True):
        assert split_of.setdefault(concept, split) == split
    birds = [split for concept, split in split_of.items() if concept in BIRDS]
    assert [birds.count(split) for split in ("train", "validation", "test")] == [21, 3, 6]


def test_the_gallery_has_one_base_item_of_each_concept(pairs):
    shown = np.flatnonzero(pairs.gallery)
    assert sorted(pairs.concepts[i] for i in shown) == sorted(set(pairs.concepts))
    assert not any("1f3f" in pairs.item_ids[i] for i in shown)


def test_hard_negatives_are_captions_of_the_same_kind_that_are_wrong_in_one_detail(pairs):
    names = {pairs.caption_items[m]: pairs.caption_texts[m] for m in range(0, pairs.captions, 2)}
    seen = set()
    for m, (rows, kinds) in enumerate(zip(pairs.negative_rows, pairs.negative_kinds, strict=True)):
        assert len(set(rows)) == len(rows)
        for row, kind in zip(rows, kinds, strict=True):
            own, other = pairs.caption_items[m], pairs.caption_items[row]
            assert pairs.caption_kinds[row] == pairs.caption_kinds[m]
            assert pairs.caption_texts[row] != pairs.caption_texts[m]
            assert (pairs.concepts[own] == pairs.concepts[other]) == (kind != "neighbour")
            assert pairs.categories[own] == pairs.categories[other]
            mine, theirs = ([word for word in names[i].replace(":", "").split()] for i in (own, other))
            if kind == "gender":
                assert {mine[0], theirs[0]} == {"man", "woman"} and mine[1:] == theirs[1:]
            if kind == "colour":
                assert mine[1:] == theirs[1:] == ["heart"]
            if kind == "skin":
                assert names[own].split(":")[0] == names[other].split(":")[0] and "skin" in theirs
            seen.add(kind)
    assert seen == {"gender", "colour", "skin", "neighbour"}


def test_neighbours_are_base_items_and_at_most_sixteen(pairs):
    counts = [kinds.count("neighbour") for kinds in pairs.negative_kinds]
    assert max(counts) == emoji.NEIGHBOURS
    neighbours = {
        pairs.item_ids[pairs.caption_items[row]]
        for rows, kinds in zip(pairs.negative_rows, pairs.negative_kinds, strict=True)
        for row, kind in zip(rows, kinds, strict=True)
        if kind == "neighbour"
    }
    assert not any("1f3f" in item for item in neighbours)


def test_the_same_folder_gives_the_same_pairs_and_another_seed_another_split(folder, pairs):
    again, other = emoji.pairs(folder, variants=40), emoji.pairs(folder, variants=40, seed=1)
    for field in dataclasses.fields(pairs):
        before, after = getattr(pairs, field.name), getattr(again, field.name)
        assert np.array_equal(before, after) if isinstance(before, np.ndarray) else before == after
    assert other.splits != pairs.splits and other.negative_rows == pairs.negative_rows


def test_the_command_writes_pairs_and_says_what_is_missing(folder):
    command = [sys.executable, "-m", "jam_jax.datasets.emoji", "--folder", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    assert Pairs.open(folder / "pairs.parquet").items == 48 + 45
    (folder / "emojibase" / "data.json").unlink()
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert "jam_jax.datasets.fetch" in done.stderr


def test_a_folder_without_pictures_is_named(tmp_path):
    (tmp_path / "emojibase").mkdir()
    (tmp_path / "emojibase" / "data.json").write_text("[]")
    with pytest.raises(JamError, match="fluent: is missing"):
        emoji.pairs(tmp_path)
