from jam_jax import measure
from jam_jax.measuring import grids, layers


def record(vision_layer, language_layer, score):
    return {"metric": "cka", "direction": "symmetric", "vision": "eye", "language": "words",
            "vision_layer": vision_layer, "language_layer": language_layer, "score": score}  # fmt: skip


def test_peak_and_profiles_of_a_matrix():
    matrix = {(2, 1): 0.1, (2, 5): 0.2, (4, 1): 0.6, (4, 5): 0.3, (10, 1): 0.4, (10, 5): 0.5}
    records = [record(*at, score) for at, score in matrix.items()]
    (peak,) = layers.peaks(records)
    assert (peak["vision_layer"], peak["language_layer"], peak["score"]) == (4, 1, 0.6)
    assert (peak["vision_depth"], peak["language_depth"]) == (0.25, 0.0)
    profile = {(r["side"], r["layer"]): r["score"] for r in layers.profiles(records)}
    assert profile == {("vision", 2): 0.2, ("vision", 4): 0.6, ("vision", 10): 0.5,
                       ("language", 1): 0.6, ("language", 5): 0.5}  # fmt: skip


def test_a_single_layer_has_no_depth():
    (peak,) = layers.peaks([record(3, 1, 0.5)])
    assert peak["vision_depth"] is None and peak["language_depth"] is None


def test_the_config_knows_every_metric():
    assert set(measure.METRICS) == set(grids.METRICS)
