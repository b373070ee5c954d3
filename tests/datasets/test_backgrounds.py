import hashlib
import shutil
import subprocess
import sys

import pytest

from jam_jax.datasets import backgrounds
from jam_jax.errors import JamError
from tests.datasets.test_fetch import deb

needs_dpkg = pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="dpkg-deb is not installed")


@pytest.fixture
def packages(monkeypatch, tmp_path):
    """The three packages in small, where apt would put them, each with a wallpaper that is not wanted."""
    below = {}
    (tmp_path / "archives").mkdir()
    for name, (package, prefix, suffix) in backgrounds._BELOW.items():
        stems = [b.file.split("/")[1][:-4] for b in backgrounds.BACKGROUNDS if b.file.startswith(f"{name}/")]
        files = {f"{prefix}{stem}{suffix or '.jpg'}": stem.encode() for stem in [*stems, "Other"]}
        data = deb({**files, "usr/share/doc/x/copyright": b"free"})
        (tmp_path / "archives" / package.file).write_bytes(data)
        below[name] = (package._replace(sha256=hashlib.sha256(data).hexdigest()), prefix, suffix)
    monkeypatch.setattr(backgrounds, "_BELOW", below)
    return tmp_path


@needs_dpkg
def test_the_chosen_photographs_come_out_of_the_packages_and_no_other(packages):
    backgrounds.fetch(packages)
    files = backgrounds.files(packages)
    assert [file.read_bytes().decode() for file in files] == [file.stem for file in files]
    found = {path for path in (packages / "backgrounds").rglob("*") if path.is_file()}
    assert found == {*files, *(packages / "backgrounds" / name / "copyright" for name in backgrounds._BELOW)}
    assert all(any(folder.iterdir()) for folder in (packages / "backgrounds").rglob("*") if folder.is_dir())


@needs_dpkg
def test_a_wrong_hash_leaves_nothing_behind(packages):
    (packages / "archives" / backgrounds.MATE.file).write_bytes(b"something else")
    with pytest.raises(JamError, match="mate-backgrounds 1.26.0-1: .*SHA-256"):
        backgrounds.fetch(packages)
    assert not (packages / "backgrounds").exists()


def test_the_command_ends_with_one_line_and_code_2(tmp_path):
    (tmp_path / "file").touch()
    command = [sys.executable, "-m", "jam_jax.datasets.backgrounds", "--to", str(tmp_path / "file" / "below")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
