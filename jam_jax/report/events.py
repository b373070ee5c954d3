"""TensorBoard events of a run, written from its history through tensorboardX."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jam_jax.report.curves import flatten

_SUFFIX = ".jam"


def scalars(record: Mapping[str, Any]) -> dict[str, float]:
    """The tags and values of one history record: `train/...` and `validation/...`."""
    train = {k: v for k, v in record.items() if k not in ("epoch", "step", "validation")}
    tagged = {f"train/{k}": v for k, v in flatten(train).items()}
    return tagged | {f"validation/{k}": v for k, v in flatten(record.get("validation") or {}).items()}


def write(workdir: str | Path, history: Sequence[Mapping[str, Any]]) -> Path:
    """Write `events.out.tfevents.*` into `workdir` (steps = history steps), in place of those of an earlier call."""
    from tensorboardX import SummaryWriter  # here: importing it takes longer than writing

    for old in Path(workdir).glob(f"events.out.tfevents.*{_SUFFIX}"):
        old.unlink()  # a resumed run would show every curve twice
    with SummaryWriter(str(workdir), filename_suffix=_SUFFIX) as writer:
        for record in history:
            for tag, value in scalars(record).items():
                writer.add_scalar(tag, value, record["step"])
    return next(Path(workdir).glob(f"events.out.tfevents.*{_SUFFIX}"))
