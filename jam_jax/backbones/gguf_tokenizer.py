"""The tokenizer inside a GGUF file: transformers' own reader of such files needs torch, its converter does not."""

import pathlib
from typing import Any

import transformers
from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_TOKENIZER_MAPPING, convert_gguf_tokenizer

from jam_jax.backbones import gguf

_SPECIAL = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}


def load(file: pathlib.Path) -> Any:
    """A transformers tokenizer; raises OSError, ValueError or KeyError when the file holds none."""
    fields = gguf.open_reader(file).fields
    if "tokenizer.ggml.tokens" not in fields:
        raise ValueError("the GGUF file holds no vocabulary")
    described = {
        name: fields[f"tokenizer.{key}"].contents()
        for key, name in GGUF_TOKENIZER_MAPPING["tokenizer"].items()
        if f"tokenizer.{key}" in fields
    }
    fast, _ = convert_gguf_tokenizer(fields["general.architecture"].contents(), described)
    special = {
        name: described["tokens"][fields[f"tokenizer.ggml.{key}_token_id"].contents()]
        for name, key in _SPECIAL.items()
        if f"tokenizer.ggml.{key}_token_id" in fields
    }
    gguf.forget()  # of all that reads the file the tokenizer is the last, in every runtime
    return transformers.PreTrainedTokenizerFast(tokenizer_object=fast, **special)


__all__ = ["load"]
