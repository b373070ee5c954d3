import dataclasses
import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from jam_jax import backbones, export
from jam_jax.activations import Pairs, Store
from jam_jax.backbones.pooling import PooledOnHost
from jam_jax.errors import JamError

ITEMS = [f"item{i}" for i in range(7)]
TEXTS = [f"{'very ' * (i % 4)}nice thing {i}" for i in range(11)]


class Letters(PooledOnHost):
    """Stands in for a backbone: hidden states are letter codes (or pixels) times the layer number plus one."""

    revision, weight_hash, padding_side, text_template, prefix_tokens = "1", "abc", "right", "{caption}", 1
    widths = (2, 2, 2)

    def __init__(self, name):
        self.name = name
        self.modality = "vision" if name == "eye" else "language"
        self.calls = []

    def preprocess(self, inputs):
        if self.modality == "vision":
            return {"rows": [np.asarray(picture.convert("RGB"), np.float32).reshape(-1) for picture in inputs]}
        return {"rows": [np.frombuffer(text.encode(), np.uint8).astype(np.float32) for text in inputs]}

    def lengths(self, inputs):
        return [len(row) for row in self.preprocess(inputs)["rows"]]

    def hidden_states(self, batch):
        self.calls.append([len(row) for row in batch["rows"]])
        longest = max(map(len, batch["rows"]))
        values = np.stack([np.pad(row, (0, longest - len(row))) for row in batch["rows"]])
        # The batch's length leaks into the values, as it does into the last bits of real kernels.
        hidden = np.stack([values, values + longest * 1e-3], axis=2)
        return tuple(hidden * (layer + 1) for layer in range(3))

    def mask(self, batch):
        longest = max(map(len, batch["rows"]))
        return np.stack([np.arange(longest) < len(row) for row in batch["rows"]])


@pytest.fixture
def folder(tmp_path):
    data = tmp_path / "data"
    (data / "pictures" / "own").mkdir(parents=True)
    for i, item in enumerate(ITEMS):
        Image.new("RGB", (2, 2), (10 * i, 5, 0)).save(data / "pictures" / "own" / f"{item}.png")
    owners = np.arange(len(TEXTS)) % len(ITEMS)
    pairs = Pairs(
        ITEMS, ITEMS, ["thing"] * 7, ["train"] * 7, np.ones(7, bool),
        TEXTS, ["name"] * 11, owners, [[]] * 11, [[]] * 11,
    )  # fmt: skip
    pairs.write(data / "pairs.parquet")
    return data


@pytest.fixture
def loaded(monkeypatch):
    made = []

    def load(weights, runtime, *, name, revision):
        made.append(Letters(name))
        return made[-1]

    monkeypatch.setattr(backbones, "load", load)
    return made


def settings(data_folder, name="words", **changes):
    config = {
        "backbone": {"name": name, "weights": "w", "revision": "", "runtime": "torch"},
        "data": {"name": "test", "folder": str(data_folder), "view": "own"},
        "pooling": "mean", "layers": (), "dtype": "float32",
        "batch": 2, "rows_per_shard": 3, "process": 0, "processes": 1, "on_bad": "stop",
    }  # fmt: skip
    for key, value in changes.items():
        if key in config["data"]:
            config["data"][key] = value
        else:
            config[key] = value
    return config


def digests(path):
    return {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }


def test_rows_come_in_the_order_of_the_pairs(folder, loaded, tmp_path):
    store = export.export(settings(folder), tmp_path / "out")
    assert store.manifest.row_ids == Pairs.open(folder / "pairs.parquet").caption_ids
    assert (store.manifest.backbone, store.manifest.pooling, store.manifest.rows_per_shard) == ("words", "mean", 3)
    assert store.layers == (0, 1, 2)
    expected = [np.mean(list(text.encode())) for text in TEXTS]
    np.testing.assert_allclose(store.layer(1)[:][:, 0], np.float32(expected) * 2, rtol=1e-6)
    store.verify()


