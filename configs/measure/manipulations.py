"""What drives alignment: pictures and captions manipulated, each measured against the unmanipulated.

    bash launch/manipulations.sh                                               # makes everything that is read here
    python -m jam_jax.measure --config=configs/measure/manipulations.py

Reads data/manipulated/<manipulation>/pairs.parquet and, beside it, <backbone>/, stores of all layers:

- original/ has stores of every backbone of both sides;
- each of ``pictures`` has stores of the vision backbones, to be paired with the captions of original/;
- each of ``manipulated_captions`` has stores of the language backbones, to be paired with the pictures of original/.

Rows have the same ids in the same order in all of them, so a change is measured on the same items, folds and captions.
``data.within`` is the folder whose photographs.json says which scenes share a photograph: activations are taken less
the mean of those (jam_jax.datasets.scenes.within). Without it ('') 21 photographs, named by the captions of kind
"scene", are most of what models agree on. docs/manipulations.md says what each manipulation does.
"""

import pathlib

from ml_collections import ConfigDict

from jam_jax.config import load_file


def get_config() -> ConfigDict:
    """configs/measure/layers.py on composed scenes, at the layers between which alignment peaks."""
    config = load_file(pathlib.Path(__file__).with_name("layers.py"))
    config.name = "manipulations"
    config.studies = ("manipulations",)
    config.data.root = "data/manipulated"
    config.data.vision = ("vit_s14",)
    config.data.vision_layer = (8, 10)
    config.data.language = ("mpnet", "minilm")
    config.data.language_layer = (5, 11)  # of each backbone those that it has
    config.data.captions = ("scene",)  # these name thing and background; "name" and "tags" the thing alone
    config.data.within = "data/scenes"
    config.metrics = ("linear_predictivity", "mutual_knn", "cka")
    config.pictures = (
        "grayscale", "rotation", "blur", "texture_shuffle", "foreground_removed", "elsewhere_removed",
        "only_foreground", "only_background",
    )  # fmt: skip
    config.manipulated_captions = ("words_shuffled", "nouns", "nouns_and_verbs", "stop_words_dropped")
    return config
