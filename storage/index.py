"""The index in memory: which blobs a repository holds, and where. Compact: about 60 bytes a copy of a blob.

A blob may lie in several packs. What matters then is which of them can be relied on: a *distrusted* pack is on its way
out, or known to hold damage (`storage/format/verdict.py`). It is read from when there is nothing better, but what lies
only there counts as not stored, so that every writer stores it anew.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from storage.format.blob import BLOB_ID_BYTES, BlobId, BlobKind, Location, PackId
from storage.format.pack import PackEntry

_Bytes = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.intp]
"""Numbers of rows of an index."""

_NUMBERS = ("offset", "stored", "length")


class Index:
    """Blobs by id: what was loaded, as columns sorted by id; what this session adds, in a dict."""

    def __init__(
        self,
        tables: Iterable[pa.Table] = (),
        present: Mapping[PackId, int] | None = None,
        distrusted: Collection[PackId] = (),
    ) -> None:
        """Take in the tables of index files, one after the other.

        `present` names the packs that a listing showed, with their sizes in bytes: a copy in a pack that is missing, or
        too short for it, is no copy. None trusts the tables. `distrusted` names packs that no writer may rely on.
        """
        self._pack_numbers: dict[PackId, int] = {}
        generations: dict[int, int] = {}
        columns = _Columns()
        for table in tables:
            if table.num_rows:
                columns.take(self._columns(table, present, generations))
        ids, packs = columns.ids.joined(), columns.packs.joined()
        kinds, numbers = columns.kinds.joined(), columns.numbers.joined()
        self.pack_ids: list[PackId] = list(self._pack_numbers)
        """The packs by the numbers that rows name them by."""
        self.distrusts = np.array([pack in distrusted for pack in self.pack_ids], dtype=bool)
        """Which of `pack_ids` are distrusted."""
        self.generations = np.array([generations[number] for number in range(len(self.pack_ids))], dtype=np.uint16)
        """Of each of `pack_ids` the generation of the key that it is sealed under."""
        prefixes = _prefixes(ids)
        order = _by_id(ids, prefixes, self.distrusts[packs])
        self._prefixes = prefixes[order]
        del prefixes
        self._ids = ids[order]
        del ids
        self._kinds = kinds[order]
        self.pack_of_row = packs[order]
        self._numbers = numbers[order]
        self._distrusted = frozenset(distrusted)
        self._added: dict[BlobId, Location] = {}

    def __len__(self) -> int:
        return len(self._ids) + len(self._added)

    def __contains__(self, blob: BlobId) -> bool:
        """Whether the repository holds the blob where it can be relied on."""
        if blob in self._added:
            return True
        first = self._first_row(blob)  # trusted copies come first
        return first is not None and not self.distrusts[self.pack_of_row[first]]

    def find(self, blob: BlobId) -> Location | None:
        """Where a blob is best read from, None when the repository does not hold it."""
        return next(iter(self.copies(blob)), None)

    def copies(self, blob: BlobId) -> list[Location]:
        """Every place where a blob lies, the most reliable first."""
        found = [self._added[blob]] if blob in self._added else []
        row = self._first_row(blob)
        while row is not None and row < len(self._ids) and self._ids[row].tobytes() == blob:
            found.append(self._location(row))
            row += 1
        return list(dict.fromkeys(found))

    def missing(self, blobs: Sequence[BlobId]) -> set[BlobId]:
        """Those of `blobs` that are to be stored: that lie in no pack that can be relied on."""
        # Not `set(blobs) - self._added.keys()`: that walks all that was added, at each question.
        wanted = [blob for blob in dict.fromkeys(blobs) if blob not in self._added]
        rows = self.rows(wanted)
        held = (rows >= 0) & ~self._distrusted_rows(rows)
        return {blob for blob, is_held in zip(wanted, held, strict=True) if not is_held}

    def lengths_among(self, lengths: Collection[int]) -> set[int]:
        """Those of `lengths`, in plain bytes, that some blob has; a piece of any other length is surely not stored."""
        wanted = np.fromiter(lengths, dtype=np.uint32, count=len(lengths))
        loaded = wanted[np.isin(wanted, self._numbers[:, 2])]
        return {*loaded.tolist(), *({place.length for place in tuple(self._added.values())} & set(lengths))}

    def rows(self, blobs: Sequence[BlobId]) -> Rows:
        """The first loaded row of each of `blobs`, -1 where there is none; asked for at once, for they are many."""
        if not len(blobs) or not len(self._ids):
            return np.full(len(blobs), -1, dtype=np.intp)
        sought = np.frombuffer(b"".join(blobs), dtype=np.uint8).reshape(-1, BLOB_ID_BYTES)
        places = np.minimum(np.searchsorted(self._prefixes, _prefixes(sought)), len(self._ids) - 1)
        equal = (self._ids[places] == sought).all(axis=1)
        rows = np.where(equal, places, -1)
        # Eight equal bytes in front of a different id are as good as impossible, but not a reason to be wrong.
        for number in np.flatnonzero(~equal).tolist():
            found = self._first_row(blobs[number])
            rows[number] = -1 if found is None else found
        return rows

    def groups(self) -> Rows:
        """The first row of each row's blob: rows of one blob share it."""
        if not len(self._ids):
            return np.empty(0, dtype=np.intp)
        begins = np.ones(len(self._ids), dtype=bool)
        same_prefix = self._prefixes[1:] == self._prefixes[:-1]
        begins[1:] = ~same_prefix
        for row in np.flatnonzero(same_prefix) + 1:
            begins[row] = self._ids[row].tobytes() != self._ids[row - 1].tobytes()
        starts = np.flatnonzero(begins)
        return np.asarray(starts[np.cumsum(begins) - 1], dtype=np.intp)

    def ids(self, rows: Rows) -> list[BlobId]:
        """The blobs that these loaded rows stand for."""
        return [BlobId(self._ids[row].tobytes()) for row in rows]

    def kinds(self, rows: Rows) -> list[BlobKind]:
        """The kinds of these loaded rows' blobs."""
        return [BlobKind(kind) for kind in self._kinds[rows].tolist()]

    def stored_bytes(self) -> npt.NDArray[np.uint32]:
        """How many bytes each loaded row's blob takes in its pack."""
        return np.asarray(self._numbers[:, 1], dtype=np.uint32)

    def plain_bytes(self) -> npt.NDArray[np.uint32]:
        """How many bytes each loaded row's blob has when it is plain."""
        return np.asarray(self._numbers[:, 2], dtype=np.uint32)

    def packs(self) -> dict[PackId, int]:
        """The packs that writers rely on, each with how many bytes it must have at least."""
        needed = np.full(len(self.pack_ids), -1, dtype=np.int64)
        np.maximum.at(needed, self.pack_of_row, self._numbers[:, 0].astype(np.int64) + self._numbers[:, 1])
        least = {
            pack: int(end)
            for pack, end, distrusted in zip(self.pack_ids, needed, self.distrusts, strict=True)
            if end >= 0 and not distrusted
        }
        for place in tuple(self._added.values()):
            least[place.pack] = max(least.get(place.pack, 0), place.offset + place.stored)
        return least

    def entries_in(self, pack: PackId) -> list[PackEntry]:
        """The loaded blobs that lie in a pack, in no particular order."""
        number = self._pack_numbers.get(pack, -1)
        rows = np.flatnonzero(self.pack_of_row == number)
        generation = int(self.generations[number]) if number >= 0 else 0
        return [
            PackEntry(blob, self._location(row), generation) for blob, row in zip(self.ids(rows), rows, strict=True)
        ]

    def add(self, entries: Iterable[PackEntry]) -> None:
        """Take in the blobs of packs that were just stored, or that an index file begins to name.

        Not those of distrusted packs: they lie where no writer may rely on them, whoever names them. Where they do lie
        the index was told when it was loaded.
        """
        for entry in entries:
            if entry.location.pack not in self._distrusted:
                self._added[entry.id] = entry.location

    def _columns(
        self, table: pa.Table, present: Mapping[PackId, int] | None, generations: dict[int, int]
    ) -> tuple[_Bytes, npt.NDArray[np.uint32], _Bytes, npt.NDArray[np.uint32]]:
        """A table as ids, numbers of packs, kinds, and offset, stored and plain length.

        `generations` takes in those of its packs, by their numbers: the lowest that is told of each.
        """
        packs = table.column("pack").combine_chunks().dictionary_encode()
        packs = packs.combine_chunks() if isinstance(packs, pa.ChunkedArray) else packs
        named = [PackId(pack) for pack in packs.dictionary.to_pylist()]
        local = packs.indices.to_numpy(zero_copy_only=False)
        numbers = np.column_stack([table.column(name).to_numpy().astype(np.uint32, copy=False) for name in _NUMBERS])
        lowest = np.full(len(named), np.iinfo(np.uint16).max, dtype=np.uint16)
        np.minimum.at(lowest, local, table.column("generation").to_numpy().astype(np.uint16, copy=False))
        ids = _byte_rows(table.column("id"))
        kinds = table.column("kind").to_numpy().astype(np.uint8, copy=False)
        if present is not None:
            sizes = np.array([present.get(pack, -1) for pack in named], dtype=np.int64)
            there = numbers[:, 0].astype(np.int64) + numbers[:, 1] <= sizes[local]
            ids, local, kinds, numbers = ids[there], local[there], kinds[there], numbers[there]
        own = np.array([self._pack_numbers.setdefault(pack, len(self._pack_numbers)) for pack in named], np.uint32)
        for number, generation in zip(own.tolist(), lowest.tolist(), strict=True):
            generations[number] = min(generation, generations.get(number, generation))
        return ids, own[local], kinds, numbers

    def _distrusted_rows(self, rows: Rows) -> npt.NDArray[np.bool_]:
        """Which rows lie in a distrusted pack; those that are -1 do not."""
        if not len(self._ids):
            return np.zeros(len(rows), dtype=bool)
        return np.asarray(self.distrusts[self.pack_of_row[rows]] & (rows >= 0))

    def _location(self, row: int | np.intp) -> Location:
        offset, stored, length = (int(number) for number in self._numbers[row])
        return Location(BlobKind(self._kinds[row]), self.pack_ids[self.pack_of_row[row]], offset, stored, length)

    def _first_row(self, blob: BlobId) -> int | None:
        prefix = np.uint64(int.from_bytes(blob[:8], "big"))
        row = int(np.searchsorted(self._prefixes, prefix))
        while row < len(self._prefixes) and self._prefixes[row] == prefix:
            if self._ids[row].tobytes() == blob:
                return row
            row += 1
        return None


