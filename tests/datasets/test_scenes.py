import dataclasses

import numpy as np
import pytest
from PIL import Image

from jam_jax.activations.pairs import Pairs
from jam_jax.datasets import backgrounds, scenes
from jam_jax.datasets.manipulations import generator_of
from jam_jax.errors import JamError


def thing(colour, size=(40, 60)):
    pixels = np.zeros((*size, 4), np.uint8)
    rows, columns = np.ogrid[: size[0], : size[1]]
    pixels[((rows / size[0] - 0.5) ** 2 + (columns / size[1] - 0.5) ** 2) < 0.2] = (*colour, 255)
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three things, a sign, a picture without transparency, and 21 photographs of one colour each."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "pictures" / "cut").mkdir(parents=True)
    names = ["apple", "bee", "cow", "plus", "photo"]
    for place, name in enumerate(names):
        picture = thing((250 - 40 * place, 20, 20))
        (picture.convert("RGB") if name == "photo" else picture).save(folder / "pictures" / "cut" / f"{name}.png")
    Pairs(
        item_ids=names, concepts=names, categories=["food", "animal", "animal", "math", "food"],
        splits=["train", "train", "test", "train", "train"], gallery=[True] * 5,
        caption_texts=[text for name in names for text in (name, f"{name}: tag")], caption_kinds=["name", "tags"] * 5,
        caption_items=np.repeat(np.arange(5), 2),
        negative_rows=[[(row + 4) % 10] for row in range(10)], negative_kinds=[["neighbour"]] * 10,
    ).write(folder / "pairs.parquet")  # fmt: skip
    for place, background in enumerate(backgrounds.BACKGROUNDS):
        file = folder / "backgrounds" / background.file
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((260, 300, 3), 10 * place, np.uint8)
        pixels[..., 0] = np.linspace(0, 200, 300)
        Image.fromarray(pixels).save(file)
    return folder


@pytest.fixture(scope="module")
def made(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("scenes")
    return scenes.write(data, data, out, view="cut", items=3), out


def read(out, part, item):
    return np.asarray(Image.open(out / part / "all" / f"{item}.png"))


def photograph(seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 200, (300, 400, 3), dtype=np.uint8))


def test_the_mask_parts_thing_and_background_exactly():
    one, other = (
        scenes.compose(thing((255, 0, 9)), photograph(seed), np.random.default_rng(1)) for seed in (0, 1)
    )  # fmt: skip
    assert one.picture.shape == one.background.shape == (224, 224, 3) and one.mask.shape == (224, 224)
    np.testing.assert_array_equal(one.mask, other.mask)
    outside, inside = one.mask == 0, one.mask == 255
    np.testing.assert_array_equal(one.picture[outside], one.background[outside])
    # Whatever is behind it, the thing looks the same.
    np.testing.assert_array_equal(one.picture[inside], other.picture[inside])
    np.testing.assert_array_equal(np.median(one.picture[inside], 0), (255, 0, 9))
    assert (one.background != other.background).any() and 0.1 < inside.mean() < 0.5


def test_an_item_has_the_same_scene_whatever_it_is_composed_with():
    one, two, other = (
        scenes.compose(thing((255, 0, 0)), photograph(), generator_of(item)) for item in ("a", "a", "b")
    )  # fmt: skip
    np.testing.assert_array_equal(one.picture, two.picture)
    assert (one.mask != other.mask).any()


def test_a_folder_of_scenes_has_pictures_masks_and_backgrounds_of_things_alone(made):
    pairs, out = made
    assert pairs.item_ids == ["apple", "bee", "cow"]
    for item in pairs.item_ids:
        picture, mask, background = (read(out, part, item) for part in ("pictures", "masks", "backgrounds"))
        np.testing.assert_array_equal(picture[mask == 0], background[mask == 0])
        assert (picture[mask == 255] != background[mask == 255]).any()
    assert Pairs.open(out / "pairs.parquet").caption_texts == pairs.caption_texts


