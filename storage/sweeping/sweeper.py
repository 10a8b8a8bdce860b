"""A sweep: the plan (`planning.py`) first, then the acting.

The order within `carry_out` is what makes it safe. `docs/architecture.md`, "Removing while others write", says why.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Set

from recollect.progress import current_progress
from storage.format.blob import BlobId, BlobKind, PackId, pack_name
from storage.format.census import Census, census_name, write_census
from storage.format.manifest import trash_name
from storage.format.pack_list import parts_of
from storage.format.verdict import Finding, Verdict, verdict_name, write_verdict
from storage.index import Index
from storage.reading import read_blobs, read_pack_table
from storage.repository import Repository
from storage.sweeping.garbage import Needs, PackUse, Rules
from storage.sweeping.index_folding import fold
from storage.sweeping.plan import SweepPlan, Swept
from storage.sweeping.planning import Planner, names_of
from storage.sweeping.resealing import reseal
from storage.sweeping.store_clock import Clock, SystemClock
from storage.writing import WriteSession

_CENSUSES_KEPT = 2
_BLOBS_AT_ONCE = 4096


class Sweeper:
    """One sweep: `plan` looks and decides, `carry_out` acts on what was decided."""

    def __init__(
        self,
        repository: Repository,
        *,
        rules: Rules | None = None,
        accept: bool = False,
        accept_missing: bool = False,
        clock: Clock | None = None,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """`accept` and `accept_missing` are a person's own word: that much may go, that snapshots are rightly gone."""
        self._repository = repository
        self._rules = rules or Rules()
        self._planner = Planner(
            repository, self._rules, clock or SystemClock(), accept=accept, accept_missing=accept_missing
        )
        self._random_bytes = random_bytes

    def plan(self) -> SweepPlan:
        """Look at everything, and decide: `Planner.plan` says what it raises."""
        return self._planner.plan()

    def carry_out(self, plan: SweepPlan) -> Swept:
        """Do what a plan says."""
        self._take_census(plan)
        self._repository.store.remove_all(trash_name(one.ref.profile_key, one.ref.id) for one in plan.expired)
        # A snapshot that is not listed any more is nobody's; its manifest would stay on this computer for ever.
        self._repository.keep_cached_manifests((*plan.grounds.live, *(one.ref for one in plan.waiting)))
        fates = plan.fates
        self._judge(Finding.PARDONED, fates.pardon)
        removed, latest = self._remove(plan)
        for name in latest.fates.spent:
            self._repository.store.remove(name)
        self._repository.store.remove_all(latest.fates.ended)
        anew = (*fates.pack_anew, *fates.reseal)
        lost = self._pack_anew(
            {use.pack for use in anew}, going={use.pack for use in fates.condemn}, needs=latest.grounds.needs
        )
        # What holds damage stays as it is: a repair packs anew what is whole in it, and says what is not.
        left_alone = tuple(use for use in anew if use.pack in lost)
        anew = tuple(use for use in anew if use.pack not in lost)
        self._judge(Finding.CONDEMNED, (*fates.condemn, *anew))
        folded = fold(self._repository, plan.folds) if plan.folds else 0
        resealed = reseal(self._repository, [name for name in plan.reseal_objects if name not in plan.folds])
        self._repository.forget_index()
        return Swept(
            expired=len(plan.expired),
            removed=tuple(removed),
            condemned=fates.condemn,
            packed_anew=tuple(use for use in fates.pack_anew if use.pack not in lost),
            resealed=tuple(use for use in fates.reseal if use.pack not in lost),
            left_alone=left_alone,
            pardoned=fates.pardon if latest is plan else (*fates.pardon, *latest.fates.pardon),
            folded=folded,
            resealed_objects=resealed,
        )

    def _take_census(self, plan: SweepPlan) -> None:
        """Note down which snapshots have to be there from now on, before the trash is emptied."""
        store = self._repository.store
        name = census_name(plan.now, self._random_bytes(4))
        census = Census(name, frozenset(names_of(plan.grounds.live, plan.waiting)))
        store.write(name, write_census(self._repository.seal, census))
        store.remove_all([*(before.name for before in plan.grounds.censuses), name][:-_CENSUSES_KEPT])

    def _judge(self, finding: Finding, uses: Iterable[PackUse]) -> None:
        for packs in parts_of(use.pack for use in uses):
            verdict = Verdict(verdict_name(self._random_bytes(16)), finding, packs)
            self._repository.store.write(verdict.name, write_verdict(self._repository.seal, verdict))

    def _remove(self, plan: SweepPlan) -> tuple[list[PackUse], SweepPlan]:
        """Remove the packs that are due; returns those, and the plan that holds by now.

        What takes so long that the listing of snapshots has aged is planned anew: a pack that is needed by now stays.
        """
        store = self._repository.store
        latest, due = plan, list(plan.fates.remove)
        removed: list[PackUse] = []
        self._judge(Finding.REMOVED, due)
        with current_progress().stage("removing packs", sum(use.size for use in due), len(due)) as stage:
            while due:
                if latest.grounds.seen_at.elapsed() > self._rules.listing_holds:
                    latest = self._planner.plan_in_time(latest)
                    self._judge(Finding.PARDONED, latest.fates.pardon)
                    still = {use.pack for use in latest.fates.remove}
                    due = [use for use in due if use.pack in still]
                    continue
                # No more than one request takes: the computer may fall asleep between two.
                together, due = due[: store.removals_at_once], due[store.removals_at_once :]
                store.remove_all(pack_name(use.pack) for use in together)
                removed += together
                stage.advance(sum(use.size for use in together), files=len(together))
        return removed, latest

    def _pack_anew(self, packs: Set[PackId], *, going: Set[PackId], needs: Needs) -> set[PackId]:
        """Store what is needed of these packs in new ones, and read it back from there before anything else happens.

        Returns those packs of which something needed can't be had.
        """
        if not packs:
            return set()
        repository = self._repository
        index = repository.index()
        rows = needs.only_in(packs, going)
        kinds = index.kinds(rows)
        # An empty index: what is to be stored anew is stored already, in the packs that are to go.
        fresh = Index()
        lengths: dict[str, int] = {}
        lost: set[BlobId] = set()
        total = int(index.plain_bytes()[rows].sum())
        with (
            current_progress().stage("packing anew", total) as stage,
            WriteSession(
                repository.store,
                repository.seal,
                fresh,
                uploads=2,
                wrote=lambda name, content: lengths.update({name: len(content)}),
            ) as session,
        ):
            for start in range(0, len(rows), _BLOBS_AT_ONCE):
                blobs = index.ids(rows[start : start + _BLOBS_AT_ONCE])
                kind_of: dict[BlobId, BlobKind] = dict(zip(blobs, kinds[start : start + _BLOBS_AT_ONCE], strict=True))
                for blob, content in repository.read(blobs, damaged=lambda blob, _: lost.add(blob)):
                    session.add(kind_of[blob], blob, content)
                    stage.advance(len(content))
            session.close()
        for start in range(0, len(rows), _BLOBS_AT_ONCE):
            blobs = [blob for blob in index.ids(rows[start : start + _BLOBS_AT_ONCE]) if blob not in lost]
            for _ in read_blobs(repository.store, repository.seal, fresh, blobs):
                pass
        for pack in fresh.packs():
            read_pack_table(repository.store, repository.seal, pack, lengths[pack_name(pack)])
        return set(packs & {place.pack for blob in lost for place in index.copies(blob)})
