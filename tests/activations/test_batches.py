import dataclasses

import jax
import numpy as np
import pytest

from jam_jax.activations import batches
from tests.samples import sample_pairs


@pytest.fixture(scope="module")
def pairs():
    return sample_pairs()


def device_split(pairs, rows, same="concept"):
    """Activations that are row numbers: what a batch holds says where it came from."""
    return batches.Split(
        vision=np.arange(len(rows.items), dtype=np.float32)[:, None],
        language=np.arange(len(rows.captions), dtype=np.float32)[:, None],
        captions=rows.of_item, caption_count=rows.caption_count, negatives=rows.negatives,
        negative_count=rows.negative_count, owner=rows.owner, group=batches.groups(pairs, rows.items, same),
    )  # fmt: skip


@pytest.mark.parametrize("split", ["train", "validation", "test"])
@pytest.mark.parametrize(
    ("caption_kinds", "negative_kinds"), [((), ()), (("name",), ("skin",)), (("tags",), ("neighbour",))]
)
def test_rows_against_loops(pairs, split, caption_kinds, negative_kinds):
    rows = batches.rows(pairs, split, caption_kinds=caption_kinds, negative_kinds=negative_kinds)
    items = [i for i in range(pairs.items) if pairs.splits[i] == split]
    wanted = [
        m for m in range(pairs.captions)
        if pairs.caption_items[m] in items and (not caption_kinds or pairs.caption_kinds[m] in caption_kinds)
    ]  # fmt: skip
    assert rows.items.tolist() == items and rows.captions.tolist() == wanted
    for n, i in enumerate(items):
        mine = rows.of_item[n, : rows.caption_count[n]]
        assert [wanted[c] for c in mine] == [m for m in wanted if pairs.caption_items[m] == i]
        assert set(rows.of_item[n]) == set(mine)  # padding repeats a true caption
    for c, m in enumerate(wanted):
        assert items[rows.owner[c]] == pairs.caption_items[m]
        mine = [wanted[k] for k in rows.negatives[c, : rows.negative_count[c]]]
        assert mine == [
            row for row, kind in zip(pairs.negative_rows[m], pairs.negative_kinds[m], strict=True)
            if row in wanted and (not negative_kinds or kind in negative_kinds)
        ]  # fmt: skip


def test_negatives_of_another_split_are_left_out(pairs):
    dealt = pairs.resplit(3)  # neighbours were drawn within the old splits, so many now lie across
    rows = batches.rows(dealt, "test")
    across = sum(
        dealt.splits[dealt.caption_items[row]] != "test" for m in rows.captions for row in dealt.negative_rows[m]
    )
    assert across > 0
    assert rows.negative_count.sum() == sum(len(dealt.negative_rows[m]) for m in rows.captions) - across
    owners = rows.items[rows.owner[rows.negatives]]
    assert {dealt.splits[i] for i in owners.ravel()} == {"test"}


@pytest.mark.parametrize("negatives", [0, 1, 2])
@pytest.mark.parametrize("same", ["none", "concept"])
def test_a_batch_against_loops(pairs, negatives, same):
    rows = batches.rows(pairs, "train")
    # A few captions lose negatives, so that the mask has something to say.
    count = rows.negative_count.copy()
    count[::3], count[1::3] = 0, 1
    rows = rows._replace(negative_count=count)
    split = device_split(pairs, rows, same)
    drawn = jax.jit(batches.draw, static_argnames="negatives")
    items = np.random.default_rng(0).permutation(len(rows.items))[:24].astype(np.int32)
    for seed in range(3):
        batch = jax.device_get(drawn(split, items, jax.random.key(seed), negatives=negatives))
        captions = np.asarray(batch.language)[:, 0].astype(int)
        chosen = np.asarray(batch.negatives)[..., 0].astype(int)
        assert chosen.shape == batch.mask.shape == (24, negatives)
        np.testing.assert_array_equal(np.asarray(batch.vision)[:, 0], items)
        np.testing.assert_array_equal(rows.owner[captions], items)
        for b, m in enumerate(captions):
            valid = chosen[b][np.asarray(batch.mask[b])].tolist()
            allowed = rows.negatives[m, : rows.negative_count[m]].tolist()
            assert set(valid) <= set(allowed)
            assert len(valid) == len(set(valid)) == min(negatives, len(allowed))
            for other in range(24):
                one = rows.items[items[b]], rows.items[items[other]]
                shared = pairs.concepts[one[0]] == pairs.concepts[one[1]] if same == "concept" else b == other
                assert bool(batch.same[b, other]) == shared
                for k in range(negatives):
                    belongs = rows.owner[chosen[other, k]] == items[b]
                    assert bool(batch.same_negatives[b, other, k]) == belongs


