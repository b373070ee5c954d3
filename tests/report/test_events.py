import struct

import numpy as np

from jam_jax.report import events
from tests.report import samples


def read(path):
    """Scalars {(tag, step): value} of an events file: length, its crc, an Event message, its crc, again and again."""
    from tensorboardX.proto.event_pb2 import Event

    data, at, found = path.read_bytes(), 0, {}
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        event = Event.FromString(data[at + 12 : at + 12 + length])
        at += 16 + length
        for value in event.summary.value:
            found[value.tag, event.step] = value.simple_value
    return found


def test_events_hold_the_history(tmp_path):
    history = samples.history()
    found = read(events.write(tmp_path, history))
    assert len(found) == len(history) * 7 + len(history) // 2 * 5
    for record in history:
        np.testing.assert_allclose(found["train/loss", record["step"]], record["loss"], rtol=1e-6)
        np.testing.assert_allclose(found["train/learning_rate", record["step"]], record["learning_rate"], rtol=1e-6)
        if "validation" in record:
            shown = found["validation/choice/medium", record["step"]]
            np.testing.assert_allclose(shown, record["validation"]["choice/medium"], rtol=1e-6)


def test_writing_again_replaces_and_leaves_other_files_alone(tmp_path):
    other = tmp_path / "events.out.tfevents.1.host"
    other.write_bytes(b"")
    events.write(tmp_path, samples.history(4))
    path = events.write(tmp_path, samples.history(6))
    assert {p for p in tmp_path.iterdir()} == {other, path}
    assert ("train/loss", 42) in read(path)
