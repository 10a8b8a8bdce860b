"""The step *repair*: quarantine what holds damage, say anew what can't be read, pack anew what is whole."""

from __future__ import annotations

from storage.checking.repair import Repaired, RepairPlan, repair
from storage.repository import Repository
from tasks.step import step

REPAIR = "repair"
"""The purpose of a snapshot that stores anew what the repository lost. Nothing is let go on its account."""


@step("repair", retried=True)
def repair_repository(repository: Repository, plan: RepairPlan) -> Repaired:
    """Mend the repository itself, as planned. Nothing is deleted; tried again, it goes on from what was done."""
    return repair(repository, plan)
