"""The statistics as their papers write them, in NumPy float64 and loops over items, to test against."""

import numpy as np


def hsic_unbiased(a, b):
    n, one = len(a), np.ones(len(a))
    a, b = a - np.diag(np.diag(a)), b - np.diag(np.diag(b))
    totals = (one @ a @ one) * (one @ b @ one) / ((n - 1) * (n - 2))
    return (np.trace(a @ b) + totals - 2 * (one @ a @ b @ one) / (n - 2)) / (n * (n - 3))


def hsic_biased(a, b):
    h = np.eye(len(a)) - 1 / len(a)
    return np.trace(a @ h @ b @ h)


def cka(a, b, unbiased):
    hsic = hsic_unbiased if unbiased else hsic_biased
    return hsic(a, b) / np.sqrt(hsic(a, a) * hsic(b, b))


def nearest(x, k, itself=False):
    found = []
    for i, row in enumerate(x):
        order = sorted((j for j in range(len(x)) if itself or j != i), key=lambda j: (-(x[j] @ row), j))
        found.append(order[:k])
    return found


def mutual_knn(x, y, k):
    return np.mean([len(set(a) & set(b)) / k for a, b in zip(nearest(x, k), nearest(y, k), strict=True)])


def cycle_knn(x, y, k):
    near_x, near_y = nearest(x, k), nearest(y, k)
    return np.mean([any(i in near_x[j] for j in near_y[i]) for i in range(len(x))])


def cknna(x, y, k, unbiased):
    hsic = hsic_unbiased if unbiased else hsic_biased

    def masked(a, b):
        mask = np.zeros((2, len(a), len(a)))
        for m, side in enumerate((a, b)):
            for i, row in enumerate(nearest(side, k, itself=not unbiased)):
                mask[m, i, row] = 1
        mask = mask[0] * mask[1]
        return hsic(mask * (a @ a.T), mask * (b @ b.T))

    return masked(x, y) / np.sqrt(masked(x, x) * masked(y, y))


def related(seed=0, n=40, d=9, e=9, noise=1.0):
    """Two sides that share part of what they hold, as float32, off centre."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) * rng.uniform(0.3, 2, d) + 0.5
    y = x @ rng.normal(size=(d, e)) + noise * rng.normal(size=(n, e)) - 0.3
    return x.astype(np.float32), y.astype(np.float32)


def rotation(seed, d):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0].astype(np.float32)
