"""Linear predictivity against N - 1 permutations of the pairing for the price of some twenty fits.

The permutations are the cyclic shifts of the targets along a random order of the items: a group that holds the pairing
as it is, so p is exact among them (Hemerik and Goeman 2018). Folds, features and decompositions stay; for every shift
and fold the penalty is chosen anew and all dimensions are scored, as ``predictivity_permutation`` does by refitting.

With the penalty given, everything in the score is a quadratic form of the targets. Let M [S, T] be the map from the
training to the held-out items, C the centring of the latter, and y one target dimension in the shifted order. Then

    r = y' A y / sqrt(y' B y * y' C y),   A = C M from held-out rows to training columns,   B = (C M)' (C M),

and the leave-one-out error of penalty a, summed over dimensions, is <E_a, Y Y'> with E_a = (R_a / open)' (R_a / open),
R_a the matrix of residuals and open = 1 - leverage. A shift moves the entries of y y' along its diagonals and leaves
the forms where they are, so along each diagonal all shifts together are a circular correlation, and a Fourier transform
gives them at once: N^2 log N operations a dimension, where refitting takes N^3. Float32, on the device; the forms are
made on the host from the float64 decompositions.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jam_jax.metrics import significance
from jam_jax.metrics.predictivity import ALPHAS, Ridge, checked, fit, k_folds, pearson, split_target
from jam_jax.metrics.similarity import diagonal_spectra, vector_spectra

MEMORY = 1 << 31
MOST = 5000  # items
# Below this share of its usual size a variance is rounding: its dimension is constant and counts as r = 0.
_CONSTANT = 1e-5
_PENALTIES = 5  # that the shifts of one fold choose among, as a rule; decides only how many sources are done together


def predictivity_shifts(
    xs: Sequence[ArrayLike],
    ys: Sequence[ArrayLike],
    permutations: int = 1000,
    seed: int = 0,
    alphas: Sequence[float] = ALPHAS,
    folds: int = 5,
    fold_seed: int = 42,
    *,
    watch: Callable[[int, int, np.ndarray, np.ndarray], None] | None = None,
    memory: int = MEMORY,
    quantile: float = 0.95,
) -> significance.Null:
    """``predictivity_grid`` against cyclic shifts: fields [Lx, Ly], draws [P, Lx, Ly].

    P is N - 1, or a multiple of it where that is fewer than asked for: as many random orders are shifted as it takes.
    Memory is O(N^2) for each of the few dozen forms of a source layer; beyond ``MOST`` items
    ``predictivity_permutation`` is the way.

    Args:
      permutations, seed: how many at least, and of the orders. folds, fold_seed: ``folds`` and ``seed`` of the score.
      watch: is given what ``held_out`` yields for each fold, so that an interval needs no fits of its own.
      memory: bytes for the forms of the sources that are done together, and for the targets beside them.

    Raises:
      JamError: as ``predictivity_grid``; fewer than one permutation.
    """
    sources, targets, alphas_A = checked("predictivity_shifts", xs, ys, alphas)
    items = len(sources[0])
    folds_of = k_folds(items, folds, fold_seed)
    order_OxN = significance.orders(min(permutations, -(-permutations // (items - 1))), items, seed)
    place_OxN = np.argsort(order_OxN, axis=1)
    together = max(1, memory // (2 * folds * 2 * _PENALTIES * 2 * items**2))  # a form has N^2 / 2 numbers; copied once
    score_LxK = np.zeros((len(sources), len(targets)))
    draws_OxNxLxK = np.zeros((len(order_OxN), items, *score_LxK.shape))
    shifted = [[_Target.of(y_NxE[order_N]) for y_NxE in targets] for order_N in order_OxN]
    for group in range(0, len(sources), together):
        forms: list[list[_Form]] = [[] for _ in order_OxN]
        for train, test in folds_of:
            parts = [split_target(y_NxE, train, test) for y_NxE in targets]
            for i, x_NxD in enumerate(sources[group : group + together], start=group):
                ridge = fit(x_NxD[train], x_NxD[test], alphas_A)
                for j, (y_TxE, y_SxE) in enumerate(parts):
                    prediction_SxE = ridge.predict(y_TxE)
                    score_LxK[i, j] += pearson(prediction_SxE, y_SxE).mean() / folds
                    if watch is not None:
                        watch(i, j, prediction_SxE, y_SxE)
                for place_N, there, found in zip(place_OxN, shifted, forms, strict=True):
                    found.extend(_forms(ridge, i, place_N[train], place_N[test], there))
        for o, there in enumerate(shifted):
            for j, target in enumerate(there):
                for form, r_N in _correlations(forms[o], j, target, memory):
                    draws_OxNxLxK[o, :, form.source, j] += r_N / folds
    draws_PxLxK = draws_OxNxLxK[:, 1:].reshape(-1, *score_LxK.shape)  # shift 0 is the score itself
    return significance.against(score_LxK, draws_PxLxK, quantile=quantile)


class _Target(NamedTuple):
    """One target layer in shifted order: dimensions [E, N] of mean 0 and deviation 1, and the spectra of Y Y'."""

    unit_ExN: np.ndarray
    gram: jax.Array

    @classmethod
    def of(cls, y_NxE: np.ndarray) -> "_Target":
        y_NxE = y_NxE - y_NxE.mean(0)
        deviation_E, norm = y_NxE.std(0), np.linalg.norm(y_NxE)
        unit_ExN = (y_NxE / np.where(deviation_E > 0, deviation_E, 1)).T
        y_NxE = y_NxE / (norm if norm > 0 else 1)
        return cls(unit_ExN.astype(np.float32), _spectra(jnp.asarray(y_NxE @ y_NxE.T, jnp.float32)))


