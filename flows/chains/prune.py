"""Pruning: the retention limits over every profile of a repository."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from profiles.backup_preferences import RetentionPreferences
from storage.format.audit_row import Outcome
from storage.format.manifest import Manifest
from storage.repository import Repository
from storage.retention import RetentionLimits, RetentionPlan
from tasks.audit import SUSPECT, Report, audited
from tasks.catalog import StoredProfile, choose_profile, read_catalog
from tasks.repositories import open_named
from tasks.retention_prune import carry_out, chosen_limits, profile_retention, staying
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


def plan_prune(repository: Repository, names: Sequence[str] = (), *, limits_for_all: bool = False) -> list[ProfilePlan]:
    """The plans for the profiles named, or for all. The limits are those set, else what each profile's owner chose.

    What is set on this computer is not meant for other computers' profiles, unless they are named or it is for all.
    """
    catalog = read_catalog(repository)
    chosen = [choose_profile(catalog, name) for name in names] or list(catalog.profiles)
    plans = []
    for profile in chosen:
        limits = _limits(profile, meant=limits_for_all or bool(names))
        retention = profile_retention(repository, profile.refs, limits)
        plans.append(ProfilePlan(profile, retention.plan, retention.held(), retention.remarks, retention.manifests))
    return plans


def prune(
    repository_name: str = "default",
    names: Sequence[str] = (),
    *,
    despite_suspects: bool = False,
    limits_for_all: bool = False,
) -> list[Report]:
    """Forget what the retention limits no longer hold, profile by profile.

    `despite_suspects` is a person's own word: without it, a profile with a recent suspect snapshot keeps everything.
    """
    repository = open_named(repository_name)
    reports = []
    for planned in plan_prune(repository, names, limits_for_all=limits_for_all):
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


def _limits(profile: StoredProfile, *, meant: bool) -> RetentionLimits:
    """The limits in force for a profile."""
    own = _own_limits(profile.newest)
    if meant or profile.host == this_host(active_settings()):
        return chosen_limits(active_settings(), own)
    return RetentionLimits(own.daily, own.weekly, own.monthly)


def _own_limits(newest: Manifest) -> RetentionPreferences:
    """The limits that the profile's owner chose in Anki, as a snapshot noted them."""
    defaults = RetentionPreferences()
    daily, weekly, monthly = (
        noted if type(noted := newest.facts.get(f"limit_{name}")) is int and noted >= 0 else default
        for name, default in (
            ("daily", defaults.daily),
            ("weekly", defaults.weekly),
            ("monthly", defaults.monthly),
        )
    )
    return RetentionPreferences(daily, weekly, monthly, defaults.minimum_interval_minutes)
