"""What of a repository nothing needs any more: deciding only, nothing here removes anything.

The protocol needs no locks (`docs/architecture.md`, "Removing while others write"). A pack that nothing needs is first
condemned, for all to see; writers stop relying on it from then on. When the verdict is a day old by the store's clock,
and no snapshot of a fresh listing needs the pack, it is removed; if one does, the pack is pardoned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from storage.copies import Copies, Mask
from storage.format.blob import BlobId, PackId
from storage.format.pack import HEAD_BYTES
from storage.format.verdict import Finding, Verdict
from storage.holdings import Holdings, distrusted_packs
from storage.index import Index, Rows
from storage.underway import NO_UPLOADS, UploadsSeen

_SMALL_PACK = 4 * 1024 * 1024
_SMALL_PACKS = 16
"""So many small packs are packed into few: each costs a place in every listing, and a request in every restore."""

_ROWS_AT_ONCE = 65536

_WORTH_PACKING_ANEW = 0.5
"""A pack is packed anew when less than this share of it is needed."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How careful a sweep is. The defaults are what keeps every snapshot safe; tests shorten them."""

    grace: timedelta = timedelta(hours=24)
    """How long a condemned pack stays, and how old a pack must be to be condemned: longer than any backup runs."""
    undo: timedelta = timedelta(days=7)
    """How long a forgotten snapshot can be had back."""
    upload: timedelta = timedelta(days=7)
    """How long what an upload under way counts on is spared, from when it last said so."""
    listing_holds: timedelta = timedelta(minutes=10)
    """Nothing is removed later than this after the listing of snapshots that justified it."""
    most_packed_anew: int = 2 * 1024 * 1024 * 1024
    """Bytes that one run packs anew at most."""
    most_resealed: int = 512 * 1024 * 1024
    """Bytes that one run packs anew at most for their old key alone; a tenth of the repository, if that is less."""
    always_resealed: int = 64 * 1024 * 1024
    """Bytes that one run packs anew for their old key, however small the repository."""


@dataclass(frozen=True, slots=True)
class PackUse:
    """A pack, its size in bytes, and how many of them hold what is needed from there."""

    pack: PackId
    size: int
    needed: int


@dataclass(frozen=True, slots=True)
class PackFates:
    """What is to become of packs and of the verdicts on them."""

    condemn: tuple[PackUse, ...]
    """Nothing needs them any more."""
    pack_anew: tuple[PackUse, ...]
    """Mostly not needed, or small and many: what is needed of them goes into new packs, then they are condemned."""
    reseal: tuple[PackUse, ...]
    """Sealed under a key that a rotation has replaced: packed anew under the newest, then condemned."""
    reseal_later: tuple[PackUse, ...]
    """Sealed under such a key as well, and left for a later sweep."""
    remove: tuple[PackUse, ...]
    """Condemned long enough ago, and not needed."""
    pardon: tuple[PackUse, ...]
    """Condemned long enough ago, and needed all the same."""
    spent: tuple[str, ...]
    """Verdicts that have nothing to say any more, in the order to remove them in."""
    spared: tuple[PackUse, ...] = ()
    """Old enough to be condemned or packed anew, but uploads under way count on them."""
    ended: tuple[str, ...] = ()
    """Objects of uploads that are done, or were given up."""
    replaced: int = 0
    """Bytes in what is removed or condemned that are needed, and lie elsewhere, too: what was packed anew of it."""

    def as_json(self) -> dict[str, Any]:
        """The fates as values that JSON can hold."""

        def packs(uses: Iterable[PackUse]) -> list[dict[str, Any]]:
            return [{"pack": use.pack.hex(), "bytes": use.size, "needed_bytes": use.needed} for use in uses]

        return {
            "remove": packs(self.remove),
            "condemn": packs(self.condemn),
            "pack_anew": packs(self.pack_anew),
            "reseal": packs(self.reseal),
            "reseal_later": packs(self.reseal_later),
            "pardon": packs(self.pardon),
            "spent_verdicts": list(self.spent),
            "spared": packs(self.spared),
            "ended_uploads": list(self.ended),
        }


