"""The flow *refresh-deployments*."""

from __future__ import annotations

import asyncio
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from deployments.catalog import this_machine
from deployments.registering import Registered, register
from flows.running.right_computer import refuse_runs_of_another_computer
from flows.running.states import in_a_state, warn
from recollect.settings import load_settings


@flow(name="refresh-deployments", flow_run_name="deployments", persist_result=False)
def refresh_deployments() -> State[Any]:
    """Bring this server in step with the profiles found: add deployments for new ones, pause those of gone ones."""
    return in_a_state(_refresh, "refresh")


def _refresh() -> State[Any]:
    refuse_runs_of_another_computer()
    registered = asyncio.run(register(this_machine(load_settings())))
    warn(registered.remarks)
    told = outcome(registered)
    return Completed(message=told) if told else Completed(name="Unchanged", message="All deployments are in step")


def outcome(registered: Registered) -> str:
    """What was done, in a sentence; empty when nothing was."""
    parts = (
        ("added", registered.added),
        ("changed", registered.changed),
        ("paused", registered.paused),
        ("going on again", registered.resumed),
        ("automations brought in step", registered.automations),
    )
    return "; ".join(f"{len(names)} {said}: {', '.join(names)}" for said, names in parts if names)
