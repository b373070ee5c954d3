"""The two sides of a benchmark, each a process of its own that is timed on request, and what machine they run on."""

import json
import os
import pathlib
import platform
import signal
import subprocess
import sys
from typing import Any

ROOT = pathlib.Path(__file__).parents[1]


class Side:
    """A process that is timed on request, and stopped at all other times.

    PyTorch's OpenMP threads go on spinning when their work is done: left running, they take a core from the other side.
    ``python`` is the interpreter, that of another environment where a side needs one.
    """

    def __init__(self, threads: int, *arguments: str, waiting: str = "ACTIVE", python: str = sys.executable):
        environment = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        environment |= {"OMP_WAIT_POLICY": waiting, "JAX_PLATFORMS": "cpu"}
        self._name = arguments[0]
        cores = sorted(os.sched_getaffinity(0))[-threads:]
        self._process = subprocess.Popen(
            [python, "-m", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )  # fmt: skip
        assert self._process.stdin is not None and self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self.facts = self._read()
        self._process.send_signal(signal.SIGSTOP)

    def time(self, command: str, count: int) -> dict[str, float]:
        """Seconds for each of ``count`` repetitions."""
        self._process.send_signal(signal.SIGCONT)
        self._stdin.write(f"{command} {count}\n")
        self._stdin.flush()
        seconds = self._read()
        self._process.send_signal(signal.SIGSTOP)
        return {clock: total / count for clock, total in seconds.items()}

    def peak_megabytes(self) -> float:
        """The most memory that the process ever held, as Linux counts it."""
        status = pathlib.Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    def data_gigabytes(self) -> float:
        """What Linux counts against RLIMIT_DATA of the process now: heap and private writable maps."""
        status = pathlib.Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.split("VmData:")[1].split()[0]) * 1024 / 1e9

    def close(self) -> None:
        self._process.send_signal(signal.SIGCONT)
        self._stdin.close()
        self._process.wait()

    def _read(self) -> dict[str, Any]:
        line = self._stdout.readline()
        if not line:
            raise SystemExit(f"error: {self._name} ended early; its message is above")
        return json.loads(line)


def processor() -> str:
    """Name of this machine's processor."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
