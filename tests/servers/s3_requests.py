"""Every request that goes to an S3 server, noted where s3fs makes it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from fsspec.asyn import sync_wrapper
from s3fs import S3FileSystem

_WORDS = {
    "get_object": "GET",
    "put_object": "PUT",
    "head_object": "HEAD",
    "list_objects_v2": "LIST",
    "delete_object": "DELETE",
    "delete_objects": "DELETE",
}


class S3Requests:
    """What was asked, in order: s3fs's name for it, and its arguments."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        call = S3FileSystem._call_s3
        asked = self.asked

        async def noted(filesystem: Any, method: str, *more: Any, **arguments: Any) -> Any:
            asked.append((method, arguments))
            return await call(filesystem, method, *more, **arguments)

        # The second one is what others call; s3fs makes it of the first when it is loaded.
        patch.setattr(S3FileSystem, "_call_s3", noted)
        patch.setattr(S3FileSystem, "call_s3", sync_wrapper(noted))

    def names(self) -> list[str]:
        """What was asked since the last time."""
        names = [name for name, _ in self.asked]
        self.asked.clear()
        return names

    def counts(self) -> dict[str, int]:
        """How many requests of each kind there were since the last time, in the words of S3."""
        return dict(Counter(_WORDS[name] for name in self.names()))
