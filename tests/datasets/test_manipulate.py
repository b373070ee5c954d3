import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from jam_jax.activations.pairs import Pairs
from jam_jax.config import load_file
from jam_jax.datasets import manipulations
from jam_jax.datasets.manipulate import ALL, manipulate
from jam_jax.datasets.rows import source_rows
from jam_jax.errors import JamError


@pytest.fixture
def folder(tmp_path):
    """Two items with masks and backgrounds; the second picture is a palette picture, as some collections have."""
    generator = np.random.default_rng(0)
    root = tmp_path / "scenes"
    for part in ("pictures", "masks", "backgrounds"):
        (root / part / "all").mkdir(parents=True)
    for item in ("apple", "bee"):
        mask = np.zeros((32, 32), np.uint8)
        mask[8:20, 8:20] = 255
        pixels = generator.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
        picture = Image.fromarray(pixels[0])
        (picture if item == "apple" else picture.quantize(9)).save(root / "pictures/all" / f"{item}.png")
        Image.fromarray(mask).save(root / "masks/all" / f"{item}.png")
        Image.fromarray(pixels[1]).save(root / "backgrounds/all" / f"{item}.png")
    Pairs(
        item_ids=["apple", "bee"], concepts=["apple", "bee"], categories=["food", "animal"], splits=["train", "test"],
        gallery=[True, True], caption_texts=["a red apple hanging", "running", "a bee", "the bee flies"],
        caption_kinds=["name"] * 4, caption_items=[0, 0, 1, 1], negative_rows=[[2], [], [0], []],
        negative_kinds=[["neighbour"], [], ["neighbour"], []],
    ).write(root / "pairs.parquet")  # fmt: skip
    return root


def open_rows(out, modality):
    pairs = Pairs.open(out / "pairs.parquet")
    return source_rows(modality, pairs, {"folder": str(out), "view": "all"}, on_bad="stop")


@pytest.mark.parametrize("name", ALL)
def test_the_exporter_reads_a_copy_like_any_data_folder_row_by_row(folder, tmp_path, name):
    out = tmp_path / "copy"
    manipulate(folder, name, out, view="all")
    for modality in ("vision", "language"):
        before, after = open_rows(folder, modality), open_rows(out, modality)
        assert after.ids == before.ids and not after.skipped
    assert all(picture.size == (32, 32) for picture in open_rows(out, "vision").take([0, 1]))


def test_pictures_change_and_captions_stay_or_the_other_way_round(folder, tmp_path):
    manipulate(folder, "only_background", tmp_path / "pictures", view="all")
    manipulate(folder, "nouns", tmp_path / "captions", view="all")
    before = Pairs.open(folder / "pairs.parquet")
    assert Pairs.open(tmp_path / "pictures" / "pairs.parquet").caption_texts == before.caption_texts
    after = Pairs.open(tmp_path / "captions" / "pairs.parquet")
    assert after.caption_texts[0] == "apple" and after.negative_rows == before.negative_rows
    picture = (tmp_path / "captions/pictures/all/apple.png").read_bytes()
    assert picture == (folder / "pictures/all/apple.png").read_bytes()
    background = Image.open(tmp_path / "pictures/pictures/all/apple.png")
    np.testing.assert_array_equal(background, Image.open(folder / "backgrounds/all/apple.png"))


def test_masks_of_the_folder_are_used(folder, tmp_path):
    manipulate(folder, "only_foreground", tmp_path / "out", view="all")
    picture, mask = (np.asarray(Image.open(folder / part / "all/apple.png")) for part in ("pictures", "masks"))
    made = np.asarray(Image.open(tmp_path / "out/pictures/all/apple.png"))
    np.testing.assert_array_equal(made, manipulations.only_foreground(picture, mask))


def test_captions_that_would_be_empty_are_named(folder, tmp_path):
    assert "apple/1" in manipulate(folder, "nouns", tmp_path / "out", view="all")
    assert Pairs.open(tmp_path / "out" / "pairs.parquet").caption_texts[1] == "running"


def test_the_same_again_changes_nothing_and_another_seed_is_not_mixed_in(folder, tmp_path):
    for _ in range(2):
        manipulate(folder, "texture_shuffle", tmp_path / "out", view="all")
    with pytest.raises(JamError, match="is another picture than that of apple; delete it or choose another folder"):
        manipulate(folder, "texture_shuffle", tmp_path / "out", view="all", seed=1)


def test_bad_input_is_named_in_one_line(folder, tmp_path):
    def fails(message, name="blur", view="all"):
        with pytest.raises(JamError, match=message) as raised:
            manipulate(folder, name, tmp_path / message[:9], view=view)
        assert "\n" not in str(raised.value)

    fails("manipulation 'greyscale' is unknown; did you mean 'grayscale'", name="greyscale")
    fails("2 items have no picture, the first is apple", view="noto")
    (folder / "backgrounds/all/bee.png").unlink()
    fails("bee.png: only_background: only_background needs", name="only_background")
    (folder / "masks/all/bee.png").write_bytes(b"no picture")
    fails("masks/all/bee.png: is no readable picture")


def test_the_shipped_config_names_manipulations_that_there_are():
    config = load_file("configs/measure/manipulations.py")
    assert {config.original, *config.pictures, *config.manipulated_captions} == set(ALL)


def test_the_command_ends_with_one_line_and_code_2(tmp_path):
    command = [sys.executable, "-m", "jam_jax.datasets.manipulate", "--folder", str(tmp_path), "--manipulation", "blur"]
    done = subprocess.run([*command, "--out", str(tmp_path / "x")], check=False, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
