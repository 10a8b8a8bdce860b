"""Which deployments there are, as data: `registering` brings a server in step with it; prefect.yaml tells the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import tzlocal
from pydantic import SecretStr

from deployments.schedules import DAILY, EVERY_HALF_HOUR, WEEKLY, Schedule, every_half_hour
from deployments.work_pools import DEFAULT_QUEUE, marked, queue_of, safe_name
from profiles.base_folder import find_base_folder
from profiles.discovery import discover
from profiles.errors import ProfileError
from recollect.settings import Settings
from tasks.this_computer import HOST_TAG, this_host

TAG = "recollect"
PROFILE_TAG = "profile:"

_SEPARATOR = " on "


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
    """The address to call when somebody should be told."""
    overdue_hours: int = 26
    """For how long a profile may go without a good backup before somebody is told."""
    remarks: tuple[str, ...] = ()
    """What looked odd, in sentences."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A flow, with when and where it runs and how."""

    name: str
    flow: str
    entrypoint: str
    description: str
    parameters: Mapping[str, object] = field(default_factory=dict, hash=False)
    """They stand here and not on the schedule, for there Prefect loses them when someone switches it off and on."""
    schedule: Schedule | None = None
    alone: bool = True
    """Whether a run that would begin while another is under way is left out: the one under way does its work."""
    queue: str = DEFAULT_QUEUE
    tags: tuple[str, ...] = (TAG,)
    starts_with_pool: bool = False
    """Whether it also runs when the first worker arrives."""
    profile: str | None = None


REFRESH = Deployment(
    "refresh-deployments",
    "refresh-deployments",
    "deployments.refresh.refresh_deployments",
    "Bring this server in step with the profiles found: new ones are backed up from now on, those of profiles that "
    "are gone are paused, and forms offer what there is.",
    schedule=EVERY_HALF_HOUR,
    starts_with_pool=True,
)

FOR_ALL = (
    Deployment(
        "back-up-all",
        "back-up-all",
        "flows.backup_all.back_up_all",
        "Back up all profiles now.",
    ),
    Deployment(
        "restore-profile",
        "restore-profile",
        "flows.restore.restore_profile",
        "Restore a snapshot of an Anki profile: into an empty folder, a new profile or in place.",
        alone=False,
    ),
    Deployment(
        "export-colpkg",
        "export-colpkg",
        "flows.export.export_colpkg",
        "Write a snapshot of an Anki profile as a package that Anki imports.",
        alone=False,
    ),
    Deployment(
        "recover-notes",
        "recover-notes",
        "flows.recover.recover_notes",
        "Get single notes or decks back, as a package, as text files or into the profile.",
        alone=False,
    ),
    Deployment(
        "adopt-backups",
        "adopt-backups",
        "flows.adopt.adopt_backups",
        "Make snapshots of the backups that Anki itself has written.",
    ),
    Deployment(
        "prune",
        "prune",
        "flows.prune.prune",
        "Let go of the snapshots that the retention limits no longer hold, and free the space that nothing needs.",
        schedule=DAILY,
    ),
    Deployment(
        "verify",
        "verify",
        "flows.verify.verify",
        "Check that every snapshot can be restored; each week a share of the stored bytes is read back.",
        parameters={"read_percent": 5},
        schedule=WEEKLY,
    ),
    REFRESH,
)
"""The deployments that belong to no computer, as prefect.yaml has them, too."""


def deployment_of(profile: str, host: str) -> Deployment:
    """The backups of one profile of one computer."""
    name = deployment_name(profile, host)
    return Deployment(
        name,
        "back-up-profile",
        "flows.backup.back_up_profile",
        f"Back up the Anki profile {profile} of {host}: its collection, its media and its deletion log.",
        parameters={"profile": profile},
        schedule=every_half_hour(name),
        queue=queue_of(host),
        tags=(TAG, f"{HOST_TAG}{host}", f"{PROFILE_TAG}{profile}"),
        profile=profile,
    )


def deployment_name(profile: str, host: str) -> str:
    """A name for the backups of a profile of a computer that no other pair of them has."""
    name = safe_name(f"{profile}{_SEPARATOR}{host}")
    if _SEPARATOR in profile or _SEPARATOR in host:
        return marked(name, f"{len(profile)} {profile}{host}")
    return name


def refresh_of(host: str) -> Deployment:
    """The refreshing that a computer does for itself, where several share a server."""
    name = safe_name(f"{REFRESH.name}{_SEPARATOR}{host}")
    return Deployment(
        name,
        REFRESH.flow,
        REFRESH.entrypoint,
        f"Bring this server in step with the profiles found on {host}.",
        schedule=every_half_hour(name),
        queue=queue_of(host),
        tags=(TAG, f"{HOST_TAG}{host}"),
    )


def deployments_for(machine: Machine, *, others: bool = False) -> tuple[Deployment, ...]:
    """All deployments that a computer sees to; `others` says whether there are other computers on the server."""
    own = (refresh_of(machine.host),) if others else ()
    return (*(deployment_of(profile, machine.host) for profile in machine.profiles), *FOR_ALL, *own)


def this_machine(settings: Settings) -> Machine:
    """What this computer brings. Anki's folder that is missing or can't be read becomes a remark."""
    try:
        found = discover(find_base_folder(settings.base))
        profiles, remarks = found.profiles, found.remarks
    except ProfileError as error:
        profiles, remarks = None, (f"{error.problem}. {error.advice}",)
    return Machine(
        this_host(settings),
        own_time_zone(),
        tuple(profile.name for profile in profiles or () if profile.can_be_backed_up),
        tuple(profile.name for profile in profiles or () if not profile.can_be_backed_up),
        profiles is not None,
        ("default", *sorted(settings.repositories, key=str.casefold)),
        settings.notify,
        settings.overdue_hours,
        remarks,
    )


def own_time_zone() -> str:
    """The IANA name of the time zone that this computer is set to; UTC where it has none."""
    try:
        return tzlocal.get_localzone_name() or "UTC"
    except (LookupError, OSError, ValueError):
        return "UTC"
