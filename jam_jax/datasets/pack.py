"""The embedded pack: the pairs and int8 copies of the chosen layers of full exports.

python -m jam_jax.datasets.pack --config=configs/export/pack.py --workdir=jam_jax/assets/emoji
"""

import os
from collections.abc import Mapping
from typing import Any

from etils import epath

from jam_jax.activations import Pairs, Store, convert
from jam_jax.activations.shards import DTYPES
from jam_jax.config import Field, run, validate
from jam_jax.errors import JamError

BACKBONES = ("vit_s14", "efficientnet_lite0", "mpnet", "minilm", "smollm2")
SCHEMA = {
    "full": Field(str),
    "pairs": Field(str),
    "dtype": Field(str, choices=tuple(DTYPES)),
    "rows_per_shard": Field(int, low=1),
    **{f"layers.{name}": Field(int, low=0, many=True) for name in BACKBONES},
}


def pack(config: Mapping[str, Any], out: str | os.PathLike[str]) -> dict[str, Store]:
    """Writes out/pairs.parquet, and out/<backbone> from full/<backbone> for every backbone with chosen layers.

    Rows are those of the pairs, in their order; a full export may hold more. Returns the stores by name.
    Raises JamError, one line, when a store is missing or unfinished, or lacks a layer or a row.
    """
    settings = validate(config, SCHEMA, where="pack config")
    pairs = Pairs.open(settings["pairs"])
    epath.Path(out).mkdir(parents=True, exist_ok=True)
    stores = {}
    for name, layers in settings["layers"].items():
        if not layers:
            continue
        full = Store.open(epath.Path(settings["full"]) / name)
        rows = _rows(full, pairs)
        stores[name] = convert(
            full,
            epath.Path(out) / name,
            layers=layers,
            dtype=settings["dtype"],
            rows=rows,
            rows_per_shard=settings["rows_per_shard"],
        )
    pairs.write(epath.Path(out) / "pairs.parquet")
    return stores


def _rows(store: Store, pairs: Pairs) -> list[int]:
    row_of = {row_id: row for row, row_id in enumerate(store.manifest.row_ids)}
    wanted = pairs.item_ids if store.manifest.modality == "vision" else pairs.caption_ids
    missing = [row_id for row_id in wanted if row_id not in row_of]
    if missing:
        raise JamError(f"{store.path}: has no row for {missing[0]}; export it again for these pairs")
    return [row_of[row_id] for row_id in wanted]


def _command(config: dict[str, Any], workdir: str) -> int:
    for name, store in pack(config, workdir).items():
        size = sum(entry["bytes"] for entry in store.manifest.shards)
        layers = ", ".join(map(str, store.layers))
        print(f"{name}: {store.manifest.rows} rows, layers {layers}, {size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    run(SCHEMA, _command, workdir="jam_jax/assets/emoji")
