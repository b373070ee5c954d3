import io
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from jam_jax.backbones.pictures import on_white
from jam_jax.datasets.inspect import inspect


def saved(picture, form, **settings):
    file = io.BytesIO()
    picture.save(file, form, **settings)
    return file.getvalue()


NOISE = Image.effect_noise((40, 30), 80)
SIXTEEN_BIT = Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40) * 50)
GOOD = {
    "rgb": saved(NOISE.convert("RGB"), "PNG"),
    "cmyk": saved(NOISE.convert("RGB").convert("CMYK"), "JPEG"),
    "palette": saved(NOISE.convert("P"), "PNG", transparency=0),
    "16-bit": saved(SIXTEEN_BIT, "PNG"),
    "one pixel": saved(Image.new("RGB", (1, 1)), "PNG"),
    "black and white": saved(NOISE.convert("1"), "PNG"),
    "grey and alpha": saved(NOISE.convert("LA"), "PNG"),
    "animated gif": saved(NOISE.convert("P"), "GIF", save_all=True, append_images=[NOISE.rotate(90).convert("P")]),
    "animated webp": saved(NOISE.convert("RGB"), "WEBP", save_all=True, append_images=[NOISE.convert("RGB")]),
}


def huge_png(side):
    """A valid header of a picture of side x side pixels, and next to nothing behind it."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", GOOD)
def test_unusual_pictures_are_fine_and_can_be_prepared(tmp_path, kind):
    assert inspect(GOOD[kind], 10_000) is None
    (tmp_path / "picture").write_bytes(GOOD[kind])
    assert inspect(tmp_path / "picture", 10_000) is None
    with Image.open(io.BytesIO(GOOD[kind])) as picture:
        assert on_white(picture).mode == "RGB"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"no picture at all", "no picture of a known kind"),
        (b"GIF89a", "damaged|no picture"),
        (GOOD["rgb"][:-200], "damaged or cut short"),
        (GOOD["cmyk"][: len(GOOD["cmyk"]) // 2], "damaged or cut short"),
        (GOOD["rgb"][:60] + bytes(100) + GOOD["rgb"][160:], "damaged or cut short"),
        (huge_png(5_000), "5000 x 5000 pixels, more than 10,000 in all"),
        (huge_png(200_000), "pixels, more than|too large"),
    ],
)
def test_what_cannot_be_used_is_told(data, reason):
    assert re.search(reason, inspect(data, 10_000))


def test_a_file_that_is_not_there(tmp_path):
    assert "cannot be read" in inspect(tmp_path / "nowhere.png", 10_000)


def test_cut_anywhere_nothing_raises():
    for data in GOOD.values():
        for end in range(0, len(data), max(1, len(data) // 23)):
            reason = inspect(data[:end], 10_000)
            assert reason is None or "\n" not in reason


def test_sixteen_bits_keep_their_shades():
    shades = np.asarray(on_white(SIXTEEN_BIT))
    np.testing.assert_array_equal(shades[..., 0], np.asarray(SIXTEEN_BIT) >> 8)
    assert (shades[..., 0] == shades[..., 2]).all()
