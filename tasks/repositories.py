"""From the name of a repository to the repository itself: opened, or made. The one way for commands and flows."""

from __future__ import annotations

import contextlib
from pathlib import Path

from recollect.settings import RepositoryAddress, Settings, default_repository_url
from storage.errors import NoRepositoryYet, NotARepository, NotEncrypted, StorageError
from storage.format.configuration import CONFIGURATION_NAME, Configuration, Sealing
from storage.format.secret import Secret
from storage.opening import (
    create_repository,
    found_configuration,
    open_or_create_repository,
    open_repository,
    secret_missing,
)
from storage.repository import Repository
from storage.store import Store
from storage.stores.address import open_store
from tasks.known_repositories import (
    forget_repository,
    known_repositories,
    refuse_to_replace,
    refuse_what_it_was_not,
    remember_repository,
)
from tasks.repository_address import address_of
from tasks.secret import secret_at
from tasks.settings_in_force import active_settings, person_at_hand


class RepositoryThere(StorageError):
    """A repository was to be made where there is one."""

    code = "repository-there"


class EncryptionUndecided(StorageError):
    """A repository on a computer of others would be made, and nobody said whether it is to be encrypted."""

    code = "encryption-undecided"


def open_named(name: str = "default", *, create: bool = False) -> Repository:
    """Open the repository that goes by `name` in the settings; with `create`, make one of an empty place.

    One that is made is encrypted when the settings name a secret. Without one, it is made on this computer only.
    """
    settings = active_settings()
    address = address_of(settings, name)
    store, cache = _store_and_cache(settings, address, may_write=create)
    secret = secret_at(address.secret)
    known = known_repositories(settings.state)
    try:
        repository = open_repository(store, cache, secret or person_at_hand().passphrase_of(store.url))
    except NotARepository as nothing:
        if not create:
            raise
        refuse_to_replace(store.url, known)
        if secret is None and isinstance(nothing, NoRepositoryYet) and not on_this_computer(store.url):
            raise _undecided(store.url) from nothing
        repository = open_or_create_repository(store, cache, secret)
        if secret is not None:
            person_at_hand().tell(
                f"The new repository at {store.url} is encrypted with the {secret.kind.words} that is set. Without it "
                "nobody can read it: `recollect key add --recovery` makes a key to write down."
            )
    refuse_what_it_was_not(repository, known)
    remember_repository(settings.state, repository)
    return repository


def was_there(name: str = "default") -> bool:
    """Whether this computer has used a repository before where the one that goes by `name` should be."""
    settings = active_settings()
    address = address_of(settings, name)
    return open_store(address.url, address.options).url in known_repositories(settings.state)


def make_named(
    name: str = "default", *, secret: Secret | None, label: str = "", despite_memory: bool = False
) -> Repository:
    """Make the empty place that goes by `name` a repository, encrypted when there is a `secret`.

    Raises RepositoryThere where there is one, and RepositoryGone where one was, unless `despite_memory`.
    """
    settings = active_settings()
    store, cache = _store_and_cache(settings, address_of(settings, name), may_write=True)
    if store.size(CONFIGURATION_NAME) is not None:
        raise RepositoryThere(
            f"There is a repository at {store.url} already",
            "Use it as it is, or name an empty place for a new one",
        )
    if not despite_memory:
        refuse_to_replace(store.url, known_repositories(settings.state))
    repository = create_repository(store, cache, secret, label=label)
    remember_repository(settings.state, repository)
    return repository


def encrypted_place(name: str = "default") -> tuple[Store, Configuration]:
    """The store of an encrypted repository and what it says of itself, not opened. Raises NotEncrypted."""
    settings = active_settings()
    store, _ = _store_and_cache(settings, address_of(settings, name), may_write=False)
    configuration = found_configuration(store)
    if configuration.sealing is Sealing.OPEN:
        raise NotEncrypted(
            f"The repository at {store.url} is not encrypted, so it has no keys",
            "An encrypted one is made in an empty place, with `recollect init`",
        )
    return store, configuration


def default_url(settings: Settings) -> str:
    """Where the default repository is, as it may be shown."""
    address = address_of(settings)
    return open_store(address.url, address.options).url


def settings_secret(name: str = "default") -> Secret | None:
    """The secret that the settings name for the repository, None when they name none."""
    return secret_at(address_of(active_settings(), name).secret)


def secret_for(store: Store, name: str = "default") -> Secret:
    """The secret that opens the repository: what the settings name, or a person at the terminal gives."""
    asked = person_at_hand().passphrase_of(store.url)
    if (found := settings_secret(name)) is not None:
        return found
    if asked is not None:
        return asked()
    raise secret_missing(store.url)


def on_this_computer(url: str) -> bool:
    """Whether what lies at a store's `url` stays on this computer, or on a disk that is plugged into it.

    A path says so, but for how Windows names shares of other computers (`\\\\nas\\backups`). Where one is mounted as a
    folder or a drive, it can't be told from a disk.
    """
    return ("://" not in url and not url.startswith(("\\\\", "//"))) or url.startswith("memory://")


def allow_new_repository(name: str = "default") -> None:
    """Let the next backup make a new repository where one is known to have been, or use another one there."""
    settings = active_settings()
    address = address_of(settings, name)
    store = open_store(address.url, address.options)
    url, known = store.url, known_repositories(settings.state).get(store.url)
    will_be_open = not address.secret.is_set and store.size(CONFIGURATION_NAME) is None
    if will_be_open and known is not None and known.encrypted:
        raise EncryptionUndecided(
            f"The repository that was at {url} was encrypted, and no secret is set for a new one",
            "Run `recollect init --new-repository` to make a new one, encrypted or with --no-encryption; or set the "
            "secret, and run this again",
        )
    forget_repository(settings.state, url)


def _store_and_cache(settings: Settings, address: RepositoryAddress, *, may_write: bool) -> tuple[Store, Path]:
    # Whoever needs the cache says so when it can't be used; until then a backup can do without.
    with contextlib.suppress(OSError):
        settings.cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    if may_write and address.url == default_repository_url():
        # What lies there unsealed is for its owner's eyes.
        with contextlib.suppress(OSError):
            Path(address.url).mkdir(parents=True, exist_ok=True, mode=0o700)
    return open_store(address.url, address.options), settings.cache / "repositories"


def _undecided(url: str) -> EncryptionUndecided:
    return EncryptionUndecided(
        f"{url} lies on another computer, and nobody has said yet whether the repository there is to be encrypted",
        "Run `recollect init` once, which encrypts it and gives you a recovery key, or `recollect init "
        "--no-encryption`; or set a passphrase, as RECOLLECT_PASSPHRASE for one, and run the backup again",
    )
