"""Measures of alignment: arrays in, plain numbers out; nothing here knows a model or a file."""

from jam_jax.metrics import choice, reconstruction, retrieval

__all__ = ["choice", "reconstruction", "retrieval"]
