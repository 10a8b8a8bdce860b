"""The three ways in which a package is laid out, and how to tell them apart.

rslib/src/import_export/package/meta.rs. The two newer layouts also hold a `collection.anki2`, for the eyes of an Anki
too old to read them: a collection of a single note that asks for a newer Anki. It must never be taken for the real one.
"""

from __future__ import annotations

from collections.abc import Container
from enum import StrEnum
from typing import Final

from profiles.packages.protobuf import MalformedMessage, fields, number_field
from profiles.packages.unreadable import COPY_AGAIN, NOT_ANKIS, Unreadable

META: Final = "meta"
MEDIA_MAP: Final = "media"

_VERSION_FIELD: Final = 1


class Layout(StrEnum):
    """How a package is laid out.

    LEGACY1: Anki up to 2.1.49's automatic backups, its packages before the second scheduler, AnkiDroid's until 2.15.
    LEGACY2: what Anki calls "support older Anki versions".
    LATEST: since 2.1.50, compressed with zstd; the only one that tells sizes and checksums of media.
    """

    LEGACY1 = "legacy1"
    LEGACY2 = "legacy2"
    LATEST = "latest"


COLLECTION_OF: Final = {
    Layout.LEGACY1: "collection.anki2",
    Layout.LEGACY2: "collection.anki21",
    Layout.LATEST: "collection.anki21b",
}
_VERSIONS: Final = {1: Layout.LEGACY1, 2: Layout.LEGACY2, 3: Layout.LATEST}


def meta_of(layout: Layout) -> bytes:
    """The content of the member `meta` that says `layout`."""
    return number_field(_VERSION_FIELD, next(version for version, found in _VERSIONS.items() if found is layout))


def layout_of(meta: bytes | None, members: Container[str]) -> Layout:
    """The layout that the content of `meta` says, or, for a package without one, that its members tell.

    Raises Unreadable for a layout of the future, for one that can't be, and when the collection is not there.
    """
    layout = _said_by(meta) if meta is not None else _told_by(members)
    if COLLECTION_OF[layout] not in members:
        beside = [name for name in COLLECTION_OF.values() if name in members]
        missing = f"it holds no collection (no {COLLECTION_OF[layout]}"
        raise Unreadable(f"{missing}, only {' and '.join(beside)})" if beside else f"{missing})", COPY_AGAIN)
    if layout is Layout.LEGACY1:
        newer = [name for name in (COLLECTION_OF[Layout.LEGACY2], COLLECTION_OF[Layout.LATEST]) if name in members]
        if newer:
            raise Unreadable(
                f"it says that its collection is {COLLECTION_OF[layout]}, but beside {newer[0]} that is only a note "
                "asking for a newer Anki",
                COPY_AGAIN,
            )
    return layout


def _said_by(meta: bytes) -> Layout:
    version = 0
    try:
        for number, value in fields(meta):
            if number == _VERSION_FIELD:
                if not isinstance(value, int):
                    raise MalformedMessage("the version is no number")
                version = value
    except MalformedMessage as error:
        raise Unreadable("what says how it is laid out (its member meta) makes no sense", COPY_AGAIN) from error
    layout = _VERSIONS.get(version)
    if layout is None:
        # Anki too takes a version it does not know, and a meta that says none, for that of a newer Anki.
        raise Unreadable(
            "it was made by an Anki newer than this Recollect knows",
            "Update Recollect; or import it in Anki, and export it again with support for older Anki versions",
        )
    return layout


def _told_by(members: Container[str]) -> Layout:
    if COLLECTION_OF[Layout.LATEST] in members:
        # No Anki wrote that, and Anki itself would import the note that asks for a newer one.
        raise Unreadable("it does not say how it is laid out (its member meta is missing)", NOT_ANKIS)
    return Layout.LEGACY2 if COLLECTION_OF[Layout.LEGACY2] in members else Layout.LEGACY1
