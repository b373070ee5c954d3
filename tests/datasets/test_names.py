import pytest

from jam_jax.datasets.names import key, parse


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("The Gift-Boxes!", "gift box"),
        ("a glass", "glass"),
        ("Swiss cheese", "swiss cheese"),
        ("Leaves", "leaf"),
        ("teeth", "tooth"),
        ("piñata", "pinata"),
        ("St. Valentine’s gray cats", "st valentine grey cat"),
        ("Scissors", "scissors"),
        ("???", "???"),
    ],
)
def test_keys_of_one_thing_are_equal(name, expected):
    assert key(name) == expected == key(expected)


@pytest.mark.parametrize(
    ("name", "concept", "details"),
    [
        ("A pair of green gloves.", "glove", {"colour": "green"}),
        ("Baseball Cap (black and white)", "baseball cap", {"colour": "black and white"}),
        ("pin -red", "pin", {"colour": "red"}),
        ("A red and white anemone flower.", "anemone flower", {"colour": "red and white"}),
        ("A very small pumpkin.", "pumpkin", {"size": "small"}),
        ("Small basic Plate", "plate", {"size": "small"}),
        ("Right Foot Print", "foot print", {"direction": "right"}),
        ("Man", "person", {"gender": "man"}),
        ("A mermaid", "merperson", {"gender": "woman"}),
        ("female symbol", "symbol", {"gender": "woman"}),
        ("A mince pie is a traditional Christmas food in the UK.", "mince pie", {}),
        ("A happy lion!", "lion", {}),
        ("Dog 05 Drawn With Straight Lines", "dog drawn with straight line", {}),
        # one name, colour and all
        ("A red panda.", "red panda", {}),
        ("Black hole", "black hole", {}),
        ("red envelope", "red envelope", {}),
        ("orange slice", "orange slice", {}),
        ("red-eyed frog", "red eyed frog", {}),
        ("Golf flag in hole on green", "golf flag in hole on green", {}),
        ("Hot dog", "hot dog", {}),
        ("red", "red", {}),
    ],
)
def test_details_are_taken_out_of_free_names(name, concept, details):
    assert parse(name, known={"red envelope"}) == (concept, details)
