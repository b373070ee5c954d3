"""Curves out of a run's history: numbers by name over epochs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Line:
    """One curve: label, x (epochs), y (nan where nothing was measured); `tone` is the index of its colour."""

    label: str
    x: np.ndarray
    y: np.ndarray
    tone: int = 0
    dashed: bool = False


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The numbers of nested mappings under `a/b/c` names; anything else is left out."""
    flat: dict[str, float] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}/")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            flat[f"{prefix}{key}"] = float(value)
    return flat


def series(
    history: Sequence[Mapping[str, Any]],
    key: str,
    label: str,
    tone: int = 0,
    *,
    scale: float = 1.0,
    dashed: bool = False,
) -> Line | None:
    """The curve of `key` (`validation/...` for nested ones) over epochs, None where nothing finite was recorded."""
    points = [(record["epoch"], record.get(key)) for record in history]
    if key.startswith("validation/"):
        name = key.removeprefix("validation/")
        points = [(record["epoch"], flatten(record.get("validation") or {}).get(name)) for record in history]
    kept = [(epoch, scale * value) for epoch, value in points if value is not None]
    if not kept or not np.isfinite([value for _, value in kept]).any():
        return None
    return Line(label, np.array([e for e, _ in kept], float), np.array([v for _, v in kept], float), tone, dashed)


def share_of_peak(line: Line | None) -> Line | None:
    """The curve divided by its largest absolute value, None where that is zero."""
    peak = np.nanmax(np.abs(line.y)) if line is not None else 0.0
    return replace(line, y=line.y / peak) if line is not None and peak > 0 else None
