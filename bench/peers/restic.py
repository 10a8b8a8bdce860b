"""restic: encrypted always; compression, cache and all else as it comes."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from bench.measure import Command
from bench.peers.peer import Commands, program
from bench.place import BUCKET, KEY, REGION, SECRET, Place


class Restic:
    """restic with a cache of its own."""

    name = "restic"

    def __init__(self, place: Place) -> None:
        self.place = place
        address = f"s3:{place.endpoint}/{BUCKET}/{place.name}" if place.endpoint else str(place.repository)
        self._environment = {
            "RESTIC_REPOSITORY": address,
            "RESTIC_PASSWORD": "benchmark",
            "RESTIC_CACHE_DIR": str(place.home / "cache"),
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": REGION,
        }

    def prepare(self) -> Commands:
        """Make an empty repository."""
        return [self._command("init")]

    def backup(self, profile: Path, moment: datetime | None = None) -> Commands:
        """Back up the profile's folder."""
        dated = ["--time", moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")] if moment else []
        return [self._command("backup", "--host", "bench", *dated, ".", folder=profile)]

    def restore(self, target: Path) -> Commands:
        """Restore the last snapshot."""
        return [self._command("restore", "latest", "--target", str(target))]

    def prune_to(self, kept: int) -> Commands:
        """Forget and prune."""
        return [self._command("forget", "--keep-last", str(kept), "--prune")]

    def _command(self, *arguments: str, folder: Path | None = None) -> Command:
        return Command([program("restic"), "--quiet", *arguments], self._environment, folder)
