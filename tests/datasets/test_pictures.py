import base64
import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from jam_jax.activations import Pairs
from jam_jax.datasets.pictures import Pictures, write
from jam_jax.errors import JamError


@pytest.fixture
def files(tmp_path):
    """Two squares of one colour, the left half of each transparent."""
    made = []
    for name, colour in (("b", (255, 0, 0)), ("a", (0, 0, 255))):
        pixels = np.zeros((200, 200, 4), np.uint8)
        pixels[:, 100:] = (*colour, 255)
        made.append(tmp_path / f"{name}.webp")
        Image.fromarray(pixels).save(made[-1], lossless=True)
    return made


def test_rows_keep_their_order_their_colour_and_their_transparency(files, tmp_path):
    write(tmp_path / "pictures.parquet", files, size=32)
    pictures = Pictures.open(tmp_path / "pictures.parquet")
    assert len(pictures) == 2
    for row, colour in enumerate([(255, 0, 0), (0, 0, 255)]):
        pixels = np.asarray(Image.open(io.BytesIO(pictures[row])).convert("RGBA")).astype(int)
        assert pixels.shape == (32, 32, 4)
        assert pixels[16, 2, 3] < 10 and pixels[16, 29, 3] > 245
        assert np.abs(pixels[16, 29, :3] - colour).max() < 30


def test_a_data_uri_holds_the_bytes_of_the_row(files, tmp_path):
    write(tmp_path / "pictures.parquet", files)
    pictures = Pictures.open(tmp_path / "pictures.parquet")
    head, _, body = pictures.data_uri(1).partition(",")
    assert head == "data:image/webp;base64" and base64.b64decode(body) == pictures[1]


def test_a_missing_or_damaged_file_is_named(tmp_path):
    with pytest.raises(JamError, match="nowhere.parquet"):
        Pictures.open(tmp_path / "nowhere.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"no parquet")
    with pytest.raises(JamError, match="broken.parquet"):
        Pictures.open(tmp_path / "broken.parquet")


def test_the_command_follows_the_pairs_and_names_a_missing_picture(files, tmp_path):
    (tmp_path / "pictures" / "fluent").mkdir(parents=True)
    for file in files:
        file.rename(tmp_path / "pictures" / "fluent" / file.name)
    Pairs(
        ["a", "b"], ["a", "b"], ["x", "x"], ["train", "test"], np.ones(2, bool),
        ["A", "B"], ["name"] * 2, np.arange(2), [[]] * 2, [[]] * 2,
    ).write(tmp_path / "pairs.parquet")  # fmt: skip
    command = [sys.executable, "-m", "jam_jax.datasets.pictures", "--folder", str(tmp_path), "--out"]
    command.append(str(tmp_path / "out"))
    subprocess.run(command, check=True, capture_output=True)
    first = Image.open(io.BytesIO(Pictures.open(tmp_path / "out" / "pictures.parquet")[0])).convert("RGBA")
    assert first.getpixel((60, 32))[2] > 200
    (tmp_path / "pictures" / "fluent" / "b.webp").unlink()
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and "b.webp" in done.stderr
