"""What it takes to load the index of a large repository, in a process of its own."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from bench.measure import Command, run
from storage.format.blob import BLOB_ID_BYTES, PACK_ID_BYTES, BlobKind, PackId, pack_name
from storage.format.index_table import INDEX_SCHEMA, write_index_table
from storage.opening import create_repository, open_repository
from storage.stores.address import open_store

_PROJECT = Path(__file__).resolve().parents[1]

BLOBS: Final = 2_000_000
_BLOBS_IN_A_FILE = 500_000
"""As folding leaves them."""
_BLOBS_IN_A_PACK = 3_400
_PACK_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class IndexLoad:
    """An index of so many blobs was loaded in so many seconds, in a process whose memory peaked at `peak_bytes`."""

    blobs: int
    seconds: float
    peak_bytes: int


def measure_index_load(scratch: Path, blobs: int = BLOBS) -> IndexLoad:
    """Load the index of a repository made for it below `scratch`."""
    scratch.mkdir()
    folder, told = scratch / "repository", scratch / "told.json"
    make_repository(folder, blobs)
    cost = run([Command([sys.executable, "-m", "bench.index_load", str(folder), str(told)], folder=_PROJECT)], scratch)
    found = json.loads(told.read_text(encoding="utf-8"))
    return IndexLoad(found["blobs"], round(found["seconds"], 3), cost.peak_bytes)


def make_repository(folder: Path, blobs: int) -> None:
    """A repository with index files that name so many blobs, in packs that have their length and no content."""
    repository = create_repository(open_store(str(folder)))
    chance = np.random.default_rng(1)
    packs = [PackId(chance.bytes(PACK_ID_BYTES)) for _ in range(-(-blobs // _BLOBS_IN_A_PACK))]
    for begins in range(0, blobs, _BLOBS_IN_A_FILE):
        count = min(_BLOBS_IN_A_FILE, blobs - begins)
        columns = {
            "id": _random_ids(chance, count),
            "kind": np.full(count, BlobKind.PAGE, np.uint8),
            "pack": pa.array([packs[number] for number in chance.integers(0, len(packs), count)], pa.binary(16)),
            "offset": chance.integers(0, _PACK_BYTES - 4096, count).astype(np.uint32),
            "stored": chance.integers(100, 4096, count).astype(np.uint32),
            "length": np.full(count, 4096, np.uint32),
            "generation": np.zeros(count, np.uint16),
        }
        name = f"index/{chance.bytes(16).hex()}"
        repository.store.write(name, write_index_table(repository.seal, name, pa.table(columns, schema=INDEX_SCHEMA)))
    for pack in packs:
        path = folder / pack_name(pack)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.truncate(_PACK_BYTES)


def _random_ids(chance: np.random.Generator, count: int) -> pa.Array:
    content = pa.py_buffer(chance.bytes(BLOB_ID_BYTES * count))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(BLOB_ID_BYTES), count, [None, content])


def _load(folder: Path, told: Path) -> None:
    repository = open_repository(open_store(str(folder)))
    began = time.perf_counter()
    blobs = len(repository.index())
    seconds = time.perf_counter() - began
    told.write_text(json.dumps({"blobs": blobs, "seconds": seconds}), encoding="utf-8")


if __name__ == "__main__":
    _load(*map(Path, sys.argv[1:]))
