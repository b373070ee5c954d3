"""Mesh and shardings; the only place that knows how many devices there are."""

from typing import Any, TypeVar

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jam_jax.errors import JamError

Tree = TypeVar("Tree")


def data_mesh() -> Mesh:
    """All devices in a row along the ``data`` axis."""
    return jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))


def replicate(tree: Tree, mesh: Mesh) -> Tree:
    """Arrays with a whole copy on every device."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def members_at_once(members: int) -> int | None:
    """How many members of a run to train side by side: all on accelerators; None, one by one, on CPUs.

    One member's matrices fill a CPU's cores already, and batched small products run slower there.
    """
    return None if jax.default_backend() == "cpu" else members


def check_batch(batch: int, mesh: Mesh, where: str) -> None:
    """Raises JamError when a batch cannot be dealt evenly to the devices."""
    if batch % mesh.size:
        raise JamError(f"{where} is {batch}, which {mesh.size} devices cannot share; use a multiple of {mesh.size}")


def constrain_rows(tree: Any, mesh: Mesh) -> Any:
    """Inside jit: lays the first axis of every array along the devices, so that a batch is computed in parallel."""
    return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, PartitionSpec("data")))


def gather_rows(tree: Tree, mesh: Mesh) -> Tree:
    """Arrays of all processes' rows laid along the devices; each process gives its own, and only these are its."""
    sharding = NamedSharding(mesh, PartitionSpec("data"))
    return jax.tree.map(lambda rows: jax.make_array_from_process_local_data(sharding, rows), tree)
