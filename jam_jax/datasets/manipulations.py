"""What is done to pictures before a model sees them: appearance changed, or what they show taken away.

Every function takes uint8 pictures [H, W, 3] or [H, W, 4] and gives [H, W, 3]; transparency is laid on white first, as
the exporter does. Masks are uint8 [H, W], 255 where the object is. What is drawn at random is drawn for each item by
its id, so a picture comes out the same whatever it is exported with.
"""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFilter

from jam_jax.errors import JamError

WHITE = 255
DEGREES = 10.0
BLUR = 0.03  # of the shorter side: 7 pixels of 224, what a thing is made of is gone and where it is remains
PATCHES = 8  # a side: patches of 28 pixels of 224, two by two patches of a ViT/14
_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


class Sample(NamedTuple):
    """One picture with all that a manipulation may need.

    ``mask`` and ``background`` (the picture as it was before the object was laid on it, uint8 [H, W, 3]) are None where
    a data folder has none; ``generator`` is the item's own.
    """

    picture: np.ndarray
    mask: np.ndarray | None
    background: np.ndarray | None
    generator: np.random.Generator


def generator_of(item: str, seed: int = 0) -> np.random.Generator:
    """Random numbers of one item: the same whatever other items there are, and in whatever order."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(f"{seed}:{item}".encode()).digest()[:8], "little"))


def on_white(picture: np.ndarray) -> np.ndarray:
    """RGB [H, W, 3] of an RGB or RGBA picture; raises JamError for anything else."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] not in (3, 4) or not picture.size:
        raise JamError(
            f"a picture has shape {picture.shape} and type {picture.dtype}; give uint8 [height, width, 3 or 4]"
        )
    if picture.shape[2] == 3:
        return picture
    return _blend(picture[..., :3], np.full_like(picture[..., :3], WHITE), picture[..., 3])