class Needs:
    """Which stored copies the blobs of the live snapshots need."""

    def __init__(self, index: Index) -> None:
        self._copies = Copies(index)
        self._index = index
        self._stored = index.stored_bytes().astype(np.int64)

    def need(self, blobs: list[BlobId]) -> list[BlobId]:
        """Mark blobs as needed; returns those that the index does not know at all."""
        rows = self._copies.need(blobs)
        return [blobs[number] for number in np.flatnonzero(rows < 0)]

    def take_over(self, before: Needs) -> bool:
        """Mark what was needed by an earlier look; True when some of it is not there any more."""
        rows = np.flatnonzero(before._copies.needed())
        missing = False
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            missing = bool(self.need(before._index.ids(rows[start : start + _ROWS_AT_ONCE]))) or missing
        return missing

    def by_pack(self, trusted: Mask) -> tuple[npt.NDArray[np.int64], Mask]:
        """By number of pack: bytes needed from it, and whether it holds something needed that no trusted pack holds.

        Of several copies in `trusted` packs (by number) one alone counts: the one in the pack of which the most is
        needed, so that what lies twice comes together in few packs. Whoever looks at the same packs decides the same.
        """
        copies, pack_of_row = self._copies, self._index.pack_of_row
        needed = copies.needed()
        usable = needed & copies.in_numbered(trusted)
        rows = np.flatnonzero(usable)
        most = self._bytes_by_pack(rows)
        order = sorted(range(len(most)), key=lambda number: (-most[number], self._index.pack_ids[number]))
        rank = np.empty(len(most), dtype=np.int64)
        rank[order] = np.arange(len(most))
        chosen = copies.one_each(rows[np.argsort(rank[pack_of_row[rows]], kind="stable")])
        alone = np.flatnonzero(needed & ~copies.also_among(usable))
        only_there = np.zeros(len(most), dtype=bool)
        only_there[pack_of_row[alone]] = True
        # What lies nowhere else is needed from wherever it lies.
        return self._bytes_by_pack(chosen) + self._bytes_by_pack(alone), only_there

    def bytes_needed_in(self, packs: Set[PackId]) -> int:
        """Bytes of needed blobs that lie in these packs, wherever else they lie."""
        return int(self._stored[self._copies.needed() & self._copies.in_packs(packs)].sum())

    def only_in(self, packs: Set[PackId], going: Set[PackId]) -> Rows:
        """The rows of needed blobs that lie in these packs, each blob once.

        Left out is what lies in a pack, too, that can be relied on and is not `going`: stored once more it would lie
        there twice, and the new pack would be mostly useless as well.
        """
        copies = self._copies
        wanted = copies.in_packs(packs)
        stays = ~copies.in_packs(going) & ~wanted & ~copies.in_numbered(self._index.distrusts)
        return copies.one_each(np.flatnonzero(copies.needed() & wanted & ~copies.also_among(stays)))

    def _bytes_by_pack(self, rows: Rows) -> npt.NDArray[np.int64]:
        count = len(self._index.pack_ids)
        weighed = np.bincount(self._index.pack_of_row[rows], weights=self._stored[rows], minlength=count)
        return weighed.astype(np.int64)


def decide(
    holdings: Holdings, needs: Needs, rules: Rules, now: datetime, newest_key: int, *, uploads: UploadsSeen = NO_UPLOADS
) -> PackFates:
    """What is to become of each pack, `now` being the store's time and `newest_key` the number of the newest key.

    What `uploads` under way count on is neither condemned nor packed anew.
    """
    index = holdings.index
    needed, only_there = needs.by_pack(~index.distrusts)
    numbers = {pack: number for number, pack in enumerate(index.pack_ids)}

    def use(pack: PackId) -> PackUse:
        number = numbers.get(pack)
        return PackUse(pack, holdings.packs[pack].size, int(needed[number]) if number is not None else 0)

    distrusted = distrusted_packs(holdings.verdicts)
    counted_on = uploads.spared()
    old_enough = [
        use(pack)
        for pack, found in holdings.packs.items()
        if pack not in distrusted and now - found.modified >= rules.grace
    ]
    old = [one for one in old_enough if one.pack not in counted_on]
    due = [use(pack) for pack in _due(holdings, rules, now) if pack in holdings.packs]
    superseded = [
        use(pack)
        for pack in _quarantined(holdings)
        if pack in holdings.packs
        and now - holdings.packs[pack].modified >= rules.grace
        and not (pack in numbers and only_there[numbers[pack]])
    ]
    pardon = [one for one in due if one.pack in numbers and only_there[numbers[one.pack]]]
    remove = [one for one in due if one not in pardon]
    pack_anew = list(_worth_packing_anew([one for one in old if one.needed], index.packs(), rules))
    under_old_keys = {
        one
        for one in map(use, holdings.packs.keys() - distrusted - {one.pack for one in pack_anew})
        if one.needed and index.generations[numbers[one.pack]] < newest_key
    }
    reseal = _resealed_now(under_old_keys.intersection(old), holdings, rules)
    condemn = (*(one for one in old if not one.needed), *superseded)
    return PackFates(
        condemn=condemn,
        pack_anew=tuple(pack_anew),
        reseal=tuple(reseal),
        reseal_later=tuple(sorted(under_old_keys.difference(reseal), key=lambda one: one.pack)),
        remove=tuple(remove),
        pardon=tuple(pardon),
        spent=_spent(holdings, rules, now),
        spared=tuple(one for one in old_enough if one.pack in counted_on and not one.needed),
        ended=_ended(uploads, {pack for pack in holdings.packs.keys() - distrusted if not use(pack).needed}),
        replaced=needs.bytes_needed_in({one.pack for one in (*condemn, *remove)}),
    )


