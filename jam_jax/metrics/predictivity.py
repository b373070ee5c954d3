"""Linear predictivity: how well a linear map predicts one model's activations from the other's (He et al. 2025).

The protocol of "Seeing Through Words, Speaking Through Pixels" (arXiv 2509.20751): scikit-learn's shuffled KFold;
features z-scored with the statistics of the training fold; ridge regression with an intercept and one penalty per fold
and target layer, the one of least leave-one-out error summed over target dimensions (RidgeCV's choice); Pearson r of
each target dimension on the held-out fold; mean over dimensions, then over folds. Targets are centred but not z-scored:
r does not care, the choice of the penalty does, and it listens to the dimensions of large variance. z-score them
beforehand to weigh all alike.

One eigendecomposition per source layer and fold serves all penalties and all target layers. With U the left singular
vectors of the centred features, A = diag(alpha / (s^2 + alpha)) and P the projection on what U leaves over, the
leave-one-out residuals are (P Y + U A U'Y) / (1 - leverage). Their sum of squares needs only |P Y|^2, (P Y)(U'Y)' and
(U'Y)(U'Y)', which no penalty changes, so a further penalty costs R^2 and no product with the targets. The errors are
first summed in float32; where its rounding could change which penalty is least, and only there, float64 decides.
Everything else is float64 on the host: penalties of 1e-8 need it, and accelerators lack it or are slow at it.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from jam_jax.errors import JamError

ALPHAS = tuple(float(alpha) for alpha in np.logspace(-8, 8, 17))
# Rounding of float32 sums of squares, as a share of what is summed: ten times the largest seen.
_DOUBT = 2e-6


@dataclass(frozen=True)
class Ridge:
    """Ridge regressions from one source on one training fold at A penalties, done up to the targets (float64).

    left_TxR: left singular vectors of the z-scored features, orthonormal and orthogonal to the intercept. test_SxR: the
    held-out features on the right singular vectors. kept_AxR: the share of a direction that a penalty leaves as
    residual, alpha / (s^2 + alpha). gains_AxR: what turns U'y into coefficients, s / (s^2 + alpha). open_AxT:
    1 - leverage of each training item. maps: those to the held-out items that were asked for, by penalty.
    """

    left_TxR: np.ndarray
    test_SxR: np.ndarray
    kept_AxR: np.ndarray
    gains_AxR: np.ndarray
    open_AxT: np.ndarray
    maps: dict[int, np.ndarray] = field(default_factory=dict)

    @functools.cached_property
    def single(self) -> "LeaveOneOut":
        """Leave-one-out errors in float32."""
        return self._leave_one_out(np.float32)

    @functools.cached_property
    def double(self) -> "LeaveOneOut":
        """Leave-one-out errors in float64."""
        return self._leave_one_out(np.float64)

    def predict(self, y_TxE: np.ndarray) -> np.ndarray:
        """Predictions [S, E] for the held-out items from centred targets, at the penalty that these choose."""
        return self.map_to_test(self.choose(y_TxE)) @ y_TxE

    def choose(self, y_TxE: np.ndarray) -> int:
        """Index of the penalty of least leave-one-out error for centred targets."""
        errors_A, size_A = self.single.errors(y_TxE.astype(np.float32))
        doubt_A = _DOUBT * (size_A + errors_A)
        if np.count_nonzero(errors_A - doubt_A <= (errors_A + doubt_A).min()) > 1:
            errors_A, _ = self.double.errors(y_TxE)
        return int(np.argmin(errors_A))

    def map_to_test(self, choice: int) -> np.ndarray:
        """The matrix [S, T] from centred targets of the training items to predictions for the held-out ones."""
        if choice not in self.maps:
            self.maps[choice] = (self.test_SxR * self.gains_AxR[choice]) @ self.left_TxR.T
        return self.maps[choice]

    def _leave_one_out(self, dtype: type) -> "LeaveOneOut":
        rank = self.left_TxR.shape[1]
        moments_AxRxR: np.ndarray = np.empty((len(self.kept_AxR), rank, rank), dtype)
        for kept_R, open_T, moment_RxR in zip(self.kept_AxR, self.open_AxT, moments_AxRxR, strict=True):
            # Scaled before it is squared: near interpolation residual and 1 - leverage are both tiny, their ratio not.
            loo_TxR = (self.left_TxR * kept_R / open_T[:, None]).astype(dtype)
            np.matmul(loo_TxR.T, loo_TxR, out=moment_RxR)
        return LeaveOneOut(
            self.left_TxR.astype(dtype), self.kept_AxR.astype(dtype), (self.open_AxT**-2.0).astype(dtype), moments_AxRxR
        )


@dataclass(frozen=True)
class LeaveOneOut:
    """What the leave-one-out errors of all penalties need from the source, in one dtype.

    left_TxR, kept_AxR as in ``Ridge``; weights_AxT: 1 / (1 - leverage)^2; moments_AxRxR: the Gram matrices of
    U A / (1 - leverage).
    """

    left_TxR: np.ndarray
    kept_AxR: np.ndarray
    weights_AxT: np.ndarray
    moments_AxRxR: np.ndarray

    def errors(self, y_TxE: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Squared errors summed over items and dimensions, [A]; and the same of a prediction that is always 0."""
        scores_RxE = self.left_TxR.T @ y_TxE
        spare_TxE = y_TxE - self.left_TxR @ scores_RxE
        cross_TxR = (spare_TxE @ scores_RxE.T) * self.left_TxR
        errors_A = self.weights_AxT @ np.einsum("te,te->t", spare_TxE, spare_TxE)
        errors_A += 2 * ((self.weights_AxT @ cross_TxR) * self.kept_AxR).sum(1)
        errors_A += self.moments_AxRxR.reshape(len(errors_A), -1) @ (scores_RxE @ scores_RxE.T).ravel()
        return errors_A, self.weights_AxT @ np.einsum("te,te->t", y_TxE, y_TxE)


