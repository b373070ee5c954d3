"""Pictures with a name each, as the readers of picture collections give them, and a tally of what they leave out."""

import collections
import json
import pathlib
import re
from typing import NamedTuple

from PIL import Image


class Item(NamedTuple):
    """One picture: id, file, name, tags, category, and the folder it lies in, which may be narrower."""

    id: str
    file: pathlib.Path
    name: str
    tags: tuple[str, ...]
    category: str
    folder: str

    @property
    def captions(self) -> tuple[str, str]:
        """The name, and the name with tags: captions of kind 'name' and of kind 'tags'."""
        return self.name, f"{self.name}: {', '.join(self.tags)}" if self.tags else self.name


class Skipped:
    """Which files were left out, by reason."""

    def __init__(self) -> None:
        self.files: dict[str, list[str]] = collections.defaultdict(list)

    def add(self, reason: str, file: str) -> None:
        """Notes one file."""
        self.files[reason].append(file)

    def counts(self) -> dict[str, int]:
        """Number of files by reason, the most frequent first."""
        return dict(sorted(((reason, len(files)) for reason, files in self.files.items()), key=lambda pair: -pair[1]))

    def write(self, path: pathlib.Path) -> None:
        """Writes counts and files as JSON."""
        path.write_text(json.dumps({"counts": self.counts(), "files": self.files}, indent=1, sort_keys=True) + "\n")


def drawn_part(file: pathlib.Path) -> Image.Image:
    """A picture without the empty page around it; the picture itself where nothing is transparent."""
    with Image.open(file) as picture:
        picture.load()
        if not picture.has_transparency_data:
            return picture
        whole = picture.convert("RGBA")
    return whole.crop(whole.getchannel("A").getbbox())


def item_id(source: str, path: pathlib.PurePath) -> str:
    """An id that can be a file name everywhere: 'clipart-animals-bee_01' for animals/bee_01.png."""
    return re.sub(r"[^a-z0-9_.-]", "_", "-".join([source, *path.with_suffix("").parts]).lower())


__all__ = ["Item", "Skipped", "drawn_part", "item_id"]
