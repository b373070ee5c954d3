"""Figures of a measurement as files: PNG and SVG, drawn by matplotlib, and their numbers as CSV."""

import csv
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

COLOURS = ("#9b1b4f", "#14609e", "#0b6b43", "#8a4b06", "#6b4fa0", "#5a6470")
_DPI = 150


def save(figure: Figure, records: Sequence[Mapping[str, Any]], folder: pathlib.Path, name: str) -> None:
    """Writes ``name``.png, .svg and .csv; records are the rows of the CSV, all with the same keys."""
    folder.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight")
    figure.savefig(folder / f"{name}.png", dpi=_DPI, bbox_inches="tight")
    with (folder / f"{name}.csv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(records[0]))
        writer.writeheader()
        writer.writerows(records)


def heatmap(score_LxK: np.ndarray, rows: Sequence[str], columns: Sequence[str], title: str) -> Figure:
    """Scores of all layer pairs, each written in its cell."""
    figure = Figure(figsize=(1.6 + 0.55 * len(columns), 1.2 + 0.32 * len(rows)))
    axes = figure.add_subplot()
    image = axes.imshow(score_LxK, cmap="magma_r", aspect="auto")
    axes.set_xticks(range(len(columns)), columns, rotation=60, ha="right", fontsize=8)
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
    low, high = np.nanmin(score_LxK), np.nanmax(score_LxK)
    for (row, column), value in np.ndenumerate(score_LxK):
        dark = value > (low + high) / 2
        axes.text(column, row, _short(value), ha="center", va="center", fontsize=7, color="white" if dark else "black")
    axes.set_title(title, fontsize=10)
    figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02)
    return figure


def lines(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]], title: str, x_label: str, y_label: str
) -> Figure:
    """Named curves {name: (x, y)}."""
    figure = Figure(figsize=(5.4, 3.2))
    axes = figure.add_subplot()
    for place, (name, (x, y)) in enumerate(series.items()):
        style = ("-", "--", ":")[place // len(COLOURS) % 3]
        axes.plot(x, y, style, marker="o", markersize=3.5, color=COLOURS[place % len(COLOURS)], label=name)
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.25)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def bars(
    groups: Sequence[str], values: Mapping[str, Sequence[float]], margins: Mapping[str, Sequence[tuple[float, float]]],
    title: str, x_label: str,
) -> Figure:  # fmt: skip
    """Horizontal bars: for each group one of every name in ``values``, with its interval (low, high)."""
    figure = Figure(figsize=(6.4, 1.2 + 0.22 * len(groups) * max(1, len(values))))
    axes = figure.add_subplot()
    height = 0.8 / len(values)
    for place, (name, numbers) in enumerate(values.items()):
        at = np.arange(len(groups)) + (place - (len(values) - 1) / 2) * height
        axes.barh(at, numbers, height * 0.9, color=COLOURS[place % len(COLOURS)], label=name)
        for y, (low, high) in zip(at, margins.get(name, ()), strict=False):
            axes.plot((low, high), (y, y), color="black", linewidth=1)
    axes.set_yticks(range(len(groups)), groups, fontsize=8)
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel(x_label, fontsize=9)
    axes.set_title(title, fontsize=10)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _short(value: float) -> str:
    return f"{value:.2f}".replace("0.", ".", 1) if abs(value) < 0.995 else f"{value:.2f}"


__all__ = ["COLOURS", "bars", "heatmap", "lines", "save"]
