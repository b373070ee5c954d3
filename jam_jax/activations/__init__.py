"""Activations on disk, who belongs to whom, and what a training step sees of them."""

from jam_jax.activations.pairs import Pairs
from jam_jax.activations.store import Store, StoreWriter, convert

__all__ = ["Pairs", "Store", "StoreWriter", "convert"]
