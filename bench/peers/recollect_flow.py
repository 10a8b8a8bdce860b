"""This project through Prefect: `recollect … --server`, whose flow runs show up on a server that already runs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from bench.generate import PROFILE
from bench.measure import Command
from bench.peers.peer import Commands, Unable
from bench.peers.recollect_library import PROJECT, RecollectLibrary
from bench.place import Place

_AS_THE_LIBRARY = "Not measured through Prefect: its steps are the library's"


class RecollectFlow:
    """Recollect on a Prefect server, the environment for which is `prefect`."""

    def __init__(self, place: Place, prefect: Mapping[str, str], *, sealed: bool) -> None:
        self._library = RecollectLibrary(place, sealed=sealed)
        self._prefect = {name: value for name, value in prefect.items() if name.startswith("PREFECT_")}
        self.place = place
        self.name = f"{self._library.name}, on Prefect"

    def prepare(self) -> Commands:
        """Make an empty repository."""
        return self._library.prepare()

    def backup(self, profile: Path, moment: datetime | None = None) -> Commands | Unable:
        """Back up the profile."""
        if moment:
            return Unable(_AS_THE_LIBRARY)
        return [self._command("backup", PROFILE, base=profile.parent)]

    def restore(self, target: Path) -> Commands | Unable:
        """Restore the last snapshot."""
        return [self._command("restore", PROFILE, "--to", str(target))]

    def prune_to(self, kept: int) -> Commands | Unable:  # noqa: ARG002
        """Not measured."""
        return Unable(_AS_THE_LIBRARY)

    def _command(self, *arguments: str, base: Path | None = None) -> Command:
        program = str(Path(sys.executable).with_name("recollect"))
        environment = self._prefect | self._library.environment(base=base)
        return Command([program, *arguments, "--server", "--json"], environment, PROJECT)
