"""What a system is told to start with the session: `recollect up`, with the settings in force, and no secret.

Whoever may read the files of a user's session, or a copy of them, learns nothing that opens a repository.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deployments.local.environment import settings_environment
from deployments.program import program
from recollect.addresses import shown_url
from recollect.errors import RecollectError
from recollect.settings import Settings
from recollect.settings_file import PREFIX

NAME = "recollect"

_CARRIED = {
    *("base", "cache", "config", "host", "state"),
    *("daily", "weekly", "monthly", "at_once", "uploads"),
    *("passphrase_file", "passphrase_block", "key_file"),
}
"""Settings that name places and amounts. What is in none of them may be, or hold, a secret."""


class ServiceRefused(RecollectError):
    """What is to be started can't be written down for this system, or the system is none that is known."""

    code = "service-refused"


@dataclass(frozen=True, slots=True)
class Service:
    """What to start: a command, with the variables that it finds in its environment."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(hash=False)
    log: Path
    remark: str | None = None
    """What was left out, in a sentence."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A service in the words of one system: a file, and the commands by which the system takes note of it."""

    system: str
    file: Path
    text: str
    enable: tuple[tuple[str, ...], ...]
    disable: tuple[tuple[str, ...], ...]
    show: tuple[str, ...]
    """A command that ends with 0 when the system knows of it."""
    advice: str
    """When it starts, and what to do for more, in a sentence or two."""
    encoding: str = "utf-8"


def service_for(settings: Settings, inherited: Mapping[str, str], log: Path, options: tuple[str, ...] = ()) -> Service:
    """The service of these settings. Raises ServiceRefused when a control character would have to be written down."""
    found = settings_environment(inherited, settings) | {f"{PREFIX}STATE": str(settings.state)}
    environment, left_out = {}, []
    for variable, value in sorted(found.items()):
        name = variable.upper().removeprefix(PREFIX).lower()
        if not variable.upper().startswith(PREFIX) or not value:
            continue
        if name in _CARRIED or (name == "repo" and shown_url(value) == value):
            environment[variable.upper()] = value
        else:
            left_out.append(variable)
    command = (*program(), "up", *options)
    for text in (*command, *environment.values(), str(log)):
        if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
            raise ServiceRefused(
                f"{text!r} holds a control character, which can't stand in such a file",
                "Give the folder or the setting another name",
            )
    remark = (
        f"{', '.join(left_out)} may hold a secret, so what starts with the session will not know of it: put what is "
        "needed into recollect.toml, and a passphrase into a file that passphrase_file names there."
    )
    return Service(command, environment, log, remark if left_out else None)


def unit_for(service: Service) -> Unit:
    """The service as this system wants it. Raises ServiceRefused on one that is not known."""
    # Each speaks of folders that only its own system has.
    if sys.platform == "darwin":
        from deployments.services.launchd import launchd_unit  # noqa: PLC0415

        return launchd_unit(service)
    if sys.platform == "win32":
        from deployments.services.task_scheduler import task_scheduler_unit  # noqa: PLC0415

        return task_scheduler_unit(service)
    if sys.platform == "linux":
        from deployments.services.systemd import systemd_unit  # noqa: PLC0415

        return systemd_unit(service)
    raise ServiceRefused(
        f"How {sys.platform} starts programs with the session is not known here",
        f"Let it run `{' '.join(service.command)}` at login",
    )
