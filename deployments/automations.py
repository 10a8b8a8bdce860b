"""Automations that come with Recollect: what the server does by itself when something happens, or fails to.

Each is known by its name. One that somebody switched off stays off; all else about them is ours.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.events.schemas.automations import Automation, AutomationCore

from deployments.catalog import DEFAULT_REPOSITORY, TAG, Machine, deployment_of
from deployments.catalog import FOR_ALL as DEPLOYMENTS
from deployments.notifying import bring_address, remove_address
from deployments.work_pools import WORK_POOL

ZOMBIES = "Recollect: runs that died unseen"
SKIPPED = "Recollect: runs left out"
REFRESH = "Recollect: refresh when a worker is there"
FAILED = "Recollect: tell that a backup failed on {host}"
SUSPECT = "Recollect: tell that a backup looks suspect on {host}"
UPKEEP = "Recollect: tell that upkeep failed on {host}"
OVERDUE = "Recollect: tell that a good backup is overdue on {host}"
OVERDUE_FURTHER = "Recollect: tell that a good backup to a further repository is overdue on {host}"
CRASHED = "Recollect: tell {host} that a run died"

SKIPPED_MESSAGE = "Another run of this was under way. It does the work."

_OURS = {"prefect.resource.id": f"prefect.tag.{TAG}", "prefect.resource.role": "tag"}
_RUNS = {"prefect.resource.id": "prefect.flow-run.*"}
_FLOWS = {known.flow for known in (*DEPLOYMENTS, deployment_of("", ""))}
_EACH = ["prefect.resource.id"]
_EACH_INTO_EACH = ["prefect.resource.id", "recollect.into"]
"""Each profile, and for each repository that it is backed up to."""
_UNSEEN_FOR = timedelta(seconds=540)
"""Three heartbeats, as Prefect's page on zombie flows has it."""
_WHO = (
    "{{ event.resource['recollect.profile'] or event.resource.name or 'a repository' }}"
    "{% if event.resource['recollect.host'] %} on {{ event.resource['recollect.host'] }}{% endif %}"
    "{% if event.resource['recollect.into'] and event.resource['recollect.into'] != '" + DEFAULT_REPOSITORY + "' %}"
    " ({{ event.resource['recollect.into'] }}){% endif %}"
)
_WHAT = (
    "{{ event.event.split('.')[1] | capitalize }} of " + _WHO + ": {{ event.event.split('.')[2] }}. "
    "{{ event.payload['message'] }}"
)
_QUIET_FOR = timedelta(hours=12)
"""A repository that can't be reached fails every backup, each half hour."""
_A_DAY_H = 24
"""Backups to further repositories are a day apart: so much later it can be told that one did not come."""
_PAGE = 200


def always(refresh: UUID | None) -> list[AutomationCore]:
    """Those that every server gets."""
    found = [
        _automation(
            ZOMBIES,
            "A run whose computer was switched off, or whose worker was killed with it, would be shown as running for "
            "ever.",
            # Each state of ours has a name of its own, and so has each event.
            {
                "posture": "Proactive",
                "after": ["prefect.flow-run.heartbeat"],
                "expect": ["prefect.flow-run.*"],
                "match": _RUNS,
                # By its flow, for a run within a run, or one from the command line, has no tag.
                "match_related": {"prefect.resource.role": "flow", "prefect.resource.name": sorted(_FLOWS)},
                "for_each": _EACH,
                "within": _UNSEEN_FOR,
            },
            {
                "type": "change-flow-run-state",
                "state": "CRASHED",
                "message": "Nothing was heard of this run for nine minutes: its computer was switched off, or its "
                "worker was killed. Nothing is broken by that; the next run does the work.",
            },
        ),
        _automation(
            SKIPPED,
            "A run that did not begin because another of the same deployment was under way was cancelled by nobody.",
            {
                "expect": ["prefect.flow-run.Cancelled"],
                "match": _RUNS | {"prefect.state-message": "Deployment concurrency limit reached."},
                "match_related": _OURS,
                "for_each": _EACH,
            },
            {"type": "change-flow-run-state", "state": "COMPLETED", "name": "Skipped", "message": SKIPPED_MESSAGE},
        ),
    ]
    if refresh is not None:
        found.append(
            _automation(
                REFRESH,
                "The first worker that arrives brings the deployments in step.",
                {"expect": ["prefect.work-pool.ready"], "match": {"prefect.resource.name": WORK_POOL}},
                {"type": "run-deployment", "source": "selected", "deployment_id": refresh},
                owner=f"prefect.deployment.{refresh}",
            )
        )
    return found


