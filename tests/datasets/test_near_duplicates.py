import csv

from jam_jax.datasets import near_duplicates

SOURCES = {
    "ice cream": {"emoji"}, "icecream": {"clipart"}, "witch hat": {"stamps"}, "hat witch": {"clipart"},
    "automobile": {"emoji"}, "car": {"clipart", "stamps"}, "grass hopper": {"clipart"}, "grasshopper": {"stamps"},
    "cricket": {"emoji"}, "money": {"clipart"}, "monkey": {"emoji"}, "dog": {"emoji"}, "hot dog": {"clipart"},
    "bat": {"stamps"}, "boat": {"emoji"}, "scorpion": {"emoji"}, "scorpios": {"emoji"}, "hoot": {"stamps"},
    "owl": {"emoji"}, "flame": {"clipart"},
}  # fmt: skip


def found():
    concept_of, pairs = near_duplicates.find(SOURCES, {"hoot": "owl", "money": "nothing known"})
    return concept_of, {(pair.first, pair.second): pair for pair in pairs}


def test_equalities_are_merged_under_the_emojis_name():
    concept_of, pairs = found()
    merged = {name: concept for name, concept in concept_of.items() if name != concept}
    # "flame" is a synonym of "fire", but there is no fire here.
    assert merged == {
        "icecream": "ice cream", "witch hat": "hat witch", "car": "automobile", "grass hopper": "cricket",
        "grasshopper": "cricket",
    }  # fmt: skip
    assert {pairs[name, concept].reason for name, concept in merged.items() if (name, concept) in pairs} == {
        "same letters", "same words", "synonym",
    }  # fmt: skip


def test_likenesses_are_reported_and_kept_apart():
    concept_of, pairs = found()
    kept = {names: pair.reason for names, pair in pairs.items() if not pair.merged}
    assert kept == {
        ("money", "monkey"): "spelled alike",
        ("dog", "hot dog"): "narrower name",
        ("hoot", "owl"): "tag of one emoji",
    }  # neither "bat" and "boat", which are short, nor two emoji
    assert all(concept_of[a] != concept_of[b] for a, b in kept)


def test_the_report_is_a_table_with_the_merged_first(tmp_path):
    _, pairs = near_duplicates.find(SOURCES, {})
    near_duplicates.write(tmp_path / "near.csv", pairs)
    rows = list(csv.DictReader((tmp_path / "near.csv").open()))
    assert [row["merged"] for row in rows] == sorted((row["merged"] for row in rows), reverse=True)
    car = next(row for row in rows if row["first"] == "car")
    assert (car["second"], car["first_sources"], car["second_sources"]) == ("automobile", "clipart+stamps", "emoji")


def test_a_collection_is_told_of_its_own_names_that_are_spelled_alike():
    sources_of = {name: {"clipart"} for name in ("map of poland", "map of holland", "stop sign", "stop sign angled")}
    concept_of, pairs = near_duplicates.find(sources_of, {})
    assert concept_of["stop sign angled"] == "stop sign"
    assert [pair.reason for pair in pairs if {pair.first, pair.second} == {"map of poland", "map of holland"}] == [
        "spelled alike"
    ]
