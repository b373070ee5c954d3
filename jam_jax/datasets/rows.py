"""What makes the rows of a store: pictures or captions, looked at before any goes through a model."""

import hashlib
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from etils import epath
from PIL import Image, UnidentifiedImageError

from jam_jax.activations.pairs import Pairs
from jam_jax.activations.pipeline import ahead
from jam_jax.datasets.inspect import inspect
from jam_jax.datasets.usable import PICTURES, caption_problem
from jam_jax.errors import JamError

MAX_PIXELS = 80_000_000  # below the bound where Pillow begins to warn
_THREADS = 4


class Rows(NamedTuple):
    """Ids, a function from row numbers to inputs, a fingerprint of all inputs, and {id, reason} of what is skipped."""

    ids: list[str]
    take: Callable[[Iterable[int]], Sequence[Any]]
    fingerprint: str
    skipped: list[dict[str, str]]


class Pictures(Sequence[Image.Image]):
    """Picture files as PIL pictures, each opened when it is asked for: a shard of decoded pictures is too much."""

    def __init__(self, files: Sequence[epath.Path]):
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, place: Any) -> Any:
        file = self.files[place]
        try:
            picture = Image.open(io.BytesIO(file.read_bytes()))
            picture.load()
        except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
            raise JamError(
                f"{file}: is no readable picture ({type(error).__name__}); it was one when the export began"
            ) from error
        return picture


def source_rows(
    modality: str,
    pairs: Pairs,
    data: Mapping[str, Any],
    *,
    on_bad: str,
    known: Sequence[dict[str, str]] | None = None,
) -> Rows:
    """The pictures of one view, or the captions; ``data`` is ``config.data`` of an export.

    Args:
      on_bad: 'stop' raises JamError for a missing or unreadable picture and for a caption that is empty, too long or
        holds control characters; 'skip' leaves such rows out and says why.
      known: what an earlier start of this export skipped; then nothing is looked at again, only fingerprints are taken.

    Raises JamError for an unknown view, or when nothing is left.
    """
    folder = epath.Path(data["folder"])
    ids, inputs, hashes, reasons = (
        _captions(folder, pairs) if modality == "language" else _pictures(folder, pairs, data["view"], known)
    )
    if known is not None:
        reasons = {row["id"]: row["reason"] for row in known}
    if reasons and on_bad == "stop":
        first, reason = next(iter(reasons.items()))
        raise JamError(
            f"{folder}: {len(reasons)} of {len(ids)} rows cannot be used, the first is {first}: {reason}; mend them, "
            "or set on_bad='skip' for a store without them"
        )
    kept = [row for row, name in enumerate(ids) if name not in reasons]
    if not kept:
        raise JamError(f"{folder}: not one of {len(ids)} rows can be used; the first is {next(iter(reasons.items()))}")
    digest = hashlib.sha256()
    for row in kept:
        digest.update(hashes[row])
    what = "captions" if modality == "language" else "pictures"
    chosen = [inputs[row] for row in kept]
    return Rows(
        [ids[row] for row in kept],
        (lambda rows: [chosen[row] for row in rows])
        if modality == "language"
        else (lambda rows: Pictures([chosen[row] for row in rows])),
        f"{what}-sha256:{digest.hexdigest()[:16]}",
        [{"id": name, "reason": reasons[name]} for name in ids if name in reasons],
    )


def _captions(folder: epath.Path, pairs: Pairs) -> tuple[list[str], list[str], list[bytes], dict[str, str]]:
    ids, texts = pairs.caption_ids, pairs.caption_texts
    problems = {name: caption_problem(text) for name, text in zip(ids, texts, strict=True)}
    reasons = {name: problem for name, problem in problems.items() if problem}
    return ids, texts, [text.encode() + b"\0" for text in texts], reasons


def _pictures(
    folder: epath.Path, pairs: Pairs, view: str, known: Sequence[dict[str, str]] | None
) -> tuple[list[str], list[Any], list[bytes], dict[str, str]]:
    pictures = folder / "pictures" / view
    if not pictures.exists():
        raise JamError(f"data.view: no folder {pictures}; fetch the pictures first, see docs/data.md")
    files = {file.stem: file for file in sorted(pictures.iterdir()) if file.suffix.lower() in PICTURES}

    def look(item: str) -> tuple[bytes, str | None]:
        if item not in files:
            return b"", "there is no picture of it"
        data = files[item].read_bytes()
        problem = inspect(data, MAX_PIXELS) if known is None else None
        return hashlib.sha256(data).digest(), problem

    looked = list(ahead(look, pairs.item_ids, threads=_THREADS, depth=8 * _THREADS))
    reasons = {item: problem for item, (_, problem) in zip(pairs.item_ids, looked, strict=True) if problem}
    return pairs.item_ids, [files.get(item) for item in pairs.item_ids], [digest for digest, _ in looked], reasons


__all__ = ["MAX_PIXELS", "Pictures", "Rows", "source_rows"]
