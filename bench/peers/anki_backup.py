"""Anki's own backups: the collection alone, whole each time. No media."""

from __future__ import annotations

import shutil
import sys
from datetime import datetime
from pathlib import Path

from bench.measure import Command
from bench.peers.peer import Commands, Unable
from bench.place import Place

_BACKUPS = "backups"


class AnkiBackup:
    """`create_backup` of the collection, copied first: Anki writes into a collection that it opens."""

    name = "Anki's own"

    def __init__(self, place: Place) -> None:
        self.place = place
        self._collection = place.home / "collection.anki2"

    def prepare(self) -> Commands:
        """An empty folder is all that is needed."""
        self.place.repository.mkdir(parents=True, exist_ok=True)
        return []

    def backup(self, profile: Path, moment: datetime | None = None) -> Commands:  # noqa: ARG002 - it names them by now
        """Make a backup although the last one is younger than half an hour."""
        shutil.copy2(profile / self._collection.name, self._collection)
        return [_command("backup", str(self._collection), str(self.place.repository))]

    def restore(self, target: Path) -> Commands | Unable:
        """Import the last backup into a new collection."""
        backups = sorted(self.place.repository.glob("*.colpkg"), key=lambda path: path.stat().st_mtime_ns)
        target.mkdir()
        return [_command("restore", str(backups[-1]), str(target))]

    def prune_to(self, kept: int) -> Commands | Unable:  # noqa: ARG002
        """Nothing to call."""
        return Unable("Anki thins out its backups as it makes one")


def _command(*arguments: str) -> Command:
    return Command([sys.executable, "-m", "bench.peers.anki_process", *arguments], folder=_project())


def _project() -> Path:
    return Path(__file__).resolve().parents[2]
