"""Writing a package that Anki imports, in its latest layout, to anything that can be written to.

It is a pure stream: nothing is sought back to, and no media file lies anywhere on its way. So it can go straight to a
pipe or to another computer. Sizes and checksums are known only after a member, which is why they follow it (a zip file
allows that), and why the list of media comes last, as in Anki's own packages.

There is no `collection.anki2` with a note that asks for a newer Anki, unlike in Anki's own. Anki before 2.1.50, for
which it is meant, would put that note in the place of the learner's whole collection, and only then fail at the list
of media (qt/aqt/importing.py, _replaceWithApkg). Without it, it says that the file is not valid, and changes nothing.
No newer Anki looks for it. For an Anki that old there is the layout legacy2 (`legacy.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, cast
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from zstandard import ZstdCompressor

from profiles.packages.layout import COLLECTION_OF, MEDIA_MAP, META, Layout, meta_of
from profiles.packages.media_map import entry
from profiles.packages.media_names import refusal_by_anki, shown
from profiles.source_file import source_trouble

_LEVEL: Final = 3
"""zstd's own choice, and Anki's."""

_PART_BYTES: Final = 1 << 20
_NO_TIME: Final = (1980, 1, 1, 0, 0, 0)
"""The first moment that a zip file can say: the same content makes the same package."""

_UNIX: Final = 3
_PRIVATE: Final = 0o600 << 16


class MediaMember(NamedTuple):
    """A media file to be packed: what Anki will call it, and how to get its bytes, which is asked for once."""

    name: str
    parts: Callable[[], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class WrittenPackage:
    """What was written: bytes of the package, and of what is in it before compression.

    `left_out` has a sentence, without its full stop, for each media file that Anki would refuse the whole package for.
    """

    bytes_written: int
    collection_bytes: int
    media_files: int
    media_bytes: int
    left_out: tuple[str, ...]


class _Sink:
    """What zipfile writes to: counts, has no way back, and after a failure lets nothing more through."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._broken_off = False
        self.written = 0

    def write(self, data: bytes) -> int:
        if not self._broken_off:
            rest = memoryview(data)
            while rest:
                # Unbuffered files may take less than they are given; some say nothing, and have taken it all.
                taken = cast("int | None", self._out.write(rest))
                rest = rest[len(rest) if taken is None else taken :]
        self.written += len(data)
        return len(data)

    def flush(self) -> None:
        """Whoever owns the file behind it decides when."""

    def break_off(self) -> None:
        """Leave what was written as it is: zipfile would add a directory, and make a broken package look whole."""
        self._broken_off = True


class _Tally:
    """Size and checksum of what goes through."""

    def __init__(self, advance: Callable[[int], object]) -> None:
        self._advance = advance
        self._digest = hashlib.sha1(usedforsecurity=False)
        self.size = 0

    def through(self, parts: Iterable[bytes]) -> Iterator[bytes]:
        for part in parts:
            self._digest.update(part)
            self.size += len(part)
            yield part
            self._advance(len(part))

    @property
    def sha1(self) -> bytes:
        return self._digest.digest()


def write_package(
    out: BinaryIO,
    collection: Path,
    media: Iterable[MediaMember],
    advance: Callable[[int], object] = lambda _amount: None,
) -> WrittenPackage:
    """Write a package of the file `collection` and of `media`, in that order, to `out`, of which only `write` is used.

    `collection` is a private copy, of any schema that Anki opens, with no log beside it. `advance` hears of bytes
    before compression. The same content gives the same bytes.

    A media file that Anki would refuse the whole package for, or that comes a second time by one name, is left out and
    reported. Raises SourceUnreadable and CollectionMissing for `collection`, and whatever `out` and `media` raise; what
    was written until then is no package, and lacks its end, so that nothing takes it for one.
    """
    sink = _Sink(out)
    compressor = ZstdCompressor(level=_LEVEL)
    left_out: list[str] = []
    media_map: list[bytes] = []
    names: set[str] = set()
    media_bytes = 0
    with ZipFile(cast("BinaryIO", sink), "w", ZIP_STORED) as archive:
        try:
            _add(archive, META, [meta_of(Layout.LATEST)])
            packed_collection = _Tally(advance)
            _add(
                archive,
                COLLECTION_OF[Layout.LATEST],
                _packed(compressor, packed_collection.through(_file_parts(collection))),
            )
            for file in media:
                why = "it comes twice" if file.name in names else refusal_by_anki(file.name)
                if why is not None:
                    left_out.append(f"The media file {shown(file.name)} is not in the package: {why}")
                    continue
                names.add(file.name)
                tally = _Tally(advance)
                _add(archive, str(len(media_map)), _packed(compressor, tally.through(file.parts())))
                media_map.append(entry(file.name, tally.size, tally.sha1))
                media_bytes += tally.size
            _add(archive, MEDIA_MAP, _packed(compressor, media_map))
        except BaseException:
            sink.break_off()
            raise
    return WrittenPackage(
        bytes_written=sink.written,
        collection_bytes=packed_collection.size,
        media_files=len(media_map),
        media_bytes=media_bytes,
        left_out=tuple(left_out),
    )


def _add(archive: ZipFile, name: str, parts: Iterable[bytes]) -> None:
    info = ZipInfo(name, _NO_TIME)
    info.create_system = _UNIX
    info.external_attr = _PRIVATE
    # Nothing tells beforehand whether a member stays below 4 GiB, and afterwards its header can't be changed any more.
    with archive.open(info, "w", force_zip64=True) as member:
        for part in parts:
            member.write(part)


def _packed(compressor: ZstdCompressor, parts: Iterable[bytes]) -> Iterator[bytes]:
    stream = compressor.compressobj()
    for part in parts:
        yield stream.compress(part)
    yield stream.flush()


def _file_parts(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while part := file.read(_PART_BYTES):
                yield part
    except OSError as error:
        raise source_trouble(error, path) from error
