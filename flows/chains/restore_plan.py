"""What a restore is about to do, told before anything is touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flows.chains.safety import local_profile
from profiles.comparing.collections import CollectionDifference
from profiles.discovery import Listed, Profile
from profiles.errors import ProfileUnknown, TargetUnusable
from profiles.install_media import MediaAction
from recollect.errors import RecollectError
from storage.format.manifest import Manifest
from storage.repository import Repository
from tasks.catalog import ADOPTED, LATEST, SAFETY, UNFINISHED_RESTORE, StoredProfile, choose_profile, read_catalog
from tasks.chosen import chosen_snapshot
from tasks.compare import compare_with_present
from tasks.difference_text import OF_A_RESTORE, collection_lines, some_names
from tasks.last_restore import LastRestore, last_restore
from tasks.media import COLLECTION, MEDIA_FOLDER
from tasks.profiles_here import found_profiles, key_of
from tasks.restore_media import MediaPlan, plan_media_restore

ONLY_COLLECTION = "collection"
ONLY_MEDIA = "media"
WITHOUT_MEDIA = "this snapshot holds none, as Anki's automatic backups don't"
_SURPLUS_SHOWN = 100


class NoMediaHeld(RecollectError):
    """Media are to be restored of a snapshot that is of a collection alone."""

    code = "no-media-held"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a snapshot is to come back, and how."""

    only: tuple[str, ...] = ()
    """Nothing but these: *collection*, *media*, or patterns of media files such as `*.mp3`. All, when there is none."""
    exact_media: bool = False
    """Media files that the snapshot does not hold go to Anki's trash for media; they stay otherwise."""
    partial: bool = False
    """What is damaged in the repository, and can't come back, makes it no failure."""
    hold_sync: bool = False
    """The profile syncs nothing by itself from then on, until that is released."""

    @property
    def collection(self) -> bool:
        """Whether the collection comes back."""
        return not self.only or ONLY_COLLECTION in self.only

    @property
    def media(self) -> bool:
        """Whether media files come back, all or some."""
        return not self.only or ONLY_MEDIA in self.only or bool(self.patterns)

    @property
    def patterns(self) -> tuple[str, ...]:
        """Of which media files the names must match one; none where all come back."""
        if ONLY_MEDIA in self.only:
            return ()
        return tuple(one for one in self.only if one != ONLY_COLLECTION)


ALL = Wanted()


@dataclass(frozen=True, slots=True)
class NewProfile:
    """A profile that Anki does not have yet, or that has no collection yet."""

    name: str


