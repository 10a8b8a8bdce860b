"""Writing a package that Anki imports, in its latest layout or in legacy2, to anything that can be written to.

It is a pure stream: nothing is sought back to, and no media file lies anywhere on its way. So it can go straight to a
pipe or to another computer. Sizes and checksums are known only after a member, which is why they follow it (a zip file
allows that), and why the list of media comes last, as in Anki's own packages.

There is no `collection.anki2` with a note that asks for a newer Anki, unlike in Anki's own. Anki before 2.1.50, for
which it is meant, would put that note in the place of the learner's whole collection, and only then fail at the list
of media (qt/aqt/importing.py, _replaceWithApkg). Without it, it says that the file is not valid, and changes nothing.
No newer Anki looks for it. For an Anki that old there is the layout legacy2, whose collection is in `collection.anki21`
and has schema 11 (`legacy.py`). Anki 2.0, which knows only the other name, says of it that it is not valid, too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, cast
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from zstandard import ZstdCompressor

from profiles.packages.layout import COLLECTION_OF, MEDIA_MAP, META, Layout, meta_of
from profiles.packages.media_map import entry
from profiles.packages.media_names import left_out_by_anki, not_in_package
from profiles.source_file import source_trouble

_LEVEL: Final = 3
"""zstd's own choice, and Anki's."""

_PART_BYTES: Final = 1 << 20
_NO_TIME: Final = (1980, 1, 1, 0, 0, 0)
"""The first moment that a zip file can say: the same content makes the same package."""

_UNIX: Final = 3
_PRIVATE: Final = 0o600 << 16


class MediaLost(Exception):
    """A signal of whoever gives the parts of a media file: the rest of it can't be had; never shown to a person."""


class MediaMember(NamedTuple):
    """A media file to be packed: what Anki will call it, and how to get its bytes, which is asked for once.

    Its parts may end with MediaLost. Then the file is not in the package, whatever went out of it before.
    """

    name: str
    parts: Callable[[], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class WrittenPackage:
    """What was written: bytes of the package, and of what is in it before compression.

    `left_out` has a sentence, without its full stop, for each media file that Anki would refuse the whole package for;
    `lost` the names of those that ended with MediaLost.
    """

    bytes_written: int
    collection_bytes: int
    media_files: int
    media_bytes: int
    left_out: tuple[str, ...]
    lost: tuple[str, ...] = ()


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
    *,
    layout: Layout = Layout.LATEST,
) -> WrittenPackage:
    """Write a package of the file `collection` and of `media`, in that order, to `out`, of which only `write` is used.

    `collection` is a private copy with no log beside it: of any schema that Anki opens for the layout LATEST, of schema
    11 for LEGACY2. `advance` hears of bytes before compression. The same content gives the same bytes.

    A media file that Anki would refuse the whole package for, or that comes a second time by one name, is left out and
    reported, as one is that can't be had to its end. Raises SourceUnreadable and CollectionMissing for `collection`,
    and whatever `out` and `media` raise; what was written until then is no package, and lacks its end, so that nothing
    takes it for one.
    """
    form = _FORMS[layout]()
    sink = _Sink(out)
    left_out: list[str] = []
    lost: list[str] = []
    listed: list[_Listed] = []
    names: set[str] = set()
    with ZipFile(cast("BinaryIO", sink), "w", ZIP_STORED) as archive:
        try:
            _add(archive, META, [meta_of(layout)])
            packed_collection = _Tally(advance)
            parts = packed_collection.through(_file_parts(collection))
            _add(archive, COLLECTION_OF[layout], form.packed(parts), form.collection_method)
            for file in media:
                why = not_in_package(file.name, "it comes twice") if file.name in names else left_out_by_anki(file.name)
                if why is not None:
                    left_out.append(why)
                    continue
                tally = _Tally(advance)
                number = str(len(listed))
                try:
                    _add(archive, number, form.packed(tally.through(file.parts())))
                except MediaLost:
                    _take_back(archive, number)
                    lost.append(file.name)
                    continue
                names.add(file.name)
                listed.append(_Listed(file.name, tally.size, tally.sha1))
            _add(archive, MEDIA_MAP, form.media_map(listed))
        except BaseException:
            sink.break_off()
            raise
    return WrittenPackage(
        bytes_written=sink.written,
        collection_bytes=packed_collection.size,
        media_files=len(listed),
        media_bytes=sum(one.size for one in listed),
        left_out=tuple(left_out),
        lost=tuple(lost),
    )


class _Listed(NamedTuple):
    name: str
    size: int
    sha1: bytes


def _add(archive: ZipFile, name: str, parts: Iterable[bytes], method: int = ZIP_STORED) -> None:
    info = ZipInfo(name, _NO_TIME)
    info.create_system = _UNIX
    info.external_attr = _PRIVATE
    info.compress_type = method
    # Nothing tells beforehand whether a member stays below 4 GiB, and afterwards its header can't be changed any more.
    with archive.open(info, "w", force_zip64=True) as member:
        for part in parts:
            member.write(part)


def _take_back(archive: ZipFile, name: str) -> None:
    """Forget the last member. Its bytes are out, but what the directory does not name is not in a zip file.

    APPNOTE 4.3.1 lets a file hold such bytes, and Anki reads members by the directory alone.
    """
    member = archive.infolist().pop()
    assert member.filename == name
    del archive.NameToInfo[name]


class _Form(NamedTuple):
    """What a layout does with what goes into it."""

    packed: Callable[[Iterable[bytes]], Iterable[bytes]]
    collection_method: int
    media_map: Callable[[Sequence[_Listed]], Iterable[bytes]]


def _latest() -> _Form:
    compressor = ZstdCompressor(level=_LEVEL)

    def compressed(parts: Iterable[bytes]) -> Iterator[bytes]:
        stream = compressor.compressobj()
        for part in parts:
            yield stream.compress(part)
        yield stream.flush()

    return _Form(compressed, ZIP_STORED, lambda listed: compressed(entry(*one) for one in listed))


def _legacy() -> _Form:
    def media_map(listed: Sequence[_Listed]) -> Iterable[bytes]:
        return [json.dumps({str(number): one.name for number, one in enumerate(listed)}).encode()]

    return _Form(lambda parts: parts, ZIP_DEFLATED, media_map)


_FORMS: Final = {Layout.LATEST: _latest, Layout.LEGACY2: _legacy}


def _file_parts(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while part := file.read(_PART_BYTES):
                yield part
    except OSError as error:
        raise source_trouble(error, path) from error
