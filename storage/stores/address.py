"""Opens the store that a URL names.

Whatever fsspec can reach will do. The packages of a protocol are imported only when a URL asks for it: importing this
module stays quick.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

from recollect.addresses import CHAINED, LOOKS_LIKE_A_SERVER, PROTOCOL, shown_url
from storage.errors import NotARepository, StoreAddressInvalid
from storage.store import Store
from storage.stores.fsspec_store import FsspecStore
from storage.stores.local_medium import LocalMedium
from storage.stores.medium import Medium
from storage.stores.outgoing_file import OutgoingFile, told_of_a_target
from storage.stores.trouble import RetryRule, in_words

NO_OPTIONS: Final[Mapping[str, Any]] = MappingProxyType({})

_PACKAGES: Final = {
    **dict.fromkeys(("sftp", "ssh"), "sshfs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("abfs", "abfss", "az"), "adlfs"),
}
_LOCAL: Final = frozenset({"file", "local"})
_OBJECT_STORES: Final = frozenset({"gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci"})
_LOCAL_TRIES: Final = 2
"""A disk that was unplugged won't come back within seconds; a network mount that hiccups may."""


def open_store(
    url: str,
    options: Mapping[str, Any] = NO_OPTIONS,
    *,
    must_exist: bool = False,
    retries: RetryRule | None = None,
) -> Store:
    """Return the store at `url`: a path, or any URL that fsspec reaches (`s3://`, `sftp://`, `file://`, ...).

    `options` are those of the protocol's filesystem (S3: endpoint_url, key, secret, ...; SFTP: those of
    `asyncssh.connect`). Nothing is contacted unless `must_exist`, which raises NotARepository when there is nothing at
    that place; without it the first write makes the folder. `retries` is for tests. Raises StoreAddressInvalid for a
    URL or options that can't be used.
    """
    protocol = _protocol_of(url)
    safe = safe_url(url)
    with _opening(protocol, safe):
        medium = _medium(_Wanted(url, protocol, dict(options), must_exist))
        store = FsspecStore(medium, safe, retries=retries or _usual_retries(medium))
        if must_exist:
            _check_exists(store)
    return store


def open_outgoing_file(
    url: str, options: Mapping[str, Any] = NO_OPTIONS, *, retries: RetryRule | None = None
) -> OutgoingFile:
    """Return the file that is to be written at `url`: a path, or any URL, with `options` as in `open_store`.

    The folder of a path must be there, for it may be on a disk that is not. Most kinds contact nothing yet. Raises what
    `OutgoingFile` raises, TargetUnwritable also for a path where something is that is no file.
    """
    with told_of_a_target():
        protocol = _protocol_of(url)
        safe = safe_url(url)
        folder, name = _folder_and_file(url, protocol, safe)
        with _opening(protocol, safe):
            wanted = _Wanted(folder, protocol, dict(options), must_exist=protocol in _LOCAL, of_a_file=True)
            medium = _medium(wanted)
        return OutgoingFile(medium, name, safe, retries or _usual_retries(medium))


def _folder_and_file(url: str, protocol: str, safe: str) -> tuple[str, str]:
    """The address of the folder that a file lies in, and its name there."""
    if protocol in _LOCAL:
        # What a link leads to is meant: a rename would put the file in the link's place.
        path = Path(os.path.realpath(_local_root(url)))
        if path.exists() and not path.is_file():
            what = "a folder" if path.is_dir() else "no ordinary file"
            raise StoreAddressInvalid(f"{path} is {what}, and no file can be put in its place", _NAME_A_FILE)
        if not path.parent.is_dir():
            raise StoreAddressInvalid(
                f"There is no folder {path.parent} to write {path.name} to",
                "Make it, plug in or mount the disk that it is on, or name another one",
            )
        return str(path.parent), path.name
    folder, _, name = url.rpartition("/")
    if protocol in {"sftp", "ssh"}:
        name = unquote(name)
    if folder.endswith(":/") or name in {"", ".", ".."} or "/" in name:
        raise StoreAddressInvalid(f"The URL {safe} names no file", _NAME_A_FILE)
    return f"{folder}/", name


_NAME_A_FILE: Final = "Name a file, such as /backups/ada.colpkg or s3://bucket/ada.colpkg"


def _protocol_of(url: str) -> str:
    """Which protocol an address goes by, "file" for a path. Raises StoreAddressInvalid for what is no address."""
    if not url.strip() or any(ord(character) < 32 for character in url):
        raise StoreAddressInvalid("The URL is empty or has control characters in it", _EXAMPLES)
    _refuse_look_alikes(url)
    matched = PROTOCOL.match(url)
    return matched[1].lower() if matched else "file"


