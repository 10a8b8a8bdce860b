"""Turns what filesystem libraries raise into the sentences of `storage.errors`, and says what is worth another try.

The libraries are recognised by the names of their classes, so that none of them is imported for a store that doesn't
use it. Their own messages are not passed on: some quote the URL with its signature or password.
"""

from __future__ import annotations

import errno
import os
import random
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

from recollect.errors import RecollectError
from storage.errors import (
    ObjectExists,
    ObjectMissing,
    StorageError,
    StoreAddressInvalid,
    StoreFull,
    StoreReadOnly,
    StoreRefused,
    StoreUnreachable,
)

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class RetryRule:
    """How often, and after which pauses, a fault that may pass is tried again.

    The pause before try n+1 is drawn between half and all of `first_pause` (seconds) doubled n-1 times, so that many
    writers that met the same fault don't come back at the same instant. The default waits 10.5 s in all at most.
    """

    tries: int = 4
    first_pause: float = 1.5
    pause: Callable[[float], None] = time.sleep
    draw: Callable[[], float] = random.random

    def run(self, attempt: Callable[[int], _Result]) -> _Result:
        """Return what `attempt` returns, given the number of the try (from 1). Only StoreUnreachable is tried again."""
        for number in range(1, self.tries):
            try:
                return attempt(number)
            except StoreUnreachable:
                self.pause(self.first_pause * 2 ** (number - 1) * (0.5 + self.draw() / 2))
        return attempt(self.tries)


@dataclass(frozen=True, slots=True)
class _Trouble:
    kind: type[StorageError]
    reason: str
    advice: str


_UNREACHABLE_ADVICE: Final = "Check the network and that the server or disk is there, then try again"
_ADDRESS_ADVICE: Final = "Check the URL and its options"

_GONE: Final = _Trouble(
    StoreUnreachable,
    "its folder has gone",
    "Plug the disk in or mount it again, then try again; if the folder was moved, correct the URL",
)
_NO_ANSWER: Final = _Trouble(StoreUnreachable, "no answer came in time", _UNREACHABLE_ADVICE)
_CONNECTION: Final = _Trouble(StoreUnreachable, "the connection failed or was lost", _UNREACHABLE_ADVICE)
_UNKNOWN_HOST: Final = _Trouble(
    StoreUnreachable, "the server's name can't be resolved", "Check the spelling of the server's name and the network"
)
_BUSY: Final = _Trouble(StoreUnreachable, "the store reports a fault of its own", "Try again later")
_REFUSED: Final = _Trouble(
    StoreRefused,
    "the store refused the credentials or the permission",
    "Check the user name, key or password, and what they are allowed to do there",
)
_CERTIFICATE: Final = _Trouble(
    StoreRefused,
    "the server's certificate is not trusted",
    "Check that the address is right; for a private authority, name its certificate in the options or the environment",
)
_HOST_KEY: Final = _Trouble(
    StoreRefused,
    "the server's host key is not the known one",
    "Connect once with `ssh` to the same host and port and compare the fingerprint, so that it is in known_hosts",
)
_READ_ONLY: Final = _Trouble(
    StoreReadOnly, "it can only be read", "Mount it for writing, or use an account that is allowed to write"
)
_FULL: Final = _Trouble(
    StoreFull, "no space or quota is left", "Free some space there or raise the quota, then try again"
)
MISSING_ADVICE: Final = "Other snapshots may be whole: list them with `recollect snapshots` and restore one of those"
_MISSING: Final = _Trouble(ObjectMissing, "it is not there", MISSING_ADVICE)
_EXISTS: Final = _Trouble(ObjectExists, "it is there already", "Look at what is there before you replace it")
_NO_BUCKET: Final = _Trouble(StoreAddressInvalid, "there is no such bucket or folder", "Create it, or correct the URL")
_IN_THE_WAY: Final = _Trouble(
    StoreAddressInvalid, "a file is in the way where a folder should be", "Name another folder in the URL"
)
_FOLDER_IN_THE_WAY: Final = _Trouble(
    StoreAddressInvalid, "a folder is in the way where a file should be", "Move that folder away, or use another name"
)
_BAD_OPTIONS: Final = _Trouble(
    StoreAddressInvalid, "its options are not such as this kind of store takes", _ADDRESS_ADVICE
)
_BAD_PATH: Final = _Trouble(StoreAddressInvalid, "the path is not one that can be used there", _ADDRESS_ADVICE)
_ODD_ANSWER: Final = _Trouble(
    StorageError, "the store gave an answer that was not expected", f"{_ADDRESS_ADVICE}, and what the server says of it"
)

