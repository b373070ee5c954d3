"""The stamps of Tux Paint as Debian packages them: cut-out photographs and drawings, one English sentence each.

python -m jam_jax.datasets.stamps --folder=data        # counts; writes data/stamps/skipped.json
"""

import argparse
import hashlib
import pathlib
import re
import sys

from jam_jax.datasets import vector
from jam_jax.datasets.inspect import MAX_PIXELS, inspect
from jam_jax.datasets.items import Item, Skipped, item_id
from jam_jax.errors import JamError

DRAWN = 512  # pixels along the longer side of a drawing
_SIGNS = re.compile(r"^symbols/(?:alphabets|math|money/00_symbols)(?:/|$)")


def read(folder: pathlib.Path) -> tuple[list[Item], Skipped]:
    """All usable stamps in order of their paths, and what was left out and why.

    Drawings become pictures in stamps/drawn. Category is the folder. Raises JamError when the folder was not fetched.
    """
    root = folder / "stamps"
    if not root.exists():
        raise JamError(f"{root}: is missing; run python -m jam_jax.datasets.fetch --to={folder} --only=stamps")
    items, skipped, seen = [], Skipped(), set()
    drawn = root / "drawn"
    files = [file for file in sorted(root.rglob("*")) if file.suffix in (".png", ".svg") and drawn not in file.parents]
    pictured = {file.with_suffix("") for file in files if file.suffix == ".png"}
    for file in files:
        path = file.relative_to(root)
        sentence = _sentence(file.with_suffix(".txt"))
        if _SIGNS.match(str(path.parent)):
            skipped.add("letter, digit or sign", str(path))
        elif not sentence:
            skipped.add("no sentence", str(path))
        elif file.suffix == ".svg" and file.with_suffix("") in pictured:
            skipped.add("drawing of a picture that is there", str(path))
        else:
            picture = file if file.suffix == ".png" else _draw(file, (drawn / path).with_suffix(".png"))
            reason = inspect(picture, MAX_PIXELS) if picture else "drawing that cannot be drawn"
            digest = hashlib.sha256(picture.read_bytes()).digest() if picture else b""
            if reason or digest in seen:
                skipped.add(reason or "duplicate", str(path))
                continue
            seen.add(digest)
            words = [part.replace("_", " ").lower() for part in path.parent.parts]
            tags = tuple(word for word in words if word != "cartoon")
            items.append(
                Item(item_id("stamps", path), picture, sentence, tags, str(path.parent), str(path.parent))  # type: ignore[arg-type]
            )
    return items, skipped


def _draw(drawing: pathlib.Path, out: pathlib.Path) -> pathlib.Path | None:
    if not out.exists():
        data = vector.png(drawing.read_bytes(), DRAWN)
        if data is None:
            return None
        out.parent.mkdir(parents=True, exist_ok=True)
        part = out.with_suffix(".part")
        part.write_bytes(data)
        part.replace(out)
    return out


def _sentence(file: pathlib.Path) -> str:
    """The English line, without its full stop so that tags can follow; '' when there is none."""
    if not file.exists():
        return ""
    first = (file.read_text(encoding="utf-8", errors="replace").splitlines() or [""])[0]
    # A line that is already a translation, 'de.utf8=...', is no English one.
    return "" if re.match(r"^\w+\.utf8=", first) else " ".join(first.split()).rstrip(".!")


def main() -> None:
    """Counts what can be used, and writes what cannot and why to stamps/skipped.json."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("data"))
    folder = parser.parse_args().folder
    try:
        items, skipped = read(folder)
        skipped.write(folder / "stamps" / "skipped.json")
    except (JamError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"{len(items)} stamps can be used")
    for reason, count in skipped.counts().items():
        print(f"{count} left out: {reason}")


if __name__ == "__main__":
    main()
