"""Who belongs to whom: items, their captions, their concepts, splits and hard negatives, in one Parquet file."""

import dataclasses
import json
import os
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from etils import epath

from jam_jax.errors import JamError

SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Item i is row i of every vision store, caption m is row m of every language store.

    Attributes:
      item_ids, concepts, categories: one string for each of N items. Items of a concept differ in detail only.
      splits: 'train', 'validation' or 'test' for each item; no concept is in two of them.
      gallery: bool [N]; the items that retrieval is scored on, one for each concept.
      caption_texts, caption_kinds: one string for each of M captions.
      caption_items: int [M], the item that owns each caption.
      negative_rows: for each caption the rows of its hard negatives (true captions of other items, same kind).
      negative_kinds: for each caption the kinds of these, e.g. 'skin', 'gender', 'neighbour'.
      sources: where each item comes from, e.g. 'clipart', in a data set of several sources; '' for each when there is
        one, and in files older than this column. A gallery then has one item for each source and concept.
    """

    item_ids: list[str]
    concepts: list[str]
    categories: list[str]
    splits: list[str]
    gallery: np.ndarray
    caption_texts: list[str]
    caption_kinds: list[str]
    caption_items: np.ndarray
    negative_rows: list[list[int]]
    negative_kinds: list[list[str]]
    sources: list[str] = dataclasses.field(default_factory=list)

    def __post_init__(self):
        object.__setattr__(self, "gallery", np.asarray(self.gallery, bool))
        object.__setattr__(self, "caption_items", np.asarray(self.caption_items, np.int64))
        object.__setattr__(self, "sources", self.sources or [""] * len(self.item_ids))
        _check(self)

    @property
    def items(self) -> int:
        """Number of items N."""
        return len(self.item_ids)

    @property
    def captions(self) -> int:
        """Number of captions M."""
        return len(self.caption_texts)

    @property
    def caption_ids(self) -> list[str]:
        """'<item id>/<n-th caption of that item>' for each caption: the row ids of language stores."""
        seen: dict[int, int] = {}
        ids = []
        for item in self.caption_items.tolist():
            ids.append(f"{self.item_ids[item]}/{seen.get(item, 0)}")
            seen[item] = seen.get(item, 0) + 1
        return ids

    def items_of(self, split: str) -> np.ndarray:
        """Item numbers of a split, in order."""
        return np.flatnonzero(np.asarray(self.splits) == split)

    def resplit(self, seed: int, fractions: Sequence[float] = (0.7, 0.1, 0.2)) -> "Pairs":
        """The same pairs with the concepts dealt anew into train, validation and test, by number of concepts."""
        names = sorted(set(self.concepts))
        order = np.random.default_rng(seed).permutation(len(names))
        ends = np.rint(np.cumsum(fractions) * len(names)).astype(int)
        split_of = {names[c]: SPLITS[int(np.searchsorted(ends, place, "right"))] for place, c in enumerate(order)}
        return dataclasses.replace(self, splits=[split_of[concept] for concept in self.concepts])

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes the pairs; items and captions are two tables of different length, so each is one nested row."""
        columns = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            columns[field.name] = [value.tolist() if isinstance(value, np.ndarray) else value]
        table = pa.table({name: pa.array(value, _TYPES[name]) for name, value in columns.items()})
        table = table.replace_schema_metadata({"jam_jax": json.dumps({"format": 1})})
        with epath.Path(path).open("wb") as handle:
            pq.write_table(table, handle, compression="zstd")

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "Pairs":
        """Reads pairs; raises JamError when the file is missing, damaged or contradicts itself."""
        file = epath.Path(path)
        if not file.exists():
            raise JamError(f"{file}: no such pairs file; every data folder needs one beside its stores")
        try:
            row = read_table(file).to_pylist()[0]
        except (pa.ArrowException, OSError, IndexError) as error:
            raise JamError(f"{file}: is not a readable Parquet file; write it again with Pairs.write") from error
        row.setdefault("sources", [])
        missing = [field.name for field in dataclasses.fields(cls) if field.name not in row]
        if missing:
            raise JamError(f"{file}: column {missing[0]!r} is missing; write it with Pairs.write")
        try:
            return cls(**{field.name: row[field.name] for field in dataclasses.fields(cls)})
        except JamError as error:
            raise JamError(f"{file}: {error}") from error


def read_table(file: epath.Path) -> pa.Table:
    """A whole Parquet file, read in this thread.

    pq.read_table leaves threads behind that hold the file; an interpreter that ends soon after is aborted by them now
    and then (apache/arrow issue 34314).
    """
    return pq.ParquetFile(pa.BufferReader(file.read_bytes())).read(use_threads=False)


_TEXTS = pa.list_(pa.string())
_TYPES = {
    "item_ids": _TEXTS,
    "concepts": _TEXTS,
    "categories": _TEXTS,
    "splits": _TEXTS,
    "gallery": pa.list_(pa.bool_()),
    "caption_texts": _TEXTS,
    "caption_kinds": _TEXTS,
    "caption_items": pa.list_(pa.int32()),
    "negative_rows": pa.list_(pa.list_(pa.int32())),
    "negative_kinds": pa.list_(pa.list_(pa.string())),
    "sources": _TEXTS,
}


def _check(pairs: Pairs) -> None:
    for name in ("concepts", "categories", "splits", "gallery", "sources"):
        if len(getattr(pairs, name)) != pairs.items:
            raise JamError(f"{name} has {len(getattr(pairs, name))} entries for {pairs.items} items")
    for name in ("caption_kinds", "caption_items", "negative_rows", "negative_kinds"):
        if len(getattr(pairs, name)) != pairs.captions:
            raise JamError(f"{name} has {len(getattr(pairs, name))} entries for {pairs.captions} captions")
    unknown = sorted(set(pairs.splits) - set(SPLITS))
    if unknown:
        raise JamError(f"split {unknown[0]!r} is unknown; choose from {', '.join(SPLITS)}")
    owners = pairs.caption_items
    astray = owners[(owners < 0) | (owners >= pairs.items)]
    if astray.size:
        raise JamError(f"a caption belongs to item {astray[0]}, but there are {pairs.items} items")
    split_of: dict[str, str] = {}
    for concept, split in zip(pairs.concepts, pairs.splits, strict=True):
        if split_of.setdefault(concept, split) != split:
            raise JamError(f"concept {concept!r} is in {split_of[concept]} and in {split}; split by concept")
    for caption, (rows, kinds) in enumerate(zip(pairs.negative_rows, pairs.negative_kinds, strict=True)):
        if len(rows) != len(kinds):
            raise JamError(f"caption {caption} has {len(rows)} hard negatives and {len(kinds)} kinds")
        for row in rows:
            if not 0 <= row < pairs.captions:
                raise JamError(f"caption {caption} names hard negative {row}, but there are {pairs.captions} captions")
            if owners[row] == owners[caption]:
                raise JamError(f"caption {caption} names a caption of its own item as hard negative")


__all__ = ["SPLITS", "Pairs", "read_table"]