def linear_predictivity(
    x_NxD: ArrayLike, y_NxE: ArrayLike, alphas: Sequence[float] = ALPHAS, folds: int = 5, seed: int = 42
) -> float:
    """Mean Pearson r of held-out target dimensions predicted linearly from x; the protocol is the module's.

    A dimension of y that is constant on the training or the held-out part of a fold counts as r = 0 there, and so does
    one whose prediction is constant. Constant dimensions of x change nothing; N < D is fine; duplicate rows are
    ordinary rows, so they leak between folds.

    Args:
      x_NxD, y_NxE: source and target activations of the same N items, N >= 2 * folds.
      alphas: ridge penalties, positive. folds, seed: of scikit-learn's KFold(folds, shuffle=True, random_state=seed).

    Raises:
      JamError: shapes that do not belong together, too few items, values that are not finite, a penalty <= 0.
    """
    return float(predictivity_grid([x_NxD], [y_NxE], alphas, folds, seed)[0, 0])


def predictivity_grid(
    xs: Sequence[ArrayLike],
    ys: Sequence[ArrayLike],
    alphas: Sequence[float] = ALPHAS,
    folds: int = 5,
    seed: int = 42,
) -> np.ndarray:
    """Linear predictivity from every layer in xs to every layer in ys, float64 [Lx, Ly].

    The other direction is ``predictivity_grid(ys, xs, ...).T``: the sources differ, so nothing could be shared. As
    ``linear_predictivity`` for each pair, at a fraction of the cost.

    Args:
      xs, ys: Lx arrays [N, D_i] and Ly arrays [N, E_j] of the same N items.
    """
    total_LxK = np.zeros((len(xs), len(ys)))
    for i, j, prediction_SxE, y_SxE in held_out(xs, ys, alphas, folds, seed):
        total_LxK[i, j] += pearson(prediction_SxE, y_SxE).mean()
    return total_LxK / folds


def held_out(
    xs: Sequence[ArrayLike],
    ys: Sequence[ArrayLike],
    alphas: Sequence[float] = ALPHAS,
    folds: int = 5,
    seed: int = 42,
) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
    """For each fold and layer pair: indices of source and target, predictions and targets of the fold's items [S, E].

    Predictions lack the intercept; a dimension that is constant in either part of the fold is 0 in both arrays.
    """
    sources, targets, alphas_A = checked("linear_predictivity", xs, ys, alphas)
    for train, test in k_folds(len(sources[0]), folds, seed):
        parts = [split_target(y_NxE, train, test) for y_NxE in targets]
        for i, x_NxD in enumerate(sources):
            ridge = fit(x_NxD[train], x_NxD[test], alphas_A)
            for j, (y_TxE, y_SxE) in enumerate(parts):
                yield i, j, ridge.predict(y_TxE), y_SxE


def fit_predict(
    x_train: ArrayLike, y_train: ArrayLike, x_test: ArrayLike, alphas: Sequence[float] = ALPHAS
) -> np.ndarray:
    """Predictions float64 [S, E] for other items of the ridge regression fitted on [T, D] and [T, E].

    The features are z-scored with the statistics of x_train, and the penalty is RidgeCV's, as in the module's protocol.
    """
    (x_TxD,), (y_TxE,), alphas_A = checked("fit_predict", [x_train], [y_train], alphas)
    x_SxD = np.asarray(x_test, np.float64)
    if x_SxD.ndim != 2 or x_SxD.shape[1] != x_TxD.shape[1] or not np.isfinite(x_SxD).all():
        raise JamError(f"fit_predict: x_test has shape {x_SxD.shape}; expected finite [S, {x_TxD.shape[1]}]")
    if len(x_TxD) < 2:
        raise JamError("fit_predict: there is one training item; at least 2 are needed")
    mean_E = y_TxE.mean(0)
    return fit(x_TxD, x_SxD, alphas_A).predict(y_TxE - mean_E) + mean_E


