"""What would keep a run from going through when nobody sits at a terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from recollect.errors import RecollectError, RepositoryUnknown
from recollect.settings import RepositoryAddress, Settings, repository_address
from storage.errors import NotEncrypted
from storage.stores.address import safe_url
from tasks.known_repositories import known_repositories
from tasks.repositories import encrypted_place, on_this_computer
from tasks.settings_in_force import using


def what_needs_a_person(settings: Settings) -> tuple[str, ...]:
    """A sentence for each encrypted repository whose secret could only be typed.

    Looked at are what this computer remembers and its own disks; nothing is asked over the network.
    """
    return tuple(
        f"The repository at {address.shown} is encrypted, and its passphrase can only be typed: no run can open it by "
        f"itself. Put the passphrase into a file that only you can read, and name that one as "
        f"{'passphrase_file' if name == 'default' else f'repositories.{name}.passphrase_file'} in recollect.toml."
        for name, address in _addresses(settings)
        if not address.secret.is_set and _is_encrypted(settings, address, name)
    )


def _addresses(settings: Settings) -> Iterator[tuple[str, RepositoryAddress]]:
    for name in ("default", *sorted(settings.repositories)):
        # What stands in a block of the server has its secret there.
        with contextlib.suppress(RepositoryUnknown):
            yield name, repository_address(settings, name)


def _is_encrypted(settings: Settings, address: RepositoryAddress, name: str) -> bool:
    known = known_repositories(settings.state)
    try:
        seen = known.get(safe_url(address.url))
        if seen is not None:
            return seen.encrypted
        if not on_this_computer(address.url):
            return False
        with using(settings):
            encrypted_place(name)
    except NotEncrypted:
        return False
    except (RecollectError, OSError):
        # There is none yet, or it can't be looked at: the first run says so better.
        return False
    return True
