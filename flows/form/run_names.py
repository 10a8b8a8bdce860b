"""Names of flow runs that a template can't tell."""

from __future__ import annotations

from prefect.context import FlowRunContext

from tasks.this_computer import HOST_TAG

_NAMED = 3
_DEFAULT = "default"


def name_of_all() -> str:
    """As `name_of_profiles`, and on which computers, where the run is not for whichever it is done on."""
    context = FlowRunContext.get()
    given = (context.parameters if context is not None else None) or {}
    tags = context.flow_run.tags if context is not None and context.flow_run is not None else ()
    hosts = [tag.removeprefix(HOST_TAG) for tag in tags if tag.startswith(HOST_TAG)]
    where = "all computers" if given.get("everywhere") else " and ".join(hosts)
    return name_of_profiles() + (f" on {where}" if where else "")


def name_of_profiles() -> str:
    """The profiles that the run is for, as its parameters say, and the repository where it is not the default one."""
    context = FlowRunContext.get()
    given = (context.parameters if context is not None else None) or {}
    names = [str(name) for name in given.get("profiles") or [given.get("profile")] if name]
    more = len(names) - _NAMED
    who = ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "") if names else "all profiles"
    repository = given.get("repository") or _DEFAULT
    return who if repository == _DEFAULT else f"{who} ({repository})"
