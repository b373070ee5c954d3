"""The page of a run: one self-contained HTML file, no scripts, nothing loaded from elsewhere."""

import itertools
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from jam_jax.report import plots, story
from jam_jax.report.columns import COLUMNS, MISSING, best, lookup, objective_name, rows
from jam_jax.report.gallery import Gallery

_DIRECTIONS = {
    "image_to_text": ("Image → text", "An image asks, the captions of all test images answer."),
    "text_to_image": ("Text → image", "A caption asks, all test images answer."),
}
_TIMING = {
    "total_s": ("Whole run", "s"),
    "compile_s": ("Compiling", "s"),
    "train_s": ("Training", "s"),
    "examples_per_s": ("Training speed", "examples/s"),
}


def percent(value: float | None) -> str:
    """A fraction as percent with one decimal, a dash where there is none."""
    return MISSING if value is None or not math.isfinite(value) else f"{100 * value:.1f}"


def similarity(value: float) -> str:
    """A cosine with two decimals and a true minus sign."""
    return f"{value:.2f}".replace("-0.00", "0.00").replace("-", "−") if math.isfinite(value) else MISSING


def setting(value: Any) -> str:
    """A config value as a person writes it."""
    if isinstance(value, (list, tuple)):
        return ", ".join(setting(v) for v in value)
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else str(value)


def sections(config: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """The config as titled lists of (key, value); keys without a section come first."""
    loose = [(key, setting(value)) for key, value in config.items() if not isinstance(value, Mapping)]
    out = [("run", loose)] if loose else []
    for name, group in config.items():
        if isinstance(group, Mapping):
            out.append((name, [(key, setting(value)) for key, value in _leaves(group)]))
    return out


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    leaves: list[tuple[str, Any]] = []
    for key, value in tree.items():
        leaves += _leaves(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [(f"{prefix}{key}", value)]
    return leaves


def _timing(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    timing = results.get("timing") or {}
    out = []
    for key, value in timing.items():
        name, unit = _TIMING.get(key, (key.removesuffix("_s").replace("_", " ").capitalize(), "s" * key.endswith("_s")))
        if isinstance(value, (int, float)) and math.isfinite(value):
            out.append((name, f"{value:,.1f} {unit}" if value < 1000 else f"{value:,.0f} {unit}"))
    return out


def render(results: Mapping[str, Any], history: Sequence[Mapping[str, Any]], gallery: Gallery | None = None) -> str:
    """The page as HTML text.

    Args:
      results: as results.json; optional beside DESIGN.md's keys: `best_epoch`, `environment` {name: value},
        `data` {name, credit, vision|language: {backbone, layers, width}, concepts|items|captions: {split: count}},
        `test.choice.hard_comparisons_by_kind` {kind: count}.
      history: one record per epoch {epoch, step, loss, alignment, ..., validation: {...}}.
      gallery: of `report.gallery.gallery`; None leaves the section out.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"percent": percent, "similarity": similarity}
    table = rows(results)
    methods, kind_rows = story.kinds(results)
    drawn = plots.training(history, results.get("best_epoch"))
    groups = [(name, list(members)) for name, members in itertools.groupby(COLUMNS, key=lambda column: column.group)]
    return environment.get_template("page.html.jinja").render(
        title=f"JAM · {objective_name(results) or 'run'} · seed {results.get('seed', MISSING)}",
        style=Markup((Path(__file__).parent / "page.css").read_text(encoding="utf-8")),
        lead=story.lead(results),
        facts=story.facts(results),
        headlines=story.headlines(results),
        summary=story.summary(results),
        groups=groups,
        columns=COLUMNS,
        starts={COLUMNS.index(members[0]) for _, members in groups},
        rows=table,
        best=best(table),
        captions=lookup(results, ("test", "image_to_text", "gallery")),
        images=lookup(results, ("test", "text_to_image", "gallery")),
        methods=methods,
        kinds=kind_rows,
        plots=[(plot, Markup(plot.svg)) for plot in drawn],
        best_epoch=results.get("best_epoch"),
        directions=[(*_DIRECTIONS[key], *gallery.of(key)) for key in _DIRECTIONS] if gallery else [],
        gallery=gallery,
        credit=lookup(results, ("data", "credit")),
        config=sections(results.get("config") or {}),
        environment=[(key, setting(value)) for key, value in _leaves(results.get("environment") or {})],
        timing=_timing(results),
    )


def write(
    path: str | Path,
    results: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    gallery: Gallery | None = None,
) -> Path:
    """Write the page of `render` to `path` (whole or not at all) and return it."""
    path = Path(path)
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_text(render(results, history, gallery), encoding="utf-8")
    os.replace(unfinished, path)
    return path
