"""Con, NegCon and Spread without any N x N array: the values and gradients of ``contrastive`` in O(N) memory.

Log-sum-exps run over blocks of the batch and every block is computed again for the gradient (``blocks``), which costs a
third more arithmetic than the dense way and saves its memory traffic. What the dense functions are told by bool arrays
[N, N] and [N, N, K] is told here by numbers of the rows:

- ``group`` int [N], 0 or more: captions of rows of one group are not each other's negatives (dense ``same``: equality).
- ``item`` int [N] and ``negative_item`` int [N, K]: a negative whose item is that of row i belongs to image i and is
  left out of D_i (dense ``same_negatives``: equality); negative_item < 0 belongs to nobody.
- ``context`` int [N, k]: rows whose captions join C_i, all different; < 0 names nobody. ``group`` removes them as it
  does in the dense form, and a row's own number does not matter.
- ``block``: rows at a time; value and gradient do not depend on it.

All else is as at the top of ``contrastive``.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jam_jax.errors import JamError
from jam_jax.losses import blocks
from jam_jax.losses.blocks import BLOCK, Ids, Sums, Terms
from jam_jax.losses.latents import normalise, product

Scalar = jax.Array | float


def con(
    vision_NxH: jax.Array, language_NxH: jax.Array, *, scale: Scalar, group: jax.Array | None = None, block: int = BLOCK
) -> jax.Array:
    """``contrastive.con``; a scalar."""
    batch = _Batch.of("con", vision_NxH, language_NxH, None, scale, group=group, block=block)
    return ((batch.rows_N - batch.positive_N).mean() + batch.text_to_image()) / 2


def negcon(
    vision_NxH: jax.Array,
    language_NxH: jax.Array,
    negatives_NxKxH: jax.Array,
    *,
    scale: Scalar,
    mask: jax.Array | None = None,
    group: jax.Array | None = None,
    item: jax.Array | None = None,
    negative_item: jax.Array | None = None,
    block: int = BLOCK,
) -> jax.Array:
    """``contrastive.negcon``; a scalar."""
    batch = _Batch.of(
        "negcon", vision_NxH, language_NxH, negatives_NxKxH, scale, mask=mask, group=group, item=item,
        negative_item=negative_item, block=block,
    )  # fmt: skip
    return ((batch.all_N - batch.positive_N).mean() + batch.text_to_image()) / 2


def spread(
    vision_NxH: jax.Array,
    language_NxH: jax.Array,
    negatives_NxKxH: jax.Array,
    *,
    scale: Scalar,
    alpha: Scalar,
    mask: jax.Array | None = None,
    group: jax.Array | None = None,
    item: jax.Array | None = None,
    negative_item: jax.Array | None = None,
    context: jax.Array | None = None,
    block: int = BLOCK,
) -> jax.Array:
    """``contrastive.spread``; a scalar."""
    batch = _Batch.of(
        "spread", vision_NxH, language_NxH, negatives_NxKxH, scale, mask=mask, group=group, item=item,
        negative_item=negative_item, block=block,
    )  # fmt: skip
    log_context_N = batch.log_context(context)
    coarse, fine = (batch.all_N - log_context_N).mean(), (log_context_N - batch.positive_N).mean()
    return ((1 - alpha) * coarse + alpha * fine + batch.text_to_image()) / 2


class _Batch(NamedTuple):
    """Unit latents and the log-sum-exps that the objectives are made of.

    positive_N: P_ii. rows_N, columns_N: over the captions of an image, and over the images of a caption. all_N: over
    captions and negatives. own_NxK: Q of a row's own negatives, a number that sums to nothing where one does not count.
    """

    scaled_NxH: jax.Array
    language_NxH: jax.Array
    group_N: jax.Array
    positive_N: jax.Array
    rows_N: jax.Array
    columns_N: jax.Array
    all_N: jax.Array
    own_NxK: jax.Array

    @classmethod
    def of(
        cls,
        where: str,
        vision_NxH: jax.Array,
        language_NxH: jax.Array,
        negatives_NxKxH: jax.Array | None,
        scale: Scalar,
        *,
        block: int,
        mask: jax.Array | None = None,
        group: jax.Array | None = None,
        item: jax.Array | None = None,
        negative_item: jax.Array | None = None,
    ) -> "_Batch":
        _check(where, vision_NxH, language_NxH, negatives_NxKxH, mask, group, item, negative_item, block)
        n = len(vision_NxH)
        block = min(block, -(-n // 8) * 8)
        number_N = jnp.arange(n, dtype=jnp.int32)
        group_N = number_N if group is None else group.astype(jnp.int32)
        scaled_NxH, language_NxH = normalise(vision_NxH) * scale, normalise(language_NxH)
        positive_N = product("nh,nh->n", scaled_NxH, language_NxH)
        ids = Ids(group_N, number_N)
        rows_N, columns_N = log_sums(scaled_NxH, language_NxH, ids, ids, block)
        if negatives_NxKxH is None or not negatives_NxKxH.shape[1]:
            return cls(
                scaled_NxH, language_NxH, group_N, positive_N, rows_N, columns_N, rows_N, jnp.zeros((n, 0), jnp.float32)
            )
        k = negatives_NxKxH.shape[1]
        mask = jnp.ones((n, k), bool) if mask is None else mask
        # Zero what is masked before any product: 0 * NaN in a gradient would be NaN.
        negatives_NxKxH = normalise(jnp.where(mask[:, :, None], negatives_NxKxH, 0.0))
        # Owners are keys: what belongs to nobody, or when nobody asks, has a key that no row has.
        item_N = jnp.full(n, -1, jnp.int32) if item is None else item.astype(jnp.int32)
        owner_NxK = jnp.full((n, k), -2, jnp.int32)
        if negative_item is not None:
            owner_NxK = jnp.where(negative_item < 0, -2, negative_item).astype(jnp.int32)
        place_NxK = jnp.where(mask, n + jnp.arange(n * k, dtype=jnp.int32).reshape(n, k), -1)
        negatives = Ids(owner_NxK.reshape(-1), place_NxK.reshape(-1))
        beyond_N, _ = log_sums(scaled_NxH, negatives_NxKxH.reshape(n * k, -1), Ids(item_N, number_N), negatives, block)
        counts_NxK = mask & (owner_NxK != item_N[:, None])
        own_NxK = jnp.where(counts_NxK, product("nh,nkh->nk", scaled_NxH, negatives_NxKxH), blocks.NOTHING)
        all_N = jnp.logaddexp(rows_N, beyond_N)
        return cls(scaled_NxH, language_NxH, group_N, positive_N, rows_N, columns_N, all_N, own_NxK)

    def text_to_image(self) -> jax.Array:
        """CE(P^T, diag)."""
        return (self.columns_N - self.positive_N).mean()

    def log_context(self, context_NxC: jax.Array | None) -> jax.Array:
        """log sum_{c in C_i} exp(s v_i.c) for each image, [N]."""
        members = [self.positive_N[:, None], self.own_NxK]
        if context_NxC is not None:
            number_N = jnp.arange(len(self.group_N))
            counts_NxC = (context_NxC >= 0) & (self.group_N[context_NxC] != self.group_N[:, None])
            counts_NxC &= context_NxC != number_N[:, None]
            logits_NxC = product("nh,nch->nc", self.scaled_NxH, self.language_NxH[context_NxC])
            members.append(jnp.where(counts_NxC, logits_NxC, blocks.NOTHING))
        return jax.nn.logsumexp(jnp.concatenate(members, axis=1), axis=1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def log_sums(a_NxH: jax.Array, b_MxH: jax.Array, rows: Ids, columns: Ids, block: int) -> tuple[jax.Array, jax.Array]:
    """log sum_j exp S_ij [N] and log sum_i exp S_ij [M] with S = a b'; about -1e30 where nothing takes part."""
    return _log_sums(a_NxH, b_MxH, rows, columns, block)[0]


