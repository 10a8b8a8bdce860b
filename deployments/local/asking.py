"""Asking a Prefect server without importing Prefect, which takes a second: plain JSON over HTTP."""

from __future__ import annotations

import base64
import json
import os
from typing import Any
from urllib.parse import quote, urlsplit

from recollect.addresses import shown_url
from recollect.errors import RecollectError

_PATIENCE_S = 20.0
_WELL_WITHIN_S = 2.0
_THIS_COMPUTER = {"127.0.0.1", "localhost", "::1"}


class ServerSilent(RecollectError):
    """The Prefect server does not answer, or not as one would."""

    code = "server-silent"


def is_well(api_url: str) -> bool:
    """Whether a Prefect server answers there, and is ready. What answers everything with a page is none."""
    try:
        _answer(api_url, "health", None, _WELL_WITHIN_S)
    except ServerSilent:
        return False
    return True


def ask(api_url: str, path: str, wanted: object = None) -> Any:
    """What the server answers to a request, which is a POST where there is something `wanted`.

    Raises ServerSilent.
    """
    return _answer(api_url, path, wanted, _PATIENCE_S)


def in_path(name: str) -> str:
    """A name as a part of a path."""
    return quote(name, safe="")


def _answer(api_url: str, path: str, wanted: object, patience_s: float) -> Any:
    # Loading these takes longer than most of what a command does besides.
    import http.client  # noqa: PLC0415
    import urllib.error  # noqa: PLC0415
    import urllib.request  # noqa: PLC0415

    try:
        if urlsplit(api_url).scheme not in {"http", "https"}:
            raise ValueError("no web address")
        here = urlsplit(api_url).hostname in _THIS_COMPUTER
        request = urllib.request.Request(  # noqa: S310 - looked at above
            f"{api_url.rstrip('/')}/{path}",
            data=None if wanted is None else json.dumps(wanted).encode(),
            headers={"Content-Type": "application/json", **_credentials()},
        )
        opener = urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if here else []))
        with opener.open(request, timeout=patience_s) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        why = f"answers with {error.code} {error.reason}"
    except (urllib.error.URLError, OSError, ValueError, http.client.HTTPException):
        why = "does not answer"
    raise ServerSilent(
        f"The Prefect server at {shown_url(api_url)} {why}",
        "Start it, or see that its address is right and that you may use it",
    )


def _credentials() -> dict[str, str]:
    """As Prefect's own client does (prefect/client/orchestration): a key, or a name with a password."""
    if key := os.environ.get("PREFECT_API_KEY"):
        return {"Authorization": f"Bearer {key}"}
    if word := os.environ.get("PREFECT_API_AUTH_STRING"):
        return {"Authorization": f"Basic {base64.b64encode(word.encode()).decode()}"}
    return {}
