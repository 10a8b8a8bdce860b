"""Pruning: the retention limits over every profile of a repository."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from storage.format.audit_row import Outcome
from storage.format.manifest import Manifest
from storage.repository import Repository
from storage.retention import RetentionLimits, RetentionPlan
from tasks.audit import SUSPECT, Report, audited
from tasks.catalog import ADOPTED, StoredProfile, choose_profile, read_catalog
from tasks.limits import NOTHING_CHOSEN, ChosenLimits, deployed_limits, limits_in_force, own_limits
from tasks.repositories import open_named
from tasks.retention_prune import carry_out, profile_retention, staying
from tasks.settings_in_force import active_settings
from tasks.this_computer import this_host


@dataclass(frozen=True, slots=True)
class ProfilePlan:
    """What pruning means for one profile."""

    profile: StoredProfile
    plan: RetentionPlan
    held: str | None
    remarks: tuple[str, ...]
    snapshots: tuple[Manifest, ...]
    """Those that can be read, oldest first."""

    def kept(self) -> tuple[Manifest, ...]:
        """The snapshots that stay once the plan is carried out."""
        return staying(self.plan, self.snapshots)


def plan_prune(
    repository: Repository, names: Sequence[str] = (), *, limits: ChosenLimits = NOTHING_CHOSEN
) -> list[ProfilePlan]:
    """The plans for the profiles named, or for all.

    In force are `limits`, else what the deployment of a profile's backups says, else the limits that are set, else
    those that its owner chose. What is set on this computer is not meant for other computers' profiles, unless they are
    named.
    """
    catalog = read_catalog(repository)
    chosen = [choose_profile(catalog, name) for name in names] or list(catalog.profiles)
    plans = []
    for profile in chosen:
        limits_of_it = _limits(repository, profile, limits, named=bool(names))
        retention = profile_retention(repository, profile.refs, limits_of_it)
        plans.append(ProfilePlan(profile, retention.plan, retention.held(), retention.remarks, retention.manifests))
    return plans


def prune(
    repository_name: str = "default",
    names: Sequence[str] = (),
    *,
    despite_suspects: bool = False,
    limits: ChosenLimits = NOTHING_CHOSEN,
) -> list[Report]:
    """Forget what the retention limits no longer hold, profile by profile; they are found as in `plan_prune`.

    `despite_suspects` is a person's own word: without it, a profile with a recent suspect snapshot keeps everything.
    """
    repository = open_named(repository_name)
    reports = []
    for planned in plan_prune(repository, names, limits=limits):
        with audited("prune", planned.profile.name, repository) as audit:
            audit.profile_key = planned.profile.key
            audit.warnings += planned.remarks
            if planned.held and not despite_suspects:
                audit.outcome, audit.reason = Outcome.SKIPPED, SUSPECT
                audit.completed(planned.held)
                audit.snapshots = planned.snapshots
            else:
                with audit.timed("retention_prune"):
                    carry_out(repository, planned.profile.key, planned.plan)
                gone = len(planned.plan.goes)
                audit.note(snapshots_pruned=gone)
                audit.snapshots = planned.kept()
                audit.completed(f"{gone} of {gone + len(planned.plan.keeps)} snapshots were let go")
        reports.append(audit.report())
    return reports


def _limits(repository: Repository, profile: StoredProfile, given: ChosenLimits, *, named: bool) -> RetentionLimits:
    """The limits in force for a profile."""
    settings, newest = active_settings(), profile.newest
    meant = [settings] if named or profile.host == this_host(settings) else []
    # No deployment made what was adopted.
    taken = repository.manifest(profile.latest) if newest.facts.get("purpose") == ADOPTED else newest
    return limits_in_force(own_limits(newest), given, deployed_limits(taken), *meant)
