"""Flows called by the command line while a Prefect server is at hand: they run in this process, and show up there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flows.backup_all import back_up_all
from flows.chains.backup import BackupOfAll
from flows.chains.restore_plan import ALL, NewProfile, Target, Wanted
from flows.restore import restore_profile
from flows.running.states import kept, report_of
from tasks.audit import Report


def back_up_all_on_server(names: Sequence[str], *, force: bool, accept: bool = False) -> BackupOfAll:
    """Run the flow *back-up-all*. Raises what kept it from reporting."""
    return kept(back_up_all(list(names) or None, force=force, accept=accept, return_state=True), BackupOfAll)


def restore_on_server(profile: str, snapshot: str, to: Target, wanted: Wanted = ALL) -> Report:
    """Run the flow *restore-profile*, which was confirmed already. Raises what kept it from reporting."""
    return report_of(
        restore_profile(
            profile,
            snapshot,
            str(to) if isinstance(to, Path) else None,
            in_place=to is None,
            new_profile=to.name if isinstance(to, NewProfile) else None,
            only=list(wanted.only),
            exact_media=wanted.exact_media,
            partial=wanted.partial,
            hold_sync=wanted.hold_sync,
            ask=False,
            return_state=True,
        )
    )
