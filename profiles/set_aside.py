"""Keeping a collection that no snapshot can hold, being damaged or the repository full, out of a restore's way."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from profiles.durable import sync_file, sync_folder, told_plainly

_FILES = ("", "-wal", "-journal")
_MEDIA_FOLDER = "collection.media"


def set_aside(collection: Path, now: datetime, *, damaged: bool, media: Iterable[Path] = ()) -> Path | None:
    """Copy the collection's files as they are into a new folder beside it; None when there is nothing to copy.

    `media` are files of the media folder that are about to be replaced: they are copied along.
    A `damaged` one loses its logs once they are kept: with what they belong to being broken, nothing can be made of
    them, and nothing may be replayed into what takes its place. The folder is named for the moment,
    `recollect-set-aside-<UTC time>`. Raises TargetUnusable.
    """
    present = [path for suffix in _FILES if (path := collection.with_name(collection.name + suffix)).is_file()]
    if not present:
        return None
    folder = collection.with_name(f"recollect-set-aside-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}")
    with told_plainly(f"The collection {collection} could not be set aside"):
        folder.mkdir(mode=0o700)
        for path in present:
            copy = folder / path.name
            shutil.copyfile(path, copy)
            sync_file(copy)
        for path in media:
            copy = folder / _MEDIA_FOLDER / path.name
            copy.parent.mkdir(mode=0o700, exist_ok=True)
            shutil.copyfile(path, copy, follow_symlinks=False)
        sync_folder(folder)
        sync_folder(folder.parent)
        if damaged:
            for path in present[1:] if present[0] == collection else present:
                path.unlink()
            sync_folder(folder.parent)
    return folder
