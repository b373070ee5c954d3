"""A small data set with a known answer, on disk in the library's own form: what most tests train on."""

import numpy as np

from jam_jax.activations import Pairs, StoreWriter

CONCEPTS, VISION_LAYERS, LANGUAGE_LAYERS = 60, {1: 12, 2: 8}, {0: 10, 3: 16}


def sample_pairs(concepts=CONCEPTS, seed=0):
    """Two items for each concept (plain and dark), two captions for each item; 60 : 20 : 20 percent of the concepts."""
    rng = np.random.default_rng(seed)
    sizes = [concepts - 2 * (concepts // 5), concepts // 5, concepts // 5]
    split_of = rng.permutation(np.repeat(["train", "validation", "test"], sizes))
    items = [(c, tone) for c in range(concepts) for tone in ("plain", "dark")]
    # Caption 4c + 2t + k: kind k of tone t of concept c.
    captions = [(c, tone, kind) for c, tone in items for kind in ("name", "tags")]
    negative_rows, negative_kinds = [], []
    for m in range(len(captions)):
        c, tone, kind = m // 4, m // 2 % 2, m % 2
        other = int(rng.choice([d for d in range(concepts) if d != c and split_of[d] == split_of[c]]))
        negative_rows.append([4 * c + 2 * (1 - tone) + kind, 4 * other + 2 * tone + kind])
        negative_kinds.append(["skin", "neighbour"])
    return Pairs(
        item_ids=[f"thing{c}-{tone}" for c, tone in items],
        concepts=[f"thing{c}" for c, _ in items],
        categories=[f"group{c % 3}" for c, _ in items],
        splits=[str(split_of[c]) for c, _ in items],
        gallery=np.array([tone == "plain" for _, tone in items]),
        caption_texts=[f"{tone} thing {c}" + (", thing" if kind == "tags" else "") for c, tone, kind in captions],
        caption_kinds=[kind for _, _, kind in captions],
        caption_items=np.arange(len(captions)) // 2,
        negative_rows=negative_rows,
        negative_kinds=negative_kinds,
    )


def sample_activations(pairs, seed=0, noise=0.3):
    """{layer: float32 [rows, D]} of both modalities: noisy linear views of one hidden vector for each item."""
    rng = np.random.default_rng(seed)
    place = {concept: c for c, concept in enumerate(dict.fromkeys(pairs.concepts))}
    concept = rng.normal(size=(len(place), 6))[[place[name] for name in pairs.concepts]]
    detail = 0.5 * rng.normal(size=(1, 6)) * np.array([[item.endswith("dark")] for item in pairs.item_ids])
    hidden = concept + detail

    def view(hidden, width):
        seen = hidden @ rng.normal(size=(6, width)) + rng.normal(size=width)
        return (seen + noise * rng.normal(size=seen.shape)).astype(np.float32)

    vision = {layer: view(hidden, width) for layer, width in VISION_LAYERS.items()}
    return vision, {layer: view(hidden[pairs.caption_items], width) for layer, width in LANGUAGE_LAYERS.items()}


def write_store(path, layers, row_ids, modality, *, dtype="float32", rows_per_shard=50, skipped=()):
    """A finished store of {layer: float32 [rows, D]}."""
    writer = StoreWriter(
        path, modality=modality, backbone=path.name, revision="1", weight_hash="abc", pooling="mean", dtype=dtype,
        layers={layer: values.shape[1] for layer, values in layers.items()}, row_ids=list(row_ids),
        rows_per_shard=rows_per_shard, dataset="sample", dataset_revision="1", skipped=list(skipped),
    )  # fmt: skip
    for shard in writer.missing():
        writer.write_shard(shard, {layer: values[writer.rows_of(shard)] for layer, values in layers.items()})
    return writer.finish()


def write_data(root, seed=0):
    """A new folder with pairs.parquet, the stores 'eye' (layers 1, 2) and 'words' (layers 0, 3); returns the pairs."""
    root.mkdir(parents=True)
    pairs = sample_pairs(seed=seed)
    pairs.write(root / "pairs.parquet")
    vision, language = sample_activations(pairs, seed)
    write_store(root / "eye", vision, pairs.item_ids, "vision")
    write_store(root / "words", language, pairs.caption_ids, "language")
    return pairs


def small_config(root, **changes):
    """configs/spread.py shrunk to the sample data and a few epochs, as {'a.b': value}; ``changes`` use a__b."""
    return {
        "name": "small",
        "data.root": str(root),
        "data.vision": "eye",
        "data.vision_layer": (1, 2),
        "data.language": "words",
        "data.language_layer": (3,),
        "data.captions": (),
        "data.split": "pairs",
        "data.components": 0,
        "objective.negatives": 2,
        "model.form": "skip",
        "model.init": ("random",),
        "model.hidden": (16,),
        "model.latent": 8,
        "model.dropout": 0.1,
        "train.epochs": 4,
        "train.batch": 16,
        "train.validate_every": 1,
        "train.checkpoint_every": 1,
        "train.patience": 0,
        "baselines": (),
    } | {key.replace("__", "."): value for key, value in changes.items()}


def flags(settings):
    """The same as command line arguments."""
    return [f"--config.{key}={value}" for key, value in settings.items()]


def nested(settings):
    """configs/spread.py with {'a.b': value} applied, validated: what run.prepare and training take."""
    from jam_jax import config, main

    loaded = config.load_file("configs/spread.py")
    loaded.update_from_flattened_dict(settings)
    return config.validate(loaded, main.SCHEMA)
