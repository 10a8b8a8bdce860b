"""Objects as files of an SSH server, over SFTP.

Connections and channels are those of `sshfs`; the requests are made on its channels directly, because its own methods
write in place, never ask the server to flush to disk, and hide which rename they used.

`create` is exclusive on OpenSSH, whose rename refuses a name that is taken. `rclone serve sftp` and a few others let
it replace the object: there two writers at the same instant may both succeed (or both lose theirs, on rclone), and
only the look beforehand keeps an object that was there already.
"""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, Final, TypeVar

import asyncssh
from fsspec.asyn import sync
from sshfs import SSHFileSystem

from storage.store import TEMPORARY_NAME, StoredObject
from storage.stores.medium import temporary_beside
from storage.stores.sftp_requests import (
    DEAD_CONNECTION,
    is_file,
    is_folder,
    is_folder_there,
    looked_at,
    move_to_new,
    replace_at,
    when_written,
)
from storage.stores.sftp_upload import SftpUpload

_Result = TypeVar("_Result")

_FOLDERS_AT_ONCE: Final = 16
_READ_AT_ONCE: Final = 32 * 2**20
"""More than a pack, which so comes in requests that run side by side."""

_DEFAULTS: Final[Mapping[str, Any]] = {
    # sshfs would trust any host key; this is asyncssh's way to say "the usual known_hosts files".
    "known_hosts": (),
    "connect_timeout": 15,
    "login_timeout": 20,
    # A server that fell silent is given up after 45 s; without this a request would wait for ever.
    "keepalive_interval": 15,
    "keepalive_count_max": 3,
    # A foreign file whose name isn't UTF-8 must not make the whole folder unreadable.
    "sftp_client_kwargs": {"path_errors": "surrogateescape"},
}


