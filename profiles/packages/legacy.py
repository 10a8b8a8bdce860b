"""Writing a package for Anki before 2.1.50, and for whatever else reads only the older layout.

Its collection has schema 11, and only Anki's own library can turn a newer one back into that.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from profiles.anki_library import anki_troubles, opened_collection
from profiles.base_folder import COLLECTION_FILE
from profiles.errors import CollectionMissing, PackageUnusable, TargetUnusable
from profiles.packages.media_names import refusal_by_anki, shown
from profiles.packages.writing import WrittenPackage

_MEDIA_FOLDER: Final = "collection.media"
_SET_APART: Final = "left-out"
_WITHOUT_ANKI: Final = (
    "Check that the disk has room for it twice; a package in the latest layout needs neither that nor Anki"
)


def write_legacy_package(out: Path, scratch: Path, *, include_media: bool = True) -> WrittenPackage:
    """Write the new file `out` in the layout legacy2, from the profile in the private folder `scratch`.

    `scratch` holds `collection.anki2`, with no log beside it, and, for `include_media`, the folder `collection.media`.
    The work uses both up: the collection is turned back to schema 11, media files that Anki would refuse the whole
    package for are moved to `left-out`. Everything in a package needs its whole size again on the disk of `out`.

    Raises CollectionMissing, TargetUnusable when `out` exists or can't be written, PackageUnusable when Anki's library
    can't do it; nothing is left of `out` then.
    """
    if os.path.lexists(out):
        raise TargetUnusable(f"{out} exists already", "Choose another name for the package")
    collection, media = scratch / COLLECTION_FILE, scratch / _MEDIA_FOLDER
    if not collection.is_file():
        # Anki would make a new one, and pack that.
        raise CollectionMissing(f"There is no collection at {collection}", "Put the copy there that is to be packed")
    with _told(out):
        left_out = _set_apart(media, scratch / _SET_APART) if include_media else ()
        sizes = [path.stat().st_size for path in media.iterdir()] if include_media and media.is_dir() else []
        collection_bytes = collection.stat().st_size
        _export(out, collection, include_media=include_media)
        bytes_written = out.stat().st_size
    return WrittenPackage(
        bytes_written=bytes_written,
        collection_bytes=collection_bytes,
        media_files=len(sizes),
        media_bytes=sum(sizes),
        left_out=left_out,
    )


def _export(out: Path, collection: Path, *, include_media: bool) -> None:
    opened = opened_collection(collection)
    try:
        opened.export_collection_package(str(out), include_media=include_media, legacy=True)
    finally:
        # The export closes it, and opens it not again, whether it succeeds or not.
        if opened.db is not None:
            opened.close()


@contextmanager
def _told(out: Path) -> Iterator[None]:
    """Leave nothing half written, and say why."""
    could_not = f"Anki's library could not make the package {out}"
    try:
        with anki_troubles(could_not, _WITHOUT_ANKI, kind=PackageUnusable):
            yield
    except OSError as error:
        _forget(out)
        raise TargetUnusable(
            f"The package {out} could not be written: {error.strerror or error}",
            "Check that its folder is there and may be written to, and that the disk has room for all of it twice",
        ) from error
    except BaseException:
        _forget(out)
        raise


def _forget(out: Path) -> None:
    with suppress(OSError):
        out.unlink(missing_ok=True)


def _set_apart(media: Path, apart: Path) -> tuple[str, ...]:
    """Move what would make Anki refuse to export at all out of its way, and say so."""
    left_out: list[str] = []
    if not media.is_dir():
        return ()
    with os.scandir(media) as entries:
        found = sorted((entry.name, entry.stat(follow_symlinks=False).st_mode) for entry in entries)
    for name, mode in found:
        # Anki passes over folders and links without a word.
        why = refusal_by_anki(name) if stat.S_ISREG(mode) else "it is no file"
        if why is not None:
            apart.mkdir(mode=0o700, exist_ok=True)
            (media / name).rename(apart / name)
            left_out.append(f"The media file {shown(name)} is not in the package: {why}")
    return tuple(left_out)
