"""Where a repository that goes by a name is: what the settings say, else a Prefect block of that name."""

from __future__ import annotations

import re
from dataclasses import replace

from recollect.errors import RepositoryUnknown
from recollect.secret_settings import secret_place
from recollect.settings import RepositoryAddress, Settings, repository_address
from tasks.step import prefect_at_hand

BLOCK_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
"""What Prefect lets a block be called, as far as a name of a repository may be that long. Others no flow takes."""


def address_of(settings: Settings, name: str = "default") -> RepositoryAddress:
    """The address of the repository `name`, an address standing for itself; a name in the settings goes before a block.

    Raises SettingsInvalid where it is neither, and BlockUnusable for a block that is there and can't be used.
    """
    try:
        return repository_address(settings, name)
    except RepositoryUnknown as unknown:
        meant = settings.repo or name if name == "default" else name
        found = _in_block(meant)
        if found is None:
            raise RepositoryUnknown(_neither(unknown.problem, meant), unknown.advice) from None
    if meant != settings.repo:
        return found
    # As with a name in the settings: what stands beside `repo` is about the one that it names.
    own = secret_place(settings)
    return replace(
        found,
        name=meant,
        options={**found.options, **settings.repo_options},
        secret=own if own.is_set else found.secret,
    )


def _in_block(name: str) -> RepositoryAddress | None:
    if not prefect_at_hand() or not BLOCK_NAME.fullmatch(name):
        return None
    from tasks.repository_block import repository_in_block  # noqa: PLC0415 -- nobody else waits for Prefect

    return repository_in_block(name)


def _neither(problem: str, name: str) -> str:
    """The problem, and that no block was found where one was looked for."""
    looked = prefect_at_hand() and BLOCK_NAME.fullmatch(name)
    return f"{problem}, and no block of that name on the Prefect server" if looked else problem