class _Form(NamedTuple):
    """The forms of one source, fold and penalty, and where they count.

    source: index of the layer. spectra_FxOx4: those of A and B for a map M of unit norm, real parts and imaginary ones.
    held_N: 1 at the places of held-out items. chosen_KxN: the shifts of each target that choose this penalty.
    """

    source: int
    spectra_FxOx4: jax.Array
    held_N: np.ndarray
    chosen_KxN: np.ndarray


def _forms(
    ridge: Ridge, source: int, train_T: np.ndarray, test_S: np.ndarray, targets: Sequence[_Target]
) -> Iterator[_Form]:
    """Forms of every penalty that any shift of any target chooses; items stand at the given places."""
    items = len(train_T) + len(test_S)
    grams_KxOxF = jnp.stack([target.gram for target in targets])
    errors_AxKxN = np.stack([_shifted(form_NxN, grams_KxOxF) for form_NxN in _error_forms(ridge, train_T, items)])
    choice_KxN = errors_AxKxN.argmin(0)
    held_N = np.zeros(items, np.float32)
    held_N[test_S] = 1
    for penalty in np.unique(choice_KxN):
        map_SxT = ridge.map_to_test(penalty)
        map_SxT = (map_SxT - map_SxT.mean(0)).astype(np.float32)
        map_SxT /= max(float(np.linalg.norm(map_SxT)), np.finfo(np.float32).tiny)
        numerator_NxN, prediction_NxN = np.zeros((2, items, items), np.float32)
        numerator_NxN[np.ix_(test_S, train_T)] = map_SxT / 2
        numerator_NxN[np.ix_(train_T, test_S)] = map_SxT.T / 2
        prediction_NxN[np.ix_(train_T, train_T)] = map_SxT.T @ map_SxT
        yield _Form(source, _form_spectra(numerator_NxN, prediction_NxN), held_N, choice_KxN == penalty)


def _error_forms(ridge: Ridge, train_T: np.ndarray, items: int) -> Iterator[np.ndarray]:
    """E_a [N, N] of each penalty, zero outside the training items."""
    left_TxR = ridge.left_TxR
    spare_TxT = np.eye(len(train_T)) - 1 / len(train_T) - left_TxR @ left_TxR.T
    if left_TxR.shape[1] == len(train_T) - 1:
        spare_TxT[:] = 0
    rows = np.ix_(train_T, train_T)
    single_RxT = left_TxR.T.astype(np.float32)
    for kept_R, open_T in zip(ridge.kept_AxR, ridge.open_AxT, strict=True):
        # Divided before the product: near interpolation residual and 1 - leverage are both tiny, their ratio not.
        loo_TxT = (left_TxR * kept_R / open_T[:, None]).astype(np.float32) @ single_RxT
        loo_TxT += (spare_TxT / open_T[:, None]).astype(np.float32)
        form_NxN = np.zeros((items, items), np.float32)
        form_NxN[rows] = loo_TxT.T @ loo_TxT
        yield form_NxN