_BY_CLASS: Final[dict[str, _Trouble]] = {
    # botocore
    "NoCredentialsError": _REFUSED,
    "PartialCredentialsError": _REFUSED,
    "CredentialRetrievalError": _REFUSED,
    "ProfileNotFound": _REFUSED,
    "SSLError": _CERTIFICATE,
    "HTTPClientError": _CONNECTION,
    "ConnectTimeoutError": _NO_ANSWER,
    "ReadTimeoutError": _NO_ANSWER,
    "EndpointConnectionError": _CONNECTION,
    "ResponseParserError": _BUSY,
    "ParamValidationError": _BAD_PATH,
    "InvalidRegionError": _BAD_PATH,
    # aiohttp
    "ClientConnectorCertificateError": _CERTIFICATE,
    "ClientConnectorSSLError": _CERTIFICATE,
    "ClientConnectorDNSError": _UNKNOWN_HOST,
    "ServerTimeoutError": _NO_ANSWER,
    "ClientConnectionError": _CONNECTION,
    "ClientPayloadError": _CONNECTION,
    "InvalidURL": _BAD_PATH,
    # asyncssh
    "HostKeyNotVerifiable": _HOST_KEY,
    "PermissionDenied": _REFUSED,
    "KeyImportError": _REFUSED,
    "KeyEncryptionError": _REFUSED,
    "ConnectionLost": _CONNECTION,
    "DisconnectError": _CONNECTION,
    "ChannelOpenError": _CONNECTION,
    "SFTPConnectionLost": _CONNECTION,
    "SFTPNoConnection": _CONNECTION,
    "SFTPNotADirectory": _IN_THE_WAY,
    "SFTPFileIsADirectory": _FOLDER_IN_THE_WAY,
    "SFTPPermissionDenied": _REFUSED,
    "SFTPNoSpaceOnFilesystem": _FULL,
    "SFTPQuotaExceeded": _FULL,
    "SFTPWriteProtect": _READ_ONLY,
    "SFTPFileAlreadyExists": _EXISTS,
    # Google and Azure
    "DefaultCredentialsError": _REFUSED,
    "RefreshError": _REFUSED,
    "ClientAuthenticationError": _REFUSED,
    "ServiceRequestError": _CONNECTION,
    "ServiceResponseError": _CONNECTION,
    "ResourceNotFoundError": _MISSING,
    "ResourceExistsError": _EXISTS,
    # ftplib
    "error_temp": _BUSY,
    "error_proto": _ODD_ANSWER,
    "error_perm": _REFUSED,
}

_BY_S3_CODE: Final[dict[str, _Trouble]] = {
    **dict.fromkeys(("QuotaExceeded", "InsufficientStorage", "StorageFull", "XMinioStorageFull", "507"), _FULL),
    **dict.fromkeys(
        ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthorizationHeaderMalformed", "ExpiredToken"),
        _REFUSED,
    ),
    **dict.fromkeys(("InvalidToken", "InvalidSecurity", "AllAccessDisabled", "AccountProblem", "401", "403"), _REFUSED),
    "RequestTimeTooSkewed": _Trouble(
        StoreRefused, "this computer's clock and the server's are too far apart", "Set this computer's clock right"
    ),
    **dict.fromkeys(("NoSuchBucket", "InvalidBucketName"), _NO_BUCKET),
    **dict.fromkeys(
        ("PermanentRedirect", "IllegalLocationConstraintException", "301"),
        _Trouble(
            StoreAddressInvalid, "the bucket lies in another region", "Name the region or endpoint in the options"
        ),
    ),
    **dict.fromkeys(("MethodNotAllowed", "405"), _READ_ONLY),
    **dict.fromkeys(("InternalError", "ServiceUnavailable", "SlowDown", "RequestTimeout", "OperationAborted"), _BUSY),
    **dict.fromkeys(("500", "502", "503", "504", "BadDigest", "IncompleteBody", "RequestLimitExceeded"), _BUSY),
}

_BY_ERRNO: Final[dict[int, _Trouble]] = {
    errno.ENOSPC: _FULL,
    getattr(errno, "EDQUOT", errno.ENOSPC): _FULL,
    errno.EFBIG: _FULL,
    errno.EROFS: _READ_ONLY,
    errno.EACCES: _REFUSED,
    errno.EPERM: _REFUSED,
    errno.ENOTDIR: _IN_THE_WAY,
    errno.EISDIR: _FOLDER_IN_THE_WAY,
    errno.ENODEV: _GONE,
    errno.ENAMETOOLONG: _BAD_PATH,
    errno.EINVAL: _BAD_PATH,
    errno.ELOOP: _BAD_PATH,
    errno.ETIMEDOUT: _NO_ANSWER,
    **dict.fromkeys((errno.EIO, getattr(errno, "EREMOTEIO", errno.EIO), errno.EBUSY, errno.EAGAIN), _BUSY),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE, getattr(errno, "ESTALE", errno.EIO)), _BUSY),
    **dict.fromkeys((errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENOTCONN), _CONNECTION),
    getattr(errno, "EHOSTDOWN", errno.EHOSTUNREACH): _CONNECTION,
}

