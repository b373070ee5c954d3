import math
import re
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np

from jam_jax.report import plots
from jam_jax.report.curves import flatten, series
from tests.report import samples


def test_a_run_gives_its_plots_as_well_formed_svg_with_a_spoken_form():
    drawn = plots.training(samples.history(), best_epoch=8)
    assert [plot.name for plot in drawn] == ["loss", "reconstruction", "recall", "choice", "score", "schedules"]
    for plot in drawn:
        root = ET.fromstring(plot.svg)
        assert root.get("role") == "img"
        assert root.get("aria-label") == plot.alt
        assert "Best epoch: 8" in plot.alt


def test_curves_pass_through_the_recorded_numbers():
    line = series(samples.history(), "validation/image_to_text/r@1", "R@1", scale=100.0)
    np.testing.assert_allclose(line.x, [2, 4, 6, 8, 10])
    np.testing.assert_allclose(line.y, [4, 8, 12, 16, 20])


def test_nested_and_flat_validation_metrics_are_the_same():
    assert flatten({"image_to_text": {"r@1": 0.5}, "name": "x", "n": 3}) == flatten({"image_to_text/r@1": 0.5, "n": 3})


def test_ids_are_unique_over_all_plots_and_point_somewhere():
    page = "".join(plot.svg for plot in plots.training(samples.history(), 8))
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) | set(re.findall(r"url\(#([^)]+)\)", page)) <= set(ids)


def test_colours_come_from_the_page():
    for plot in plots.training(samples.history(), 8):
        assert "var(--series-" in plot.svg and "var(--ink)" in plot.svg
        assert not re.search(r"(fill|stroke): #", plot.svg)
        assert "<style" not in plot.svg


def test_drawing_changes_no_global_setting_and_repeats_itself():
    before = dict(matplotlib.rcParams)
    first, second = (plots.training(samples.history(), 8) for _ in range(2))
    assert dict(matplotlib.rcParams) == before
    assert first == second


def test_nothing_recorded_draws_nothing_and_gaps_do_not_break():
    assert plots.training([]) == []
    assert plots.training([{"epoch": 1, "step": 1, "loss": math.nan}]) == []
    (plot,) = plots.training([{"epoch": 1, "step": 1, "loss": 2.0}])
    assert plot.name == "loss"
    records = samples.history()
    records[3]["loss"] = records[-1]["loss"] = math.nan
    assert "nan" not in plots.training(records)[0].svg.lower()


def test_labels_are_moved_apart_in_their_order():
    placed = plots._spread_labels([0.5, 0.51, 0.1, 0.5], 0.085)
    assert np.min(np.diff(np.sort(placed))) > 0.08
    assert np.argsort(placed)[0] == 2
    assert placed[2] == 0.1
