"""rclone: files copied as they are, neither encrypted nor compressed; what a copy replaces is moved aside."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from bench.measure import Command
from bench.peers.peer import Commands, program
from bench.place import BUCKET, KEY, REGION, SECRET, Place


class Rclone:
    """`rclone sync --backup-dir`: a folder with the present state, and one for each earlier state's replaced files."""

    name = "rclone"

    def __init__(self, place: Place) -> None:
        self.place = place
        self._syncs = 0
        self._root = f"far:{BUCKET}/{place.name}" if place.endpoint else str(place.repository)
        self._environment = {"RCLONE_CONFIG": str(place.home / "rclone.conf"), "RCLONE_CACHE_DIR": str(place.home)}
        self._options: list[str] = []
        if place.endpoint:
            # What rclone advises for S3: no request for each file's time, and few listings.
            self._options = ["--fast-list", "--update", "--use-server-modtime", "--modify-window", "100ms"]
            self._environment |= {
                "RCLONE_CONFIG_FAR_TYPE": "s3",
                "RCLONE_CONFIG_FAR_PROVIDER": "Other",
                "RCLONE_CONFIG_FAR_ENDPOINT": place.endpoint,
                "RCLONE_CONFIG_FAR_ACCESS_KEY_ID": KEY,
                "RCLONE_CONFIG_FAR_SECRET_ACCESS_KEY": SECRET,
                "RCLONE_CONFIG_FAR_REGION": REGION,
                "RCLONE_CONFIG_FAR_NO_CHECK_BUCKET": "true",
            }

    def prepare(self) -> Commands:
        """An empty folder is all that is needed."""
        (self.place.home / "rclone.conf").touch()
        self.place.repository.mkdir(parents=True, exist_ok=True)
        return []

    def backup(self, profile: Path, moment: datetime | None = None) -> Commands:  # noqa: ARG002 - it keeps no dates
        """Copy what changed."""
        self._syncs += 1
        aside = ["--backup-dir", f"{self._root}/earlier/{self._syncs:04}"]
        return [self._command("sync", *self._options, *aside, str(profile), f"{self._root}/current")]

    def restore(self, target: Path) -> Commands:
        """Copy the present state back."""
        return [self._command("copy", f"{self._root}/current", str(target))]

    def prune_to(self, kept: int) -> Commands:
        """Remove the folders of earlier states but the last ones."""
        earlier = sorted(folder.name for folder in (self.place.repository / "earlier").iterdir())
        goes = ",".join(earlier[: len(earlier) - kept + 1])
        return [self._command("delete", "--rmdirs", "--include", f"/{{{goes}}}/**", f"{self._root}/earlier")]

    def _command(self, *arguments: str) -> Command:
        return Command([program("rclone"), "--quiet", *arguments], self._environment)
