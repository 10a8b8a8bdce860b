"""Where the secret of an encrypted repository comes from. Settings name places; a passphrase itself stands in none.

Each repository has at most one of them. The passphrase itself is taken from the environment only: files of settings are
copied, shown and put under version control.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from recollect.setting_types import FullPath

SECRET_SETTINGS = ("passphrase", "passphrase_file", "passphrase_command", "passphrase_block", "key_file")

S = TypeVar("S")


def _command(value: object) -> object:
    """The arguments of a command: a list, as JSON too, or a line that is taken apart as a shell would."""
    if not isinstance(value, str):
        return value
    fault = "should be a list of arguments, or a line in which every quote is closed"
    try:
        arguments = json.loads(value) if value.lstrip().startswith("[") else shlex.split(value)
    except (ValueError, RecursionError):
        raise ValueError(fault) from None
    if not isinstance(arguments, list) or not all(isinstance(argument, str) for argument in arguments):
        raise ValueError(fault)
    return tuple(arguments)


Passphrase = Annotated[
    SecretStr | None,
    Field(description="the passphrase of an encrypted repository; in the environment only, never in a file"),
]
PassphraseFile = Annotated[
    FullPath | None, Field(description="a file whose content is the passphrase; a line break at its end does not count")
]
PassphraseCommand = Annotated[
    Annotated[tuple[str, ...], Field(min_length=1)] | None,
    NoDecode,
    BeforeValidator(_command),
    Field(
        repr=False,
        description="a command that prints the passphrase: a list of arguments, or a line; no shell is involved",
    ),
]
PassphraseBlock = Annotated[
    Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,99}$")] | None,
    Field(
        description="the name of a Prefect Secret block that holds the passphrase: lower-case letters, digits and -",
    ),
]
KeyFile = Annotated[FullPath | None, Field(description="a key file, made by `recollect init` or `recollect key add`")]


@dataclass(frozen=True, slots=True)
class SecretPlace:
    """Where the secret of one repository is; at most one of these is set, and none of them is shown."""

    passphrase: str | None = field(default=None, repr=False)
    passphrase_file: Path | None = field(default=None, repr=False)
    passphrase_command: tuple[str, ...] | None = field(default=None, repr=False)
    passphrase_block: str | None = field(default=None, repr=False)
    key_file: Path | None = field(default=None, repr=False)

    @property
    def is_set(self) -> bool:
        """Whether there is any."""
        return self != SecretPlace()


def secret_place(settings: object) -> SecretPlace:
    """What the settings of a repository, or those for all, say of its secret."""
    found = {name: getattr(settings, name) for name in SECRET_SETTINGS}
    if isinstance(passphrase := found["passphrase"], SecretStr):
        found["passphrase"] = passphrase.get_secret_value()
    return SecretPlace(**found)


def one_secret_at_most(settings: S) -> S:
    """The settings as they are. Raises ValueError when more than one of those for secrets is set."""
    given = [name for name in SECRET_SETTINGS if getattr(settings, name) is not None]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} are set, and only one of them can be")
    return settings


def names_a_secret(values: object) -> bool:
    """Whether any of the settings for secrets stands in the table `values`."""
    return isinstance(values, dict) and not values.keys().isdisjoint(SECRET_SETTINGS)


def without_secrets(values: dict[str, Any]) -> dict[str, Any]:
    """The table `values` without the settings for secrets."""
    return {name: value for name, value in values.items() if name not in SECRET_SETTINGS}
