"""s3fs's filesystem without a habit that can hang a backup for ever."""

from __future__ import annotations

from typing import Any

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
