"""Hidden states of text encoders against those of transformers' torch models, read from the same folder."""

import json
import os
import pathlib

import jax
import numpy as np
import pytest
import torch
import transformers
from safetensors.numpy import load_file, save_file
from transformers.models.mpnet.modeling_mpnet import MPNetEncoder

from jam_jax.activations import Pairs
from jam_jax.backbones import encoder, huggingface, weights
from jam_jax.backbones.tensors import open_safetensors
from jam_jax.errors import JamError

DATA = os.environ.get("JAM_JAX_DATA", "")
WORDS = 50
SIZE = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24}
SIZE |= {"vocab_size": WORDS, "max_position_embeddings": 40}
KINDS = {
    "bert": lambda: transformers.BertConfig(**SIZE),
    "roberta": lambda: transformers.RobertaConfig(**SIZE, pad_token_id=4, type_vocab_size=1, layer_norm_eps=1e-5),
    "xlm-roberta": lambda: transformers.XLMRobertaConfig(**SIZE, hidden_act="relu"),
    "mpnet": lambda: transformers.MPNetConfig(**SIZE),
    "distilbert": lambda: transformers.DistilBertConfig(
        dim=16, n_layers=3, n_heads=2, hidden_dim=24, vocab_size=WORDS, max_position_embeddings=40
    ),
}


