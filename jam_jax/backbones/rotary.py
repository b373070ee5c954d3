"""Where a decoder's tokens stand: rotary position embeddings with their scalings, and ALiBi's slopes."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jam_jax.backbones.layers import Settings
from jam_jax.errors import JamError

SCALINGS = ("default", "linear", "llama3", "yarn")
_ORIGINAL = "original_max_position_embeddings"
# What transformers takes for settings that are left out; 0 stands for none.
_DEFAULTS: dict[str, Any] = {
    "rope_theta": 10000.0, "partial_rotary_factor": 1.0, "factor": None, "low_freq_factor": None,
    "high_freq_factor": None, "beta_fast": 32, "beta_slow": 1, "truncate": True, "attention_factor": 0, "mscale": 0,
    "mscale_all_dim": 0,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Rotary:
    """Rotary position embedding.

    Attributes:
      frequencies: radians by which each pair of dimensions turns from one position to the next, [head_dim / 2].
      scale: what cosine and sine are multiplied by, 1 but for YaRN.
    """

    frequencies: tuple[float, ...]
    scale: float


def rotary_from(hf: Mapping[str, Any], head_dim: int, max_tokens: int) -> Rotary:
    """The rotary embedding of a config.json, as ``rope_parameters`` or as the older ``rope_theta``, ``rope_scaling``.

    Raises JamError for a scaling that is none of SCALINGS and for settings that are missing. Formulas: linear as by
    kaiokendev, llama3 as in Llama 3.1's reference code, yarn as in Peng et al. 2023 (arXiv 2309.00071).
    """
    given = hf.get("rope_scaling") or hf.get("rope_parameters") or {}
    if not isinstance(given, Mapping):
        raise JamError(f"config.json: the scaling of rotary positions is {given!r}, expected a table of settings")
    outer = {key: hf[key] for key in ("rope_theta", "partial_rotary_factor") if hf.get(key) is not None}
    # Some files name the length of pre-training outside; transformers lets it win over the one inside.
    original = hf.get(_ORIGINAL) or given.get(_ORIGINAL) or max_tokens
    kind = given.get("rope_type") or given.get("type") or "default"
    stated = {key: value for key, value in given.items() if value is not None}
    get = Settings(stated | {"rope_type": kind, _ORIGINAL: original}, _DEFAULTS | outer)
    get.one_of("rope_type", SCALINGS)
    get.one_of("partial_rotary_factor", (1.0,))
    if head_dim % 2:
        raise JamError(f"config.json: head_dim is {head_dim}, rotary positions need an even one")
    theta = get.real("rope_theta")
    plain = theta ** (-np.arange(0, head_dim, 2) / head_dim)
    scale = 1.0
    if kind == "linear":
        plain = plain / get.real("factor")
    elif kind == "llama3":
        plain = _llama3(plain, get)
    elif kind == "yarn":
        plain, scale = _yarn(plain, get)
    return Rotary(tuple(plain.tolist()), scale)


def angles(rotary: Rotary, positions_NxT: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Cosine and sine [N, T, 1, head_dim / 2] of every token, to turn the queries and keys of all layers by."""
    turned = positions_NxT[..., None, None].astype(jnp.float32) * np.array(rotary.frequencies, np.float32)
    return jnp.cos(turned) * rotary.scale, jnp.sin(turned) * rotary.scale


def rotate(x_NxTxHxE: jax.Array, cosine: jax.Array, sine: jax.Array) -> jax.Array:
    """Turns dimension i together with dimension i + E / 2, which is how Hugging Face stores the pairs."""
    first, second = jnp.split(x_NxTxHxE, 2, axis=-1)
    turned = [first * cosine - second * sine, second * cosine + first * sine]
    return jnp.concatenate(turned, axis=-1).astype(x_NxTxHxE.dtype)


def alibi_slopes(heads: int) -> np.ndarray:
    """Float32 [heads]: what each head's scores lose per position of distance (Press et al. 2021, arXiv 2108.12409).

    Where heads are no power of two, the rest take every second slope of twice as many heads.
    """
    power = 2 ** int(math.log2(heads))
    slopes = 2.0 ** (-8 / power * np.arange(1, power + 1))
    between = 2.0 ** (-4 / power * np.arange(1, 2 * (heads - power) + 1, 2))
    return np.concatenate([slopes, between]).astype(np.float32)


def _llama3(plain: np.ndarray, get: Settings) -> np.ndarray:
    low, high, factor = map(get.real, ("low_freq_factor", "high_freq_factor", "factor"))
    turns = get.number(_ORIGINAL) * plain / (2 * math.pi)  # over the length of pre-training
    kept = np.clip((turns - low) / (high - low), 0, 1)
    return plain * (kept + (1 - kept) / factor)


def _yarn(plain: np.ndarray, get: Settings) -> tuple[np.ndarray, float]:
    original, factor, dims = get.number(_ORIGINAL), get.real("factor"), 2 * len(plain)
    # The dimension that turns so many times over the length of pre-training.
    low, high = (
        dims * math.log(original / (get.real(beta) * 2 * math.pi)) / (2 * math.log(get.real("rope_theta")))
        for beta in ("beta_fast", "beta_slow")
    )
    if get.flag("truncate"):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dims - 1)
    stretched = np.clip((np.arange(dims // 2) - low) / ((high - low) or 0.001), 0, 1)
    scale, over = get.real("mscale"), get.real("mscale_all_dim")
    if not (scale and over):
        scale, over = 1.0, 0.0
    grown = 0.1 * math.log(max(factor, 1.0))
    attention = get.real("attention_factor") or (scale * grown + 1) / (over * grown + 1)
    return plain * (1 - stretched + stretched / factor), attention


__all__ = ["SCALINGS", "Rotary", "alibi_slopes", "angles", "rotary_from", "rotate"]
