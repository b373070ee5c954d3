import json
import os
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from PIL import Image  # noqa: E402

from jam_jax import backbones  # noqa: E402
from jam_jax.backbones.jitted import bucket  # noqa: E402
from jam_jax.errors import JamError  # noqa: E402

TEXTS = ["a red apple", "dog", "the big dog and a small cat with a house", "cat", "a cat and a dog"]
PICTURES = [Image.effect_noise((40, 40), 50).convert("RGB"), *(Image.new("RGB", (28, 28), c) for c in ("red", "blue"))]


def test_buckets_grow_by_halves():
    sizes = [bucket(n) for n in range(1, 200)]
    assert sorted(set(sizes)) == [1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256]
    assert all(n <= size <= max(n + 1, 1.5 * n) for n, size in enumerate(sizes, 1))


def cases(*fast):
    """(runtime, kind, side) where those named are fast and the rest is slow: compiling takes seconds each."""
    every = [(r, k, s) for r in ("flax", "jax") for k in ("bert", "mpnet", "llama") for s in ("left", "right")]
    return [case if case in fast else pytest.param(*case, marks=pytest.mark.slow) for case in every]


@pytest.mark.parametrize(
    ("runtime", "kind", "side"),
    cases(("flax", "bert", "left"), ("flax", "llama", "left")),
)
def test_language_runtimes_agree(tmp_path, tiny, capsys, runtime, kind, side):
    tiny.language(tmp_path, kind, padding_side=side)
    ours, torchs = backbones.load(str(tmp_path), runtime), backbones.load(str(tmp_path), "torch")
    for attribute in ("widths", "modality", "text_template", "prefix_tokens", "weight_hash"):
        assert getattr(ours, attribute) == getattr(torchs, attribute)
    batch, torch_batch = ours.preprocess(TEXTS), torchs.preprocess(TEXTS)
    mask, torch_mask = ours.mask(batch), torchs.mask(torch_batch)
    for jax_NxTxD, torch_NxTxD in zip(ours.hidden_states(batch), torchs.hidden_states(torch_batch), strict=True):
        np.testing.assert_allclose(jax_NxTxD[mask], torch_NxTxD[torch_mask], atol=2e-5)
    for pooling in ("cls", "last", "mean", "mean_without_prefix"):
        found, expected = ours.pooled(batch, (0, 3), pooling), torchs.pooled(torch_batch, (0, 3), pooling)
        assert list(found) == [0, 3]
        for layer in found:
            np.testing.assert_allclose(found[layer], expected[layer], atol=2e-5)
    assert "tried" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("runtime", "kind"),
    [("flax", "registers"), *(pytest.param("flax", kind, marks=pytest.mark.slow) for kind in ("vit", "dinov2")),
     *(pytest.param("jax", kind, marks=pytest.mark.slow) for kind in ("vit", "dinov2", "registers"))],
)  # fmt: skip
def test_vision_runtimes_agree(tmp_path, tiny, runtime, kind):
    tiny.vision(tmp_path, kind)
    ours, torchs = backbones.load(str(tmp_path), runtime), backbones.load(str(tmp_path), "torch")
    assert (ours.widths, ours.prefix_tokens) == (torchs.widths, torchs.prefix_tokens)
    batch = ours.preprocess(PICTURES)
    for jax_NxTxD, torch_NxTxD in zip(ours.hidden_states(batch), torchs.hidden_states(batch), strict=True):
        np.testing.assert_allclose(jax_NxTxD, torch_NxTxD, atol=2e-5)
    for pooling in ("cls", "mean_without_prefix"):
        found, expected = ours.pooled(batch, (0, 2), pooling), torchs.pooled(batch, (0, 2), pooling)
        for layer in found:
            np.testing.assert_allclose(found[layer], expected[layer], atol=2e-5)


@pytest.mark.slow
def test_long_texts_are_cut_where_the_positions_end(tmp_path, tiny):
    for kind in ("bert", "mpnet", "llama"):
        tiny.language(tmp_path / kind, kind)
        ours = backbones.load(str(tmp_path / kind), "flax")
        batch = ours.preprocess(["dog " * 100])
        assert ours.lengths(["dog " * 100]) == [32]
        assert np.isfinite(ours.hidden_states(batch)[-1]).all()


def test_what_flax_has_not_goes_on_in_another_runtime_aloud(tmp_path, tiny, capsys):
    import transformers

    size = {"vocab_size": 16, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.OPTConfig(**size, ffn_dim=24, word_embed_proj_dim=16, max_position_embeddings=40)
    transformers.AutoModel.from_config(config).save_pretrained(tmp_path)
    tiny.tokenizer(tmp_path, encoder=False, padding_side="right", words=tiny.words)
    backbone = backbones.load(str(tmp_path), "flax")
    said = capsys.readouterr().err
    assert "architecture 'opt' has no JAX-native form here; the jax runtime is tried" in said
    expected = backbones.load(str(tmp_path), "torch")
    batch = expected.preprocess(TEXTS)
    found, expected = backbone.pooled(batch, (2,), "mean"), expected.pooled(batch, (2,), "mean")
    np.testing.assert_allclose(found[2], expected[2], atol=2e-5)


def test_a_missing_tensor_is_named(tmp_path, tiny):
    from safetensors.numpy import load_file, save_file

    tiny.language(tmp_path, "bert")
    tensors = load_file(tmp_path / "model.safetensors")
    name = next(name for name in tensors if name.endswith("encoder.layer.1.output.dense.weight"))
    del tensors[name]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(JamError, match="encoder.layer.1.output.dense.weight") as caught:
        backbones.load(str(tmp_path), "flax")
    assert "\n" not in str(caught.value)


SHARDED = """
import json, sys
import numpy as np
from jam_jax import backbones
backbone = backbones.load(sys.argv[1], "flax")
batch = backbone.preprocess(json.loads(sys.argv[2]))
pooled = backbone.pooled(batch, (0, 3), "mean")
assert len(pooled[3]) == len(json.loads(sys.argv[2]))
print(json.dumps({layer: np.asarray(values).tolist() for layer, values in pooled.items()}))
"""


@pytest.mark.slow
def test_eight_devices_share_the_rows(tmp_path, tiny):
    tiny.language(tmp_path, "llama")
    ours = backbones.load(str(tmp_path), "flax")
    expected = ours.pooled(ours.preprocess(TEXTS), (0, 3), "mean")
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    command = [sys.executable, "-c", SHARDED, str(tmp_path), json.dumps(TEXTS)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    for layer in (0, 3):
        np.testing.assert_allclose(found[str(layer)], expected[layer], atol=1e-6)


@pytest.mark.slow
def test_the_flax_runtime_imports_no_torch(tmp_path, tiny):
    tiny.language(tmp_path, "llama")
    code = (
        "import sys; sys.modules['torch'] = None; from jam_jax import backbones; "
        "b = backbones.load(sys.argv[1], 'flax'); print(b.pooled(b.preprocess(['a dog']), (1,), 'mean')[1].shape)"
    )
    environment = os.environ | {"USE_TORCH": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip().endswith("(1, 16)"), done.stderr
