"""EfficientNet-Lite through the efficientnet-lite-pytorch package: stem, blocks and head as layers.

The package is unmaintained since 2020 but runs unchanged with torch 2.13. Only its architecture is used: its own loader
unpickles weights, ours reads tensors and nothing else.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet

from jam_jax.backbones.pictures import Preprocessing
from jam_jax.backbones.pooling import PooledOnHost
from jam_jax.backbones.weights import Source
from jam_jax.errors import JamError

# (x - 127) / 128 as in the TensorFlow original, not the ImageNet statistics of the package's README: with it the
# batch statistics of the stem on photographs match those stored in the weights (log-variance error 0.09 against 2.8).
PREPROCESSING = Preprocessing(224, (127 / 255,) * 3, (128 / 255,) * 3)


class EfficientNetLite(PooledOnHost):
    """See ``backbones.Backbone``. Layer 0 is the stem, then one layer per block, and last the 1280-wide head."""

    modality = "vision"
    padding_side = ""
    text_template = ""
    prefix_tokens = 0

    def __init__(self, model: EfficientNet, source: Source):
        self.model = model.eval()
        self.name, self.revision, self.weight_hash = source.name, source.revision, source.sha256
        self.widths = tuple(h.shape[2] for h in self.hidden_states({"pixels": np.zeros((1, 3, 224, 224), np.float32)}))

    def preprocess(self, inputs: Sequence[Any]) -> dict[str, np.ndarray]:
        """PIL pictures to {'pixels': float32 [N, 3, 224, 224]}."""
        return {"pixels": PREPROCESSING(inputs)}

    def lengths(self, inputs: Sequence[Any]) -> list[int]:
        """All pictures are resized to one size."""
        return [1] * len(inputs)

    @torch.inference_mode()
    def hidden_states(self, batch: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
        """Float32 [N, H * W, C] of each layer."""
        net = self.model
        x = net._swish(net._bn0(net._conv_stem(torch.from_numpy(batch["pixels"]))))
        maps_NxCxHxW = [x]
        for block in net._blocks:
            x = block(x)
            maps_NxCxHxW.append(x)
        maps_NxCxHxW.append(net._swish(net._bn1(net._conv_head(x))))
        return tuple(h.flatten(2).transpose(1, 2).numpy() for h in maps_NxCxHxW)

    def mask(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        """True [N, 1]: every place of a picture is real."""
        return np.ones((len(batch["pixels"]), 1), bool)


def load(source: Source) -> EfficientNetLite:
    """Loads EfficientNet-Lite0 weights; raises JamError when they are of another network."""
    tensors = torch.load(source.path, map_location="cpu", weights_only=True)
    model = EfficientNet.from_name("efficientnet-lite0")
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise JamError(f"{source.path}: does not hold the weights of EfficientNet-Lite0; see docs/data.md") from error
    return EfficientNetLite(model, source)


__all__ = ["EfficientNetLite", "load"]
