"""What is asked of an SSH server over one SFTP channel, in the words that its answers mean."""

from __future__ import annotations

import errno
import os
import stat
from datetime import UTC, datetime
from typing import Final

import asyncssh

DEAD_CONNECTION: Final = (
    ConnectionError,
    EOFError,
    TimeoutError,
    asyncssh.DisconnectError,
    asyncssh.ChannelOpenError,
    asyncssh.SFTPConnectionLost,
    asyncssh.SFTPNoConnection,
)


async def size_at(channel: asyncssh.SFTPClient, path: str) -> int | None:
    """The size of what is at a path, None when nothing is."""
    attributes = await looked_at(channel, path)
    return None if attributes is None else attributes.size


async def move_to_new(channel: asyncssh.SFTPClient, temporary: str, path: str) -> None:
    """Give a temporary file its name, unless that is taken: FileExistsError then."""
    if await channel.lexists(path):  # for servers whose rename replaces
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
    try:
        await channel.rename(temporary, path)
    except asyncssh.SFTPFailure:  # how version 3 of the protocol says "taken", among other things
        if await channel.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path) from None
        raise


async def replace_at(channel: asyncssh.SFTPClient, temporary: str, path: str) -> None:
    """Give a temporary file its name, whatever has that."""
    try:
        await channel.posix_rename(temporary, path)
    except asyncssh.SFTPOpUnsupported:
        # Servers without OpenSSH's extension: a plain rename refuses a taken name. Then the old object goes first, and
        # for a moment there is neither. Of packs and manifests, whose names are used once, that concerns those that are
        # sent again because the first answer was lost, and damaged manifests that a repair puts back.
        try:
            await channel.rename(temporary, path)
        except asyncssh.SFTPFailure:
            await channel.unlink(path)
            await channel.rename(temporary, path)


async def looked_at(channel: asyncssh.SFTPClient, path: str) -> asyncssh.SFTPAttrs | None:
    """What is at a path, None when nothing is: asyncssh's `isdir` and `exists` take a refusal for a no as well."""
    try:
        return await channel.stat(path)
    except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
        return None


async def is_folder_there(channel: asyncssh.SFTPClient, path: str) -> bool:
    """Whether a folder is at a path."""
    attributes = await looked_at(channel, path)
    return attributes is not None and is_folder(attributes)


def is_folder(attributes: asyncssh.SFTPAttrs) -> bool:
    """Whether these are of a folder."""
    return attributes.permissions is not None and stat.S_ISDIR(attributes.permissions)


def is_file(attributes: asyncssh.SFTPAttrs) -> bool:
    """Whether these are of a regular file."""
    return attributes.permissions is not None and stat.S_ISREG(attributes.permissions)


def when_written(attributes: asyncssh.SFTPAttrs) -> datetime:
    """When a file was written, by the server's clock."""
    if attributes.mtime is None:
        raise OSError(errno.ENOSYS, "The server does not say when its files were written")
    return datetime.fromtimestamp(attributes.mtime, UTC)
