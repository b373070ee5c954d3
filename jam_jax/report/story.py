"""The run in words: which models, which data, what came out, how sure that is."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jam_jax.report.columns import COLUMNS, Column, Row, lookup, objective_name, rows

BACKBONES = {
    "vit_s14": "ViT-S/14 (DINOv2 layout)",
    "efficientnet_lite0": "EfficientNet-Lite0",
    "mpnet": "all-mpnet-base-v2",
    "minilm": "all-MiniLM-L6-v2",
    "smollm2": "SmolLM2-135M-Instruct",
}
KINDS = {
    "skin": ("Skin tone", "the same picture's name with another skin tone"),
    "gender": ("Gender", "the same role, another gender"),
    "hair": ("Hair", "the same person, other hair"),
    "colour": ("Colour", "the same thing in another colour"),
    "direction": ("Direction", "the same sign, pointing elsewhere"),
    "clock": ("Clock time", "a clock showing another time"),
    "moon": ("Moon phase", "another phase of the moon"),
    "neighbour": ("Neighbour", "a close caption of another concept"),
}
SPLITS = ("train", "validation", "test")
_HEADLINES = ((0, "Image → text, R@1"), (4, "Text → image, R@1"), (9, "Medium choice"), (10, "Hard choice"))


@dataclass(frozen=True)
class Headline:
    """One number of the run beside its best baseline and chance, as written."""

    label: str
    value: str
    verdict: str  # 'ahead' | 'level' | 'behind' | '' where there is no baseline
    difference: str  # in points, signed
    rival: str
    rival_value: str
    chance: str


@dataclass(frozen=True)
class KindRow:
    """Forced choice against one kind of hard negatives: fractions per method, None where not measured."""

    name: str
    meaning: str
    comparisons: int | None
    values: tuple[float | None, ...]


def listed(names: Sequence[Any]) -> str:
    """`1, 2 and 3`."""
    words = [str(name) for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def model_sentence(results: Mapping[str, Any], modality: str) -> str:
    """Name, layers and width of one frozen model: what is recorded of them."""
    recorded = lookup(results, ("data", modality), {})
    facts = recorded if isinstance(recorded, Mapping) else {"backbone": recorded}
    settings = lookup(results, ("config", "data"), {})
    names = facts.get("backbone") or lookup(settings, (modality,), "") or "unnamed"
    layers = facts.get("layers", lookup(settings, (f"{modality}_layer",)))
    names = [names] if isinstance(names, str) else list(names)
    details = []
    if layers is not None:
        layers = [layers] if isinstance(layers, (int, str)) else list(layers)
        details.append(f"layer{'s' if len(layers) > 1 else ''} {listed(layers)}")
    if facts.get("width"):
        details.append(f"{facts['width']:,} wide")
    name = listed([BACKBONES.get(n, n) for n in names])
    return f"{name}, {', '.join(details)}" if details else name


def lead(results: Mapping[str, Any]) -> str:
    """The run in one sentence or two, built from what is recorded."""
    objective, latent = objective_name(results), lookup(results, ("config", "model", "latent"))
    alpha = lookup(results, ("config", "objective", "alpha"))
    if objective == "Spread" and isinstance(alpha, (int, float)):
        objective += f", α = {alpha:g}"
    members = lookup(results, ("config", "model", "init"), ())
    count = 1 if isinstance(members, str) else len(members) or 1
    space = f"one {latent * count:,}-dimensional space" if latent else "one space"
    pairs = f"{count} pairs of small autoencoders, latents side by side," if count > 1 else "two small autoencoders"
    with_objective = f" with {objective}" if objective else ""
    return (
        f"A vision model ({model_sentence(results, 'vision')}) and a language model "
        f"({model_sentence(results, 'language')}), trained apart and left frozen, meet in {space}: {pairs} "
        f"were trained on their activations{with_objective}."
    )


def facts(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Data, splits and seed as (name, value) pairs."""
    data = lookup(results, ("data",), {})
    out = []
    if lookup(data, ("name",)):
        out.append(("Data", str(data["name"])))
    for what in ("concepts", "items", "captions"):
        sizes = lookup(data, (what,))
        if isinstance(sizes, Mapping):
            out.append((what.capitalize(), " · ".join(f"{sizes[s]:,} {s}" for s in SPLITS if s in sizes)))
        elif isinstance(sizes, int):
            out.append((what.capitalize(), f"{sizes:,}"))
    if results.get("seed") is not None:
        out.append(("Seed", str(results["seed"])))
    if results.get("best_epoch") is not None:
        out.append(("Epoch kept", f"{results['best_epoch']} (best on validation)"))
    return out


