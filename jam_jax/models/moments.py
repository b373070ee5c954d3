"""Mean, variance and covariance of rows that come block by block, in float64."""

import dataclasses
from collections.abc import Iterable

import numpy as np


@dataclasses.dataclass
class Moments:
    """Sums over the rows so far, about their mean.

    Attributes:
      rows: how many. mean: [D]. squares: sum of squared deviations [D]. products: [D, D], or None where not wanted.
    """

    rows: int
    mean: np.ndarray
    squares: np.ndarray
    products: np.ndarray | None

    @property
    def deviation(self) -> np.ndarray:
        """Standard deviation [D] (of the rows themselves: divided by their number)."""
        return np.sqrt(self.squares / self.rows)


def moments(blocks: Iterable[np.ndarray], width: int, *, products: bool) -> Moments:
    """Moments of all rows of blocks [n, D].

    Each block is centred by its own mean and joined by the pairwise update of Chan, Golub and LeVeque (1979), so that
    a massive dimension (mean 100, deviation 0.1) keeps its variance.
    """
    mean, squares = np.zeros(width), np.zeros(width)
    found = Moments(0, mean, squares, np.zeros((width, width)) if products else None)
    for block in blocks:
        rows, mean_D = len(block), block.mean(0, dtype=np.float64)
        centred_nxD = block - mean_D
        apart_D, total = mean_D - found.mean, found.rows + rows
        weight = found.rows * rows / total
        found.squares += (centred_nxD**2).sum(0) + weight * apart_D**2
        if found.products is not None:
            found.products += centred_nxD.T @ centred_nxD + weight * np.outer(apart_D, apart_D)
        found.mean = found.mean + apart_D * (rows / total)
        found.rows = total
    return found


__all__ = ["Moments", "moments"]
