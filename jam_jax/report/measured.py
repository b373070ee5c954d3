"""What a measurement leaves for people: the page, the figures, the table in the terminal."""

import base64
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from jam_jax.measuring import layers as layers_lib
from jam_jax.report import figures
from jam_jax.report.page import sections

Record = Mapping[str, Any]
_WIDTH = 140  # a table cut off says nothing; a terminal that is narrower wraps
_ARROWS = {"symmetric": "", "vision_to_language": "vision → language", "language_to_vision": "language → vision"}


def write(folder: pathlib.Path, results: Mapping[str, Any]) -> None:
    """Writes report.html and figures/ into a folder."""
    drawn = []
    for name, title, figure, records in every_figure(results):
        figures.save(figure, records, folder / "figures", name)
        svg = (folder / "figures" / f"{name}.svg").read_bytes()
        drawn.append(
            {"name": name, "title": title, "uri": "data:image/svg+xml;base64," + base64.b64encode(svg).decode()}
        )
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"number": number, "way": way}
    text = environment.get_template("measured.html.jinja").render(
        title=f"jam_jax · {results['config']['name']}",
        style=Markup((pathlib.Path(__file__).parent / "page.css").read_text(encoding="utf-8")),
        results=results,
        matrices=matrices(results.get("pairs", ())),
        drawn=drawn,
        config=sections(results["config"]),
        level=f"{100 * results['config']['level']:g} %",
    )
    unfinished = folder / "report.html.unfinished"
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, folder / "report.html")


