"""From settings to an opened repository, and to the profiles of this machine: the one way for commands and flows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from profiles.base_folder import find_base_folder
from profiles.discovery import Found, Profile, discover
from recollect.errors import RecollectError
from recollect.settings import Settings, load_settings, repository_address
from storage.errors import NotARepository, StorageError
from storage.format.manifest import ProfileKey, profile_key
from storage.repository import Repository, open_or_create_repository, open_repository
from storage.stores.address import open_store
from tasks.known_repositories import forget_repository, known_repositories, remember_repository

_active: ContextVar[Settings | None] = ContextVar("settings", default=None)


class RepositoryGone(StorageError):
    """The place is empty where this computer has backed up to a repository before."""

    code = "repository-gone"


class CacheUnusable(RecollectError):
    """The folder for private copies can't be made or written to."""

    code = "cache-unusable"


def active_settings() -> Settings:
    """The settings in force: those the command line chose, else what environment and recollect.toml say."""
    return _active.get() or load_settings()


@contextmanager
def using(settings: Settings) -> Iterator[None]:
    """Let `settings` be in force within the context."""
    token = _active.set(settings)
    try:
        yield
    finally:
        _active.reset(token)


def open_named(name: str = "default", *, create: bool = False) -> Repository:
    """Open the repository that goes by `name` in the settings; with `create`, make one of an empty place."""
    settings = active_settings()
    address = repository_address(settings, name)
    # Whoever needs the cache says so when it can't be used; until then a backup can do without.
    with contextlib.suppress(OSError):
        settings.cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    if create and settings.repo is None and name == "default":
        # What lies there unsealed is for its owner's eyes.
        with contextlib.suppress(OSError):
            Path(address.url).mkdir(parents=True, exist_ok=True, mode=0o700)
    store = open_store(address.url, address.options)
    cache = settings.cache / "repositories"
    if create:
        try:
            repository = open_repository(store, cache)
        except NotARepository:
            _refuse_to_replace(store.url, settings.cache)
            repository = open_or_create_repository(store, cache)
    else:
        repository = open_repository(store, cache)
    remember_repository(settings.cache, store.url, repository.id)
    return repository


def allow_new_repository(name: str = "default") -> None:
    """Let the next backup make a new repository where one is known to have been."""
    settings = active_settings()
    address = repository_address(settings, name)
    forget_repository(settings.cache, open_store(address.url, address.options).url)


def _refuse_to_replace(url: str, cache: Path) -> None:
    if url in known_repositories(cache):
        raise RepositoryGone(
            f"The repository at {url}, to which this computer has backed up before, is not there any more",
            "Plug in or mount its disk, or correct the address; to begin a new one there, run "
            "`recollect backup --new-repository`",
        )


def found_profiles() -> Found:
    """The profiles of this machine's base folder."""
    return discover(find_base_folder(active_settings().base))


def key_of(profile: Profile) -> ProfileKey:
    """The key under which this machine stores the profile."""
    return profile_key(profile.name, active_settings().host, source_of(profile))


def source_of(profile: Profile) -> str:
    """Where the profile lies, as a manifest says it."""
    return str(profile.folder)


def staging_folder() -> Path:
    """Where private copies are made; only its owner may look inside."""
    folder = active_settings().cache / "staging"
    with cache_trouble(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
    return folder


@contextmanager
def cache_trouble(folder: Path) -> Iterator[None]:
    """Turn an OSError inside into CacheUnusable: nothing but private copies below `folder` may be touched there."""
    try:
        yield
    except OSError as error:
        raise CacheUnusable(
            f"Private copies can't be made in {folder}: {error.strerror or error}",
            "See that there is room, and that the folder is yours to write to; or set another one as `cache`",
        ) from error
