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


class TargetUnwritable(StorageError):
    """A file that was to be written outside of the repository could not be."""

    code = "target-unusable"


class TargetUnreachable(StoreUnreachable):
    """No answer, or a fault that may pass, from where a file was to be written outside of the repository."""

    code = "target-unreachable"


class ObjectMissing(StorageError):
    """An object that was asked for by name is not there."""

    code = "object-missing"


class ObjectExists(StorageError):
    """An object that had to be new is there already."""

    code = "object-exists"


class NotARepository(StorageError):
    """The place exists, but holds no repository."""

    code = "not-a-repository"


class NoRepositoryYet(NotARepository):
    """The place is empty: a repository could be made there."""


class UnsupportedFormat(StorageError):
    """Made by another version of the format, or with an option unknown to this one."""

    code = "unsupported-format"


class Damaged(StorageError):
    """Stored bytes are not what was stored."""

    code = "repository-damaged"


class PiecesLost(Damaged):
    """Pieces that a snapshot is to name are not stored, or not any more: whoever has them must store them anew."""

    code = "pieces-lost"


class SnapshotUnknown(StorageError):
    """No snapshot answers to that name."""

    code = "snapshot-unknown"


class WrittenUnderNewerKey(Damaged):
    """Sealed under a key that was made after this repository was opened; a flipped bit can look the same."""

    code = "newer-key"


class SecretMissing(StorageError):
    """The repository is encrypted, and no passphrase, key file or recovery key was given."""

    code = "secret-missing"


class SecretRefused(StorageError):
    """A passphrase, key file or recovery key opens nothing, or can't be one."""

    code = "secret-refused"


class NotEncrypted(StorageError):
    """The repository says that it is not encrypted where it should be, or was."""

    code = "not-encrypted"


class KeySlotNeeded(StorageError):
    """Without this key slot nobody, or not whoever asks, could open the repository."""

    code = "key-slot-needed"


class KeySlotUnknown(StorageError):
    """No key slot goes by that name."""

    code = "key-slot-unknown"


class TooManyKeySlots(StorageError):
    """There are more key slots than are looked at, or would be: what opens one of the others opens nothing."""

    code = "too-many-key-slots"


class ClockUntrusted(StorageError):
    """The clocks of this computer and of the store disagree, so that no age can be judged."""

    code = "clocks-disagree"


class SweepRefused(StorageError):
    """Something looks wrong with the repository, and a sweep that went on might remove what is needed."""

    code = "sweep-refused"
