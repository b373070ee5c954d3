"""Names, as a rule concepts, dealt into train, validation and test by a hash: adding one moves few others."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from jam_jax.activations.pairs import SPLITS

Group = TypeVar("Group")
FRACTIONS = (0.7, 0.1, 0.2)


def deal(names: Iterable[str], *, seed: int, fractions: Sequence[float] = FRACTIONS) -> dict[str, str]:
    """A split for each name, in the wanted fractions, by the order of a hash of seed and name."""
    ordered = sorted(set(names), key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).hexdigest())
    ends = np.rint(np.cumsum(fractions) * len(ordered))
    return {name: SPLITS[int(np.searchsorted(ends, place, "right"))] for place, name in enumerate(ordered)}


def deal_within(group_of: Mapping[str, Group], *, seed: int) -> dict[str, str]:
    """``deal`` among the names of each group, so that every split has its share of every group."""
    members: dict[Group, list[str]] = {}
    for name, group in group_of.items():
        members.setdefault(group, []).append(name)
    return {name: split for names in members.values() for name, split in deal(names, seed=seed).items()}


__all__ = ["FRACTIONS", "deal", "deal_within"]
