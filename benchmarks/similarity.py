"""Mutual kNN, CKA and CKNNA over all layer pairs against PyTorch one pair at a time, and at N = 200,000.

    python -m benchmarks.similarity --json benchmarks/results/similarity.json

Each side starts from the activations (12 layers of width 384, 12 of 768, N = 1,024), and the scores of both sides must
agree to 1e-4 before anything is timed, those by neighbours wherever float32 decides who the K nearest are: where the
K-th and the next differ by less than its rounding the two sides may take different ones. Permutations: CKA of one layer
pair under a group of 1,024 permutations against 10 recomputations from the activations, both ours. Each side is a
process of its own and they take turns; the least disturbed round of each counts. Large: seconds and the most memory
that the process ever held, data included; the ratio is that of 4 GB to this memory. Needs requirements-test.txt; the
large part takes a quarter of an hour on two cores.
"""

import argparse
import json
import os
import pathlib
import platform
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.sides import Side, processor
from benchmarks.worker import serve
from jam_jax.allocator import keep_freed_memory

ITEMS, WIDTHS, K = 1024, (384, 768), 10
ROUNDING = 5e-7  # of an inner product of unit rows in float32
METRICS = ("mutual_knn", "cka", "cknna")
MEMORY_MB = 4096


def layers(count: int, items: int = ITEMS) -> list[list[np.ndarray]]:
    """``count`` layers of each width with rows of unit norm: noisy views of common factors."""
    rng = np.random.default_rng(0)
    factors_NxF = rng.normal(size=(items, 64)).astype(np.float32)
    sides = []
    for width in WIDTHS:
        side = []
        for _ in range(count):
            noise_NxD = rng.standard_normal(size=(items, width), dtype=np.float32)
            noise_NxD += factors_NxF @ (rng.normal(size=(64, width)) / 8).astype(np.float32)
            side.append(noise_NxD / np.linalg.norm(noise_NxD, axis=1, keepdims=True))
        sides.append(side)
    return sides


def decided(x_NxD: np.ndarray) -> bool:
    """Whether float32 tells the K-th neighbour of every item from the next."""
    x_NxD = x_NxD.astype(np.float64)
    sim_NxN = x_NxD @ x_NxD.T
    np.fill_diagonal(sim_NxN, -np.inf)
    last_NxK = -np.partition(-sim_NxN, (K - 1, K), axis=1)[:, K - 1 : K + 1]
    return bool((last_NxK[:, 0] - last_NxK[:, 1] > ROUNDING).all())


def serve_scores(commands: dict[str, Callable[[], Any]], **facts: object) -> None:
    """Serves timings of commands whose scores are among the facts."""
    keep_freed_memory()

    def repeated(command: Callable[[], Any]) -> Callable[[int], object]:
        return lambda count: [command() for _ in range(count)]

    scores = {name: np.asarray(command()).tolist() for name, command in commands.items()}
    serve({name: repeated(command) for name, command in commands.items()}, scores=scores, **facts)


def serve_ours(count: int) -> None:
    """Serves timings of all layer pairs and of the permutations."""
    import jax

    from jam_jax.metrics import statistics

    vision, language = layers(count)
    order_N = np.random.default_rng(1).permutation(ITEMS).astype(np.int32)
    cka = statistics.named("cka")
    x, y = cka.prepare(vision[0]), cka.prepare(language[0])
    shifted = jax.jit(cka.shifted)

    def over_pairs(name: str) -> Callable[[], Any]:
        statistic = statistics.named(name)
        return lambda: np.asarray(
            statistics.grid(statistic, *(statistics.stack(statistic, side) for side in (vision, language)))
        )

    commands = {name: over_pairs(name) for name in METRICS}
    commands["permutations"] = lambda: np.asarray(shifted(x, y, order_N))
    commands["recomputation"] = lambda: np.asarray(cka.compare(cka.prepare(vision[0]), cka.prepare(language[0])))
    serve_scores(commands, version=jax.__version__)


