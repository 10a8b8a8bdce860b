"""Planning a sweep: everything is looked at, and nothing removed.

Where something looks wrong, there is no plan but an error that says so. What may go of what was seen, `garbage.py`
decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from recollect.progress import current_progress
from storage.errors import (
    Damaged,
    ObjectMissing,
    SnapshotUnknown,
    StorageError,
    SweepRefused,
    UnsupportedFormat,
    WrittenUnderNewerKey,
)
from storage.format.blob import BLOB_ID_BYTES, BlobId
from storage.format.census import CENSUS, LARGEST_CENSUS, is_census_name, read_census
from storage.format.manifest import Manifest, earlier_ids
from storage.format.underway import UNDERWAY
from storage.holdings import Holdings
from storage.index import Index
from storage.repository import Repository, SnapshotRef, snapshots_among
from storage.store import Listings, StoredObject
from storage.stored_size import read_listed
from storage.sweeping.garbage import Needs, Rules, decide
from storage.sweeping.index_folding import foldable
from storage.sweeping.plan import Grounds, SweepPlan
from storage.sweeping.resealing import under_old_keys
from storage.sweeping.store_clock import Clock, Stopwatch, store_time
from storage.trash import TRASH, Forgotten, forgotten_among
from storage.underway import uploads_among
from storage.walking import Walk

_LISTINGS = 5
_ROUNDS = 4
"""How often it is looked anew before anything is removed, where looking takes longer than a listing holds."""

_SEEN_TOGETHER = ("snapshots", TRASH, CENSUS, UNDERWAY)
_ASKS_FROM = 256 * 1024 * 1024
_ASKS_ABOVE = 0.3
"""A sweep that would let go of more than this share of a repository of some size is a person's own decision."""


