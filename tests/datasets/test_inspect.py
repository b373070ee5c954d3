import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from jam_jax.datasets.inspect import inspect

NOISE = np.random.default_rng(0).integers(0, 256, (40, 30, 4), np.uint8)


def encoded(picture, kind="PNG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(mode="RGB"):
    return Image.fromarray(NOISE).convert(mode)


def png_header(width, height):
    """A PNG that promises a size and has no pixels."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


FRAMES = {"save_all": True, "append_images": [noise().rotate(90)]}
GOOD = {
    "rgb": encoded(noise()),
    "transparent": encoded(noise("RGBA")),
    "grey": encoded(noise("L")),
    "grey with alpha": encoded(noise("LA")),
    "black and white": encoded(noise("1")),
    "palette": encoded(noise("P")),
    "palette with a transparent colour": encoded(noise("P"), transparency=0),
    "cmyk": encoded(noise("CMYK"), "JPEG"),
    "progressive": encoded(noise(), "JPEG", progressive=True),
    "animated gif": encoded(noise(), "GIF", **FRAMES),
    "animated webp": encoded(noise(), "WEBP", **FRAMES),
    "animated png": encoded(noise(), "PNG", **FRAMES),
    "grey of 16 bits": encoded(Image.fromarray(NOISE[..., 0].astype(np.uint16) * 256)),
    "two pixels": encoded(Image.new("RGB", (2, 1))),
}
BAD = {
    "empty file": [b""],
    "not a picture": [b"PNG", b"<svg/>", b"\0" * 1000, encoded(noise())[1:]],
    "too many pixels": [png_header(17_000, 1000), png_header(15_213, 15_213), png_header(10_000, 10_000)],
    "one pixel": [encoded(Image.new("RGB", (1, 1))), encoded(Image.new("L", (1, 1)), "GIF")],
    "deep grey": [encoded(Image.fromarray(NOISE[..., 0].astype(np.int32)), "TIFF"), encoded(noise("F"), "TIFF")],
    "truncated": [encoded(noise())[:-500], encoded(noise("CMYK"), "JPEG")[:-500], png_header(30, 40)],
    "nothing but transparency": [
        encoded(Image.new("RGBA", (9, 9))),
        encoded(Image.new("P", (9, 9)), transparency=0),
        encoded(Image.new("LA", (9, 9))),
    ],
}


@pytest.mark.parametrize("data", GOOD.values(), ids=GOOD)
def test_what_can_be_decoded_and_seen_is_fine(data, tmp_path):
    assert inspect(data) is None
    (tmp_path / "picture").write_bytes(data)
    assert inspect(tmp_path / "picture") is None and inspect(str(tmp_path / "picture")) is None


@pytest.mark.parametrize(("reason", "data"), [(reason, data) for reason, many in BAD.items() for data in many])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # pytest undoes the filter of the module
def test_each_fault_has_its_name(reason, data, tmp_path):
    assert inspect(data) == reason
    (tmp_path / "picture").write_bytes(data)
    assert inspect(tmp_path / "picture") == reason


def test_the_limit_is_the_callers_and_holds_when_warnings_are_errors():
    assert inspect(GOOD["rgb"], max_pixels=1200) is None
    assert inspect(GOOD["rgb"], max_pixels=1199) == "too many pixels"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert inspect(png_header(10_000, 10_000)) == "too many pixels"


def test_what_is_no_file_is_unreadable(tmp_path):
    assert inspect(tmp_path) == inspect(tmp_path / "absent") == "unreadable file"


@pytest.mark.parametrize("name", ["rgb", "palette", "cmyk", "animated gif", "animated webp"])
def test_no_damage_raises(name):
    """Every byte in turn is turned over, and the file is cut at many places."""
    data = GOOD[name]
    reasons = {inspect(data[:i] + bytes([data[i] ^ 0xFF]) + data[i + 1 :]) for i in range(0, len(data), 7)}
    reasons |= {inspect(data[:i]) for i in range(0, len(data), 11)}
    assert None in reasons or "broken" in reasons
    assert reasons <= {None, "broken", *BAD}
