"""What drives alignment: pictures and captions manipulated, each measured against the unmanipulated.

    bash launch/manipulations.sh                                               # makes everything that is read here
    python -m jam_jax.measure --config=configs/measure/manipulations.py

Reads data/manipulated/<manipulation>/pairs.parquet and data/manipulated/<manipulation>/<backbone>, stores of all layers:

- original/ has stores of every backbone of both sides;
- each of ``pictures`` has stores of the vision backbones, to be paired with the captions of original/;
- each of ``manipulated_captions`` has stores of the language backbones, to be paired with the pictures of original/.

Rows have the same ids in the same order in all of them, so a change is measured on the same items, folds and captions.
``data.within`` is the folder whose photographs.json says which scenes share a photograph: activations are taken less the
mean of those (jam_jax.datasets.scenes.within). Without it (None) 21 photographs, named by the captions of kind "scene",
are most of what models agree on.

One folder of it is made by hand with

    python -m jam_jax.datasets.manipulate --folder=data/scenes --view=all --manipulation=blur --out=data/manipulated/blur
    python -m jam_jax.export --config=configs/export/emoji.py:vit_s14 --config.backbone.runtime=flax \\
      --config.data.folder=data/manipulated/blur --config.data.view=all --config.data.name=scenes/blur \\
      --workdir=data/manipulated/blur/vit_s14
"""  # noqa: E501

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """The layers are those between which alignment peaks; docs/manipulations.md says what each manipulation does."""
    return ConfigDict({
        "seed": 0,
        "data": {
            "root": "data/manipulated",
            "original": "original",  # the folder that all others are compared with
            "vision": ("vit_s14",),
            "language": ("mpnet", "minilm"),
            "vision_layer": (8, 10, 12),
            "language_layer": {"mpnet": (8, 11, 12), "minilm": (4, 5, 6)},
            "captions": ("scene",),  # these name thing and background; "name" and "tags" the thing alone
            "caption": 0,  # the first of that kind that an item has
            "within": "data/scenes",
        },
        "pictures": (
            "grayscale", "rotation", "blur", "texture_shuffle", "foreground_removed", "elsewhere_removed",
            "only_foreground", "only_background",
        ),
        "manipulated_captions": ("words_shuffled", "nouns", "nouns_and_verbs", "stop_words_dropped"),
        "metrics": ("linear_predictivity", "mutual_knn", "cka"),
        "direction": ("vision_to_language", "language_to_vision"),
    })  # fmt: skip
