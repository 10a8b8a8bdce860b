"""Opening a repository, and making one.

What works with keys is loaded where there are any, with the encryption below it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from storage.errors import NoRepositoryYet, NotARepository, NotEncrypted, ObjectExists, ObjectMissing, SecretMissing
from storage.format.configuration import CONFIGURATION_NAME, Configuration, Sealing, write_configuration
from storage.format.keyring import new_keyring
from storage.format.sealing import AesSeal, OpenSeal, Seal
from storage.format.secret import Secret
from storage.repository import Repository, stored_configuration
from storage.store import Store

if TYPE_CHECKING:
    from storage.keys import Fetched

SecretSource = Secret | Callable[[], Secret] | None
"""A secret that the repository must be encrypted with; or one that is asked for only where it is; or none."""


def create_repository(
    store: Store, cache: Path | None = None, secret: Secret | None = None, *, label: str = ""
) -> Repository:
    """Make an empty place a repository, encrypted when there is a `secret`; `label` tells people of its key slot.

    A place that is one already, also by another's hand just now, is opened.
    """
    from storage.format.key_slot import slot_name
    from storage.keys import add_slot

    _refuse_foreign_content(store)
    if store.size(CONFIGURATION_NAME) is not None:
        return open_repository(store, cache, secret)
    configuration = Configuration(
        id=os.urandom(16).hex(),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        sealing=Sealing.OPEN if secret is None else Sealing.AES,
    )
    # The slot comes first: a repository is never there without a key to it. One whose repository did not come to be
    # is of no use to anyone, and in nobody's way.
    slot = add_slot(store, configuration, new_keyring(), secret, label) if secret is not None else None
    with contextlib.suppress(ObjectExists):
        store.create(CONFIGURATION_NAME, write_configuration(configuration))
    # Not every store can decide between two who create at once: what is there now is what counts for both.
    if slot is not None and found_configuration(store).id != configuration.id:
        store.remove(slot_name(slot.id))
    return open_repository(store, cache, secret)


def open_repository(store: Store, cache: Path | None = None, secret: SecretSource = None) -> Repository:
    """Open the repository in `store`. `cache` is a folder for what makes the next run cheap, None for no cache.

    Raises NotEncrypted when there is a secret and the repository says that it needs none: someone may have put an open
    one in the place of an encrypted one. Raises SecretMissing and SecretRefused.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="slots") as pool:
        # Whoever brings a secret expects that there are slots: they are fetched while it is found out whose they are.
        slots = pool.submit(_slots_unless_unlocked, store) if isinstance(secret, Secret) else None
        configuration = found_configuration(store)
    return Repository(store, configuration, _seal(store, configuration, secret, slots), cache)


def found_configuration(store: Store) -> Configuration:
    """What the repository in `store` says of itself. Raises NoRepositoryYet, and NotARepository where there is none."""
    try:
        return stored_configuration(store)
    except ObjectMissing as fault:
        _refuse_foreign_content(store)
        raise NoRepositoryYet(
            f"{store.url} holds no repository yet",
            "Check the address, or make the first backup there with `recollect backup`",
        ) from fault


def open_or_create_repository(store: Store, cache: Path | None = None, secret: Secret | None = None) -> Repository:
    """Open the repository in `store`, or make one where the place is empty, encrypted when there is a `secret`."""
    try:
        return open_repository(store, cache, secret)
    except NotARepository:
        if store.size(CONFIGURATION_NAME) is not None:
            # Made by another hand just now, or there and no good: a second look tells.
            return open_repository(store, cache, secret)
    return create_repository(store, cache, secret)


def _slots_unless_unlocked(store: Store) -> Fetched | None:
    from storage.keys import fetch_slots, has_unlocked

    return None if has_unlocked() else fetch_slots(store)


def _seal(
    store: Store, configuration: Configuration, secret: SecretSource, slots: Future[Fetched | None] | None
) -> Seal:
    identity = bytes.fromhex(configuration.id)
    if configuration.sealing is Sealing.OPEN:
        if isinstance(secret, Secret):
            raise NotEncrypted(
                f"The repository at {store.url} is not encrypted, although a {secret.kind.words} is set for it",
                f"If it was, someone has put another one in its place: don't use it. If it never was, unset the "
                f"{secret.kind.words}, or make an encrypted one elsewhere with `recollect init`",
            )
        return OpenSeal(identity)
    if callable(secret):
        secret = secret()
    if secret is None:
        raise secret_missing(store.url)
    from storage.keys import unlock_once

    return AesSeal(identity, unlock_once(store, configuration, secret, slots.result() if slots else None))


def secret_missing(url: str) -> SecretMissing:
    """What to tell whoever has no secret for the encrypted repository at `url`."""
    return SecretMissing(
        f"The repository at {url} is encrypted, and no passphrase or key file is set",
        "Set RECOLLECT_PASSPHRASE, or passphrase_file, passphrase_command, passphrase_block or key_file in the "
        "settings; at a terminal you are asked. The recovery key can stand in for the passphrase",
    )


def _refuse_foreign_content(store: Store) -> None:
    """A repository is only made in an empty place: a mistyped address must not fill a folder of something else."""
    from storage.format.key_slot import slot_of_name

    found = [item.name for item in store.list("")]
    if any(name.startswith("snapshots/") for name in found) and CONFIGURATION_NAME not in found:
        raise NotARepository(
            f"The repository at {store.url} has lost its {CONFIGURATION_NAME}",
            "Put that file back from a copy of the repository; everything else is still there",
        )
    # Key slots alone are what a creation leaves that was cut short.
    foreign = [name for name in found if slot_of_name(name) is None]
    if foreign and CONFIGURATION_NAME not in found:
        raise NotARepository(
            f"{store.url} is no repository, but is not empty either (it holds {foreign[0]!r})",
            "Name an empty place for the repository, or the place where it is",
        )
