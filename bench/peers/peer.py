"""What a tool has to be able to say so that it can be measured: the commands for each thing it does."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from bench.measure import Command, Interlude
from bench.place import Place

Commands = Sequence[Command | Interlude]


@dataclass(frozen=True, slots=True)
class Unable:
    """What a tool does not do, in a sentence."""

    reason: str


class Peer(Protocol):
    """A tool with a place of its own. Asking for commands may do what is not to be measured."""

    @property
    def name(self) -> str:
        """What the tables call it."""

    @property
    def place(self) -> Place:
        """Where it stores."""

    def prepare(self) -> Commands:
        """Make an empty repository."""

    def backup(self, profile: Path, moment: datetime | None = None) -> Commands | Unable:
        """Back up the profile's folder; with a `moment`, as if it were that."""

    def restore(self, target: Path) -> Commands | Unable:
        """Restore the last backup whole into the folder `target`, which does not exist."""

    def prune_to(self, kept: int) -> Commands | Unable:
        """Let go of all but the last so many backups, and free their space."""


def program(name: str) -> str:
    """The path of an installed tool."""
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(name)
    return found
