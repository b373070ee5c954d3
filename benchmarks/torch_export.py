"""The peer of benchmarks/export.py: transformers in eager PyTorch, as a careful user would write it.

Started by that file. Inference mode, fused attention (transformers' default), all layers pooled in torch before they go
to NumPy, an allocator that keeps freed memory. Preprocessing is the same as ours, because it is transformers' own.
"""

import argparse
import pathlib
from typing import Any

import torch
from PIL import Image

from benchmarks.export import BATCH, inputs
from benchmarks.worker import serve
from jam_jax.allocator import keep_freed_memory
from jam_jax.backbones import huggingface, weights
from jam_jax.config import load_file


def pooled(hidden_NxTxD: torch.Tensor, mask_NxT: torch.Tensor) -> torch.Tensor:
    """The mean over kept tokens."""
    kept = mask_NxT[:, :, None].to(hidden_NxTxD.dtype)
    return (hidden_NxTxD * kept).sum(1) / kept.sum(1)


@torch.inference_mode()
def run(model: Any, given: list[Any], without_prefix: int) -> list[torch.Tensor]:
    """Pooled rows of every layer."""
    vision = model.modality == "vision"
    parts = []
    for start in range(0, len(given), BATCH):
        chunk = given[start : start + BATCH]
        batch = model.preprocess([Image.open(file) for file in chunk] if vision else chunk)
        hidden = model.model(**model.arguments(batch), output_hidden_states=True).hidden_states
        every = torch.ones(hidden[0].shape[:2], dtype=torch.bool)
        mask_NxT = every if vision else torch.from_numpy(batch["mask"])
        mask_NxT = mask_NxT & (mask_NxT.cumsum(1) > without_prefix)
        parts.append(torch.stack([pooled(h, mask_NxT) for h in hidden]))
    return list(torch.cat(parts, 1))


def main() -> None:
    """Serves timings of this side."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--sorted", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = huggingface.load(weights.locate(str(arguments.data / "weights" / arguments.name)))
    pooling = load_file("configs/export/emoji.py", arguments.name).pooling
    prefix = model.prefix_tokens if pooling == "mean_without_prefix" else 0
    given = inputs(arguments.data, arguments.name)
    if arguments.sorted:
        given = sorted(given, key=lambda text: model.lengths([text])[0])
    found = run(model, given, prefix)
    last = len(found) - 1
    check = {str(layer): found[layer][:8].tolist() for layer in (0, last // 2, last)}

    def repeat(count: int) -> None:
        for _ in range(count):
            run(model, given, prefix)

    serve({"rows": repeat}, check=check)


if __name__ == "__main__":
    keep_freed_memory()
    main()
