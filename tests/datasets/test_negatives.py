import collections

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("spacy")
pytest.importorskip("inflect")

from jam_jax.datasets import negatives  # noqa: E402
from jam_jax.errors import JamError  # noqa: E402
from tests.samples import sample_pairs  # noqa: E402


def of(caption, kind, **options):
    return {text for text, found in negatives.rules(caption, **options) if found == kind}


def seeds(caption, kind, **options):
    return set().union(*(of(caption, kind, seed=seed, **options) for seed in range(12)))


@pytest.mark.parametrize(
    ("caption", "kind", "expected"),
    [
        ("A small dog sleeps.", "attribute", {"A large dog sleeps."}),
        ("an old bridge", "attribute", {"a new bridge"}),
        ("An elderly man on a bench.", "attribute", {"A young man on a bench."}),
        ("woman farmer: dark skin tone", "attribute", {"woman farmer: light skin tone"}),
        ("A wooden chair and a metal lamp.", "attribute", {"A metal chair and a wooden lamp."}),
        ("A dog is chasing a cat.", "object", {"A cat is chasing a dog."}),
        ("An ant is on the apple.", "object", {"The apple is on an ant."}),
        ("A dog to the left of a cat", "relation", {"A dog to the right of a cat"}),
        ("left arrow", "relation", {"right arrow"}),
        ("In front of a house stands a tree.", "relation", {"Behind a house stands a tree."}),
        ("A lamp above the table", "relation", {"A lamp below the table"}),
        ("He washes his hands before he eats.", "relation", {"He washes his hands after he eats."}),
        ("A horse standing inside a barn.", "relation", {"A horse standing outside a barn."}),
        ("A black cat next to a white dog.", "colour", {"A white cat next to a black dog."}),
        ("A man is combing his hair.", "gender", {"A woman is combing her hair."}),
        ("She looks at herself.", "gender", {"He looks at himself."}),
        ("The bird looks at her.", "gender", {"The bird looks at him."}),
        ("The two cats and five dogs.", "number", {"The five cats and two dogs."}),
    ],
)
def test_one_detail_is_exchanged_and_the_grammar_kept(caption, kind, expected):
    assert expected <= seeds(caption, kind)


def test_articles_and_capitals_follow():
    assert seeds("A blue umbrella", "colour") >= {"An orange umbrella", "A red umbrella"}
    assert "AN OLD TRUCK" in seeds("A NEW TRUCK", "attribute")
    assert seeds("Two Girls In A Car", "number") >= {"Three Girls In A Car"}
    assert seeds("Red kites fly.", "colour") >= {"Blue kites fly."}


def test_numbers_only_grow_and_stay_plural():
    assert seeds("two dogs", "number") == {"three dogs", "four dogs", "five dogs"}
    assert seeds("5 birds on a wire", "number") == {"6 birds on a wire", "7 birds on a wire", "8 birds on a wire"}
    for caption in ("one dog", "a car from 1950", "a 2-door car", "platform two"):
        assert seeds(caption, "number") == set()


@pytest.mark.parametrize(
    ("caption", "kind"),
    [
        ("A man and a woman are dancing.", "gender"),  # exchanged, it says the same
        ("The king penguin swims.", "gender"),
        ("A cat and a dog are sleeping.", "object"),
        ("A cat next to a dog.", "object"),
        ("A dog meets a cat.", "object"),
        ("A glass of white wine", "colour"),
        ("A black and white cow", "colour"),
        ("An orange", "colour"),
        ("A hot dog", "attribute"),
        ("A dark blue car", "attribute"),
        ("He left the house.", "relation"),
        ("two soccer teams going after the ball", "relation"),
        ("cat", "word-order"),
        ("black cat", "word-order"),  # in another order it often says the same
    ],
)
def test_what_would_still_be_true_or_no_english_is_not_made(caption, kind):
    assert seeds(caption, kind) == set()


def test_true_captions_of_the_item_are_avoided():
    caption = "a red car"
    assert "a green car" in seeds(caption, "colour")
    avoided = seeds(caption, "colour", avoid=["A  GREEN car.", "there is some blue on it"])
    assert avoided == {"a yellow car"}
    assert seeds("A dog chases a cat.", "object", avoid=["a cat chases  a dog"]) == set()
    assert seeds("A man smiles.", "gender", avoid=["a smiling woman"]) == set()


def test_the_seed_and_the_caption_decide():
    caption = "Two men in red shirts are holding a small dog in front of an old car."
    made = negatives.rules(caption, seed=3)
    assert made == negatives.rules(caption, seed=3) == list(negatives.rules_of_many(["a cat", caption], seed=3))[1]
    assert any(negatives.rules(caption, seed=seed) != made for seed in range(4, 8))
    assert {kind for _, kind in made} == set(negatives.KINDS)


