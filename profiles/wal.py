"""SQLite's write-ahead log (`-wal`), read as bytes, and how it is folded into a private copy of its database.

The format is that of https://www.sqlite.org/fileformat2.html#the_write_ahead_log; what counts as valid follows
`walIndexRecover` and `walDecodeFrame` in SQLite's src/wal.c: salts equal to the header's, the running checksum right,
a page number above zero. The last valid frame that ends a transaction ends the log; what follows it is not read.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

HEADER_SIZE: Final = 32
FRAME_HEADER_SIZE: Final = 24
LOCK_BYTE: Final = 0x40000000
"""Where SQLite locks a database file; the page that holds this byte carries no data."""

_MAGIC_LITTLE_ENDIAN: Final = 0x377F0682
_MAGIC_BIG_ENDIAN: Final = 0x377F0683
_VERSION: Final = 3007000
_BATCH_BYTES: Final = 1 << 20
_WORD: Final = 0xFFFFFFFF

Checksum = tuple[int, int]


@dataclass(frozen=True, slots=True)
class WalHeader:
    """The first 32 bytes of a log. `salts` change each time SQLite starts the log afresh."""

    big_endian: bool
    page_size: int
    checkpoint: int
    salts: tuple[int, int]
    checksum: Checksum


@dataclass(frozen=True, slots=True)
class Frame:
    """One valid frame: a page as a transaction left it. `commit_pages` is above zero on a transaction's last frame."""

    number: int
    page: int
    commit_pages: int


@dataclass(frozen=True, slots=True)
class Replay:
    """What folding a log into its database did.

    `frames` counts committed frames, `pages_written` the pages that took a new content, `commit_pages` is the size of
    the database in pages after the last transaction (None when the log holds none), `salts` are None when the log has
    no valid header.
    """

    frames: int
    pages_written: int
    commit_pages: int | None
    salts: tuple[int, int] | None


def parse_header(data: bytes) -> WalHeader | None:
    """The header at the start of `data`; None where SQLite would take the log as empty.

    Raises ValueError for a sound header of a version that SQLite would refuse to open.
    """
    if len(data) < HEADER_SIZE:
        return None
    magic, version, page_size, checkpoint, salt1, salt2, sum0, sum1 = struct.unpack_from(">8I", data)
    if magic not in (_MAGIC_LITTLE_ENDIAN, _MAGIC_BIG_ENDIAN):
        return None
    if not 512 <= page_size <= 65536 or page_size & (page_size - 1):
        return None
    big_endian = magic == _MAGIC_BIG_ENDIAN
    if plain_checksum(data[:24], (0, 0), big_endian=big_endian) != (sum0, sum1):
        return None
    if version != _VERSION:
        raise ValueError(f"its write-ahead log has the unknown version {version}")
    return WalHeader(big_endian, page_size, checkpoint, (salt1, salt2), (sum0, sum1))


def plain_checksum(data: bytes, start: Checksum, *, big_endian: bool) -> Checksum:
    """SQLite's running checksum over `data` (a multiple of 8 bytes), going on from `start`; for short data."""
    sum0, sum1 = start
    for first, second in struct.iter_unpack(">2I" if big_endian else "<2I", data):
        sum0 = (sum0 + first + sum1) & _WORD
        sum1 = (sum1 + second + sum0) & _WORD
    return sum0, sum1


@dataclass(frozen=True, slots=True)
class _Weights:
    """The checksum of one frame as a sum: it is linear in the words that go in and in the value it starts from.

    One pair of words takes (s0, s1) to (s0 + s1 + a, s0 + 2*s1 + a + b), so each word counts with a fixed weight that
    only depends on how many pairs follow it. A whole frame is then one product, which numpy does in microseconds.
    It is loaded where there is a log to read: of a collection that was closed well there is none.
    """

    words: NDArray[numpy.uint32]
    start: tuple[int, int, int, int]


@functools.lru_cache(maxsize=8)
def _weights(page_size: int) -> _Weights:
    import numpy  # noqa: PLC0415

    pairs = (8 + page_size) // 8
    words = numpy.empty((pairs * 2, 2), dtype=numpy.uint32)
    m00, m01, m10, m11 = 1, 0, 0, 1
    for pair in range(pairs - 1, -1, -1):
        words[2 * pair] = ((m00 + m01) & _WORD, (m10 + m11) & _WORD)
        words[2 * pair + 1] = (m01, m11)
        m00, m01, m10, m11 = (m00 + m01) & _WORD, (m00 + 2 * m01) & _WORD, (m10 + m11) & _WORD, (m10 + 2 * m11) & _WORD
    return _Weights(words, (m00, m01, m10, m11))