Target = Path | NewProfile | None
"""Where to restore: a folder that is empty or not there yet, a new profile, or in place (None)."""


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What a restore is about to do. Nothing has been touched yet."""

    manifest: Manifest
    folder: Path
    profile: Profile | None
    """The profile in Anki that it goes to; None for an empty folder."""
    media: MediaPlan
    adds_profile: bool = False
    """Whether that profile is to be added to Anki's list first."""
    wanted: Wanted = ALL
    namesakes: tuple[StoredProfile, ...] = ()
    """Other profiles of that name in the repository: on the day after a laptop died, perhaps the one that is meant."""
    difference: CollectionDifference | None = None
    """What it means for the profile's present collection; None where there is none to compare with, or it was not."""
    not_compared: str | None = None
    """Why it can't be told what it means."""
    undoing: str | None = None
    """Where it undoes another restore: why it is this snapshot that does."""
    broken_off: LastRestore | None = None
    """The restore before this one, where that was broken off."""

    @property
    def without_media(self) -> bool:
        """Whether the snapshot is of the collection alone: it knows nothing of media, and none of them is lost."""
        return self.manifest.folder(MEDIA_FOLDER) is None

    def as_text(self) -> str:
        """The plan as a person should read it."""
        manifest, facts = self.manifest, self.manifest.facts
        taken = manifest.taken_at.strftime("%Y-%m-%d %H:%M")
        lines = [
            f"Restore {manifest.profile} as of {taken} (snapshot {manifest.id}, from {manifest.host}) {self._where()}:"
        ]
        if self.wanted.collection:
            counts = f"{facts.get('notes')} notes, {facts.get('cards')} cards, {facts.get('reviews')} reviews"
            lines.append(f"  collection: {counts}")
        else:
            lines.append("  collection: stays as it is")
        lines += [f"  {line}" for line in self._media_lines()]
        lines += [
            f"  another profile is called so: {other.described}, last backed up {other.newest.taken_at:%Y-%m-%d %H:%M}"
            for other in self.namesakes
        ]
        if facts.get("suspect"):
            lines.append(f"  this snapshot is suspect: {facts['suspect']}")
        if facts.get(UNFINISHED_RESTORE):
            lines.append("  this snapshot is of what a restore had left that was broken off")
        if facts.get("purpose") == SAFETY:
            lines.append("  this snapshot was taken before something that was to replace the state it holds")
        if facts.get("purpose") == ADOPTED:
            lines.append(f"  this snapshot was made of a backup that Anki had written, {facts.get('package')}")
        if self.profile and self.profile.collection.exists():
            lines += [f"  {line}" for line in self._undoing_lines(self.profile)]
        if self.profile and self.wanted.hold_sync:
            lines.append(f"  automatic sync is off from then on, until `recollect autosync {self.profile.name!r} on`")
        if self.difference is not None:
            lines.append("Compared with the present collection:")
            lines += [f"  {line}" for line in collection_lines(self.difference, OF_A_RESTORE) or ["nothing differs"]]
        if self.not_compared is not None:
            lines.append(f"What differs from the present collection can't be told: {self.not_compared}")
        return "\n".join(lines)

    def _undoing_lines(self, profile: Profile) -> list[str]:
        undoing = f"`recollect undo {profile.name!r}`"
        chosen = [] if self.undoing is None else [f"of the snapshots it is {self.undoing}"]
        kept = "the present state is kept as a safety snapshot first"
        if self.broken_off is None or self.broken_off.before == self.manifest.id:
            return [*chosen, f"{kept}: {undoing} brings it back"]
        before = f"{undoing} brings back what was there before it, {self.broken_off.before}"
        return [*chosen, kept, f"the last restore was broken off: unless the collection has changed since, {before}"]

    def _where(self) -> str:
        if self.adds_profile and self.profile:
            return f"into the new profile {self.profile.name!r} in {self.folder}"
        return f"in place, in {self.folder}" if self.profile else f"into the folder {self.folder}"

    def _media_lines(self) -> list[str]:
        if not self.wanted.media:
            return ["media files: none is touched"]
        if self.without_media:
            stay = ", so those there stay as they are" if self.profile else ""
            return [f"media files: {WITHOUT_MEDIA}{stay}", *self.media.remarks()]
        written = (MediaAction.ADD, MediaAction.REPLACE, MediaAction.KEEP)
        counts = ", ".join(f"{self.media.count(action)} to {action}" for action in written)
        of_which = f" (those that match {some_names(self.wanted.patterns)})" if self.wanted.patterns else ""
        if not self.media.surplus:
            return [f"media files{of_which}: {counts}; none is deleted", *self.media.remarks()]
        going = self.media.surplus
        more = [f"  and {len(going) - _SURPLUS_SHOWN} more"] if len(going) > _SURPLUS_SHOWN else []
        return [
            f"media files: {counts}; {len(going)} that the snapshot does not hold go to Anki's trash for media:",
            *(f"  {name!r}" for name in going[:_SURPLUS_SHOWN]),
            *more,
            "those are deleted on AnkiWeb and on all devices by the next media sync",
            *self.media.remarks(),
        ]