def test_captions_of_a_scene_say_where_its_thing_is_and_negatives_still_point_at_the_same_texts(made):
    pairs, _ = made
    assert pairs.caption_items.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert pairs.caption_kinds == ["name", "tags", *["scene"] * 3] * 3
    for item, name in enumerate(pairs.item_ids):
        texts = pairs.caption_texts[5 * item : 5 * item + 5]
        assert texts[:2] == [name, f"{name}: tag"] and all(text.startswith(f"{name} ") for text in texts[2:])
        said = tuple(text.removeprefix(f"{name} ") for text in texts[2:])
        assert said in [background.phrases for background in backgrounds.BACKGROUNDS]
    # Of 10 captions each named the fourth after it: the apple's the cow's; others' were captions of what is left out.
    negatives = [(m, [pairs.caption_texts[row] for row in rows]) for m, rows in enumerate(pairs.negative_rows) if rows]
    assert negatives == [(0, ["cow"]), (1, ["cow: tag"])]


def test_photographs_are_dealt_evenly():
    dealt = scenes._deal(50, 21, seed=3)
    assert {dealt.count(photograph) for photograph in range(21)} == {2, 3}


def test_every_background_has_three_different_phrases():
    phrases = [phrase for background in backgrounds.BACKGROUNDS for phrase in background.phrases]
    assert len(set(phrases)) == 3 * len(backgrounds.BACKGROUNDS)


def test_every_scene_knows_its_photograph(made):
    pairs, out = made
    numbers = scenes.photographs_of(out, pairs)
    same = [[a[2] == b[2] for b in by_item(pairs)] for a in by_item(pairs)]
    assert (numbers[:, None] == numbers).tolist() == same
    with pytest.raises(JamError, match="photographs.json: says nothing of date; the pairs are those of other scenes"):
        scenes.photographs_of(out, dataclasses.replace(pairs, item_ids=["apple", "bee", "date"]))
    with pytest.raises(JamError, match="photographs.json: is missing"):
        scenes.photographs_of(out / "pictures", pairs)


def by_item(pairs):
    """What is said of the background in each of the five captions of an item."""
    texts = [
        text.removeprefix(name) for name in pairs.item_ids for text in pairs.caption_texts if text.startswith(name)
    ]
    return [texts[start : start + 5] for start in range(0, len(texts), 5)]


def test_activations_within_a_photograph_have_no_mean_left():
    x, photographs = np.random.default_rng(0).normal(size=(9, 4)), np.array([0, 2, 2, 1, 0, 1, 1, 2, 1])
    made = scenes.within(x.astype(np.float16), photographs)
    for number in range(3):
        members = photographs == number
        np.testing.assert_allclose(made[members], (x - x[members].mean(0))[members], atol=5e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"items": 4}, "4 scenes are asked for, but only 3 things have a usable outline"),
        ({"view": "none"}, "no such folder; name a view"),
    ],
)
def test_bad_settings_are_named_in_one_line(data, tmp_path, change, message):
    with pytest.raises(JamError, match=message) as raised:
        scenes.write(data, data, tmp_path, **{"view": "cut", "items": 2, **change})
    assert "\n" not in str(raised.value)


def test_missing_photographs_name_the_command_that_fetches_them(data, tmp_path):
    with pytest.raises(JamError, match="Blinds.jpg: is missing; run python -m jam_jax.datasets.backgrounds"):
        scenes.write(data, tmp_path, tmp_path / "out", view="cut", items=2)


@pytest.mark.parametrize(
    ("picture", "message"),
    [(Image.new("RGB", (9, 9)), "no transparency"), (Image.new("RGBA", (9, 9)), "nothing but transparency")],
)
def test_a_thing_without_an_outline_is_refused(picture, message):
    with pytest.raises(JamError, match=message):
        scenes.compose(picture, Image.new("RGB", (300, 300)), np.random.default_rng(0))