def test_texts_of_like_length_share_a_batch(folder, loaded, tmp_path):
    export.export(settings(folder, batch=3, rows_per_shard=11), tmp_path / "out")
    lengths = [length for call in loaded[0].calls for length in call]
    assert lengths == sorted(map(len, TEXTS))


def test_equal_captions_go_through_the_model_once(folder, loaded, tmp_path):
    pairs = Pairs.open(folder / "pairs.parquet")
    texts = [pairs.caption_texts[row % 4] for row in range(11)]
    dataclasses.replace(pairs, caption_texts=texts).write(folder / "pairs.parquet")
    store = export.export(settings(folder, rows_per_shard=11), tmp_path / "out")
    assert sum(map(len, loaded[0].calls)) == 4
    np.testing.assert_array_equal(store.layer(1)[:], store.layer(1)[np.arange(11) % 4])


def test_pictures(folder, loaded, tmp_path):
    store = export.export(settings(folder, name="eye", layers=(2, 0), dtype="float16"), tmp_path / "out")
    assert store.manifest.row_ids == ITEMS
    assert store.layers == (0, 2)
    assert store.manifest.dataset == "test/own"
    expected = [(10 * i + 5) / 3 for i in range(7)]
    np.testing.assert_allclose(store.layer(0)[:][:, 0], expected, rtol=1e-3)


@pytest.mark.parametrize("stop_after", [0, 1, 3])
def test_an_interrupted_export_goes_on_byte_equal(folder, loaded, tmp_path, monkeypatch, stop_after):
    export.export(settings(folder), tmp_path / "whole")
    written, write = [], export.StoreWriter.write_shard

    def stop(self, shard, layers):
        if len(written) == stop_after:
            raise KeyboardInterrupt
        written.append(shard)
        write(self, shard, layers)

    with monkeypatch.context() as patched:
        patched.setattr(export.StoreWriter, "write_shard", stop)
        with pytest.raises(KeyboardInterrupt):
            export.export(settings(folder), tmp_path / "cut")
    with pytest.raises(JamError, match="unfinished"):
        Store.open(tmp_path / "cut")
    loaded[-1].calls.clear()
    export.export(settings(folder), tmp_path / "cut")
    assert sum(map(len, loaded[-1].calls)) == 11 - 3 * stop_after  # what was finished is not done again
    assert digests(tmp_path / "cut") == digests(tmp_path / "whole")


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_processes_make_what_one_makes(folder, loaded, tmp_path, order):
    export.export(settings(folder), tmp_path / "one")
    stores = [export.export(settings(folder, process=p, processes=2), tmp_path / "two") for p in order]
    assert stores[0] is None
    assert stores[1].manifest.rows == 11
    rows = [sum(map(len, backbone.calls)) for backbone in loaded[1:]]
    assert rows == ([6, 5] if order == (0, 1) else [5, 6])
    assert digests(tmp_path / "two") == digests(tmp_path / "one")


def test_items_without_picture_stop_the_export_or_are_skipped_aloud(folder, loaded, tmp_path, capsys):
    (folder / "pictures" / "own" / "item3.png").unlink()
    with pytest.raises(JamError, match="1 of 7 rows cannot be used, the first is item3: there is no picture of it"):
        export.export(settings(folder, name="eye"), tmp_path / "out")
    store = export.export(settings(folder, name="eye", on_bad="skip"), tmp_path / "out")
    assert store.manifest.row_ids == [item for item in ITEMS if item != "item3"]
    assert store.manifest.skipped == [{"id": "item3", "reason": "there is no picture of it"}]
    assert "1 rows are skipped, the first is item3" in capsys.readouterr().err


def test_bad_captions_stop_the_export_or_are_skipped(folder, loaded, tmp_path):
    pairs = Pairs.open(folder / "pairs.parquet")
    bad = {2: " \n", 4: "bell \a", 6: "word " * 10_000}
    texts = [bad.get(row, text) for row, text in enumerate(pairs.caption_texts)]
    texts[8] = "\u732b\u304c\u4e00\u5339"  # not Latin, and fine
    dataclasses.replace(pairs, caption_texts=texts).write(folder / "pairs.parquet")
    with pytest.raises(JamError, match="3 of 11 rows cannot be used, the first is item2/0: the caption is empty"):
        export.export(settings(folder), tmp_path / "out")
    store = export.export(settings(folder, on_bad="skip"), tmp_path / "out")
    assert [row["id"] for row in store.manifest.skipped] == ["item2/0", "item4/0", "item6/0"]
    reasons = [row["reason"] for row in store.manifest.skipped]
    assert "empty" in reasons[0] and "U+0007" in reasons[1] and "10000 words" in reasons[2]
    assert store.manifest.rows == 8


