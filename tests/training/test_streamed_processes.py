"""Two processes that each read their rows of every batch end where one process does."""

import json
import socket
import subprocess
import sys

import numpy as np
import pytest

PROGRAM = """
import json, pathlib, sys
import jax
port, process, processes, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), pathlib.Path(sys.argv[4])
jax.config.update("jax_platforms", "cpu")
if processes > 1:
    jax.distributed.initialize(f"localhost:{port}", processes, process)
from jam_jax import parallel
from tests.training.test_streamed import Streams, walkers
streams = Streams(folder / str(process), "int8")
advance = streams.advance(process=process, processes=processes)
states, metrics = advance(parallel.replicate(walkers(2), parallel.data_mesh()), 0, 9)
read = streams.batches(process=process, processes=processes)[4].item.tolist()
print(json.dumps([jax.device_get(states.params).tolist(), float(metrics["loss"]), read]))
"""


def run(processes, folder):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, port, str(process), str(processes), str(folder / str(processes))],
            stdout=subprocess.PIPE, text=True,
        )
        for process in range(processes)
    ]  # fmt: skip
    outputs = [process.communicate(timeout=300)[0] for process in started]
    assert [process.returncode for process in started] == [0] * processes
    return [json.loads(output.splitlines()[-1]) for output in outputs]


@pytest.mark.slow
def test_two_processes_are_one(tmp_path):
    ((params, loss, read),) = run(1, tmp_path)
    first, second = run(2, tmp_path)
    assert first[2] + second[2] == read
    for found in (first, second):
        np.testing.assert_allclose(found[0], params, atol=1e-5)
        assert found[1] == pytest.approx(loss, rel=1e-5)
