"""The contrastive objectives of JAM: Con, NegCon and Spread (Yoon, Yue, Kim; arXiv 2507.01201).

With normalised latents v_i of image i, t_i of its caption and u_ik of the caption's hard negatives, and a scale s:
P_ij = s v_i.t_j, Q_ijk = s v_i.u_jk, D_i = sum_j exp P_ij + sum_jk exp Q_ijk, context C_i = {t_i, u_i1, ..., u_iK}.

Common to all functions here:
- Latents are float [N, H] or [N, K, H], K >= 0, of any norm: rows are L2-normalised inside, in float32. A zero row
  stays zero: its cosine with everything is 0, and its gradient is finite (that of the product without normalising).
- ``scale`` is s = 1 / temperature; ``scale`` and ``alpha`` may be traced.
- ``mask`` bool [N, K] marks the valid negatives; what the others hold never matters, even NaN. A row may have none.
- ``same`` bool [N, N]: caption j also shows image i, so it is not i's negative, in either direction. The diagonal does
  not matter: a row's own caption is always its positive.
- ``same_negatives`` bool [N, N, K]: negative k of row j in truth belongs to image i and is left out of D_i.
- ``context`` bool [N, N]: captions j that join C_i, unless ``same`` removed them. The diagonal does not matter.
- Sums of exponentials are log-sum-exp over whole rows; memory is O(N * N * K).
- Wrong shapes raise JamError while tracing.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jam_jax.errors import JamError
from jam_jax.losses.latents import normalise, product

Scalar = jax.Array | float


def con(vision_NxH: jax.Array, language_NxH: jax.Array, *, scale: Scalar, same: jax.Array | None = None) -> jax.Array:
    """Con, the symmetric InfoNCE of CLIP: 1/2 [CE(P, diag) + CE(P^T, diag)]; a scalar."""
    _check_pairs("con", vision_NxH, language_NxH, same)
    logits = _logits(vision_NxH, language_NxH, scale, same)
    image_to_text = _log_sum_exp(logits.captions_NxN) - logits.positive_N
    return (image_to_text.mean() + _text_to_image(logits)) / 2


def negcon(
    vision_NxH: jax.Array,
    language_NxH: jax.Array,
    negatives_NxKxH: jax.Array,
    *,
    scale: Scalar,
    mask: jax.Array | None = None,
    same: jax.Array | None = None,
    same_negatives: jax.Array | None = None,
) -> jax.Array:
    """NegCon: 1/2 [mean_i -log(exp P_ii / D_i) + CE(P^T, diag)]; a scalar, equal to Con when K = 0.

    Image to text sees the N captions and all valid negatives of the batch, text to image the N images.
    """
    members = _Members(mask, same, same_negatives, None)
    _check_all("negcon", vision_NxH, language_NxH, negatives_NxKxH, members)
    logits = _logits(vision_NxH, language_NxH, scale, same)
    negatives = _negative_logits(vision_NxH, negatives_NxKxH, scale, members)
    image_to_text = _log_sum_exp(logits.captions_NxN, negatives.batch_NxM) - logits.positive_N
    return (image_to_text.mean() + _text_to_image(logits)) / 2


def spread(
    vision_NxH: jax.Array,
    language_NxH: jax.Array,
    negatives_NxKxH: jax.Array,
    *,
    scale: Scalar,
    alpha: Scalar,
    mask: jax.Array | None = None,
    same: jax.Array | None = None,
    same_negatives: jax.Array | None = None,
    context: jax.Array | None = None,
) -> jax.Array:
    """Spread: 1/2 [(1 - alpha) ConCon + alpha ContextNCE + CE(P^T, diag)]; a scalar.

    ``alpha`` in 0..1: below 1/2 the image is mostly pulled to its context as a whole, above to the right caption in it.
    At 1/2 the context cancels out and this is NegCon with its image-to-text term halved.
    """
    members = _Members(mask, same, same_negatives, context)
    coarse, fine, reverse = _parts("spread", vision_NxH, language_NxH, negatives_NxKxH, scale, members)
    return ((1 - alpha) * coarse + alpha * fine + reverse) / 2


def con_con(
    vision_NxH: jax.Array,
    language_NxH: jax.Array,
    negatives_NxKxH: jax.Array,
    *,
    scale: Scalar,
    mask: jax.Array | None = None,
    same: jax.Array | None = None,
    same_negatives: jax.Array | None = None,
    context: jax.Array | None = None,
) -> jax.Array:
    """Spread's coarse part, the context against the batch: -mean_i log(sum_{c in C_i} exp(s v_i.c) / D_i); a scalar."""
    members = _Members(mask, same, same_negatives, context)
    return _parts("con_con", vision_NxH, language_NxH, negatives_NxKxH, scale, members)[0]


