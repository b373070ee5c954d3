"""Realistic synthetic results, history and latents for the report's tests."""

import numpy as np

KINDS = {"skin": 512, "gender": 161, "colour": 34, "neighbour": 480}


def side(first, five, ten, rank, gallery):
    return {"r@1": first, "r@5": five, "r@10": ten, "median_rank": rank, "gallery": gallery}


def scores(share, rank, seed):
    rng = np.random.default_rng(seed)
    return {
        "image_to_text": side(0.2618 * share, 0.512 * share, 0.664 * share, rank, 544),
        "text_to_image": side(0.2703 * share, 0.533 * share, 0.671 * share, rank + 0.5, 272),
        "choice": {
            "easy": 0.941 * share,
            "medium": 0.7379 * share,
            "hard": 0.812 * share,
            "hard_by_kind": {kind: float(0.5 + 0.4 * rng.random()) for kind in KINDS},
        },
    }


def results():
    """A run of Spread that beats CCA in recall; reconstruction exists for JAM only, as in real runs."""
    test = scores(1.0, 5.0, 0)
    test["choice"]["hard_comparisons_by_kind"] = dict(KINDS)
    test["reconstruction"] = {"vision": 0.793, "language": 0.768}
    chance = scores(1.0, 5.0, 0)
    chance["image_to_text"] = side(0.00368, 0.0184, 0.0367, 181.3, 544)
    chance["text_to_image"] = side(0.00368, 0.0184, 0.0368, 136.5, 272)
    chance["choice"] = {"easy": 0.5, "medium": 0.5, "hard": 0.5, "hard_by_kind": dict.fromkeys(KINDS, 0.5)}
    return {
        "config": {
            "seed": 3,
            "objective": {"name": "spread", "alpha": 0.3},
            "data": {"vision": "efficientnet_lite0", "language": "mpnet", "vision_layer": (13, 16)},
            "model": {"hidden": (512, 512), "latent": 256},
        },
        "seed": 3,
        "objective": "spread",
        "best_epoch": 8,
        "data": {
            "name": "emoji",
            "vision": {"backbone": "efficientnet_lite0", "layers": [13, 16], "width": 512},
            "language": {"backbone": "mpnet", "layers": [12], "width": 768},
            "items": {"train": 1679, "validation": 240, "test": 480},
        },
        "test": test,
        "chance": chance,
        "baselines": {"ridge": scores(0.82, 9.0, 1), "cca": scores(0.96, 6.0, 2), "linear": scores(0.94, 5.0, 3)},
        "timing": {"total_s": 48.21, "compile_s": 9.1, "train_s": 21.4, "examples_per_s": 23511.0},
        "environment": {"python": "3.11", "jax": "0.10.2", "device": "cpu"},
    }


def history(epochs=10):
    """One record per epoch, validation every second one."""
    records = []
    for epoch in range(1, epochs + 1):
        done = epoch / epochs
        record = {
            "epoch": epoch,
            "step": 7 * epoch,
            "alignment": 5.0 * float(np.exp(-2 * done)),
            "reconstruction": 0.9 - 0.6 * done,
            "alpha": 0.3,
            "weight": 1.0 - 0.9 * done,
            "scale": 14.3,
            "learning_rate": 3e-4 * (1.0 - done),
        }
        record["loss"] = record["alignment"] + record["weight"] * record["reconstruction"]
        if epoch % 2 == 0:
            record["validation"] = {
                "image_to_text/r@1": 0.2 * done,
                "text_to_image/r@1": 0.21 * done,
                "image_to_text/r@10": 0.6 * done,
                "choice/medium": 0.5 + 0.2 * done,
                "score": 0.3 * done,
            }
        records.append(record)
    return records


def latents(seed=0, items=40, noise=1.2, width=12):
    """Latents of `items` pictures and of their captions (one to three each), with owners and texts."""
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(items, width)).astype(np.float32)
    owner = np.repeat(np.arange(items), rng.integers(1, 4, items))
    texts = (images[owner] + noise * rng.normal(size=(len(owner), width))).astype(np.float32)
    captions = [f"caption {m} of {item}" for m, item in enumerate(owner)]
    return images, texts, owner, captions


def picture(row):
    return f"data:image/webp;base64,AAAA{row:04d}"
