"""The shipped training step against a PyTorch peer: same architecture, optimizer, loss, parameters and batches.

    python -m benchmarks.train_step --json benchmarks/results/train_step.json

Each side is a process of its own and they take turns (A B A B ...); the least disturbed round of each counts. PyTorch
runs eagerly, with OpenMP threads that sleep while they wait instead of spinning, and through torch.compile: the fastest
counts. Three steps without dropout from the same parameters must give the same losses before anything is timed. Peak is
a jitted 4096^3 product in our process, in turn with the rest; how FLOPs are counted says ``Settings.flops``.

On a busy machine wall times on all cores say nothing: PyTorch's threads wait for each other at every operation, and a
core taken by another program stops both. ``--threads 1`` pins every side to one core, where processor time is fair.
Needs requirements-test.txt and 6 GB.
"""

import argparse
import json
import os
import pathlib
import platform
import sys
import tempfile
from typing import Any

import numpy as np

from benchmarks.sides import Side, processor
from benchmarks.worker import SETTINGS, serve
from jam_jax.allocator import keep_freed_memory

PEAK_SIZE = 4096


def config() -> dict[str, Any]:
    """The part of a main job's config that the step reads."""
    return {
        "objective": {
            "name": "spread", "alpha": SETTINGS.alpha, "alpha_end": None, "nearest": 0, "train_temperature": False,
            "reconstruction": 1.0, "reconstruction_end": 0.1,
        },
        "model": {
            "form": "plain", "init": "random", "hidden": SETTINGS.hidden, "latent": SETTINGS.latent,
            "dropout": SETTINGS.dropout, "gate_bias": 2.0,
        },
        "train": {
            "optimizer": "adam", "learning_rate": SETTINGS.learning_rate, "weight_decay": SETTINGS.weight_decay,
            "linear_rate": 1.0, "clip": SETTINGS.clip, "warmup": 0.0,
        },
    }  # fmt: skip


def serve_ours(batch: int, initial: pathlib.Path) -> None:
    """Serves timings of the shipped step; first writes its initial parameters for the peer."""
    import jax
    import jax.numpy as jnp
    from safetensors.numpy import save_file

    from jam_jax.activations.batches import Batch
    from jam_jax.training import objective, state, step

    settings, key = config(), jax.random.key(0)
    modules = objective.modulator(settings["model"], SETTINGS.width, SETTINGS.width)
    params = state.init_params(modules, key, SETTINGS.temperature)
    leaves = jax.tree_util.tree_leaves_with_path(params)
    named = {"/".join(part.key for part in path): np.asarray(leaf) for path, leaf in leaves}
    save_file({name: leaf for name, leaf in named.items() if leaf.ndim}, initial)
    # Only the own caption shows an image, and every negative counts.
    masks = np.ones((batch, 1), bool), np.eye(batch, dtype=bool), np.zeros((batch, batch, 1), bool)
    data = [Batch(*map(jnp.asarray, (v, t, u[:, None], *masks))) for v, t, u in SETTINGS.batches(batch)]
    start = state.init_state(params, step.make_optimizer(settings, SETTINGS.steps), key)

    without = objective.modulator(settings["model"] | {"dropout": 0.0}, SETTINGS.width, SETTINGS.width)
    checked, now, check = jax.jit(step.make_step(settings, without, SETTINGS.steps)), start, []
    for i in range(SETTINGS.checked):
        now, metrics = checked(now, data[i], key)
        check.append(float(metrics["loss"]))

    train_step, holder = jax.jit(step.make_step(settings, modules, SETTINGS.steps)), [start]
    keys = jax.random.split(key, 64)

    def run(count: int) -> None:
        now = holder[0]
        for i in range(count):
            now, _ = train_step(now, data[i % len(data)], keys[i % len(keys)])
        holder[0] = jax.block_until_ready(now)

    square = jnp.ones((PEAK_SIZE, PEAK_SIZE))
    product = jax.jit(lambda x: x @ x)

    def peak(count: int) -> None:
        for _ in range(count):
            product(square).block_until_ready()

    serve({"step": run, "peak": peak}, check=check, version=jax.__version__)


