"""From PIL pictures to pixel arrays: one way to flatten transparency, one way to resize and normalise."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from PIL import Image


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """Square size in pixels, and per-channel mean and standard deviation on the 0..1 scale of RGB."""

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __call__(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        """Normalised pixels, float32 [N, 3, size, size]; whole pictures are resized, nothing is cropped."""
        pixels_NxHxWx3 = np.stack([
            np.asarray(on_white(picture).resize((self.size, self.size), Image.Resampling.BICUBIC), np.float32)
            for picture in pictures
        ])  # fmt: skip
        normalised = (pixels_NxHxWx3 / 255 - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)
        return np.ascontiguousarray(normalised.transpose(0, 3, 1, 2), np.float32)


def on_white(picture: Image.Image) -> Image.Image:
    """An RGB picture; what is transparent becomes white, as paper would."""
    if picture.mode == "RGB" and "transparency" not in picture.info:
        return picture
    if picture.mode.startswith("I"):  # 16 bits a pixel, which Pillow would cut at 255 instead of scaling
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    with_alpha = picture.convert("RGBA")
    canvas = Image.new("RGBA", with_alpha.size, "white")
    canvas.alpha_composite(with_alpha)
    return canvas.convert("RGB")


__all__ = ["Preprocessing", "on_white"]
