"""Names of flow runs that a template can't tell."""

from __future__ import annotations

from prefect.context import FlowRunContext

_NAMED = 3


def name_of_profiles() -> str:
    """The profiles that the run is for, as its parameters say."""
    context = FlowRunContext.get()
    given = (context.parameters if context is not None else None) or {}
    names = [str(name) for name in given.get("profiles") or [given.get("profile")] if name]
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "") if names else "all profiles"
