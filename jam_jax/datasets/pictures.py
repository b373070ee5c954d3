"""Small pictures of all items in one Parquet file, for pages: encoded bytes, never decoded here.

python -m jam_jax.datasets.pictures --folder=data --out=jam_jax/assets/emoji     # needs pillow
"""

import argparse
import base64
import io
import os
import pathlib
import sys
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from etils import epath

from jam_jax.activations.pairs import Pairs, read_table
from jam_jax.errors import JamError

SIZE = 64
QUALITY = 60  # of colour and of transparency, where 100 would cost a third more bytes for nothing seen


class Pictures:
    """WebP bytes of each item: ``pictures[row]``, or ``pictures.data_uri(row)`` for an HTML page."""

    def __init__(self, encoded: Sequence[bytes]):
        self._encoded = encoded

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "Pictures":
        """Reads a pictures file; raises JamError when it is missing or damaged."""
        try:
            return cls(read_table(epath.Path(path))["webp"].to_pylist())
        except (OSError, pa.ArrowException, KeyError) as error:
            raise JamError(f"{path}: is not a readable pictures file; build it again") from error

    def __len__(self) -> int:
        return len(self._encoded)

    def __getitem__(self, row: int) -> bytes:
        return self._encoded[row]

    def data_uri(self, row: int) -> str:
        """The picture as the src of an <img>."""
        return f"data:image/webp;base64,{base64.b64encode(self[row]).decode()}"


def write(path: str | os.PathLike[str], files: Sequence[pathlib.Path], *, size: int = SIZE) -> None:
    """Shrinks pictures to ``size`` pixels, transparency kept, and writes them in order."""
    from PIL import Image

    encoded = []
    for file in files:
        with Image.open(file) as opened:
            small = opened.convert("RGBA").resize((size, size), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        small.save(buffer, "WEBP", quality=QUALITY, alpha_quality=QUALITY, method=6)
        encoded.append(buffer.getvalue())
    # Uncompressed: WebP is compressed already.
    table = pa.table({"webp": pa.array(encoded, pa.binary())})
    with epath.Path(path).open("wb") as handle:
        pq.write_table(table, handle, compression="none", use_dictionary=False)


def main() -> None:
    """Writes pictures.parquet: the Fluent picture of each item of a data folder's pairs.parquet."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("data"))
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("jam_jax/assets/emoji"))
    arguments = parser.parse_args()
    try:
        pairs = Pairs.open(arguments.folder / "pairs.parquet")
        arguments.out.mkdir(parents=True, exist_ok=True)
        files = [arguments.folder / "pictures" / "fluent" / f"{item}.webp" for item in pairs.item_ids]
        write(arguments.out / "pictures.parquet", files)
    except (JamError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
