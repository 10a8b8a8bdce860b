"""The step *retention-prune*: Anki's rule over a profile's snapshots; what it lets go is forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from profiles.backup_preferences import RetentionPreferences
from recollect.settings import Settings
from storage.format.manifest import Manifest, ProfileKey
from storage.repository import Repository, SnapshotRef
from storage.retention import Candidate, RetentionLimits, RetentionPlan, plan_retention
from tasks.job import Job
from tasks.snapshot import Source
from tasks.step import step


@dataclass(frozen=True, slots=True)
class Pruned:
    """The plan that was carried out, and what could not be judged."""

    plan: RetentionPlan
    remarks: tuple[str, ...]


@step("retention-prune", retried=True)
def retention_prune(job: Job, source: Source) -> Pruned:
    """Let go of the snapshots that the retention limits no longer hold."""
    limits = chosen_limits(job.settings, source.preferences)
    plan, remarks = profile_plan(job.repository, job.profile_key, limits)
    carry_out(job.repository, job.profile_key, plan)
    return Pruned(plan, remarks)


def chosen_limits(settings: Settings, own: RetentionPreferences) -> RetentionLimits:
    """The limits in force: each one that is set, else the profile's own."""
    return RetentionLimits(
        daily=own.daily if settings.daily is None else settings.daily,
        weekly=own.weekly if settings.weekly is None else settings.weekly,
        monthly=own.monthly if settings.monthly is None else settings.monthly,
    )


def profile_plan(
    repository: Repository, profile_key: ProfileKey, limits: RetentionLimits, now: datetime | None = None
) -> tuple[RetentionPlan, tuple[str, ...]]:
    """What the limits make of a profile's snapshots. One whose manifest can't be read is left out, so it stays."""
    refs = repository.snapshots(profile_key)
    candidates, remarks = [], []
    for ref, manifest in zip(refs, repository.manifests(refs), strict=True):
        if isinstance(manifest, Manifest):
            candidates.append(_candidate(ref, manifest))
        else:
            remarks.append(str(manifest))
    return plan_retention(candidates, limits, now or datetime.now().astimezone()), tuple(remarks)


def carry_out(repository: Repository, profile_key: ProfileKey, plan: RetentionPlan) -> None:
    """Forget what the plan lets go."""
    going = {candidate.snapshot for candidate in plan.goes}
    for ref in repository.snapshots(profile_key):
        if ref.id in going:
            repository.move_to_trash(ref)


def _candidate(ref: SnapshotRef, manifest: Manifest) -> Candidate:
    return Candidate(ref.id, manifest.taken_at, good=manifest.facts.get("proven") is True)
