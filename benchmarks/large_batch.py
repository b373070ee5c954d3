"""Spread at large batch: blockwise against dense and against PyTorch in chunks, and its memory at N = 65,536.

    python -m benchmarks.large_batch --json benchmarks/results/large_batch.json

K = 1 negative of each caption, latents of width 256, one CPU device; value and gradients with respect to all latents.
At N = 8,192: blockwise against dense, both ours, and against PyTorch written in the usual way, rows in chunks whose
logits are computed again for the gradient (torch.utils.checkpoint). Each side is a process of its own, they take turns,
and the least disturbed round of each counts; values agree to 1e-4. Large: seconds and the most memory that the process
ever held, data included; the ratio is that of 2 GB to this memory. Needs requirements-test.txt; the large part takes
some minutes on two cores.
"""

import argparse
import json
import os
import pathlib
import platform
from typing import Any

import numpy as np

from benchmarks.sides import Side, processor
from benchmarks.worker import serve
from jam_jax.allocator import keep_freed_memory

WIDTH, SCALE, ALPHA = 256, 1 / 0.07, 0.7
MEMORY_MB = 2048


def latents(items: int) -> list[np.ndarray]:
    """Vision [N, H], language [N, H] and negatives [N, 1, H]: noisy views of one another."""
    rng = np.random.default_rng(0)
    vision = rng.standard_normal((items, WIDTH), np.float32)
    language = vision + rng.standard_normal((items, WIDTH), np.float32)
    negatives = (language + rng.standard_normal((items, WIDTH), np.float32))[:, None]
    return [vision, language, negatives]


def serve_ours(form: str, items: int, block: int) -> None:
    """Serves value and gradients of one form."""
    import jax

    from jam_jax.losses import contrastive, streaming

    keep_freed_memory()

    def loss(*x: jax.Array) -> jax.Array:
        if form == "dense":
            return contrastive.spread(*x, scale=SCALE, alpha=ALPHA)
        return streaming.spread(*x, scale=SCALE, alpha=ALPHA, block=block)

    arrays = jax.device_put(latents(items))
    step = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2))).lower(*arrays).compile()

    def repeated(count: int) -> None:
        for _ in range(count):
            jax.block_until_ready(step(*arrays))

    temporaries = step.memory_analysis().temp_size_in_bytes / 2**20
    serve({"step": repeated}, value=float(step(*arrays)[0]), version=jax.__version__, temporaries_mb=temporaries)


def measured(items: int, threads: int, rounds: int, block: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows at a batch where dense still fits, and facts for the environment."""
    ours = ("benchmarks.large_batch", "--items", str(items), "--block", str(block), "--worker")
    sides = {
        "blockwise": Side(threads, *ours, "blockwise"),
        "dense": Side(threads, *ours, "dense"),
        "torch": Side(threads, "benchmarks.torch_large_batch", "--items", str(items), "--threads", str(threads)),
    }
    values = {name: side.facts["value"] for name, side in sides.items()}
    np.testing.assert_allclose(list(values.values()), values["dense"], rtol=1e-4)
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            times[name].append(side.time("step", 1)["wall"])
    best = {name: min(found) for name, found in times.items()}
    rows = [
        row(f"spread, N = {items:,}, blockwise against dense", best["blockwise"], best["dense"], "s"),
        row(f"spread, N = {items:,}, blockwise against PyTorch in chunks", best["blockwise"], best["torch"], "s"),
    ]
    facts = {
        "jax": sides["dense"].facts["version"], "torch": sides["torch"].facts["version"], "values": values,
        "temporaries_mb": {name: sides[name].facts["temporaries_mb"] for name in ("blockwise", "dense")},
    }  # fmt: skip
    for side in sides.values():
        side.close()
    return rows, facts


def large(items: int, threads: int, block: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The row of a batch whose dense arrays no machine like this holds."""
    command = ("benchmarks.large_batch", "--items", str(items), "--block", str(block), "--worker", "blockwise")
    side = Side(threads, *command)
    seconds, peak = side.time("step", 1)["wall"], side.peak_megabytes()
    side.close()
    # P, Q and the gradient of each: what a dense step holds at least.
    dense_gb = 4 * items**2 * 4 / 2**30
    facts = {f"N = {items:,}": {"seconds": seconds, "dense_would_need_gb": dense_gb}}
    return [row(f"spread, N = {items:,}, peak memory of 2 GB", peak, MEMORY_MB, "MB")], facts


def row(case: str, ours: float, peer: float, unit: str) -> dict[str, Any]:
    """One line of the result."""
    return {"case": case, "ours": ours, "peer": peer, "unit": unit, "ratio": peer / ours}


def main() -> None:
    """Measures, prints a table and writes JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", help="write {name, environment, rows} here")
    parser.add_argument("--items", type=int, default=8192)
    parser.add_argument("--large", type=int, default=65_536, help="0 leaves it out")
    parser.add_argument("--block", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--worker", choices=["blockwise", "dense"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        serve_ours(arguments.worker, arguments.items, arguments.block)
        return
    environment: dict[str, Any] = {
        "python": platform.python_version(), "machine": f"{platform.machine()}, {processor()}",
        "cores": os.cpu_count(), "threads": arguments.threads, "block": arguments.block,
        "load_before": os.getloadavg()[0],
    }  # fmt: skip
    rows, facts = measured(arguments.items, arguments.threads, arguments.rounds, arguments.block)
    if arguments.large:
        more, large_facts = large(arguments.large, arguments.threads, arguments.block)
        rows, facts = rows + more, facts | large_facts
    for found in rows:
        print(f"{found['case']:60} {found['ours']:9.3f} {found['peer']:9.3f} {found['unit']:3} {found['ratio']:6.2f} x")
    if arguments.json:
        content = {"name": "large_batch", "environment": environment | facts, "rows": rows}
        target = pathlib.Path(arguments.json)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