def plan_restore(
    repository: Repository,
    profile_name: str,
    snapshot: str = LATEST,
    *,
    to: Target = None,
    wanted: Wanted = ALL,
    compared: bool | None = None,
) -> RestorePlan:
    """Plan a restore.

    It is `compared` with the profile's present collection, unless told otherwise where that is to be replaced.
    """
    _refuse_contradictions(wanted, to)
    local = local_profile(profile_name)
    catalog = read_catalog(repository)
    stored = choose_profile(catalog, profile_name, key_of(local) if local else None)
    # A profile that is named by its key, to tell it from a namesake's on another computer.
    local = local or local_profile(stored.name)
    manifest = repository.manifest(chosen_snapshot(repository, stored, snapshot))
    profile, adds_profile = _restored_profile(to, stored, local)
    folder = profile.folder if profile else _empty_folder(to)
    media = _plan_media(repository, manifest, folder / MEDIA_FOLDER, wanted, synced=profile is not None)
    namesakes = tuple(one for one in catalog.profiles if one.name == stored.name and one.key != stored.key)
    last = last_restore(repository, key_of(profile)) if profile else None
    broken_off = last if last and not last.finished else None
    plan = RestorePlan(manifest, folder, profile, media, adds_profile, wanted, namesakes, broken_off=broken_off)
    replaced = to is None and wanted.collection
    if local is None or not local.collection.exists() or not (replaced if compared is None else compared):
        return plan
    try:
        return replace(plan, difference=compare_with_present(repository, manifest, local))
    except RecollectError as trouble:
        # On the bad day the present collection may be what is damaged.
        return replace(plan, not_compared=str(trouble))


def _plan_media(repository: Repository, manifest: Manifest, folder: Path, wanted: Wanted, *, synced: bool) -> MediaPlan:
    if not wanted.media:
        return MediaPlan(folder, ())
    if manifest.folder(MEDIA_FOLDER) is None and not wanted.collection:
        raise NoMediaHeld(
            f"The snapshot {manifest.id} holds no media, so none can be restored of it",
            "Name a snapshot that `recollect snapshots` shows with media files",
        )
    return plan_media_restore(
        repository, manifest, folder, matching=wanted.patterns, exact=wanted.exact_media, synced=synced
    )


def _restored_profile(to: Target, stored: StoredProfile, local: Profile | None) -> tuple[Profile | None, bool]:
    """The profile in Anki that a restore goes to, if any, and whether it has to be added to Anki's list."""
    if isinstance(to, Path):
        return None, False
    if isinstance(to, NewProfile):
        return _new_profile(to.name)
    if local is None:
        raise ProfileUnknown(
            f"There is no profile named {stored.name!r} on this computer to restore in place",
            "Add it to Anki with --new-profile NAME, or look into it with --to DIR",
        )
    return local, False


def _new_profile(name: str) -> tuple[Profile, bool]:
    there = local_profile(name)
    if there is None:
        return Profile(name, found_profiles().base / name, Listed.LISTED), True
    if there.collection.exists():
        raise TargetUnusable(
            f"There is a profile named {there.name!r} already, and it has a collection",
            "Choose another name, or restore over it with --in-place",
        )
    # One that was just added, or whose restore was broken off.
    return there, there.listed is Listed.NOT_LISTED


def _refuse_contradictions(wanted: Wanted, to: Target) -> None:
    if wanted.exact_media and (to is not None or wanted.patterns or not wanted.media):
        raise TargetUnusable(
            "Exactly the snapshot's media can only be meant of all media, and of a profile that is restored in place",
            "Leave --media exact away, or restore all media in place",
        )
    if wanted.hold_sync and isinstance(to, Path):
        raise TargetUnusable(
            f"Nothing syncs {to}, so there is nothing to hold off", "Leave --hold-sync away, or restore in place"
        )


def _empty_folder(to: Target) -> Path:
    """Say what is in the way before anything is fetched; `prepare_empty_target` decides when it is written."""
    assert isinstance(to, Path)
    folder = to.expanduser().absolute()
    if (folder / COLLECTION).exists():
        raise TargetUnusable(f"{folder} already holds a collection", "Name an empty folder, or a new one")
    return folder


def wanted_from(
    only: Sequence[str], *, exact_media: bool = False, partial: bool = False, hold_sync: bool = False
) -> Wanted:
    """What a person asks for, as a form or a command line gives it. Raises TargetUnusable for what means nothing."""
    if any(not one.strip() for one in only):
        raise TargetUnusable(
            "Nothing was restored, for one of the things to restore has no name",
            f"Say {ONLY_COLLECTION}, {ONLY_MEDIA}, or a pattern of file names such as *.mp3",
        )
    return Wanted(tuple(only), exact_media, partial, hold_sync)