def _log_sums(
    a_NxH: jax.Array, b_MxH: jax.Array, rows: Ids, columns: Ids, block: int
) -> tuple[tuple[jax.Array, jax.Array], tuple]:
    n, m = len(a_NxH), len(b_MxH)
    a, b = blocks.padded((a_NxH, b_MxH), block)
    row_ids, column_ids = blocks.padded((rows, columns), block, fill=-1)
    row_sums, column_sums = blocks.accumulate(a, b, row_ids, column_ids, Sums.empty(len(a)), Sums.empty(len(b)), block)
    logs = row_sums.log()[:n], column_sums.log()[:m]
    return logs, (a_NxH, b_MxH, rows, columns, logs)


def _log_sums_backward(block: int, kept: tuple, weights: tuple[jax.Array, jax.Array]) -> tuple:
    a_NxH, b_MxH, rows, columns, logs = kept
    a, b = blocks.padded((a_NxH, b_MxH), block)
    row_ids, column_ids = blocks.padded((rows, columns), block, fill=-1)
    row_terms, column_terms = blocks.padded(tuple(map(Terms, logs, weights)), block)
    da, db = blocks.gradients(a, b, row_ids, column_ids, row_terms, column_terms, block)
    nothing = jax.tree.map(lambda leaf: np.zeros(leaf.shape, jax.dtypes.float0), (rows, columns))
    return da[: len(a_NxH)], db[: len(b_MxH)], *nothing


log_sums.defvjp(_log_sums, _log_sums_backward)


def _check(
    where: str,
    vision: jax.Array,
    language: jax.Array,
    negatives: jax.Array | None,
    mask: jax.Array | None,
    group: jax.Array | None,
    item: jax.Array | None,
    negative_item: jax.Array | None,
    block: int,
) -> None:
    where = f"streaming.{where}"
    if vision.ndim != 2 or not len(vision) or language.shape != vision.shape:
        raise JamError(f"{where}: vision is {vision.shape}, language {language.shape}; expected [N, H] of both, N >= 1")
    n, k = len(vision), 0
    if negatives is not None:
        if negatives.ndim != 3 or (negatives.shape[0], negatives.shape[2]) != vision.shape:
            raise JamError(f"{where}: negatives have shape {negatives.shape}; expected [N, K, H] = ({n}, K, ...)")
        k = negatives.shape[1]
    if (item is None) != (negative_item is None):
        raise JamError(f"{where}: item and negative_item belong together; give both or neither")
    for name, array, shape, kind in (
        ("mask", mask, (n, k), jnp.bool_), ("group", group, (n,), jnp.integer), ("item", item, (n,), jnp.integer),
        ("negative_item", negative_item, (n, k), jnp.integer),
    ):  # fmt: skip
        if array is not None and (array.shape != shape or not jnp.issubdtype(array.dtype, kind)):
            raise JamError(f"{where}: {name} is {array.dtype} of shape {array.shape}; expected {kind.__name__} {shape}")
    if block < 1:
        raise JamError(f"{where}: block is {block}; expected 1 or more rows")


__all__ = ["con", "log_sums", "negcon", "spread"]