class Planner:
    """How one sweep looks at a repository, at first and again when what it saw has aged."""

    def __init__(
        self,
        repository: Repository,
        rules: Rules,
        clock: Clock,
        *,
        accept: bool,
        accept_missing: bool,
    ) -> None:
        """`accept` and `accept_missing` are a person's own word: that much may go, that snapshots are rightly gone."""
        self._repository = repository
        self._rules = rules
        self._accept = accept
        self._accept_missing = accept_missing
        self._clock = clock

    def plan(self) -> SweepPlan:
        """Look at everything, and decide. Raises SweepRefused when something looks wrong, and removes nothing.

        Raises ClockUntrusted, and Damaged when a manifest or a listing can't be read, too.
        """
        plan = self._planned()
        self._ask_before_much_goes(plan)
        return plan

    def _planned(self, before: Grounds | None = None) -> SweepPlan:
        """Look, and decide. What was walked `before` is not walked again."""
        repository = self._repository
        seen_at = Stopwatch(self._clock)
        now, listed = store_time(repository.store, self._clock, _SEEN_TOGETHER)
        live, forgotten, listed = self._settled(listed)
        # What is in place as well is about to be forgotten, or about to be forgotten once more.
        in_trash_only = [one for one in forgotten if one.ref not in set(live)]
        expired = [one for one in in_trash_only if now - one.forgotten_at >= self._rules.undo]
        waiting = [one for one in forgotten if one not in expired]
        known = before.manifests if before else {}
        manifests = {ref: known[ref] for ref in live if ref in known}
        manifests |= self._read_manifests([ref for ref in live if ref not in known])
        # What can't be read in the trash can't be had back from there either.
        in_trash: list[Manifest] = []
        for one, found in zip(
            forgotten, repository.manifests([one.ref for one in forgotten], in_trash=True), strict=True
        ):
            if isinstance(found, Manifest):
                in_trash.append(found)
            elif one in waiting and isinstance(found, UnsupportedFormat | WrittenUnderNewerKey):
                raise _needs_are_not_known(one.ref, found)  # others can have it back
        censuses = _oldest_first(listed[CENSUS])
        missing = self._refuse_a_shrunk_listing(censuses, live, forgotten, (*manifests.values(), *in_trash))
        repository.forget_index()
        repository.forget_verdicts()
        holdings = repository.holdings()
        _refuse_what_can_not_be_read(holdings)
        still_wanted = {one.ref for one in waiting}
        wanted = [one for one in in_trash if SnapshotRef(one.profile_key, one.id) in still_wanted]
        needs, walks = self._find_needs(holdings.index, manifests.values(), wanted, before)
        uploads = uploads_among(repository.store, repository.seal, listed[UNDERWAY], now, self._rules.upload)
        return SweepPlan(
            now=now,
            snapshots=len(live),
            expired=tuple(expired),
            waiting=tuple(waiting),
            packs=len(holdings.packs),
            pack_bytes=sum(found.size for found in holdings.packs.values()),
            fates=decide(holdings, needs, self._rules, now, repository.seal.generation, uploads=uploads),
            folds=foldable(holdings),
            reseal_objects=under_old_keys(repository, holdings),
            unread_uploads=uploads.unread,
            missing=missing,
            grounds=Grounds(seen_at, tuple(live), manifests, tuple(censuses), needs, walks),
        )

    def plan_in_time(self, plan: SweepPlan) -> SweepPlan:
        """The plan as it is by now, by a listing of snapshots that has not aged by the time it is made.

        Raises what `plan` raises, and SweepRefused where looking takes longer than that each time.
        """
        for _ in range(_ROUNDS):
            plan = self._planned(plan.grounds)
            if plan.grounds.seen_at.elapsed() <= self._rules.listing_holds:
                return plan
        raise SweepRefused(
            f"Looking at {self._repository.store.url} takes so long that what was seen has aged before anything can "
            "be removed",
            "Try again when the connection is faster, or run `recollect prune` on a computer nearer to it",
        )

    def _settled(self, listed: Listings) -> tuple[list[SnapshotRef], list[Forgotten], Listings]:
        """Snapshots and trash, listed until twice the same is seen: what is just moved must not be missed."""
        before = None
        for _ in range(_LISTINGS):
            seen = snapshots_among(listed["snapshots"]), forgotten_among(listed[TRASH])
            if seen == before:
                return *seen, listed
            before = seen
            listed = self._repository.store.list_together(_SEEN_TOGETHER)
        raise SweepRefused(
            f"The snapshots in {self._repository.store.url} look different each time they are listed",
            "Try again when no backup is running",
        )

    def _read_manifests(self, refs: Sequence[SnapshotRef]) -> dict[SnapshotRef, Manifest]:
        manifests: dict[SnapshotRef, Manifest] = {}
        for ref, manifest in zip(refs, self._repository.manifests(refs), strict=True):
            found = manifest
            if isinstance(manifest, SnapshotUnknown):
                found = next(self._repository.manifests([ref], in_trash=True))
            if isinstance(found, UnsupportedFormat | WrittenUnderNewerKey):
                raise _needs_are_not_known(ref, found)
            if not isinstance(found, Manifest):
                raise SweepRefused(
                    f"What the snapshot {ref.id} needs is not known: {found.problem}",
                    f"Mend or forget it: `recollect forget {ref.profile_key} {ref.id}`. Until then nothing is removed",
                ) from found
            manifests[ref] = found
        return manifests

    def _find_needs(
        self, index: Index, live: Iterable[Manifest], in_trash: Iterable[Manifest], before: Grounds | None
    ) -> tuple[Needs, tuple[Walk, Walk]]:
        """Walk snapshots, and mark all that they consist of as needed. What is lost of one in the trash is lost."""
        needs = Needs(index)
        if before is not None and needs.take_over(before.needs):
            raise self._pieces_are_missing()
        walked, walked_in_trash = before.walks if before is not None else (None, None)
        walk = Walk(self._repository.read, after=walked)
        with current_progress().stage("finding out what snapshots need", None) as stage:
            for blobs in walk.blobs(live):
                stage.advance(len(blobs) * BLOB_ID_BYTES)
                if needs.need(blobs):
                    raise self._pieces_are_missing()
            trash_walk = Walk(self._read_what_is_there, damaged=_pass_over, after=walked_in_trash or walk)
            for blobs in trash_walk.blobs(in_trash):
                needs.need(blobs)
        return needs, (walk, trash_walk)

    def _pieces_are_missing(self) -> SweepRefused:
        return SweepRefused(
            f"Pieces that snapshots need are missing in {self._repository.store.url}",
            "Find out which with `recollect verify`, and heal them with `recollect repair`; until then nothing is "
            "removed",
        )

    def _read_what_is_there(self, blobs: Iterable[BlobId]) -> Iterator[tuple[BlobId, bytes]]:
        return self._repository.read(blobs, damaged=_pass_over)

    def _refuse_a_shrunk_listing(
        self,
        censuses: Sequence[StoredObject],
        live: Sequence[SnapshotRef],
        forgotten: Sequence[Forgotten],
        manifests: Iterable[Manifest],
    ) -> tuple[str, ...]:
        """Snapshots that an earlier sweep saw, and nobody forgot, must be there: a listing may be short.

        Returns those that a person takes to be rightly gone.
        """
        store = self._repository.store
        gone: list[str] = []
        if censuses:
            expected = self._expected(censuses[-1])
            replaced = {f"{one.profile_key}/{earlier}" for one in manifests for earlier in earlier_ids(one)}
            gone = sorted(expected - names_of(live, forgotten) - replaced)
        if gone and not self._accept_missing:
            raise SweepRefused(
                f"{len(gone)} snapshots that were in {store.url} are not there any more, though nobody forgot "
                f"them: {', '.join(gone[:5])}{', …' if len(gone) > 5 else ''}",
                "See whether the disk or server is whole. If they were removed by hand, run `recollect prune "
                "--accept-missing`; until then nothing is removed",
            )
        # Whatever the last sweep saw: the first snapshots may have been made since, and not be listed.
        if not self._accept_missing and not live and not forgotten and store.list("packs"):
            raise SweepRefused(
                f"{store.url} holds packs, but no snapshot at all",
                "See whether the disk or server is whole. If it is, run `recollect prune --accept-missing`",
            )
        return tuple(gone)

    def _expected(self, census: StoredObject) -> frozenset[str]:
        try:
            stored = read_listed(self._repository.store, census, LARGEST_CENSUS)
            return read_census(self._repository.seal, census.name, stored).snapshots
        except ObjectMissing as gone:
            raise SweepRefused(
                f"Another sweep is at work in {self._repository.store.url}", "Try again when it is done"
            ) from gone
        except UnsupportedFormat as newer:
            raise SweepRefused(
                f"Nothing is removed, for which snapshots have to be there is not known: {newer.problem}", newer.advice
            ) from newer
        except Damaged as damage:
            if self._accept_missing:
                return frozenset()
            raise SweepRefused(
                f"Nothing is removed, for which snapshots have to be there is not known: {damage.problem}",
                "See whether the disk or server is whole. If it is, run `recollect prune --accept-missing`",
            ) from damage

    def _ask_before_much_goes(self, plan: SweepPlan) -> None:
        going = plan.bytes_going
        if not self._accept and plan.pack_bytes >= _ASKS_FROM and going > plan.pack_bytes * _ASKS_ABOVE:
            raise SweepRefused(
                f"{going * 100 // plan.pack_bytes} % of all that {self._repository.store.url} holds would go, more "
                "than is usual",
                "Look at the plan with `recollect prune --dry-run --accept`. If it is right, run `recollect prune "
                "--accept`",
            )


