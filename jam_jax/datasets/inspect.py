"""Whether a picture can be used: one reason why not, found from its header where that is enough."""

import io
import os
import pathlib
import warnings

from PIL import Image, UnidentifiedImageError

MAX_PIXELS = 16_000_000
# What Pillow warns of is answered here; set once, since suppressing a warning inside a thread is felt in the others.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# Grey whose range is anyone's guess; that of 16 bits is known, and whoever makes RGB of it has to scale it.
_DEEP = ("I", "F")


def inspect(source: str | os.PathLike[str] | bytes, max_pixels: int = MAX_PIXELS) -> str | None:
    """Why a picture cannot be used, in a few words without numbers so that reasons can be counted, or None.

    'unreadable file', 'empty file', 'not a picture', 'too many pixels', 'one pixel', 'deep grey', 'truncated',
    'broken' or 'nothing but transparency'. CMYK, palette and animated pictures are fine (of an animation the first
    frame counts), and so is grey of 16 bits; that of 32 is not, since its range is anyone's guess. The size is read
    from the header before anything is decoded; then everything is. Bad content never raises. Safe to call from many
    threads.

    Args:
      source: a path, or the encoded bytes.
      max_pixels: the largest width x height that is decoded.
    """
    try:
        data = source if isinstance(source, bytes) else pathlib.Path(source).read_bytes()
    except OSError:
        return "unreadable file"
    if not data:
        return "empty file"
    try:
        picture = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        return "not a picture"
    # Pillow itself refuses to go on after the header of very large pictures, or warns, and warnings may be errors.
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return "too many pixels"
    except Exception as error:  # decoders raise whatever the bytes led them into: struct, zlib, index errors
        return _broken(error)
    with picture:
        if picture.width * picture.height > max_pixels:
            return "too many pixels"
        if picture.width * picture.height <= 1:
            return "one pixel"
        if picture.mode in _DEEP:
            return "deep grey"
        try:
            picture.load()
            if picture.has_transparency_data and picture.convert("RGBA").getchannel("A").getextrema() == (0, 0):
                return "nothing but transparency"
        except Exception as error:
            return _broken(error)
    return None


def _broken(error: Exception) -> str:
    return "truncated" if "truncated" in str(error).lower() else "broken"


__all__ = ["MAX_PIXELS", "inspect"]
