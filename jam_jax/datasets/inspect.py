"""Whether a picture file can be used, told before anything depends on it."""

import io
import os
import pathlib
import struct
import warnings

from PIL import Image, UnidentifiedImageError


def inspect(picture: bytes | str | os.PathLike[str], max_pixels: int) -> str | None:
    """Why a picture cannot be used, None when it can; never raises for what a file holds.

    Its header is read before its pixels, so that a small file that unpacks to gigabytes costs nothing. Of an animation
    the first frame counts. CMYK, palette and 16-bit pictures are fine: whoever opens them converts them.

    Args:
      picture: the bytes of a file, or its path. max_pixels: the most that width times height may be.
    """
    try:
        data = picture if isinstance(picture, bytes) else pathlib.Path(picture).read_bytes()
    except OSError as error:
        return f"the file cannot be read ({error.strerror})"
    if not data:
        return "the file is empty"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of large pictures on its own, at a bound of its own
        try:
            with Image.open(io.BytesIO(data)) as opened:
                width, height = opened.size
                if width * height > max_pixels:
                    return f"the picture has {width} x {height} pixels, more than {max_pixels:,} in all"
                opened.load()
        except UnidentifiedImageError:
            return "the file is no picture of a known kind"
        except Image.DecompressionBombError:
            return "the picture is too large to be opened safely"
        except (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error) as error:
            # Pillow's readers end in any of these when a file is damaged.
            return f"the picture is damaged or cut short ({' '.join(str(error).split())[:80] or type(error).__name__})"
        except (MemoryError, OverflowError):
            return "the picture does not fit into memory"
    return None


__all__ = ["inspect"]