def measure(batch: int, threads: int, rounds: int, count: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows for one batch size, and facts for the environment."""
    with tempfile.TemporaryDirectory() as folder:
        initial = pathlib.Path(folder) / "initial.safetensors"
        common = ("--batch", str(batch), "--initial", str(initial))
        peer_of = ("benchmarks.torch_peer", *common, "--threads", str(threads))
        sides = {"ours": Side(threads, "benchmarks.train_step", "--worker", *common), "eager": Side(threads, *peer_of)}
        if threads > 1:
            sides["sleeping"] = Side(threads, *peer_of, waiting="PASSIVE")
        try:
            sides["compiled"] = Side(threads, *peer_of, "--compiled")
        except SystemExit as error:
            print(f"torch.compile does not work here, eager PyTorch counts ({error})", file=sys.stderr)
    np.testing.assert_allclose(sides["ours"].facts["check"], sides["eager"].facts["check"], rtol=2e-4)
    times: dict[str, list[dict[str, float]]] = {name: [] for name in (*sides, "peak")}
    for _ in range(rounds):
        for name, side in sides.items():
            times[name].append(side.time("step", count))
        times["peak"].append(sides["ours"].time("peak", 2))
    for side in sides.values():
        side.close()

    rows = []
    best = {name: {c: min(turn[c] for turn in turns) for c in turns[0]} for name, turns in times.items()}
    for clock in ("wall", "processor"):
        peer = min((name for name in sides if name != "ours"), key=lambda name: best[name][clock])
        ours_s, peer_s = best["ours"][clock], best[peer][clock]
        where = f"batch {batch}, {threads} core(s), {clock} time"
        case = f"{where}, torch {peer}"
        rows.append(
            {"case": case, "ours": 1e3 * ours_s, "peer": 1e3 * peer_s, "unit": "ms/step", "ratio": peer_s / ours_s}
        )
        peak = 2 * PEAK_SIZE**3 / best["peak"][clock]
        share, peer_share = (SETTINGS.flops(batch) / seconds / peak for seconds in (ours_s, peer_s))
        case = f"{where}, share of {peak / 1e9:.0f} GFLOP/s"
        rows.append({"case": case, "ours": share, "peer": peer_share, "unit": "fraction", "ratio": share / peer_share})
    facts = {
        "torch": sides["eager"].facts["version"],
        "jax": sides["ours"].facts["version"],
        f"batch {batch}": {
            "losses": sides["ours"].facts["check"],
            "gflop_per_step": SETTINGS.flops(batch) / 1e9,
            "ms_per_step": {
                name: {c: 1e3 * s for c, s in clocks.items()} for name, clocks in best.items() if name in sides
            },
        },
    }
    return rows, facts


def main() -> None:
    """Measures, prints a table and writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", help="write {name, environment, rows} here")
    parser.add_argument("--batches", type=int, nargs="+", default=[256, 4096])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--initial", type=pathlib.Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        keep_freed_memory()
        serve_ours(arguments.batch, arguments.initial)
        return
    rows: list[dict[str, Any]] = []
    environment: dict[str, Any] = {
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {processor()}",
        "cores": os.cpu_count(),
        "threads": arguments.threads,
        "load_before": os.getloadavg()[0],
    }
    if environment["load_before"] > 0.5:
        load = f"load {environment['load_before']:.1f}"
        print(f"the machine is busy ({load}): wall times on several cores will not be comparable", file=sys.stderr)
    for batch in arguments.batches:
        found, facts = measure(batch, arguments.threads, arguments.rounds, count=max(1, 2048 // batch))
        rows += found
        environment |= facts
        for row in found:
            print(
                f"{row['case']:58} {row['ours']:9.3f} {row['peer']:9.3f} {row['unit']:9} {row['ratio']:5.2f} x",
                flush=True,
            )
    if arguments.json:
        content = {"name": "train_step", "environment": environment, "rows": rows}
        target = pathlib.Path(arguments.json)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
