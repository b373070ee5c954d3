"""One vector for each row of hidden states, whatever side the padding is on."""

import abc
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jam_jax.errors import JamError

POOLINGS = ("cls", "last", "mean", "mean_without_prefix")


def chosen(mask_NxT: np.ndarray, pooling: str, prefix_tokens: int = 0) -> np.ndarray:
    """The tokens that a pooling averages, bool [N, T], at least one in each row.

    'cls' takes the first real token and 'last' the last one. 'mean' averages all real tokens. 'mean_without_prefix'
    leaves the first ``prefix_tokens`` real tokens out: the CLS and register tokens of a vision transformer, or the
    token that opens a decoder's text, whose activation is so massive that it would be most of the mean and the same
    for every text.

    Args:
      mask_NxT: bool [N, T], False where a token is padding. prefix_tokens: leading tokens that stand for no part of
        the input.

    Raises JamError for an unknown pooling, for 'cls' without such a token, and for a row in which no token is left.
    """
    if pooling not in POOLINGS:
        raise JamError(f"pooling {pooling!r} is unknown; choose from {', '.join(POOLINGS)}")
    if pooling == "cls" and not prefix_tokens:
        raise JamError("pooling 'cls': this backbone has no CLS token; choose mean")
    place_NxT = np.cumsum(mask_NxT, axis=1)  # 1 at the first real token
    if pooling == "cls":
        kept_NxT = mask_NxT & (place_NxT == 1)
    elif pooling == "last":
        kept_NxT = mask_NxT & (place_NxT == place_NxT[:, -1:])
    elif pooling == "mean_without_prefix":
        kept_NxT = mask_NxT & (place_NxT > prefix_tokens)
    else:
        kept_NxT = mask_NxT
    empty = np.flatnonzero(~kept_NxT.any(axis=1))
    if empty.size:
        raise JamError(f"pooling {pooling!r}: row {empty[0]} of the batch has no token left; is that caption empty?")
    return kept_NxT


def pool(hidden_NxTxD: np.ndarray, mask_NxT: np.ndarray, pooling: str, prefix_tokens: int = 0) -> np.ndarray:
    """Pools hidden states [N, T, D] over the tokens that ``chosen`` tells.

    ``mask_NxT`` is bool [N, T], or [N, 1] for rows without padding. Returns float32 [N, D]; means are summed in
    float64. Raises JamError as ``chosen`` does.
    """
    kept_NxT = chosen(np.broadcast_to(mask_NxT, hidden_NxTxD.shape[:2]), pooling, prefix_tokens)
    # Masked by selection, not by product: what stands in the padding may be infinite or NaN.
    kept = hidden_NxTxD if kept_NxT.all() else np.where(kept_NxT[:, :, None], hidden_NxTxD, 0)
    sums_NxD = kept.sum(axis=1, dtype=np.float64)
    return (sums_NxD / kept_NxT.sum(axis=1)[:, None]).astype(np.float32)


class PooledOnHost(abc.ABC):
    """``pooled`` of a ``backbones.Backbone`` whose hidden states come as NumPy arrays."""

    prefix_tokens: int

    @abc.abstractmethod
    def hidden_states(self, batch: Any) -> tuple[np.ndarray, ...]:
        """Float32 [N, T, D] of each layer."""

    @abc.abstractmethod
    def mask(self, batch: Any) -> np.ndarray:
        """Bool [N, T], or [N, 1]."""

    def pooled(self, batch: Any, layers: Sequence[int], pooling: str) -> Mapping[int, np.ndarray]:
        """Pooled hidden states {layer: float32 [N, D]} of a batch."""
        hidden, mask_NxT = self.hidden_states(batch), self.mask(batch)
        return {layer: pool(hidden[layer], mask_NxT, pooling, self.prefix_tokens) for layer in layers}


__all__ = ["POOLINGS", "PooledOnHost", "chosen", "pool"]
