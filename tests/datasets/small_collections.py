"""Small picture collections in the form that fetch leaves them in."""

import io
import json

import numpy as np
from PIL import Image

SVG = """<?xml version="1.0"?>{dtd}
<svg xmlns="http://www.w3.org/2000/svg" width="20mm" height="10mm"><metadata>
<rdf:RDF xmlns:cc="http://web.resource.org/cc/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><cc:Work><dc:title>{title}</dc:title>
<dc:subject><rdf:Bag>{keywords}</rdf:Bag></dc:subject>
<dc:creator><cc:Agent><dc:title>{creator}</dc:title></cc:Agent></dc:creator></cc:Work></rdf:RDF></metadata>
<rect width="15mm" height="10mm" fill="#ff0000"/></svg>"""


def svg(title="", keywords=(), creator="", dtd=""):
    bag = "".join(f"<rdf:li>{word}</rdf:li>" for word in keywords)
    return SVG.format(title=title, keywords=bag, creator=creator, dtd=dtd).encode()


def png(seed=0, size=(40, 40), drawn=(4, 4, 36, 36)):
    """Noise on a transparent page."""
    picture = Image.new("RGBA", size)
    noise = np.random.default_rng(seed).integers(0, 256, (drawn[3] - drawn[1], drawn[2] - drawn[0], 3), np.uint8)
    picture.paste(Image.fromarray(noise), drawn[:2])
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def clipart(folder, path, *, picture=None, **described):
    """One drawing; its noise differs from path to path."""
    for kind, data in (("png", picture or png(sum(path.encode()))), ("svg", svg(**described))):
        file = folder / "clipart" / kind / f"{path}.{kind}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def stamp(folder, path, text, *, picture=None):
    """One stamp; its noise differs from path to path."""
    file = folder / "stamps" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(picture or png(sum(path.encode())))
    if text is not None:
        file.with_suffix(".txt").write_text(text, encoding="utf-8")


def emoji(folder, entries, subgroups, views=("fluent", "noto", "twemoji")):
    """Emoji of the form hexcode -> (label, group, subgroup, tags), drawn in all views."""
    base = folder / "emojibase"
    base.mkdir()
    data = [
        {"hexcode": code, "label": label, "group": group, "subgroup": subgroup, "tags": list(tags)}
        for code, (label, group, subgroup, tags) in entries.items()
    ]
    (base / "data.json").write_text(json.dumps(data))
    (base / "groups.json").write_text(json.dumps({"subgroups": subgroups}))
    for number, view in enumerate(views):
        (folder / "pictures" / view).mkdir(parents=True)
        for code in entries:
            (folder / "pictures" / view / f"{code.lower()}.png").write_bytes(png(number))
