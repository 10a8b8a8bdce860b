"""Which deployments a server has already, and what of them is about something that is there no more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.responses import DeploymentResponse

from deployments.catalog import DEFAULT_REPOSITORY, PROFILE_TAG, REPOSITORY_TAG, Machine, deployment_of
from deployments.forms import Choices
from tasks.this_computer import HOST_TAG

GONE_TAG = "gone"
"""On the deployment of a profile or repository that is gone. It tells a pause of ours from one that somebody chose."""

BACKUPS = deployment_of("", "").flow
"""The flow of the deployments that are about a profile."""
_PAGE = 200


@dataclass(frozen=True, slots=True)
class There:
    """A deployment that the server has."""

    flow: str
    found: DeploymentResponse

    @property
    def host(self) -> str | None:
        return self._tagged(HOST_TAG)

    @property
    def profile(self) -> str | None:
        return self._tagged(PROFILE_TAG)

    @property
    def repository(self) -> str | None:
        """The further repository that it is for."""
        return self._tagged(REPOSITORY_TAG)

    def _tagged(self, kind: str) -> str | None:
        return next((tag.removeprefix(kind) for tag in self.found.tags if tag.startswith(kind)), None)

    @property
    def gone(self) -> bool:
        return GONE_TAG in self.found.tags

    @property
    def repositories(self) -> list[str]:
        """Those that its form offers."""
        properties = (self.found.parameter_openapi_schema or {}).get("properties", {})
        return list(properties.get("repository", {}).get("enum", ()))


async def deployments_there(server: PrefectClient, flows: Iterable[str]) -> dict[tuple[str, str], There]:
    """The deployments of those flows, by the flow's name and their own."""
    wanted = FlowFilter(name=FlowFilterName(any_=sorted(flows)))
    flow_names = {found.id: found.name for found in await server.read_flows(flow_filter=wanted)}
    there: dict[tuple[str, str], There] = {}
    while page := await server.read_deployments(flow_filter=wanted, limit=_PAGE, offset=len(there)):
        before = len(there)
        for found in page:
            flow = flow_names.get(found.flow_id, "")
            there[flow, found.name] = There(flow, found)
        if len(page) < _PAGE or len(there) == before:
            break
    return there


def what_forms_offer(machine: Machine, there: Iterable[There]) -> tuple[Choices, bool]:
    """What the forms of deployments for all computers offer, and whether there is another computer than this one."""
    backups = [known for known in there if known.flow == BACKUPS and known.profile and known.host]
    elsewhere = [known for known in backups if known.host != machine.host]
    living = {known.profile or "" for known in elsewhere if not known.gone} | set(machine.profiles)
    if not machine.profiles_known:
        living |= {known.profile or "" for known in backups if not known.gone}
    lost = ({known.profile or "" for known in backups} | set(machine.empty_profiles)) - living
    # In an order that is the same on every computer: else each would undo what the other did.
    repositories = {*machine.all_repositories, *(name for known in elsewhere for name in known.repositories)}
    offered = Choices(
        tuple(sorted(living, key=_as_people_sort)),
        tuple(sorted(lost, key=_as_people_sort)),
        (DEFAULT_REPOSITORY, *sorted(repositories - {DEFAULT_REPOSITORY}, key=_as_people_sort)),
    )
    return offered, bool(elsewhere)


def _as_people_sort(name: str) -> tuple[str, str]:
    return name.casefold(), name


def what_is_gone(machine: Machine, there: Iterable[There]) -> list[There]:
    """What is about a profile of this computer, or a repository, that is there no more, but for what is paused already.

    One that somebody paused gets no mark of ours, so it stays paused when the profile or repository comes back.
    """
    return [
        known
        for known in there
        if not known.found.paused
        and not known.gone
        and (_is_of_gone_profile(machine, known) or _is_of_gone_repository(machine, known))
    ]


def _is_of_gone_profile(machine: Machine, known: There) -> bool:
    if not machine.profiles_known or known.flow != BACKUPS or known.host != machine.host or known.profile is None:
        return False
    return known.profile not in {*machine.profiles, *machine.empty_profiles}


def _is_of_gone_repository(machine: Machine, known: There) -> bool:
    if known.repository is None:
        return False
    if known.host is None:
        return known.repository not in machine.blocks
    if known.host != machine.host:
        return False
    return known.repository not in (machine.further if known.flow == BACKUPS else machine.further_here)


def told_of(machine: Machine, lost: Sequence[There]) -> Iterator[str]:
    """A sentence for each profile and each repository that is gone."""
    of_profiles = {known.found.id for known in lost if _is_of_gone_profile(machine, known)}
    for profile in dict.fromkeys(known.profile for known in lost if known.found.id in of_profiles):
        yield (
            f"The profile {profile} is gone from {machine.host}, so its backups are paused. They go on by themselves "
            "when it comes back"
        )
    for repository in dict.fromkeys(known.repository for known in lost if known.found.id not in of_profiles):
        yield (
            f"{machine.host} has no further repository {repository} any more, so what was done for that one by itself "
            "is paused. It goes on when the repository comes back"
        )
