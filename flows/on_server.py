"""Flows called by the command line while a Prefect server is at hand: they run in this process, and show up there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prefect.client.schemas.objects import State

from flows.backup_all import back_up_all
from flows.chains.backup import BackupOfAll
from flows.restore import restore_profile
from flows.states import report_of
from recollect.errors import RecollectError
from tasks.audit import Report


def back_up_all_on_server(names: Sequence[str], *, force: bool) -> BackupOfAll:
    """Run the flow *back-up-all*."""
    state: State[Any] = back_up_all(list(names) or None, force=force, return_state=True)
    found = state.result(raise_on_failure=False)
    if isinstance(found, BackupOfAll):
        return found
    raise _ended_without_report(state)


def restore_on_server(profile: str, snapshot: str, to: str | None) -> Report:
    """Run the flow *restore-profile*."""
    state: State[Any] = restore_profile(profile, snapshot, to, in_place=to is None, return_state=True)
    return report_of(state)


def _ended_without_report(state: State[Any]) -> RecollectError:
    return RecollectError(
        f"The flow run ended as {state.name}: {(state.message or 'no reason was given').rstrip('.')}",
        "Look at the run in the Prefect UI",
    )
