"""How alike are two embedded vision models and mpnet, over all pairs of their stored layers?

    python -m jam_jax.measure --config=configs/measure/layers.py

One item of each of 1,275 emoji concepts, its first caption with tags. With all three language models (72 layer pairs)
it took 340 s on 2 cores instead of 136, nearly all of it linear predictivity and its permutations.
"""

from ml_collections import ConfigDict, config_dict


def get_config() -> ConfigDict:
    """Every key of the measure command; override any as --config.KEY=value."""
    return ConfigDict({
        "name": "layers",
        "seed": 0,
        "studies": ("layers", "kinds", "preference"),
        "data": {
            "root": "emoji",  # embedded, or a folder with pairs.parquet and stores
            "vision": ("vit_s14",),
            "vision_layer": (),  # empty: all that are stored
            "language": ("mpnet",),
            "language_layer": (),
            "captions": ("tags",),  # the item's first caption of these kinds
            "sources": (),  # sets of pictures, where the data have several; empty: all
            "captions_per_item": 1,  # the aggregation study averages up to so many
            "views": (),  # and pictures over these sources
            "within": config_dict.placeholder(str),
        },
        "metrics": ("linear_predictivity", "cka", "mutual_knn", "cknna"),
        "permutations": 1000,
        "samples": 50,  # resamplings of the items for an interval
        "predictivity_permutations": 19,  # with more than 5,000 items, where each is a full fit
        "level": 0.95,
        "ranking": {  # who says which caption of a picture is best: a CSV file (caption,score), or two other models
            "file": config_dict.placeholder(str),
            "vision": "efficientnet_lite0",
            "vision_layer": 17,
            "language": "minilm",
            "language_layer": 6,
        },
        "original": "original",  # folders of the manipulations study
        "pictures": (),
        "manipulated_captions": (),
    })  # fmt: skip