def fit(x_TxD: np.ndarray, x_SxD: np.ndarray, alphas_A: np.ndarray) -> Ridge:
    """Everything about ridge regression from these features (float64) that no target changes."""
    x_TxD, x_SxD = _z_scored(x_TxD, x_SxD)
    items, width = x_TxD.shape
    wide = items <= width
    squares, vectors = np.linalg.eigh(x_TxD @ x_TxD.T if wide else x_TxD.T @ x_TxD)
    # Below this an eigenvalue of the Gram matrix is rounding; and T centred rows span T - 1 directions at most.
    kept = np.flatnonzero(squares > max(items, width) * np.finfo(np.float64).eps * squares[-1])[-(items - 1) :]
    squares_R, vectors = squares[kept], vectors[:, kept]
    singular_R = np.sqrt(squares_R)
    left_TxR = vectors if wide else x_TxD @ (vectors / singular_R)
    test_SxR = (x_SxD @ x_TxD.T) @ (vectors / singular_R) if wide else x_SxD @ vectors

    left_squared_TxR = left_TxR**2
    full = len(kept) == items - 1
    spare_T = np.zeros(items) if full else np.maximum(1 - 1 / items - left_squared_TxR.sum(1), 0)
    kept_AxR = alphas_A[:, None] / (squares_R + alphas_A[:, None])
    open_AxT = np.maximum(spare_T + kept_AxR @ left_squared_TxR.T, np.finfo(np.float64).tiny ** 0.25)
    gains_AxR = singular_R / (squares_R + alphas_A[:, None])
    return Ridge(left_TxR, test_SxR, kept_AxR, gains_AxR, open_AxT)


def k_folds(items: int, folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Sorted training and held-out rows of each fold, those of scikit-learn's KFold(folds, shuffle=True, seed)."""
    if folds < 2 or items < 2 * folds:
        raise JamError(
            f"linear_predictivity: {items} items in {folds} folds; expected folds >= 2 and two items in each, "
            f"N >= {2 * max(folds, 2)}"
        )
    order_N = np.arange(items)
    np.random.RandomState(seed).shuffle(order_N)
    parts = []
    for held in np.array_split(order_N, folds):
        mask_N = np.zeros(items, bool)
        mask_N[held] = True
        parts.append((np.flatnonzero(~mask_N), np.flatnonzero(mask_N)))
    return parts


def split_target(y_NxE: np.ndarray, train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Targets of the training rows, centred, and of the held-out rows; a dimension constant in either is 0 in both."""
    y_TxE, y_SxE = y_NxE[train], y_NxE[test]
    varies_E = (y_TxE != y_TxE[:1]).any(0) & (y_SxE != y_SxE[:1]).any(0)
    return (y_TxE - y_TxE.mean(0)) * varies_E, y_SxE * varies_E


def pearson(prediction_SxE: np.ndarray, y_SxE: np.ndarray) -> np.ndarray:
    """Pearson r of each column, [E]; 0 where either is constant."""
    prediction_SxE, y_SxE = prediction_SxE - prediction_SxE.mean(0), y_SxE - y_SxE.mean(0)
    scale_E = np.linalg.norm(prediction_SxE, axis=0) * np.linalg.norm(y_SxE, axis=0)
    product_E = np.einsum("se,se->e", prediction_SxE, y_SxE)
    return np.divide(product_E, scale_E, out=np.zeros_like(scale_E), where=scale_E > 0)


def checked(
    where: str, xs: Sequence[ArrayLike], ys: Sequence[ArrayLike], alphas: Sequence[float]
) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """Both sides and the penalties as float64, or a JamError that names the layer at fault."""
    alphas_A = np.asarray(alphas, np.float64)
    if alphas_A.ndim != 1 or not len(alphas_A) or not (np.isfinite(alphas_A) & (alphas_A > 0)).all():
        raise JamError(f"{where}: alphas are {list(alphas)}; expected at least one, all finite and above 0")
    sides = []
    for name, layers in (("x", xs), ("y", ys)):
        arrays = [np.asarray(layer, np.float64) for layer in layers]
        if not arrays:
            raise JamError(f"{where}: there is no layer of {name}; expected at least one")
        for i, array in enumerate(arrays):
            if array.ndim != 2 or 0 in array.shape:
                raise JamError(f"{where}: layer {i} of {name} has shape {array.shape}; expected [items, width]")
            if not np.isfinite(array).all():
                row = int(np.flatnonzero(~np.isfinite(array).all(1))[0])
                raise JamError(f"{where}: row {row} of layer {i} of {name} holds NaN or infinity; leave such items out")
        sides.append(arrays)
    counts = sorted({len(array) for arrays in sides for array in arrays})
    if len(counts) > 1:
        raise JamError(f"{where}: layers have {' and '.join(map(str, counts))} items; expected the same items in all")
    return sides[0], sides[1], alphas_A


def _z_scored(x_TxD: np.ndarray, x_SxD: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both parts with the training part's mean and deviation; dimensions constant there become 0."""
    varies_D = (x_TxD != x_TxD[:1]).any(0)
    mean_D, deviation_D = x_TxD.mean(0), x_TxD.std(0)
    scale_D = np.where(varies_D, 1 / np.where(deviation_D > 0, deviation_D, 1), 0)
    return (x_TxD - mean_D) * scale_D, (x_SxD - mean_D) * scale_D


__all__ = ["ALPHAS", "fit_predict", "linear_predictivity", "predictivity_grid"]
