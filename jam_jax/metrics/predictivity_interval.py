"""How sure linear predictivity is: a bootstrap over the held-out items, with the fitted maps as they are."""

from collections.abc import Sequence

import numpy as np
import scipy.special
from numpy.typing import ArrayLike

from jam_jax.errors import JamError
from jam_jax.metrics.predictivity import ALPHAS, held_out, pearson


def predictivity_bootstrap(
    xs: Sequence[ArrayLike],
    ys: Sequence[ArrayLike],
    samples: int = 200,
    seed: int = 0,
    level: float = 0.95,
    alphas: Sequence[float] = ALPHAS,
    folds: int = 5,
    fold_seed: int = 42,
) -> tuple[np.ndarray, np.ndarray]:
    """Intervals (low, high), float64 [Lx, Ly] each, for the linear predictivity of every pair of layers.

    Held-out items are drawn with replacement within each fold, which is sound here: r has neither neighbours nor kernel
    entries that a duplicate could inflate, and no item is held out and trained on at once. The interval, score plus and
    minus the normal quantile times the deviation, is for these maps on new items of the population; what another
    training set would change is not in it. Items must be independent; with several pictures of one concept the
    interval is too narrow.

    Args:
      samples, seed, level: of the bootstrap. folds, fold_seed: as ``folds`` and ``seed`` of the score.

    Raises:
      JamError: as ``predictivity_grid``; fewer than 2 samples, or a level outside (0, 1).
    """
    draws = Draws(len(xs), len(ys), samples, seed, folds)
    for fold in held_out(xs, ys, alphas, folds, fold_seed):
        draws.add(*fold)
    return draws.interval(level)


class Draws:
    """Linear predictivity of Lx sources and Ly targets, and its resamplings, from the folds of ``held_out``.

    Every layer pair, and any two of as many items, draw the same items: differences of resamplings are those of a
    difference of scores. Attributes score_LxK, and drawn_BxLxK for B samples. Raises JamError for fewer than 2 samples.
    """

    def __init__(self, sources: int, targets: int, samples: int = 200, seed: int = 0, folds: int = 5):
        if samples < 2:
            raise JamError(f"predictivity_bootstrap: {samples} samples; expected 2 or more")
        self.score_LxK, self.drawn_BxLxK = np.zeros((sources, targets)), np.zeros((samples, sources, targets))
        self._seed, self._folds = seed, folds
        self._generators: dict[tuple[int, int], np.random.Generator] = {}

    def add(self, i: int, j: int, prediction_SxE: np.ndarray, y_SxE: np.ndarray) -> None:
        """One fold of source i and target j."""
        items = len(y_SxE)
        generator = self._generators.setdefault((i, j), np.random.default_rng(self._seed))
        weights_BxS = generator.multinomial(items, np.full(items, 1 / items), size=len(self.drawn_BxLxK)) / items
        self.score_LxK[i, j] += pearson(prediction_SxE, y_SxE).mean() / self._folds
        self.drawn_BxLxK[:, i, j] += _weighted(weights_BxS, prediction_SxE, y_SxE).mean(1) / self._folds

    def interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """(low, high) as ``predictivity_bootstrap``; raises JamError for a level outside (0, 1)."""
        if not 0 < level < 1:
            raise JamError(f"predictivity_bootstrap: level is {level}; expected 0 < level < 1")
        margin_LxK = scipy.special.ndtri(0.5 + level / 2) * self.drawn_BxLxK.std(0, ddof=1)
        return self.score_LxK - margin_LxK, self.score_LxK + margin_LxK


def _weighted(weights_BxS: np.ndarray, a_SxE: np.ndarray, b_SxE: np.ndarray) -> np.ndarray:
    """Pearson r of each column under each row of weights that sum to 1, [B, E]; 0 where either is constant."""
    # Columns of mean 0 and deviation 1 make the one-pass moments below safe from cancellation.
    a_SxE, b_SxE = _unit(a_SxE), _unit(b_SxE)
    mean_a, mean_b = weights_BxS @ a_SxE, weights_BxS @ b_SxE
    variance_a, variance_b = weights_BxS @ a_SxE**2 - mean_a**2, weights_BxS @ b_SxE**2 - mean_b**2
    product = weights_BxS @ (a_SxE * b_SxE) - mean_a * mean_b
    varies = np.minimum(variance_a, variance_b) > 1e-12
    return np.divide(product, np.sqrt(np.where(varies, variance_a * variance_b, 1)), where=varies, out=0 * product)


def _unit(x_SxE: np.ndarray) -> np.ndarray:
    centred_SxE, deviation_E = x_SxE - x_SxE.mean(0), x_SxE.std(0)
    return centred_SxE / np.where(deviation_E > 0, deviation_E, 1)


__all__ = ["Draws", "predictivity_bootstrap"]
