"""Measures of alignment: arrays in, plain numbers out; nothing here knows a model or a file."""

from jam_jax.metrics import blockwise, choice, reconstruction, retrieval, statistics
from jam_jax.metrics.canonical import cca, pwcca, svcca
from jam_jax.metrics.neighbours import cknna, cycle_knn, mutual_knn
from jam_jax.metrics.similarity import cka, procrustes, rsa

__all__ = [
    "blockwise",
    "cca",
    "choice",
    "cka",
    "cknna",
    "cycle_knn",
    "mutual_knn",
    "procrustes",
    "pwcca",
    "reconstruction",
    "retrieval",
    "rsa",
    "statistics",
    "svcca",
]
