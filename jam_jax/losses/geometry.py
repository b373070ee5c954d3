"""The RSA losses: the relative geometry of the vision latents mirrors that of the language latents.

Yun et al., "Representational Space Alignment for Vision-Language Models" (OpenReview 0RJetI5BTE). Its abstract gives
the idea, to match relations between items and not the items themselves; no public source gives a formula. **The four
forms here are our interpretation of that abstract**, each a known way to compare the structure of two sets of vectors.

With v_i the vision and t_i the language latents of N pairs, both less their mean over the batch, and S_ij the cosines:

    gram    mean over i != j of (S^V_ij - S^T_ij)^2                        the relations themselves, 0..4
    rdm     1 - Pearson(upper(S^V), upper(S^T))                            up to scale and shift of the cosines, 0..2
    offset  mean over p != q of (cos(dv_p, dv_q) - cos(dt_p, dt_q))^2      the parallelograms of vector arithmetic, 0..4
    cka     1 - unbiased linear CKA                                        up to scale of the latents; may exceed 1

Common to all functions here:
- ``vision_NxH`` and ``language_NxG`` are float [N, H] and [N, G], row i of both from one pair, N >= 4; the widths may
  differ. Computed in float32; memory O(N * N). Wrong shapes raise JamError while tracing.
- Language is the target: no gradient reaches ``language_NxG``.
- The mean is taken off before any cosine, for language spaces are narrow cones in which all raw cosines are near 1.
  So the value does not change when a constant vector is added to either side, nor when either side is rotated or
  multiplied by a positive number. Being blind to rotation, these losses alone do not make an image and its caption
  point the same way: they need latents that start in one frame, a contrastive term, or one rotation afterwards.
- A row at the mean has cosine 0 with everything; a side without any spread gives a finite value and zero gradient.
- |(v_i - v_j) - (t_i - t_j)|^2, offsets matched as vectors, is not among the forms: it is zero only where V = T up to
  one translation, which is exact alignment again.
"""

import jax
import jax.numpy as jnp

from jam_jax.errors import JamError
from jam_jax.losses.latents import normalise, product

LEAST = 4  # pairs: fewer have no unbiased CKA, and no two offsets without a common item


def gram(vision_NxH: jax.Array, language_NxG: jax.Array) -> jax.Array:
    """The mean squared difference of the cosines of all pairs of items; a scalar."""
    vision_NxH, language_NxG = _sides("gram", vision_NxH, language_NxG)
    return _mean_square_off_diagonal(_cosines(_centred(vision_NxH)) - _cosines(_centred(language_NxG)))


def rdm(vision_NxH: jax.Array, language_NxG: jax.Array) -> jax.Array:
    """1 - Pearson correlation between the cosines of all pairs of items, as RSA compares dissimilarities; a scalar."""
    vision_NxH, language_NxG = _sides("rdm", vision_NxH, language_NxG)
    # Both matrices are symmetric, so all places off the diagonal correlate as the upper triangles do.
    off_NxN = 1 - jnp.eye(len(vision_NxH))
    sides = [_cosines(_centred(x)) for x in (vision_NxH, language_NxG)]
    return 1 - _cosine(*((sim - (sim * off_NxN).sum() / off_NxN.sum()) * off_NxN for sim in sides))


def offset(vision_NxH: jax.Array, language_NxG: jax.Array) -> jax.Array:
    """The mean squared difference of the cosines between offsets; a scalar.

    Offset p leads from row 2p + 1 to row 2p, and every offset meets every other: in batches drawn at random these are
    random quadruples of four different items, about N^2 / 8 of them. With odd N the last row sits out. Unlike the other
    forms the value depends on the order of the rows.
    """
    vision_NxH, language_NxG = _sides("offset", vision_NxH, language_NxG)
    even = len(vision_NxH) // 2 * 2
    offsets = [x[0:even:2] - x[1:even:2] for x in (vision_NxH, language_NxG)]
    return _mean_square_off_diagonal(_cosines(offsets[0]) - _cosines(offsets[1]))


def cka(vision_NxH: jax.Array, language_NxG: jax.Array) -> jax.Array:
    """1 - CKA with a linear kernel and the unbiased HSIC estimator of Song et al. (2012); a scalar.

    The only form that sees the lengths of the latents, not just their angles.
    """
    sides = _sides("cka", vision_NxH, language_NxG)
    # Scaling by the mean length leaves CKA as it is and keeps the fourth powers below in range.
    lengths = [jax.lax.stop_gradient(jnp.sqrt((_centred(x) ** 2).sum(-1).mean())) for x in sides]
    scaled = [_centred(x) / jnp.where(length == 0, 1.0, length) for x, length in zip(sides, lengths, strict=True)]
    return 1 - _cosine(*(_u_centred(product("nh,mh->nm", x, x)) for x in scaled))


FORMS = {"gram": gram, "rdm": rdm, "offset": offset, "cka": cka}


def _sides(where: str, vision: jax.Array, language: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Both in float32, language without gradient; raises JamError for shapes that are no pairs."""
    for name, x in (("vision", vision), ("language", language)):
        if x.ndim != 2 or x.shape[0] < LEAST or not x.shape[1]:
            raise JamError(f"{where}: {name} has shape {x.shape}; expected [N, H] with N of {LEAST} or more")
    if len(vision) != len(language):
        raise JamError(f"{where}: vision has {len(vision)} rows and language {len(language)}; row i is one pair")
    return vision.astype(jnp.float32), jax.lax.stop_gradient(language.astype(jnp.float32))


def _centred(x_NxH: jax.Array) -> jax.Array:
    return x_NxH - x_NxH.mean(0)


def _cosines(x_NxH: jax.Array) -> jax.Array:
    unit_NxH = normalise(x_NxH)
    return product("nh,mh->nm", unit_NxH, unit_NxH)


def _mean_square_off_diagonal(x_NxN: jax.Array) -> jax.Array:
    n = len(x_NxN)
    return (jnp.square(x_NxN) * (1 - jnp.eye(n))).sum() / (n * (n - 1))


def _u_centred(kernel_NxN: jax.Array) -> jax.Array:
    """The kernel with zero diagonal, then rows and columns of zero sum; such matrices' inner product is n (n - 3) HSIC.

    Szekely and Rizzo (2014); equal to the estimator of Song et al. (2012), without its three separate sums.
    """
    n = len(kernel_NxN)
    off_NxN = 1 - jnp.eye(n)
    kernel_NxN = kernel_NxN * off_NxN
    rows_N = kernel_NxN.sum(0) / (n - 2)
    return (kernel_NxN - rows_N[:, None] - rows_N + kernel_NxN.sum() / ((n - 1) * (n - 2))) * off_NxN


def _cosine(a_NxN: jax.Array, b_NxN: jax.Array) -> jax.Array:
    """The cosine of two matrices taken as vectors; 0 where either is zero."""
    unit_a, unit_b = normalise(a_NxN.ravel()), normalise(b_NxN.ravel())
    return (unit_a * unit_b).sum()