class SftpMedium:
    """Files below the folder `root` of a server. A connection that broke is replaced at the next request."""

    def __init__(self, root: str, options: Mapping[str, Any], *, must_exist: bool = False) -> None:
        """`options` go to `asyncssh.connect`: host, port, username, password, known_hosts, client_keys, ..."""
        self._root = root if root == "/" else root.rstrip("/")
        self._options = {**_DEFAULTS, **options}
        self._root_seen = must_exist
        self._turn = threading.Lock()
        self._making_folders = asyncio.Lock()
        self._connection: SSHFileSystem | None = None

    def read(self, name: str) -> bytes:
        async def request(channel: asyncssh.SFTPClient) -> bytes:
            async with self._opened(channel, name) as file:
                # Up to its end, not up to the size that it is said to have: on servers that open a file at the first
                # read, that size may be the one of an object that was replaced since.
                data: bytes = await file.read(_READ_AT_ONCE, 0)
                part: bytes = data
                while part:
                    part = await file.read(_READ_AT_ONCE, len(data))
                    data += part
            if not data:
                await self._size(channel, name)  # some servers read a folder as an empty file
            return data

        return self.ask(request)

    def read_range(self, name: str, start: int, length: int) -> bytes:
        async def request(channel: asyncssh.SFTPClient) -> bytes:
            async with self._opened(channel, name) as file:
                data: bytes = await file.read(length, start)
            if not data:
                await self._size(channel, name)
            return data

        return self.ask(request)

    def write(self, name: str, data: bytes) -> None:
        async def request(channel: asyncssh.SFTPClient) -> None:
            async with self._written_beside(channel, name, data) as temporary:
                await replace_at(channel, temporary, self._path(name))

        self.ask(request)

    def create(self, name: str, data: bytes) -> None:
        path = self._path(name)

        async def request(channel: asyncssh.SFTPClient) -> None:
            if await channel.lexists(path):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
            async with self._written_beside(channel, name, data) as temporary:
                await move_to_new(channel, temporary, path)

        self.ask(request)

    def begin(self, name: str, *, replace: bool) -> SftpUpload:
        path = self._path(name)
        attributes = self.ask(lambda channel: looked_at(channel, path))
        if attributes is not None and is_folder(attributes):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        return SftpUpload(self, path, self._path(temporary_beside(name)), replace=replace)

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        return iter(self.ask(lambda channel: self._files_below(channel, prefix)))

    def remove(self, name: str) -> None:
        async def request(channel: asyncssh.SFTPClient) -> None:
            await self._size(channel, name)  # a folder is no object
            await channel.unlink(self._path(name))

        self.ask(request)

    def size(self, name: str) -> int:
        return self.ask(lambda channel: self._size(channel, name))

    def exists(self) -> bool:
        return self.ask(lambda channel: is_folder_there(channel, self._root))

    def sweep(self, older_than: timedelta) -> int:
        async def request(channel: asyncssh.SFTPClient) -> int:
            found = await self._files_below(channel, "")
            left = [each for each in found if TEMPORARY_NAME.fullmatch(each.name.rpartition("/")[2])]
            if not left:
                return 0
            async with self._written_beside(channel, "clock", b"") as probe:
                now = when_written(await channel.stat(probe))
                await channel.unlink(probe)
            swept = 0
            for leftover in left:
                if now - leftover.modified > older_than:
                    with suppress(asyncssh.SFTPNoSuchFile):
                        await channel.unlink(self._path(leftover.name))
                        swept += 1
            return swept

        return self.ask(request)

    def ask(self, request: Callable[[asyncssh.SFTPClient], Awaitable[_Result]]) -> _Result:
        """Run a request on one of the connection's channels, on fsspec's loop thread, and wait for the answer."""
        connection = self._connected()

        async def ask() -> _Result:
            async with connection._pool.get() as channel:
                return await request(channel)

        try:
            result: _Result = sync(connection.loop, ask)
        except DEAD_CONNECTION:
            self._forget(connection)
            raise
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath, asyncssh.SFTPNotADirectory) as error:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self._root) from error
        except ValueError as error:
            if "SFTP connections" not in str(error):  # how the pool of sshfs says that no channel could be opened
                raise
            self._forget(connection)
            raise ConnectionError(errno.ECONNREFUSED, "The server opens no SFTP channel") from error
        return result

    def _connected(self) -> SSHFileSystem:
        with self._turn:
            if self._connection is None:
                self._connection = SSHFileSystem(**self._options, skip_instance_cache=True)
            return self._connection

    def _forget(self, connection: SSHFileSystem) -> None:
        with self._turn:
            if self._connection is connection:
                self._connection = None

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    async def _size(self, channel: asyncssh.SFTPClient, name: str) -> int:
        attributes = await channel.stat(self._path(name))
        if is_folder(attributes) or attributes.size is None:
            raise asyncssh.SFTPNoSuchFile("A folder is no object")
        return attributes.size

    @asynccontextmanager
    async def _opened(self, channel: asyncssh.SFTPClient, name: str) -> AsyncIterator[asyncssh.SFTPClientFile]:
        """Open an object for reading; a read that fails raises FileNotFoundError if the name is a folder's."""
        try:
            async with channel.open(self._path(name), "rb") as file:
                yield file
        except asyncssh.SFTPFailure as error:
            await self._size(channel, name)
            # Worth another try: rclone fails so, at the latest when it compares checksums, if the object was replaced
            # while it was read.
            raise OSError(errno.EIO, os.strerror(errno.EIO), name) from error

    @asynccontextmanager
    async def _written_beside(self, channel: asyncssh.SFTPClient, name: str, data: bytes) -> AsyncIterator[str]:
        """Write a temporary file beside an object, whole and flushed, for the block to rename; removed on failure."""
        temporary = self._path(temporary_beside(name))
        try:
            await self._write_new(channel, temporary, data)
            arrived = (await channel.stat(temporary)).size
            if arrived != len(data):
                raise OSError(errno.EIO, f"{arrived} of {len(data)} bytes arrived", temporary)
            yield temporary
        except BaseException as error:
            # On a connection that broke this fails as well; the sweep takes what stays.
            with suppress(asyncssh.Error, OSError):
                await channel.unlink(temporary)
            if isinstance(error, asyncssh.SFTPFailure) and await self.is_full(channel, len(data)):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), temporary) from error
            if isinstance(error, asyncssh.SFTPNoSuchFile):  # the folder went, or isn't shown yet: worth another try
                raise OSError(errno.EIO, os.strerror(errno.EIO), temporary) from error
            raise

    async def _write_new(self, channel: asyncssh.SFTPClient, path: str, data: bytes) -> None:
        try:
            file = await channel.open(path, "xb")
        except asyncssh.SFTPNoSuchFile:
            await self.make_folder(channel, path.rpartition("/")[0])
            file = await channel.open(path, "xb")
        async with file:
            await file.write(data)
            with suppress(asyncssh.SFTPOpUnsupported):  # an extension of OpenSSH
                await file.fsync()

    async def make_folder(self, channel: asyncssh.SFTPClient, folder: str) -> None:
        """Make a folder of the store, unless it is there."""
        async with self._making_folders:  # one at a time: rclone loses files when one folder is made twice at once
            if self._root_seen and not await is_folder_there(channel, self._root):
                raise OSError(errno.ENODEV, "The folder of the repository has gone", self._root)
            if not await is_folder_there(channel, folder):
                await channel.makedirs(folder, exist_ok=True)
            self._root_seen = True

    async def is_full(self, channel: asyncssh.SFTPClient, size: int) -> bool:
        """Ask for the free space: version 3 of the protocol says only "failure" when there is none."""
        with suppress(asyncssh.Error):
            space = await channel.statvfs(self._root)
            return bool(space.bavail * space.frsize < size)
        return False

    async def _files_below(self, channel: asyncssh.SFTPClient, prefix: str) -> list[StoredObject]:
        """List a whole tree; a folder that can't be read raises."""
        if not await self._root_is_there(channel):
            return []
        top = f"{prefix}/" if prefix else ""
        if prefix and not await is_folder_there(channel, self._path(prefix)):
            return []
        found: list[StoredObject] = []
        pending = [top]
        while pending:
            batch, pending = pending[:_FOLDERS_AT_ONCE], pending[_FOLDERS_AT_ONCE:]
            for folder, entries in zip(
                batch, await asyncio.gather(*(channel.readdir(self._path(folder)) for folder in batch)), strict=True
            ):
                for entry in entries:
                    last = str(entry.filename)
                    if last in {".", ".."}:
                        continue
                    attributes = entry.attrs
                    if attributes.permissions is None or not (is_folder(attributes) or is_file(attributes)):
                        attributes = await channel.stat(self._path(folder + last))
                    if is_folder(attributes):
                        pending.append(f"{folder}{last}/")
                    elif is_file(attributes):
                        found.append(StoredObject(folder + last, attributes.size or 0, when_written(attributes)))
        return found

    async def _root_is_there(self, channel: asyncssh.SFTPClient) -> bool:
        attributes = await looked_at(channel, self._root)
        if attributes is not None:
            if not is_folder(attributes):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), self._root)
            self._root_seen = True
            return True
        if self._root_seen:
            raise OSError(errno.ENODEV, "The folder of the repository has gone", self._root)
        return False
