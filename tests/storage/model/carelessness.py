"""The safety steps, each switched off: so that the model can show that it would notice their absence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from storage import holdings
from storage.commit import Commits
from storage.format.verdict import Finding
from storage.sweeping import garbage
from storage.sweeping.garbage import Needs, PackFates
from storage.sweeping.planning import Planner
from storage.sweeping.sweeper import Sweeper

Careless = Callable[[pytest.MonkeyPatch], None]


def nothing_left_out(_: pytest.MonkeyPatch) -> None:
    """All steps are taken; what is careless then is a rule."""


def no_look_before_publishing(patch: pytest.MonkeyPatch) -> None:
    """A commit looks only after it has published."""
    _confirm_only(patch, when_published=True)


def no_look_after_publishing(patch: pytest.MonkeyPatch) -> None:
    """A commit looks only before it publishes."""
    _confirm_only(patch, when_published=False)


def _confirm_only(patch: pytest.MonkeyPatch, *, when_published: bool) -> None:
    commit, confirm, publish = Commits.commit, Commits._confirm, Commits._publish
    published: set[int] = set()

    def noted_commit(self: Commits, *arguments: Any, **options: Any) -> Any:
        published.discard(id(self))
        return commit(self, *arguments, **options)

    def noted_publish(self: Commits, *arguments: Any) -> Any:
        found = publish(self, *arguments)
        published.add(id(self))
        return found

    def confirm_sometimes(self: Commits, *arguments: Any, **options: Any) -> None:
        if (id(self) in published) == when_published:
            confirm(self, *arguments, **options)

    patch.setattr(Commits, "commit", noted_commit)
    patch.setattr(Commits, "_publish", noted_publish)
    patch.setattr(Commits, "_confirm", confirm_sometimes)


def no_pardon(patch: pytest.MonkeyPatch) -> None:
    """What was condemned goes when the grace is over, needed or not."""
    decide = garbage.decide

    def merciless(*arguments: Any, **options: Any) -> PackFates:
        fates = decide(*arguments, **options)
        return replace(fates, remove=(*fates.remove, *fates.pardon), pardon=())

    patch.setattr("storage.sweeping.planning.decide", merciless)


def any_other_copy_will_do(patch: pytest.MonkeyPatch) -> None:
    """A condemned pack goes where what is needed of it lies elsewhere, be it in another condemned pack."""
    by_pack = Needs.by_pack

    def trusting(self: Needs, trusted: Any) -> Any:
        needed, _ = by_pack(self, trusted)
        first_rows = self._copies.first_rows
        counts = np.bincount(first_rows, minlength=len(first_rows))
        alone = self._copies.needed() & (counts[first_rows] == 1)
        only_there = np.zeros(len(needed), dtype=bool)
        only_there[self._index.pack_of_row[alone]] = True
        return needed, only_there

    patch.setattr(Needs, "by_pack", trusting)


def no_census(patch: pytest.MonkeyPatch) -> None:
    """A listing is believed, however short it is."""
    patch.setattr(Planner, "_refuse_a_shrunk_listing", lambda *_: ())


def packs_before_verdicts(patch: pytest.MonkeyPatch) -> None:
    """Whoever looks lists packs first, and verdicts last."""
    patch.setattr(holdings, "_SEEN_IN_TURN", ("packs", "index", "verdicts"))


def no_verdict_on_what_is_removed(patch: pytest.MonkeyPatch) -> None:
    """Nothing tells of packs that were just removed, and that a late listing shows still."""
    judge = Sweeper._judge

    def silent(self: Sweeper, finding: Finding, uses: Any) -> None:
        if finding is not Finding.REMOVED:
            judge(self, finding, uses)

    patch.setattr(Sweeper, "_judge", silent)


def old_names_again(patch: pytest.MonkeyPatch) -> None:
    """What is put back gets the name that it had."""
    patch.setattr("storage.trash.renamed", lambda manifest: manifest)
