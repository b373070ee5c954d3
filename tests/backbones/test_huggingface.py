import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from PIL import Image  # noqa: E402

from jam_jax import backbones  # noqa: E402
from jam_jax.backbones.pooling import pool  # noqa: E402
from jam_jax.errors import JamError  # noqa: E402

TEXTS = ["a red apple", "dog", "the big dog and a small cat with a house"]


@pytest.mark.parametrize("kind", ["bert", "mpnet", "llama"])
def test_language_hidden_states_are_those_of_transformers(tmp_path, tiny, kind):
    model = tiny.language(tmp_path, kind)
    backbone = backbones.load(str(tmp_path))
    assert (backbone.modality, backbone.padding_side, backbone.prefix_tokens) == ("language", "right", 1)
    assert backbone.widths == (16,) * 4
    batch = backbone.preprocess(TEXTS)
    hidden, mask = backbone.hidden_states(batch), backbone.mask(batch)
    assert mask.sum(axis=1).tolist() == backbone.lengths(TEXTS)
    for row, text in enumerate(TEXTS):
        words = [4 + tiny.words.index(word) for word in text.split()]
        ids = [1, *words] if kind == "llama" else [1, *words, 2]
        with torch.inference_mode():
            alone = model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states
        assert len(alone) == len(hidden)
        for ours, theirs in zip(hidden, alone, strict=True):
            np.testing.assert_allclose(ours[row][mask[row]], theirs[0].numpy(), atol=2e-6)


def test_decoders_pad_on_either_side_alike(tmp_path, tiny):
    pooled = {}
    for side in ("left", "right"):
        tiny.language(tmp_path / side, "llama", padding_side=side)
        backbone = backbones.load(str(tmp_path / side))
        assert backbone.padding_side == side
        batch = backbone.preprocess(TEXTS)
        for pooling in ("last", "mean", "mean_without_prefix"):
            states = [pool(h, backbone.mask(batch), pooling, 1) for h in backbone.hidden_states(batch)]
            pooled.setdefault(pooling, []).append(np.stack(states))
    for left, right in pooled.values():
        np.testing.assert_allclose(left, right, atol=2e-6)


def test_decoders_get_an_opening_token_and_say_so(tmp_path, tiny):
    tiny.language(tmp_path, "llama")
    backbone = backbones.load(str(tmp_path))
    assert backbone.text_template == "<s>{caption}"
    assert backbone.preprocess(["dog"])["ids"].tolist() == [[1, 4 + tiny.words.index("dog")]]


def test_the_separator_of_documents_opens_before_bos(tmp_path, tiny):
    tiny.language(tmp_path, "llama", words=["<|endoftext|>", *tiny.words[1:]])
    backbone = backbones.load(str(tmp_path))
    assert backbone.text_template == "<|endoftext|>{caption}"
    assert backbone.preprocess(["dog"])["ids"].tolist() == [[4, 4 + tiny.words.index("dog")]]


def test_encoders_pad_on_the_right_whatever_the_tokenizer_says(tmp_path, tiny):
    tiny.language(tmp_path, "bert", padding_side="left")
    backbone = backbones.load(str(tmp_path))
    assert backbone.padding_side == "right"
    assert backbone.text_template == "{caption}"


def test_long_texts_are_cut(tmp_path, tiny):
    tiny.language(tmp_path, "llama")
    backbone = backbones.load(str(tmp_path))
    assert backbone.lengths(["dog " * 100]) == [32]
    assert np.isfinite(backbone.hidden_states(backbone.preprocess(["dog " * 100]))[-1]).all()


@pytest.mark.parametrize(("kind", "prefix"), [("vit", 1), ("dinov2", 1), ("registers", 4)])
def test_vision_hidden_states_are_those_of_transformers(tmp_path, tiny, kind, prefix):
    model = tiny.vision(tmp_path, kind)
    backbone = backbones.load(str(tmp_path), name="eye", revision="1")
    assert (backbone.name, backbone.revision, backbone.modality) == ("eye", "1", "vision")
    assert backbone.widths == (16,) * 3
    assert backbone.prefix_tokens == prefix
    pictures = [Image.effect_noise((40, 40), 50).convert("RGB"), Image.new("RGB", (28, 28), "red")]
    batch = backbone.preprocess(pictures)
    hidden = backbone.hidden_states(batch)
    with torch.inference_mode():
        theirs = model(pixel_values=torch.tensor(batch["pixels"]), output_hidden_states=True).hidden_states
    for ours, expected in zip(hidden, theirs, strict=True):
        np.testing.assert_allclose(ours, expected.numpy(), atol=1e-6)
    pooled = pool(hidden[-1], backbone.mask(batch), "mean_without_prefix", prefix)
    np.testing.assert_allclose(pooled, theirs[-1][:, prefix:].mean(1).numpy(), atol=1e-6)


def test_transparency_becomes_white(tmp_path, tiny):
    tiny.vision(tmp_path, "vit")
    backbone = backbones.load(str(tmp_path))
    clear, white = Image.new("RGBA", (28, 28), (255, 0, 0, 0)), Image.new("RGB", (28, 28), "white")
    pixels = backbone.preprocess([clear, white])["pixels"]
    np.testing.assert_array_equal(pixels[0], pixels[1])


def test_damaged_folder_is_one_line(tmp_path, tiny):
    tiny.language(tmp_path, "bert")
    (tmp_path / "model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(JamError, match="transformers cannot load") as caught:
        backbones.load(str(tmp_path))
    assert "\n" not in str(caught.value)
