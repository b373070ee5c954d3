"""What benchmarks/geometry.py measures on held-out items: how alike two sets of vectors are in structure, in NumPy."""

import pathlib
import sys
from typing import Any

import numpy as np
from scipy import stats

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from jam_jax.activations import sources  # noqa: E402

LAYERS = {
    "vision": {"efficientnet_lite0": (8, 11, 13, 16, 17), "vit_s14": (8, 10, 11, 12)},
    "language": {"mpnet": (11, 12), "minilm": (5, 6), "smollm2": (8, 15, 22, 30)},
}
NEIGHBOURS = 10
NAMES = ("rsa", "cka", "mutual_knn")


def measures(x_NxD: np.ndarray, y_NxE: np.ndarray) -> dict[str, float]:
    """RSA (Spearman over all pairs of cosines), unbiased linear CKA and mutual kNN, all of centred rows."""
    x_NxD, y_NxE = (np.asarray(side, np.float64) - np.mean(side, 0, np.float64) for side in (x_NxD, y_NxE))
    sims = [unit @ unit.T for unit in map(rows_of_unit_length, (x_NxD, y_NxE))]
    upper = np.triu_indices(len(x_NxD), 1)
    values = (
        stats.spearmanr(sims[0][upper], sims[1][upper]).statistic,
        unbiased_cka(x_NxD @ x_NxD.T, y_NxE @ y_NxE.T),
        mutual_knn(*sims),
    )
    return dict(zip(NAMES, map(float, values), strict=True))


def rows_of_unit_length(x_NxD: np.ndarray) -> np.ndarray:
    """Rows of unit norm."""
    return x_NxD / np.linalg.norm(x_NxD, axis=1, keepdims=True)


def unbiased_cka(k_NxN: np.ndarray, l_NxN: np.ndarray) -> float:
    """CKA with the HSIC estimator of Song et al. (2012)."""
    return _hsic(k_NxN, l_NxN) / np.sqrt(_hsic(k_NxN, k_NxN) * _hsic(l_NxN, l_NxN))


def mutual_knn(x_NxN: np.ndarray, y_NxN: np.ndarray, k: int = NEIGHBOURS) -> float:
    """Mean share of the k nearest items that two similarity matrices have in common; chance is k / (N - 1)."""
    near = []
    for sim_NxN in (x_NxN, y_NxN):
        others_NxN = np.where(np.eye(len(sim_NxN), dtype=bool), -np.inf, sim_NxN)
        marked = np.zeros(sim_NxN.shape, bool)
        np.put_along_axis(marked, np.argpartition(-others_NxN, k, axis=1)[:, :k], True, axis=1)
        near.append(marked)
    return float((near[0] & near[1]).sum() / (k * len(x_NxN)))


def rotation(x_NxH: np.ndarray, y_NxH: np.ndarray) -> np.ndarray:
    """The orthogonal matrix [H, H] that brings x nearest to y in squared distance (Procrustes)."""
    left, _, right = np.linalg.svd(x_NxH.T @ y_NxH)
    return left @ right


def paired(gaps_S: np.ndarray) -> tuple[float, float]:
    """Mean of differences over seeds and half the width of its 95 % t interval."""
    half = stats.t.ppf(0.975, len(gaps_S) - 1) * gaps_S.std(ddof=1) / np.sqrt(len(gaps_S))
    return float(gaps_S.mean()), float(half)


def layers(parts: int = 5) -> list[dict[str, Any]]:
    """Structure shared by every pair of stored layers of the frozen models, on disjoint parts of the gallery."""
    root = sources.folder("emoji")
    pairs = sources.open_pairs(root)
    gallery = np.random.default_rng(0).permutation(np.flatnonzero(pairs.gallery))
    first = np.unique(pairs.caption_items, return_index=True)[1]
    read: dict[str, dict[tuple[str, int], np.ndarray]] = {}
    for side, models in LAYERS.items():
        rows = gallery if side == "vision" else first[gallery]
        read[side] = {}
        for name, numbers in models.items():
            for number in numbers:
                values = sources.load(root, name, (number,), side, pairs).values[rows]
                read[side][name, number] = (values - values.mean(0)) / np.maximum(values.std(0), 1e-6)
    found = []
    chunks = np.array_split(np.arange(len(gallery)), parts)
    for (vision, v_layer), x in read["vision"].items():
        for (language, l_layer), y in read["language"].items():
            each = [measures(x[chunk], y[chunk]) for chunk in chunks]
            null = [measures(x[chunk], y[np.roll(chunk, 1)]) for chunk in chunks]
            named = {"vision": vision, "vision_layer": v_layer, "language": language, "language_layer": l_layer}
            values = {name: [round(one[name], 4) for one in each] for name in NAMES}
            chance = {name: round(float(np.mean([one[name] for one in null])), 4) for name in NAMES}
            found.append(named | values | {"wrong_pairs": chance})
    return found


def _hsic(k_NxN: np.ndarray, l_NxN: np.ndarray) -> float:
    n = len(k_NxN)
    k_NxN, l_NxN = (side - np.diag(np.diag(side)) for side in (k_NxN, l_NxN))
    mixed = k_NxN.sum(0) @ l_NxN.sum(0)
    total = (k_NxN * l_NxN).sum() + k_NxN.sum() * l_NxN.sum() / ((n - 1) * (n - 2)) - 2 * mixed / (n - 2)
    return total / (n * (n - 3))
