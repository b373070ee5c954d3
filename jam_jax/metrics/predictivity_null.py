"""Linear predictivity against permutations of the pairing: the whole protocol is run anew for each of them.

A permutation reorders the rows of the targets; folds, features and their eigendecompositions stay. What is left for a
permutation is the products of the targets with the eigenbasis, 6 T R E floating-point operations for each fold and
layer pair, T training items and R = min(T, D). They run in float32 on the device, and the penalty is chosen anew for
each permutation and fold, as for the score itself, which is float64. To keep the penalty, or the training rows, of the
true pairing would be cheaper and wrong: folds would look independent, and the null too narrow.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jam_jax.metrics import significance
from jam_jax.metrics.inputs import matmul
from jam_jax.metrics.predictivity import ALPHAS, Ridge, checked, fit, k_folds, pearson, split_target


def predictivity_permutation(
    xs: Sequence[ArrayLike],
    ys: Sequence[ArrayLike],
    permutations: int = 100,
    seed: int = 0,
    alphas: Sequence[float] = ALPHAS,
    folds: int = 5,
    fold_seed: int = 42,
    *,
    quantile: float = 0.95,
) -> significance.Null:
    """``predictivity_grid`` against its null: fields [Lx, Ly], draws [P, Lx, Ly]; p is exact for any number P.

    Each permutation of each layer pair is a full fit, no sample of dimensions or folds, so this costs far more than the
    nulls of other statistics: the default is 100 permutations, whose smallest p is 1 / 101. All layer pairs share the
    permutations.

    Args:
      permutations, seed: how many, and of their draw. folds, fold_seed: as ``folds`` and ``seed`` of the score.
    """
    sources, targets, alphas_A = checked("predictivity_permutation", xs, ys, alphas)
    items = len(sources[0])
    order_PxN = jnp.asarray(significance.orders(permutations, items, seed))
    # Without the mean, float32 spends its digits on what varies.
    centred = [jnp.asarray(y_NxE - y_NxE.mean(0), jnp.float32) for y_NxE in targets]
    score_LxK = np.zeros((len(sources), len(targets)))
    draws_PxLxK = np.zeros((permutations, *score_LxK.shape))
    for train, test in k_folds(items, folds, fold_seed):
        parts = [split_target(y_NxE, train, test) for y_NxE in targets]
        for i, x_NxD in enumerate(sources):
            ridge = fit(x_NxD[train], x_NxD[test], alphas_A)
            on_device = _on_device(ridge)
            for j, (y_TxE, y_SxE) in enumerate(parts):
                score_LxK[i, j] += pearson(ridge.predict(y_TxE), y_SxE).mean()
                draws_PxLxK[:, i, j] += _scores(on_device, centred[j], order_PxN[:, train], order_PxN[:, test])
    return significance.against(score_LxK / folds, draws_PxLxK / folds, quantile=quantile)


def _on_device(ridge: Ridge) -> tuple[jax.Array, ...]:
    """U, what is left over, gains with the test features, weights and moments in float32."""
    single = ridge.single
    arrays = (
        single.left_TxR, single.kept_AxR, single.weights_AxT, single.moments_AxRxR,
        ridge.test_SxR.astype(np.float32), ridge.gains_AxR.astype(np.float32),
    )  # fmt: skip
    return tuple(jnp.asarray(array) for array in arrays)


@jax.jit
def _scores(ridge: tuple[jax.Array, ...], y_NxE: jax.Array, train_PxT: jax.Array, test_PxS: jax.Array) -> jax.Array:
    """Mean held-out r, [P], with the targets' rows in the given orders."""
    left_TxR, kept_AxR, weights_AxT, moments_AxRxR, features_SxR, gains_AxR = ridge
    flat_AxRR = moments_AxRxR.reshape(len(kept_AxR), -1)

    def score(rows: tuple[jax.Array, jax.Array]) -> jax.Array:
        y_TxE, y_SxE = y_NxE[rows[0]], y_NxE[rows[1]]
        varies_E = (y_TxE != y_TxE[:1]).any(0) & (y_SxE != y_SxE[:1]).any(0)
        y_TxE = y_TxE - y_TxE.mean(0)
        scores_RxE = matmul(left_TxR.T, y_TxE * varies_E)
        spare_TxE = y_TxE * varies_E - matmul(left_TxR, scores_RxE)
        cross_TxR = matmul(spare_TxE, scores_RxE.T) * left_TxR
        errors_A = weights_AxT @ (spare_TxE**2).sum(1)
        errors_A += 2 * (matmul(weights_AxT, cross_TxR) * kept_AxR).sum(1)
        errors_A += matmul(flat_AxRR, matmul(scores_RxE, scores_RxE.T).reshape(-1))
        best = jnp.argmin(errors_A)
        prediction_SxE = matmul(features_SxR * gains_AxR[best], scores_RxE)
        prediction_SxE, y_SxE = prediction_SxE - prediction_SxE.mean(0), y_SxE - y_SxE.mean(0)
        scale_E = jnp.sqrt((prediction_SxE**2).sum(0)) * jnp.sqrt((y_SxE**2).sum(0))
        product_E = (prediction_SxE * y_SxE).sum(0)
        return jnp.where(varies_E & (scale_E > 0), product_E / jnp.where(scale_E > 0, scale_E, 1), 0.0).mean()

    return jax.lax.map(score, (train_PxT, test_PxS))


__all__ = ["predictivity_permutation"]