def mask_of(picture: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Where the object is: the mask if there is one, else the alpha channel.

    Raises JamError without either, for another size, and where object or background have no pixel.
    """
    if mask is None:
        if picture.shape[-1] != 4:
            raise JamError("a picture has neither a mask nor an alpha channel; jam_jax.datasets.scenes makes both")
        mask = picture[..., 3]
    if mask.dtype != np.uint8 or mask.shape != picture.shape[:2]:
        raise JamError(
            f"a mask has shape {mask.shape} and type {mask.dtype}; a picture of {picture.shape[:2]} needs uint8 of that"
        )
    if not mask.any() or mask.all():
        raise JamError(f"a mask marks {'all' if mask.any() else 'none'} of its picture; it has to part object and rest")
    return mask


def grayscale(picture: np.ndarray) -> np.ndarray:
    """Brightness alone, in all three channels."""
    grey_HxW = np.rint(on_white(picture) @ _LUMA).astype(np.uint8)
    return np.repeat(grey_HxW[..., None], 3, axis=2)


def rotation(picture: np.ndarray, degrees: float = DEGREES) -> np.ndarray:
    """Turned counter-clockwise about the middle; the picture's mirror image fills the corners, so none is black."""
    pixels = on_white(picture)
    height, width = pixels.shape[:2]
    pad = ((height // 2, height // 2), (width // 2, width // 2), (0, 0))
    turned = Image.fromarray(np.pad(pixels, pad, "symmetric")).rotate(degrees, Image.Resampling.BICUBIC)
    return np.asarray(turned)[pad[0][0] : pad[0][0] + height, pad[1][0] : pad[1][0] + width].copy()


def blur(picture: np.ndarray, fraction: float = BLUR) -> np.ndarray:
    """Gaussian blur whose standard deviation is a fraction of the shorter side."""
    pixels = on_white(picture)
    return np.array(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(fraction * min(pixels.shape[:2]))))


def texture_shuffle(picture: np.ndarray, generator: np.random.Generator, patches: int = PATCHES) -> np.ndarray:
    """Patches change places: colours and texture stay, shape and place go.

    ``patches`` a side; the rows and columns that are left over stay at the lower and right edge. Raises JamError for a
    picture with fewer pixels than patches a side.
    """
    pixels = on_white(picture)
    size_H, size_W = (length // patches for length in pixels.shape[:2])
    if not size_H or not size_W:
        raise JamError(f"a picture of {pixels.shape[:2]} pixels cannot be cut into {patches} x {patches} patches")
    inner = pixels[: patches * size_H, : patches * size_W]
    cut = inner.reshape(patches, size_H, patches, size_W, 3).swapaxes(1, 2).reshape(-1, size_H, size_W, 3)
    mixed = cut[generator.permutation(len(cut))].reshape(patches, patches, size_H, size_W, 3)
    shuffled = pixels.copy()
    shuffled[: patches * size_H, : patches * size_W] = mixed.swapaxes(1, 2).reshape(inner.shape)
    return shuffled


def foreground_removed(picture: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """The object is painted over with the mean colour of the rest; its outline is still there to see."""
    mask, pixels = mask_of(picture, mask), on_white(picture)
    return _blend(_mean_colour(pixels, mask), pixels, mask)


def only_foreground(picture: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """The object on white."""
    mask, pixels = mask_of(picture, mask), on_white(picture)
    return _blend(pixels, np.full_like(pixels, WHITE), mask)


def only_background(background: np.ndarray) -> np.ndarray:
    """What is behind the object, without its outline: the picture as it was before the object was laid on it."""
    return on_white(background).copy()


def elsewhere_removed(picture: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """The control of ``foreground_removed``: the object's outline painted over where it covers least of the object.

    As many pixels are gone and an outline is seen, but the object stays: what it still hides is taken from the outline.
    """
    mask, pixels = mask_of(picture, mask), on_white(picture)
    height, width = mask.shape
    moves = [(y * height // 4, x * width // 4) for y in range(4) for x in range(4)]
    solid = mask.astype(np.float32)
    y, x = min(moves, key=lambda move: (np.sum(solid * np.roll(solid, move, (0, 1))), move))
    moved = np.minimum(np.roll(mask, (y, x), (0, 1)), WHITE - mask)
    return _blend(_mean_colour(pixels, mask), pixels, moved)


def _background(sample: Sample) -> np.ndarray:
    if sample.background is None:
        raise JamError("only_background needs the picture as it was without its object; jam_jax.datasets.scenes has it")
    return only_background(sample.background)


def _either_way(sample: Sample) -> np.ndarray:
    return rotation(sample.picture, DEGREES if sample.generator.integers(2) else -DEGREES)


MANIPULATIONS: dict[str, Callable[[Sample], np.ndarray]] = {
    "original": lambda sample: on_white(sample.picture).copy(),
    "grayscale": lambda sample: grayscale(sample.picture),
    "rotation": _either_way,
    "blur": lambda sample: blur(sample.picture),
    "texture_shuffle": lambda sample: texture_shuffle(sample.picture, sample.generator),
    "foreground_removed": lambda sample: foreground_removed(sample.picture, sample.mask),
    "elsewhere_removed": lambda sample: elsewhere_removed(sample.picture, sample.mask),
    "only_foreground": lambda sample: only_foreground(sample.picture, sample.mask),
    "only_background": _background,
}


def _blend(front: np.ndarray, back: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Front where the mask is 255, back where it is 0, in between rounded to the nearest."""
    share = mask[..., None].astype(np.uint32)
    mixed = front * share + back * (WHITE - share)
    return ((2 * mixed + WHITE) // (2 * WHITE)).astype(np.uint8)


def _mean_colour(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A flat picture in the mean colour of what the mask does not mark at all; of the least marked where all is."""
    rest = mask == mask.min()
    return np.broadcast_to(np.rint(pixels[rest].mean(0)).astype(np.uint8), pixels.shape)


__all__ = [
    "BLUR", "DEGREES", "MANIPULATIONS", "PATCHES", "Sample", "blur", "elsewhere_removed", "foreground_removed",
    "generator_of", "grayscale", "mask_of", "on_white", "only_background", "only_foreground", "rotation",
    "texture_shuffle",
]  # fmt: skip
