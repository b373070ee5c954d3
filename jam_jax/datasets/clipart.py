"""openclipart as Debian packages it: drawings in the public domain, with titles and keywords from their metadata.

python -m jam_jax.datasets.clipart --folder=data        # counts; writes data/clipart/skipped.json
"""

import argparse
import hashlib
import html
import pathlib
import re
import sys
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from jam_jax.datasets.inspect import MAX_PIXELS, inspect
from jam_jax.datasets.items import Item, Skipped, drawn_part, item_id
from jam_jax.errors import JamError

TAGS = 8  # keywords a caption names at most
SMALLEST = 24  # pixels along the longer side of what is drawn

# Themes, shapes and series whose titles do not tell one picture from the next.
_FOLDERS = re.compile(
    r"^(?:shapes|special|buttons|logos|computer/(?:icons|buttons|folders)|signs_and_symbols/(?:flags|led)|"
    r"recreation/games/cards|people/clothing/pantyhose)(?:/|$)"
)
# Titles that name a series; the names of its files say what is on them.
_SERIES = re.compile(
    r"^(?:clipart by nicu|aiga_symbol|svg road signs|road signs|r16 sib|diner menu|etiquette icons|australian maps|"
    r"balloons-aj)",
    re.I,
)
# Titles of series whose files are not named in English, or not at all.
_NAMELESS = re.compile(
    r"^(?:various cliparts|blueberry|lemon svg|advertising$|sallite$|map symbols|homes clipart|tasto|"
    r"protection obligatoire)",
    re.I,
)
# Two artists titled their 250 drawings in Italian and French; long file names are cut, so theirs may be.
_FOREIGN = re.compile(r"_archi|rollandin|francesco_ar|_yves_?g")
_NO_TAG = re.compile(r"^(?:hash.*|unsorted|mapsym|networksym|.*architetto.*|\d+|icons?|.{30,}|)$")
_SERIES_FILE = re.compile(r"^(?:aiga|etiquette|svg)_|-aj$|_(?:bw|bwh|ganson|r|s|vect)(?=_|\d|$)|_\d+\w?$")


def read(folder: pathlib.Path) -> tuple[list[Item], Skipped]:
    """All usable pictures in order of their paths, and what was left out and why.

    Category is the top folder. Raises JamError when the folder was not fetched.
    """
    pictures, drawings = folder / "clipart" / "png", folder / "clipart" / "svg"
    for place in (pictures, drawings):
        if not place.exists():
            raise JamError(f"{place}: is missing; run python -m jam_jax.datasets.fetch --to={folder} --only=clipart")
    items, skipped, seen = [], Skipped(), set()
    for file in sorted(pictures.rglob("*.png")):
        path = file.relative_to(pictures)
        reason, title, tags = _described(path, drawings / path.with_suffix(".svg"))
        if not reason:
            digest = hashlib.sha256(file.read_bytes()).digest()
            reason = "duplicate" if digest in seen else inspect(file, MAX_PIXELS)
            if not reason and max(drawn_part(file).size) < SMALLEST:
                reason = "too small"
            seen.add(digest)
        if reason:
            skipped.add(reason, str(path))
        else:
            items.append(Item(item_id("clipart", path), file, title, tags, path.parts[0], str(path.parent)))
    return items, skipped


def _described(path: pathlib.PurePath, drawing: pathlib.Path) -> tuple[str | None, str, tuple[str, ...]]:
    """Why a picture is left out before it is looked at, its title and its keywords."""
    if _FOLDERS.match(str(path.parent)):
        return "theme, shape, flag or card", "", ()
    if _FOREIGN.search(path.stem):
        return "title not in English", "", ()
    try:
        work = _work(drawing.read_bytes())
    except OSError:
        return "no drawing with a title", "", ()
    except (ParseError, DefusedXmlException, ValueError):
        return "unreadable metadata", "", ()
    if work is None:
        return "no title", "", ()
    raw = next((_text(node) for node in work if _local(node) == "title"), "")
    if _NAMELESS.match(raw):
        return "title of a series", "", ()
    title = clean(_SERIES_FILE.sub("", path.stem.rstrip("_")) if _SERIES.match(raw) else raw)
    creators = {_text(node) for part in work if _local(part) == "creator" for node in part.iter() if len(node) == 0}
    if not re.search(r"[A-Za-z]{3}", title) or raw in creators:
        return "no title", "", ()
    keywords = [
        _text(node) for part in work if _local(part) == "subject" for node in part.iter() if _local(node) == "li"
    ]
    kept = dict.fromkeys(word.replace("_", " ").lower() for word in keywords if not _NO_TAG.match(word.lower()))
    return None, title, tuple(sorted(word for word in kept if word != title.lower()))[:TAGS]


def clean(title: str) -> str:
    """A title as a person would write it: 'CayennePepper_02' becomes 'Cayenne Pepper'."""
    text = re.sub(r"(?:-aj)?(?:\.svg)?$", "", html.unescape(title.strip())).replace("_", " ")
    text = re.sub(r"^0\d\s+|\s+(?:openclipart|clip ?art)$", "", text, flags=re.I)
    text, uncoloured = re.subn(r"\(?\bB and W\)?|\bBW\b|\(b/w\)", "", text, flags=re.I)
    text = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", text)
    text = re.sub(r" - (?:clothing|body part|RPG map elements)$|\s*\(.* in italian\)", "", text)
    text = re.sub(r"(?:\s*[#-]?\s*\b\d+|(?<=[a-z])\d+|\s+#|\s*-|\s+)+$", "", text)
    return " ".join([*text.split(), *(["(black and white)"] if uncoloured else [])])


def _work(data: bytes) -> Element | None:
    # A declared entity is refused: none is needed to say a title, and a bomb is made of them.
    root = fromstring(data, forbid_entities=True)
    return next((node for node in root.iter() if _local(node) == "work"), None)


def _local(node: Element) -> str:
    return node.tag.rpartition("}")[2].lower() if isinstance(node.tag, str) else ""


def _text(node: Element) -> str:
    return " ".join("".join(node.itertext()).split())


def main() -> None:
    """Counts what can be used, and writes what cannot and why to clipart/skipped.json."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("data"))
    folder = parser.parse_args().folder
    try:
        items, skipped = read(folder)
        skipped.write(folder / "clipart" / "skipped.json")
    except (JamError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"{len(items)} pictures can be used")
    for reason, count in skipped.counts().items():
        print(f"{count} left out: {reason}")


if __name__ == "__main__":
    main()
