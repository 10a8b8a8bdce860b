"""The step *snapshot*: a consistent private copy of the collection, then the media folder listed.

The copy is proven by a thread of its own, while the media are listed and *checksum* looks for what is new: SQLite
checks without Python's lock, and nobody changes the private copy. *checksum* ends only when the proof has: nothing of a
copy that is not sound is ever stored.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from profiles.backup_preferences import RetentionPreferences, backup_preferences
from profiles.collection_copy import CopyEvidence, SourceStamp, copy_collection, stamp, surely_unchanged
from profiles.discovery import Profile
from profiles.errors import ProfileError, SourceBusy, SourceUnreadable
from profiles.install_media import UNFINISHED
from profiles.media import MediaFolder, list_media, read_stable
from profiles.proof import CollectionFacts, prove
from recollect.progress import current_progress
from storage.format.manifest import SnapshotId, new_snapshot_id
from tasks.cache_trouble import cache_trouble
from tasks.job import Job
from tasks.media import reliable
from tasks.step import step

_LONGEST_TRUST_S = 24 * 3600
"""`stat` tells nothing of what became of the repository, so once a day everything is held against it."""


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A few `stat` calls told that nothing changed since the last snapshot."""

    snapshot: str


@dataclass(frozen=True, slots=True)
class Busy:
    """Anki left no moment for a consistent copy."""

    trouble: SourceBusy


@dataclass(frozen=True, slots=True)
class Proven:
    """What a sound copy says of itself: its figures, and how many backups its owner wants kept."""

    facts: CollectionFacts
    preferences: RetentionPreferences


class Source:
    """The profile as it was at one moment. Not a dataclass: Prefect would look through every media file's name."""

    def __init__(
        self,
        *,
        snapshot: SnapshotId,
        taken_at: datetime,
        evidence: CopyEvidence,
        proof: Future[Proven],
        media: MediaFolder,
        media_listed_at_ns: int,
        has_deletion_log: bool,
        remarks: list[str],
    ) -> None:
        self.snapshot = snapshot
        """The id that the snapshot will have: chosen once, so that an upload tried again makes no second one."""
        self.taken_at = taken_at
        self.evidence = evidence
        self._proof = proof
        self.media = media
        self.media_listed_at_ns = media_listed_at_ns
        self.has_deletion_log = has_deletion_log
        self.remarks = remarks + [
            f"The media folder holds {name!r}, {why}: not backed up"
            for name, why in media.passed_over
            # What a restore had left that was killed is nobody's; the next one removes it.
            if not UNFINISHED.fullmatch(name)
        ]

    def proven(self) -> Proven:
        """What the proof of the copy found; waits for it. Raises CollectionDamaged, and SourceUnreadable."""
        return self._proof.result()


@step("snapshot", retried=False)
def snapshot(job: Job, *, force: bool = False) -> Source | Unchanged | Busy:
    """Take a consistent copy of the collection, begin to prove it, and list the media."""
    if not force and (last := _last_if_nothing_changed(job)):
        return Unchanged(last)
    job.repository.look_ahead()
    taken_at = datetime.now().astimezone()
    try:
        return _source(job, taken_at)
    except SourceBusy as trouble:
        return Busy(trouble)


def _source(job: Job, taken_at: datetime) -> Source:
    profile = job.profile
    with current_progress().stage(f"{profile.name}: copying the collection", None) as stage:
        evidence = copy_collection(profile.collection, job.staged_collection, progress=stage)
    proof = job.beside.submit(prove_copy, job.staged_collection, profile.collection)
    # Media after the collection: a note refers only to files that are there already.
    media_listed_at_ns = time.time_ns()
    media = list_media(profile.media_folder)
    deletion_log, unreadable = _deletion_log(profile)
    if deletion_log is not None:
        with cache_trouble(job.staging):
            job.staged_deletion_log.write_bytes(deletion_log)
    return Source(
        snapshot=snapshot_id_at(taken_at),
        taken_at=taken_at,
        evidence=evidence,
        proof=proof,
        media=media,
        media_listed_at_ns=media_listed_at_ns,
        has_deletion_log=deletion_log is not None,
        remarks=unreadable,
    )


def prove_copy(copy: Path, original: Path) -> Proven:
    """What a private copy of `original` says of itself. Raises CollectionDamaged, and SourceUnreadable."""
    facts = prove(copy, original=original)
    return Proven(facts, backup_preferences(copy))


def _deletion_log(profile: Profile) -> tuple[bytes | None, list[str]]:
    """The content of deleted.txt, None without one; one that can't be read must not cost the collection its backup."""
    try:
        return read_stable(profile.deletion_log), []
    except SourceUnreadable as trouble:
        return None, [f"Left out: {trouble.problem}"]


def snapshot_id_at(moment: datetime) -> SnapshotId:
    """A new id for a snapshot of that moment: such as sort by time within the same second too."""
    return new_snapshot_id(moment, (moment.microsecond * 0x10000 // 1_000_000).to_bytes(2, "big") + os.urandom(2))


def _last_if_nothing_changed(job: Job) -> str | None:
    """The last snapshot's id, when `stat` shows every file of the profile just as that run saw it."""
    job.snapshots()  # a store that is away is found out before anything is copied
    last = job.last_run()
    looked_at = last.get("looked_at_s")
    if not isinstance(looked_at, float) or not 0 <= time.time() - looked_at < _LONGEST_TRUST_S:
        return None
    newest = job.last_snapshot()
    # A snapshot whose manifest can't be read protects nobody.
    if newest is None or last.get("snapshot") != newest.id or job.last_manifest() is None:
        return None
    try:
        now = stamp(job.profile.collection)
        if not surely_unchanged(SourceStamp.from_json(last["stamp"]), now, int(str(last["taken_at_ns"]))):
            return None
        if sys.platform == "win32" and now.wal is not None:
            # NTFS may tell the time of a write only when the file is closed, and Anki keeps its log open.
            return None
        media = list_media(job.profile.media_folder).files
    except (ProfileError, ValueError, KeyError):
        return None
    known = job.known_files()
    same = last.get("deletion_log") == deletion_log_state(job) and len(media) == len(known) == len(
        reliable(media, known)
    )
    return newest.id if same else None


def deletion_log_state(job: Job) -> list[int] | None:
    """What `stat` tells about deleted.txt: it only ever grows, so its size and time tell enough."""
    try:
        found = job.profile.deletion_log.stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns, found.st_ino]
