"""Reading a package of Anki's, whoever made it, in whichever of its three layouts.

    with path.open("rb") as file, open_package(file, str(path)) as package:
        package.extract_collection(private / "collection.anki2")
        for media in package.media:
            for part in package.parts(media): ...

Nothing in a package is believed: names, sizes and checksums are checked, amounts are bounded (`bounds.py`), and nothing
is ever held in memory but the directory, the list of media and a few parts.

A package of a few decks (`.apkg`) is built like one of a whole collection (`.colpkg`) down to the last member: only the
name tells them apart, and so only the name is looked at, and not even that by whoever wants notes (`of_notes`).
"""

from __future__ import annotations

import errno
import hashlib
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from profiles.errors import PackagedMediaUnusable, PackageUnusable
from profiles.packages.archive import Archive, opened_archive
from profiles.packages.bounds import Bounds
from profiles.packages.layout import COLLECTION_OF, MEDIA_MAP, META, Layout, layout_of
from profiles.packages.media_map import LARGEST_SIZE, SHA1_BYTES, Listed, latest_entries, legacy_entries
from profiles.packages.media_names import refusal, shown
from profiles.packages.parts import in_parts
from profiles.packages.unreadable import COPY_AGAIN, NOT_ANKIS, Unreadable
from profiles.packages.zstd_stream import unpacked
from profiles.private_copy import fresh_database, opened_target, target_trouble, target_troubles, write_all
from recollect.units import size as in_words

PART_BYTES: Final = 8 << 20

_LARGEST_META: Final = 1 << 10
_SPARE_BYTES: Final = 64 << 20
"""Left free on the disk that the collection is unpacked to: a full disk harms whatever else writes there."""

_MEMBER: Final = re.compile(r"[0-9]{1,9}")
_SHA1_OF_NOTHING: Final = hashlib.sha1(usedforsecurity=False).digest()
_WHOLE_BY_NAME: Final = re.compile(r"(?:collection|backup-.*)\.apkg", re.IGNORECASE | re.DOTALL)
"""qt/aqt/importing.py, setupApkgImport: Anki 2.0 had no other ending for its backups and whole collections."""


class PackagedMedia(NamedTuple):
    """One media file of a package; `size` in bytes, None where the layout does not say, as `sha1` is.

    A tuple, because there may be hundreds of thousands.
    """

    name: str
    size: int | None
    sha1: bytes | None
    member: str