def valid_frames(log: BinaryIO, header: WalHeader) -> Iterator[Frame]:
    """The frames of the valid prefix, in order, committed or not. Reads `log` about 1 MiB at a time."""
    import numpy  # noqa: PLC0415

    frame_size = FRAME_HEADER_SIZE + header.page_size
    batch_size = max(1, _BATCH_BYTES // frame_size) * frame_size
    weights = _weights(header.page_size)
    m00, m01, m10, m11 = weights.start
    sum0, sum1 = header.checksum
    number = 0
    log.seek(HEADER_SIZE)
    while data := log.read(batch_size):
        count = len(data) // frame_size
        shape = (count, frame_size // 4)
        stored = numpy.frombuffer(data, dtype=">u4", count=count * shape[1]).reshape(shape)
        words = stored if header.big_endian else stored.view("<u4")
        parts = words[:, :2].astype(numpy.uint32) @ weights.words[:2]
        parts += words[:, 6:].astype(numpy.uint32) @ weights.words[2:]
        heads: list[list[int]] = stored[:, :6].tolist()
        for (page, commit_pages, salt1, salt2, stored0, stored1), (part0, part1) in zip(
            heads, parts.tolist(), strict=True
        ):
            sum0, sum1 = (m00 * sum0 + m01 * sum1 + part0) & _WORD, (m10 * sum0 + m11 * sum1 + part1) & _WORD
            if (salt1, salt2) != header.salts or page == 0 or (sum0, sum1) != (stored0, stored1):
                return
            yield Frame(number, page, commit_pages)
            number += 1


@dataclass(frozen=True, slots=True)
class _Committed:
    frames: int
    commit_pages: int
    newest: dict[int, int]
    """Page number → number of the frame that holds its newest committed content."""


def _committed(log: BinaryIO, header: WalHeader) -> _Committed:
    newest: dict[int, int] = {}
    open_transaction: dict[int, int] = {}
    frames = commit_pages = 0
    for frame in valid_frames(log, header):
        open_transaction[frame.page] = frame.number
        if frame.commit_pages:
            newest.update(open_transaction)
            open_transaction.clear()
            frames, commit_pages = frame.number + 1, frame.commit_pages
    return _Committed(frames, commit_pages, newest)


def _checked_growth(pages_before: int, committed: _Committed, page_size: int) -> None:
    """Every page by which the database grows must lie in the log; or a forged size would make a file of terabytes."""
    added = committed.commit_pages - pages_before
    lock_page = LOCK_BYTE // page_size + 1
    if added > len(committed.newest) + 1 or any(
        page not in committed.newest and page != lock_page
        for page in range(pages_before + 1, committed.commit_pages + 1)
    ):
        raise ValueError("its write-ahead log names pages that are neither in it nor in the database")


def overlay(main: Path, wal: Path) -> Replay:
    """Fold the committed part of `wal` into the private copy `main`, in place, as a full checkpoint would.

    Each page takes its newest committed content and the file the size of the last transaction: the bytes are those
    that SQLite's own `wal_checkpoint(TRUNCATE)` leaves. `wal` is left as it is; the caller removes it. Memory grows
    with the number of different pages in the log, not with its size.

    Raises ValueError when log and database contradict each other, OSError when a file can't be read or written.
    """
    with wal.open("rb") as log, main.open("r+b") as database:
        header = parse_header(log.read(HEADER_SIZE))
        if header is None:
            return Replay(0, 0, None, None)
        page_size = header.page_size
        size_before = database.seek(0, 2)
        committed = _committed(log, header)
        # SQLite throws a log away that lies beside an empty database (src/pager.c, pagerOpenWalIfPresent).
        if not committed.frames or size_before == 0:
            return Replay(0, 0, None, header.salts)
        _checked_growth(size_before // page_size, committed, page_size)
        written = 0
        for page in sorted(committed.newest):
            if page > committed.commit_pages:
                break
            frame_start = HEADER_SIZE + committed.newest[page] * (FRAME_HEADER_SIZE + page_size)
            log.seek(frame_start + FRAME_HEADER_SIZE)
            database.seek((page - 1) * page_size)
            database.write(log.read(page_size))
            written += 1
        database.truncate(committed.commit_pages * page_size)
        database.seek(16)
        # The database header spells 65536 as 1: https://www.sqlite.org/fileformat2.html#page_size
        if int.from_bytes(database.read(2), "big") != (1 if page_size == 65536 else page_size):
            raise ValueError("its write-ahead log was written for another page size")
    return Replay(committed.frames, written, committed.commit_pages, header.salts)
