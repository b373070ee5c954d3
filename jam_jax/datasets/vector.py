"""SVG drawings as PNG: the same bytes on every machine, since no font of the machine is used."""

from jam_jax.errors import JamError

DPI = 96  # of drawings whose size is in points or millimetres


def png(drawing: bytes, size: int) -> bytes | None:
    """A drawing that fits a square of ``size`` pixels, its shape kept; None when it cannot be drawn.

    Raises JamError when the renderer is not installed.
    """
    try:
        import resvg_py
    except ImportError as error:
        raise JamError("drawings (SVG) need resvg-py; pip install -r requirements-data.txt") from error
    text = drawing.decode("utf-8", "replace")
    try:
        return resvg_py.svg_to_bytes(svg_string=text, width=size, height=size, dpi=DPI, skip_system_fonts=True)
    except ValueError:
        return None


__all__ = ["png"]
