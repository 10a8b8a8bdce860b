"""Whose retention limits are in force: what a run was told, what a deployment says, the settings, or the profile's own.

What the deployment of a profile's backups says is noted in each snapshot of theirs. Whatever else prunes, be it
another flow, a person at a terminal or another computer, must not let go of what that deployment is to keep.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Final, Protocol

from profiles.backup_preferences import RetentionPreferences
from storage.format.manifest import Manifest
from storage.retention import RetentionLimits

_KINDS: Final = ("daily", "weekly", "monthly")


class Chosen(Protocol):
    """Limits that somebody may have chosen; None where nobody has."""

    @property
    def daily(self) -> int | None: ...

    @property
    def weekly(self) -> int | None: ...

    @property
    def monthly(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class ChosenLimits:
    """Limits that somebody chose, each for itself; None where nobody has."""

    daily: int | None = None
    weekly: int | None = None
    monthly: int | None = None


NOTHING_CHOSEN: Final = ChosenLimits()


def limits_in_force(own: RetentionPreferences, *chosen: Chosen) -> RetentionLimits:
    """Each limit as the first of `chosen` says that says anything of it, else as the profile's owner chose it."""

    def of(kind: str) -> int:
        said: Iterator[int | None] = (getattr(one, kind) for one in (*chosen, own))
        return next(limit for limit in said if limit is not None)

    return RetentionLimits(*map(of, _KINDS))


def own_limits(newest: Manifest) -> RetentionPreferences:
    """The limits that the profile's owner chose in Anki, as a snapshot noted them."""
    defaults = RetentionPreferences()
    noted = {kind: limit for kind in _KINDS if (limit := _noted(newest, f"limit_{kind}")) is not None}
    return replace(defaults, **noted)


def deployed_limits(newest: Manifest | None) -> ChosenLimits:
    """What the deployment of a profile's backups says, as a snapshot noted it."""
    return NOTHING_CHOSEN if newest is None else ChosenLimits(*(_noted(newest, f"keep_{kind}") for kind in _KINDS))


def facts_about(deployed: ChosenLimits) -> dict[str, int | None]:
    """What a snapshot notes of what the deployment says."""
    return {f"keep_{kind}": limit for kind, limit in asdict(deployed).items()}


def _noted(manifest: Manifest, fact: str) -> int | None:
    found = manifest.facts.get(fact)
    return found if type(found) is int and found >= 0 else None