def _oldest_first(censuses: Iterable[StoredObject]) -> list[StoredObject]:
    """All censuses, oldest first: by when they were taken, which may be long before they arrived."""
    found = [item for item in censuses if is_census_name(item.name)]
    return sorted(found, key=lambda item: (item.name.partition("-")[0], item.modified))


def names_of(live: Iterable[SnapshotRef], forgotten: Iterable[Forgotten]) -> set[str]:
    """What a census calls these snapshots."""
    return {f"{ref.profile_key}/{ref.id}" for ref in (*live, *(one.ref for one in forgotten))}


def _needs_are_not_known(ref: SnapshotRef, why: StorageError) -> SweepRefused:
    """Of a snapshot that others can read; it is no damage, and forgetting it would lose it."""
    return SweepRefused(f"What the snapshot {ref.id} needs is not known here: {why.problem}", why.advice)


def _refuse_what_can_not_be_read(holdings: Holdings) -> None:
    damaged = (*holdings.damaged_indexes, *holdings.damaged_verdicts)
    if damaged:
        newer = isinstance(damaged[0], UnsupportedFormat)
        raise SweepRefused(
            f"Nothing is removed, for a part of the repository can't be read: {damaged[0].problem}",
            damaged[0].advice if newer else "Mend it with `recollect repair`",
        ) from damaged[0]


def _pass_over(_blob: BlobId, _damage: Damaged) -> None:
    """What is damaged in the trash needs nothing below it."""
