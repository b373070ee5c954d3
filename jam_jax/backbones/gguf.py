"""GGUF files as Hugging Face checkpoints: their metadata as config.json, their tensors under Hugging Face names.

The names, the order of rows and the settings are those of llama.cpp's convert_hf_to_gguf.py, undone.
"""

import functools
import os
from collections.abc import Callable
from typing import Any

import gguf
import numpy as np

from jam_jax.backbones.tensors import Tensors
from jam_jax.errors import JamError

_SIZES = {
    "context_length": "max_position_embeddings",
    "block_count": "num_hidden_layers",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "attention.layer_norm_epsilon": "layer_norm_epsilon",
    "attention.sliding_window": "sliding_window",
    "rope.freq_base": "rope_theta",
}
_GPT2_SIZES = {
    "max_position_embeddings": "n_positions", "num_hidden_layers": "n_layer", "hidden_size": "n_embd",
    "intermediate_size": "n_inner", "num_attention_heads": "n_head",
}  # fmt: skip
_LLAMA_NAMES = {
    "token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head",
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm", "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip
_GPT2_NAMES = {
    "token_embd": "transformer.wte", "position_embd": "transformer.wpe", "output_norm": "transformer.ln_f",
    "output": "lm_head", "attn_norm": "ln_1", "attn_qkv": "attn.c_attn", "attn_output": "attn.c_proj",
    "ffn_norm": "ln_2", "ffn_up": "mlp.c_fc", "ffn_down": "mlp.c_proj",
}  # fmt: skip
_ARCHITECTURES = ("llama", "qwen2", "qwen3", "gemma", "gpt2")
# What the metadata of each has to say.
_NEEDED = ("context_length", "block_count", "embedding_length", "feed_forward_length", "attention.head_count")


def config(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The metadata of a GGUF file in the form of config.json; a Mistral's says llama, as its file does.

    Raises JamError for a file that cannot be read, for an architecture that is not supported and for settings that are
    missing or would make another network of it.
    """
    return _config(open_reader(path), os.fspath(path))


def open_gguf(path: str | os.PathLike[str]) -> Tensors:
    """The tensors of a GGUF file, each dequantised to float32 when it is taken; raises JamError as ``config`` does."""
    reader, where = open_reader(path), os.fspath(path)
    settings = _config(reader, where)
    gpt2 = settings["model_type"] == "gpt2"
    names, inside = (_GPT2_NAMES, "transformer.h") if gpt2 else (_LLAMA_NAMES, "model.layers")
    readers: dict[str, Callable[[], np.ndarray]] = {}
    for tensor in reader.tensors:
        layer, rest = "", tensor.name
        if tensor.name.startswith("blk."):
            _, number, rest = tensor.name.split(".", 2)
            layer = f"{inside}.{number}."
        part, _, half = rest.rpartition(".")
        if part not in names:
            raise JamError(f"{where}: tensor {tensor.name} belongs to no {settings['model_type']} that is read here")
        undo = _undo(settings, part, half)
        readers[f"{layer}{names[part]}.{half}"] = functools.partial(_read, where, tensor, undo)
    return Tensors(where, readers)


def open_reader(path: str | os.PathLike[str]) -> gguf.GGUFReader:
    """The library's reader of a file; the last one is kept until ``forget``, for it takes seconds over a vocabulary.

    Raises JamError when the file cannot be read or is not complete.
    """
    try:
        changed = os.stat(path)
        return _reader(os.fspath(path), changed.st_mtime_ns, changed.st_size)
    except OSError as error:
        raise JamError(f"{path}: cannot be read ({error.strerror})") from error
    # The reader trusts what it reads: a broken file ends in whatever numpy or Python say to a wrong offset or number.
    except (ValueError, IndexError, KeyError, OverflowError, MemoryError, TypeError) as error:
        raise JamError(f"{path}: is no complete GGUF file ({_one_line(error)}); copy or fetch it again") from error


@functools.lru_cache(maxsize=1)
def _reader(path: str, changed: int, size: int) -> gguf.GGUFReader:
    return gguf.GGUFReader(path)


def forget() -> None:
    """Lets go of the reader that ``open_reader`` keeps: its objects for each word take a hundred megabytes."""
    _reader.cache_clear()


def _config(reader: gguf.GGUFReader, where: str) -> dict[str, Any]:
    kind = _field(reader, where, "general.architecture")
    if kind not in _ARCHITECTURES:
        raise JamError(f"{where}: architecture {kind!r} is not supported; known: {', '.join(_ARCHITECTURES)}")
    shapes = {tensor.name: tensor.shape.tolist() for tensor in reader.tensors}
    missing = [name for name in _NEEDED if f"{kind}.{name}" not in reader.fields]
    missing += [] if "token_embd.weight" in shapes else ["token_embd.weight"]
    if missing:
        raise JamError(f"{where}: does not say {missing[0]}; is the file complete?")
    if _field(reader, where, f"{kind}.expert_count", 0):
        raise JamError(f"{where}: has mixtures of experts, which are not supported")
    if "rope_freqs.weight" in shapes:
        raise JamError(f"{where}: scales its rotary positions by a tensor, rope_freqs.weight, which is not supported")
    found = {new: _field(reader, where, f"{kind}.{old}", None) for old, new in _SIZES.items()}
    settings = {key: value for key, value in found.items() if value is not None}
    if not all(isinstance(value, int | float) for value in settings.values()):
        raise JamError(f"{where}: has layers of several sizes, which are not supported")
    turned = _field(reader, where, f"{kind}.rope.dimension_count", None)
    head_dim = settings.get("head_dim", settings["hidden_size"] // settings["num_attention_heads"])
    if kind == "llama" and "head_dim" not in settings and turned:
        settings["head_dim"] = head_dim = turned
    if turned not in (None, head_dim):
        raise JamError(f"{where}: turns {turned} of {head_dim} dimensions by position; all or none are supported")
    settings["vocab_size"] = shapes["token_embd.weight"][1]
    settings["tie_word_embeddings"] = "output.weight" not in shapes
    settings["attention_bias"] = kind != "qwen2" and "blk.0.attn_q.bias" in shapes
    if scaling := _scaling(reader, where, kind):
        settings["rope_scaling"] = scaling
    if kind == "gpt2":
        settings = {_GPT2_SIZES.get(key, key): value for key, value in settings.items()}
    return {"model_type": kind, **settings}


def _scaling(reader: gguf.GGUFReader, where: str, kind: str) -> dict[str, Any] | None:
    at = f"{kind}.rope.scaling."
    scaling = _field(reader, where, at + "type", "none")
    if scaling == "none":
        return None
    keys = {"factor": "factor", "original_context_length": "original_max_position_embeddings"}
    found = {new: _field(reader, where, at + old, None) for old, new in keys.items()}
    return {"rope_type": scaling} | {key: value for key, value in found.items() if value is not None}


def _field(reader: gguf.GGUFReader, where: str, name: str, *default: Any) -> Any:
    field = reader.get_field(name)
    if field is None:
        if default:
            return default[0]
        raise JamError(f"{where}: does not say {name}; is the file complete?")
    try:
        return field.contents()
    except (ValueError, IndexError, TypeError) as error:
        raise JamError(f"{where}: {name} cannot be read ({_one_line(error)})") from error


def _undo(settings: dict[str, Any], part: str, half: str) -> Callable[[np.ndarray], np.ndarray]:
    """What brings a tensor back to the form Hugging Face stores it in."""
    kind = settings["model_type"]
    if kind == "llama" and part in ("attn_q", "attn_k"):
        queries = settings["num_attention_heads"]
        heads = queries if part == "attn_q" else settings.get("num_key_value_heads", queries)
        # llama.cpp turns neighbouring rows by position, Hugging Face the rows of a head's two halves.
        return lambda rows: rows.reshape(heads, -1, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)
    if kind == "gemma" and part.endswith("norm"):
        return lambda scale: scale - 1
    if kind == "gpt2" and half == "weight" and part in ("attn_qkv", "attn_output", "ffn_up", "ffn_down"):
        return np.transpose
    return lambda same: same


def _read(where: str, tensor: gguf.ReaderTensor, undo: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    try:
        return undo(gguf.quants.dequantize(tensor.data, tensor.tensor_type))
    except (NotImplementedError, ValueError) as error:
        kind = tensor.tensor_type.name
        raise JamError(f"{where}: tensor {tensor.name} of type {kind} cannot be read ({_one_line(error)})") from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


__all__ = ["config", "forget", "open_gguf", "open_reader"]
