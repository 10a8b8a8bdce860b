"""Keeping a collection that no snapshot can hold, being damaged or the repository full, out of a restore's way."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from profiles.durable import sync_file, sync_folder, told_plainly

_FILES = ("", "-wal", "-journal")
_MEDIA_FOLDER = "collection.media"


def set_aside(collection: Path, now: datetime, *, media: Iterable[Path] = ()) -> Path | None:
    """Copy the collection's files as they are into a new folder beside it; None when there is nothing to copy.

    `media` are files of the media folder that are about to be replaced: they are copied along. Nothing of the profile
    is changed. The folder is named for the moment, `recollect-set-aside-<UTC time>`. Raises TargetUnusable.
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
            if not copy.is_symlink():
                sync_file(copy)
        for written in (folder / _MEDIA_FOLDER, folder, folder.parent):
            if written.is_dir():
                sync_folder(written)
    return folder
