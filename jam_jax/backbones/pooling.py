"""One vector for each row of hidden states, whatever side the padding is on."""

import numpy as np

from jam_jax.errors import JamError

POOLINGS = ("cls", "last", "mean", "mean_without_prefix")


def pool(hidden_NxTxD: np.ndarray, mask_NxT: np.ndarray, pooling: str, prefix_tokens: int = 0) -> np.ndarray:
    """Pools hidden states over their real tokens.

    'cls' takes the first real token and 'last' the last one. 'mean' averages all real tokens. 'mean_without_prefix'
    leaves the first ``prefix_tokens`` real tokens out: the CLS and register tokens of a vision transformer, or the
    token that opens a decoder's text, whose activation is so massive that it would be most of the mean and the same
    for every text.

    Args:
      hidden_NxTxD: float [N, T, D]. mask_NxT: bool [N, T], or [N, 1] for rows without padding.
      prefix_tokens: leading tokens that stand for no part of the input.

    Returns float32 [N, D]; means are summed in float64. Raises JamError for an unknown pooling, for 'cls' without such
    a token, and for a row in which no token is left.
    """
    if pooling not in POOLINGS:
        raise JamError(f"pooling {pooling!r} is unknown; choose from {', '.join(POOLINGS)}")
    if pooling == "cls" and not prefix_tokens:
        raise JamError("pooling 'cls': this backbone has no CLS token; choose mean")
    mask_NxT = np.broadcast_to(mask_NxT, hidden_NxTxD.shape[:2])
    if pooling == "mean_without_prefix":
        mask_NxT = mask_NxT & (np.cumsum(mask_NxT, axis=1) > prefix_tokens)
    empty = np.flatnonzero(~mask_NxT.any(axis=1))
    if empty.size:
        raise JamError(f"pooling {pooling!r}: row {empty[0]} of the batch has no token left; is that caption empty?")
    if pooling in ("cls", "last"):
        tokens = mask_NxT.shape[1]
        place_N = mask_NxT.argmax(axis=1) if pooling == "cls" else tokens - 1 - mask_NxT[:, ::-1].argmax(axis=1)
        return hidden_NxTxD[np.arange(len(hidden_NxTxD)), place_N].astype(np.float32)
    # Masked by selection, not by product: what stands in the padding may be infinite or NaN.
    kept = hidden_NxTxD if mask_NxT.all() else np.where(mask_NxT[:, :, None], hidden_NxTxD, 0)
    sums_NxD = kept.sum(axis=1, dtype=np.float64)
    return (sums_NxD / mask_NxT.sum(axis=1)[:, None]).astype(np.float32)


__all__ = ["POOLINGS", "pool"]
