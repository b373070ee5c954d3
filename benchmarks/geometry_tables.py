"""The tables of docs/geometry.md from the JSON of benchmarks/geometry.py.

    python benchmarks/geometry_tables.py benchmarks/results/geometry.json

Every +- is half a 95 % t interval over seeds; differences are paired by seed.
"""

import json
import pathlib
import sys
from typing import Any

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from structure import NAMES, paired  # noqa: E402

SHOWN = (
    *NAMES,
    *(f"frozen_{name}" for name in NAMES),
    "r@1",
    "r@10",
    "r@10_rotated",
    "medium",
    "hard",
    "skin",
    "gender",
)
SHARES = (" of 5%", " of 10%", " of 25%", " of 50%", "")


def by_case(content: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Case -> its runs in order of seed."""
    found: dict[str, list[dict[str, Any]]] = {}
    for one in sorted(content["runs"], key=lambda one: one["seed"]):
        found.setdefault(one["case"], []).append(one)
    return found


def cell(values: list[float], sign: str = "", scale: float = 100, digits: int = 1) -> str:
    """'mean +- interval', in percent unless scaled otherwise."""
    mean, half = paired(scale * np.array(values))
    return f"{mean:{sign}.{digits}f} ± {half:.{digits}f}"


def scores(runs: dict[str, list[dict[str, Any]]], cases: list[str], columns: tuple[str, ...] = SHOWN) -> list[str]:
    """Rows of test scores."""
    lines = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for case in cases:
        lines.append(f"| {case} | " + " | ".join(cell([r["test"][c] for r in runs[case]]) for c in columns) + " |")
    return lines


def differences(runs: dict[str, list[dict[str, Any]]], pairs: list[tuple[str, str]]) -> list[str]:
    """Rows of paired differences of test scores."""
    lines = [f"| | {' | '.join(SHOWN)} |", "|---" * (len(SHOWN) + 1) + "|"]
    for a, b in pairs:
        gaps = [cell([x["test"][c] - y["test"][c] for x, y in zip(runs[a], runs[b], strict=True)], "+") for c in SHOWN]
        lines.append(f"| ({a}) - ({b}) | " + " | ".join(gaps) + " |")
    return lines


def steps_to(curve: np.ndarray, column: int, goal: float) -> float:
    """The first recorded step at which a validation curve stands at the goal; inf if it never does."""
    reached = np.flatnonzero(curve[:, column] >= goal)
    return float(curve[reached[0], 0]) if len(reached) else np.inf


def speed(content: dict[str, Any], runs: dict[str, list[dict[str, Any]]], cases: list[str]) -> list[str]:
    """Median steps to 90 % of the way from the start to the run's own end, and to Con's; how many get there."""
    columns = content["settings"]["curve"]
    names = [name for name in columns[1:] if not name.startswith("frozen_rsa")]
    lines = [f"| | {' | '.join(f'{name}: own / of con' for name in names)} |", "|---" * (len(names) + 1) + "|"]
    for case in cases:
        cells = []
        for name in names:
            place, own, of_con = columns.index(name), [], []
            for run, con in zip(runs[case], runs["con"], strict=True):
                curve, rival = np.array(run["curve"]), np.array(con["curve"])[:, place]
                start, end = curve[0, place], curve[-1, place]
                own.append(steps_to(curve, place, start + 0.9 * (end - start)) if end > start else np.inf)
                of_con.append(steps_to(curve, place, rival[0] + 0.9 * (rival[-1] - rival[0])))
            shown = [f"{np.median(v):.0f} ({np.isfinite(v).sum()}/{len(v)})" for v in (own, of_con)]
            cells.append(" / ".join(shown))
        lines.append(f"| {case} | " + " | ".join(cells) + " |")
    return lines


def layers(content: dict[str, Any]) -> list[str]:
    """Every layer pair of the frozen models, and per model pair whether its last layers are the most alike."""
    lines = [f"| vision | language | {' | '.join(NAMES)} |", "|---" * (2 + len(NAMES)) + "|"]
    best: dict[tuple[str, str], dict[str, list[Any]]] = {}
    for one in content["layers"]:
        cells = [f"{np.mean(one[name]):.3f} ({one['wrong_pairs'][name]:.3f})" for name in NAMES]
        models = (f"{one[side]} {one[side + '_layer']}" for side in ("vision", "language"))
        lines.append(f"| {' | '.join((*models, *cells))} |")
        for name in NAMES:
            places = best.setdefault((one["vision"], one["language"]), {}).setdefault(name, [])
            places.append((np.array(one[name]), one["vision_layer"], one["language_layer"]))
    lines.append("")
    for (vision, language), found in best.items():
        for name, places in found.items():
            top = max(places, key=lambda place: place[0].mean())
            last = max(places, key=lambda place: (place[1], place[2]))
            gap = cell(list(last[0] - top[0]), "+", 1, 3) if last[1:] != top[1:] else "it is the last"
            lines.append(
                f"- {vision} x {language}, {name}: best {top[1]} x {top[2]} ({top[0].mean():.3f}); last - best: {gap}"
            )
    return lines


def main() -> None:
    """Prints the tables as Markdown."""
    content = json.loads(pathlib.Path(sys.argv[1]).read_text())
    runs, term = by_case(content), f" + {content['chosen']['weight']:g} {content['chosen']['form']}"
    con, spread, alone = "con" + term, "spread" + term, "rsa" + term
    whole = [case for case in runs if "%" not in case and "shuffled" not in case]
    beside = [case for case in whole if case.startswith("con +")]
    parts = [
        ("Test scores, percent", scores(runs, whole)),
        ("Shuffled captions", scores(runs, [case for case in runs if "shuffled" in case])),
        (
            "Against the objective without the term",
            differences(runs, [*((c, "con") for c in beside), (spread, "spread")]),
        ),
        ("Steps on validation", speed(content, runs, whole)),
        (
            "Shares of the training concepts",
            scores(runs, [k + s for s in SHARES for k in ("con", con, alone)]),
        ),
        ("The term at each share", differences(runs, [(con + share, "con" + share) for share in SHARES])),
        ("Frozen layers, mean of five parts (wrong pairs)", layers(content)),
    ]
    for title, lines in parts:
        print(f"\n## {title}\n\n" + "\n".join(lines))


if __name__ == "__main__":
    main()
