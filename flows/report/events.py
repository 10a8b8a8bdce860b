"""What automations hear of: an event for each action, named after it and how it ended, about a profile or repository.

`recollect.<action>.<how>`: the action as in the audit table; how is completed, unchanged, skipped, suspect or failed.
The label `recollect.into` is the repository's name as the run was given it, which is known of a run, too, that never
got to the repository: by it, backups of one profile to several repositories are told apart.
The payload is the action's row in the audit table. Prefect adds the flow run, its deployment and its tags by itself.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from prefect import get_run_logger
from prefect.context import FlowRunContext
from prefect.events import emit_event

from recollect.errors import RecollectError
from recollect.settings import load_settings
from recollect.settings_file import PLAIN_KEY
from storage.format.audit_row import AuditRow, Outcome, row_values
from tasks.audit import Report
from tasks.profiles_here import found_profiles, key_of
from tasks.settings_in_force import active_settings
from tasks.this_computer import this_host

PREFIX = "recollect"
DEFAULT = "default"
ELSEWHERE = "elsewhere"
"""What `recollect.into` says of a place that has no name."""


@dataclass(frozen=True, slots=True)
class _Event:
    name: str
    about: dict[str, str]
    related: list[dict[str, str]]
    payload: dict[str, Any]


def emit(report: Report) -> None:
    """Tell how an action ended. A server that takes no events costs nothing else."""
    _sent(lambda: _event_of(report))


def emit_failure(action: str, trouble: BaseException) -> None:
    """Tell that an action failed before it could begin, so that the audit table has no row of it.

    Mostly the repository can't be reached then. Whose it was, and where to, the parameters of the flow run say.
    """
    _sent(lambda: _event_of_failure(action, trouble))


def _event_of(report: Report) -> _Event:
    row = report.row
    repository = f"{PREFIX}.repository.{row.repository_id}"
    about = {
        "prefect.resource.id": f"{PREFIX}.profile.{row.profile_key}" if row.profile_key else repository,
        "prefect.resource.name": row.profile or row.repository_id,
        f"{PREFIX}.profile": row.profile,
        f"{PREFIX}.host": row.host,
        f"{PREFIX}.repository": row.repository_id,
        f"{PREFIX}.into": into(),
    }
    related = [{"prefect.resource.id": repository, "prefect.resource.role": "repository"}] if row.profile_key else []
    return _Event(f"{PREFIX}.{row.action}.{report.how}", about, related, _payload(row))


def _event_of_failure(action: str, trouble: BaseException) -> _Event:
    given = _given()
    profile, repository = str(given.get("profile") or ""), str(given.get("repository") or "")
    host = _host()
    key = _key_of(profile)
    about = {
        "prefect.resource.id": f"{PREFIX}.profile.{key}" if key else f"{PREFIX}.host.{host}",
        "prefect.resource.name": profile or host,
        f"{PREFIX}.profile": profile,
        f"{PREFIX}.host": host,
        f"{PREFIX}.into": into(),
    }
    known = isinstance(trouble, RecollectError)
    payload = {
        "action": action,
        "profile": profile,
        "repository": repository,
        "host": host,
        "outcome": Outcome.FAILED.value,
        "reason": trouble.code if isinstance(trouble, RecollectError) else "unexpected",
        "message": str(trouble) if known else f"{type(trouble).__name__} in Recollect itself",
        "error": type(trouble).__name__,
    }
    return _Event(f"{PREFIX}.{action}.{Outcome.FAILED}", about, [], payload)


def _payload(row: AuditRow) -> dict[str, Any]:
    return {
        column: value.isoformat() if isinstance(value, datetime) else value
        for column, value in row_values(row).items()
        if value is not None
    }


def into() -> str:
    """The name of the repository that the flow run is for.

    Under the name of the default one, the command line may mean any other for once: as one of a name, or an address,
    which may hold what nobody is to see.
    """
    name = str(_given().get("repository") or DEFAULT)
    try:
        active = active_settings()
        usual = load_settings(config=active.config_file)
    except RecollectError:
        return name
    meant = active.repo if name == DEFAULT else name
    if meant == usual.repo:
        return DEFAULT
    return meant if meant is not None and PLAIN_KEY.fullmatch(meant) else ELSEWHERE


def _given() -> Mapping[str, Any]:
    """The parameters of the flow run."""
    context = FlowRunContext.get()
    return (context.parameters if context is not None else None) or {}


def _host() -> str:
    """The computer's name, also when it is the settings that are wrong."""
    try:
        return this_host(active_settings())
    except RecollectError:
        return platform.node() or "this computer"


def _key_of(profile: str) -> str | None:
    """The key of this computer's profile of that name, if it can be told."""
    try:
        return next((key_of(found) for found in found_profiles().profiles if found.name == profile), None)
    except (RecollectError, OSError):
        return None


def _sent(make: Callable[[], _Event]) -> None:
    try:
        event = make()
        emit_event(
            event.name,
            {label: _sendable(value) for label, value in event.about.items() if value},
            related=event.related,
            payload={name: _sendable(one) if isinstance(one, str) else one for name, one in event.payload.items()},
        )
    except Exception:  # noqa: BLE001 - whatever becomes of the event, the action has ended as it has
        get_run_logger().debug("An event could not be sent", exc_info=True)


def _sendable(text: str) -> str:
    # Names may hold lone surrogates, which no JSON can.
    return str(text).encode("utf-8", "backslashreplace").decode("utf-8")
