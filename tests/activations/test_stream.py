import numpy as np
import pytest

from jam_jax.activations import batches
from jam_jax.activations.block_shuffle import BlockShuffle
from jam_jax.activations.store import Store
from jam_jax.activations.stored import Stored
from jam_jax.activations.stream import Batches, prefetched
from tests.samples import sample_activations, write_data


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("stream") / "data"
    pairs = write_data(root)
    return pairs, Stored(Store.open(root / "eye"), (1, 2)), Stored(Store.open(root / "words"), (3,))


def make(data, **changes):
    pairs, vision, language = data
    rows = batches.rows(pairs, "train")
    settings = {"batch": 16, "negatives": 2, "epochs": 3, "seed": 5} | changes
    settings.setdefault("shuffle", BlockShuffle(len(rows.items), settings["seed"], block=4, window=6))
    return rows, Batches(vision, language, rows, batches.groups(pairs, rows.items, "concept"), **settings)


def same(one, other):
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_batch_is_items_with_their_captions_and_hard_negatives(data):
    pairs, _, _ = data
    vision, language = sample_activations(pairs)
    rows, source = make(data)
    seen = set()
    for step in range(len(source)):
        codes = source[step]
        items = rows.items[codes.item]
        np.testing.assert_array_equal(codes.vision, np.concatenate([vision[1], vision[2]], axis=1)[items])
        np.testing.assert_array_equal(codes.item, source.items(step))
        assert source.item_ids(step) == [pairs.item_ids[i] for i in items]
        for b, item in enumerate(items):
            captions = [m for m in range(pairs.captions) if (language[3][m] == codes.language[b]).all()]
            assert [pairs.caption_items[m] for m in captions] == [item]
            seen.add(captions[0])
            negatives = {m for m in pairs.negative_rows[captions[0]] if pairs.splits[pairs.caption_items[m]] == "train"}
            for k in np.flatnonzero(codes.mask[b]):
                found = [m for m in negatives if (language[3][m] == codes.negatives[b, k]).all()]
                assert len(found) == 1 and rows.items[codes.owner[b, k]] == pairs.caption_items[found[0]]
                negatives.remove(found[0])  # without replacement
        assert codes.mask.sum(1).min() >= 1
        concepts = np.array([pairs.concepts[i] for i in items])
        np.testing.assert_array_equal(codes.group[:, None] == codes.group, concepts[:, None] == concepts)
    assert len(seen) > 1.4 * len(rows.items)  # over three epochs most items show both captions


def test_an_epoch_shows_each_item_once_and_the_next_in_another_order(data):
    rows, source = make(data)
    assert source.per_epoch == len(rows.items) // 16 and len(source) == 3 * source.per_epoch
    epochs = [
        np.concatenate([source.items(e * source.per_epoch + s) for s in range(source.per_epoch)]) for e in range(3)
    ]
    for items in epochs:
        assert len(set(items)) == len(items) == 16 * source.per_epoch
    assert not np.array_equal(epochs[0], epochs[1])


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_the_batch_that_one_would_have(data, processes):
    _, whole = make(data)
    shares = [make(data, process=process, processes=processes)[1] for process in range(processes)]
    for step in (0, 7):
        parts = [share[step] for share in shares]
        assert all(len(part.vision) == 16 // processes for part in parts)
        same(whole[step], [np.concatenate(fields) for fields in zip(*parts, strict=True)])


def test_a_batch_follows_from_the_seed_and_the_step(data):
    same(make(data)[1][4], make(data)[1][4])
    assert not np.array_equal(make(data)[1][4].item, make(data, seed=6)[1][4].item)


def test_no_negatives(data):
    _, source = make(data, negatives=0)
    assert source[0].negatives.shape == (16, 0, 16) and source[0].mask.shape == (16, 0)


def test_reading_ahead_begins_anywhere(data):
    _, source = make(data)
    for start in (0, 5, len(source) - 1, len(source)):
        read = list(prefetched(source, start))
        assert len(read) == len(source) - start
        for step, codes in enumerate(read, start):
            same(codes, source[step])
