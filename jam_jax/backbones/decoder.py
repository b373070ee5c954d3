"""Decoders: Llama, Mistral, Qwen2, Qwen3, Gemma, GPT-2 and BLOOM from Hugging Face weights, without torch.

Layers can be run one range at a time, on any hidden states and positions, with or without a key-value cache, so that
tokens of another kind may join between two layers.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jam_jax.backbones import layers, rotary
from jam_jax.backbones.decoder_config import MODEL_TYPES, Config, config_from
from jam_jax.backbones.decoder_weights import params_from
from jam_jax.backbones.layers import Collect, Params
from jam_jax.errors import JamError

# Finite, so that a query that sees nothing makes no NaN.
_HIDDEN = float(np.finfo(np.float32).min)


class Cache(NamedTuple):
    """Keys and values of tokens that were run before, in any order; S is the capacity.

    Attributes:
      keys, values: [L, N, S, key heads, head dimension].
      positions: int [N, S]; valid: bool [N, S], False for slots that are empty or hold padding.
    """

    keys: jax.Array
    values: jax.Array
    positions: jax.Array
    valid: jax.Array


class Block(nn.Module):
    """Attention and feed-forward, each after a norm and added to its input.

    ``turn`` holds the cosine and sine of rotary positions or nothing; ``bias`` [N, H or 1, T, S] is added to scores.
    Without ``past`` the tokens see each other; with it, keys and values [N, S, KH, E], theirs are written at ``slots``
    and they see the cache. Returns the hidden states [N, T, D] and the keys and values that were seen.
    """

    config: Config

    @nn.compact
    def __call__(
        self,
        hidden_NxTxD: jax.Array,
        turn: tuple[jax.Array, ...],
        bias: jax.Array,
        past: tuple[jax.Array, jax.Array] | None = None,
        slots: jax.Array | None = None,
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        config = self.config
        mixed, seen = self._attention(_norm(config, "norm1")(hidden_NxTxD), turn, bias, past, slots)
        hidden_NxTxD += nn.Dense(config.width, use_bias=config.out_bias, name="out")(mixed)
        x = _norm(config, "norm2")(hidden_NxTxD)
        wide = config.feedforward * (2 if config.gated else 1)
        x = nn.Dense(wide, use_bias=config.feedforward_bias, name="up")(x)
        act = layers.ACTIVATIONS[config.activation]
        if config.gated:
            gate, value = jnp.split(x, 2, axis=-1)
            x = act(gate) * value
        else:
            x = act(x)
        return hidden_NxTxD + nn.Dense(config.width, use_bias=config.feedforward_bias, name="down")(x), seen

    def _attention(self, x_NxTxD, turn, bias, past, slots):
        config = self.config
        (n, t, _), each = x_NxTxD.shape, config.head_dim
        heads, key_heads = config.heads, config.key_heads
        qkv = nn.Dense((heads + 2 * key_heads) * each, use_bias=config.qkv_bias, name="qkv")(x_NxTxD)
        q, k, v = jnp.split(qkv.reshape(n, t, -1, each), (heads, heads + key_heads), axis=2)
        if config.kind == "qwen3":
            q, k = _norm(config, "q_norm")(q), _norm(config, "k_norm")(k)
        if turn:
            q, k = rotary.rotate(q, *turn), rotary.rotate(k, *turn)
        if past is not None:
            rows = jnp.arange(n)[:, None]
            k, v = (old.at[rows, slots].set(new.astype(old.dtype)) for old, new in zip(past, (k, v), strict=True))
        q_NxTxKxGxE = q.reshape(n, t, key_heads, heads // key_heads, each) * each**-0.5
        scores = jnp.einsum("ntkge,nske->nkgts", q_NxTxKxGxE, k, preferred_element_type=jnp.float32)
        scores += bias.reshape(n, *((key_heads, -1) if bias.shape[1] > 1 else (1, 1)), *bias.shape[2:])
        weights = nn.softmax(scores).astype(v.dtype)
        return jnp.einsum("nkgts,nske->ntkge", weights, v).reshape(n, t, heads * each), (k, v)


def embed(params: Params, config: Config, ids_NxT: jax.Array, positions_NxT: jax.Array) -> jax.Array:
    """The embedding output [N, T, D]; an id or learned position that the model does not have makes NaN."""
    take = lambda table, rows: jnp.take(table, rows, axis=0, mode="fill", fill_value=jnp.nan)  # noqa: E731
    embeddings = params["embeddings"]
    hidden_NxTxD = take(embeddings["words"], ids_NxT) * config.embedding_scale
    if "positions" in embeddings:
        hidden_NxTxD += take(embeddings["positions"], positions_NxT)
    if "norm" in embeddings:
        hidden_NxTxD = _apply_norm(embeddings["norm"], config, hidden_NxTxD)
    return hidden_NxTxD


def run_layers(
    params: Params,
    config: Config,
    hidden_NxTxD: jax.Array,
    positions_NxT: jax.Array,
    mask_NxTxS: jax.Array,
    *,
    first: int,
    last: int,
    cache: Cache | None = None,
    slots: jax.Array | None = None,
    collect: Collect = lambda hidden: None,
) -> tuple[jax.Array, Cache | None, Any]:
    """Runs layers first..last-1 in a scan, compiled once whatever their number.

    Args:
      positions_NxT: int, where each token stands in its text, whatever its place in the array.
      mask_NxTxS: bool, which keys each query sees, see ``causal_mask``; the config's windows narrow it. The keys are
        those of ``cache``, or without it the tokens themselves, S = T.
      cache: made by ``empty_cache``, these tokens' positions put in by ``place``. slots: int, of shape [N, T] or one
        that broadcasts to it, where in the cache these tokens are written; one beyond the capacity is dropped.
      collect: what to keep of the hidden states [N, T, D] after each layer.

    Returns the hidden states after layer last-1, before the final norm; the cache with these layers' keys and values;
    and collect's results stacked [last - first, ...].
    """
    if not 0 <= first <= last <= config.layers:
        raise JamError(f"layers {first} to {last} were asked for, this model has {config.layers}")
    if (cache is None) != (slots is None):
        raise JamError("cache and slots belong together: give both, or neither")
    key_positions = positions_NxT if cache is None else cache.positions
    back_NxTxS = positions_NxT[:, :, None] - key_positions[:, None]
    bias = jnp.zeros((1, 1, 1, 1))
    if config.kind == "bloom":
        bias = -jnp.array(rotary.alibi_slopes(config.heads))[:, None, None] * back_NxTxS[:, None]
    bias_NxHxTxS = jnp.where(mask_NxTxS[:, None], bias, _HIDDEN)
    turn = rotary.angles(config.rotary, positions_NxT) if config.rotary else ()
    block, windows = Block(config), jnp.array(config.windows)

    def step(state: Any, layer: jax.Array) -> tuple[Any, Any]:
        hidden, past = state
        # Taken inside the loop: a slice of the stack given to scan would copy these layers' weights first.
        weights = jax.tree.map(lambda stack: jnp.asarray(stack)[layer], params["layers"])
        seen = bias_NxHxTxS
        if config.windows:
            reach = windows[layer]
            seen = jnp.where(((back_NxTxS < reach) | (reach == 0))[:, None], seen, _HIDDEN)
        mine = None if past is None else (past[0][layer], past[1][layer])
        after: Any = block.apply({"params": weights}, hidden, turn, seen, mine, slots)
        hidden, written = after
        if past is not None:
            past = tuple(old.at[layer].set(new) for old, new in zip(past, written, strict=True))
        return (hidden, past), collect(hidden)

    start = hidden_NxTxD, None if cache is None else (cache.keys, cache.values)
    (hidden, past), collected = jax.lax.scan(step, start, jnp.arange(first, last))
    if cache is not None and past is not None:
        cache = cache._replace(keys=past[0], values=past[1])
    return hidden, cache, collected


def final_norm(params: Params, config: Config, hidden_NxTxD: jax.Array) -> jax.Array:
    """The norm after the last layer."""
    return _apply_norm(params["norm"], config, hidden_NxTxD)


def logits(params: Params, config: Config, hidden_NxTxD: jax.Array) -> jax.Array:
    """Logits [N, T, vocabulary] of the next token, from hidden states after the final norm.

    Raises JamError where the checkpoint has no head.
    """
    if not config.tied and "head" not in params:
        raise JamError("this checkpoint has no lm_head.weight and its embeddings are not tied; take one with a head")
    return jnp.einsum("ntd,vd->ntv", hidden_NxTxD, params["embeddings"]["words"] if config.tied else params["head"])


def hidden_states(
    params: Params, config: Config, ids: jax.Array, mask: jax.Array, *, collect: Collect = lambda hidden: hidden
) -> Any:
    """What transformers returns as hidden states: the embedding output, then one of each block, the last one normed.

    Args:
      ids: int [N, T], padded on either side. mask: bool [N, T], False for padding; what stands at padded places of the
        result means nothing.
      collect: what to keep of each hidden state [N, T, D].

    Returns collect's results stacked [L + 1, ...]; an id that is not in the vocabulary makes NaN. Raises JamError when
    T is more than the model has learned positions for.
    """
    if "positions" in params["embeddings"] and ids.shape[1] > len(params["embeddings"]["positions"]):
        raise JamError(f"a text has {ids.shape[1]} tokens, this model takes {config.max_tokens}; cut it")
    positions = positions_of(mask)
    start = embed(params, config, jnp.where(mask, ids, 0), positions)  # what stands for padding need not be a word
    seen = causal_mask(positions, positions, mask)
    after, _, rest = run_layers(params, config, start, positions, seen, first=0, last=config.layers, collect=collect)
    ends = collect(start), collect(final_norm(params, config, after))
    return jax.tree.map(
        lambda head, middle, tail: jnp.concatenate([head[None], middle[:-1], tail[None]]), ends[0], rest, ends[1]
    )


def positions_of(mask_NxT: jax.Array) -> jax.Array:
    """Int [N, T]: the number of real tokens before each one, whatever side is padded."""
    return jnp.maximum(jnp.cumsum(mask_NxT.astype(jnp.int32), axis=1) - 1, 0)


def causal_mask(positions_q: jax.Array, positions_k: jax.Array, valid_k: jax.Array) -> jax.Array:
    """Bool [N, T, S]: a query at a position [N, T] sees the valid keys at its own and at earlier positions [N, S]."""
    return (positions_k[:, None] <= positions_q[:, :, None]) & valid_k[:, None]


def empty_cache(config: Config, rows: int, capacity: int, dtype: Any = jnp.float32) -> Cache:
    """A Cache with room for ``capacity`` tokens of each of ``rows`` texts."""
    shape = config.layers, rows, capacity, config.key_heads, config.head_dim
    empty = jnp.zeros((rows, capacity), jnp.int32)
    return Cache(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype), empty, empty.astype(bool))


def place(cache: Cache, slots: jax.Array, positions_NxT: jax.Array, valid_NxT: jax.Array) -> Cache:
    """The cache with the positions of the tokens that ``run_layers`` is about to write at ``slots``."""
    rows = jnp.arange(len(positions_NxT))[:, None]
    return cache._replace(
        positions=cache.positions.at[rows, slots].set(positions_NxT), valid=cache.valid.at[rows, slots].set(valid_NxT)
    )


def _apply_norm(params: Params, config: Config, hidden_NxTxD: jax.Array) -> jax.Array:
    normed: Any = _norm(config, "norm").apply({"params": params}, hidden_NxTxD)
    return normed


def _norm(config: Config, name: str) -> nn.Module:
    if config.rms:
        return nn.RMSNorm(epsilon=config.epsilon, name=name)
    return layers.layer_norm(config.epsilon, name)


__all__ = [
    "MODEL_TYPES", "Block", "Cache", "Config", "causal_mask", "config_from", "embed", "empty_cache", "final_norm",
    "hidden_states", "logits", "params_from", "place", "positions_of", "run_layers",
]  # fmt: skip