def test_what_was_skipped_is_remembered_when_the_export_goes_on(folder, loaded, tmp_path, monkeypatch):
    (folder / "pictures" / "own" / "item5.png").write_bytes(b"GIF89a")
    whole = export.export(settings(folder, name="eye", on_bad="skip"), tmp_path / "whole")
    export.export(settings(folder, name="eye", on_bad="skip", process=1, processes=2), tmp_path / "cut")

    def again(*arguments):
        raise AssertionError("pictures were looked at again")

    monkeypatch.setattr("jam_jax.datasets.rows.inspect", again)
    export.export(settings(folder, name="eye", on_bad="skip", process=0, processes=2), tmp_path / "cut")
    assert digests(tmp_path / "cut") == digests(tmp_path / "whole")
    assert [row["id"] for row in whole.manifest.skipped] == ["item5"]


def test_nothing_usable_is_one_line(folder, loaded, tmp_path):
    for item in ITEMS:
        (folder / "pictures" / "own" / f"{item}.png").write_bytes(b"")
    with pytest.raises(JamError, match="not one of 7 rows can be used"):
        export.export(settings(folder, name="eye", on_bad="skip"), tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": (3,)}, "layers: 3 is unknown; words has layers 0 to 2"),
        ({"pooling": "median"}, "pooling 'median' is unknown"),
        ({"process": 2, "processes": 2}, "process is 2 of 2 processes; count from 0"),
        ({"batch": 0}, "batch is 0; it must be 1 or more"),
        ({"dtype": "float8"}, "dtype 'float8' is unknown"),
        ({"folder": "nowhere"}, "no such pairs file"),
    ],
)
def test_bad_settings_are_one_line(folder, loaded, tmp_path, change, message):
    with pytest.raises(JamError, match=message) as caught:
        export.export(settings(folder, **change), tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_broken_picture_is_named(folder, loaded, tmp_path):
    (folder / "pictures" / "own" / "item5.png").write_bytes(b"GIF89a")
    with pytest.raises(JamError, match="1 of 7 rows cannot be used, the first is item5: "):
        export.export(settings(folder, name="eye"), tmp_path / "out")
    with pytest.raises(JamError, match="no folder .*other"):
        export.export(settings(folder, name="eye", view="other"), tmp_path / "out")


def test_other_inputs_are_not_mixed_into_a_half_written_store(folder, loaded, tmp_path):
    export.export(settings(folder, name="eye", process=0, processes=2), tmp_path / "out")
    Image.new("RGB", (2, 2), "white").save(folder / "pictures" / "own" / "item0.png")
    with pytest.raises(JamError, match="unfinished export of other settings"):
        export.export(settings(folder, name="eye", process=1, processes=2), tmp_path / "out")


def test_importing_the_exporter_needs_no_torch():
    code = "import sys, jam_jax.export; sys.exit(bool({'torch', 'transformers', 'jax'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config=configs/export/emoji.py:gpt9"], "backbone 'gpt9' is unknown"),
        (["--config=configs/export/emoji.py:mpnet", "--config.pooling=max"], "pooling 'max' is unknown"),
        (["--config=configs/export/emoji.py:mpnet", "--config.data.folder=nowhere"], "nowhere/pairs.parquet: no such"),
    ],
)
def test_command_line_says_what_is_wrong(tmp_path, arguments, message):
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    run = subprocess.run(
        [sys.executable, "-m", "jam_jax.export", *arguments],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": root}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 2
    assert run.stderr.startswith("error: ") and message in run.stderr
    assert run.stderr.count("\n") == 1
