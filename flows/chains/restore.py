"""Restoring: a plan first, then a safety snapshot, the collection, and the media."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from flows.chains.confirming import decline, unless_unanswered
from flows.chains.restore_plan import ALL, WITHOUT_MEDIA, RestorePlan, Target, Wanted, plan_restore
from flows.chains.safety import keep_present_state, local_profile, refuse_while_open
from profiles.discovery import Profile
from profiles.durable import told_plainly
from profiles.errors import TargetUnusable
from profiles.install_media import MediaAction, prepare_empty_target
from profiles.media_trash import MEDIA_TRASH
from profiles.new_profile import add_profile
from recollect.units import size
from storage.errors import Damaged
from storage.repository import Repository, SnapshotRef
from tasks.audit import Audit, Report, audited, counts_of
from tasks.catalog import LATEST, choose_profile, read_catalog
from tasks.collection_copies import collection_of
from tasks.held_sync import hold_sync
from tasks.last_restore import (
    LastRestore,
    forget_restore,
    last_restore,
    modified_ms,
    remember_restore,
    state_before,
)
from tasks.profiles_here import key_of
from tasks.repositories import open_named
from tasks.restore_collection import Kept, restore_collection, restore_deletion_log
from tasks.restore_media import RestoredMedia, remove_surplus_media, restore_media, tell_all
from tasks.under_way import Doing, changing

SYNC_ADVICE = (
    "When Anki next syncs it will ask which side to keep: choose Upload to AnkiWeb to keep what was restored here; "
    "other devices must then choose Download"
)
ELSEWHERE_ADVICE = (
    "To go on with it in Anki, restore it with --in-place into a profile there: a collection that is copied over by "
    "hand is silently undone by the next sync"
)
MEDIA_ELSEWHERE = "Snapshots that `recollect snapshots` shows with media files hold pictures and sounds"
NOTHING_RESTORED = "Nothing was restored"
_SPARE_BYTES = 64 << 20
"""Left free on the disk that is restored to: a full disk harms whatever else writes there."""


def restore(
    profile_name: str,
    snapshot: str | Callable[[Repository], str] = LATEST,
    *,
    to: Target = None,
    wanted: Wanted = ALL,
    repository_name: str = "default",
    confirmed: Callable[[RestorePlan], bool] = lambda _: True,
    answer_takes_time: bool = False,
    undoing: str | None = None,
) -> Report:
    """Restore a snapshot, or what is `wanted` of it. `snapshot` may be a way to ask for one.

    `confirmed` sees the plan before anything is touched; False ends it there, and so does Unanswered. Where the
    `answer_takes_time`, the plan is made again after it, of the same snapshot: what reads otherwise by then is for
    `confirmed` to see again, so nothing is restored that was not shown. Where it undoes another restore, `undoing`
    tells why it is this snapshot that does.
    """

    def planned(repository: Repository, snapshot: str) -> RestorePlan:
        """A plan that could be carried out now."""
        plan = replace(plan_restore(repository, profile_name, snapshot, to=to, wanted=wanted), undoing=undoing)
        refuse_while_open(plan.profile)
        _refuse_full_disk(plan)
        return plan

    repository = open_named(repository_name)
    with audited("restore", profile_name, repository) as audit, unless_unanswered(audit):
        if to is None:
            refuse_while_open(local_profile(profile_name))
        chosen = snapshot if isinstance(snapshot, str) else snapshot(repository)
        plan = planned(repository, chosen)
        audit.profile, audit.profile_key = plan.manifest.profile, plan.manifest.profile_key
        audit.note(snapshot=plan.manifest.id)
        while confirmed(plan):
            with _alone(plan, audit):
                now = plan
                if answer_takes_time:
                    # Opened anew, for what it knew of packs and connections may be hours old.
                    repository = open_named(repository_name)
                    now = planned(repository, plan.manifest.id)
                if now.as_text() == plan.as_text():
                    if answer_takes_time and chosen == LATEST:
                        audit.told += _about_newer(repository, now)
                    with audit.timed("restore"):
                        _carry_out(repository, now, audit, repository_name)
                    break
            plan = now
        else:
            decline(audit, NOTHING_RESTORED)
    return audit.report()


def decline_restore(plan: RestorePlan, repository_name: str = "default") -> Report:
    """Note down that a plan, which somebody was shown before `restore` was called at all, was not confirmed."""
    with audited("restore", plan.manifest.profile, open_named(repository_name)) as audit:
        audit.profile_key = plan.manifest.profile_key
        audit.note(snapshot=plan.manifest.id)
        decline(audit, NOTHING_RESTORED)
    return audit.report()


def _about_newer(repository: Repository, plan: RestorePlan) -> list[str]:
    """On the bad day the newest may be of the very state that is to go: what was shown comes back, and this is said."""
    latest = choose_profile(read_catalog(repository), plan.manifest.profile_key).latest
    if latest.id == plan.manifest.id:
        return []
    return [f"The snapshot {latest.id} was made after the plan was; what is restored is {plan.manifest.id}, as shown"]


@contextmanager
def _alone(plan: RestorePlan, audit: Audit) -> Iterator[None]:
    """Let nobody else on this computer back the profile up, or change it, meanwhile; an empty folder is no profile."""
    if plan.profile is None:
        yield
        return
    with changing(plan.profile, Doing.RESTORE) as remarks:
        audit.warnings += remarks
        # Anki may have been opened while a person thought about the plan, or while this waited.
        refuse_while_open(plan.profile)
        yield


def _carry_out(repository: Repository, plan: RestorePlan, audit: Audit, repository_name: str) -> None:
    kept = under_way = None
    if plan.profile:
        kept = _keep_and_make_ready(plan, plan.profile, audit, repository_name)
        under_way = _restore_of(repository, plan, plan.profile, kept)
        audit.told += _about_undoing(plan.profile, under_way)
    else:
        prepare_empty_target(plan.folder)

    def before_change(leaves_ms: int) -> None:
        if plan.profile and under_way:
            remember_restore(repository, key_of(plan.profile), replace(under_way, leaves_ms=leaves_ms))

    audit.note(**counts_of(plan.manifest) | {"media_files": len(plan.media.steps)})
    if plan.wanted.collection:
        in_place = plan.profile is not None
        restored = restore_collection(
            repository, plan.manifest, plan.folder, in_place=in_place, kept=kept, before_change=before_change
        )
        audit.told.append(SYNC_ADVICE if in_place else ELSEWHERE_ADVICE)
        audit.note(bytes_read=restored)
    elif under_way:
        before_change(under_way.leaves_ms)
    audit.warnings += plan.media.remarks()
    if plan.wanted.media and plan.without_media:
        audit.warnings.append(f"Of media nothing was restored: {WITHOUT_MEDIA}. {MEDIA_ELSEWHERE}")
    done = f"The collection of the snapshot {plan.manifest.id} is restored in {plan.folder}, but not all of its media"
    with audit.after(done if plan.wanted.collection else None):
        media = _restore_the_rest(repository, plan, audit)
    if plan.profile:
        _remember_finished(repository, plan.profile, under_way)
    lacking = _lacking(plan, media)
    if lacking and not plan.wanted.partial:
        # All that is whole was given back; what the repository lost is a failure that someone should hear of.
        advice = "Restore an earlier or later snapshot into an empty folder for the rest, or accept it with --partial"
        raise Damaged(lacking, advice) from plan.media.unlisted
    audit.completed(lacking or f"The snapshot {plan.manifest.id} is restored in {plan.folder}")


def _keep_and_make_ready(plan: RestorePlan, profile: Profile, audit: Audit, repository_name: str) -> Kept | None:
    """Before anything takes its place: the profile is there, what it was is kept, and what it syncs is held off."""
    if plan.adds_profile:
        add_profile(profile.folder.parent, profile.name)
        audit.told.append(f"Anki lists the new profile {profile.name!r} from its next start on")
    replaced = [plan.media.folder / one.name for one in plan.media.steps if one.action is MediaAction.REPLACE]
    kept = keep_present_state(profile, audit, repository_name, replaced_media=replaced)
    if plan.wanted.hold_sync:
        hold_sync(profile)
        release = f"`recollect autosync {profile.name!r} on`"
        audit.told.append(f"The profile syncs nothing by itself now; once you have looked, {release} lets it again")
    return kept


def _restore_of(repository: Repository, plan: RestorePlan, profile: Profile, kept: Kept | None) -> LastRestore | None:
    """What is to be remembered of a restore in place; None where no snapshot holds what was there."""
    if kept is None or kept.snapshot is None:
        return None
    key = key_of(profile)
    safety = repository.manifest(SnapshotRef(key, kept.snapshot))
    last = last_restore(repository, key)
    if last is not None:
        # As long as nothing is changed, this one came to nothing, and the last one is what there is to undo.
        remember_restore(repository, key, replace(last, newest_safety=safety.id))
    before = state_before(safety, last)
    if before == plan.manifest.id:
        before = safety.id  # it is what comes back now: to undo that is to have again what there is
    return LastRestore(plan.manifest.id, before, safety.id, modified_ms(safety), undoing=plan.undoing is not None)


def _about_undoing(profile: Profile, under_way: LastRestore | None) -> list[str]:
    if under_way is None:
        return []
    undoing = f"`recollect undo {profile.name!r}` brings back"
    if under_way.before == under_way.newest_safety:
        return [f"{undoing} what {under_way.before} holds"]
    return [f"That is what a restore had left that was broken off: {undoing} what was before it, {under_way.before}"]


def _remember_finished(repository: Repository, profile: Profile, under_way: LastRestore | None) -> None:
    if under_way is None:
        forget_restore(repository, key_of(profile))
    else:
        remember_restore(repository, key_of(profile), replace(under_way, finished=True))


def _restore_the_rest(repository: Repository, plan: RestorePlan, audit: Audit) -> RestoredMedia:
    """The media, and what the new folder of a collection has beside them."""
    media = RestoredMedia(0, 0, (), ())
    if plan.wanted.media:
        media = restore_media(repository, plan.manifest, plan.media, to_new_folder=plan.profile is None)
        audit.warnings += media.remarks()
        tell_all(plan.media, media)
    if plan.media.surplus:
        trash = plan.folder / MEDIA_TRASH
        moved = remove_surplus_media(plan.media, trash)
        audit.told.append(f"Media files that the snapshot does not hold, moved to {trash}: {moved}")
    if plan.wanted.collection:
        restore_deletion_log(repository, plan.manifest, plan.folder)
    there = plan.media.count(MediaAction.KEEP) + media.files
    audit.note(media_files=there, bytes_read=audit.columns.get("bytes_read", 0) + media.bytes)
    return media


def _lacking(plan: RestorePlan, media: RestoredMedia) -> str | None:
    """What the repository lost of the snapshot, in a sentence without its full stop; None when it all came back."""
    snapshot = plan.manifest.id
    if plan.media.unlisted:
        restored = f"The collection of the snapshot {snapshot} is restored in {plan.folder}, but none of its media"
        nothing = f"None of the media of the snapshot {snapshot} is restored"
        return (
            f"{restored if plan.wanted.collection else nothing}, which can't be listed: {plan.media.unlisted.problem}"
        )
    lost = len(media.damaged) + plan.media.lost_files
    if not lost:
        return None
    return (
        f"{lost} of {len(plan.media.steps) + plan.media.lost_files} media files of the snapshot {snapshot} are "
        f"damaged in the repository and could not be restored; all else is restored in {plan.folder}"
    )


def _refuse_full_disk(plan: RestorePlan) -> None:
    """Say so before anything is touched, where it surely can't fit."""
    needed = plan.media.bytes_added + (collection_of(plan.manifest).size if plan.wanted.collection else 0)
    folder = next(one for one in (plan.folder, *plan.folder.parents) if one.exists())
    with told_plainly(f"{plan.folder} can't be restored into"):
        free = shutil.disk_usage(folder).free
    if needed + _SPARE_BYTES > free:
        raise TargetUnusable(
            f"The disk of {plan.folder} has {size(free)} free, and the restore needs {size(needed)}",
            "Free some space on that disk, or restore to another one with --to; nothing was changed",
        )
