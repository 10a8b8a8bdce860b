"""What can go wrong between Recollect and a Prefect server, as a person should hear it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from prefect.settings import PREFECT_API_URL

from recollect.addresses import shown_url
from recollect.errors import RecollectError


class ServerUnnamed(RecollectError):
    """No Prefect server was named."""

    code = "server-unnamed"


class ServerTrouble(RecollectError):
    """The Prefect server does not answer, or not as it should."""

    code = "server-trouble"


@contextmanager
def server_trouble() -> Iterator[None]:
    """Raise ServerTrouble for what goes wrong between this process and the server, ServerUnnamed when there is none."""
    url = PREFECT_API_URL.value()
    if not url:
        # Prefect would start one in hiding, which nobody ever sees again.
        raise ServerUnnamed("No Prefect server is named", "Set PREFECT_API_URL, or start one with `recollect up`")
    try:
        yield
    except httpx.HTTPStatusError as error:
        reason = f"answers {error.request.method} {error.request.url.path} with {error.response.status_code}"
        trouble = ServerTrouble(f"The Prefect server at {shown_url(url)} {reason}", "See its log for the reason")
        raise trouble from error
    except httpx.HTTPError as error:
        raise ServerTrouble(
            f"The Prefect server at {shown_url(url)} does not answer: {str(error) or type(error).__name__}",
            "See that it runs, and that PREFECT_API_URL is right",
        ) from error
