import pytest

from jam_jax.datasets import caption_manipulations as changes
from jam_jax.datasets import grammar
from jam_jax.errors import JamError

CAPTION = "A young girl is holding two red balloons, and the dog watches her."


def apply(name, *captions, seed=0):
    return changes.manipulate(captions, [f"item/{i}" for i in range(len(captions))], name, seed).texts


def words(text):
    return sorted(word.strip(",.").lower() for word in text.split())


def test_nouns_verbs_and_words_that_carry_meaning():
    assert apply("nouns", CAPTION) == ["girl balloons dog"]
    assert apply("nouns_and_verbs", CAPTION) == ["girl holding balloons dog watches"]
    assert apply("stop_words_dropped", CAPTION) == ["young girl holding red balloons, dog watches"]


def test_agrees_with_spacys_own_coarse_tags():
    captions = [CAPTION, "Two men ride horses across a wide river.", "Boats that rest on the shore at sunset"]
    for caption, text in zip(captions, apply("nouns", *captions), strict=True):
        assert text.split() == [token.text for token in grammar._pipeline()(caption) if token.pos_ in ("NOUN", "PROPN")]


def test_shuffled_words_are_the_same_words_in_another_order_with_the_signs_where_they_stood():
    (text,) = apply("words_shuffled", CAPTION)
    assert words(text) == words(CAPTION) and text.lower() != CAPTION.lower()
    signs = [word[-1] for word in CAPTION.split()]
    assert [place for place, word in enumerate(text.split()) if word[-1] in ",."] == [
        place for place, sign in enumerate(signs) if sign in ",."
    ]
    assert text[0].isupper() and sum(letter.isupper() for letter in text) == 1


def test_two_words_always_change_places_and_one_cannot():
    assert apply("words_shuffled", "red apple", "red apple", "red apple", "apple", "ha ha") == [
        "apple red", "apple red", "apple red", "apple", "ha ha",
    ]  # fmt: skip


def test_names_keep_their_capital():
    (text,) = apply("words_shuffled", "London has a red bus")
    assert "London" in text.split() and sum(letter.isupper() for letter in text) == 1


def test_a_shuffle_belongs_to_its_caption_and_seed():
    once = changes.manipulate([CAPTION, "x y"], ["a/0", "b/0"], "words_shuffled", 0).texts[0]
    assert changes.manipulate([CAPTION], ["a/0"], "words_shuffled", 0).texts == [once]
    assert changes.manipulate([CAPTION], ["a/1"], "words_shuffled", 0).texts != [once]
    assert changes.manipulate([CAPTION], ["a/0"], "words_shuffled", 1).texts != [once]


def test_joined_words_are_what_their_last_part_is_and_lose_what_is_no_part_of_them():
    assert apply("nouns", "a boy's T-shirt, and (red) high-speed trains!") == ["boy T-shirt high-speed trains"]


def test_a_caption_of_which_nothing_would_be_left_is_kept_whole_and_named():
    made = changes.manipulate(["running", "a dog", "over there"], ["a/0", "b/0", "c/0"], "nouns")
    assert made.texts[1] == "dog"
    assert 2 in made.kept and made.texts[2] == "over there"


def test_signs_alone_do_not_stop_anything():
    for name in changes.MANIPULATIONS:
        assert apply(name, "- !", "a -- b")[0] == "- !"


def test_an_unknown_manipulation_lists_what_there_is():
    with pytest.raises(JamError, match="'verbs' is unknown; choose from words_shuffled, nouns, "):
        apply("verbs", CAPTION)
