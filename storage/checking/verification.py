"""Verifying a repository: that all is there which its snapshots need, and, read back, is what was stored.

Nothing is changed but the record of what was read when. Whatever looks damaged is looked at once more before it is
called so: a bit that flips on its way is no damage at rest, and a sweep may remove things between two requests.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from recollect.progress import current_progress
from storage.audit_table import read_rows
from storage.checking.damage import Damage, Kind, are, counted
from storage.checking.history import (
    CheckHistory,
    Coverage,
    coverage,
    first_of,
    keep_history,
    least_recently_read,
    read_history,
)
from storage.checking.losses import Loss, losses_of
from storage.checking.objects import check_index_files, check_manifests, check_packs_found, check_records
from storage.checking.packs import PackCheck, check_packs
from storage.checking.survey import Survey
from storage.checking.usable_copies import UsableCopies, only_in
from storage.errors import Damaged, StorageError, WrittenUnderNewerKey
from storage.format.blob import PackId
from storage.format.check_record import Checked
from storage.format.verdict import Finding
from storage.holdings import Holdings, distrusted_packs
from storage.repository import Repository, SnapshotRef
from storage.store import StoredObject
from storage.trash import forgotten_snapshots


@dataclass(frozen=True, slots=True)
class Scope:
    """What is read back. Without `data` nothing is, but for packs that held damage when they were last read.

    `share` (0 to 1) of all bytes, `packs` at most, whichever are given: those that were not read for the longest.
    """

    data: bool = False
    share: float | None = None
    packs: int | None = None

    @property
    def everything(self) -> bool:
        """Whether every byte is read."""
        return self.data and self.packs is None and (self.share is None or self.share >= 1)


STRUCTURE = Scope()
EVERYTHING = Scope(data=True)


@dataclass(frozen=True, slots=True)
class Verification:
    """What a verification found."""

    snapshots: int
    """Those that were walked through: not those that can't be read."""
    packs: int
    """Packs that are relied on; those on their way out, or known to hold damage, are not among them."""
    pack_bytes: int
    packs_read: int
    bytes_read: int
    damages: tuple[Damage, ...]
    losses: tuple[Loss, ...]
    stranded: int
    """Whole pieces that snapshots need and that lie only in packs which hold damage."""
    coverage: Coverage
    remarks: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether nothing is damaged and nothing is lost."""
        return not self.damages and not self.losses

    def of_kind(self, *kinds: Kind) -> list[Damage]:
        """The damage to objects of these kinds."""
        return [damage for damage in self.damages if damage.kind in kinds]

    def snapshots_hurt(self) -> int:
        """How many snapshots can't be had whole."""
        lacking = {(loss.profile_key, snapshot) for loss in self.losses for snapshot in loss.snapshots}
        return len(lacking) + len([one for one in self.of_kind(Kind.MANIFEST) if one.name.startswith("snapshots/")])

    def summary(self) -> str:
        """What was found, in a sentence without its full stop."""
        if self.clean:
            snapshots = counted(self.snapshots, "snapshot")
            read = f"; {self.packs_read} of {counted(self.packs, 'pack')} read back" if self.packs_read else ""
            return f"All is there that {snapshots} need{'s' if self.snapshots == 1 else ''}{read}"
        damaged = f"{counted(len(self.damages), 'stored object')} {are(len(self.damages))} damaged"
        hurt = self.snapshots_hurt()
        unread = sum(one.name.startswith("snapshots/") for one in self.of_kind(Kind.MANIFEST))
        snapshots = counted(self.snapshots + unread, "snapshot")
        cost = f"{hurt} of {snapshots} can't be restored whole" if hurt else "no snapshot has lost anything by it"
        return f"{damaged}; {cost}" if self.damages else cost

    def as_json(self) -> dict[str, Any]:
        """What was found, as values that JSON can hold."""
        return {
            "clean": self.clean,
            "snapshots": self.snapshots,
            "snapshots_hurt": self.snapshots_hurt(),
            "packs": self.packs,
            "pack_bytes": self.pack_bytes,
            "packs_read": self.packs_read,
            "bytes_read": self.bytes_read,
            "damages": [{"kind": one.kind, "name": one.name, "how": one.how} for one in self.damages],
            "losses": [loss.as_json() for loss in self.losses],
            "stranded_pieces": self.stranded,
            "coverage": self.coverage.as_json(),
            "remarks": list(self.remarks),
        }


