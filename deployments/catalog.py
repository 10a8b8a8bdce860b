"""Which deployments there are, as data. `registering` brings a server in step with it, and prefect.yaml tells the same."""

from __future__ import annotations

from dataclasses import dataclass

import tzlocal
from pydantic import SecretStr

from profiles.base_folder import find_base_folder
from profiles.discovery import discover
from profiles.errors import ProfileError
from recollect.settings import Settings
from tasks.this_computer import this_host


@dataclass(frozen=True, slots=True)
class Machine:
    """What this computer brings to a server."""

    host: str
    time_zone: str
    """Its IANA name, such as Europe/Berlin."""
    profiles: tuple[str, ...]
    """Names of the profiles that can be backed up."""
    empty_profiles: tuple[str, ...] = ()
    """Names in Anki's list without a collection: nothing to schedule, and nothing that could be called gone."""
    profiles_known: bool = True
    """Whether Anki's folder could be looked at. Where it could not, no profile is taken to be gone."""
    repositories: tuple[str, ...] = ("default",)
    """Names in the settings, "default" first."""
    notify: SecretStr | None = None
    """Where to tell someone."""
    remarks: tuple[str, ...] = ()
    """What looked odd, in sentences."""


def this_machine(settings: Settings) -> Machine:
    """What this computer brings. Anki's folder that is missing or can't be read becomes a remark."""
    repositories = ("default", *sorted(settings.repositories, key=str.casefold))
    host, time_zone = this_host(settings), own_time_zone()
    try:
        found = discover(find_base_folder(settings.base))
    except ProfileError as error:
        return Machine(host, time_zone, (), profiles_known=False, repositories=repositories, remarks=(str(error),))
    return Machine(
        host,
        time_zone,
        tuple(profile.name for profile in found.profiles if profile.can_be_backed_up),
        tuple(profile.name for profile in found.profiles if not profile.can_be_backed_up),
        repositories=repositories,
        remarks=found.remarks,
    )


def own_time_zone() -> str:
    """The IANA name of the time zone that this computer is set to; UTC where it has none."""
    try:
        return tzlocal.get_localzone_name() or "UTC"
    except (LookupError, OSError, ValueError):
        return "UTC"
