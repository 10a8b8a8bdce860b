"""How an action ended, as a state that Prefect shows.

A state carries a name and a sentence, and no data: what a flow found out stays in this process, under its run's id.
Prefect would keep data for its own process only, too, and loses it when the server was slow to confirm the state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.exceptions import ParameterTypeError, TerminationSignal
from prefect.states import Completed, Failed

from flows.report.announcing import announce
from flows.report.events import emit_failure
from flows.report.outcome import figures_told
from flows.report.progress import shown_progress
from flows.running.unheard import go_on_unheard
from recollect.errors import RecollectError
from storage.format.audit_row import Outcome
from tasks.audit import Report
from tasks.step import running_flow_run_id

T = TypeVar("T")

_ENDED = "It was stopped from outside"
_ADVICE = "Nothing is broken by that: start it again to have it done."

_kept: dict[str, object] = {}
"""What the flows of this process found out, by the id of the run, until somebody asks for it."""


def state_of(report: Report) -> State[Any]:
    """The final state of a run that did one thing, and why; the world is told of it.

    It is *Completed*, *Unchanged*, *Skipped*, *Suspect* (done, with a profile that looks wrong) or *Failed*.
    """
    if report.outcome is Outcome.COMPLETED and (figures := figures_told(report)):
        get_run_logger().info("%s", figures)
    tell(report)
    keep(report)
    announce(report)
    if report.outcome is Outcome.FAILED:
        return Failed(message=report.message)
    return Completed(name=report.how.capitalize(), message=report.message)


def state_of_many(reports: Sequence[Report], summary: str) -> State[Any]:
    """The final state of a run over several profiles: *Failed* if one failed, else *Suspect* if one is."""
    if any(report.outcome is Outcome.FAILED for report in reports):
        return Failed(message=summary)
    return Completed(name="Suspect" if any(report.suspect for report in reports) else "Completed", message=summary)


def in_a_state(action: Callable[[], State[Any]], named: str | None = None) -> State[Any]:
    """Do what a flow does, and end in a state even if it goes wrong: known trouble in its sentence alone.

    What goes wrong is told as an event of the action `named`, as it is in the audit table. A run that is told to end,
    as one that somebody cancels, says in its log how far it came; whoever ended it gives it its state.

    A defect leaves its traceback in the log. It must not leave the flow: Prefect would pickle it, with whatever it
    holds, into its results, also of a flow that persists none (flow_engine.py, handle_exception).
    """
    go_on_unheard()
    try:
        with shown_progress():
            return action()
    except TerminationSignal as end:
        how_far = dict.fromkeys(getattr(end, "__notes__", ())) or [_ENDED]
        warn([f"{sentence}. {_ADVICE}" for sentence in how_far])
        raise
    except RecollectError as trouble:
        keep(trouble)
        _tell_failure(named, trouble)
        return Failed(message=str(trouble))
    except Exception as defect:  # noqa: BLE001 - it is logged with its traceback, and kept for who asks
        get_run_logger().exception("This is a defect of Recollect")
        keep(defect)
        _tell_failure(named, defect)
        return Failed(message=f"{type(defect).__name__} in Recollect itself. The log of the run shows where.")


def _tell_failure(named: str | None, trouble: Exception) -> None:
    if named is not None:
        emit_failure(named, trouble)


class Telling(Protocol):
    """What there is to say to a person beside how something ended: what to look at, and what is good to know."""

    @property
    def warnings(self) -> Sequence[str]: ...

    @property
    def told(self) -> Sequence[str]: ...


def tell(about: Telling) -> None:
    """Put what there is to say into the run's log."""
    warn(about.warnings)
    for told in about.told:
        get_run_logger().info("%s", told)


def warn(sentences: Sequence[str]) -> None:
    """Put what somebody should look at into the run's log."""
    for sentence in sentences:
        get_run_logger().warning("%s", sentence)


def keep(found: object) -> None:
    """Keep what the flow that runs now found out, for `kept`."""
    flow_run_id = running_flow_run_id()
    if flow_run_id is not None:
        _kept[flow_run_id] = found


def kept(state: State[Any], kind: type[T]) -> T:
    """What the run that ended in `state` found out, if it ran in this process.

    Raises the trouble or the defect that ended it, and RecollectError when it ended otherwise, as a cancelled one does.
    """
    found = _kept.pop(str(state.state_details.flow_run_id), None)
    if isinstance(found, kind):
        return found
    cause = found or getattr(state.data, "result", state.data)
    if isinstance(cause, BaseException) and not isinstance(cause, ParameterTypeError):
        raise cause
    raise RecollectError(
        f"The flow run ended as {state.name}: {(state.message or 'no reason was given').rstrip('.')}",
        "Look at the run in the Prefect UI",
    )


def report_of(state: State[Any]) -> Report:
    """The report of the run of one profile that ended in `state`; errors as in `kept`."""
    return kept(state, Report)
