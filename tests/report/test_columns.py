import math

from jam_jax.report.columns import COLUMNS, best, rows
from tests.report import samples

AT = {(c.group, c.label): i for i, c in enumerate(COLUMNS)}
R1 = AT["Image → text", "R@1"]
RANK = AT["Image → text", "rank"]
IMAGE_R2 = AT["Recon. R²", "image"]


def test_rows_stand_in_reading_order():
    results = samples.results()
    results["baselines"]["raw_12"] = samples.scores(0.1, 100.0, 5)
    assert [row.key for row in rows(results)] == ["jam", "linear", "cca", "ridge", "raw_12", "chance"]


def test_absent_and_not_finite_values_are_a_dash():
    results = samples.results()
    results["test"]["image_to_text"]["r@1"] = math.nan
    table = rows(results)
    assert COLUMNS[R1].show(table[0].values[R1]) == "–"
    assert COLUMNS[IMAGE_R2].show(table[1].values[IMAGE_R2]) == "–"


def test_a_result_without_baselines_and_chance_is_one_row():
    assert [row.key for row in rows({"test": samples.scores(1.0, 5.0, 0)})] == ["jam"]


def test_sources_stand_below_the_first_row_and_are_never_best():
    results = samples.results()
    results["test"]["sources"] = {"noto": samples.scores(2.0, 1.0, 0), "fluent": samples.scores(0.5, 9.0, 0)}
    table = rows(results)
    assert [row.name for row in table[1:3]] == ["  noto only", "  fluent only"]
    assert all(1 not in marked and 2 not in marked for marked in best(table))


def test_numbers_are_written_with_one_decimal_as_percent_and_whole_ranks_without():
    assert COLUMNS[R1].show(0.26149) == "26.1"
    assert COLUMNS[R1].show(1.0) == "100.0"
    assert COLUMNS[RANK].show(5.0) == "5"
    assert COLUMNS[RANK].show(136.5) == "136.5"
    assert COLUMNS[IMAGE_R2].show(-0.001) == "0.00"


def test_best_is_highest_recall_and_lowest_rank_ties_shared_and_chance_never():
    results = samples.results()
    results["baselines"]["cca"]["image_to_text"]["r@1"] = results["test"]["image_to_text"]["r@1"] + 1e-5
    results["chance"]["image_to_text"]["median_rank"] = 1.0
    table = rows(results)
    keys = [{table[r].key for r in column} for column in best(table)]
    assert keys[R1] == {"jam", "cca"}  # equal as written
    assert keys[RANK] == {"jam", "linear"}
    assert keys[IMAGE_R2] == set()  # nobody to compare with