def _medium(wanted: _Wanted) -> Medium:
    return _OPENERS.get(wanted.protocol, _open_any)(wanted)


def _usual_retries(medium: Medium) -> RetryRule:
    return RetryRule(tries=_LOCAL_TRIES) if isinstance(medium, LocalMedium) else RetryRule()


@contextmanager
def _opening(protocol: str, safe: str) -> Iterator[None]:
    """Say in words what goes wrong with an address and its options."""
    try:
        with in_words("open", "", safe):
            yield
    except ImportError as error:
        raise _package_missing(protocol, safe) from error
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        # What the libraries raise for options they don't know or can't read; their text may quote a password.
        raise StoreAddressInvalid(
            f"The URL {safe} or its options can't be used ({type(error).__name__} from {protocol}://)",
            "Compare the URL and each option with the documentation of that protocol",
        ) from error


def safe_url(url: str) -> str:
    """Return `url` as a store is known by, without what must not be printed. A path comes back absolute."""
    matched = PROTOCOL.match(url)
    if CHAINED.match(url) or LOOKS_LIKE_A_SERVER.match(url):
        return shown_url(url)
    if matched is None or matched[1].lower() in _LOCAL:
        return str(_local_root(url))
    return f"{matched[1].lower()}{shown_url(url).removeprefix(matched[1])}".rstrip("/")


_EXAMPLES: Final = "Give a folder such as /backups/anki, or a URL such as s3://bucket/anki or sftp://user@host/backups"


