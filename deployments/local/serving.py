"""Runs Prefect's server, as `prefect server start` does, but for what would ask hosts of others.

Of its two sets of pages only the first is served: the second asks for its configuration elsewhere as soon as someone
looks at it, whatever the server's settings say, and the first one links to it. Prefect leaves out pages whose files it
does not find. And the kinds of workers that there are come from the file that Prefect brings along, without pictures:
the server would fetch a newer one each time that someone is about to make a work pool.

And it writes in turn. Prefect's transactions read before they write, and SQLite refuses at once to let one of them
write where another has written meanwhile, whatever time there was to wait (SQLITE_BUSY_SNAPSHOT,
https://www.sqlite.org/rescode.html#busy_snapshot). Whoever asked is told to come again. Worse, with CPython 3.11 the
cursor of the refused statement, when it is cleared away, resets the same statement that the connection has begun anew
(Modules/_sqlite/cursor.c, cursor_clear): when that one waits, all of the server waits with it, for the minute after
which SQLite gives up. Transactions that ask for the right to write before they read just wait for each other.
"""

from __future__ import annotations

import json
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import prefect
import uvicorn
from prefect.server.api import collections
from prefect.server.api.server import create_app
from prefect.server.database.configurations import AioSqliteConfiguration
from prefect.settings import get_current_settings
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction

_WORKERS = "aggregate-worker-metadata"


def main() -> None:
    """Serve until the process is ended."""
    prefect.__ui_v2_static_path__ = prefect.__ui_v2_static_path__ / "left-out"
    stay_at_home()
    write_in_turn()
    settings = get_current_settings().server
    uvicorn.run(
        create_app(final=True),
        host=str(settings.api.host),
        port=settings.api.port,
        timeout_keep_alive=settings.api.keepalive_timeout,
        log_level=settings.logging_level.lower(),
    )


def stay_at_home() -> None:
    """Let this process's server answer questions about what can be had for Prefect from what is installed here."""
    brought_along = Path(collections.__file__).parent / "collections_data" / "views" / f"{_WORKERS}.json"
    kinds = json.loads(brought_along.read_text(encoding="utf-8"))
    for workers in kinds.values():
        for worker in workers.values():
            worker.pop("logo_url", None)
    collections.KNOWN_VIEWS.clear()
    collections.GLOBAL_COLLECTIONS_VIEW_CACHE = {_WORKERS: kinds}  # type: ignore[assignment]  # one that forgets nothing


def write_in_turn() -> None:
    """Let this process's server begin every transaction on SQLite as one that is going to write."""
    begin = AioSqliteConfiguration.begin_transaction

    def begin_to_write(
        self: AioSqliteConfiguration, session: AsyncSession, **_: bool
    ) -> AbstractAsyncContextManager[AsyncSessionTransaction]:
        return begin(self, session, with_for_update=True)

    setattr(AioSqliteConfiguration, begin.__name__, begin_to_write)


if __name__ == "__main__":
    main()
