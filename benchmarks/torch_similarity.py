"""Mutual kNN, CKA and CKNNA in PyTorch, one pair of layers at a time as published; started by benchmarks/similarity.py.

Written from the definitions of "The Platonic Representation Hypothesis" with dense masks and Gram matrices, as its
public code computes them; the 1e-6 that it adds to denominators is left out on both sides.
"""

import argparse

import torch

from benchmarks.similarity import K, layers, serve_scores


def nearest(gram_NxN: torch.Tensor) -> torch.Tensor:
    """Mask [N, N] of the K largest entries of each row, the diagonal left out."""
    hollow_NxN = gram_NxN.clone().fill_diagonal_(-torch.inf)
    return torch.zeros_like(gram_NxN).scatter_(1, hollow_NxN.topk(K, dim=1).indices, 1.0)


def hsic(k_NxN: torch.Tensor, l_NxN: torch.Tensor) -> torch.Tensor:
    """The unbiased estimate of Song et al. 2012."""
    n = len(k_NxN)
    k_NxN, l_NxN = k_NxN.clone().fill_diagonal_(0), l_NxN.clone().fill_diagonal_(0)
    products = (k_NxN * l_NxN.T).sum() - 2 * (k_NxN @ l_NxN).sum() / (n - 2)
    return (products + k_NxN.sum() * l_NxN.sum() / ((n - 1) * (n - 2))) / (n * (n - 3))


def mutual_knn(x: torch.Tensor, y: torch.Tensor) -> float:
    """Mean share of common neighbours."""
    return float((nearest(x @ x.T) * nearest(y @ y.T)).sum() / (len(x) * K))


def cka(x: torch.Tensor, y: torch.Tensor) -> float:
    """Unbiased linear CKA."""
    k_NxN, l_NxN = x @ x.T, y @ y.T
    return float(hsic(k_NxN, l_NxN) / (hsic(k_NxN, k_NxN) * hsic(l_NxN, l_NxN)).sqrt())


def cknna(x: torch.Tensor, y: torch.Tensor) -> float:
    """CKA of what is a neighbour on both sides."""
    k_NxN, l_NxN = x @ x.T, y @ y.T

    def masked(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        mask = nearest(a) * nearest(b)
        return hsic(mask * a, mask * b)

    return float(masked(k_NxN, l_NxN) / (masked(k_NxN, k_NxN) * masked(l_NxN, l_NxN)).sqrt())


def main() -> None:
    """Serves timings of all layer pairs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--layers", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    vision, language = ([torch.from_numpy(x) for x in side] for side in layers(arguments.layers))

    def over_pairs(metric):
        return lambda: [[metric(x, y) for y in language] for x in vision]

    metrics = {"mutual_knn": mutual_knn, "cka": cka, "cknna": cknna}
    serve_scores({name: over_pairs(metric) for name, metric in metrics.items()}, version=torch.__version__)


if __name__ == "__main__":
    with torch.inference_mode():
        main()
