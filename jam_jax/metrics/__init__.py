"""Measures of alignment: arrays in, plain numbers out; nothing here knows a model or a file."""

from jam_jax.metrics import blockwise, choice, reconstruction, retrieval, significance, statistics
from jam_jax.metrics.canonical import cca, pwcca, svcca
from jam_jax.metrics.neighbours import cknna, cycle_knn, mutual_knn
from jam_jax.metrics.predictivity import linear_predictivity, predictivity_grid
from jam_jax.metrics.similarity import cka, procrustes, rsa

__all__ = [
    "blockwise",
    "cca",
    "choice",
    "cka",
    "cknna",
    "cycle_knn",
    "linear_predictivity",
    "mutual_knn",
    "predictivity_grid",
    "procrustes",
    "pwcca",
    "reconstruction",
    "retrieval",
    "rsa",
    "significance",
    "statistics",
    "svcca",
]