WORDS = (
    "a an the red blue orange big small two three man woman her his cat dogs apple on under in front of behind left "
    "is holding and with wooden before , . A ' 黒い \x07 ! é 10 she"
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(WORDS.split()), max_size=14), st.integers(0, 5), st.sampled_from([" ", "  ", "\t"]))
def test_a_negative_equals_no_true_caption_and_no_other_negative(tokens, seed, space):
    caption, other = space.join(tokens), " ".join(tokens[::-1])
    made = negatives.rules(caption, seed=seed, avoid=[other])
    texts = [" ".join(text.lower().split()) for text, _ in made]
    assert len(set(texts)) == len(texts)
    assert not {" ".join(caption.lower().split()), other.lower()} & set(texts)
    assert all(kind in negatives.KINDS for _, kind in made)
    assert max(collections.Counter(kind for _, kind in made).values(), default=0) <= negatives.PER_KIND


@pytest.mark.parametrize(
    "caption", ["", " ", "\n\x00\x1f", "黒い猫がいます", "ⓐ" * 500, "word " * 10_000, "🌊🔥 🌊", "A"]
)
def test_odd_captions_break_nothing(caption):
    for text, kind in negatives.rules(caption):
        assert text.strip() and kind in negatives.KINDS


def test_word_order_keeps_the_words():
    (text,) = of("The cat sleeps on the red mat.", "word-order")
    assert sorted(text.lower().rstrip(".").split()) == ["cat", "mat", "on", "red", "sleeps", "the", "the"]
    assert text[0].isupper() and text.endswith(".")


def test_families_differ_in_one_word_of_a_kind():
    captions = ["red balloon", "A blue balloon.", "pink balloon", "a blue balloon", "two cats", "three cats", "one man",
                "one woman", "big red balloon", "red balloon"]  # fmt: skip
    owners = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    found = negatives.families(captions, owners)
    assert found[1] == [] and found[3] == []  # equal texts; 'a blue balloon' has no article-less sibling
    assert found[0] == [] and found[2] == []  # pink and red are too near
    assert found[4] == [(5, "number")] and found[5] == []  # a picture of three cats also shows two
    assert found[6] == [(7, "gender")] and found[7] == [(6, "gender")]
    more = negatives.families(["red hat", "green hat", "green hat"], [0, 1, 0])
    assert more[0] == []  # item 0 is called green as well


def test_neighbours_share_the_category_and_not_the_concept():
    rng = np.random.default_rng(0)
    count = 300
    categories = [f"group{g}" for g in rng.integers(4, size=count)]
    concepts = [f"{category}-{c}" for category, c in zip(categories, rng.integers(9, size=count), strict=True)]
    captions = [f"caption {c}" for c in rng.integers(150, size=count)]
    drawn = negatives.neighbours(categories, concepts, captions, k=5, seed=1)
    said = collections.defaultdict(set)
    for concept, caption in zip(concepts, captions, strict=True):
        said[concept].add(caption)
    for row, others in enumerate(drawn):
        assert len(others) == len(set(others)) == 5 and others == sorted(others)
        for other in others:
            assert categories[other] == categories[row] and concepts[other] != concepts[row]
            assert captions[other] not in said[concepts[row]]
    assert drawn == negatives.neighbours(categories, concepts, captions, k=5, seed=1)
    assert drawn != negatives.neighbours(categories, concepts, captions, k=5, seed=2)
    assert negatives.neighbours(["a", "a", "b"], ["x", "y", "z"], ["1", "2", "3"], k=9) == [[1], [0], []]


def test_attached_texts_become_captions_of_another_item_or_of_none():
    pairs = sample_pairs()
    first = int(np.flatnonzero(pairs.caption_items == pairs.items_of("test")[0])[0])
    other = int(np.flatnonzero(pairs.caption_items == pairs.items_of("test")[5])[0])
    elsewhere = int(np.flatnonzero(pairs.caption_items == pairs.items_of("train")[0])[0])
    texts = [pairs.caption_texts[other].upper(), pairs.caption_texts[elsewhere], "no such thing"]
    made = [[(text, "given") for text in texts] if m == first else [] for m in range(pairs.captions)]
    more = negatives.attach(pairs, made)
    added = more.negative_rows[first][len(pairs.negative_rows[first]) :]
    assert added == [other, pairs.captions, pairs.captions + 1]  # the caption of another split is not that row
    assert more.caption_texts[pairs.captions :] == texts[1:] and more.caption_items[pairs.captions :].tolist() == [
        -1,
        -1,
    ]
    assert more.negative_kinds[first][-3:] == ["given"] * 3
    with pytest.raises(JamError, match="is a true caption of item"):
        negatives.attach(pairs, [[(f" {pairs.caption_texts[0]}.", "given")]])
