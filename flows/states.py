"""How an action ended, as a state that Prefect shows."""

from __future__ import annotations

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from storage.format.audit_row import Outcome
from tasks.audit import Report


def state_of(report: Report) -> State:
    """The flow run's final state: *Completed*, *Unchanged*, *Skipped* or *Failed*, with the reason as its message."""
    if report.outcome is Outcome.FAILED:
        return Failed(message=report.message, data=report)
    name = {Outcome.UNCHANGED: "Unchanged", Outcome.SKIPPED: "Skipped"}.get(report.outcome)
    return Completed(name=name or "Completed", message=report.message, data=report)


def report_of(state: State) -> Report:
    """The report in a flow run's final state; what ended without one (a cancelled run, a defect) is raised."""
    found = state.result(raise_on_failure=False)
    if isinstance(found, Report):
        return found
    if isinstance(found, BaseException):
        raise found
    raise RuntimeError(f"The flow run ended as {state.name}: {state.message}")
