"""Photographs to lay things on, from wallpaper packages of Debian, and what they show in words.

python -m jam_jax.datasets.backgrounds --to=data        # needs apt-get and dpkg-deb; 156 MB fetched, 18 MB kept
"""

import argparse
import pathlib
import sys
from typing import NamedTuple

from jam_jax.datasets.archives import archive, debian, once, undebian
from jam_jax.errors import JamError

MATE = debian("mate-backgrounds", "1.26.0-1",
              "7bf4c2209f34b4f61ba6d24c8b58c28b361e82e4b943aae6d42c030169af9e04")  # fmt: skip
LOMIRI = debian("lomiri-wallpapers-16.04", "20.04.0-2",
                "a99ff6a3bfe451e4cc0682ecb3cc82e71740626d59e4845ae34a0a0e45421eab")  # fmt: skip
PLASMA = debian("plasma-workspace-wallpapers", "4:5.27.5-2",
                "32cd18b71c8c938a18b3b351f217c02ac590e323caa3cf322fbb875ce8892f8b")  # fmt: skip


class Background(NamedTuple):
    """A photograph: file below data/backgrounds, and three ways to say what is behind a thing laid on it."""

    file: str
    phrases: tuple[str, str, str]


# Photographs without a thing of their own in the middle, chosen by eye; wallpapers that are drawn are left out.
# Every phrase has nouns, and most a verb, so that a caption has something to lose when its words are taken away.
BACKGROUNDS = (
    Background("mate/Blinds.jpg", (
        "on a large green leaf",
        "lying on a leaf whose veins fan out",
        "before a bright green leaf lit by the sun",
    )),
    Background("mate/Dune.jpg", (
        "in dry grass by the sea",
        "among yellow grass that bends in the wind above the sea",
        "on a dune where tall grass grows under a blue sky",
    )),
    Background("mate/GreenMeadow.jpg", (
        "in fresh green grass",
        "lying among green blades of grass",
        "on a lawn that grows thick and green",
    )),
    Background("mate/RainDrops.jpg", (
        "on wet green leaves",
        "on leaves covered with drops of rain",
        "before a leaf from which the rain drips",
    )),
    Background("mate/Storm.jpg", (
        "by a road under dark clouds",
        "beside a motorway while a storm is gathering",
        "in front of a stormy sky that darkens the fields",
    )),
    Background("mate/Wood.jpg", (
        "on pale wooden boards",
        "lying on boards painted white",
        "on a floor made of light wood",
    )),
    Background("lomiri/Bridge_by_Sander_Klootwijk.jpg", (
        "under the cables of a bridge",
        "before a wide blue sky that steel cables cross",
        "on a bridge that spans a sandy bay",
    )),
    Background("lomiri/Dragonfly_by_Bolly.jpg", (
        "among leaves on a branch",
        "in a tree whose leaves shine in the sun",
        "in front of brown and green leaves and a blue sky",
    )),
    Background("lomiri/aitzgorri_by_Aitzol_Berasategi.jpg", (
        "in a green meadow before mountains",
        "on a meadow that slopes down to an autumn forest",
        "in front of orange trees and a grey mountain",
    )),
    Background("lomiri/life_by_Aitzol_Berasategi.jpg", (
        "by a stream in the woods",
        "where a stream falls over mossy rocks",
        "between rocks and trees near flowing water",
    )),
    Background("lomiri/picosdeeuropa_by_Aitzol_Berasategi.jpg", (
        "on a path in high mountains",
        "beside a muddy path that climbs towards snowy peaks",
        "in front of rocky mountains where some snow lies",
    )),
    Background("lomiri/seeding_by_Clements_Engelhardt.jpg", (
        "in a field of dandelions",
        "among dandelions that glow in the evening light",
        "in a meadow full of white seed heads",
    )),
    Background("lomiri/sunset_by_Aitzol_Berasategi.jpg", (
        "on a hill at sunset",
        "on a hilltop while the sun goes down",
        "before the low sun shining over dark hills",
    )),
    Background("plasma/BytheWater.jpg", (
        "on a wooden jetty by a lake",
        "on planks that glisten beside the water",
        "on a sunny jetty with a lake behind it",
    )),
    Background("plasma/ColdRipple.jpg", (
        "on a pier in the fog",
        "at the end of a pier that leads into grey fog",
        "on a wooden pier under a grey sky",
    )),
    Background("plasma/DarkestHour.jpg", (
        "over a dark lake at night",
        "before a lake that lies in blue darkness",
        "in front of a misty blue night",
    )),
    Background("plasma/EveningGlow.jpg", (
        "near rowing boats on a beach",
        "before boats that rest on the shore at sunset",
        "by a lake where wooden boats lie in a row",
    )),
    Background("plasma/FallenLeaf.jpg", (
        "among fallen autumn leaves",
        "on the ground where maple leaves have fallen",
        "on red and yellow leaves in autumn",
    )),
    Background("plasma/OneStandsOut.jpg", (
        "among small green plants",
        "on moss that covers the dark ground",
        "between plants that look like green stars",
    )),
    Background("plasma/Path.jpg", (
        "in a dark forest",
        "beside a path that winds between tall trees",
        "on mossy ground under fir trees",
    )),
    Background("plasma/summer_1am.jpg", (
        "over a calm lake at dusk",
        "before a lake that mirrors a pink sky",
        "in front of still water and reeds at dawn",
    )),
)  # fmt: skip

_BELOW = {
    "mate": (MATE, "usr/share/backgrounds/mate/nature/", ""),
    "lomiri": (LOMIRI, "usr/share/backgrounds/", ""),
    "plasma": (PLASMA, "usr/share/wallpapers/", "/contents/images/2560x1600.jpg"),
}


def fetch(to: pathlib.Path) -> None:
    """Fills a folder's backgrounds/<package>/<name>.jpg; raises JamError naming a package that is bad."""
    archives = to / "archives"
    archives.mkdir(parents=True, exist_ok=True)
    once(to / "backgrounds", lambda out: _unpack(archives, out))


def files(folder: pathlib.Path) -> list[pathlib.Path]:
    """The photographs of ``BACKGROUNDS`` in a data folder, in that order; raises JamError when one is missing."""
    found = [folder / "backgrounds" / background.file for background in BACKGROUNDS]
    missing = [file for file in found if not file.is_file()]
    if missing:
        raise JamError(f"{missing[0]}: is missing; run python -m jam_jax.datasets.backgrounds --to={folder}")
    return found


def _unpack(archives: pathlib.Path, out: pathlib.Path) -> None:
    for name, (package, prefix, suffix) in _BELOW.items():
        stems = [pathlib.PurePosixPath(b.file).stem for b in BACKGROUNDS if b.file.startswith(f"{name}/")]
        endings = tuple(f"{stem}{suffix or '.jpg'}".lower() for stem in stems)
        undebian(archive(package, archives), prefix, endings, out / name)
        for stem in stems if suffix else ():
            (out / name / f"{stem}{suffix}").rename(out / name / f"{stem}.jpg")
            for folder in (out / name / f"{stem}{suffix}").parents[:3]:
                folder.rmdir()


def main() -> None:
    """Command line of the fetch; bad input ends as one line and exit code 2."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--to", type=pathlib.Path, default=pathlib.Path("data"))
    to = parser.parse_args().to
    try:
        fetch(to)
        print(f"{to / 'backgrounds'}: {len(files(to))} photographs")
    except (JamError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()


__all__ = ["BACKGROUNDS", "LOMIRI", "MATE", "PLASMA", "Background", "fetch", "files"]
