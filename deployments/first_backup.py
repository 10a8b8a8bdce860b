"""The first backup of profiles that are new: nobody waits half an hour to see that it works."""

from __future__ import annotations

from prefect.client.orchestration import get_client

from deployments.errors import server_trouble
from deployments.registering import Registered

_SHOWN = 3


async def back_up_first(registered: Registered) -> str:
    """Ask for one run that backs up all profiles that are new on the server; a sentence about it.

    Raises ServerTrouble when the server does not answer, or not as it should, and ServerUnnamed.
    """
    assert registered.back_up_all is not None
    names = list(registered.new_profiles)
    with server_trouble():
        async with get_client() as server:
            await server.create_flow_run_from_deployment(registered.back_up_all, parameters={"profiles": names})
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"The first backup of {', '.join(names[:_SHOWN])}{more} begins at once"