def _refuse_look_alikes(url: str) -> None:
    """A server that was written in another program's way must not become a folder of that name on this disk."""
    if CHAINED.match(url):
        raise StoreAddressInvalid(
            f"The address {safe_url(url)} chains several protocols with ::, and a repository can't lie behind a chain",
            "Give the URL of the store itself, such as s3://bucket/anki, without anything in front of it",
        )
    if matched := LOOKS_LIKE_A_SERVER.match(url):
        raise StoreAddressInvalid(
            f"The address begins with {matched[1]} but not with {matched[1]}//, so that it is neither a URL nor a path",
            f"{_EXAMPLES}; put ./ in front if it is a folder whose name has a colon in it",
        )


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A place to be opened: a store, or the folder `of_a_file`, which may be the uppermost one."""

    url: str
    protocol: str
    options: dict[str, Any]
    must_exist: bool
    of_a_file: bool = False


def _open_local(wanted: _Wanted) -> Medium:
    if wanted.options:
        raise StoreAddressInvalid(
            f"A folder on this computer takes no options, but got {', '.join(sorted(wanted.options))}",
            "Remove the options",
        )
    root = _local_root(wanted.url)
    if root == Path(root.anchor) and not wanted.of_a_file:
        raise StoreAddressInvalid(f"A repository can't be the whole disk {root}", "Name a folder in it")
    return LocalMedium(root, must_exist=wanted.must_exist)


def _open_memory(wanted: _Wanted) -> Medium:
    filesystem = _made("memory", wanted.options)
    medium: Medium = _late("storage.stores.memory_medium").MemoryMedium(
        filesystem, filesystem._strip_protocol(wanted.url)
    )
    return medium


def _open_s3(wanted: _Wanted) -> Medium:
    parts, options = _split(wanted.url), wanted.options
    bucket = _host(parts)
    if not bucket:
        raise StoreAddressInvalid(f"The URL {safe_url(wanted.url)} names no bucket", _EXAMPLES)
    if parts.username is not None:
        options.setdefault("key", unquote(parts.username))
        options.setdefault("secret", unquote(parts.password or ""))
    options["config_kwargs"] = {**_S3_CLIENT, **options.get("config_kwargs", {})}
    # A cached listing hides what other machines wrote since.
    options |= {"use_listings_cache": False, "skip_instance_cache": True}
    filesystem = _late("storage.stores.s3_filesystem").PromptS3FileSystem(**options)
    filesystem.retries = 1  # the store's own rule is the only one: rules on top of each other multiply
    medium: Medium = _late("storage.stores.s3_medium").S3Medium(filesystem, bucket, parts.path.strip("/"))
    return medium


_S3_CLIENT: Final[Mapping[str, Any]] = {
    "connect_timeout": 10,
    "read_timeout": 60,
    "retries": {"max_attempts": 0},
    "max_pool_connections": 32,
    # Some servers send the checksum of the whole object with a part of it; and what is read is checked by its id.
    "response_checksum_validation": "when_required",
    # The signature holds the SHA-256 of what is sent; many servers know no other checksum, and refuse it.
    "request_checksum_calculation": "when_required",
}


def _open_sftp(wanted: _Wanted) -> Medium:
    parts, options = _split(wanted.url), wanted.options
    host = _host(parts)
    path = unquote(parts.path)
    if not host or not (path.strip("/") or wanted.of_a_file):
        raise StoreAddressInvalid(f"The URL {safe_url(wanted.url)} names no server or no folder on it", _EXAMPLES)
    found = {"host": host, "port": parts.port, "username": parts.username, "password": parts.password}
    for option, value in found.items():
        if value is not None:
            options.setdefault(option, unquote(value) if isinstance(value, str) else value)
    # As in scp and git: below the home folder.
    root = (path.removeprefix("/~/") or ".") if path.startswith("/~/") else path
    medium: Medium = _late("storage.stores.sftp_medium").SftpMedium(root, options, must_exist=wanted.must_exist)
    return medium


def _open_any(wanted: _Wanted) -> Medium:
    protocol, url = wanted.protocol, wanted.url
    known = _late("fsspec.registry")
    if protocol not in known.known_implementations and protocol not in known.registry:
        raise StoreAddressInvalid(f"No kind of store is called {protocol}://", _EXAMPLES)
    kind = known.get_filesystem_class(protocol)
    options = {**kind._get_kwargs_from_urls(url), "use_listings_cache": False, **wanted.options}
    if protocol == "ftp":
        filesystem = _late("storage.stores.ftp_filesystem").CandidFTPFileSystem(**options, skip_instance_cache=True)
    else:
        filesystem = _made(protocol, options)
    root = kind._strip_protocol(url)
    if protocol in _OBJECT_STORES:
        objects: Medium = _late("storage.stores.object_medium").ObjectMedium(filesystem, root)
        return objects
    medium: Medium = _late("storage.stores.tree_medium").TreeMedium(filesystem, root)
    return medium


_OPENERS: Final[Mapping[str, Callable[[_Wanted], Medium]]] = {
    "file": _open_local,
    "local": _open_local,
    "memory": _open_memory,
    "s3": _open_s3,
    "s3a": _open_s3,
    "sftp": _open_sftp,
    "ssh": _open_sftp,
}


def _late(module: str) -> Any:
    """Import a module when a URL asks for it: the packages of the protocols are slow to load, or not installed."""
    return importlib.import_module(module)


def _made(protocol: str, options: Mapping[str, Any]) -> Any:
    # fsspec keeps and shares filesystems by their arguments, also one whose connection broke.
    return _late("fsspec").filesystem(protocol, **{**options, "skip_instance_cache": True})


def _check_exists(store: FsspecStore) -> None:
    if not store.exists():
        raise NotARepository(
            f"There is nothing at {store.url}",
            "Check the address, and that the disk is plugged in or the server is the right one",
        )


def _local_root(url: str) -> Path:
    matched = PROTOCOL.match(url)
    path = url if matched is None else unquote(url[matched.end() + 2 :])
    if os.name == "nt" and re.match(r"/[A-Za-z]:", path):
        path = path[1:]  # file:///C:/backups
    try:
        # Not resolved: a link to a disk may point to nowhere while that disk is away.
        return Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 -- `absolute` keeps `..`
    except RuntimeError:
        raise StoreAddressInvalid(f"The home folder in {path} is not known", "Write the whole path") from None


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 -- it is read when asked for, and raises then
    except ValueError as error:
        raise StoreAddressInvalid(f"The URL {safe_url(url)} is malformed", _EXAMPLES) from error
    if parts.query or parts.fragment:
        raise StoreAddressInvalid(
            f"The URL {safe_url(url)} goes on with ? or #, which have no meaning here",
            "Pass options apart from the URL, and choose a folder without these characters",
        )
    return parts


def _host(parts: SplitResult) -> str:
    """Return the host or bucket as the URL spells it: `hostname` is lower case, and a bucket's name may not be."""
    place = parts.netloc.rpartition("@")[2]
    return parts.hostname or "" if place.startswith("[") else place.partition(":")[0]


def _package_missing(protocol: str, safe: str) -> StoreAddressInvalid:
    package = _PACKAGES.get(protocol)
    # Not bare `pip`, which may be another Python's.
    advice = (
        f"Run `{sys.executable} -m pip install {package}`"
        if package
        else f"Install the fsspec package for {protocol}://"
    )
    return StoreAddressInvalid(f"The package for {protocol}:// is not installed, so {safe} can't be opened", advice)
