"""Adopting: packages of whole collections that Anki has written become snapshots, each of its own time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flows.chains.deletions import archive_deletions_around
from profiles.errors import SourceBusy
from recollect.errors import RecollectError
from storage.errors import NoRepositoryYet, StorageError
from storage.format.audit_row import Outcome
from storage.format.manifest import Manifest, ProfileKey, SnapshotId
from storage.repository import Repository
from tasks.adopt_package import adopt_package
from tasks.adopted_before import remember_adopted
from tasks.adoption import Adoptable, AdoptionPlan, PlannedPackage, plan_packages
from tasks.audit import Audit, Report, audited
from tasks.catalog import by_age
from tasks.repositories import open_named
from tasks.settings_in_force import active_settings
from tasks.snapshot import snapshot_id_at


@dataclass(frozen=True, slots=True)
class AdoptedPackage:
    """A package, and what became of it."""

    planned: PlannedPackage
    report: Report


@dataclass(frozen=True, slots=True)
class Adoption:
    """How adopting several packages ended, oldest first."""

    packages: tuple[AdoptedPackage, ...]
    warnings: tuple[str, ...]
    """What was not even tried, or not done after it."""
    told: tuple[str, ...]
    """What else was done, in sentences."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """All that is said to a person beside how each of them ended."""
        return (*self.warnings, *self.told)

    @property
    def reports(self) -> list[Report]:
        """How each of them ended."""
        return [package.report for package in self.packages]

    def counts(self) -> str:
        """How many ended how, in a few words."""
        words = {Outcome.COMPLETED: "adopted"}
        ended = [report.outcome for report in self.reports]
        counts = [f"{ended.count(one)} {words.get(one, one)}" for one in Outcome if one in ended]
        return ", ".join(counts) or "There was nothing to adopt"

    def summary(self) -> str:
        """One sentence about all of them."""
        failed = "; ".join(report.message for report in self.reports if report.outcome is Outcome.FAILED)
        return self.counts() + (f". {failed}" if failed else "")


def plan_adoption(
    paths: Sequence[Path] = (), profile: str | None = None, repository_name: str = "default"
) -> AdoptionPlan:
    """What would be adopted: what lies at `paths`, or this computer's automatic backups when there are none.

    `profile` says whose the packages are. Nothing is stored, and the repository need not be there yet.
    """
    try:
        repository: Repository | None = open_named(repository_name)
    except NoRepositoryYet:
        repository = None
    return plan_packages(repository, paths, profile)


def adopt(paths: Sequence[Path] = (), profile: str | None = None, repository_name: str = "default") -> Adoption:
    """Make snapshots of packages, profile by profile and oldest first. One that can't be used stops no other.

    `paths` and `profile` as in `plan_adoption`. What was adopted before is not adopted again, and leaves no audit row;
    what was let go since comes back only if a path names it.

    Notes that went between an adopted snapshot and the next are archived, as a backup does with its own.
    """
    repository = open_named(repository_name, create=True)
    plan = plan_packages(repository, paths, profile)
    new = sum(planned.adoptable is not None for planned in plan.packages)
    ended: list[AdoptedPackage] = []
    warnings = list(plan.remarks)
    turn = 0
    for planned in plan.packages:
        if planned.adopted_as is not None:
            ended.append(AdoptedPackage(planned, _unchanged(repository, planned)))
            continue
        turn += planned.adoptable is not None
        report, store_failed = _adopted(repository, planned, f" ({turn} of {new})" if new > 1 else "")
        ended.append(AdoptedPackage(planned, report))
        if store_failed:
            # What went wrong with the repository would go wrong with every other package, too.
            if left := len(plan.packages) - len(ended):
                warnings.append(f"Packages that were not tried after that: {left}")
            break
    warned, told = _archive_deletions(ended, repository_name)
    return Adoption(tuple(_with_snapshots(repository, ended)), (*warnings, *warned), tuple(told))


def _with_snapshots(repository: Repository, ended: Sequence[AdoptedPackage]) -> Iterator[AdoptedPackage]:
    """The packages; the last one of each profile that was adopted tells which snapshots the profile has now."""
    last = {one.planned.owner.key: one for one in ended if one.report.outcome is Outcome.COMPLETED}
    for one in ended:
        key = one.planned.owner.key
        snapshots: list[Manifest] = []
        if last.get(key) is one:
            # Whatever can't be read now keeps nothing that was adopted from being so.
            with contextlib.suppress(StorageError):
                read = repository.manifests(by_age(repository.snapshots(key)))
                snapshots += (found for found in read if isinstance(found, Manifest))
        yield replace(one, report=replace(one.report, snapshots=tuple(snapshots)))


def _archive_deletions(ended: Sequence[AdoptedPackage], repository_name: str) -> tuple[list[str], list[str]]:
    """Archive what went between the snapshots that were just adopted and their neighbours; what somebody should look at
    of that, and what is good to know."""
    warnings: list[str] = []
    told: list[str] = []
    adopted: dict[ProfileKey, set[SnapshotId]] = {}
    names: dict[ProfileKey, str] = {}
    for package in ended:
        key, row = package.planned.owner.key, package.report.row
        if row.outcome is Outcome.COMPLETED and row.snapshot is not None:
            adopted.setdefault(key, set()).add(SnapshotId(row.snapshot))
            names[key] = row.profile
    for key, snapshots in adopted.items():
        try:
            looked = archive_deletions_around(key, snapshots, repository_name)
        except RecollectError as trouble:
            warnings.append(_not_archived(names[key], trouble.problem))
            continue
        if looked is None:
            continue
        warnings += looked.warnings
        if looked.outcome is Outcome.FAILED:
            warnings.append(_not_archived(names[key], looked.message))
        else:
            told.append(f"{names[key]}: {looked.message}")
    return warnings, told


def _not_archived(name: str, why: str) -> str:
    return (
        f"Notes of {name} that went between the adopted snapshots are not in the deletion archive: {why}. Run "
        f"`recollect deleted {name!r} --rescan` later"
    )


def _adopted(repository: Repository, planned: PlannedPackage, place: str) -> tuple[Report, bool]:
    """Adopt one package; whether it was the repository that failed comes with the report."""
    store_failed = False
    with audited("adopt", planned.owner.name, repository) as audit:
        audit.profile_key = planned.owner.key
        try:
            if planned.trouble is not None:
                raise planned.trouble
            if (adoptable := planned.adoptable) is not None:
                _store(repository, adoptable, audit, place)
        except SourceBusy as trouble:
            audit.skipped(trouble)
        except StorageError:
            store_failed = True
            raise
    return audit.report(), store_failed


def _store(repository: Repository, package: Adoptable, audit: Audit, place: str) -> None:
    moment, file = package.time.moment, package.file
    stored = adopt_package(repository, package, snapshot_id_at(moment), uploads=active_settings().uploads, place=place)
    remember_adopted(repository, package.owner.key, file, stored.digest, stored.snapshot)
    audit.note(
        snapshot=stored.snapshot,
        notes=stored.notes,
        cards=stored.cards,
        reviews=stored.reviews,
        media_files=stored.media_files,
        media_bytes=stored.media_bytes,
        bytes_read=stored.bytes_read,
        bytes_new=stored.bytes_new,
        bytes_stored=stored.bytes_stored,
    )
    audit.warnings += stored.remarks
    audit.completed(f"{file.path.name} is adopted as the snapshot {stored.snapshot}, of {moment:%Y-%m-%d %H:%M}")


def _unchanged(repository: Repository, planned: PlannedPackage) -> Report:
    """A report without a row in the audit table: a run over a year of backups would write one for each, every time."""
    audit = Audit("adopt", planned.owner.name, repository, planned.owner.key)
    audit.note(snapshot=planned.adopted_as)
    since = ", which was let go since: name the file to adopt it again" if planned.let_go else ""
    audit.unchanged(f"{planned.path.name} was adopted before, as the snapshot {planned.adopted_as}{since}")
    audit.end()
    return audit.report()
