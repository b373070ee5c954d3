"""jam_jax: make frozen vision and language models, trained apart, meet in one space, and measure whether they do.

Submodules load on first use, so that ``import jam_jax`` stays quick and needs neither torch nor a device.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_ATTRIBUTES = {
    "JAM": "jam_jax.jam",
    "JamError": "jam_jax.errors",
    "train": "jam_jax.main",
}
_MODULES = ("activations", "backbones", "datasets", "losses", "metrics", "models", "training")


def __getattr__(name: str) -> Any:
    if name in _ATTRIBUTES:
        return getattr(importlib.import_module(_ATTRIBUTES[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"jam_jax.{name}")
    raise AttributeError(f"module 'jam_jax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_ATTRIBUTES, *_MODULES])


__all__ = ["JAM", "JamError", "train"]  # noqa: F822 (loaded on first use)
