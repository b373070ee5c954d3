"""What both sides of benchmarks/train_step.py share: the settings, the data and the conversation."""

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Settings(NamedTuple):
    """The plain modulator of JAM on one-layer activations, Spread with one hard negative, the release's optimizer."""

    width: int = 1024
    hidden: tuple[int, ...] = (512, 512, 512)
    latent: int = 256
    dropout: float = 0.1
    temperature: float = 0.07
    alpha: float = 0.3
    learning_rate: float = 3e-4
    weight_decay: float = 1e-4
    clip: float = 1.0
    steps: int = 10_000
    checked: int = 3  # steps without dropout whose losses must agree

    def batches(self, batch: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Four batches of vision [B, D], captions [B, D] and negatives [B, D]: noisy views of a common factor."""
        rng = np.random.default_rng(0)
        views = rng.normal(size=(3, 64, self.width)).astype(np.float32) / 8
        drawn = []
        for _ in range(4):
            factors = rng.normal(size=(batch, 64)).astype(np.float32)
            near = factors + rng.normal(size=factors.shape).astype(np.float32) / 2
            noise = rng.normal(size=(3, batch, self.width)).astype(np.float32) / 2
            drawn.append((factors @ views[0] + noise[0], factors @ views[1] + noise[1], near @ views[1] + noise[2]))
        return drawn

    def flops(self, batch: int) -> float:
        """Multiplications and additions of all matrix products of one step, counted from the shapes.

        A product [r, i] x [i, o] is 2 r i o; its gradient has two more, one where the input is data. LayerNorm, SwiGLU,
        dropout, softmax and the optimizer are left out, so the share of the peak is a lower bound.
        """
        encoder = list(zip((self.width, *self.hidden[:-1]), self.hidden, strict=True))
        decoder = list(zip((self.latent, *reversed(self.hidden[1:])), reversed(self.hidden), strict=True))
        encoded = 2 * sum(i * 2 * h for i, h in encoder) + 2 * self.hidden[-1] * self.latent
        decoded = 2 * sum(i * 2 * h for i, h in decoder) + 2 * self.hidden[0] * self.width
        first = 2 * self.width * 2 * self.hidden[0]
        images_captions_negatives, images_captions = 3 * batch, 2 * batch
        logits = 2 * (2 * batch * batch * self.latent)  # P and Q
        return images_captions_negatives * (3 * encoded - first) + images_captions * 3 * decoded + 3 * logits


SETTINGS = Settings()


def serve(commands: dict[str, Callable[[int], object]], **facts: object) -> None:
    """Prints facts, then answers each line 'COMMAND COUNT' on stdin with {'wall', 'processor'}, in seconds.

    Every command is run once before, so that nothing is compiled while the clock runs.
    """
    for command in commands.values():
        command(2)
    print(json.dumps(facts), flush=True)
    for line in sys.stdin:
        name, count = line.split()
        began, used = time.perf_counter(), _processor_seconds()
        commands[name](int(count))
        wall, processor = time.perf_counter() - began, _processor_seconds() - used
        print(json.dumps({"wall": wall, "processor": processor}), flush=True)


def _processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