def _rival(table: Sequence[Row], index: int) -> Row | None:
    """The best baseline of a column."""
    found = [row for row in table if row.contender and row.key != "jam" and row.values[index] is not None]
    sign = -1 if COLUMNS[index].form == "rank" else 1
    return max(found, key=lambda row: sign * (row.values[index] or 0.0), default=None)


def _verdict(column: Column, ours: float, theirs: float) -> str:
    a, b = float(column.show(ours)), float(column.show(theirs))
    if a == b:
        return "level"
    return "ahead" if (a < b) == (column.form == "rank") else "behind"


def headlines(results: Mapping[str, Any]) -> list[Headline]:
    """The four numbers that answer the run's question."""
    table = rows(results)
    chance = next((row for row in table if row.key == "chance"), None)
    out = []
    for index, label in _HEADLINES:
        column, ours, rival = COLUMNS[index], table[0].values[index], _rival(table, index)
        theirs = rival.values[index] if rival else None
        verdict = _verdict(column, ours, theirs) if ours is not None and theirs is not None else ""
        # the difference of the written numbers, so that a reader's own subtraction agrees
        points = float(column.show(ours)) - float(column.show(theirs)) if verdict else 0.0
        out.append(Headline(
            label, column.show(ours), verdict, f"{points:+.1f}".replace("-", "−"), rival.name if rival else "",
            column.show(theirs), column.show(chance.values[index] if chance else None),
        ))  # fmt: skip
    return out


def _queries(test: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Image to text R@1 and the number of query images, of each source of pictures where there are several."""
    found = []
    for part in (test.get("sources") or {"": test}).values():
        share, images = lookup(part, ("image_to_text", "r@1")), lookup(part, ("text_to_image", "gallery"))
        if share is not None and isinstance(images, (int, float)) and images > 0:
            found.append((share, images))
    return found


def summary(results: Mapping[str, Any]) -> str:
    """How JAM stands against the best baseline of every column, and how far one run can be trusted."""
    table = rows(results)
    counts = {"ahead": 0, "level": 0, "behind": 0}
    for index, column in enumerate(COLUMNS):
        ours, rival = table[0].values[index], _rival(table, index)
        if ours is not None and rival is not None:
            counts[_verdict(column, ours, rival.values[index] or 0.0)] += 1
    told = []
    if total := sum(counts.values()):
        told.append(
            f"Against the best baseline of each of the {total} columns they share, JAM is ahead in {counts['ahead']}, "
            f"level in {counts['level']} and behind in {counts['behind']}."
        )
    queries = _queries(results.get("test") or {})
    if queries:
        images = sum(count for _, count in queries)
        error = 100 * math.sqrt(sum(share * (1 - share) / count for share, count in queries)) / len(queries)
        told.append(
            f"This is one seed: with {images:,.0f} query images, the standard error of image → text R@1 alone is about "
            f"{error:.1f} points, so smaller differences need more seeds before they mean anything."
        )
    return " ".join(told)


def kinds(results: Mapping[str, Any]) -> tuple[list[str], list[KindRow]]:
    """Method names and, per kind of hard negative, the share of right choices of each method."""
    table = [row for row in rows(results) if row.contender and lookup(row.scores, ("choice", "hard_by_kind"))]
    present = {kind for row in table for kind in row.scores["choice"]["hard_by_kind"]}
    ordered = [kind for kind in KINDS if kind in present] + sorted(present - set(KINDS))
    out = []
    for kind in ordered:
        name, meaning = KINDS.get(kind, (kind.replace("_", " ").capitalize(), ""))
        shares = [row.scores["choice"]["hard_by_kind"].get(kind) for row in table]
        finite = tuple(s if isinstance(s, (int, float)) and math.isfinite(s) else None for s in shares)
        count = lookup(results, ("test", "choice", "hard_comparisons_by_kind", kind))
        out.append(KindRow(name, meaning, int(count) if count is not None else None, finite))
    return [row.name for row in table], out