def serve_large(items: int, name: str) -> None:
    """Does it once, and says how long it took and the most memory held."""
    from jam_jax import metrics

    (x,), (y,) = layers(1, items)
    run = {"mutual_knn": lambda: metrics.mutual_knn(x, y, K), "cka": lambda: metrics.blockwise.cka(x, y)}[name]
    began = time.perf_counter()
    score = float(run())
    print(json.dumps({"score": score, "seconds": time.perf_counter() - began}), flush=True)
    sys.stdin.read()


def over_pairs(count: int, threads: int, rounds: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows for all layer pairs and for the permutations, and facts for the environment."""
    ours = Side(threads, "benchmarks.similarity", "--worker", "--layers", str(count))
    peer = Side(threads, "benchmarks.torch_similarity", "--layers", str(count), "--threads", str(threads))
    vision, language = (np.flatnonzero([decided(x) for x in side]) for side in layers(count))
    for name in METRICS:
        found, expected = (np.asarray(side.facts["scores"][name]) for side in (ours, peer))
        if name != "cka":
            found, expected = found[np.ix_(vision, language)], expected[np.ix_(vision, language)]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    times: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for who, side, commands in (
            ("ours", ours, (*METRICS, "permutations", "recomputation")),
            ("peer", peer, METRICS),
        ):
            for name in commands:
                times.setdefault((who, name), []).append(side.time(name, 1)["wall"])
    best = {key: min(found) for key, found in times.items()}
    rows = [
        row(f"{name}, {count} x {count} layer pairs, N = {ITEMS}", best["ours", name], best["peer", name], "s")
        for name in METRICS
    ]
    case = f"cka, {ITEMS} permutations against 10 recomputations, N = {ITEMS}"
    rows.append(row(case, best["ours", "permutations"], 10 * best["ours", "recomputation"], "s"))
    compared = f"{len(vision)} x {len(language)} of {count} x {count} layer pairs"
    facts = {"jax": ours.facts["version"], "torch": peer.facts["version"], "neighbours_compared": compared}
    for side in (ours, peer):
        side.close()
    return rows, facts


def large(items: int, threads: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows for many items, one process for each metric."""
    rows, facts = [], {}
    for name in ("cka", "mutual_knn"):
        side = Side(threads, "benchmarks.similarity", "--worker", "--items", str(items), "--large", name)
        rows.append(row(f"{name}, N = {items:,}, peak memory of 4 GB", side.peak_megabytes(), MEMORY_MB, "MB"))
        facts[f"{name}, N = {items:,}"] = side.facts
        side.close()
    return rows, facts


def row(case: str, ours: float, peer: float, unit: str) -> dict[str, Any]:
    """One line of the result."""
    return {"case": case, "ours": ours, "peer": peer, "unit": unit, "ratio": peer / ours}


def main() -> None:
    """Measures, prints a table and writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", help="write {name, environment, rows} here")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--items", type=int, default=200_000, help="of the large part; 0 leaves it out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--large", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        serve_large(arguments.items, arguments.large) if arguments.large else serve_ours(arguments.layers)
        return
    environment: dict[str, Any] = {
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {processor()}",
        "cores": os.cpu_count(),
        "threads": arguments.threads,
        "load_before": os.getloadavg()[0],
    }
    rows, facts = over_pairs(arguments.layers, arguments.threads, arguments.rounds)
    if arguments.items:
        more, large_facts = large(arguments.items, arguments.threads)
        rows, facts = rows + more, facts | large_facts
    for found in rows:
        print(f"{found['case']:60} {found['ours']:9.3f} {found['peer']:9.3f} {found['unit']:3} {found['ratio']:6.1f} x")
    if arguments.json:
        content = {"name": "similarity", "environment": environment | facts, "rows": rows}
        target = pathlib.Path(arguments.json)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