def _by_id(ids: _Bytes, prefixes: npt.NDArray[np.uint64], distrusted: npt.NDArray[np.bool_]) -> Rows:
    """The order by id; of one blob's copies the trusted come first."""
    order = np.argsort(prefixes, kind="stable")
    sorted_prefixes = prefixes[order]
    same = np.zeros(len(order), dtype=bool)
    same[1:] = sorted_prefixes[1:] == sorted_prefixes[:-1]
    same[:-1] |= same[1:]
    # Few ids begin alike but those of copies, so that sorting these alone costs little.
    alike = order[same]
    if len(alike):
        words = np.ascontiguousarray(ids[alike]).view(">u8")
        order[same] = alike[np.lexsort((distrusted[alike], words[:, 3], words[:, 2], words[:, 1], words[:, 0]))]
    return order


def _byte_rows(column: pa.ChunkedArray) -> _Bytes:
    """A column of ids as an array of one row of bytes a value."""
    parts = [
        np.frombuffer(chunk.buffers()[1], dtype=np.uint8)[
            chunk.offset * BLOB_ID_BYTES : (chunk.offset + len(chunk)) * BLOB_ID_BYTES
        ]
        for chunk in column.chunks
        if len(chunk)
    ]
    return np.concatenate(parts).reshape(-1, BLOB_ID_BYTES)


