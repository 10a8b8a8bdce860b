"""Before anything takes the place of a profile's collection: Anki is closed, and the present state is kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from flows.chains.backup import back_up
from profiles.collection_copy import stamp
from profiles.discovery import Profile
from profiles.durable import told_plainly
from profiles.errors import AnkiIsOpen, CollectionDamaged, SourceBusy
from profiles.lock_probe import holder_of
from profiles.set_aside import set_aside
from recollect.errors import RecollectError
from storage.errors import StoreFull, StoreReadOnly, StoreRefused
from storage.format.audit_row import Outcome
from storage.format.manifest import SnapshotId
from tasks.audit import Audit
from tasks.catalog import SAFETY
from tasks.profiles_here import found_profiles
from tasks.restore_collection import Kept

_UNSTORABLE = {trouble.code for trouble in (CollectionDamaged, StoreReadOnly, StoreFull, StoreRefused)}
"""Troubles of the safety snapshot that must not stop anybody on the bad day; the files are set aside instead."""


def keep_present_state(
    profile: Profile, audit: Audit, repository_name: str, *, replaced_media: Sequence[Path] = ()
) -> Kept | None:
    """Keep the profile as it is in a safety snapshot; None where there is no collection to keep.

    Where it can't be stored, the collection and the media that are about to be replaced are set aside beside it. Raises
    SourceBusy, and what else kept the present state from being kept: nothing may take its place then.
    """
    with told_plainly(f"The profile's folder {profile.folder} could not be made"):
        profile.folder.mkdir(parents=True, exist_ok=True)
    if not profile.collection.exists():
        return None
    present = stamp(profile.collection)
    # A snapshot of its own even if nothing changed: undoing looks for the newest one.
    safety = back_up(profile.name, repository_name, force=True, purpose=SAFETY)
    stored = safety.row.snapshot
    if stored is not None:  # stored, whatever went wrong after that
        audit.told.append(f"The state before is kept as the safety snapshot {stored}")
        return Kept(present, snapshot=SnapshotId(stored))
    if safety.outcome is Outcome.FAILED and safety.row.reason in _UNSTORABLE:
        folder = set_aside(profile.collection, datetime.now(UTC), media=list(replaced_media))
        audit.warnings.append(f"The collection as it was is set aside in {folder}: {safety.message}")
        return Kept(present, damaged=safety.row.reason == CollectionDamaged.code)
    if safety.outcome is Outcome.SKIPPED:
        raise SourceBusy(f"Nothing was changed: {safety.message}", "Close Anki, then try again")
    raise RecollectError(
        f"Nothing was changed, for the present state could not be kept: {safety.message}",
        "Mend that first; to look into a snapshot, restore it into an empty folder with --to",
    )


def local_profile(name: str) -> Profile | None:
    """This machine's profile of that name, if Anki is here at all and knows it."""
    try:
        profiles = found_profiles().profiles
    except RecollectError:
        return None
    exact = [profile for profile in profiles if profile.name == name]
    alike = [profile for profile in profiles if profile.name.casefold() == name.casefold()]
    return exact[0] if exact else alike[0] if len(alike) == 1 else None


def refuse_while_open(profile: Profile | None) -> None:
    """Raise AnkiIsOpen when any program has the profile's collection open."""
    holder = holder_of(profile.collection) if profile else None
    if profile and holder:
        who = f" (process {holder.pid}{f', {holder.command}' if holder.command else ''})" if holder.pid else ""
        raise AnkiIsOpen(
            f"Anki has the collection of {profile.name} open{who}, so nothing was changed",
            "Close Anki, then try again",
        )
