import pytest

from jam_jax.datasets.concepts import contradiction, parse


@pytest.mark.parametrize(
    ("label", "subgroup", "concept", "details"),
    [
        ("woman farmer: dark skin tone", "person-role", "farmer", {"gender": "woman", "skin": "dark skin tone"}),
        ("farmer", "person-role", "farmer", {"gender": "person"}),
        ("person: red hair", "person", "person", {"hair": "red hair", "gender": "person"}),
        ("man: light skin tone, curly hair", "person", "person",
         {"skin": "light skin tone", "hair": "curly hair", "gender": "man"}),
        ("prince", "person-role", "royalty", {"gender": "man"}),
        ("merman", "person-fantasy", "merperson", {"gender": "man"}),
        ("men with bunny ears", "person-activity", "with bunny ears", {"gender": "man"}),
        ("breast-feeding", "person-role", "feeding baby", {"gender": "woman"}),
        ("kiss: woman, man", "family", "kiss", {"gender": "woman, man"}),
        ("woman and man holding hands", "family", "holding hands", {"gender": "woman, man"}),
        ("red apple", "food-fruit", "apple", {"colour": "red"}),
        ("light blue heart", "heart", "heart", {"colour": "light blue"}),
        ("heart on fire", "heart", "heart on fire", {}),
        ("polar bear", "animal-mammal", "bear", {"colour": "white"}),
        ("red envelope", "event", "red envelope", {}),
        ("white flower", "plant-flower", "white flower", {}),
        ("orange book", "book-paper", "book", {"colour": "orange"}),
        ("large blue diamond", "geometric", "diamond", {"colour": "blue", "size": "large"}),
        ("up-left arrow", "arrow", "arrow", {"direction": "up-left"}),
        ("thumbs down: dark skin tone", "hand-fingers-closed", "thumbs",
         {"skin": "dark skin tone", "direction": "down"}),
        ("upside-down face", "face-smiling", "upside-down face", {}),
        ("four-thirty", "time", "clock face", {"clock": "four-thirty"}),
        ("alarm clock", "time", "alarm clock", {}),
        ("waning crescent moon", "sky-weather", "moon", {"moon": "waning crescent"}),
        ("full moon face", "sky-weather", "moon face", {"moon": "full"}),
        ("keycap: 7", "keycap", "keycap", {"number": "7"}),
        ("human resources", "office", "human resources", {}),
    ],
)  # fmt: skip
def test_the_words_of_detail_are_taken_out_of_a_name(label, subgroup, concept, details):
    assert parse(label, subgroup) == (concept, details)


@pytest.mark.parametrize(
    ("picture", "caption", "subgroup", "kind"),
    [
        ("woman cook", "man cook", "person-role", "gender"),
        ("woman cook: dark skin tone", "woman cook: light skin tone", "person-role", "skin"),
        ("woman cook", "woman cook: light skin tone", "person-role", "skin"),
        ("woman cook: light skin tone", "woman cook", "person-role", None),  # leaves the tone open
        ("woman cook", "cook", "person-role", None),  # leaves the gender open
        ("cook", "woman cook", "person-role", None),  # a person of no stated gender may be a woman
        ("woman cook: dark skin tone", "man cook: light skin tone", "person-role", None),  # two details at once
        ("woman cook", "woman judge", "person-role", None),
        ("person: bald", "person: red hair", "person", "hair"),
        ("man", "man: bald", "person", "hair"),
        ("family: man, woman, boy", "family: man, woman, girl", "family", "gender"),
        ("family: man, boy", "family: man, woman, boy", "family", None),  # another number of people
        ("women holding hands", "woman and man holding hands", "family", "gender"),
        ("red heart", "blue heart", "heart", "colour"),
        ("large blue diamond", "large orange diamond", "geometric", "colour"),
        ("large blue diamond", "small blue diamond", "geometric", "size"),
        ("one o’clock", "two o’clock", "time", "clock"),
    ],
)  # fmt: skip
def test_a_contradiction_is_one_detail_that_the_caption_states_wrongly(picture, caption, subgroup, kind):
    assert contradiction(parse(picture, subgroup), parse(caption, subgroup)) == kind