_LIBRARIES: Final = frozenset(
    {
        "aiobotocore",
        "aiohttp",
        "asyncssh",
        "azure",
        "adlfs",
        "botocore",
        "fsspec",
        "ftplib",
        "gcsfs",
        "google",
        "requests",
    }
    | {"s3fs", "smbprotocol", "sshfs", "urllib3", "webdav4", "httpx"}
)


@contextmanager
def in_words(verb: str, name: str, url: str) -> Iterator[None]:
    """Raise what happens inside as the `StorageError` that a person can read; defects of ours pass through.

    `verb` is what was done ("read", "write", "create", "list", "remove", ...) to the object `name` ("" for the whole
    store); `url` must be safe to print.
    """
    try:
        yield
    except RecollectError:
        raise
    except Exception as error:
        trouble = _recognised(error)
        if trouble is None:
            raise
        raise _said(trouble, verb, name, url) from error


def _recognised(error: BaseException) -> _Trouble | None:
    """Say what kind of trouble an exception is, from the cause it wraps outwards; None for a defect of ours."""
    chain = [error]
    while (inner := chain[-1].__cause__) is not None and inner not in chain:
        chain.append(inner)
    for link in chain:
        trouble = _by_answer(link) or _by_class(link)
        if trouble is not None:
            return trouble
    return _by_builtin(error)


def _by_answer(error: BaseException) -> _Trouble | None:
    """Recognise botocore's ClientError, which carries the answer of the server."""
    response = getattr(error, "response", None)
    if not isinstance(response, dict):
        return None
    code = str(response.get("Error", {}).get("Code", ""))
    status = str(response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
    return _BY_S3_CODE.get(code) or (_BUSY if status.startswith("5") and status != "501" else None)


def _by_class(error: BaseException) -> _Trouble | None:
    for ancestor in type(error).__mro__:
        if _is_of_a_library(ancestor.__module__) and ancestor.__name__ in _BY_CLASS:
            return _BY_CLASS[ancestor.__name__]
    return None


def _by_builtin(error: BaseException) -> _Trouble | None:  # noqa: PLR0911 -- a table of classes, one a line
    # Loaded by now, if there is a network in this; a repository on a disk does without.
    import socket  # noqa: PLC0415
    import ssl  # noqa: PLC0415

    match error:
        case FileNotFoundError():
            return _MISSING
        case FileExistsError():
            return _EXISTS
        case PermissionError():
            return _REFUSED
        case NotADirectoryError():
            return _IN_THE_WAY
        case IsADirectoryError():
            return _FOLDER_IN_THE_WAY
        case socket.gaierror():
            return _UNKNOWN_HOST
        case ssl.SSLCertVerificationError():
            return _CERTIFICATE
        case TimeoutError():  # also asyncio's, and fsspec's FSTimeoutError
            return _NO_ANSWER
        case ConnectionError() | ssl.SSLError() | EOFError():
            return _CONNECTION
        case OSError(errno=int(number)):
            unlisted = _Trouble(StorageError, os.strerror(number), "Look into that, then try again")
            return _BY_ERRNO.get(number, unlisted)
        case OSError():
            return _ODD_ANSWER
    if _is_of_a_library(type(error).__module__):
        return _ODD_ANSWER
    return _BAD_OPTIONS if isinstance(error, TypeError | ValueError) and _raised_in_a_library(error) else None


def _raised_in_a_library(error: BaseException) -> bool:
    """Options are handed on unchecked, and many a library looks at them only when it connects."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(frames) and _is_of_a_library(str(frames[-1].f_globals.get("__name__", "")))


def _is_of_a_library(module: str) -> bool:
    return module.partition(".")[0] in _LIBRARIES


def _said(trouble: _Trouble, verb: str, name: str, url: str) -> StorageError:
    if trouble is _EXISTS and verb != "create":
        trouble = _IN_THE_WAY
    if trouble is _MISSING and (not name or verb in {"write", "create", "list"}):
        trouble = _NO_BUCKET
    if verb == "create":
        verb = "write"
    what = f"{verb} {name} in {url}" if name else f"{verb} {url}"
    return trouble.kind(f"Could not {what}: {trouble.reason}", trouble.advice)
