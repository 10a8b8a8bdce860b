"""Sweeping: what no snapshot of a repository needs any more is condemned, and a day later removed."""

from __future__ import annotations

import contextlib

from recollect.units import size
from storage.errors import StorageError
from storage.repository import Repository
from storage.stores.fsspec_store import sweep_leftovers
from storage.sweeping.plan import SweepPlan, Swept
from storage.sweeping.sweeper import Sweeper
from tasks.audit import Report, audited
from tasks.repositories import open_named
from tasks.sweep import carry_out_sweep, plan_sweep


def planned_sweep(repository: Repository, *, accept: bool = False, accept_missing: bool = False) -> SweepPlan:
    """What a sweep would do now. Raises SweepRefused where it would refuse."""
    return Sweeper(repository, accept=accept, accept_missing=accept_missing).plan()


def sweep(repository_name: str = "default", *, accept: bool = False, accept_missing: bool = False) -> Report:
    """Sweep a repository, of packs and of what killed writers left.

    `accept` is a person's own word that much may go, `accept_missing` that snapshots are rightly gone which nobody
    forgot. What is refused without it counts as failed, for somebody must look.
    """
    repository = open_named(repository_name)
    # Tidying up must not keep anything else from being done.
    with contextlib.suppress(StorageError):
        sweep_leftovers(repository.store)
    with audited("sweep", "", repository) as audit:
        sweeper = Sweeper(repository, accept=accept, accept_missing=accept_missing)
        swept = carry_out_sweep(sweeper, plan_sweep(sweeper))
        audit.note(
            snapshots_expired=swept.expired,
            packs_condemned=len(swept.condemned),
            packs_anew=len(swept.packed_anew) + len(swept.resealed),
            packs_pardoned=len(swept.pardoned),
            packs_removed=len(swept.removed),
            bytes_removed=swept.bytes_removed,
        )
        if swept.left_alone:
            audit.warnings.append(
                f"Not packed anew, for something needed in them is damaged: {len(swept.left_alone)} packs. Find out "
                "what with `recollect repair --read-data`"
            )
        if _did_anything(swept):
            audit.completed(_told(swept))
        else:
            audit.unchanged("There was nothing to sweep")
    return audit.report()


def _did_anything(swept: Swept) -> bool:
    condemned = (swept.condemned, swept.packed_anew, swept.resealed)
    return any((swept.expired, swept.removed, *condemned, swept.pardoned, swept.folded, swept.resealed_objects))


def _told(swept: Swept) -> str:
    condemned = (*swept.condemned, *swept.packed_anew, *swept.resealed)
    parts = [
        f"{len(swept.removed)} packs ({size(swept.bytes_removed)}) were removed" if swept.removed else "",
        f"{len(condemned)} packs ({size(sum(use.size for use in condemned))}) are condemned, and will be removed when "
        "they have been so for a day"
        if condemned
        else "",
        f"{len(swept.pardoned)} condemned packs are needed after all, and stay" if swept.pardoned else "",
        f"{swept.expired} forgotten snapshots can't be had back any more" if swept.expired else "",
        f"{len(swept.resealed) + swept.resealed_objects} objects that lay under an old key were sealed under the newest"
        if swept.resealed or swept.resealed_objects
        else "",
        f"{swept.folded} index files were folded into one" if swept.folded else "",
    ]
    return "; ".join(part for part in parts if part)
