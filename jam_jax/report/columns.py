"""The columns and rows of the result table: one definition for the terminal and the page."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MISSING = "–"
NAMES = {
    "linear": "Linear heads",
    "cca": "Regularised CCA",
    "ridge": "Ridge, both ways",
    "raw": "Raw cosine",
    "chance": "Chance",
}
OBJECTIVES = {"con": "Con", "negcon": "NegCon", "spread": "Spread", "rsa": "RSA"}


@dataclass(frozen=True)
class Column:
    """One measured quantity: where it stands in a score dict and how it is written."""

    group: str
    label: str
    path: tuple[str, ...]
    form: str  # 'percent': fraction 0..1 written as percent; 'rank': lower is better; 'fraction': R^2

    def read(self, scores: Mapping[str, Any]) -> float | None:
        """The value in `scores`, None where it is absent or not finite."""
        value = lookup(scores, self.path)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            return None
        return float(value)

    def show(self, value: float | None) -> str:
        """The value as the table writes it, without its unit."""
        if value is None or not math.isfinite(value):
            return MISSING
        if self.form == "percent":
            return f"{100 * value:.1f}"
        if self.form == "rank":
            return f"{value:.0f}" if value == int(value) or value >= 1000 else f"{value:.1f}"
        return f"{value + 0.0:.2f}".replace("-0.00", "0.00")


@dataclass(frozen=True)
class Row:
    """One method: its name, its score dict and its values in the order of COLUMNS."""

    key: str
    name: str
    scores: Mapping[str, Any]
    values: tuple[float | None, ...]

    @property
    def contender(self) -> bool:
        """Whether the row may be called best: chance is a reference, one source a part of the first row."""
        return self.key not in ("chance", "source")


def _retrieval(direction: str, group: str) -> tuple[Column, ...]:
    recalls = (Column(group, f"R@{k}", (direction, f"r@{k}"), "percent") for k in (1, 5, 10))
    return (*recalls, Column(group, "rank", (direction, "median_rank"), "rank"))


COLUMNS: tuple[Column, ...] = (
    *_retrieval("image_to_text", "Image → text"),
    *_retrieval("text_to_image", "Text → image"),
    Column("Forced choice", "easy", ("choice", "easy"), "percent"),
    Column("Forced choice", "med.", ("choice", "medium"), "percent"),
    Column("Forced choice", "hard", ("choice", "hard"), "percent"),
    Column("Recon. R²", "image", ("reconstruction", "vision"), "fraction"),
    Column("Recon. R²", "text", ("reconstruction", "language"), "fraction"),
)


def lookup(tree: Any, path: Sequence[str], default: Any = None) -> Any:
    """The value at `path` in nested mappings, `default` where a step is absent."""
    for key in path:
        if not isinstance(tree, Mapping) or key not in tree:
            return default
        tree = tree[key]
    return tree


def method_name(key: str) -> str:
    """The written name of a baseline key (`raw_8` -> `Raw cosine 8`)."""
    if key in NAMES:
        return NAMES[key]
    if key.startswith("raw"):
        return f"{NAMES['raw']} {key[3:].replace('_', ' ').strip()}".strip()
    return key.replace("_", " ")


def objective_name(results: Mapping[str, Any]) -> str:
    """The written name of the run's objective, '' where none is recorded."""
    objective = results.get("objective") or lookup(results, ("config", "objective"), "")
    if isinstance(objective, Mapping):
        objective = objective.get("name", "")
    return OBJECTIVES.get(str(objective), str(objective))


def rows(results: Mapping[str, Any]) -> list[Row]:
    """The rows in reading order: JAM, then on each source of pictures alone, the baselines, chance.

    Absent parts give no row.
    """
    objective = objective_name(results)
    baselines = results.get("baselines") or {}
    known = [key for key in ("linear", "cca", "ridge") if key in baselines]
    others = sorted((key for key in baselines if key not in known), key=lambda key: (not key.startswith("raw"), key))
    named = [("jam", f"JAM ({objective})" if objective else "JAM", results.get("test") or {})]
    for source, scores in lookup(results, ("test", "sources"), {}).items():
        named.append(("source", f"  {source} only", scores))
    named += [(key, method_name(key), baselines[key] or {}) for key in (*known, *others)]
    if results.get("chance"):
        named.append(("chance", NAMES["chance"], results["chance"]))
    return [Row(key, name, scores, tuple(c.read(scores) for c in COLUMNS)) for key, name, scores in named]


def best(table: Sequence[Row], columns: Sequence[Column] = COLUMNS) -> list[set[int]]:
    """Per column the indices of the best rows; equal as written means equally best, a lone value is not marked."""
    marked = []
    for index, column in enumerate(columns):
        shown = {
            r: float(column.show(row.values[index]))
            for r, row in enumerate(table)
            if row.contender and row.values[index] is not None
        }
        top = (min if column.form == "rank" else max)(shown.values(), default=math.nan)
        marked.append({r for r, value in shown.items() if value == top} if len(shown) > 1 else set())
    return marked
