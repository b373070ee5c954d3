"""Spread in PyTorch with rows in chunks, as large-batch contrastive losses are usually written there.

The logits of a chunk of images against all captions and negatives are made, reduced and dropped; checkpointing makes
them again for the gradient. The log-sum-exps of the captions over all images are gathered chunk by chunk.
"""

import argparse

import torch
from torch.nn.functional import normalize
from torch.utils.checkpoint import checkpoint

from benchmarks.large_batch import ALPHA, SCALE, latents
from benchmarks.worker import serve
from jam_jax.allocator import keep_freed_memory

CHUNK = 1024


def of_rows(
    vision: torch.Tensor, language: torch.Tensor, negatives: torch.Tensor, start: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Image-to-text loss of a chunk of images, summed, and the log-sum-exp of each caption over the chunk."""
    p = SCALE * vision @ language.T
    q = SCALE * vision @ negatives.T
    rows = torch.arange(len(vision))
    positive, own = p[rows, start + rows], q[rows, start + rows]
    log_all = torch.logaddexp(p.logsumexp(1), q.logsumexp(1))
    log_context = torch.logaddexp(positive, own)
    return ((1 - ALPHA) * (log_all - log_context) + ALPHA * (log_context - positive)).sum(), p.logsumexp(0)


def spread(vision: torch.Tensor, language: torch.Tensor, negatives: torch.Tensor) -> torch.Tensor:
    """Spread with one negative of each caption."""
    vision, language, negatives = (normalize(x, dim=-1) for x in (vision, language, negatives))
    total, columns = torch.zeros(()), []
    for start in range(0, len(vision), CHUNK):
        part = checkpoint(of_rows, vision[start : start + CHUNK], language, negatives, start, use_reentrant=False)
        total = total + part[0]
        columns.append(part[1])
    positive = SCALE * (vision * language).sum(1)
    text_to_image = (torch.stack(columns).logsumexp(0) - positive).mean()
    return (total / len(vision) + text_to_image) / 2


def main() -> None:
    """Serves value and gradients."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--items", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    vision, language, negatives = latents(arguments.items)
    arrays = [torch.from_numpy(x).requires_grad_() for x in (vision, language, negatives[:, 0])]

    def repeated(count: int) -> None:
        for _ in range(count):
            for x in arrays:
                x.grad = None
            spread(*arrays).backward()

    serve({"step": repeated}, value=spread(*arrays).item(), version=torch.__version__)


if __name__ == "__main__":
    main()
