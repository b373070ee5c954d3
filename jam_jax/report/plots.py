"""Training curves as inline SVG: matplotlib draws, the page's style sheet colours (light and dark alike)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jam_jax.report.curves import Line, series, share_of_peak

# Drawn in marker colours that no one else uses, then replaced by CSS variables of the page.
_COLOURS = {
    "ink": "#010203",
    "rule": "#010204",
    "series-1": "#010205",
    "series-2": "#010206",
    "series-3": "#010207",
    "series-4": "#010208",
}
_SIZE = (5.2, 2.9)  # inches
_FONT = 10  # points
DIRECTIONS = {"image_to_text": "image → text", "text_to_image": "text → image"}


@dataclass(frozen=True)
class Plot:
    """One drawing: name, title, unit line, SVG text and the sentence for those who cannot see it."""

    name: str
    title: str
    unit: str
    svg: str
    alt: str


def _spread_labels(heights: Sequence[float], gap: float) -> list[float]:
    """Heights (0..1) moved apart to at least `gap`, in their order, as near to their own places as may be."""
    order = np.argsort(heights, kind="stable")
    placed = np.asarray(heights, float)[order]
    for _ in range(100):  # a few labels: settles long before
        overlap = np.maximum(gap - np.diff(placed), 0.0)
        placed[:-1] -= overlap / 2
        placed[1:] += overlap / 2
    out = np.empty_like(placed)
    out[order] = placed
    return [float(height) for height in out]


def _svg(figure: Figure, name: str, alt: str) -> str:
    out = StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "path.simplify": True}):
        FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.S)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # the same group names in every drawing: ids must be unique on a page
    ids = set(re.findall(r'\bid="([^"]+)"', svg))
    svg = re.sub(r'(\bid="|href="#|url\(#)([^")]+)', lambda m: m[1] + (f"{name}-{m[2]}" if m[2] in ids else m[2]), svg)
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>\s*", "", svg, flags=re.S)  # it would style the whole page
    svg = re.sub(r"\s*font-family: [^;\"]*;", "", svg)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.S)
    svg = re.sub(r'\s(?:width|height)="[\d.]+pt"', "", svg, count=2)
    for variable, colour in _COLOURS.items():
        svg = svg.replace(colour, f"var(--{variable})")
    label = alt.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1).strip()


def draw(name: str, title: str, unit: str, lines: Sequence[Line | None], best_epoch: int | None = None) -> Plot | None:
    """Curves over epochs with their names at their right ends; None where no curve has points."""
    kept = [line for line in lines if line is not None]
    if not kept:
        return None
    figure = Figure(figsize=_SIZE, facecolor="none")
    axes = figure.add_axes((0.085, 0.14, 0.63, 0.8), facecolor="none")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_COLOURS["ink"])
    axes.grid(axis="y", color=_COLOURS["rule"], linewidth=0.8)
    axes.tick_params(length=0, labelsize=_FONT, labelcolor=_COLOURS["ink"], pad=4)
    axes.set_xlabel("epoch", fontsize=_FONT, color=_COLOURS["ink"], labelpad=2)
    colours = [_COLOURS[f"series-{1 + line.tone}"] for line in kept]
    for line, colour in zip(kept, colours, strict=True):
        # a single point has no line to be seen by
        style = {"marker": "o"} if len(line.x) == 1 else {"dashes": (4, 2)} if line.dashed else {}
        axes.plot(line.x, line.y, color=colour, linewidth=1.8, **style)
    first, last = min(line.x.min() for line in kept), max(line.x.max() for line in kept)
    axes.set_xlim(first, last if last > first else first + 1)
    axes.margins(y=0.06)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    if best_epoch is not None and first <= best_epoch <= last:
        axes.axvline(best_epoch, color=_COLOURS["ink"], linewidth=0.9, dashes=(2, 2))
        for line, colour in zip(kept, colours, strict=True):
            at = line.y[line.x == best_epoch]
            axes.plot([best_epoch] * len(at), at, "o", color=colour, markersize=4.5, clip_on=False)
    bottom, top = axes.get_ylim()
    ends = [float(line.y[np.isfinite(line.y)][-1]) for line in kept]
    heights = _spread_labels([(end - bottom) / (top - bottom) for end in ends], 0.085)
    for line, colour, height in zip(kept, colours, heights, strict=True):
        axes.text(1.02, height, line.label, transform=axes.transAxes, color=colour, fontsize=_FONT, va="center")
    told = "; ".join(f"{line.label} from {line.y[0]:.3g} to {end:.3g}" for line, end in zip(kept, ends, strict=True))
    alt = f"{title} ({unit}), epochs {first:.0f} to {last:.0f}: {told}."
    if best_epoch is not None:
        alt += f" Best epoch: {best_epoch}."
    return Plot(name, title, unit, _svg(figure, name, alt), alt)


def training(history: Sequence[Mapping[str, Any]], best_epoch: int | None = None) -> list[Plot]:
    """The training curves of a run: loss, reconstruction, validation, schedules; what exists of them."""
    percent = 100.0
    recalls = [
        series(history, f"validation/{way}/r@{k}", f"R@{k} {name}", tone, scale=percent, dashed=way == "text_to_image")
        for tone, k in enumerate((1, 10))
        for way, name in DIRECTIONS.items()
    ]
    choices = [
        series(history, f"validation/choice/{level}", level, tone, scale=percent)
        for tone, level in enumerate(("hard", "medium", "easy"))
    ]
    losses = [series(history, "loss", "total"), series(history, "alignment", "alignment", 1)]
    schedules = [
        share_of_peak(series(history, "learning_rate", "learning rate")),
        series(history, "weight", "recon. weight λ", 1),
        series(history, "alpha", "α", 2),
        share_of_peak(series(history, "scale", "scale 1/τ", 3)),
    ]
    score = series(history, "validation/score", "score")
    plots = [
        draw("loss", "Loss", "training, nats", losses, best_epoch),
        draw("reconstruction", "Reconstruction", "training, mean squared error",
             [series(history, "reconstruction", "error")], best_epoch),
        draw("recall", "Retrieval", "validation, %", recalls, best_epoch),
        draw("choice", "Forced choice", "validation, %; chance 50", choices, best_epoch),
        draw("score", "Selection score", "validation; decides the best epoch", [score], best_epoch),
        draw("schedules", "Schedules", "learning rate and scale as share of their peak", schedules, best_epoch),
    ]  # fmt: skip
    return [plot for plot in plots if plot is not None]
