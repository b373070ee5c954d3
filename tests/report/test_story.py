from jam_jax.report import story
from tests.report import samples


def test_the_lead_names_both_models_layers_widths_and_objective():
    lead = story.lead(samples.results())
    for part in ("EfficientNet-Lite0, layers 13 and 16, 512 wide", "all-mpnet-base-v2, layer 12, 768 wide",
                 "256-dimensional", "Spread, α = 0.3"):  # fmt: skip
        assert part in lead


def test_the_lead_falls_back_on_the_config():
    results = samples.results()
    del results["data"]
    assert "EfficientNet-Lite0, layers 13 and 16" in story.lead(results)
    assert story.lead({})  # nothing known is no error


def test_headlines_compare_with_the_best_baseline_and_own_up_to_losing():
    results = samples.results()
    results["baselines"]["ridge"]["image_to_text"]["r@1"] = 0.3
    first, second, *_ = story.headlines(results)
    assert (first.value, first.verdict, first.difference, first.rival) == ("26.2", "behind", "−3.8", "Ridge, both ways")
    assert (second.verdict, second.rival, second.chance) == ("ahead", "Regularised CCA", "0.4")


def test_the_summary_counts_columns_and_states_the_noise():
    results = samples.results()
    results["baselines"] = {"cca": samples.scores(1.0, 6.0, 0)}
    results["baselines"]["cca"]["choice"]["hard"] = 0.9
    told = story.summary(results)
    assert "11 columns" in told and "ahead in 2, level in 8 and behind in 1" in told
    assert "2.7 points" in told  # sqrt(.2618 * .7382 / 272)


def test_no_baseline_gives_no_verdict():
    results = samples.results()
    del results["baselines"]
    assert {headline.verdict for headline in story.headlines(results)} == {""}


def test_kinds_come_with_every_method_and_missing_ones_empty():
    results = samples.results()
    del results["baselines"]["cca"]["choice"]["hard_by_kind"]["skin"]
    results["test"]["choice"]["hard_by_kind"]["word-order"] = float("nan")
    methods, kinds = story.kinds(results)
    assert methods == ["JAM (Spread)", "Linear heads", "Regularised CCA", "Ridge, both ways"]
    assert [kind.name for kind in kinds] == ["Skin tone", "Gender", "Colour", "Neighbour", "Word-order"]
    assert kinds[0].values[2] is None and kinds[0].comparisons == 512
    assert kinds[-1].values == (None,) * 4
