"""Which deployments there are, as data: `registering` brings a server in step with it; prefect.yaml tells the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import tzlocal
from pydantic import SecretStr

from deployments.schedules import (
    DAILY,
    EVERY_HALF_HOUR,
    WEEKLY,
    Schedule,
    every_half_hour,
    once_a_day,
    once_a_week,
)
from deployments.work_pools import DEFAULT_QUEUE, marked, queue_of, safe_name
from profiles.base_folder import find_base_folder
from profiles.discovery import discover
from profiles.errors import ProfileError
from recollect.errors import RecollectError
from recollect.settings import Settings, repository_address
from tasks.this_computer import HOST_TAG, this_host

TAG = "recollect"
PROFILE_TAG = "profile:"
REPOSITORY_TAG = "repository:"
"""On what a deployment is for that goes by a further repository, and by no other."""
DEFAULT_REPOSITORY = "default"

_SEPARATOR = " on "
_INTO = " to "


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
    repositories: tuple[str, ...] = (DEFAULT_REPOSITORY,)
    """Names in the settings, "default" first."""
    default_names: frozenset[str] = frozenset()
    """Names by which the default repository goes besides."""
    blocks: tuple[str, ...] = ()
    """Names of the repositories that stand in blocks of the server, once it was asked."""
    notify: SecretStr | None = None
    """The address to call when somebody should be told."""
    overdue_hours: int = 26
    """For how long a profile may go without a good backup before somebody is told."""
    remarks: tuple[str, ...] = ()
    """What looked odd, in sentences."""

    @property
    def all_repositories(self) -> tuple[str, ...]:
        """Names that a run on this computer may use. Those in the settings go before blocks of the same name."""
        return tuple(dict.fromkeys((*self.repositories, *self.blocks)))

    @property
    def further_here(self) -> tuple[str, ...]:
        """Repositories beside the default one that this computer alone knows."""
        return self._further(self.repositories)

    @property
    def further(self) -> tuple[str, ...]:
        """All repositories beside the default one to which this computer's profiles are backed up."""
        return self._further(self.all_repositories)

    def _further(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in names if name != DEFAULT_REPOSITORY and name not in self.default_names)


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
    repository: str | None = None
    """The further repository that it is for; None where it is for the default one, or for whichever is chosen."""
    host: str | None = None
    """The computer that it belongs to."""

    @property
    def about(self) -> dict[str, str]:
        """The parameters that make it what it is, so that they can't be others."""
        fixed = {"profile": self.profile, "repository": self.repository}
        return {name: value for name, value in fixed.items() if value is not None}


REFRESH = Deployment(
    "refresh-deployments",
    "refresh-deployments",
    "deployments.refresh.refresh_deployments",
    "Bring this server in step with the profiles found: new ones are backed up from now on, those of profiles that "
    "are gone are paused, and forms offer what there is.",
    schedule=EVERY_HALF_HOUR,
    starts_with_pool=True,
)

BACK_UP_ALL = Deployment(
    "back-up-all",
    "back-up-all",
    "flows.backup_all.back_up_all",
    "Back up all profiles now.",
)

_PRUNE = Deployment(
    "prune",
    "prune",
    "flows.prune.prune",
    "Let go of the snapshots that the retention limits no longer hold, and free the space that nothing needs.",
    schedule=DAILY,
)

_VERIFY = Deployment(
    "verify",
    "verify",
    "flows.verify.verify",
    "Check that every snapshot can be restored; each week a share of the stored bytes is read back.",
    parameters={"read_percent": 5},
    schedule=WEEKLY,
)

FOR_ALL = (
    BACK_UP_ALL,
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
    _PRUNE,
    _VERIFY,
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
        host=host,
    )


