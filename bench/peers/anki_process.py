"""Anki's library at work in a process of its own: `python -m bench.peers.anki_process backup|restore FROM TO`."""

from __future__ import annotations

import sys
from pathlib import Path

from anki._backend import RustBackend
from anki.collection import Collection


def back_up(collection_path: Path, folder: Path) -> None:
    """What Anki does when it is closed, whatever it did not long ago."""
    collection = Collection(str(collection_path))
    try:
        collection.create_backup(backup_folder=str(folder), force=True, wait_for_completion=True)
    finally:
        collection.close()


def restore(backup: Path, folder: Path) -> None:
    """What Anki does when a person opens a backup."""
    backend = RustBackend()
    backend.import_collection_package(
        col_path=str(folder / "collection.anki2"),
        backup_path=str(backup),
        media_folder=str(folder / "collection.media"),
        media_db=str(folder / "collection.media.db2"),
    )


if __name__ == "__main__":
    action, source, target = sys.argv[1:]
    (back_up if action == "backup" else restore)(Path(source), Path(target))
