"""Taking media files away as Anki does: into `media.trash/` beside the media folder, where a person finds them again.

A file that is gone from the media folder is deleted by the next media sync on the server and on every other device
(rslib/src/sync/media, changetracker.rs). So this is for a person who asked for exactly that, and saw the names.
"""

from __future__ import annotations

import os
import shutil
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from profiles.durable import sync_file, sync_folder, told_plainly
from profiles.media import list_media

MEDIA_TRASH = "media.trash"
"""Anki's own name for it: rslib/src/media/mod.rs, trash_folder."""

_NOBODY_S = frozenset({".ds_store", "thumbs.db", "desktop.ini"})
"""What file managers leave behind, and make anew."""


def surplus_media(wanted: Iterable[str], folder: Path) -> tuple[str, ...]:
    """The files of a media folder that go by none of the names that are `wanted`, in their order.

    What some disks take for a wanted name (other capitals, another way to write an accent) is none of them: on such a
    disk it may be that very file. Links and folders are none, for nobody backs those up. Raises SourceUnreadable.
    """
    kept = {_alike(name) for name in wanted} | _NOBODY_S
    return tuple(file.name for file in list_media(folder).files if _alike(file.name) not in kept)


def move_to_media_trash(names: Iterable[str], folder: Path, trash: Path) -> int:
    """Move files of the media folder to `trash`, whatever lies there already; returns how many there were to move.

    Each is always in at least one of the two. Raises TargetUnusable.
    """
    moved = 0
    with told_plainly(f"Media files could not be moved from {folder} to {trash}"):
        for name in names:
            source = folder / name
            with suppress(FileNotFoundError):
                if stat.S_ISREG(source.lstat().st_mode):
                    trash.mkdir(exist_ok=True)
                    _move(source, trash)
                    moved += 1
        if moved:
            sync_folder(trash)
            sync_folder(folder)
    return moved


def _alike(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _move(source: Path, trash: Path) -> None:
    for target in _free_names(source.name, trash):
        try:
            _give_to(source, target)
        except FileExistsError:
            continue
        source.unlink()
        return


def _free_names(name: str, trash: Path) -> Iterator[Path]:
    stem, ending = os.path.splitext(name)  # noqa: PTH122 - a Path drops a dot at the end
    yield trash / name
    for number in range(2, 1_000_000):
        yield trash / f"{stem} {number}{ending}"


def _give_to(source: Path, target: Path) -> None:
    """Let the file be at `target` too. Raises FileExistsError where something is."""
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except (OSError, NotImplementedError):
        # FAT knows no links, and the media folder may be a link to another disk.
        with target.open("xb") as copy, source.open("rb") as original:
            try:
                shutil.copyfileobj(original, copy)
            except BaseException:
                target.unlink()
                raise
        shutil.copystat(source, target)
        sync_file(target)