def show(results: Mapping[str, Any]) -> None:
    """Prints the peaks, or the manipulations where there are none."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    if "peaks" in results:
        columns = ("metric", "direction", "pair", "layers", "score", "null", "p", "interval")
        cells = [
            (r["metric"], way(r["direction"]), f"{r['vision']} {r['language']}",
             f"{r['vision_layer']} {r['language_layer']}", number(r["score"]), number(r["null_mean"]), f"{r['p']:.3g}",
             f"{number(r['low'])} to {number(r['high'])}")
            for r in results["peaks"]
        ]  # fmt: skip
    else:
        columns = ("manipulation", "metric", "direction", "layers", "original", "score", "change", "interval")
        cells = [
            (r["manipulation"], r["metric"], way(r["direction"]),
             f"{r['vision']} {r['vision_layer']} {r['language']} {r['language_layer']}", number(r["original"]),
             number(r["score"]), number(r["change"]), f"{number(r['low'])} to {number(r['high'])}")
            for r in results["manipulations"]
        ]  # fmt: skip
    for column in columns:
        table.add_column(column, no_wrap=True)
    for row in cells:
        table.add_row(*(cell.replace("→", "->").replace("−", "-") for cell in row))
    Console(width=max(_WIDTH, Console().width)).print(table)


def number(value: float | None) -> str:
    """Three decimals with a true minus sign; a dash where there is none."""
    return "–" if value is None or not np.isfinite(value) else f"{value:.3f}".replace("-", "−")


def way(direction: str) -> str:
    """A direction as a person writes it; empty for symmetric metrics."""
    return _ARROWS[direction]


def matrices(records: Sequence[Record]) -> list[dict[str, Any]]:
    """One matrix for each metric and direction: all layers of all vision backbones x those of all language backbones.

    {metric, direction, rows, columns, cells: [[record with 'shade' in 0..1]]}.
    """
    found = []
    for metric, direction in dict.fromkeys((r["metric"], r["direction"]) for r in records):
        chosen = [r for r in records if (r["metric"], r["direction"]) == (metric, direction)]
        rows = list(dict.fromkeys((r["vision"], r["vision_layer"]) for r in chosen))
        columns = list(dict.fromkeys((r["language"], r["language_layer"]) for r in chosen))
        cell = {(r["vision"], r["vision_layer"], r["language"], r["language_layer"]): r for r in chosen}
        low, high = min(r["score"] for r in chosen), max(r["score"] for r in chosen)
        span = high - low or 1.0
        cells = [
            [{**cell[(*row, *column)], "shade": round((cell[(*row, *column)]["score"] - low) / span, 3)}
             for column in columns]
            for row in rows
        ]  # fmt: skip
        found.append({"metric": metric, "direction": direction, "rows": rows, "columns": columns, "cells": cells})
    return found


def every_figure(results: Mapping[str, Any]) -> Iterator[tuple[str, str, Figure, Sequence[Record]]]:
    """(file name, title, figure, its numbers) of everything that was measured."""
    pairs = results.get("pairs", [])
    for matrix in matrices(pairs):
        title = _titled(matrix["metric"], matrix["direction"])
        scores = np.array([[cell["score"] for cell in row] for row in matrix["cells"]])
        rows, columns = ([f"{name} {layer}" for name, layer in matrix[side]] for side in ("rows", "columns"))
        records = [{k: v for k, v in cell.items() if k != "shade"} for row in matrix["cells"] for cell in row]
        file = _file("layers", matrix["metric"], matrix["direction"])
        yield file, title, figures.heatmap(scores, rows, columns, title), records
    profiles = layers_lib.profiles(pairs)
    for metric, direction in dict.fromkeys((r["metric"], r["direction"]) for r in profiles):
        chosen = [r for r in profiles if (r["metric"], r["direction"]) == (metric, direction)]
        curves: dict[str, tuple[list[float], list[float]]] = {}
        for record in chosen:
            own, other = record[record["side"]], record["language" if record["side"] == "vision" else "vision"]
            x, y = curves.setdefault(f"{own} with {other}", ([], []))
            x.append(record["layer"])
            y.append(record["score"])
        deepest = {name: max(x) for name, (x, _) in curves.items()}
        curves = {name: ([v / max(1, deepest[name]) for v in x], y) for name, (x, y) in curves.items()}
        title = f"{_titled(metric, direction)}: best over the other model's layers"
        figure = figures.lines(curves, title, "layer / deepest measured layer", "score")
        yield _file("depth", metric, direction), title, figure, chosen
    yield from _kinds(results.get("kinds", []))
    yield from _ranking(results.get("ranking", []))
    yield from _aggregation(results.get("aggregation", []))
    yield from _manipulations(results.get("manipulations", []))


def _kinds(records: Sequence[Record]) -> Iterator[tuple[str, str, Figure, Sequence[Record]]]:
    if not records:
        return
    groups = [f"{_titled(r['metric'], r['direction'])}, {r['vision']} {r['language']}" for r in records]
    values = {kind: [r["scores"][kind] for r in records] for kind in records[0]["scores"]}
    flat = [
        {k: v for k, v in r.items() if k not in ("scores", "drops")} | r["scores"]
        | {f"{kind}_{key}": value for kind, drop in r["drops"].items() for key, value in drop.items()}
        for r in records
    ]  # fmt: skip
    title = "Matching, easy and hard pairs"
    yield "kinds", title, figures.bars(groups, values, {}, title, "score"), flat


def _ranking(records: Sequence[Record]) -> Iterator[tuple[str, str, Figure, Sequence[Record]]]:
    for ranking in dict.fromkeys(r["ranking"] for r in records):
        chosen = [r for r in records if r["ranking"] == ranking]
        groups = [f"{_titled(r['metric'], r['direction'])}, {r['vision']} {r['language']}" for r in chosen]
        title = f"Best against worst caption, ranking {ranking}"
        differences = {"difference": [r["difference"] for r in chosen]}
        margins = {"difference": [(r["low"], r["high"]) for r in chosen]}
        flat = [{k: v for k, v in r.items() if k != "kinds"} for r in chosen]
        figure = figures.bars(groups, differences, margins, title, "score of the best - score of the worst")
        yield f"ranking-{ranking}", title, figure, flat


def _aggregation(records: Sequence[Record]) -> Iterator[tuple[str, str, Figure, Sequence[Record]]]:
    for averaged, direction in dict.fromkeys((r["averaged"], r["direction"]) for r in records):
        chosen = [r for r in records if (r["averaged"], r["direction"]) == (averaged, direction)]
        curves: dict[str, tuple[list[float], list[float]]] = {}
        for record in chosen:
            x, y = curves.setdefault(f"{record['vision']} {record['language']} {record['control']}", ([], []))
            x.append(record["k"])
            y.append(record["score"])
        title = f"{averaged} averaged, {way(direction)}"
        figure = figures.lines(curves, title, "k", "linear predictivity")
        yield _file("aggregation", averaged, direction), title, figure, chosen


def _manipulations(records: Sequence[Record]) -> Iterator[tuple[str, str, Figure, Sequence[Record]]]:
    for metric, direction in dict.fromkeys((r["metric"], r["direction"]) for r in records):
        chosen = [r for r in records if (r["metric"], r["direction"]) == (metric, direction)]
        best: dict[str, Record] = {}
        for record in chosen:  # at the layer pair where the unmanipulated align best
            name = f"{record['vision']} {record['language']}"
            if name not in best or record["original"] > best[name]["original"]:
                best[name] = record
        at = ("vision", "language", "vision_layer", "language_layer")
        groups = list(dict.fromkeys(r["manipulation"] for r in chosen))
        values: dict[str, list[float]] = {}
        margins: dict[str, list[tuple[float, float]]] = {}
        for name, peak in best.items():
            rows = {r["manipulation"]: r for r in chosen if all(r[key] == peak[key] for key in at)}
            label = f"{name}, layers {peak['vision_layer']} {peak['language_layer']}"
            values[label] = [rows[g]["change"] if g in rows else np.nan for g in groups]
            margins[label] = [(rows[g]["low"], rows[g]["high"]) if g in rows else (np.nan, np.nan) for g in groups]
        title = f"{_titled(metric, direction)}: change by manipulation"
        figure = figures.bars(groups, values, margins, title, "change against the unmanipulated")
        yield _file("manipulations", metric, direction), title, figure, chosen


def _titled(metric: str, direction: str) -> str:
    return metric.replace("_", " ") + (f", {way(direction)}" if way(direction) else "")


def _file(*parts: str) -> str:
    return "-".join(part for part in parts if part != "symmetric")


__all__ = ["every_figure", "matrices", "number", "show", "way", "write"]
