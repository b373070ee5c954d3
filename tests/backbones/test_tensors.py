import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from jam_jax.backbones.tensors import from_arrays, open_safetensors
from jam_jax.errors import JamError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16])
def test_every_dtype_is_cast_on_load(tmp_path, dtype):
    stored = RNG.normal(size=(2, 3)).astype(dtype)
    save_file({"a": stored}, tmp_path / "model.safetensors")
    got = open_safetensors([tmp_path / "model.safetensors"]).take("a", (2, 3))
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, stored.astype(np.float32))


def test_shards_are_one_model(tmp_path):
    arrays = {f"layer.{i}.weight": np.full((2,), i, np.float32) for i in range(3)}
    for i, (name, array) in enumerate(arrays.items()):
        save_file({name: array}, tmp_path / f"model-{i}.safetensors")
    tensors = open_safetensors(sorted(tmp_path.glob("*.safetensors")))
    assert tensors.where == str(tmp_path)
    assert tensors.names() == sorted(arrays)
    np.testing.assert_array_equal(tensors.take_layers("layer.{}.weight", 3, (2,)), [[0, 0], [1, 1], [2, 2]])
    tensors.finish()


def test_prefix_and_old_spelling_are_understood():
    tensors = from_arrays({"bert.a.LayerNorm.gamma": np.ones(2), "bert.a.LayerNorm.beta": np.zeros(2)}, "old")
    assert "a.LayerNorm.weight" in tensors and "a.weight" not in tensors
    assert tensors.take("a.LayerNorm.weight", (2,)).tolist() == [1, 1]
    assert tensors.take("bert.a.LayerNorm.bias", (2,)).tolist() == [0, 0]
    tensors.finish()


def test_what_is_left_is_named_unless_ignored():
    tensors = from_arrays({name: np.ones(1) for name in ("a", "bert.pooler.dense.bias", "x.1", "x.2", "x.3", "y")}, "f")
    tensors.take("a", (1,))
    with pytest.raises(JamError, match=r"f: holds tensors .*: bert.pooler.dense.bias, x.1, x.2 and 2 more$"):
        tensors.finish()
    with pytest.raises(JamError, match=": y$"):
        tensors.finish(ignore=(r"pooler\..*", r"x\.\d"))
    tensors.finish(ignore=(r"pooler\..*", r"x\.\d", "y"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("b", r"f: tensor b of shape \[2, 3\] is missing"),
        ("a", r"f: tensor a has shape \[3, 2\], expected \[2, 3\]"),
        ("ids", "f: tensor ids is stored as int8; quantised weights"),
    ],
)
def test_what_cannot_be_taken_is_named(name, message):
    tensors = from_arrays({"a": np.ones((3, 2)), "ids": np.ones((2, 3), np.int8)}, "f")
    with pytest.raises(JamError, match=message) as caught:
        tensors.take(name, (2, 3))
    assert "\n" not in str(caught.value)


def test_damaged_missing_and_doubled_files_are_named(tmp_path):
    (tmp_path / "bad.safetensors").write_bytes(b"not tensors")
    for name in ("bad", "missing"):
        with pytest.raises(JamError, match=f"{name}.safetensors: is no readable safetensors file"):
            open_safetensors([tmp_path / f"{name}.safetensors"])
    for name in ("one", "two"):
        save_file({"a": np.ones(1)}, tmp_path / f"{name}.safetensors")
    with pytest.raises(JamError, match="two.safetensors: tensor a is in another file as well"):
        open_safetensors([tmp_path / "one.safetensors", tmp_path / "two.safetensors"])
    with pytest.raises(JamError, match="no safetensors file"):
        open_safetensors([])
