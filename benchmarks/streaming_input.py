"""Training from a store ten times larger than the process may hold, against training on arrays that live on the device.

    python -m benchmarks.streaming_input --folder /scratch --json benchmarks/results/streaming_input.json

Both sides train the plain modulator of JAM with Spread and one hard negative, each in a process of its own, in turns.
The streamed side may have so many gigabytes of data (RLIMIT_DATA: heap and anonymous maps; pages of mapped files are
the system's to drop), the store is ten times that, and it is dropped from the page cache before each turn. A step at
batch 4096 needs 4 GB itself, whatever feeds it, so by default it is measured against a smaller multiple; with
``--gigabytes 40`` that is ten as well. Needs that much room in ``--folder``, which is emptied again.
"""

import argparse
import contextlib
import json
import os
import pathlib
import platform
import resource
import statistics
import tempfile
from typing import Any

import numpy as np

from benchmarks.sides import Side, processor
from benchmarks.worker import SETTINGS, serve
from jam_jax.allocator import keep_freed_memory

ROWS_PER_SHARD = 32_768
BYTES = {"float32": 4, "bfloat16": 2, "int8": 1}
SIDES = ("eye", "words")


def write_stores(folder: pathlib.Path, items: int, dtype: str) -> None:
    """Stores of both modalities in the library's own format; shards differ by a shift of one block of numbers."""
    from jam_jax.activations import StoreWriter

    block = np.random.default_rng(0).normal(3, 1, (ROWS_PER_SHARD, SETTINGS.width)).astype(np.float32)
    for name, modality in zip(SIDES, ("vision", "language"), strict=True):
        writer = StoreWriter(
            folder / name, modality=modality, backbone=name, revision="1", weight_hash="", pooling="mean", dtype=dtype,
            layers={1: SETTINGS.width}, row_ids=[str(row) for row in range(items)], rows_per_shard=ROWS_PER_SHARD,
            dataset="synthetic", dataset_revision="1",
        )  # fmt: skip
        for shard in writer.missing():
            writer.write_shard(shard, {1: np.roll(block, shard, axis=1)[: len(writer.rows_of(shard))]})
        writer.finish()


def settings(batch: int, epochs: int) -> dict[str, Any]:
    """configs/spread.py with the plain modulator of benchmarks/train_step.py."""
    from jam_jax import config, main

    changed = {
        "data.components": 0, "model.form": "plain", "model.init": ("random",), "model.hidden": SETTINGS.hidden,
        "model.latent": SETTINGS.latent, "model.dropout": SETTINGS.dropout, "train.batch": batch,
        "train.epochs": epochs, "objective.negatives": 1, "baselines": (),
    }  # fmt: skip
    loaded = config.load_file("configs/spread.py")
    loaded.update_from_flattened_dict(changed)
    return config.validate(loaded, main.SCHEMA)


def rows_of(items: int) -> Any:
    """One caption for each item, and the caption of any other item as its hard negative."""
    from jam_jax.activations.batches import Rows

    numbers, ones = np.arange(items), np.ones(items, np.int32)
    negatives = np.random.default_rng(1).integers(1, items, items) + numbers
    return Rows(
        items=numbers, captions=numbers, of_item=numbers[:, None], caption_count=ones,
        negatives=(negatives % items)[:, None], negative_count=ones, owner=numbers,
    )  # fmt: skip


def begun(settings: dict[str, Any], steps: int) -> tuple[Any, Any]:
    """A run's first state, of one member, and its step."""
    import jax

    from jam_jax.models import members
    from jam_jax.training import objective, state, step

    modules = objective.modulator(settings["model"], SETTINGS.width, SETTINGS.width)
    key = state.member_key(0, 0)
    params = jax.jit(lambda key: state.init_params(modules, key, SETTINGS.temperature))(key)
    start = state.init_state(params, step.make_optimizer(settings, steps), key)
    return members.stack([start]), step.make_step(settings, modules, steps)


