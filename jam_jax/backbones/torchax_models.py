"""Hugging Face torch models traced once into jitted, sharded JAX by torchax."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torchax

from jam_jax.backbones import huggingface, preprocessing, weights
from jam_jax.backbones.jitted import JittedLanguage, JittedVision
from jam_jax.errors import JamError

# torch counts in 64 bits where JAX takes 32; positions and token numbers fit.
warnings.filterwarnings("ignore", message="Explicitly requested dtype int64")
TOLERANCE = 1e-4  # of the largest activation of a layer, at most; every model is compared with torch when it is loaded


class Untraceable(JamError):
    """A model that torchax cannot run, or not with torch's numbers."""


def load(source: weights.Source) -> JittedVision | JittedLanguage:
    """Loads what ``huggingface.load`` loads; raises Untraceable when torchax does not give torch's hidden states."""
    traced = huggingface.load(source)
    params, function = torchax.extract_jax(traced.model)

    def forward(params: Any, arrays: Mapping[str, jax.Array], collect: Callable[[jax.Array], jax.Array]) -> Any:
        arguments = _arguments(arrays, positions=getattr(traced, "numbers_positions", False))
        output = function(params, (), {**arguments, "output_hidden_states": True, "return_dict": True})
        return [collect(_in_rows(hidden)) for hidden in output["hidden_states"]]

    config = traced.model.config.to_dict()
    jitted: JittedVision | JittedLanguage
    try:
        if isinstance(traced, huggingface.VisionModel):
            jitted = JittedVision(forward, params, preprocessing.processor(source), config, source)
        else:
            tokenizer = preprocessing.tokenizer(source)
            # A padded token on the left has nothing to attend to: NaN through torchax, and NaN times a weight of zero
            # spoils what follows. On the right it attends to the text, and no text attends to it.
            tokenizer.padding_side = "right"
            jitted = JittedLanguage(forward, params, tokenizer, config, source)
        ours = jitted.hidden_states(traced.probe)
    except Exception as error:  # whatever torchax lacks ends in an error of some kind
        reason = " ".join(str(error).split())[:120]
        raise Untraceable(f"{type(traced.model).__name__} does not run through torchax ({reason})") from error
    for layer, (jax_NxTxD, torch_NxTxD) in enumerate(zip(ours, traced.hidden_states(traced.probe), strict=True)):
        apart = float(np.abs(jax_NxTxD - torch_NxTxD).max() / max(1.0, np.abs(torch_NxTxD).max()))
        if not apart <= TOLERANCE:
            name = type(traced.model).__name__
            raise Untraceable(f"{name} gives other numbers through torchax: layer {layer} is {apart:.1e} apart")
    return jitted


def _arguments(arrays: Mapping[str, jax.Array], positions: bool) -> dict[str, jax.Array]:
    if "pixels" in arrays:
        return {"pixel_values": arrays["pixels"]}
    mask_NxT = arrays["mask"].astype(jnp.int32)
    arguments = {"input_ids": arrays["ids"], "attention_mask": mask_NxT}
    return arguments | {"position_ids": jnp.maximum(mask_NxT.cumsum(1) - 1, 0)} if positions else arguments


def _in_rows(hidden: jax.Array) -> jax.Array:
    return hidden.reshape(*hidden.shape[:2], -1).swapaxes(1, 2) if hidden.ndim == 4 else hidden


__all__ = ["Untraceable", "load"]
