"""What a caption and a picture file must be to be used, the same for importers and for the exporter."""

import pathlib
import unicodedata

ON_BAD = ("stop", "skip")
PICTURES = (".webp", ".png", ".jpg", ".jpeg")
LONGEST = 1000  # words: no language model here reads more, and a whole book is a mistake


def caption_problem(text: object) -> str:
    """Why a text can be no caption; empty when it can. Any script may be used."""
    if not isinstance(text, str):
        return f"the caption is {type(text).__name__}, not a text"
    if not text.strip():
        return "the caption is empty"
    bad = next((c for c in text if unicodedata.category(c) in ("Cc", "Cs") and c not in "\t\n\r"), None)
    if bad is not None:
        return f"the caption holds the control character U+{ord(bad):04X}"
    words = len(text.split())
    return f"the caption has {words} words, more than {LONGEST}" if words > LONGEST else ""


def picture_files(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Picture files of a folder by item id, in order of their names; empty when there is no folder."""
    if not folder.is_dir():
        return {}
    return {file.stem: file for file in sorted(folder.iterdir()) if file.suffix.lower() in PICTURES}


__all__ = ["LONGEST", "ON_BAD", "PICTURES", "caption_problem", "picture_files"]
