"""This project as a library: the chains that the `recollect` command runs, in a fresh process."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from functools import partial
from pathlib import Path

from bench.generate import PROFILE
from bench.measure import Command
from bench.peers.peer import Commands, Unable
from bench.place import BUCKET, KEY, SECRET, Place, let_days_pass

PROJECT = Path(__file__).resolve().parents[2]
_ALL = "9999"
_IN_TRASH_DAYS = 8
_CONDEMNED_DAYS = 2


class RecollectLibrary:
    """Recollect without a Prefect server; `sealed` with a passphrase."""

    def __init__(self, place: Place, *, sealed: bool) -> None:
        self.place = place
        self.sealed = sealed
        self.name = "Recollect, sealed" if sealed else "Recollect"

    def prepare(self) -> Commands:
        """Make an empty repository."""
        return [self._library("prepare")]

    def backup(self, profile: Path, moment: datetime | None = None) -> Commands | Unable:
        """Back up the profile."""
        dated = [moment.isoformat()] if moment else []
        return [self._library("backup", PROFILE, *dated, base=profile.parent, daily=_ALL)]

    def restore(self, target: Path) -> Commands | Unable:
        """Restore the last snapshot."""
        return [self._library("restore", PROFILE, str(target))]

    def prune_to(self, kept: int) -> Commands | Unable:
        """Prune by Anki's rule, with so many daily snapshots as its only limit, as the snapshots are a day apart.

        What that lets go waits in the trash, then packs are condemned, and removed later: three commands with days
        between them, whose costs are added up.
        """
        return [
            self._library("prune", PROFILE, daily=str(kept)),
            partial(let_days_pass, self.place, _IN_TRASH_DAYS),
            self._library("sweep", PROFILE),
            partial(let_days_pass, self.place, _CONDEMNED_DAYS),
            self._library("sweep", PROFILE),
        ]

    def environment(self, *, base: Path | None = None, daily: str | None = None) -> dict[str, str]:
        """The settings in force, as variables."""
        far = {"endpoint_url": self.place.endpoint, "key": KEY, "secret": SECRET}
        repository = f"s3://{BUCKET}/{self.place.name}" if self.place.endpoint else str(self.place.repository)
        return {
            "RECOLLECT_REPO": repository,
            "RECOLLECT_CACHE": str(self.place.home / "cache"),
            "RECOLLECT_STATE": str(self.place.home / "state"),
            "RECOLLECT_HOST": "bench",
            "RECOLLECT_CONFIG": str(self._configuration()),
            **({"RECOLLECT_REPO_OPTIONS": json.dumps(far)} if self.place.endpoint else {}),
            **({"RECOLLECT_PASSPHRASE": "the benchmark's own"} if self.sealed else {}),
            **({"RECOLLECT_BASE": str(base)} if base else {}),
            **({"RECOLLECT_DAILY": daily, "RECOLLECT_WEEKLY": "0", "RECOLLECT_MONTHLY": "0"} if daily else {}),
        }

    def _configuration(self) -> Path:
        """An empty file, so that the one of whoever runs the benchmark is not read."""
        path = self.place.home / "recollect.toml"
        path.touch()
        return path

    def _library(self, *arguments: str, base: Path | None = None, daily: str | None = None) -> Command:
        command = [sys.executable, "-m", "bench.action", *arguments]
        return Command(command, self.environment(base=base, daily=daily), PROJECT)
