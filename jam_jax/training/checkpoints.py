"""Checkpoints of a run, through Orbax: arrays and JSON only, so that loading one never runs code."""

import logging
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from jam_jax.activations.shards import write_atomically
from jam_jax.errors import JamError
from jam_jax.models.inputs import Inputs

logging.getLogger("absl").setLevel(logging.ERROR)


class Checkpoints:
    """``<workdir>/checkpoints``: numbered by epoch, each with arrays ('state', 'best') and 'progress' (JSON).

    The two newest are kept, so that one that a crash left half-written costs an interval and not the run.
    """

    def __init__(self, workdir: str | os.PathLike[str]):
        folder = pathlib.Path(workdir).absolute() / "checkpoints"
        # Not in the background: a modulator is saved in about a second, and beside a running epoch the copies of a
        # save would set the peak of the host's memory.
        options = ocp.CheckpointManagerOptions(max_to_keep=2, create=True, enable_async_checkpointing=False)
        self._manager = ocp.CheckpointManager(folder, options=options)

    def save(self, epoch: int, arrays: Any, progress: Mapping[str, Any]) -> None:
        """Writes a checkpoint; it counts once it is there whole."""
        items = ocp.args.Composite(arrays=ocp.args.StandardSave(arrays), progress=ocp.args.JsonSave(dict(progress)))
        self._manager.save(epoch, args=items, force=True)

    def latest(self) -> int | None:
        """Epoch of the newest finished checkpoint, or None."""
        return self._manager.latest_step()

    def restore(self, like: Any) -> tuple[Any, dict[str, Any]]:
        """Newest arrays, shaped and placed as ``like``, and the progress saved with them."""
        items = ocp.args.Composite(arrays=ocp.args.StandardRestore(like), progress=ocp.args.JsonRestore())
        restored = self._manager.restore(self._manager.latest_step(), args=items)
        return restored["arrays"], restored["progress"]

    def restore_best(self, like: Any) -> Any:
        """Only the best parameters of the newest checkpoint, on any number of devices."""
        device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        placed = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device), like)
        wanted = {"best": placed}
        how = ocp.checkpoint_utils.construct_restore_args(wanted)
        arrays = ocp.args.PyTreeRestore(wanted, restore_args=how, partial_restore=True)
        restored = self._manager.restore(self._manager.latest_step(), args=ocp.args.Composite(arrays=arrays))
        return restored["arrays"]["best"]

    def close(self) -> None:
        """Waits until everything is on disk."""
        self._manager.wait_until_finished()
        self._manager.close()


def abstract(tree: Any) -> Any:
    """Shapes, dtypes and shardings of arrays: what ``restore`` needs to know."""
    return jax.tree.map(ocp.utils.to_shape_dtype_struct, tree)


def save_inputs(workdir: str | os.PathLike[str], inputs: Mapping[str, Inputs]) -> None:
    """Writes the training-set statistics of each modality to ``<workdir>/checkpoints/inputs.safetensors``."""
    file = epath.Path(workdir) / "checkpoints" / "inputs.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"{modality}.{name}": np.ascontiguousarray(value)
        for modality, fitted in inputs.items()
        for name, value in fitted._asdict().items()
    }
    write_atomically(file, save(tensors))


def load_inputs(workdir: str | os.PathLike[str]) -> dict[str, Inputs] | None:
    """What ``save_inputs`` wrote, or None where nothing is; raises JamError when the file is damaged."""
    file = pathlib.Path(workdir) / "checkpoints" / "inputs.safetensors"
    if not file.exists():
        return None
    try:
        tensors = load_file(file)
        return {
            modality: Inputs(*(tensors[f"{modality}.{name}"] for name in Inputs._fields))
            for modality in ("vision", "language")
        }
    except (SafetensorError, KeyError) as error:
        raise JamError(f"{file}: is damaged; delete the run's folder and run again") from error