class Package:
    """An open package. Several threads may take parts of it at once.

    `left_out` has a sentence, without its full stop, for everything in the package that is media and can't be taken.
    """

    def __init__(self, archive: Archive, named: str, bounds: Bounds) -> None:
        self._archive = archive
        self._named = named
        self._bounds = bounds
        self.layout: Layout = layout_of(_meta(archive), archive)
        self._collection = COLLECTION_OF[self.layout]
        self.media: tuple[PackagedMedia, ...]
        self.left_out: tuple[str, ...]
        self.media, self.left_out = _sorted_out(archive, self.layout, self._listed())
        _check_refusal(archive, self._collection)
        self._check_sum()

    @property
    def collection_bytes(self) -> int | None:
        """How large the collection claims to be; None where the layout does not say."""
        return None if self.layout is Layout.LATEST else self._archive.unpacked_bytes(self._collection)

    def extract_collection(self, target: Path, advance: Callable[[int], object] = lambda _amount: None) -> None:
        """Write the collection to the new file `target`, which only its owner may read; `advance` hears of bytes.

        It is the bytes as packed: prove it before use. After an error nothing is left of `target`. Raises
        PackageUnusable, SourceUnreadable, and TargetUnusable when `target` is taken or the disk too small.
        """
        most = min(self._bounds.collection_bytes, self._plausible(self._collection))
        claimed = self.collection_bytes or 0
        with fresh_database(target), opened_target(target) as descriptor:
            with target_troubles(target):
                room = shutil.disk_usage(target.parent).free - _SPARE_BYTES
            with _told(self._named):
                if claimed > most:
                    raise Unreadable(_swells("its collection", most), NOT_ANKIS)
                if claimed > room:
                    raise target_trouble(OSError(errno.ENOSPC, "no space"), target)
                written = 0
                for piece in self._content(self._collection):
                    written += len(piece)
                    if written > most:
                        raise Unreadable(_swells("its collection", most), NOT_ANKIS)
                    if written > room:
                        raise target_trouble(OSError(errno.ENOSPC, "no space"), target)
                    with target_troubles(target):
                        write_all(descriptor, piece)
                    advance(len(piece))

    def parts(self, media: PackagedMedia) -> Iterator[bytes]:
        """The bytes of a media file in parts of exactly 8 MiB but for the last one; none for an empty file.

        Only a reader that exhausts the iterator knows that it holds the file; but what goes wrong does so before the
        last part is given. Raises PackagedMediaUnusable, which says nothing about other files, and SourceUnreadable.
        """
        try:
            yield from in_parts(self._checked(media), PART_BYTES)
        except Unreadable as error:
            raise PackagedMediaUnusable(
                f"The media file {shown(media.name)} in the package {self._named} can't be used: {error.why}",
                error.advice,
            ) from error

    def _checked(self, media: PackagedMedia) -> Iterator[bytes]:
        most = media.size
        if most is None:
            most = min(self._bounds.media_bytes, self._plausible(media.member))
        digest = hashlib.sha1(usedforsecurity=False)
        total = 0
        for piece in self._content(media.member):
            total += len(piece)
            if total > most:
                raise Unreadable(
                    _swells("it", most) if media.size is None else f"it is longer than the {most} bytes it should have"
                )
            digest.update(piece)
            yield piece
        if media.size is not None and total != media.size:
            raise Unreadable(f"it has {total} bytes instead of {media.size}")
        if media.size is None and 0 < total <= LARGEST_SIZE:
            # Only of what is larger, or of nothing, does the list not say the size.
            raise Unreadable(f"it has {total} bytes, which its list of media does not say")
        if media.sha1 is not None and digest.digest() != media.sha1:
            raise Unreadable("it is not what its checksum in the list of media says")

    def _content(self, member: str) -> Iterator[bytes]:
        pieces = self._archive.pieces(member)
        return unpacked(pieces) if self.layout is Layout.LATEST else pieces

    def _plausible(self, member: str) -> int:
        return self._bounds.plausible(self._archive.packed_bytes(member))

    def _listed(self) -> Iterable[Listed]:
        archive, bounds = self._archive, self._bounds
        if MEDIA_MAP not in archive:
            if self.layout is Layout.LATEST:
                raise Unreadable("its list of media is missing", COPY_AGAIN)
            return ()  # AnkiDroid wrote such ones
        _check_refusal(archive, MEDIA_MAP)
        listing = bytearray()
        for piece in self._content(MEDIA_MAP):
            listing += piece
            if len(listing) > bounds.map_bytes:
                raise Unreadable(_swells("its list of media", bounds.map_bytes), NOT_ANKIS)
        read = latest_entries if self.layout is Layout.LATEST else legacy_entries
        return read(bytes(listing), bounds.members)

    def _check_sum(self) -> None:
        """Refuse what would unpack to far more than anything real of its size does, file by file and taken together."""
        total = self.collection_bytes or 0
        for media in self.media:
            if media.size is not None and media.size > self._bounds.media_bytes:
                raise Unreadable(_swells(f"its media file {shown(media.name)}", self._bounds.media_bytes), NOT_ANKIS)
            total += media.size or 0
        most = self._bounds.plausible(self._archive.size)
        if total > most:
            raise Unreadable(_swells("what is in it", most), NOT_ANKIS)


@contextmanager
def open_package(
    file: BinaryIO, named: str, *, of_notes: bool = False, bounds: Bounds | None = None
) -> Iterator[Package]:
    """Open the package in `file`, which can be sought in and is left open; `named` is what errors call it.

    `of_notes` says that a package of single notes or decks is as welcome as one of a whole collection. Raises
    PackageUnusable for what is no package of the wanted kind, is damaged, from the future or hostile; SourceUnreadable
    when the disk fails.
    """
    bounds = bounds or Bounds()
    with _told(named):
        if not of_notes:
            _check_name(named)
        with opened_archive(file, named, bounds) as archive:
            yield Package(archive, named, bounds)


