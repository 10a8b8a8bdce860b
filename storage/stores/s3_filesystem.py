"""s3fs's filesystem without two habits: one can hang a backup for ever, the other takes its memory twice."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from typing import Any

from botocore.handlers import add_expect_header  # type: ignore[import-untyped]
from s3fs import S3FileSystem

_PIECE_BYTES = 256 * 1024


class PromptS3FileSystem(S3FileSystem):  # type: ignore[misc]  # s3fs has no types
    """Sends what it has to send without asking "Expect: 100-continue" first.

    When a server answers such a question with a refusal (read-only, full, denied) instead of "continue", aiohttp goes
    on waiting for the "continue" (`ClientRequest.write_bytes`), and no timeout ends that.

    And sends a long body piece by piece.
    """

    async def set_session(self, *arguments: Any, **named: Any) -> Any:
        """Make the client, as s3fs does before each request; it comes back as it is when it was made already."""
        client = await super().set_session(*arguments, **named)
        client.meta.events.unregister("before-call.s3", add_expect_header)
        client.meta.events.register("before-send.s3", _send_in_pieces, unique_id=__name__)
        return client


def _send_in_pieces(request: Any, **_: Any) -> None:
    """Called by botocore for each try of each request."""
    if isinstance(request.body, io.BytesIO) and "Content-Length" in request.headers:
        request.body = InPieces(request.body)


class InPieces:
    """A body that aiohttp takes piece by piece. Of a BytesIO it makes a copy before it sends any of it."""

    def __init__(self, body: io.BytesIO) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := self._body.read(_PIECE_BYTES):
            yield piece

    def seek(self, position: int) -> int:
        """Begin anew: botocore does this before it tries again."""
        return self._body.seek(position)
