"""The tensors of a checkpoint by name: read one at a time, checked for shape, cast on load, and all accounted for."""

import functools
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from safetensors import SafetensorError, safe_open

from jam_jax.errors import JamError

# What stands in front of every name where a model was saved inside a larger one, such as a classifier.
_PREFIXES = (
    "model.", "transformer.", "bert.", "roberta.", "mpnet.", "distilbert.", "vit.", "dinov2.", "dinov2_with_registers.",
)  # fmt: skip
# Old checkpoints name the two halves of a layer norm as TensorFlow did.
_OLD_SPELLING = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
_SHOWN = 3


class Tensors:
    """Named arrays, each read when it is taken; ``where`` says in errors what they were read from.

    A name is found with or without the prefix that a model with a head puts in front of it ('bert.', 'model.', ...).
    """

    def __init__(self, where: str, readers: Mapping[str, Callable[[], np.ndarray]]):
        self.where = where
        self._readers = {_new_spelling(name): read for name, read in readers.items()}
        self._taken: set[str] = set()

    def names(self) -> list[str]:
        """All names in order, as the checkpoint has them."""
        return sorted(self._readers)

    def __contains__(self, name: str) -> bool:
        return self._find(name) is not None

    def take(self, name: str, shape: Sequence[int]) -> np.ndarray:
        """One tensor as float32; raises JamError when it is missing, of another shape or no floating-point numbers."""
        found = self._find(name)
        if found is None:
            raise JamError(
                f"{self.where}: tensor {name} of shape {_spell(shape)} is missing; is the config of this model?"
            )
        self._taken.add(found)
        array = self._readers[found]()
        if array.dtype.kind != "f" and array.dtype.name != "bfloat16":
            raise JamError(
                f"{self.where}: tensor {name} is stored as {array.dtype}; quantised weights are not read here"
            )
        if array.shape != tuple(shape):
            raise JamError(f"{self.where}: tensor {name} has shape {_spell(array.shape)}, expected {_spell(shape)}")
        return array.astype(np.float32, copy=False)

    def take_layers(self, name: str, layers: int, shape: Sequence[int]) -> np.ndarray:
        """Float32 [layers, *shape]: ``name`` holds '{}' where the number of the layer goes."""
        stacked = np.empty((layers, *shape), np.float32)
        for layer in range(layers):
            stacked[layer] = self.take(name.format(layer), shape)
        return stacked

    def finish(self, ignore: Iterable[str] = ()) -> None:
        """Raises JamError when a tensor was never taken, unless a pattern in ``ignore`` matches its whole name.

        Patterns are regular expressions for names without prefix.
        """
        patterns = [re.compile(pattern) for pattern in ignore]
        left = [
            name
            for name in self.names()
            if name not in self._taken and not any(p.fullmatch(n) for p in patterns for n in (name, _bare(name)))
        ]
        if left:
            shown = ", ".join(left[:_SHOWN]) + (f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else "")
            raise JamError(f"{self.where}: holds tensors that the model of its config does not have: {shown}")

    def _find(self, name: str) -> str | None:
        candidates = (prefix + name for prefix in ("", *_PREFIXES))
        return next((candidate for candidate in candidates if candidate in self._readers), None)


def open_safetensors(files: Sequence[str | os.PathLike[str]]) -> Tensors:
    """Tensors of one safetensors file or of all shards of a model, read through memory maps.

    Raises JamError when there is no file, when one is damaged, and when two files hold the same name.
    """
    if not files:
        raise JamError("no safetensors file was given")
    paths = [os.fspath(file) for file in files]
    readers: dict[str, Callable[[], np.ndarray]] = {}
    for path in paths:
        try:
            with safe_open(path, framework="numpy") as file:
                names = sorted(file.keys())
        except (OSError, SafetensorError) as error:
            raise JamError(f"{path}: is no readable safetensors file ({error}); copy or fetch it again") from error
        for name in names:
            if name in readers:
                raise JamError(f"{path}: tensor {name} is in another file as well; give the shards of one model")
            readers[name] = functools.partial(_read, path, name)
    return Tensors(paths[0] if len(paths) == 1 else os.path.dirname(paths[0]) or ".", readers)


def from_arrays(arrays: Mapping[str, np.ndarray], where: str) -> Tensors:
    """Tensors that are in memory already; ``where`` names their file."""
    return Tensors(where, {name: functools.partial(np.asarray, array) for name, array in arrays.items()})


def _read(path: str, name: str) -> np.ndarray:
    # Mapped anew for each tensor, or the pages of the whole file would stay in memory beside the copies made of them.
    try:
        with safe_open(path, framework="numpy") as file:
            return file.get_tensor(name)  # bfloat16 comes as the type of ml_dtypes
    except (OSError, SafetensorError, TypeError, AttributeError) as error:
        raise JamError(f"{path}: tensor {name} cannot be read ({error})") from error


def _new_spelling(name: str) -> str:
    for old, new in _OLD_SPELLING.items():
        name = name.removesuffix(old) + new if name.endswith(old) else name
    return name


def _bare(name: str) -> str:
    return next((name.removeprefix(prefix) for prefix in _PREFIXES if name.startswith(prefix)), name)


def _spell(shape: Sequence[int]) -> str:
    return f"[{', '.join(map(str, shape))}]"


__all__ = ["Tensors", "from_arrays", "open_safetensors"]
