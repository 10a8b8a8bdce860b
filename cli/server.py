"""Whether a Prefect server is at hand. Finding out does not import Prefect, which takes a second."""

from __future__ import annotations

import os

from cli.output import say
from cli.session import usage
from recollect.settings import shown_url

_PATIENCE_S = 2


def use_server(wanted: bool | None) -> bool:
    """Whether to run on the server that PREFECT_API_URL names; `wanted` is what the command line said, if anything."""
    if wanted is False:
        return False
    url = os.environ.get("PREFECT_API_URL")
    shown = shown_url(url) if url else ""
    if url and _answers(url):
        say(f"Running on the Prefect server at {shown}")
        return True
    if wanted:
        raise usage(
            f"No Prefect server answers at {shown}. Start it, or leave --server out."
            if url
            else "PREFECT_API_URL does not name a Prefect server. Set it, or leave --server out."
        )
    if url:
        say(f"No Prefect server answers at {shown}; going on without it.")
    return False


def _answers(url: str) -> bool:
    # Only where a server is named: loading these takes longer than most of what a command does besides.
    import http.client
    import urllib.error
    import urllib.request

    if not url.startswith(("http://", "https://")):
        return False
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=_PATIENCE_S) as answer:  # noqa: S310
            return bool(answer.status == http.client.OK)
    except (urllib.error.URLError, OSError, ValueError, http.client.HTTPException):
        return False
