"""Objectives: arrays in, one scalar out; nothing here knows a model or a file."""

from jam_jax.losses import contrastive, geometry, reconstruction
from jam_jax.losses.contrastive import con, con_con, context_nce, nearest_captions, negcon, spread
from jam_jax.losses.reconstruction import mse, total

__all__ = [
    "con",
    "con_con",
    "context_nce",
    "contrastive",
    "geometry",
    "mse",
    "nearest_captions",
    "negcon",
    "reconstruction",
    "spread",
    "total",
]