def verify(repository: Repository, scope: Scope = STRUCTURE, *, now: datetime | None = None) -> Verification:
    """Verify a repository at the store itself, past every cache.

    A store that can't be reached raises, and what was read by then is noted down all the same.
    """
    # Copies on this computer prove nothing about what is stored.
    fresh = Repository(repository.store, repository.configuration, repository.seal, None)
    now = (now or datetime.now(UTC)).replace(microsecond=0)
    seen, read = _see(fresh, now), _Read()
    _read_back(fresh, seen, _chosen(seen, scope), read, now)
    found, suspected, vanished = _judge(fresh, seen, read, scope)
    if not found.clean or vanished:
        # What was removed or replaced between two requests is no damage.
        fresh.forget_index()
        seen = _see(fresh, now)
        _read_back(fresh, seen, suspected, read, now)
        found, _, _ = _judge(fresh, seen, read, scope)
    return found


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one look at the repository showed."""

    refs: list[SnapshotRef]
    trash: list[SnapshotRef]
    holdings: Holdings
    history: CheckHistory
    trusted: dict[PackId, StoredObject]
    """The packs that writers rely on."""
    quarantined: frozenset[PackId]


@dataclass(slots=True)
class _Read:
    """The packs that were read whole, and what is noted down of them."""

    checks: dict[PackId, PackCheck] = field(default_factory=dict)
    readings: dict[PackId, Checked] = field(default_factory=dict)
    bytes: int = 0
    remarks: list[str] = field(default_factory=list)


def _see(fresh: Repository, now: datetime) -> _Seen:
    # Snapshots before packs: what one that is committed meanwhile needs was stored before it.
    refs = fresh.snapshots()
    trash = [one.ref for one in forgotten_snapshots(fresh)]
    holdings = fresh.holdings()
    distrusted = distrusted_packs(holdings.verdicts)
    quarantined = {
        pack for verdict in holdings.verdicts if verdict.finding is Finding.QUARANTINED for pack in verdict.packs
    }
    return _Seen(
        refs,
        trash,
        holdings,
        read_history(fresh.store, fresh.seal, now),
        {pack: found for pack, found in holdings.packs.items() if pack not in distrusted},
        frozenset(quarantined & holdings.packs.keys()),
    )


def _chosen(seen: _Seen, scope: Scope) -> list[PackId]:
    """The packs to read whole: those that are due, those that were damaged, those quarantined and needed."""
    due: list[PackId] = []
    if scope.data:
        due = first_of(
            least_recently_read(seen.trusted, seen.history), seen.trusted, share=scope.share, most=scope.packs
        )
    damaged = sorted(seen.history.found_damaged() & seen.trusted.keys())
    # Of a quarantined pack only reading it tells what is whole; it matters where something lies nowhere else.
    doubtful = only_in(seen.holdings.index, seen.quarantined)
    return list(dict.fromkeys((*due, *damaged, *doubtful)))


def _read_back(fresh: Repository, seen: _Seen, packs: Iterable[PackId], read: _Read, now: datetime) -> None:
    """Read packs whole that were not read yet, and note that down."""
    sizes = [
        (pack, seen.holdings.packs[pack].size, True)
        for pack in packs
        if pack in seen.holdings.packs and pack not in read.checks
    ]
    if not sizes:
        return
    try:
        with current_progress().stage("reading packs back", sum(size for _, size, _ in sizes)) as stage:
            for check in check_packs(fresh.store, fresh.seal, seen.holdings.index, sizes, stage.advance):
                read.checks[check.pack] = check
                if not check.gone:
                    read.bytes += check.size
                    if not isinstance(check.trouble, WrittenUnderNewerKey):
                        read.readings[check.pack] = Checked(now, not check.is_damaged)
    finally:
        # Also when it was stopped: the next run goes on from there.
        _note_down(fresh, seen, read)


def _note_down(fresh: Repository, seen: _Seen, read: _Read) -> None:
    readings = {pack: checked for pack, checked in read.readings.items() if pack in seen.trusted}
    if not readings:
        return
    try:
        keep_history(fresh.store, fresh.seal, seen.history, readings, seen.trusted)
    except StorageError as trouble:
        read.remarks.append(f"What was read could not be noted down, so it counts as unread: {trouble}")


def _judge(fresh: Repository, seen: _Seen, read: _Read, scope: Scope) -> tuple[Verification, list[PackId], bool]:
    """What was found, the packs that hold parts of listings which could not be read, and whether snapshots vanished."""
    holdings, remarks = seen.holdings, list[str]()
    checks = _look_into_packs(fresh, seen, read)
    bad = {check.pack: check.damaged for check in (*checks.values(), *read.checks.values()) if check.damaged}
    usable = UsableCopies(holdings.index, bad)
    manifests, damages, gone = check_manifests(fresh, seen.refs, remarks)
    forgotten, damaged_trash, _ = check_manifests(fresh, seen.trash, remarks, trashed=True)
    vanished = sorted(set(gone) - set(seen.trash))
    remarks += [f"The snapshot {ref.id} was not looked at: it is listed, and not there" for ref in vanished]
    survey = Survey(fresh.read, usable.lacking)
    with current_progress().stage("walking through the snapshots", None) as stage:
        survey.explore((*manifests, *forgotten), stage.advance)
    damaged_packs = check_packs_found(checks.values(), usable)
    damages += damaged_trash + damaged_packs
    damages += check_index_files(fresh, holdings, checks.values(), remarks)
    damages += check_records(fresh, holdings, remarks)
    _refuse_under_a_newer_key(damages)
    for name, trouble in seen.history.unreadable.items():
        if isinstance(trouble, Damaged):
            damages.append(Damage(Kind.CHECK, name, "what it says was read counts as unread"))
    if scope.everything:
        rows = read_rows(fresh.store)
        damages += [Damage(Kind.AUDIT_ROW, name, "it is no row of the audit table") for name in rows.damaged]
    if seen.quarantined:
        number = len(seen.quarantined)
        remarks.append(f"{counted(number, 'pack')} {are(number)} quarantined: nothing new relies on what lies there")
    unreliable = seen.quarantined | {
        one.pack for one in damaged_packs if one.kind is Kind.PACK and one.pack is not None
    }
    stranded = usable.stranded(unreliable)
    if stranded:
        remarks.append(
            f"Needed, and only in packs with damage: {counted(stranded, 'whole piece')}; `recollect repair` packs "
            "anew what is whole"
        )
    suspected = {place.pack for blob in survey.unreadable for place in holdings.index.copies(blob)}
    found = Verification(
        snapshots=len(manifests),
        packs=len(seen.trusted),
        pack_bytes=sum(found.size for found in seen.trusted.values()),
        packs_read=len(read.readings.keys() & seen.trusted.keys()),
        bytes_read=read.bytes,
        damages=tuple(damages),
        losses=tuple(losses_of(survey, manifests)),
        stranded=stranded,
        coverage=coverage(seen.trusted, {**seen.history.packs, **read.readings}),
        remarks=(*remarks, *read.remarks),
    )
    return found, sorted(suspected), bool(vanished)


def _look_into_packs(fresh: Repository, seen: _Seen, read: _Read) -> dict[PackId, PackCheck]:
    """The tables of all packs that writers rely on, against the index; those that were read whole are known."""
    checks = {pack: check for pack, check in read.checks.items() if pack in seen.trusted and not check.gone}
    sizes = [(pack, found.size, False) for pack, found in seen.trusted.items() if pack not in checks]
    with current_progress().stage("looking into packs", sum(size for _, size, _ in sizes)) as stage:
        for check in check_packs(fresh.store, fresh.seal, seen.holdings.index, sizes, stage.advance):
            if not check.gone:
                checks[check.pack] = check
    return checks


def _refuse_under_a_newer_key(damages: Iterable[Damage]) -> None:
    """A flipped bit in one object may look like a newer key; in several it is one, and no damage."""
    newer = [damage.trouble for damage in damages if isinstance(damage.trouble, WrittenUnderNewerKey)]
    if len(newer) > 1:
        raise newer[0]
