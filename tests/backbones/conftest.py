"""Tiny random models in Hugging Face form, written to a folder by the tests."""

import types

import pytest

WORDS = ["red", "green", "apple", "dog", "cat", "house", "with", "a", "big", "small", "and", "the"]


def save_tokenizer(folder, *, encoder, padding_side, words):
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    special = ["<pad>", "<s>", "</s>", "<unk>"]
    vocabulary = {token: i for i, token in enumerate(special + words)}
    fast = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    fast.pre_tokenizer = pre_tokenizers.Whitespace()
    if encoder:
        around = [("<s>", 1), ("</s>", 2)]
        fast.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=around)
    wrapped = transformers.PreTrainedTokenizerFast(
        tokenizer_object=fast, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        padding_side=padding_side, model_max_length=32,
    )  # fmt: skip
    wrapped.save_pretrained(folder)


def save_language_model(folder, kind, padding_side="right", words=WORDS):
    """Saves a random 'bert', 'mpnet' or 'llama' and returns the model."""
    import torch
    import transformers

    torch.manual_seed(0)
    size = {"vocab_size": 4 + len(WORDS), "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}
    size |= {"intermediate_size": 24, "max_position_embeddings": 40}
    size |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    config = {
        "bert": lambda: transformers.BertConfig(**size),
        "mpnet": lambda: transformers.MPNetConfig(**size),
        "llama": lambda: transformers.LlamaConfig(**size, num_key_value_heads=1),
    }[kind]()
    model = transformers.AutoModel.from_config(config).eval()
    model.save_pretrained(folder)
    save_tokenizer(folder, encoder=kind != "llama", padding_side=padding_side, words=words)
    return model


def save_vision_model(folder, kind):
    """Saves a random 'vit', 'dinov2' or 'registers' (Dinov2 with registers) for 28-pixel pictures and returns it."""
    import torch
    import transformers

    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 28, "patch_size": 14}
    config = {
        "vit": lambda: transformers.ViTConfig(**size, intermediate_size=24),
        "dinov2": lambda: transformers.Dinov2Config(**size),
        "registers": lambda: transformers.Dinov2WithRegistersConfig(**size, num_register_tokens=3),
    }[kind]()
    model = transformers.AutoModel.from_config(config).eval()
    model.save_pretrained(folder)
    transformers.ViTImageProcessor(size={"height": 28, "width": 28}).save_pretrained(folder)
    return model


@pytest.fixture
def tiny():
    """Makers of tiny models, and the words that their tokenizer knows."""
    return types.SimpleNamespace(
        language=save_language_model, vision=save_vision_model, tokenizer=save_tokenizer, words=WORDS
    )
