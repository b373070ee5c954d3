"""One shard: a safetensors file with the rows of one layer, and how numbers are packed in it."""

import dataclasses
import hashlib
import json
import mmap
import os
import pathlib
import struct
from collections.abc import Sequence

import ml_dtypes
import numpy as np
from etils import epath
from safetensors.numpy import save

from jam_jax.errors import JamError

DTYPES = {
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "int8": np.dtype(np.int8),
}
_NUMPY_OF_SAFETENSORS = {
    "F32": DTYPES["float32"],
    "F16": DTYPES["float16"],
    "BF16": DTYPES["bfloat16"],
    "I8": DTYPES["int8"],
}
ADVISED_BYTES = 128 << 10


@dataclasses.dataclass(frozen=True)
class Shard:
    """Values [n, D] as stored (a memory map on local disks) and, for int8, scale and offset [D].

    ``begin`` is where the values begin in the mapped ``file``, in bytes; files elsewhere are not mapped.
    """

    values: np.ndarray
    scale: np.ndarray | None = None
    offset: np.ndarray | None = None
    file: mmap.mmap | None = None
    begin: int = 0

    def will_read(self, firsts: Sequence[int], lasts: Sequence[int]) -> None:
        """Has the system fetch these stretches of rows (``lasts`` included) into its page cache, without waiting.

        From then on nothing else is read ahead from this shard: what is not announced is read page by page.
        """
        if self.file is None or not hasattr(mmap, "MADV_WILLNEED"):
            return
        self.file.madvise(mmap.MADV_RANDOM)
        row_bytes = self.values.shape[1] * self.values.itemsize
        for first, last in zip(firsts, lasts, strict=True):
            place = (self.begin + first * row_bytes) // mmap.PAGESIZE * mmap.PAGESIZE
            stop = self.begin + (last + 1) * row_bytes
            # Linux reads no more than a device's readahead for one call, commonly 128 KB, whatever length is asked.
            for start in range(place, stop, ADVISED_BYTES):
                self.file.madvise(mmap.MADV_WILLNEED, start, min(ADVISED_BYTES, stop - start))

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Rows of this shard as float32 [len(rows), D]."""
        taken = np.take(self.values, rows, axis=0).astype(np.float32, copy=False)
        if self.scale is not None and self.offset is not None:
            taken *= self.scale
            taken += self.offset
        return taken


def quantise(values_NxD: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """int8 codes [N, D] with scale [D] and offset [D]: value = code * scale + offset, error <= scale / 2.

    The offset is the middle of each dimension's range: pooled activations are far from centred (a rectified or a
    massive dimension would lose half of its codes, or all of its variation, to a scale alone).
    """
    low_D, high_D = values_NxD.min(axis=0), values_NxD.max(axis=0)
    offset_D = ((low_D.astype(np.float64) + high_D) / 2).astype(np.float32)
    scale_D = ((high_D.astype(np.float64) - low_D) / 254).astype(np.float32)
    safe_D = np.where(scale_D > 0, scale_D, 1)
    codes_NxD = np.clip(np.rint((values_NxD - offset_D) / safe_D), -127, 127).astype(np.int8)
    return codes_NxD, scale_D, offset_D


def to_bytes(values_NxD: np.ndarray, dtype: str) -> bytes:
    """The bytes of a shard file; the same values give the same bytes.

    Raises JamError when a value does not fit the dtype's range (float16 ends at 65504).
    """
    if dtype == "int8":
        codes_NxD, scale_D, offset_D = quantise(np.asarray(values_NxD, np.float32))
        return save({"values": codes_NxD, "scale": scale_D, "offset": offset_D})
    with np.errstate(over="ignore"):
        packed = np.ascontiguousarray(values_NxD.astype(DTYPES[dtype]))
    if not np.isfinite(packed.astype(np.float32)).all():
        raise JamError(f"an activation is too large for {dtype}; export as bfloat16, float32 or int8")
    return save({"values": packed})


def open_shard(file: epath.Path) -> Shard:
    """Opens a shard, by memory map where the file is local; raises JamError when its header is damaged."""
    local = pathlib.Path(os.fspath(file))
    if local.exists():
        raw = np.memmap(local, np.uint8, "r") if local.stat().st_size else np.zeros(0, np.uint8)
    else:
        raw = np.frombuffer(file.read_bytes(), np.uint8)
    try:
        (header_bytes,) = struct.unpack("<Q", raw[:8].tobytes())
        header = json.loads(raw[8 : 8 + header_bytes].tobytes())
        body = raw[8 + header_bytes :]
        tensors = {
            name: body[slice(*at["data_offsets"])].view(_NUMPY_OF_SAFETENSORS[at["dtype"]]).reshape(at["shape"])
            for name, at in header.items()
            if name != "__metadata__"
        }
        # Small vectors are copied so that reading rows touches one mapped region only.
        small = {name: np.array(tensors[name]) for name in ("scale", "offset") if name in tensors}
        mapped = raw.base if isinstance(raw.base, mmap.mmap) else None
        begin = 8 + header_bytes + header["values"]["data_offsets"][0]
        return Shard(tensors["values"], **small, file=mapped, begin=begin)
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise JamError(f"{file}: is not a readable shard ({type(error).__name__}); copy or export it again") from error


def sha256(file: epath.Path) -> str:
    """The hash of a file in hexadecimal digits, read piece by piece."""
    digest = hashlib.sha256()
    with file.open("rb") as handle:
        while piece := handle.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def write_atomically(file: epath.Path, data: bytes) -> None:
    """Writes a file so that it is either there whole or not at all; raises JamError when the place is not writable."""
    temporary = file.parent / f".{file.name}.{os.getpid()}.part"
    try:
        with temporary.open("wb") as handle:
            handle.write(data)
            handle.flush()
            if hasattr(handle, "fileno"):
                os.fsync(handle.fileno())
        temporary.replace(file)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise JamError(f"{file}: cannot be written ({error.strerror}); choose a writable folder with room") from error


__all__ = ["DTYPES", "Shard", "open_shard", "quantise", "sha256", "to_bytes", "write_atomically"]