def test_every_caption_and_every_negative_gets_its_turn(pairs):
    rows = batches.rows(pairs, "validation")
    split = device_split(pairs, rows)
    items = np.zeros(400, np.int32)
    batch = batches.draw(split, items, jax.random.key(0), negatives=1)
    captions = np.asarray(batch.language)[:, 0].astype(int)
    chosen = np.asarray(batch.negatives)[:, 0, 0].astype(int)
    assert (np.bincount(captions)[rows.of_item[0]] > 120).all()
    for m in rows.of_item[0]:
        counts = np.bincount(chosen[captions == m], minlength=len(rows.captions))[rows.negatives[m]]
        assert (counts > 50).all()


def test_the_key_decides(pairs):
    split = device_split(pairs, batches.rows(pairs, "train"))
    items = np.arange(16, dtype=np.int32)
    first, again, other = (batches.draw(split, items, jax.random.key(seed), negatives=2) for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first.language, other.language)


def test_captions_of_no_item_are_negatives_only(pairs):
    made = [pairs.captions, pairs.captions + 1]
    first, last = np.flatnonzero(pairs.caption_items == pairs.items_of("train")[0])[:2]
    more = dataclasses.replace(
        pairs,
        caption_texts=[*pairs.caption_texts, "no thing", "no thing"],
        caption_kinds=[*pairs.caption_kinds, "negative", "negative"],
        caption_items=[*pairs.caption_items, -1, -1],
        negative_rows=[
            [*rows, made[int(m == last)]] if m in (first, last) else rows for m, rows in enumerate(pairs.negative_rows)
        ]
        + [[], []],
        negative_kinds=[
            [*kinds, "number"] if m in (first, last) else kinds for m, kinds in enumerate(pairs.negative_kinds)
        ]
        + [[], []],
    )
    assert more.caption_ids[-2:] == ["/0", "/1"] and more.caption_ids[:-2] == pairs.caption_ids
    rows, before = batches.rows(more, "train"), batches.rows(pairs, "train")
    assert rows.captions.tolist() == [*before.captions, *made] and rows.owner.tolist() == [*before.owner, -1, -1]
    assert np.array_equal(rows.of_item, before.of_item) and np.array_equal(rows.caption_count, before.caption_count)
    assert rows.captions[rows.negatives[0][: rows.negative_count[0]]].tolist() == more.negative_rows[first]
    assert batches.rows(more, "test").captions.tolist() == batches.rows(pairs, "test").captions.tolist()
    items = np.arange(4)
    batch = batches.draw(device_split(more, rows), items, jax.random.key(0), negatives=3)
    drawn = np.asarray(batch.negatives)[..., 0]
    none = (drawn >= len(before.captions)) & np.asarray(batch.mask)
    assert none.any() and not np.asarray(batch.same_negatives)[:, none].any()


def test_matched_items_and_captions():
    pairs = sample_pairs()
    rows = batches.rows(pairs, "train")
    items, captions, owner = batches.matched(rows)
    np.testing.assert_array_equal(items, np.arange(len(rows.items)))
    np.testing.assert_array_equal(owner, rows.owner[captions])
    items, captions, owner = batches.matched(rows, 7)
    assert len(items) == 7 and len(captions) == 14 and items[-1] > 0.8 * len(rows.items)
    np.testing.assert_array_equal(pairs.caption_items[rows.captions[captions]], rows.items[items[owner]])
