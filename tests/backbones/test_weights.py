import hashlib

import numpy as np
import pytest

from jam_jax import backbones
from jam_jax.backbones import weights
from jam_jax.errors import JamError


def test_hash_is_that_of_the_files_in_order(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model-00002.safetensors").write_bytes(b"second")
    (tmp_path / "model-00001.safetensors").write_bytes(b"first")
    source = weights.locate(str(tmp_path), revision="r1")
    assert (source.kind, source.name, source.revision) == ("huggingface", tmp_path.name, "r1")
    assert source.sha256 == hashlib.sha256(b"firstsecond").hexdigest()


KINDS = [("a.onnx", "dinov2-onnx"), ("a.gguf", "gguf"), ("a.pth", "efficientnet-lite")]


@pytest.mark.parametrize(("file", "kind"), KINDS)
def test_kinds_are_known_by_file_and_by_folder(tmp_path, file, kind):
    (tmp_path / file).write_bytes(b"x")
    (tmp_path / "README.md").write_text("")
    assert weights.locate(str(tmp_path)).kind == weights.locate(str(tmp_path / file)).kind == kind
    assert weights.locate(str(tmp_path)).name == tmp_path.name
    assert weights.locate(str(tmp_path / file)).name == "a"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "nowhere" / "at" / "all", "no file or folder"),
        (lambda folder: folder, "holds no weights"),
        (lambda folder: folder / "weights.npz", "is of no known kind"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(tmp_path, make, message):
    (tmp_path / "weights.npz").write_bytes(b"x")
    with pytest.raises(JamError, match=message):
        weights.locate(str(make(tmp_path)))


def test_unknown_runtime():
    with pytest.raises(JamError, match="runtime 'tpu' is unknown; choose from flax, jax, torch"):
        backbones.load("anything", runtime="tpu")


def onnx_graph(width, positions):
    """What the exporter leaves of one linear layer, one layer norm and the position embedding; arrays by true name."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    linear, bias, norm = rng.normal(size=(width, width)), rng.normal(size=width), rng.normal(size=(2, width))
    places = rng.normal(size=(1, 1 + positions, width))
    linear, bias, norm, places = (np.float32(array) for array in (linear, bias, norm, places))
    initializers = {
        "backbone.layer.dense.bias": bias,
        "backbone.norm.weight": norm[0],
        "backbone.norm.bias": norm[1],
        "onnx::MatMul_1": np.ascontiguousarray(linear.T),
        "onnx::Concat_2": places[:, :1],
        "onnx::Reshape_3": places[:, 1:],
        "decoder.weight": bias,
    }
    nodes = [
        helper.make_node("MatMul", ["x", "onnx::MatMul_1"], ["product"]),
        helper.make_node("Add", ["backbone.layer.dense.bias", "product"], ["dense"]),
        helper.make_node("Mul", ["dense", "backbone.norm.weight"], ["scaled"]),
        helper.make_node("Add", ["scaled", "backbone.norm.bias"], ["y"]),
    ]
    floats = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, width])  # noqa: E731
    tensors = [numpy_helper.from_array(value, name) for name, value in initializers.items()]
    model = helper.make_model(helper.make_graph(nodes, "tiny", [floats("x")], [floats("y")], tensors))
    names = ("layer.dense.weight", "layer.dense.bias", "norm.weight", "norm.bias", "embeddings.position_embeddings")
    return model, dict(zip(names, (linear, bias, norm[0], norm[1], places), strict=True))


def test_onnx_constants_get_their_names_back(tmp_path):
    onnx = pytest.importorskip("onnx")
    model, expected = onnx_graph(width=6, positions=9)
    onnx.save(model, str(tmp_path / "tiny.onnx"))
    got = weights.read_dinov2_onnx(tmp_path / "tiny.onnx", {"hidden_size": 6, "positions": 9})
    assert set(got) == set(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(got[name], value, err_msg=name)


def test_onnx_of_another_layout_is_refused(tmp_path):
    onnx = pytest.importorskip("onnx")
    model, _ = onnx_graph(width=6, positions=9)
    onnx.save(model, str(tmp_path / "tiny.onnx"))
    with pytest.raises(JamError, match="no position embedding of 16 patches"):
        weights.read_dinov2_onnx(tmp_path / "tiny.onnx", {"hidden_size": 6, "positions": 16})
    model.graph.node[0].op_type = "Gemm"
    onnx.save(model, str(tmp_path / "tiny.onnx"))
    with pytest.raises(JamError, match="no weight feeds the bias backbone.layer.dense.bias"):
        weights.read_dinov2_onnx(tmp_path / "tiny.onnx", {"hidden_size": 6, "positions": 9})