@contextmanager
def open_package_at(path: Path, *, of_notes: bool = False, bounds: Bounds | None = None) -> Iterator[Package]:
    """As `open_package`, with the file at `path`; one that is not there is a PackageUnusable, too."""
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise PackageUnusable(f"There is no package at {path}", "Check the path") from error
    except OSError as error:
        raise PackageUnusable(
            f"The package {path} can't be read: {error.strerror or error}",
            "Check the path and the disk, and that you may read it",
        ) from error
    with file, open_package(file, str(path), of_notes=of_notes, bounds=bounds) as package:
        yield package


@contextmanager
def _told(named: str) -> Iterator[None]:
    """Turn the signal Unreadable into what a person should hear."""
    try:
        yield
    except Unreadable as error:
        raise PackageUnusable(f"The package {named} can't be used: {error.why}", error.advice) from error


def is_name_of_decks(file_name: str) -> bool:
    """Whether a file of this name (without its folder) holds some decks and not a whole collection, as Anki sees it."""
    return file_name.lower().endswith(".apkg") and not _WHOLE_BY_NAME.fullmatch(file_name)


def _check_name(named: str) -> None:
    if is_name_of_decks(re.split(r"[/\\]", named)[-1]):
        raise Unreadable(
            "by its name (.apkg) it holds some decks and not a whole collection",
            "Import it in Anki with File > Import; if you know that it holds a whole collection, rename it to .colpkg: "
            "from the inside the two can't be told apart",
        )


def _meta(archive: Archive) -> bytes | None:
    if META not in archive:
        return None
    _check_refusal(archive, META)
    if archive.unpacked_bytes(META) > _LARGEST_META:
        raise Unreadable("what says how it is laid out (its member meta) makes no sense", COPY_AGAIN)
    return b"".join(archive.pieces(META))


def _check_refusal(archive: Archive, member: str) -> None:
    why = archive.refusal(member)
    if why is not None:
        raise Unreadable(why, NOT_ANKIS)


def _swells(what: str, most: int) -> str:
    return f"{what} unpacks to more than {in_words(most)}, as a file does that is made to fill up a disk"


def _sorted_out(
    archive: Archive, layout: Layout, entries: Iterable[Listed]
) -> tuple[tuple[PackagedMedia, ...], tuple[str, ...]]:
    """What can be taken, in the order of the members' numbers, and a sentence for each entry that can't be.

    Of two entries with one number, or with one name, the later one counts, as it does for Anki. No member counts twice:
    a single large one could otherwise be listed under any number of names.
    """
    left_out: list[str] = []

    def leave_out(name: str | bytes, why: str) -> None:
        left_out.append(f"The media file {shown(name)} can't be taken from the package: {why}")

    by_number: dict[int, Listed] = {}
    for entry in entries:
        if entry.number is None:
            leave_out(entry.name, "the list of media gives it no number")
            continue
        earlier = by_number.get(entry.number)
        if earlier is not None:
            leave_out(earlier.name, f"its number {entry.number} is given to another name further on")
        by_number[entry.number] = entry
    by_name: dict[str, PackagedMedia] = {}
    for number in sorted(by_number):
        entry = by_number[number]
        member = str(number)
        why = refusal(entry.name) or archive.refusal(member) or _refusal_of_checksum(entry)
        if why is not None or isinstance(entry.name, bytes):
            leave_out(entry.name, why or "its name is not valid text (UTF-8)")
            continue
        if entry.name in by_name:
            leave_out(entry.name, f"a file of the same name comes later, as number {number}")
            del by_name[entry.name]
        by_name[entry.name] = PackagedMedia(entry.name, _size(archive, layout, entry, member), entry.sha1, member)
    unlisted = sum(1 for name in archive.names() if _MEMBER.fullmatch(name) and int(name) not in by_number)
    if unlisted:
        left_out.append(f"Media files without a name in the list of media can't be taken from the package: {unlisted}")
    return tuple(by_name.values()), tuple(left_out)


def _refusal_of_checksum(entry: Listed) -> str | None:
    if entry.sha1 is None or len(entry.sha1) == SHA1_BYTES:
        return None
    return "its checksum in the list of media is none"


def _size(archive: Archive, layout: Layout, entry: Listed, member: str) -> int | None:
    if layout is not Layout.LATEST:
        return archive.unpacked_bytes(member)
    if entry.size is None and entry.sha1 == _SHA1_OF_NOTHING:
        return 0
    return entry.size
