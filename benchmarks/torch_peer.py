"""The training step of benchmarks/train_step.py in PyTorch, as fast as its CPU build allows; started by that file.

What makes it fast: fused Adam; one pass of the language encoder for captions and negatives together; functional layers
on flat parameters; gradients set to None instead of zeroed; an allocator that keeps freed memory instead of returning
it to the system. The masks of the shipped loss are left out, because the data of the benchmark leave them empty.
``--compiled`` runs forward and backward through torch.compile.
"""

import argparse
import math

import numpy as np
import torch
from safetensors.numpy import load_file
from torch.nn import functional

from benchmarks.worker import SETTINGS, Settings, serve
from jam_jax.allocator import keep_freed_memory


def trunk(
    x: torch.Tensor, params: dict[str, torch.Tensor], name: str, settings: Settings, dropout: float
) -> torch.Tensor:
    """LayerNorm -> Dense to 2h -> SwiGLU -> Dropout for each hidden layer, then a plain Dense."""
    for layer in range(len(settings.hidden)):
        prefix = f"{name}/Block_{layer}"
        scale, shift = params[f"{prefix}/LayerNorm_0/scale"], params[f"{prefix}/LayerNorm_0/bias"]
        x = functional.layer_norm(x, scale.shape, scale, shift, eps=1e-6)
        x = functional.linear(x, params[f"{prefix}/Dense_0/kernel"], params[f"{prefix}/Dense_0/bias"])
        gate, value = x.chunk(2, dim=-1)
        x = functional.silu(gate) * value
        if dropout:
            x = functional.dropout(x, dropout)
    return functional.linear(x, params[f"{name}/Dense_0/kernel"], params[f"{name}/Dense_0/bias"])


def spread(
    vision: torch.Tensor, language: torch.Tensor, negatives: torch.Tensor, scale: float, alpha: float
) -> torch.Tensor:
    """Spread with one hard negative for each image."""
    vision, language, negatives = (functional.normalize(x, dim=-1) for x in (vision, language, negatives))
    vision = scale * vision
    captions_NxN, own_N = vision @ language.T, (vision * negatives).sum(1)
    positive_N = captions_NxN.diagonal()
    everything_N = torch.logaddexp(captions_NxN.logsumexp(1), (vision @ negatives.T).logsumexp(1))
    context_N = torch.logaddexp(positive_N, own_N)
    text_to_image = (captions_NxN.logsumexp(0) - positive_N).mean()
    mixed = (1 - alpha) * (everything_N - context_N).mean() + alpha * (context_N - positive_N).mean()
    return (mixed + text_to_image) / 2


def objective(
    params: dict[str, torch.Tensor],
    batch: tuple[torch.Tensor, torch.Tensor],
    weight: torch.Tensor,
    settings: Settings,
    dropout: float,
) -> torch.Tensor:
    """Alignment and reconstruction of a batch: vision [B, D], captions and then negatives [2 B, D]."""
    vision, texts = batch
    count = len(vision)
    z_vision = trunk(vision, params, "vision/encoder", settings, dropout)
    z_texts = trunk(texts, params, "language/encoder", settings, dropout)
    z_language, z_negatives = z_texts[:count], z_texts[count:]
    vision_hat = trunk(z_vision, params, "vision/decoder", settings, dropout)
    language_hat = trunk(z_language, params, "language/decoder", settings, dropout)
    aligned = spread(z_vision, z_language, z_negatives, 1 / settings.temperature, settings.alpha)
    errors = functional.mse_loss(vision_hat, vision) + functional.mse_loss(language_hat, texts[:count])
    return aligned + weight * errors / 2


class Trainer:
    """Parameters, optimizer and step."""

    def __init__(self, initial: dict[str, np.ndarray], settings: Settings, dropout: float, compiled: bool):
        self.settings = settings
        self.params = {
            # Flax keeps kernels [in, out], torch.linear wants [out, in].
            name: torch.tensor(value.T if name.endswith("kernel") else value).contiguous().requires_grad_()
            for name, value in initial.items()
        }
        matrices = [p for p in self.params.values() if p.ndim > 1]
        others = [p for p in self.params.values() if p.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.Adam(groups, lr=settings.learning_rate, fused=True)
        self.sides = [
            [p for name, p in self.params.items() if name.startswith(side)] for side in ("vision", "language")
        ]
        self.done = 0

        def loss(batch: tuple[torch.Tensor, torch.Tensor], weight: torch.Tensor) -> torch.Tensor:
            return objective(self.params, batch, weight, settings, dropout)

        self.loss = torch.compile(loss) if compiled else loss

    def step(self, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """One step; returns the loss."""
        share = self.done / self.settings.steps
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * (1 + math.cos(math.pi * share)) / 2
        loss = self.loss(batch, torch.tensor(1.0 - 0.9 * share))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for side in self.sides:
            torch.nn.utils.clip_grad_norm_(side, self.settings.clip, foreach=True)
        self.optimizer.step()
        self.done += 1
        return loss.detach()


def main() -> None:
    """Serves timings of this side."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--initial", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--compiled", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    initial = load_file(arguments.initial)
    data = SETTINGS.batches(arguments.batch)
    batches = [
        (torch.from_numpy(vision), torch.from_numpy(np.concatenate([language, negatives])))
        for vision, language, negatives in data
    ]
    checked = Trainer(initial, SETTINGS, dropout=0.0, compiled=False)
    check = [float(checked.step(batches[i])) for i in range(SETTINGS.checked)]
    del checked
    trainer = Trainer(initial, SETTINGS, SETTINGS.dropout, arguments.compiled)

    def run(steps: int) -> None:
        for i in range(steps):
            loss = trainer.step(batches[i % len(batches)])
        loss.item()

    serve({"step": run}, check=check, version=torch.__version__)


if __name__ == "__main__":
    keep_freed_memory()
    main()