def context_nce(
    vision_NxH: jax.Array,
    language_NxH: jax.Array,
    negatives_NxKxH: jax.Array,
    *,
    scale: Scalar,
    mask: jax.Array | None = None,
    same: jax.Array | None = None,
    same_negatives: jax.Array | None = None,
    context: jax.Array | None = None,
) -> jax.Array:
    """Spread's fine part, the caption in its context: -mean_i log(exp P_ii / sum_{c in C_i} exp(s v_i.c)); a scalar."""
    members = _Members(mask, same, same_negatives, context)
    return _parts("context_nce", vision_NxH, language_NxH, negatives_NxKxH, scale, members)[1]


def nearest_captions(language_NxH: jax.Array, k: int) -> jax.Array:
    """Marks the k captions of the batch nearest to each caption by cosine, itself excluded; bool [N, N], not symmetric.

    Of equally near captions the first counts. Raises JamError when there are fewer than k others.
    """
    _check_rank("nearest_captions", "language", language_NxH)
    n = language_NxH.shape[0]
    if not 0 <= k < n:
        raise JamError(f"nearest_captions: k is {k}, but each of {n} captions has {n - 1} others; use 0..{n - 1}")
    language_NxH = normalise(language_NxH)
    sim_NxN = jnp.where(jnp.eye(n, dtype=bool), -jnp.inf, product("nh,mh->nm", language_NxH, language_NxH))
    places_NxK = jax.lax.top_k(sim_NxN, k)[1]
    return jnp.zeros((n, n), bool).at[jnp.arange(n)[:, None], places_NxK].set(True)


class _Members(NamedTuple):
    """Who counts as what; see the top of this file."""

    mask: jax.Array | None
    same: jax.Array | None
    same_negatives: jax.Array | None
    context: jax.Array | None


class _Logits(NamedTuple):
    """P: the diagonal, and all of it with -inf where ``same`` removes a caption."""

    positive_N: jax.Array
    captions_NxN: jax.Array


class _NegativeLogits(NamedTuple):
    """Q with -inf where a negative does not count: for all M = N * K negatives of the batch, and for a row's own."""

    batch_NxM: jax.Array
    own_NxK: jax.Array