def telling(machine: Machine, address: UUID) -> list[AutomationCore]:
    """Those that tell somebody about one computer, for each may have another address."""
    host = machine.host
    told = [
        _automation(
            FAILED.format(host=host),
            "Somebody is told when a backup fails; of the same profile again after half a day.",
            _about(host, {"recollect.backup.failed", "recollect.refresh.failed"}) | _NOT_AGAIN_AT_ONCE,
            _tell(address, _WHAT),
        ),
        _automation(
            SUSPECT.format(host=host),
            "Somebody is told when a profile looks as if it lost much; of the same profile again after half a day.",
            _about(host, {"recollect.backup.suspect"}) | _NOT_AGAIN_AT_ONCE,
            _tell(address, _WHAT),
        ),
        _automation(
            UPKEEP.format(host=host),
            "Somebody is told when pruning, freeing space or verifying fails.",
            _about(host, {"recollect.prune.failed", "recollect.sweep.failed", "recollect.verify.failed"}),
            _tell(address, _WHAT),
        ),
        _automation(
            CRASHED.format(host=host),
            "Somebody is told when a run dies without having been able to say why.",
            {"expect": ["prefect.flow-run.Crashed"], "match": _RUNS, "match_related": _OURS, "for_each": _EACH},
            _tell(address, "The run {{ flow_run.name }} of {{ flow.name }} died. {{ flow_run.state.message }}"),
        ),
        _overdue(OVERDUE, host, [DEFAULT_REPOSITORY], machine.overdue_hours, address),
    ]
    if machine.further:
        # One that was backed up to once by hand is none that backups are missed in.
        repositories = sorted(machine.further)
        told.append(_overdue(OVERDUE_FURTHER, host, repositories, machine.overdue_hours + _A_DAY_H, address))
    return told


_GOOD = {"recollect.backup.completed", "recollect.backup.unchanged"}
_NOT_AGAIN_AT_ONCE = {"for_each": _EACH_INTO_EACH, "within": _QUIET_FOR}


def _overdue(name: str, host: str, repositories: list[str], hours: int, address: UUID) -> AutomationCore:
    """Each profile is watched for each repository: a backup that is good to have in one place is none in another."""
    return _automation(
        name.format(host=host),
        f"Somebody is told when a profile had no good backup for {hours} hours, whatever the reason. Watched: "
        f"{', '.join(repositories)}.",
        {
            "posture": "Proactive",
            "after": ["recollect.backup.*"],
            "expect": sorted(_GOOD),
            "match": {
                "prefect.resource.id": "recollect.profile.*",
                "recollect.host": host,
                "recollect.into": repositories,
            },
            "for_each": _EACH_INTO_EACH,
            "within": timedelta(hours=hours),
        },
        _tell(
            address,
            f"No good backup of {_WHO} for {hours} hours. See that the computer is on, that its worker runs, and that "
            "the repository can be reached.",
        ),
    )


def _about(host: str, events: Collection[str]) -> dict[str, Any]:
    return {
        "expect": sorted(events),
        "match": {"prefect.resource.id": "recollect.*", "recollect.host": host},
        "for_each": _EACH,
    }


def _automation(
    name: str, about: str, trigger: Mapping[str, Any], action: Mapping[str, Any], owner: str | None = None
) -> AutomationCore:
    return AutomationCore.model_validate(
        {
            "name": name,
            "description": about,
            "trigger": {"type": "event", **trigger},
            "actions": [action],
            "owner_resource": owner,
        }
    )


def _tell(address: UUID, sentence: str) -> dict[str, Any]:
    # As a JSON object that Slack, Mattermost, Rocket.Chat, Google Chat and others take.
    payload = "{% set sentence %}Recollect: " + sentence + '{% endset %}{"text": {{ sentence | string | tojson }}}'
    return {"type": "call-webhook", "block_document_id": address, "payload": payload}


FOR_ALL = (ZOMBIES, SKIPPED, REFRESH)
FOR_ONE = (FAILED, SUSPECT, UPKEEP, CRASHED, OVERDUE, OVERDUE_FURTHER)


async def bring_automations(server: PrefectClient, machine: Machine, refresh: UUID | None) -> tuple[str, ...]:
    """Add, change or remove our automations for all and for this computer; the names of those that were not right."""
    there = await _there(server, {*FOR_ALL, *(name.format(host=machine.host) for name in FOR_ONE)})
    wanted = always(refresh)
    if machine.notify is not None:
        address = await bring_address(server, machine.host, machine.notify)
        wanted += telling(machine, address)
    touched: list[str] = []
    for automation in wanted:
        known = there.pop(automation.name, [])
        if len(known) == 1 and _meaning(known[0]) == _meaning(automation):
            continue
        enabled = all(found.enabled for found in known)
        await server.create_automation(automation.model_copy(update={"enabled": enabled}))
        await _delete(server, known)
        touched.append(automation.name)
    for name, unwanted in there.items():
        await _delete(server, unwanted)
        touched.append(name)
    if machine.notify is None:
        await remove_address(server, machine.host)
    return tuple(touched)


async def _there(server: PrefectClient, names: Collection[str]) -> dict[str, list[Automation]]:
    """The automations of those names that there are; more than one where two computers were at it at once."""
    found: dict[str, list[Automation]] = {}
    offset = 0
    while page := await server.read_automations(limit=_PAGE, offset=offset):
        for automation in page:
            if automation.name in names:
                found.setdefault(automation.name, []).append(automation)
        offset += len(page)
        if len(page) < _PAGE:
            break
    return found


async def _delete(server: PrefectClient, automations: Sequence[Automation]) -> None:
    for automation in automations:
        await server.delete_automation(automation.id)


def _meaning(automation: AutomationCore) -> dict[str, Any]:
    """What counts when two are compared: not the ids of triggers, nor whether it is switched on."""
    return automation.model_dump(include=_MEANT)


_MEANT: dict[str, Any] = {
    "name": True,
    "description": True,
    "actions": True,
    "trigger": {"posture", "after", "expect", "match", "match_related", "for_each", "threshold", "within"},
}
