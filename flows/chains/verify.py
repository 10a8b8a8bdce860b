"""Verifying a repository: what was found, told in the words of people, and a row in the audit table."""

from __future__ import annotations

from dataclasses import dataclass

from storage.checking.verification import STRUCTURE, Scope, Verification
from storage.errors import Damaged
from tasks.audit import Report, audited
from tasks.repositories import open_named
from tasks.verify_repository import healing_hints, own_profiles, verify_repository

TOLD = 20
"""So many losses are named to a person; JSON has them all."""

REPAIR_ADVICE = (
    "Run `recollect repair`, which shows first what it will do; until then keep what is still in the profile itself"
)


@dataclass(frozen=True, slots=True)
class Verified:
    """How a verification ended; `found` is None where it could not be carried out."""

    report: Report
    found: Verification | None


def verify(repository_name: str = "default", scope: Scope = STRUCTURE) -> Verified:
    """Verify a repository. Damage makes the report a failure, which names what it costs."""
    repository = open_named(repository_name)
    found = None
    with audited("verify", "", repository) as audit:
        found = verify_repository(repository, scope)
        audit.note(bytes_read=found.bytes_read)
        audit.warnings += _amiss(found)
        audit.told.append(found.coverage.as_text())
        if found.losses:
            audit.warnings += healing_hints(found.losses, own_profiles(repository), repository.seal)
        if not found.clean:
            raise Damaged(found.summary(), REPAIR_ADVICE)
        audit.completed(found.summary())
    return Verified(audit.report(), found)


def _amiss(found: Verification) -> list[str]:
    """What somebody should look at of what was found, a sentence each."""
    return [
        *first([f"Damaged: {damage.as_text()}" for damage in found.damages]),
        *first([loss.as_text() for loss in found.losses]),
        *found.remarks,
    ]


def first(sentences: list[str]) -> list[str]:
    """As many sentences as a person reads, and how many more there are."""
    more = len(sentences) - TOLD
    return [*sentences[:TOLD], *([f"... and {more} more of that kind"] if more > 0 else [])]
