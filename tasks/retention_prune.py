"""The step *retention-prune*: Anki's rule over a profile's snapshots; what it lets go is forgotten.

It folds the index, too, when it has become many small files: each run leaves one, and every run has to read them all.

While a suspect snapshot is younger than `HOLD`, and no good one follows it, a run lets nothing go: the older ones may
be all that is left of what was lost. A person who knows better says so with --accept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from storage.format.manifest import Manifest, ProfileKey, SnapshotId
from storage.repository import Repository, SnapshotRef
from storage.retention import Candidate, RetentionLimits, RetentionPlan, plan_retention
from storage.sweeping.index_folding import fold, foldable
from tasks.catalog import ADOPTED, ROUTINE, UNFINISHED_RESTORE
from tasks.job import Job
from tasks.limits import limits_in_force
from tasks.snapshot import Source
from tasks.step import step

HOLD = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class ProfileRetention:
    """What the limits make of a profile's snapshots; which of them are suspect and recent, and what
    can't be judged. `manifests` are those that can be read, oldest first."""

    plan: RetentionPlan
    manifests: tuple[Manifest, ...]
    suspects: tuple[str, ...]
    remarks: tuple[str, ...]

    def held(self) -> str | None:
        """Why nothing is let go for now, as a sentence; None when the plan may be carried out."""
        if not self.suspects:
            return None
        return (
            f"Nothing is let go while the suspect snapshot {self.suspects[-1]} is younger than {HOLD.days} days; "
            "if all is well with the profile, run `recollect backup --accept`, or prune with --accept"
        )


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many snapshots were let go, which of them stay, and what a person should know about it."""

    let_go: int
    kept: tuple[Manifest, ...]
    remarks: tuple[str, ...]


@step("retention-prune", retried=True)
def retention_prune(job: Job, source: Source, stored: SnapshotId) -> Pruned:
    """Let go of the snapshots that the retention limits no longer hold; fold the index when it is due.

    They are those of before the run and the one that it `stored`: what another run stores meanwhile is for that one to
    judge, and keeps nothing from being kept here.
    """
    fold(job.repository, foldable(job.repository.holdings()))
    limits = limits_in_force(source.proven().preferences, job.limits, job.settings)
    refs = sorted({*job.snapshots(), SnapshotRef(job.profile_key, stored)}, key=lambda ref: ref.id)
    retention = profile_retention(job.repository, refs, limits)
    if held := retention.held():
        return Pruned(0, retention.manifests, (held, *retention.remarks))
    carry_out(job.repository, job.profile_key, retention.plan)
    return Pruned(len(retention.plan.goes), staying(retention.plan, retention.manifests), retention.remarks)


def profile_retention(
    repository: Repository, refs: Sequence[SnapshotRef], limits: RetentionLimits, now: datetime | None = None
) -> ProfileRetention:
    """What the limits make of a profile's snapshots, which are `refs`, oldest first.

    One whose manifest can't be read is left out, so it stays.
    """
    now = now or datetime.now().astimezone()
    candidates: list[Candidate] = []
    manifests: list[Manifest] = []
    suspects: list[str] = []
    remarks: list[str] = []
    for ref, manifest in zip(refs, repository.manifests(refs), strict=True):
        if not isinstance(manifest, Manifest):
            remarks.append(str(manifest))
            continue
        manifests.append(manifest)
        candidates.append(
            Candidate(
                ref.id,
                manifest.taken_at,
                good=is_good(manifest),
                suspect=bool(manifest.facts.get("suspect")),
                adopted=manifest.facts.get("purpose") == ADOPTED,
            )
        )
        if manifest.facts.get("accepted") or (is_good(manifest) and manifest.facts.get("purpose") == ROUTINE):
            # A person looked, and took the profile as it was then; or what was lost is back.
            suspects.clear()
        if manifest.facts.get("suspect") and now - manifest.taken_at < HOLD:
            suspects.append(ref.id)
    return ProfileRetention(plan_retention(candidates, limits, now), tuple(manifests), tuple(suspects), tuple(remarks))


def staying(plan: RetentionPlan, manifests: Iterable[Manifest]) -> tuple[Manifest, ...]:
    """Those of the snapshots that are there once the plan is carried out."""
    going = {goes.snapshot for goes in plan.goes}
    return tuple(manifest for manifest in manifests if manifest.id not in going)


def carry_out(repository: Repository, profile_key: ProfileKey, plan: RetentionPlan) -> None:
    """Forget what the plan lets go."""
    oldest_first = reversed(plan.goes)
    repository.move_to_trash(*(SnapshotRef(profile_key, SnapshotId(goes.snapshot)) for goes in oldest_first))


def is_good(manifest: Manifest) -> bool:
    """Whether a snapshot was proven, does not look wrong, and lacks nothing."""
    facts = manifest.facts
    lacking = facts.get("media_left_out") or facts.get(UNFINISHED_RESTORE)
    return facts.get("proven") is True and not facts.get("suspect") and not lacking
