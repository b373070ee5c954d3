import numpy as np
import pytest
from PIL import Image

from jam_jax.backbones.pictures import Preprocessing, on_white


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "I;16"])
def test_every_mode_becomes_rgb(mode):
    source = Image.new("RGBA", (4, 4), "white")
    picture = source.convert("L").convert(mode) if mode == "I;16" else source.convert("RGB").convert(mode)
    assert on_white(picture).mode == "RGB"


def test_half_transparent_is_half_white():
    picture = Image.new("RGBA", (1, 1), (0, 100, 200, 128))
    expected = [255 + (c - 255) * 128 / 255 for c in (0, 100, 200)]
    np.testing.assert_allclose(np.asarray(on_white(picture))[0, 0], expected, atol=1)


def test_transparent_palette_entry_becomes_white():
    picture = Image.new("P", (1, 1), 0)
    picture.putpalette([255, 0, 0])
    picture.info["transparency"] = 0
    assert on_white(picture).getpixel((0, 0)) == (255, 255, 255)


def test_pixels_are_normalised_channels_first():
    prepare = Preprocessing(2, (0.1, 0.2, 0.3), (0.5, 1.0, 2.0))
    pixels = prepare([Image.new("RGB", (8, 4), (255, 0, 51)), Image.new("RGB", (3, 3))])
    assert pixels.shape == (2, 3, 2, 2)
    assert pixels.dtype == np.float32 and pixels.flags.c_contiguous
    np.testing.assert_allclose(pixels[0, :, 0, 0], [(1 - 0.1) / 0.5, -0.2, (0.2 - 0.3) / 2], atol=1e-6)


def test_sixteen_bits_keep_their_shades():
    deep = np.arange(1200, dtype=np.uint16).reshape(30, 40) * 50
    shades = np.asarray(on_white(Image.fromarray(deep)))
    np.testing.assert_array_equal(shades[..., 0], deep >> 8)
    assert (shades[..., 0] == shades[..., 2]).all()
