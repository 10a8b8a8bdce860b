"""s3fs's filesystem without a habit that can hang a backup for ever."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def _as_if_not_installed(*packages: str) -> Iterator[None]:
    """Let what is loaded here do without packages that it would load if it could, and that nobody has loaded yet."""
    hidden = [package for package in packages if package not in sys.modules]
    # https://docs.python.org/3/reference/import.html#the-module-cache: with None there, importing it fails.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for package in hidden:
            sys.modules.pop(package, None)


# A way to send that nobody asks for here; loading it, and all that it colours a terminal with, takes 0.06 s.
with _as_if_not_installed("httpx", "httpx2"):
    from botocore.handlers import add_expect_header  # type: ignore[import-untyped]
    from s3fs import S3FileSystem


class PromptS3FileSystem(S3FileSystem):  # type: ignore[misc]  # s3fs has no types
    """Sends what it has to send without asking "Expect: 100-continue" first.

    When a server answers such a question with a refusal (read-only, full, denied) instead of "continue", aiohttp goes
    on waiting for the "continue" (`ClientRequest.write_bytes`), and no timeout ends that.
    """

    async def set_session(self, *arguments: Any, **named: Any) -> Any:
        """Make the client, as s3fs does before each request; it comes back as it is when it was made already."""
        client = await super().set_session(*arguments, **named)
        client.meta.events.unregister("before-call.s3", add_expect_header)
        return client
