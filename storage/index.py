"""The index in memory: which blobs a repository holds, and where. Compact: about 70 bytes a blob."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from storage.format.blob import BLOB_ID_BYTES, PACK_ID_BYTES, BlobId, BlobKind, Location, PackId
from storage.format.index_table import INDEX_SCHEMA
from storage.format.pack import PackEntry

_Bytes = npt.NDArray[np.uint8]


class Index:
    """Blobs by id. What was loaded is kept sorted by the ids' first eight bytes; what this session adds, in a dict."""

    def __init__(self, tables: Iterable[pa.Table] = (), present: Mapping[PackId, int] | None = None) -> None:
        """Take in the tables of index files.

        `present` names the packs that a listing showed, with their sizes in bytes: blobs in a pack that is missing, or
        too short for them, count as not stored, so that the next backup stores them anew. None trusts the tables.
        """
        table = pa.concat_tables([INDEX_SCHEMA.empty_table(), *tables]).combine_chunks()
        if present is not None:
            table = _in_packs(table, present)
        ids = _byte_rows(table.column("id"), BLOB_ID_BYTES)
        prefixes = _prefixes(ids)
        order = np.argsort(prefixes, kind="stable")
        self._prefixes = prefixes[order]
        self._ids = ids[order]
        self._packs = _byte_rows(table.column("pack"), PACK_ID_BYTES)[order]
        self._numbers = np.column_stack(
            [table.column(name).to_numpy().astype(np.uint32)[order] for name in ("kind", "offset", "stored", "length")]
        )
        self._added: dict[BlobId, Location] = {}

    def __len__(self) -> int:
        return len(self._ids) + len(self._added)

    def __contains__(self, blob: BlobId) -> bool:
        return blob in self._added or self._row(blob) is not None

    def find(self, blob: BlobId) -> Location | None:
        """Where a blob lies, None when the repository does not hold it."""
        added = self._added.get(blob)
        if added is not None:
            return added
        row = self._row(blob)
        if row is None:
            return None
        kind, offset, stored, length = (int(number) for number in self._numbers[row])
        return Location(BlobKind(kind), PackId(self._packs[row].tobytes()), offset, stored, length)

    def missing(self, blobs: Sequence[BlobId]) -> set[BlobId]:
        """Those of `blobs` that the repository does not hold; asked for at once, since a collection has many pages."""
        # Not `set(blobs) - self._added.keys()`: that walks all that was added, at each question.
        wanted = {blob for blob in blobs if blob not in self._added}
        if not wanted or not len(self._ids):
            return wanted
        ordered = list(wanted)
        sought = np.frombuffer(b"".join(ordered), dtype=np.uint8).reshape(-1, BLOB_ID_BYTES)
        places = np.searchsorted(self._prefixes, _prefixes(sought))
        hits = np.minimum(places, len(self._ids) - 1)
        equal = (self._ids[hits] == sought).all(axis=1)
        # Eight equal bytes in front of a different id are as good as impossible, but not a reason to be wrong.
        return {blob for blob, same in zip(ordered, equal, strict=True) if not same and self._row(blob) is None}

    def packs(self) -> dict[PackId, int]:
        """The packs that blobs are found in, each with how many bytes it must have at least."""
        ends = self._numbers[:, 1].astype(np.uint64) + self._numbers[:, 2]
        column = pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(PACK_ID_BYTES), len(self._packs), [None, pa.py_buffer(self._packs)]
        ).dictionary_encode()
        needed = np.zeros(len(column.dictionary), dtype=np.uint64)
        np.maximum.at(needed, column.indices.to_numpy(), ends)
        least = {PackId(pack): int(end) for pack, end in zip(column.dictionary.to_pylist(), needed, strict=True)}
        for place in tuple(self._added.values()):
            least[place.pack] = max(least.get(place.pack, 0), place.offset + place.stored)
        return least

    def add(self, entries: Iterable[PackEntry]) -> None:
        """Take in the blobs of a pack that was just stored."""
        for entry in entries:
            self._added[entry.id] = entry.location

    def _row(self, blob: BlobId) -> int | None:
        prefix = np.uint64(int.from_bytes(blob[:8], "big"))
        row = int(np.searchsorted(self._prefixes, prefix))
        while row < len(self._prefixes) and self._prefixes[row] == prefix:
            if self._ids[row].tobytes() == blob:
                return row
            row += 1
        return None


def _in_packs(table: pa.Table, present: Mapping[PackId, int]) -> pa.Table:
    """The rows whose blob lies wholly within a pack that is there."""
    packs = table.column("pack").combine_chunks().dictionary_encode()
    if isinstance(packs, pa.ChunkedArray):
        packs = (
            packs.chunk(0) if packs.num_chunks else pa.array([], INDEX_SCHEMA.field("pack").type).dictionary_encode()
        )
    sizes = np.array([present.get(PackId(pack), -1) for pack in packs.dictionary.to_pylist()], dtype=np.int64)
    if not table.num_rows:
        return table
    ends = table.column("offset").to_numpy().astype(np.int64) + table.column("stored").to_numpy()
    return table.filter(pa.array(ends <= sizes[packs.indices.to_numpy(zero_copy_only=False)]))


def _byte_rows(column: pa.ChunkedArray, width: int) -> _Bytes:
    """A column of fixed-size binary as an array of one row of bytes a value."""
    joined = column.combine_chunks()
    chunks = joined.chunks if isinstance(joined, pa.ChunkedArray) else [joined]
    parts = [
        np.frombuffer(chunk.buffers()[1], dtype=np.uint8)[chunk.offset * width : (chunk.offset + len(chunk)) * width]
        for chunk in chunks
        if len(chunk)
    ]
    joined_rows = np.concatenate(parts) if parts else np.empty(0, dtype=np.uint8)
    return joined_rows.reshape(-1, width)


def _prefixes(ids: _Bytes) -> npt.NDArray[np.uint64]:
    """The first eight bytes of each id as a number."""
    return np.ascontiguousarray(ids[:, :8]).view(">u8").reshape(-1).astype(np.uint64)
