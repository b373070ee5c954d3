"""A trained modulator in use: numpy in, numpy out."""

import functools
import json
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from jam_jax.errors import JamError
from jam_jax.models import members
from jam_jax.models.autoencoder import Autoencoder
from jam_jax.models.inputs import Inputs
from jam_jax.training import checkpoints, objective, state


class JAM:
    """The autoencoders of a run with their training-set statistics.

    Activations are the layers that the run was trained on, side by side: [n, D] for images, [m, E] for texts. Latents
    are those of the run's members side by side, H = members * config['model']['latent'].
    """

    def __init__(self, config: Mapping[str, Any], inputs: Mapping[str, Inputs], params: Any):
        self.config = config
        self.inputs = inputs
        self.params = params
        modules = objective.modulator(config["model"], inputs["vision"].width, inputs["language"].width)
        self._encode = {name: jax.jit(functools.partial(members.encode, module)) for name, module in _named(modules)}
        self._decode = {name: jax.jit(functools.partial(members.decode, module)) for name, module in _named(modules)}

    @classmethod
    def load(cls, workdir: str | os.PathLike[str]) -> "JAM":
        """The best parameters of a run; raises JamError when the folder holds no run."""
        config_file = pathlib.Path(workdir) / "config.json"
        if not config_file.exists():
            raise JamError(f"{workdir}: holds no run (no config.json); train one with python -m jam_jax.main")
        config = json.loads(config_file.read_text())
        inputs = checkpoints.load_inputs(workdir)
        saved = checkpoints.Checkpoints(workdir)
        if inputs is None or saved.latest() is None:
            raise JamError(f"{workdir}: holds a run without a checkpoint; let python -m jam_jax.main finish it")
        modules = objective.modulator(config["model"], inputs["vision"].width, inputs["language"].width)
        like = jax.eval_shape(
            lambda: members.stack([state.init_params(modules, jax.random.key(0), 1.0) for _ in config["model"]["init"]])
        )
        params = saved.restore_best(like)
        saved.close()
        return cls(config, inputs, params)

    def encode_images(self, x_NxD: np.ndarray, *, unit: bool = True) -> np.ndarray:
        """Latents float32 [n, H] of image activations [n, D]; ``unit=False`` keeps the length the decoders need.

        Raises JamError on another width, NaN or infinite values.
        """
        return self._latents("vision", x_NxD, unit)

    def encode_texts(self, x_MxD: np.ndarray, *, unit: bool = True) -> np.ndarray:
        """Latents float32 [m, H] of text activations [m, E], in the space of ``encode_images``."""
        return self._latents("language", x_MxD, unit)

    def reconstruct_images(self, z_NxH: np.ndarray) -> np.ndarray:
        """Image activations float32 [n, D] of latents [n, H] made with ``unit=False``, of images or of texts."""
        return self._reconstructed("vision", z_NxH)

    def reconstruct_texts(self, z_MxH: np.ndarray) -> np.ndarray:
        """Text activations float32 [m, E] of latents [m, H] made with ``unit=False``, of texts or of images."""
        return self._reconstructed("language", z_MxH)

    def _latents(self, modality: str, x_NxD: np.ndarray, unit: bool) -> np.ndarray:
        x_NxD = _checked(x_NxD, len(self.inputs[modality].mean), f"{modality} activations")
        z_NxMxH = self._encode[modality](self.params[modality], self.inputs[modality](x_NxD))
        return np.asarray(members.unit(z_NxMxH) if unit else z_NxMxH.reshape(len(x_NxD), -1))

    def _reconstructed(self, modality: str, z_NxH: np.ndarray) -> np.ndarray:
        count, latent = len(self.config["model"]["init"]), self.config["model"]["latent"]
        z_NxMxH = _checked(z_NxH, count * latent, "latents").reshape(-1, count, latent)
        return self.inputs[modality].invert(np.asarray(self._decode[modality](self.params[modality], z_NxMxH)))


def _named(modules: objective.Modulator) -> Iterator[tuple[str, Autoencoder]]:
    return zip(modules._fields, modules, strict=True)


def _checked(values: np.ndarray, width: int, what: str) -> np.ndarray:
    values = np.asarray(values, np.float32)
    if values.ndim != 2 or values.shape[1] != width:
        raise JamError(f"{what} have shape {values.shape}; this run needs (rows, {width})")
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise JamError(f"{what}: row {row} is NaN or infinite; leave it out or export it again")
    return values
