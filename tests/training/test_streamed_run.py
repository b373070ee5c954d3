"""The main job on a train split that stays on disk."""

import json

import numpy as np
import pytest

from jam_jax import main, run
from jam_jax.activations.store import Store, convert
from jam_jax.errors import Interrupted, JamError
from jam_jax.training import loop
from tests.samples import nested, small_config, write_data


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("streamed") / "data"
    write_data(root)
    for name in ("eye", "words"):
        store = Store.open(root / name)
        convert(store, root / f"{name}8", layers=store.layers, dtype="int8", rows_per_shard=30)
    return root


def settings(root, **changes):
    changes = {"data__vision": "eye8", "data__language": "words8", "data__resident": "no"} | changes
    return nested(small_config(root, data__components=14, train__epochs=3, model__init=("random",), **changes))


def test_prepared_alike(root, tmp_path):
    there, held = (run.prepare(settings(root, data__resident=how), tmp_path) for how in ("no", "yes"))
    for name in ("vision", "language"):
        for one, other in zip(there.inputs[name], held.inputs[name], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
    for one, other in zip(there.matched, held.matched, strict=True):  # few enough to be held whole
        np.testing.assert_allclose(one, other, atol=1e-3)
    assert there.steps == held.steps


def test_a_large_store_streams_of_itself(root, tmp_path, monkeypatch):
    from jam_jax import feeding
    from jam_jax.activations import sources

    assert not feeding.streams(run.prepare(settings(root, data__resident="auto"), tmp_path).vision)
    monkeypatch.setattr(sources, "RESIDENT_BYTES", 1000)
    monkeypatch.setattr(feeding, "LINEAR_ITEMS", 20)
    prepared = run.prepare(settings(root, data__resident="auto"), tmp_path)
    assert feeding.streams(prepared.vision) and feeding.streams(prepared.language)
    assert [len(part) for part in prepared.matched] == [20, 40, 40]


def test_an_altered_shard_is_found_before_training(root, tmp_path):
    convert(Store.open(root / "eye"), root / "bent", layers=(1, 2), dtype="float32")
    file = root / "bent" / Store.open(root / "bent").manifest.file_of(2, 0)
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(JamError, match="layer_02/shard-00000-of-00003.safetensors: its bytes differ"):
        run.prepare(settings(root, data__vision="bent"), tmp_path)


@pytest.mark.slow
def test_streamed_stopped_and_resumed_bit_equal_and_as_good_as_resident(root, tmp_path, monkeypatch):
    streamed = main.train(settings(root), str(tmp_path / "whole"))
    resident = main.train(settings(root, data__resident="yes"), str(tmp_path / "resident"))
    for way in ("image_to_text", "text_to_image"):
        assert streamed["test"][way]["r@5"] == pytest.approx(resident["test"][way]["r@5"], abs=0.15)
    assert streamed["validation"]["score"] == pytest.approx(resident["validation"]["score"], abs=0.1)

    class Stop(loop._Signals):
        def __enter__(self):
            self.asked = True
            return self

    monkeypatch.setattr(loop, "_Signals", Stop)
    for _ in range(2):
        with pytest.raises(Interrupted):
            main.train(settings(root), str(tmp_path / "cut"))
    resumed = main.train(settings(root), str(tmp_path / "cut"))
    assert resumed["test"] == streamed["test"]
    one, other = (json.loads((tmp_path / name / "history.json").read_text()) for name in ("whole", "cut"))
    assert one == other