def _parts(
    where: str,
    vision_NxH: jax.Array,
    language_NxH: jax.Array,
    negatives_NxKxH: jax.Array,
    scale: Scalar,
    members: _Members,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """ConCon, ContextNCE and CE(P^T, diag)."""
    _check_all(where, vision_NxH, language_NxH, negatives_NxKxH, members)
    logits = _logits(vision_NxH, language_NxH, scale, members.same)
    negatives = _negative_logits(vision_NxH, negatives_NxKxH, scale, members)
    log_all_N = _log_sum_exp(logits.captions_NxN, negatives.batch_NxM)
    log_context_N = _log_context(logits, negatives, members.context)
    return (
        (log_all_N - log_context_N).mean(),
        (log_context_N - logits.positive_N).mean(),
        _text_to_image(logits),
    )


def _logits(vision_NxH: jax.Array, language_NxH: jax.Array, scale: Scalar, same: jax.Array | None) -> _Logits:
    sim_NxN = product("nh,mh->nm", normalise(vision_NxH) * scale, normalise(language_NxH))
    diagonal_NxN = jnp.eye(sim_NxN.shape[0], dtype=bool)
    # A select and a sum fuse with the other passes over P, also in the gradient; gathering the diagonal would not.
    positive_N = jnp.where(diagonal_NxN, sim_NxN, 0.0).sum(1)
    if same is not None:
        sim_NxN = jnp.where(same & ~diagonal_NxN, -jnp.inf, sim_NxN)
    return _Logits(positive_N, sim_NxN)


def _negative_logits(
    vision_NxH: jax.Array, negatives_NxKxH: jax.Array, scale: Scalar, members: _Members
) -> _NegativeLogits:
    mask, same_negatives = members.mask, members.same_negatives
    n, k, width = negatives_NxKxH.shape
    if mask is not None:
        # Zero what is masked before any product: 0 * NaN in a gradient would be NaN.
        negatives_NxKxH = jnp.where(mask[:, :, None], negatives_NxKxH, 0.0)
    vision_NxH = normalise(vision_NxH) * scale
    negatives_NxKxH = normalise(negatives_NxKxH)
    batch_NxM = product("nh,mh->nm", vision_NxH, negatives_NxKxH.reshape(n * k, width))
    own_NxK = product("nh,nkh->nk", vision_NxH, negatives_NxKxH)
    if mask is not None:
        batch_NxM = jnp.where(mask.reshape(1, n * k), batch_NxM, -jnp.inf)
        own_NxK = jnp.where(mask, own_NxK, -jnp.inf)
    if same_negatives is not None:
        batch_NxM = jnp.where(same_negatives.reshape(n, n * k), -jnp.inf, batch_NxM)
        own_NxK = jnp.where(same_negatives[jnp.arange(n), jnp.arange(n)], -jnp.inf, own_NxK)
    return _NegativeLogits(batch_NxM, own_NxK)


def _text_to_image(logits: _Logits) -> jax.Array:
    """CE(P^T, diag)."""
    return (_log_sum_exp(logits.captions_NxN.T) - logits.positive_N).mean()


def _log_context(logits: _Logits, negatives: _NegativeLogits, context: jax.Array | None) -> jax.Array:
    """log sum_{c in C_i} exp(s v_i.c) for each image."""
    members = [logits.positive_N[:, None], negatives.own_NxK]
    if context is not None:
        others_NxN = context & ~jnp.eye(context.shape[0], dtype=bool)
        members.append(jnp.where(others_NxN, logits.captions_NxN, -jnp.inf))
    return _log_sum_exp(*members)


def _log_sum_exp(*blocks: jax.Array) -> jax.Array:
    """Row-wise log-sum-exp over blocks [N, any] side by side, without concatenating them.

    Each row needs one finite entry somewhere; blocks may be empty or all -inf, where a log-sum-exp of their own would
    give NaN gradients.
    """
    largest_N = blocks[0].max(1)
    for block in blocks[1:]:
        largest_N = jnp.maximum(largest_N, block.max(1, initial=-jnp.inf))
    largest_N = jax.lax.stop_gradient(largest_N)
    return largest_N + jnp.log(sum(jnp.exp(block - largest_N[:, None]).sum(1) for block in blocks))


def _check_all(where: str, vision: jax.Array, language: jax.Array, negatives: jax.Array, members: _Members) -> None:
    _check_pairs(where, vision, language, members.same)
    n, width = vision.shape
    if negatives.ndim != 3 or (negatives.shape[0], negatives.shape[2]) != (n, width):
        raise JamError(f"{where}: negatives have shape {negatives.shape}; expected [N, K, H] = ({n}, K, {width})")
    k = negatives.shape[1]
    _check_bool(where, "mask", members.mask, "[N, K]", (n, k))
    _check_bool(where, "same_negatives", members.same_negatives, "[N, N, K]", (n, n, k))
    _check_bool(where, "context", members.context, "[N, N]", (n, n))


def _check_pairs(where: str, vision: jax.Array, language: jax.Array, same: jax.Array | None) -> None:
    _check_rank(where, "vision", vision)
    if language.shape != vision.shape:
        raise JamError(f"{where}: language has shape {language.shape}; expected [N, H] = {vision.shape} as vision has")
    _check_bool(where, "same", same, "[N, N]", (vision.shape[0], vision.shape[0]))


def _check_rank(where: str, name: str, x: jax.Array) -> None:
    if x.ndim != 2 or x.shape[0] < 1:
        raise JamError(f"{where}: {name} has shape {x.shape}; expected [N, H] with at least one row")


def _check_bool(where: str, name: str, x: jax.Array | None, letters: str, shape: tuple[int, ...]) -> None:
    if x is not None and (x.shape != shape or x.dtype != bool):
        raise JamError(f"{where}: {name} is {x.dtype} of shape {x.shape}; expected bool {letters} = {shape}")
