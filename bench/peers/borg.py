"""Borg: encrypted with BLAKE2 (`repokey-blake2`), compression and all else as it comes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from bench.measure import Command
from bench.peers.peer import Commands, program
from bench.place import Place


class Borg:
    """Borg with a cache of its own."""

    name = "borg"

    def __init__(self, place: Place) -> None:
        self.place = place
        self._archives = 0
        self._environment = {
            "BORG_REPO": str(place.repository),
            "BORG_PASSPHRASE": "benchmark",
            "BORG_BASE_DIR": str(place.home),
            "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
        }

    def prepare(self) -> Commands:
        """Make an empty repository."""
        return [self._command("init", "--encryption", "repokey-blake2")]

    def backup(self, profile: Path, moment: datetime | None = None) -> Commands:
        """Create an archive of the profile's folder."""
        self._archives += 1
        dated = ["--timestamp", moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")] if moment else []
        return [self._command("create", *dated, f"::{self._archives:04}", ".", folder=profile)]

    def restore(self, target: Path) -> Commands:
        """Extract the last archive."""
        target.mkdir()
        return [self._command("extract", f"::{self._archives:04}", folder=target)]

    def prune_to(self, kept: int) -> Commands:
        """Prune, then compact, which frees the space."""
        return [self._command("prune", "--keep-last", str(kept)), self._command("compact")]

    def _command(self, *arguments: str, folder: Path | None = None) -> Command:
        return Command([program("borg"), *arguments], self._environment, folder)
