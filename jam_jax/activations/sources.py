"""From names in a config to arrays in memory: which stores, which layers, checked against the pairs."""

import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from etils import epath

from jam_jax.activations import selection
from jam_jax.activations.pairs import Pairs
from jam_jax.activations.store import Store
from jam_jax.activations.stored import Stored
from jam_jax.config import suggest
from jam_jax.errors import JamError

EMBEDDED = {"emoji": pathlib.Path(__file__).parents[1] / "assets" / "emoji"}
RESIDENT_BYTES = 2e9  # of both modalities as float32


class Source(NamedTuple):
    """Activations of one modality: values [rows, sum of widths], the layers one after the other.

    ``values[rows]`` is float32 [n, D] whether they are in memory or stay on disk.
    """

    store: Store
    layers: tuple[int, ...]
    values: np.ndarray | Stored

    def describe(self) -> dict[str, object]:
        """What results.json says of it."""
        manifest = self.store.manifest
        return {
            "backbone": manifest.backbone,
            "layers": list(self.layers),
            "width": self.values.shape[1],
            "pooling": manifest.pooling,
            "dtype": manifest.dtype,
            "weight_hash": manifest.weight_hash,
            "dataset": manifest.dataset,
        }


def folder(root: str) -> epath.Path:
    """The folder of a data set: an embedded one by name, or any path or URL.

    Raises JamError when there is none.
    """
    if root in EMBEDDED:
        return epath.Path(EMBEDDED[root])
    path = epath.Path(root)
    if not path.exists():
        raise JamError(f"data.root: no folder {root}; name one with pairs.parquet and stores, or the embedded 'emoji'")
    return path


def open_store(root: epath.Path, name: str, key: str) -> Store:
    """A store by the name of its folder under the root, or by path; raises JamError listing what is there."""
    inside = root / name
    if inside.exists():
        return Store.open(inside)
    if "/" in name:
        return Store.open(name)
    names = sorted(path.name for path in root.iterdir() if (path / "manifest.json").exists())
    raise JamError(f"{key}: backbone '{name}' is unknown in {root.name}{suggest(name, names)}")


def open_pairs(root: epath.Path) -> Pairs:
    """The pairs of a data set."""
    return Pairs.open(root / "pairs.parquet")


def load_both(root: epath.Path, data: Mapping[str, Any], pairs: Pairs) -> tuple[Pairs, Source, Source]:
    """Vision and language of a config's ``data``, and the pairs without what an export of either had to skip.

    They stay on disk, unread and unhashed, where ``data['resident']`` is 'no', or 'auto' and their values would take
    more than ``RESIDENT_BYTES``: a fixed size, so that a config means the same order of batches on every machine.
    """
    vision, language = (
        on_disk(root, data[modality], data[f"{modality}_layer"], modality, pairs) for modality in ("vision", "language")
    )
    size = sum(4 * source.values.shape[0] * source.values.shape[1] for source in (vision, language))
    if data["resident"] == "yes" or (data["resident"] == "auto" and size <= RESIDENT_BYTES):
        vision, language = in_memory(vision), in_memory(language)
    return without_skipped(pairs, vision, language)


def load(root: epath.Path, name: str, layers: Sequence[int], modality: str, pairs: Pairs) -> Source:
    """Reads the wanted layers of one modality, side by side, and checks them against the pairs.

    Raises JamError for an unknown backbone or layer, a store of the other modality or of other items, an altered shard,
    and rows with NaN or infinite values.
    """
    return in_memory(on_disk(root, name, layers, modality, pairs))


def on_disk(root: epath.Path, name: str, layers: Sequence[int], modality: str, pairs: Pairs) -> Source:
    """``load`` without reading: rows are read when asked for, and no hash is checked (``Store.verify`` does that)."""
    key = f"data.{modality}"
    store = open_store(root, name, key)
    if store.manifest.modality != modality:
        raise JamError(f"{key}: '{name}' holds {store.manifest.modality} activations; choose a {modality} backbone")
    if not layers:
        raise JamError(f"{key}_layer is empty; choose from {', '.join(map(str, store.layers))}")
    for layer in layers:
        if layer not in store.layers:
            stored = ", ".join(map(str, store.layers))
            raise JamError(f"{key}_layer: {layer} is not stored for '{name}'; choose from {stored}")
    _check_rows(store, pairs.item_ids if modality == "vision" else pairs.caption_ids, key, name)
    return Source(store, tuple(layers), Stored(store, layers))


def in_memory(source: Source) -> Source:
    """The same with its values read; raises JamError for an altered shard, and rows with NaN or infinite values."""
    store, layers = source.store, source.layers
    store.verify(layers)
    values = np.concatenate([store.layer(layer)[:] for layer in layers], axis=1)
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if bad.size:
        raise JamError(
            f"data.{store.manifest.modality}: '{store.path.name}' has {bad.size} row(s) with NaN or infinite values, "
            f"the first is row {bad[0]} ({store.manifest.row_ids[bad[0]]}); export it again"
        )
    return source._replace(values=values)


def without_skipped(pairs: Pairs, vision: Source, language: Source) -> tuple[Pairs, Source, Source]:
    """Leaves out, on both sides and in the pairs, what the export of either side had to skip; says so on stderr."""
    items, captions = ({row["id"] for row in source.store.manifest.skipped} for source in (vision, language))
    if not items and not captions:
        return pairs, vision, language
    kept, item_rows, caption_rows = selection.without(pairs, items, captions)
    print(
        f"{pairs.items - kept.items} of {pairs.items} items and {pairs.captions - kept.captions} of {pairs.captions} "
        "captions are left out, because an export skipped them or what belongs to them",
        file=sys.stderr,
    )
    return (
        kept,
        vision._replace(values=_taken(vision.values, item_rows)),
        language._replace(values=_taken(language.values, caption_rows)),
    )


def _taken(values: np.ndarray | Stored, rows: np.ndarray) -> np.ndarray | Stored:
    return values.take(rows) if isinstance(values, Stored) else values[rows]


def _check_rows(store: Store, expected: list[str], key: str, name: str) -> None:
    skipped = {row["id"] for row in store.manifest.skipped}
    found, expected = store.manifest.row_ids, [row for row in expected if row not in skipped]
    if found == expected:
        return
    if len(found) != len(expected):
        raise JamError(
            f"{key}: '{name}' has {len(found)} rows but the pairs name {len(expected)}; export it for these pairs"
        )
    row = next(i for i, (a, b) in enumerate(zip(found, expected, strict=True)) if a != b)
    raise JamError(
        f"{key}: '{name}' holds other items than the pairs: row {row} is '{found[row]}' where '{expected[row]}' "
        "belongs; export it for these pairs"
    )
