"""Metrics over layer pairs and their nulls against the public way: same machine, same arrays, equal results.

    python -m benchmarks.metrics --json benchmarks/results/metrics.json

Linear predictivity: a grid of all layer pairs in both directions against scikit-learn's StandardScaler, RidgeCV and
KFold, one pair at a time; time per pair, both directions. Its null: all cyclic shifts along an order, against as many
refits by scikit-learn, of which one is timed. 1,000 permutations of CKA, preparation included, against 10
recomputations from the activations. Each side is a process of its
own and they take turns; the least disturbed round of each counts. Needs requirements-test.txt and 2 GB.
"""

import argparse
import json
import os
import pathlib
import platform
import sys
from typing import Any

import numpy as np

from benchmarks.sides import Side, processor
from benchmarks.worker import serve

ITEMS, WIDTHS = 1024, (384, 768)
CHECKED = 2  # layer pairs whose scores must agree
PERMUTATIONS, RECOMPUTED = 1000, 10


def layers(count: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """``count`` layers of both widths over the same items: noisy views of common factors of falling strength."""
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(ITEMS, 64)) * np.linspace(2, 0.1, 64)
    sides = []
    for width in WIDTHS:
        views = rng.normal(size=(count, 64, width)) / 8
        sides.append([(factors @ view + rng.normal(size=(ITEMS, width))).astype(np.float32) for view in views])
    return sides[0], sides[1]


def serve_ours(count: int) -> None:
    """Serves the grid of ``count`` x ``count`` layers, permutations and recomputations."""
    import jax

    from jam_jax import metrics
    from jam_jax.metrics import significance, statistics
    from jam_jax.metrics.predictivity import linear_predictivity, predictivity_grid
    from jam_jax.metrics.predictivity_shifts import predictivity_shifts

    xs, ys = layers(count)
    check = [
        [linear_predictivity(x, y), linear_predictivity(y, x)] for x, y in zip(xs[:CHECKED], ys[:CHECKED], strict=True)
    ]
    cka = statistics.named("cka")

    def grid(size: int) -> None:
        predictivity_grid(xs[:size], ys[:size])
        predictivity_grid(ys[:size], xs[:size])

    def shifted(count: int) -> None:
        for _ in range(count):
            predictivity_shifts(xs[:1], ys[:1], ITEMS - 1)
            predictivity_shifts(ys[:1], xs[:1], ITEMS - 1)

    def permuted(count: int) -> None:
        for _ in range(count):
            significance.permutation(cka, xs[0], ys[0], PERMUTATIONS)

    def recomputed(count: int) -> None:
        for _ in range(count):
            metrics.cka(xs[0], ys[0]).block_until_ready()

    commands = {"grid": grid, "shifted": shifted, "permuted": permuted, "recomputed": recomputed}
    serve(commands, check=check, version=jax.__version__)


def serve_peer(count: int) -> None:
    """Serves scikit-learn's linear predictivity of a pair, both directions."""
    import sklearn
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import KFold
    from sklearn.preprocessing import StandardScaler

    xs, ys = layers(count)
    alphas = np.logspace(-8, 8, 17)

    def score(x: np.ndarray, y: np.ndarray) -> float:
        x, y, scores = x.astype(np.float64), y.astype(np.float64), []
        for train, test in KFold(5, shuffle=True, random_state=42).split(x):
            scaler = StandardScaler().fit(x[train])
            predicted = RidgeCV(alphas).fit(scaler.transform(x[train]), y[train]).predict(scaler.transform(x[test]))
            predicted, held = predicted - predicted.mean(0), y[test] - y[test].mean(0)
            norms = np.linalg.norm(predicted, axis=0) * np.linalg.norm(held, axis=0)
            scores.append(((predicted * held).sum(0) / norms).mean())
        return float(np.mean(scores))

    def pairs(count: int) -> None:
        for i in range(count):
            score(xs[i % len(xs)], ys[i % len(ys)])
            score(ys[i % len(ys)], xs[i % len(xs)])

    check = [[score(x, y), score(y, x)] for x, y in zip(xs[:CHECKED], ys[:CHECKED], strict=True)]
    serve({"pairs": pairs}, check=check, version=sklearn.__version__)


def measure(count: int, threads: int, rounds: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows, and facts for the environment."""
    common = ("benchmarks.metrics", "--layers", str(count), "--worker")
    ours, peer = Side(threads, *common, "ours"), Side(threads, *common, "peer")
    np.testing.assert_allclose(ours.facts["check"], peer.facts["check"], atol=1e-6)
    calls = {
        "grid": (ours, count),
        "pairs": (peer, 1),
        "shifted": (ours, 1),
        "permuted": (ours, 3),
        "recomputed": (ours, RECOMPUTED),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, (side, repeated) in calls.items():
            times[name].append(side.time(name, repeated)["wall"])
    best = {name: min(taken) for name, taken in times.items()}
    ours.close()
    peer.close()
    # ``Side.time`` divides by what was asked for: the side of the grid, whose pairs are the square of it.
    grid = f"linear predictivity, {count} x {count} layers of {WIDTHS[0]} x {WIDTHS[1]}, N = {ITEMS}, both directions"
    shifts = f"{ITEMS - 1} permutations of linear predictivity, one pair, both directions"
    cka = f"{PERMUTATIONS} permutations of linear CKA, N = {ITEMS}, against {RECOMPUTED} recomputations"
    rows = [
        row(f"{grid}, per pair", best["grid"] / count, best["pairs"], "s"),
        row(shifts, best["shifted"], (ITEMS - 1) * best["pairs"], "s"),
        row(cka, best["permuted"], RECOMPUTED * best["recomputed"], "s"),
    ]
    return rows, {"scikit-learn": peer.facts["version"], "jax": ours.facts["version"], "scores": ours.facts["check"]}


def row(case: str, ours: float, peer: float, unit: str) -> dict[str, Any]:
    return {"case": case, "ours": ours, "peer": peer, "unit": unit, "ratio": peer / ours}


def main() -> None:
    """Measures, prints a table and writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", help="write {name, environment, rows} here")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--worker", choices=["ours", "peer"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        (serve_ours if arguments.worker == "ours" else serve_peer)(arguments.layers)
        return
    environment: dict[str, Any] = {
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {processor()}",
        "cores": os.cpu_count(),
        "threads": arguments.threads,
        "load_before": os.getloadavg()[0],
    }
    if environment["load_before"] > 0.5:
        print(f"the machine is busy (load {environment['load_before']:.1f})", file=sys.stderr)
    rows, facts = measure(arguments.layers, arguments.threads, arguments.rounds)
    for line in rows:
        print(f"{line['case']:105} {line['ours']:8.3f} {line['peer']:8.3f} {line['unit']} {line['ratio']:6.2f} x")
    if arguments.json:
        target = pathlib.Path(arguments.json)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(
            json.dumps({"name": "metrics", "environment": environment | facts, "rows": rows}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
