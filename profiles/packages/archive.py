"""The zip file around a package, opened as what it is: a file that anyone may have made.

Python's zipfile reads it. What zipfile does not look after stands here: that the directory is not larger than memory,
that members don't overlap (https://www.bamsoftware.com/hacks/zipbomb), that each has the size it claims, and that no
member is compressed in a way that zipfile would unpack in one go.
"""

from __future__ import annotations

import errno
import struct
import threading
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO, Final, cast
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from profiles.errors import SourceUnreadable
from profiles.packages.bounds import Bounds
from profiles.packages.unreadable import COPY_AGAIN, NOT_ANKIS, Unreadable

PIECE_BYTES: Final = 1 << 20

_LOCAL_HEADER_BYTES: Final = 30
_DIRECTORY_ENTRY: Final = b"PK\x01\x02"
_ENCRYPTED: Final = 0x1 | 0x40  # APPNOTE 4.4.4: bit 0, and bit 6 for strong encryption
_PATCH: Final = 0x20
_ZIP_TROUBLES: Final = (
    BadZipFile,
    EOFError,
    OSError,
    OverflowError,
    RuntimeError,  # zipfile's own, for a missing password, and NotImplementedError
    ValueError,  # a name that is not UTF-8
    struct.error,
    zlib.error,
)
"""What zipfile raises for what it can't read. An OSError is ours, for a place outside the file; the disk's own is told
before it gets that far."""


class _Guarded:
    """The file as zipfile gets to see it: nothing beyond its ends, and at first no more at once than a directory."""

    def __init__(self, file: BinaryIO, named: str, bounds: Bounds) -> None:
        self._file = file
        self._named = named
        self._bounds = bounds
        self._position = 0
        self.opening = True
        with self._disk():
            self.size = file.seek(0, 2)

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SourceUnreadable(
                f"{self._named} could not be read: {error.strerror or error}",
                "Check the disk that it lies on, then try again",
            ) from error

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        position = offset + (0, self._position, self.size)[whence]
        if not 0 <= position <= self.size:
            raise OSError(errno.EINVAL, "a place outside the file")
        self._position = position
        return position

    def read(self, length: int = -1) -> bytes:
        left = self.size - self._position
        length = left if length < 0 else min(length, left)
        if self.opening and length > self._bounds.directory_bytes:
            raise _too_many(self._bounds)
        with self._disk():
            self._file.seek(self._position)
            data = self._file.read(length)
            while len(data) < length and (more := self._file.read(length - len(data))):
                data += more
        self._position += len(data)
        # Each entry begins so. Counted before zipfile makes an object for each.
        if self.opening and data.count(_DIRECTORY_ENTRY) > self._bounds.members:
            raise _too_many(self._bounds)
        return data


def _too_many(bounds: Bounds) -> Unreadable:
    return Unreadable(f"it claims to hold more than {bounds.members:,} files", NOT_ANKIS)


class Archive:
    """The members of an open zip file, by name. Several threads may read at once."""

    def __init__(self, zipped: ZipFile, size: int) -> None:
        self.size = size
        self._zipped = zipped
        self._lock = threading.Lock()
        members = zipped.infolist()
        _check_places(members, size)
        # Not `filename`, which zipfile shortens at a zero byte.
        self._members = {member.orig_filename: member for member in members}
        self._repeated = frozenset(
            name for name, times in Counter(member.orig_filename for member in members).items() if times > 1
        )

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def names(self) -> Iterator[str]:
        """The name of each member, once."""
        yield from self._members

    def refusal(self, name: str) -> str | None:
        """Why the member of that name can't be read, as the end of a sentence; None when it can be tried."""
        member = self._members.get(name)
        if member is None:
            return f"the package holds no member {name}"
        if name in self._repeated:
            return f"the package holds several members {name}, and which of them counts depends on who reads it"
        if member.flag_bits & _ENCRYPTED:
            return f"its member {name} is encrypted"
        if member.flag_bits & _PATCH or member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            return f"its member {name} is compressed in a way that Anki does not know"
        if member.compress_type == ZIP_STORED and member.compress_size != member.file_size:
            return f"its member {name} claims a size that it does not have"
        return None

    def unpacked_bytes(self, name: str) -> int:
        """How many bytes the member claims to be when unpacked; it never gives more."""
        return self._members[name].file_size

    def packed_bytes(self, name: str) -> int:
        """How many bytes the member takes within the file."""
        return self._members[name].compress_size

    def pieces(self, name: str) -> Iterator[bytes]:
        """The content of a member in pieces of at most 1 MiB, none of them empty.

        Raises Unreadable, at the latest after the last piece when the checksum or the size is wrong.
        """
        refusal = self.refusal(name)
        if refusal is not None:
            raise Unreadable(refusal, NOT_ANKIS)
        if self._zipped.fp is None:
            raise ValueError("the package is closed")
        member = self._members[name]
        total = 0
        with _as_unreadable(f"its member {name} is damaged"), self._opened(member) as stream:
            while piece := stream.read(PIECE_BYTES):
                total += len(piece)
                yield piece
        if total != member.file_size:
            raise Unreadable(f"its member {name} is damaged: it has {total} bytes instead of {member.file_size}")

    @contextmanager
    def _opened(self, member: ZipInfo) -> Iterator[IO[bytes]]:
        # zipfile counts who reads, and guards only the reading itself.
        with self._lock:
            stream = self._zipped.open(member)
        try:
            yield stream
        finally:
            with self._lock:
                stream.close()


@contextmanager
def opened_archive(file: BinaryIO, named: str, bounds: Bounds) -> Iterator[Archive]:
    """The zip file in `file`, which stays open afterwards.

    Raises Unreadable for what is no sound zip file, SourceUnreadable (`named`) when the disk fails.
    """
    guarded = _Guarded(file, named, bounds)
    if not guarded.size:
        raise Unreadable("it is empty, as a full disk or a crash leaves a file that was just begun", COPY_AGAIN)
    beginning = guarded.read(16)
    with _as_unreadable(_no_zip(beginning)):
        zipped = ZipFile(cast("BinaryIO", guarded))
    try:
        guarded.opening = False
        yield Archive(zipped, guarded.size)
    finally:
        zipped.close()


def _no_zip(beginning: bytes) -> str:
    if beginning.startswith(b"SQLite format 3\0"):
        return "it is no package but a collection itself"
    if beginning.startswith(b"PK\x03\x04"):
        return "it is damaged or cut short: its directory, which comes last, can't be read"
    return "it is no package: packages are zip files, and it is not one"


@contextmanager
def _as_unreadable(why: str) -> Iterator[None]:
    try:
        yield
    except _ZIP_TROUBLES as error:
        raise Unreadable(why, COPY_AGAIN) from error


def _check_places(members: list[ZipInfo], size: int) -> None:
    end = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        if member.header_offset < end:
            raise Unreadable("its members overlap, as they do in a file made to fill up a disk", NOT_ANKIS)
        end = member.header_offset + _LOCAL_HEADER_BYTES + member.compress_size
    if end > size:
        raise Unreadable("its directory does not fit its content: a part of it is missing", COPY_AGAIN)
