"""What the last restore in place of a profile did: one that was broken off and done again is undone as a whole.

A restore keeps the present state first. Done again after it was killed in the middle, it keeps what the killed one had
left, and the state that a person wants back is in the safety snapshot before that one. And one that came to nothing
before it changed anything is none to undo. So this computer remembers, from just before anything of a profile is
changed, which snapshot holds the state before. It lies with what else this computer remembers, never in Anki's folders.
Losing it costs the choice alone: undoing takes the newest safety snapshot then. Any other can be restored by its id.

A backup that comes between the two is of the state that the killed one had left. It is kept, and marked: whoever
restores *latest* again must get what was meant before.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from storage.format.manifest import Manifest, ProfileKey, SnapshotId, is_snapshot_id
from storage.object_cache import ObjectCache
from storage.repository import Repository
from tasks.catalog import UNFINISHED_RESTORE
from tasks.settings_in_force import active_settings

_FOLDER = "restores"


@dataclass(frozen=True, slots=True)
class LastRestore:
    """A restore of the snapshot `restored` over a profile, from just before it changes anything."""

    restored: SnapshotId
    before: SnapshotId
    """The snapshot of what was there before it: its safety snapshot, or an earlier one where that is of what a restore
    had left that was broken off."""
    newest_safety: SnapshotId
    """The profile's newest safety snapshot that this computer knows of. Where there is a newer one, something took the
    profile's place that is not remembered here."""
    leaves_ms: int
    """Anki's `mod` of the collection that it leaves, in milliseconds since 1970: another one is somebody's work."""
    undoing: bool
    """Whether it puts back what another one replaced."""
    finished: bool = False


def last_restore(repository: Repository, profile_key: ProfileKey) -> LastRestore | None:
    """The last restore over this computer's profile of that key; None where nothing sound is remembered."""
    return _read(_name(repository, profile_key))


def _read(name: str) -> LastRestore | None:
    try:
        found: dict[str, Any] = dict(json.loads(_memory().get(name) or b"{}"))
        last = LastRestore(**found)
    except (ValueError, TypeError, RecursionError):
        return None
    ids, flags = (last.restored, last.before, last.newest_safety), (last.undoing, last.finished)
    sound = (
        all(isinstance(one, str) and is_snapshot_id(one) for one in ids)
        and all(type(one) is bool for one in flags)
        and type(last.leaves_ms) is int
    )
    return last if sound else None


def remember_restore(repository: Repository, profile_key: ProfileKey, last: LastRestore) -> None:
    """Remember a restore in place of all that is remembered of the profile."""
    _memory().put(_name(repository, profile_key), json.dumps(asdict(last), indent=2).encode())


def forget_restore(repository: Repository, profile_key: ProfileKey) -> None:
    """Remember no restore: what the profile is now, is what it shall be."""
    _memory().drop(_name(repository, profile_key))


def state_before(safety: Manifest, last: LastRestore | None) -> SnapshotId:
    """Which snapshot holds what was there before the restore that has just taken a safety snapshot.

    That one itself; unless it is of what the last restore had left, which was broken off, and nobody has worked with
    that since.
    """
    if last is not None and not last.finished and modified_ms(safety) == last.leaves_ms:
        return last.before
    return safety.id


def left_by_a_restore(profile_key: ProfileKey, collection_modified_ms: int) -> SnapshotId | None:
    """Which snapshot a restore was putting in the profile's place when it was broken off; None where none was, or where
    somebody has worked with what it had left since.

    It does not matter which repository it came from.
    """
    try:
        repositories = sorted(one.name for one in (active_settings().state / _FOLDER).iterdir())
    except OSError:
        return None
    found = (_read(f"{_FOLDER}/{repository}/{profile_key}.json") for repository in repositories)
    broken_off = (last for last in found if last is not None and not last.finished)
    return next((last.restored for last in broken_off if last.leaves_ms == collection_modified_ms), None)


def is_whole_by_now(manifest: Manifest) -> bool:
    """Whether a snapshot is marked as what a restore had left, and this same state is what it should be by now."""
    marked = manifest.facts.get(UNFINISHED_RESTORE)
    return bool(marked) and left_by_a_restore(manifest.profile_key, modified_ms(manifest)) is None


def modified_ms(manifest: Manifest) -> int:
    """Anki's `mod` of a snapshot's collection; 0 where the manifest does not tell, which no collection has."""
    told = manifest.facts.get("modified_ms")
    return told if type(told) is int else 0


def _memory() -> ObjectCache:
    return ObjectCache(active_settings().state)


def _name(repository: Repository, profile_key: ProfileKey) -> str:
    return f"{_FOLDER}/{repository.id}/{profile_key}.json"
