"""From what stands in the stores to what a step sees, on the device: int8 and bfloat16 travel as they are."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jam_jax.activations.batches import Batch
from jam_jax.activations.stored import Stored
from jam_jax.activations.stream import Array, Codes
from jam_jax.models.inputs import Inputs


class Expansion(NamedTuple):
    """What turns one modality's codes into inputs.

    Attributes:
      scale, offset: [S, D] of each shard, value = code * scale + offset; [0, 0] where the codes are the values.
      inputs: training-set statistics.
    """

    scale: Array
    offset: Array
    inputs: Inputs

    @classmethod
    def of(cls, stored: Stored, inputs: Inputs) -> "Expansion":
        """That of a modality, on the host."""
        return cls(*stored.scales(), inputs)

    def __call__(self, codes: jax.Array, shard: jax.Array) -> jax.Array:
        """Inputs float32 [..., P] of codes [..., D] and their shards [...]."""
        values: Any = codes.astype(jnp.float32)
        if self.scale.size:
            values = values * self.scale[shard] + self.offset[shard]
        inputs: Any = self.inputs(values)
        return inputs


def expand(codes: Codes, vision: Expansion, language: Expansion) -> Batch:
    """The batch that a step sees."""
    return Batch(
        vision=vision(codes.vision, codes.vision_shard),
        language=language(codes.language, codes.language_shard),
        negatives=language(codes.negatives, codes.negatives_shard),
        mask=codes.mask,
        same=codes.group[:, None] == codes.group[None, :],
        same_negatives=codes.item[:, None, None] == codes.owner[None, :, :],
    )