def _correlations(forms: Sequence[_Form], j: int, target: _Target, memory: int) -> Iterator[tuple[_Form, np.ndarray]]:
    """For each form that target j needs the mean r over dimensions [N] at the shifts that chose it, 0 elsewhere."""
    forms = [form for form in forms if form.chosen_KxN[j].any()]
    forms_FxOxQx4 = jnp.stack([form.spectra_FxOx4 for form in forms], axis=2)
    held_QxN = jnp.asarray(np.stack([form.held_N for form in forms]))
    frequencies, diagonals = forms_FxOxQx4.shape[:2]
    block = int(np.clip(memory // (16 * 8 * frequencies * diagonals), 1, len(target.unit_ExN)))
    total_QxN = np.zeros((len(forms), target.unit_ExN.shape[1]))
    for start in range(0, len(target.unit_ExN), block):
        y_ExN = target.unit_ExN[start : start + block]
        y_ExN = np.pad(y_ExN, ((0, block - len(y_ExN)), (0, 0)))  # constant dimensions count 0
        total_QxN += np.asarray(_sum_of_r(forms_FxOxQx4, held_QxN, jnp.asarray(y_ExN)))
    for form, total_N in zip(forms, total_QxN, strict=True):
        yield form, np.where(form.chosen_KxN[j], total_N / len(target.unit_ExN), 0)


_spectra = jax.jit(diagonal_spectra)


@jax.jit
def _shifted(form_NxN: jax.Array, grams_KxOxF: jax.Array) -> jax.Array:
    """Inner products of a form with K Gram matrices under all shifts, [K, N]."""
    spectrum_KxF = jnp.einsum("of,kof->kf", jnp.conj(diagonal_spectra(form_NxN)), grams_KxOxF, precision="highest")
    return jnp.fft.irfft(spectrum_KxF, len(form_NxN))


@jax.jit
def _form_spectra(numerator_NxN: jax.Array, prediction_NxN: jax.Array) -> jax.Array:
    """Spectra of both forms, frequencies first: [F, O, 4], A and B, real parts before imaginary ones."""
    a_OxF, b_OxF = diagonal_spectra(numerator_NxN), diagonal_spectra(prediction_NxN)
    return jnp.stack([a_OxF.real.T, b_OxF.real.T, a_OxF.imag.T, b_OxF.imag.T], axis=2)


@jax.jit
def _sum_of_r(forms_FxOxQx4: jax.Array, held_QxN: jax.Array, y_ExN: jax.Array) -> jax.Array:
    """Sum over dimensions of the held-out r of each form at each shift, [Q, N]."""
    count, n = y_ExN.shape
    frequencies, diagonals, forms, _ = forms_FxOxQx4.shape
    spectra_ExOxF = vector_spectra(y_ExN)
    parts_FxRxO = jnp.concatenate([spectra_ExOxF.real, spectra_ExOxF.imag]).transpose(2, 0, 1)
    # One real product for all four of a complex one: rows are both parts of the targets, columns both of the forms.
    products = jnp.matmul(parts_FxRxO, forms_FxOxQx4.reshape(frequencies, diagonals, -1), precision="highest")
    products = products.reshape(frequencies, 2, count, forms, 2, 2)
    spectrum_FxExQx2 = jax.lax.complex(
        products[:, 0, :, :, 0] + products[:, 1, :, :, 1], products[:, 1, :, :, 0] - products[:, 0, :, :, 1]
    )
    values = jnp.fft.irfft(spectrum_FxExQx2.transpose(1, 2, 3, 0), n)
    numerator_ExQxN, prediction_ExQxN = values[:, :, 0], values[:, :, 1]
    held_QxF, squares_ExF, values_ExF = jnp.fft.rfft(held_QxN), jnp.fft.rfft(y_ExN**2), jnp.fft.rfft(y_ExN)
    sums_ExQxN = jnp.fft.irfft(jnp.conj(held_QxF) * values_ExF[:, None], n)
    size_Q = held_QxN.sum(1)[:, None]
    spread_ExQxN = jnp.fft.irfft(jnp.conj(held_QxF) * squares_ExF[:, None], n) - sums_ExQxN**2 / size_Q
    # y has deviation 1 and M norm 1, so a usual prediction has sum of squares 1 and usual targets size_Q.
    varies = (prediction_ExQxN > _CONSTANT) & (spread_ExQxN > _CONSTANT * size_Q)
    scale = jnp.sqrt(jnp.where(varies, prediction_ExQxN * spread_ExQxN, 1.0))
    return jnp.where(varies, numerator_ExQxN / scale, 0.0).sum(0)


__all__ = ["MOST", "predictivity_shifts"]