class _Column:
    """Parts of a column, which are let go of as soon as they are joined: of millions of blobs two would be many."""

    def __init__(self, empty: npt.NDArray[Any]) -> None:
        self._parts = [empty]

    def add(self, part: npt.NDArray[Any]) -> None:
        self._parts.append(part)

    def joined(self) -> npt.NDArray[Any]:
        """All parts in one array."""
        whole = np.concatenate(self._parts)
        self._parts.clear()
        return whole


class _Columns:
    """What an index is made of, table by table."""

    def __init__(self) -> None:
        self.ids = _Column(np.empty((0, BLOB_ID_BYTES), np.uint8))
        self.packs = _Column(np.empty(0, np.uint32))
        self.kinds = _Column(np.empty(0, np.uint8))
        self.numbers = _Column(np.empty((0, len(_NUMBERS)), np.uint32))

    def take(self, parts: tuple[npt.NDArray[Any], ...]) -> None:
        """Take in the columns of one table."""
        for column, part in zip((self.ids, self.packs, self.kinds, self.numbers), parts, strict=True):
            column.add(part)


def _prefixes(ids: _Bytes) -> npt.NDArray[np.uint64]:
    """The first eight bytes of each id as a number."""
    return np.ascontiguousarray(ids[:, :8]).view(">u8").reshape(-1).astype(np.uint64)
