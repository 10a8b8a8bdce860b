"""What can go wrong with backups at rest, as a person should hear it."""

from __future__ import annotations

from recollect.errors import RecollectError


class StorageError(RecollectError):
    """Anything that goes wrong with the repository."""

    code = "storage"


class StoreUnreachable(StorageError):
    """No answer, or a fault that may pass: worth trying again later."""

    code = "repository-unreachable"


class StoreRefused(StorageError):
    """The store answered, and said no to the credentials or permissions."""

    code = "repository-refused"


class StoreReadOnly(StorageError):
    """The store can be read but not written."""

    code = "repository-read-only"


class StoreFull(StorageError):
    """No space, or no quota, is left."""

    code = "repository-full"


class StoreAddressInvalid(StorageError):
    """The URL or its options make no sense, or name a protocol whose package is not installed."""

    code = "repository-address"


class ObjectMissing(StorageError):
    """An object that was asked for by name is not there."""

    code = "object-missing"


class ObjectExists(StorageError):
    """An object that had to be new is there already."""

    code = "object-exists"


class NotARepository(StorageError):
    """The place exists, but holds no repository."""

    code = "not-a-repository"


class UnsupportedFormat(StorageError):
    """Made by another version of the format, or with an option unknown to this one."""

    code = "unsupported-format"


class Damaged(StorageError):
    """Stored bytes are not what was stored."""

    code = "repository-damaged"


class SnapshotUnknown(StorageError):
    """No snapshot answers to that name."""

    code = "snapshot-unknown"