def further_deployment_of(profile: str, host: str, repository: str) -> Deployment:
    """The backups of one profile of one computer to a further repository."""
    backups = deployment_of(profile, host)
    # A repository's name holds no blank, so the last one parts it from the rest.
    name = f"{backups.name}{_INTO}{repository}"
    return replace(
        backups,
        name=name,
        description=f"Back up the Anki profile {profile} of {host} to the repository {repository} as well, once a day.",
        parameters={"profile": profile, "repository": repository},
        schedule=once_a_day(name),
        tags=(*backups.tags, f"{REPOSITORY_TAG}{repository}"),
        repository=repository,
    )


def care_for(repository: str, host: str | None) -> tuple[Deployment, Deployment]:
    """The pruning and the verifying of a further repository: by the computer that alone knows it, or by any."""
    return _for_repository(_PRUNE, repository, host), _for_repository(_VERIFY, repository, host)


def _for_repository(care: Deployment, repository: str, host: str | None) -> Deployment:
    name = f"{care.name} {repository}"
    if host is not None:
        name = safe_name(f"{name}{_SEPARATOR}{host}")
    return replace(
        care,
        name=name,
        description=f"For the repository {repository}: {care.description[0].lower()}{care.description[1:]}",
        parameters={**care.parameters, "repository": repository},
        schedule=once_a_week(name) if care.schedule is WEEKLY else once_a_day(name),
        queue=care.queue if host is None else queue_of(host),
        tags=(TAG, *([] if host is None else [f"{HOST_TAG}{host}"]), f"{REPOSITORY_TAG}{repository}"),
        repository=repository,
        host=host,
    )


def deployment_name(profile: str, host: str) -> str:
    """A name for the backups of a profile of a computer that no other pair of them has, with or without a repository.

    What could be read in two ways is marked.
    """
    whole = f"{profile}{_SEPARATOR}{host}"
    name = safe_name(whole)
    at = len(profile)
    if whole.find(_SEPARATOR) != at or whole.rfind(_SEPARATOR) != at or _INTO in whole[at + len(_SEPARATOR) - 1 :]:
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
        host=host,
    )


def back_up_all_of(host: str) -> Deployment:
    """The backing up of all profiles of one computer, where several share a server."""
    return Deployment(
        safe_name(f"all profiles{_SEPARATOR}{host}"),
        BACK_UP_ALL.flow,
        BACK_UP_ALL.entrypoint,
        f"Back up all profiles of {host} now.",
        queue=queue_of(host),
        tags=(TAG, f"{HOST_TAG}{host}"),
        host=host,
    )


def deployments_for(machine: Machine, *, others: bool = False) -> tuple[Deployment, ...]:
    """All deployments that a computer sees to; `others` says whether there are other computers on the server."""
    return (
        *(deployment_of(profile, machine.host) for profile in machine.profiles),
        *FOR_ALL,
        *_for_further_repositories(machine),
        *((refresh_of(machine.host), back_up_all_of(machine.host)) if others else ()),
    )


def _for_further_repositories(machine: Machine) -> Iterator[Deployment]:
    for repository in machine.further:
        for profile in machine.profiles:
            yield further_deployment_of(profile, machine.host, repository)
        yield from care_for(repository, machine.host if repository in machine.further_here else None)


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
        (DEFAULT_REPOSITORY, *sorted(settings.repositories, key=str.casefold)),
        _names_of_the_default(settings),
        notify=settings.notify,
        overdue_hours=settings.overdue_hours,
        remarks=remarks,
    )


def _names_of_the_default(settings: Settings) -> frozenset[str]:
    """Names of repositories that are the default one, for `repo` is that name, or their address is that of `repo`."""
    names = {name for name in (settings.repo,) if name is not None}
    try:
        default = repository_address(settings).url
    except RecollectError:  # a block of the server may go by that name
        return frozenset(names)
    return frozenset(names | {name for name, named in settings.repositories.items() if named.url == default})


def own_time_zone() -> str:
    """The IANA name of the time zone that this computer is set to; UTC where it has none."""
    try:
        return tzlocal.get_localzone_name() or "UTC"
    except (LookupError, OSError, ValueError):
        return "UTC"
