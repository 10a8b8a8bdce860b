"""What an SFTP server's refusals are taken for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import asyncssh
import pytest

from storage.errors import StorageError, StoreRefused, StoreUnreachable
from storage.stores.address import open_store
from storage.stores.fsspec_store import FsspecStore
from storage.stores.trouble import RetryRule
from tests.storage.conftest import Places


@pytest.mark.parametrize(
    ("fault", "said"),
    [(asyncssh.SFTPPermissionDenied("no"), StoreRefused), (asyncssh.SFTPConnectionLost("cut"), StoreUnreachable)],
    ids=["refused", "cut"],
)
@pytest.mark.parametrize("question", ["list all", "list packs", "exists", "write"])
def test_a_question_that_failed_is_not_taken_for_nothing_there(
    places: Places, question: str, fault: asyncssh.SFTPError, said: type[StorageError], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = places.new("sftp-rclone")
    store = open_store(place.url, place.options, retries=RetryRule(tries=1))
    assert isinstance(store, FsspecStore)
    store.write("packs/a", b"1")
    stat: Callable[..., Awaitable[asyncssh.SFTPAttrs]] = asyncssh.SFTPClient.stat
    questions = {
        "list all": ("", lambda: store.list("")),
        "list packs": ("/packs", lambda: store.list("packs")),
        "exists": ("", store.exists),
        "write": ("/index", lambda: store.write("index/a", b"1")),
    }
    ending, ask = questions[question]
    refused = place.url[place.url.rindex("/") :] + ending

    async def refusing(channel: asyncssh.SFTPClient, path: Any, *more: Any, **named: Any) -> asyncssh.SFTPAttrs:
        if str(path).endswith(refused):
            raise fault
        return await stat(channel, path, *more, **named)

    monkeypatch.setattr(asyncssh.SFTPClient, "stat", refusing)
    with pytest.raises(said):
        ask()  # type: ignore[no-untyped-call]
    monkeypatch.undo()
    assert [found.name for found in store.list("")] == ["packs/a"]
