"""Restoring: a plan first, then a safety snapshot, the collection, and the media."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from flows.chains.safety import keep_present_state, local_profile, refuse_while_open
from profiles.comparing.collections import CollectionDifference
from profiles.discovery import Profile
from profiles.errors import ProfileUnknown, TargetUnusable
from profiles.install_media import MediaAction, prepare_empty_target
from recollect.errors import RecollectError
from storage.errors import Damaged
from storage.format.audit_row import Outcome
from storage.format.manifest import Manifest
from storage.repository import Repository
from tasks.audit import Audit, Report, audited, counts_of
from tasks.catalog import LATEST, SAFETY, StoredProfile, choose_profile, choose_snapshot, read_catalog
from tasks.compare import compare_with_present
from tasks.difference_text import OF_A_RESTORE, collection_lines
from tasks.media import COLLECTION, MEDIA_FOLDER
from tasks.place import key_of, open_named
from tasks.restore_collection import restore_collection, restore_deletion_log
from tasks.restore_media import MediaPlan, RestoredMedia, plan_media_restore, restore_media, tell_all

SYNC_ADVICE = (
    "When Anki next syncs it will ask which side to keep: choose Upload to AnkiWeb to keep what was restored here; "
    "other devices must then choose Download"
)
ELSEWHERE_ADVICE = (
    "To go on with it in Anki, restore it with --in-place into a profile there: a collection that is copied over by "
    "hand is silently undone by the next sync"
)


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What a restore is about to do. Nothing has been touched yet."""

    manifest: Manifest
    folder: Path
    profile: Profile | None
    """The profile that is restored in place; None for an empty folder."""
    media: MediaPlan
    namesakes: tuple[StoredProfile, ...] = ()
    """Other profiles of that name in the repository: on the day after a laptop died, perhaps the one that is meant."""
    difference: CollectionDifference | None = None
    """What it means for the profile's present collection; None where there is none to compare with, or it was not."""
    not_compared: str | None = None
    """Why it can't be told what it means."""

    def as_text(self) -> str:
        """The plan as a person should read it."""
        manifest, facts = self.manifest, self.manifest.facts
        taken = manifest.taken_at.strftime("%Y-%m-%d %H:%M")
        where = f"in place of the collection in {self.folder}" if self.profile else f"into the folder {self.folder}"
        written = (MediaAction.ADD, MediaAction.REPLACE, MediaAction.KEEP)
        media = ", ".join(f"{self.media.count(action)} to {action}" for action in written)
        lines = [
            f"Restore {manifest.profile} as of {taken} (snapshot {manifest.id}, from {manifest.host}) {where}:",
            f"  collection: {facts.get('notes')} notes, {facts.get('cards')} cards, {facts.get('reviews')} reviews",
            f"  media files: {media}; none is deleted",
            *(f"  {remark}" for remark in self.media.remarks()),
        ]
        lines += [
            f"  another profile is called so: {other.described}, last backed up {other.newest.taken_at:%Y-%m-%d %H:%M}"
            for other in self.namesakes
        ]
        if facts.get("suspect"):
            lines.append(f"  this snapshot is suspect: {facts['suspect']}")
        if facts.get("purpose") == SAFETY:
            lines.append("  this snapshot was taken before a restore, of the state that was to be replaced")
        if self.profile and self.profile.collection.exists():
            lines.append("  the present state is kept as a safety snapshot first")
        if self.difference is not None:
            lines.append("Compared with the present collection:")
            lines += [f"  {line}" for line in collection_lines(self.difference, OF_A_RESTORE) or ["nothing differs"]]
        if self.not_compared is not None:
            lines.append(f"What differs from the present collection can't be told: {self.not_compared}")
        return "\n".join(lines)


def plan_restore(
    repository: Repository,
    profile_name: str,
    snapshot: str = LATEST,
    *,
    to: Path | None = None,
    compared: bool | None = None,
) -> RestorePlan:
    """Plan a restore into the folder `to`, which must be empty or not there, or in place when it is None.

    It is `compared` with the profile's present collection, unless told otherwise where that is to be replaced.
    """
    local = local_profile(profile_name)
    catalog = read_catalog(repository)
    stored = choose_profile(catalog, profile_name, key_of(local) if local else None)
    # A profile that is named by its key, to tell it from a namesake's on another computer.
    local = local or local_profile(stored.name)
    if to is None and local is None:
        raise ProfileUnknown(
            f"There is no profile named {stored.name!r} on this computer to restore in place",
            "Create a profile of that name in Anki, close Anki, and restore again; or look into it with --to DIR",
        )
    manifest = repository.manifest(choose_snapshot(stored, snapshot))
    folder = to.expanduser().absolute() if to else local.folder if local else Path()
    if to:
        _refuse_used(folder)
    media = plan_media_restore(repository, manifest, folder / MEDIA_FOLDER)
    namesakes = tuple(one for one in catalog.profiles if one.name == stored.name and one.key != stored.key)
    plan = RestorePlan(manifest, folder, None if to else local, media, namesakes)
    if local is None or not local.collection.exists() or not (to is None if compared is None else compared):
        return plan
    try:
        return replace(plan, difference=compare_with_present(repository, manifest, local))
    except RecollectError as trouble:
        # On the bad day the present collection may be what is damaged.
        return replace(plan, not_compared=str(trouble))