def serve_resident(batch: int, count: int) -> None:
    """Serves epochs of ``count`` steps on device arrays of as many rows."""
    import jax
    import jax.numpy as jnp

    from jam_jax.activations.batches import Split
    from jam_jax.training import step

    items = count * batch
    states, train_step = begun(settings(batch, 1000), 1000 * count)
    epoch = step.make_epoch(train_step, batch=batch, negatives=1, constrain=lambda batch: batch, at_once=None)
    rows, draw = rows_of(items), jax.random.normal
    split = Split(
        draw(jax.random.key(1), (items, SETTINGS.width)), draw(jax.random.key(2), (items, SETTINGS.width)),
        *(jnp.asarray(values, jnp.int32) for values in rows[2:]), jnp.arange(items, dtype=jnp.int32),
    )  # fmt: skip
    compiled, holder = jax.jit(epoch).lower(states, split).compile(), [states]

    def run(steps: int) -> None:
        for _ in range(steps // count):
            holder[0], metrics = compiled(holder[0], split)
        jax.block_until_ready(holder[0])

    serve({"train": run})


def serve_streamed(folder: pathlib.Path, batch: int) -> None:
    """Serves steps on batches from the stores in ``folder``."""
    import jax

    from jam_jax.activations.store import Store
    from jam_jax.activations.stored import Stored
    from jam_jax.activations.stream import Batches
    from jam_jax.models import inputs
    from jam_jax.training.expansion import Expansion
    from jam_jax.training.streamed import Streamed

    vision, language = (Stored(Store.open(folder / name), (1,)) for name in SIDES)
    items = len(vision)
    states, train_step = begun(settings(batch, 4), 4 * (items // batch))
    sample = np.linspace(0, items - 1, 2048).astype(int)
    how: dict[str, Any] = {"standardise": True, "constant": "stop", "components": 0, "where": "sample"}
    expansions = [Expansion.of(one, inputs.fit(one[sample], **how)) for one in (vision, language)]
    batches = Batches(vision, language, rows_of(items), np.arange(items), batch=batch, negatives=1, epochs=4, seed=0)
    advance = Streamed(
        train_step, batches, *jax.device_put(expansions), place=jax.device_put, constrain=lambda batch: batch,
        at_once=None,
    )  # fmt: skip
    advance.compile(states)
    holder, place = [states], [0]

    def run(steps: int) -> None:
        holder[0], _ = advance(holder[0], place[0], steps)
        place[0] += steps
        jax.block_until_ready(holder[0])

    serve({"train": run}, batches=len(batches), per_epoch=batches.per_epoch)


def drop_from_cache(folder: pathlib.Path) -> None:
    """Has the system forget what it read of these files; those that were just written are on disk already."""
    for file in folder.rglob("*.safetensors"):
        with file.open("rb") as handle, contextlib.suppress(OSError):
            os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(folder: pathlib.Path, asked: argparse.Namespace, batch: int, limit: float) -> tuple[Any, Any]:
    """Examples per second of each turn, and what the streamed side held at most, in gigabytes."""
    common = ("benchmarks.streaming_input", "--folder", str(folder), "--batch", str(batch))
    drop_from_cache(folder)
    streamed = Side(asked.threads, *common, "--worker", "streamed", "--limit", str(limit))
    resident = Side(asked.threads, *common, "--worker", "resident", "--count", str(asked.count))
    found: dict[str, list[float]] = {"streamed": [], "resident": []}
    for _ in range(asked.rounds):
        drop_from_cache(folder)
        for name, side in (("streamed", streamed), ("resident", resident)):
            found[name].append(batch / side.time("train", asked.count)["wall"])
    held = streamed.data_gigabytes()
    for side in (streamed, resident):
        side.close()
    return found, held


def main() -> None:
    """Measures, prints and writes JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=pathlib.Path, required=True, help="where the store is put for the while")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--gigabytes", type=float, default=15.0, help="size of the store")
    parser.add_argument("--batches", type=int, nargs="+", default=[1024, 4096])
    parser.add_argument("--limits", type=float, nargs="+", default=[1.5, 4.0], help="gigabytes of data, for each batch")
    parser.add_argument("--dtype", choices=tuple(BYTES), default="bfloat16")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=16, help="steps in a turn")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--worker", choices=("streamed", "resident"), help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--limit", type=float, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        keep_freed_memory()
    if asked.worker == "streamed":
        limit = int(asked.limit * 1e9)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        return serve_streamed(asked.folder, asked.batch)
    if asked.worker == "resident":
        return serve_resident(asked.batch, asked.count)
    row = 2 * SETTINGS.width * BYTES[asked.dtype]
    items = int(asked.gigabytes * 1e9) // row
    environment: dict[str, Any] = {
        "python": platform.python_version(), "machine": f"{platform.machine()}, {processor()}",
        "cores": os.cpu_count(), "threads": asked.threads, "load_before": os.getloadavg()[0],
    }  # fmt: skip
    rows = []
    with tempfile.TemporaryDirectory(dir=asked.folder) as scratch:
        folder = pathlib.Path(scratch)
        write_stores(folder, items, asked.dtype)
        for batch, limit in zip(asked.batches, asked.limits, strict=True):
            found, held = measure(folder, asked, batch, limit)
            ours, peer = (statistics.median(found[name]) for name in ("streamed", "resident"))
            case = f"batch {batch}, {asked.gigabytes:g} GB of {asked.dtype} in {limit:g} GB"
            rows.append({"case": case, "ours": ours, "peer": peer, "unit": "examples/s", "ratio": ours / peer})
            environment[f"batch {batch}"] = {"examples_per_s": found, "held_gigabytes": held, "pairs": items}
            print(f"{case}: {ours:.0f} examples/s streamed, {peer:.0f} resident, {ours / peer:.2f} x", flush=True)
    if asked.json:
        content = {"name": "streaming_input", "environment": environment, "rows": rows}
        asked.json.write_text(json.dumps(content, indent=1) + "\n")
    return None


if __name__ == "__main__":
    main()
