"""A file that is written to an SSH server as a stream, over SFTP."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING

import asyncssh

from storage.stores.sftp_requests import DEAD_CONNECTION, move_to_new, replace_at, size_at

if TYPE_CHECKING:
    from storage.stores.sftp_medium import SftpMedium


class SftpUpload:
    """A file that grows beside its place on the server, written through one handle.

    Some servers (rclone's) write a file only from its beginning on: where a connection breaks, there the upload ends.
    """

    def __init__(self, medium: SftpMedium, path: str, temporary: str, *, replace: bool) -> None:
        self._medium = medium
        self._path = path
        self._temporary = temporary
        self._move = replace_at if replace else move_to_new
        self._file: asyncssh.SFTPClientFile | None = None
        self._sent = 0
        self._begun = False
        self._written = False
        self._moving = False

    def send(self, part: bytes) -> None:
        async def request(channel: asyncssh.SFTPClient) -> None:
            await self._write(channel, part)

        self._medium.ask(request)
        self._sent += len(part)

    def finish(self, last: bytes) -> None:
        size = self._sent + len(last)

        async def request(channel: asyncssh.SFTPClient) -> None:
            if not self._written:
                await self._write(channel, last)
                assert self._file is not None
                with suppress(asyncssh.SFTPOpUnsupported):  # an extension of OpenSSH
                    await self._file.fsync()
                await self._file.close()
                self._written = True
            if self._moving and await size_at(channel, self._temporary) is None:
                # The answer to an earlier try was lost after the server had carried it out.
                if await size_at(channel, self._path) == size:
                    return
            elif (arrived := await size_at(channel, self._temporary)) != size:
                raise OSError(errno.EIO, f"{arrived} of {size} bytes arrived", self._temporary)
            self._moving = True
            await self._move(channel, self._temporary, self._path)

        self._medium.ask(request)

    def abandon(self) -> None:
        async def request(channel: asyncssh.SFTPClient) -> None:
            if self._file is not None:
                with suppress(asyncssh.Error, OSError):
                    await self._file.close()
            with suppress(asyncssh.SFTPNoSuchFile):
                await channel.unlink(self._temporary)

        if self._begun:
            self._medium.ask(request)

    async def _write(self, channel: asyncssh.SFTPClient, part: bytes) -> None:
        try:
            if self._file is None:
                if not self._begun:
                    await self._medium.make_folder(channel, self._path.rpartition("/")[0] or "/")
                self._file = await channel.open(self._temporary, "r+b" if self._sent else "wb")
                self._begun = True
            await self._file.write(part, self._sent)
        except asyncssh.SFTPFailure as error:
            if await self._medium.is_full(channel, len(part)):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._temporary) from error
            raise
        except DEAD_CONNECTION:
            self._file = None
            raise