def restore(
    profile_name: str,
    snapshot: str = LATEST,
    *,
    to: Path | None = None,
    repository_name: str = "default",
    confirmed: Callable[[RestorePlan], bool] = lambda _: True,
) -> Report:
    """Restore a snapshot. `confirmed` sees the plan before anything is touched; False ends it there."""
    repository = open_named(repository_name)
    with audited("restore", profile_name, repository) as audit:
        if to is None:
            refuse_while_open(local_profile(profile_name))
        plan = plan_restore(repository, profile_name, snapshot, to=to)
        audit.profile, audit.profile_key = plan.manifest.profile, plan.manifest.profile_key
        audit.note(snapshot=plan.manifest.id)
        refuse_while_open(plan.profile)
        if confirmed(plan):
            with audit.timed("restore"):
                _carry_out(repository, plan, audit, repository_name)
        else:
            audit.outcome, audit.reason = Outcome.SKIPPED, "not-confirmed"
            audit.completed("Nothing was restored: the plan was not confirmed")
    return audit.report()


def _carry_out(repository: Repository, plan: RestorePlan, audit: Audit, repository_name: str) -> None:
    manifest = plan.manifest
    kept = None
    if plan.profile:
        replaced = [plan.media.folder / one.name for one in plan.media.steps if one.action is MediaAction.REPLACE]
        kept = keep_present_state(plan.profile, audit, repository_name, replaced_media=replaced)
    else:
        prepare_empty_target(plan.folder)
    collection_bytes = restore_collection(
        repository, manifest, plan.folder, in_place=plan.profile is not None, kept=kept
    )
    audit.remarks.append(SYNC_ADVICE if plan.profile else ELSEWHERE_ADVICE)
    audit.note(**counts_of(manifest) | {"media_files": len(plan.media.steps), "bytes_read": collection_bytes})
    audit.remarks += plan.media.remarks()
    try:
        media = restore_media(repository, manifest, plan.media, to_new_folder=plan.profile is None)
        audit.remarks += media.remarks()
        tell_all(plan.media, media)
        restore_deletion_log(repository, manifest, plan.folder)
    except RecollectError as trouble:
        raise type(trouble)(
            f"The collection of the snapshot {manifest.id} is restored in {plan.folder}, but not all of its media: "
            f"{trouble.problem}",
            trouble.advice,
        ) from trouble
    in_place = plan.media.count(MediaAction.KEEP) + media.files
    audit.note(media_files=in_place, bytes_read=collection_bytes + media.bytes)
    _refuse_to_call_it_whole(plan, media)
    audit.completed(f"The snapshot {manifest.id} is restored in {plan.folder}")


def _refuse_to_call_it_whole(plan: RestorePlan, media: RestoredMedia) -> None:
    """All that is whole was given back; what the repository lost is a failure that someone should hear of."""
    snapshot, advice = plan.manifest.id, "Restore an earlier or later snapshot into an empty folder for the rest"
    if plan.media.unlisted:
        raise Damaged(
            f"The collection of the snapshot {snapshot} is restored in {plan.folder}, but none of its media, which "
            f"can't be listed: {plan.media.unlisted.problem}",
            advice,
        ) from plan.media.unlisted
    lost = len(media.damaged) + plan.media.lost_files
    if lost:
        raise Damaged(
            f"{lost} of {len(plan.media.steps) + plan.media.lost_files} media files of the snapshot {snapshot} are "
            f"damaged in the repository and could not be restored; all else is restored in {plan.folder}",
            advice,
        )


def _refuse_used(folder: Path) -> None:
    """Say so before anything is fetched; `prepare_empty_target` decides when it is written."""
    if (folder / COLLECTION).exists():
        raise TargetUnusable(f"{folder} already holds a collection", "Name an empty folder, or a new one")