def _worth_packing_anew(uses: list[PackUse], ends: Mapping[PackId, int], rules: Rules) -> Iterable[PackUse]:
    """Those of `uses` that are packed anew; `ends` says where in each pack its blobs end.

    A pack's table and padding don't count: packed anew they would be as long, and be packed anew for ever.
    """
    small = [one for one in uses if one.size < _SMALL_PACK]
    few = small if len(small) >= _SMALL_PACKS else []
    left = rules.most_packed_anew
    # What gives back the most for each byte that is moved comes first.
    for one in sorted(uses, key=lambda one: (one.needed / max(one.size, 1), one.pack)):
        mostly_useless = one.needed < (ends[one.pack] - HEAD_BYTES) * _WORTH_PACKING_ANEW
        if (mostly_useless or one in few) and one.needed <= left:
            left -= one.needed
            yield one


def _resealed_now(uses: Iterable[PackUse], holdings: Holdings, rules: Rules) -> list[PackUse]:
    """Those of `uses`, which lie under old keys, that are packed anew now; the first that comes in any case.

    So few of them that the sweep which removes the old packs does not look as if much of the repository went.
    """
    share = sum(found.size for found in holdings.packs.values()) // 10
    left = max(rules.always_resealed, min(rules.most_resealed, share))
    # What was stored first has lain under its key for the longest.
    chosen: list[PackUse] = []
    for one in sorted(uses, key=lambda one: (holdings.packs[one.pack].modified, one.pack)):
        if not chosen or one.needed <= left:
            left -= one.needed
            chosen.append(one)
    return chosen


def _due(holdings: Holdings, rules: Rules, now: datetime) -> list[PackId]:
    """The packs that were condemned long enough ago, and not pardoned since."""
    due: set[PackId] = set()
    for verdict in _of(holdings, Finding.CONDEMNED):
        if _age(holdings, verdict, now) >= rules.grace:
            due |= verdict.packs - _answered(holdings, verdict, _of(holdings, Finding.PARDONED))
    return sorted(due)


def _quarantined(holdings: Holdings) -> list[PackId]:
    """The packs that are quarantined and not condemned as well."""
    return sorted(_named_in(_of(holdings, Finding.QUARANTINED)) - _named_in(_of(holdings, Finding.CONDEMNED)))


def _spent(holdings: Holdings, rules: Rules, now: datetime) -> tuple[str, ...]:
    """The verdicts that may go.

    Until a pardon is two graces old no writer may rely on what it pardons. And until a removal is a grace old a late
    listing could show a pack that is gone, and one of verdicts could lack the newest: so the older ones stay, too.
    """
    lately = [one for one in _of(holdings, Finding.REMOVED) if _age(holdings, one, now) < rules.grace]
    there = holdings.packs.keys() | _named_in(lately)
    old_pardons = [
        verdict for verdict in _of(holdings, Finding.PARDONED) if _age(holdings, verdict, now) >= 2 * rules.grace
    ]
    spent: list[str] = []
    standing: list[Verdict] = []
    for verdict in _of(holdings, Finding.CONDEMNED):
        speaks_of = (verdict.packs & there) - _answered(holdings, verdict, old_pardons)
        if speaks_of:
            standing.append(verdict)
        else:
            spent.append(verdict.name)
    spent += [one.name for one in _of(holdings, Finding.QUARANTINED) if one.packs.isdisjoint(there)]
    spent += [one.name for one in _of(holdings, Finding.REMOVED) if one not in lately]
    # A pardon outlives the condemnations that it answers: those go first.
    spent += [
        pardon.name for pardon in old_pardons if not any(_answered(holdings, verdict, [pardon]) for verdict in standing)
    ]
    return tuple(spent)


def _ended(uploads: UploadsSeen, unneeded: Set[PackId]) -> tuple[str, ...]:
    """The objects of uploads that were given up, or that count on nothing any more which only they keep."""
    done = [name for name, packs in uploads.packs.items() if packs.isdisjoint(unneeded)]
    return (*uploads.old, *sorted(done))


def _answered(holdings: Holdings, verdict: Verdict, pardons: Iterable[Verdict]) -> frozenset[PackId]:
    """The packs of a verdict that these pardons answer: those that are not older than it."""
    condemned_at = holdings.verdict_files[verdict.name].modified
    return verdict.packs & _named_in(
        pardon for pardon in pardons if holdings.verdict_files[pardon.name].modified >= condemned_at
    )


def _age(holdings: Holdings, verdict: Verdict, now: datetime) -> timedelta:
    return now - holdings.verdict_files[verdict.name].modified


def _of(holdings: Holdings, finding: Finding) -> list[Verdict]:
    return [verdict for verdict in holdings.verdicts if verdict.finding is finding]


def _named_in(verdicts: Iterable[Verdict]) -> frozenset[PackId]:
    return frozenset(pack for verdict in verdicts for pack in verdict.packs)
