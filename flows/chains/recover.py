"""Recovering notes: find the snapshots that hold them; write what Anki imports, or add them to a profile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flows.chains.confirming import decline, unless_unanswered
from flows.chains.safety import keep_present_state, local_profile, refuse_while_open
from profiles.discovery import Profile
from profiles.errors import NotesMissing, ProfileUnknown, TargetUnusable
from profiles.install_media import prepare_empty_target
from profiles.recovery.adding import Added
from recollect.errors import RecollectError
from storage.errors import Damaged
from tasks.add_notes import add_notes
from tasks.audit import Audit, Report, audited
from tasks.catalog import StoredProfile, read_catalog
from tasks.chosen import chosen_profile, own_profile
from tasks.collection_over_time import CollectionOverTime
from tasks.cut_notes import Package, cut_package, write_text_files
from tasks.find_notes import FoundNotes, Wanted, find_notes
from tasks.last_restore import forget_restore
from tasks.private_folder import private_folder
from tasks.profiles_here import key_of
from tasks.recovery_text import (
    IMPORT_ADVICE,
    OVERWRITE_ADVICE,
    TEXT_ADVICE,
    about_added,
    about_packages,
    added_text,
    first_of,
    not_found,
    notes_text,
)
from tasks.repositories import open_named
from tasks.under_way import Doing, changing


@dataclass(frozen=True, slots=True)
class RecoverPlan:
    """What is about to be added to a profile. Nothing has been touched yet."""

    profile: Profile
    found: FoundNotes
    overwriting: bool

    def as_text(self) -> str:
        """The plan as a person should read it."""
        there = "set back to what they were then" if self.overwriting else "left as they are"
        lines = [
            f"Add notes to the collection of {self.profile.name} in {self.profile.folder}:",
            *(f"  {notes_text(one)}" for one in self.found.found),
            f"  of these, notes that are still there are {there}; nothing is deleted",
            *(f"  {remark}" for remark in not_found(self.found)),
        ]
        if self.profile.collection.exists():
            lines.append("  the present state is kept as a safety snapshot first")
        return "\n".join(lines)


@dataclass(slots=True)
class Recovery:
    """What came of it, as far as it got: `packages` were cut, `files` written, and this was `added` to a profile."""

    found: FoundNotes = field(default_factory=FoundNotes)
    packages: list[Package] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    added: list[Added] = field(default_factory=list)


def recover(
    wanted: Wanted,
    *,
    profile: str | None = None,
    snapshot: str | None = None,
    to: Path | None = None,
    text: Path | None = None,
    overwriting: bool = False,
    repository_name: str = "default",
    confirmed: Callable[[RecoverPlan], bool] = lambda _: True,
) -> tuple[Report, Recovery]:
    """Recover notes as a package at `to`, as text files in the folder `text`, or, without either, into the profile.

    Without a `snapshot`, each note that is named by its id comes from the newest one that still holds it, a deck that
    is gone from the newest that still has it, and what is chosen otherwise from *latest*. Notes that are still in a
    profile stay as they are, unless `overwriting`. `confirmed` sees the plan before a profile is touched; False ends it
    there, and so does Unanswered.
    """
    repository = open_named(repository_name)
    recovery = Recovery()
    with audited("recover", profile or "", repository) as audit, unless_unanswered(audit), private_folder() as folder:
        if not wanted:
            raise NotesMissing(
                "Nothing was recovered, for it was not said which notes are meant",
                "Name them by their ids, by a deck or by a search",
            )
        _refuse_used(to, text)
        stored = chosen_profile(read_catalog(repository), profile, [snapshot] if snapshot else [])
        audit.profile, audit.profile_key = stored.name, stored.key
        here = own_profile(stored) or local_profile(stored.name)
        target = None if to or text else _target(stored, here)
        copy = CollectionOverTime(repository, folder / "stored.anki2")
        with audit.timed("restore"):
            if here is not None:
                copy.begin_with_present(here)
            recovery.found = _find(copy, stored, wanted, snapshot, audit)
        plan = RecoverPlan(target, recovery.found, overwriting) if target is not None else None
        if plan is not None and not confirmed(plan):
            decline(audit, "Nothing was recovered")
        else:
            with audit.timed("restore"):
                if text is not None:
                    _write_texts(copy, recovery, text, audit, overwriting=overwriting)
                elif to is not None:
                    _write_packages(copy, recovery, to, folder, audit, overwriting=overwriting)
                elif plan is not None:
                    _add(copy, recovery, plan, folder, audit, repository_name)
    return audit.report(), recovery


def _find(
    copy: CollectionOverTime, stored: StoredProfile, wanted: Wanted, snapshot: str | None, audit: Audit
) -> FoundNotes:
    found = find_notes(copy, stored, wanted, snapshot)
    audit.warnings += found.unread
    if not found.found:
        raise NotesMissing(
            "; ".join(not_found(found)) or f"Nothing of what was asked for is in the snapshot {found.in_snapshot}",
            "Check what was asked for, and that it is the right profile"
            if found.looked_into
            else f"Another snapshot may have it: `recollect snapshots {stored.name!r}` lists all, and one can be named",
        )
    audit.warnings += not_found(found)
    audit.note(snapshot=" ".join(one.manifest.id for one in found.found))
    return found


def _target(stored: StoredProfile, here: Profile | None) -> Profile:
    if here is None:
        raise ProfileUnknown(
            f"There is no profile named {stored.name!r} on this computer to recover the notes into",
            "Write them as a package that Anki imports, or create a profile of that name in Anki and close Anki",
        )
    refuse_while_open(here)
    return here


def _refuse_used(to: Path | None, text: Path | None) -> None:
    """Say so before anything is fetched; it is seen to again when it is written."""
    if to is not None:
        if to.exists():
            raise TargetUnusable(f"{to} exists already", "Choose another name for the package")
        if not to.parent.is_dir():
            raise TargetUnusable(f"There is no folder {to.parent} for the package", "Make it, or name another")
    if text is not None and text.exists():
        prepare_empty_target(text)


def _write_packages(
    copy: CollectionOverTime, recovery: Recovery, to: Path, folder: Path, audit: Audit, *, overwriting: bool
) -> None:
    found = recovery.found.found
    try:
        for one in found:
            target = to if len(found) == 1 else to.with_name(f"{to.stem}-{one.manifest.id}{to.suffix}")
            recovery.packages.append(cut_package(copy, one, target, folder))
            recovery.files.append(target)
    except BaseException:
        for written in recovery.files:
            written.unlink(missing_ok=True)
        recovery.packages.clear()
        recovery.files.clear()
        raise
    audit.warnings += about_packages(recovery.packages)
    audit.told += [IMPORT_ADVICE, *([OVERWRITE_ADVICE] if overwriting else [])]
    _end(audit, recovery, [f"Written to {one.cut.path}: {notes_text(one.source)}" for one in recovery.packages])


def _write_texts(copy: CollectionOverTime, recovery: Recovery, text: Path, audit: Audit, *, overwriting: bool) -> None:
    found = recovery.found.found
    recovery.files += write_text_files(copy, found, text, overwriting=overwriting)
    audit.told.append(TEXT_ADVICE)
    _end(audit, recovery, [f"Written to {text}: {'; '.join(map(notes_text, found))}"])


def _add(
    copy: CollectionOverTime, recovery: Recovery, plan: RecoverPlan, folder: Path, audit: Audit, repository_name: str
) -> None:
    refuse_while_open(plan.profile)
    # What can go wrong with the snapshots goes wrong before anything is touched.
    for one in recovery.found.found:
        recovery.packages.append(cut_package(copy, one, folder / f"{one.manifest.id}.apkg", folder))
    audit.warnings += about_packages(recovery.packages)
    with changing(plan.profile, Doing.RECOVERY) as remarks:
        audit.warnings += remarks
        refuse_while_open(plan.profile)
        told = _add_packages(recovery, plan, folder, audit, repository_name)
    _end(audit, recovery, told)


def _add_packages(recovery: Recovery, plan: RecoverPlan, folder: Path, audit: Audit, repository_name: str) -> list[str]:
    if (kept := keep_present_state(plan.profile, audit, repository_name)) and kept.snapshot:
        audit.told.append(f"`recollect undo {plan.profile.name!r}` brings back what {kept.snapshot} holds")
    # Whatever a restore that was broken off had left, it is somebody's own work from now on.
    forget_restore(audit.repository, key_of(plan.profile))
    told: list[str] = []
    try:
        for package in recovery.packages:
            added = add_notes(package.cut.path, plan.profile, folder, overwriting=plan.overwriting)
            recovery.added.append(added)
            told.append(added_text(package, added))
    except RecollectError as trouble:
        if not told:
            raise
        raise type(trouble)(f"{'; '.join(told)}. But not all: {trouble.problem}", trouble.advice) from trouble
    finally:
        audit.warnings += [remark for one in recovery.added for remark in one.remarks]
        audit.told += about_added(recovery.added, overwriting=plan.overwriting)
    return told


def _end(audit: Audit, recovery: Recovery, told: Sequence[str]) -> None:
    """All that is whole was given back; what the repository lost is a failure that someone should hear of."""
    message = "; ".join(told)
    message = message[:1].upper() + message[1:]
    lost = sorted({name for package in recovery.packages for name in package.damaged_media})
    if lost:
        raise Damaged(
            f"{message}. Media that they name are damaged in the repository, and lacking: {first_of(lost)}",
            "An earlier or later snapshot may have them: name one, or heal the repository with `recollect repair`",
        )
    audit.completed(message)