def randomised(model):
    """Every parameter random: norms and biases that start at 1 and 0 would hide mistakes."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            centre = 1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0
            parameter.normal_(centre, 0.3)
    return model.eval()


def saved(folder, kind, **options):
    model = randomised(transformers.AutoModel.from_config(KINDS[kind]()))
    model.save_pretrained(folder, **options)
    return model


def loaded(folder):
    config = encoder.config_from(json.loads((folder / "config.json").read_text()))
    return config, encoder.params_from(open_safetensors(sorted(folder.glob("*.safetensors"))), config)


def ours(params, config, ids, mask, **options):
    run = jax.jit(lambda params, ids, mask: encoder.hidden_states(params, config, ids, mask, **options))
    with jax.default_matmul_precision("highest"):
        return np.asarray(run(params, ids, mask))


def theirs(model, ids, mask):
    with torch.inference_mode():
        output = model(
            input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask).long(), output_hidden_states=True
        )
    return np.stack([hidden.numpy() for hidden in output.hidden_states])


def texts(pad, tokens=9):
    """Rows of several lengths, padded on the right; no real token is the pad."""
    mask = np.arange(tokens) < np.array([[tokens], [1], [tokens // 2]])
    ids = np.random.default_rng(0).integers(5, WORDS, mask.shape)
    return np.where(mask, ids, pad), mask


@pytest.mark.parametrize("kind", KINDS)
def test_every_hidden_state_is_that_of_transformers(tmp_path, kind):
    model = saved(tmp_path, kind)
    config, params = loaded(tmp_path)
    ids, mask = texts(model.config.pad_token_id)
    got, expected = ours(params, config, ids, mask), theirs(model, ids, mask)
    assert got.shape == expected.shape and np.isfinite(got).all()
    np.testing.assert_allclose(got[:, mask], expected[:, mask], atol=1e-4, rtol=0)


def test_positions_are_counted_from_ids_and_not_from_the_mask(tmp_path):
    model = saved(tmp_path, "roberta")
    config, params = loaded(tmp_path)
    ids, mask = texts(model.config.pad_token_id)
    ids[0, 3] = model.config.pad_token_id  # the pad in the midst of a text
    np.testing.assert_allclose(
        ours(params, config, ids, mask)[:, mask], theirs(model, ids, mask)[:, mask], atol=1e-4, rtol=0
    )  # fmt: skip


def test_padding_changes_nothing(tmp_path):
    model = saved(tmp_path, "mpnet")
    config, params = loaded(tmp_path)
    ids, mask = texts(model.config.pad_token_id)
    alone = ours(params, config, ids[2:, :4], mask[2:, :4])
    np.testing.assert_allclose(ours(params, config, ids, mask)[:, 2:, :4], alone, atol=1e-5)


@pytest.mark.parametrize("kind", ["bert", "mpnet"])
def test_the_longest_text_fits_and_a_longer_one_is_refused(tmp_path, kind):
    model = saved(tmp_path, kind)
    config, params = loaded(tmp_path)
    longest = 40 if kind == "bert" else 38
    assert config.max_tokens == longest
    ids, mask = np.full((1, longest), 7), np.ones((1, longest), bool)
    np.testing.assert_allclose(ours(params, config, ids, mask), theirs(model, ids, mask), atol=1e-4, rtol=0)
    with pytest.raises(JamError, match=f"a text has {longest + 1} tokens, this model takes {longest}"):
        encoder.hidden_states(params, config, np.full((1, longest + 1), 7), np.ones((1, longest + 1), bool))


def test_buckets_are_those_of_mpnet():
    places = torch.arange(514)
    expected = MPNetEncoder.relative_position_bucket(places[None] - places[:, None])
    np.testing.assert_array_equal(encoder.buckets(514), expected)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (transformers.RobertaForMaskedLM, "roberta"),
        (transformers.MPNetForMaskedLM, "mpnet"),
        (transformers.DistilBertForMaskedLM, "distilbert"),
        (transformers.BertForPreTraining, "bert"),
        (transformers.BertForSequenceClassification, "bert"),
    ],
)
def test_a_head_and_shards_change_nothing(tmp_path, head, kind):
    whole = randomised(head(KINDS[kind]()))
    whole.save_pretrained(tmp_path / "whole", max_shard_size="8KB")
    whole.base_model.save_pretrained(tmp_path / "alone")
    assert len(list((tmp_path / "whole").glob("*.safetensors"))) > 1
    jax.tree.map(np.testing.assert_array_equal, loaded(tmp_path / "whole")[1], loaded(tmp_path / "alone")[1])


def test_bfloat16_is_cast_on_load(tmp_path):
    model = saved(tmp_path / "float32", "mpnet").to(torch.bfloat16)
    model.save_pretrained(tmp_path / "bfloat16")
    model.float().save_pretrained(tmp_path / "rounded")
    params = loaded(tmp_path / "bfloat16")[1]
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {np.dtype(np.float32)}
    jax.tree.map(np.testing.assert_array_equal, params, loaded(tmp_path / "rounded")[1])


def test_old_names_of_layer_norms_are_read(tmp_path):
    saved(tmp_path, "bert")
    _, expected = loaded(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    spelling = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    for name in list(tensors):
        old = name
        for new_half, old_half in spelling.items():
            old = old.replace(new_half, old_half)
        tensors["bert." + old] = tensors.pop(name)
    save_file(tensors, tmp_path / "model.safetensors")
    jax.tree.map(np.testing.assert_array_equal, loaded(tmp_path)[1], expected)


def test_an_unknown_id_is_no_silent_number(tmp_path):
    saved(tmp_path, "bert")
    config, params = loaded(tmp_path)
    assert np.isnan(ours(params, config, np.array([[WORDS]]), np.ones((1, 1), bool))).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "deberta"}, "model_type 'deberta' is not supported; known: bert, roberta"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type 'relative_key' is not supported"),
        ({"hidden_act": "mish"}, "hidden_act 'mish' is not supported"),
        ({"is_decoder": True}, "is_decoder True is not supported"),
        ({"hidden_size": 100}, "hidden_size 100 is no multiple of num_attention_heads 12"),
        ({"model_type": "mpnet", "relative_attention_num_buckets": 16}, "relative_attention_num_buckets 16 is not"),
        ({"model_type": "roberta", "pad_token_id": None}, "pad_token_id is None, expected a whole number"),
        ({"model_type": "distilbert", "activation": "mish"}, "activation 'mish' is not supported"),
    ],
)
def test_settings_that_are_not_supported_are_named(change, message):
    with pytest.raises(JamError, match=message):
        encoder.config_from({"model_type": "bert"} | change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.pop("encoder.layer.1.output.dense.bias"),
            "encoder.layer.1.output.dense.bias of shape .16. is mis",
        ),
        (lambda t: t.update(extra=np.ones(1, np.float32)), "does not have: extra"),
        (
            lambda t: t.update({"embeddings.word_embeddings.weight": np.ones((WORDS + 1, 16), np.float32)}),
            r"embeddings.word_embeddings.weight has shape \[51, 16\], expected \[50, 16\]",
        ),
    ],
)
def test_wrong_tensors_are_named(tmp_path, change, message):
    saved(tmp_path, "bert")
    tensors = load_file(tmp_path / "model.safetensors")
    change(tensors)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(JamError, match=message):
        loaded(tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="JAM_JAX_DATA names no fetched data folder")
@pytest.mark.parametrize("name", ["minilm", "mpnet"])
def test_real_weights_on_real_captions(name):
    folder = pathlib.Path(DATA, "weights", name)
    model = huggingface.load(weights.locate(str(folder)))
    config, params = loaded(folder)
    captions = Pairs.open(os.path.join(DATA, "pairs.parquet")).caption_texts[::600]
    batch = model.preprocess(captions)
    expected = np.stack(model.hidden_states(batch))[:, batch["mask"]]
    got = ours(params, config, batch["ids"], batch["mask"])[:, batch["mask"]]
    np.testing.assert_allclose(got, expected, atol=1e-4, rtol=0)
