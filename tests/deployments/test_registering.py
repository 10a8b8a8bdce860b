"""What becomes of deployments on a real server, to which two computers register, and at which people turn things."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from pydantic import SecretStr

from deployments.automations import FOR_ALL as AUTOMATIONS
from deployments.automations import ZOMBIES
from deployments.catalog import FOR_ALL, deployment_of
from deployments.local.plans import Planned, planned
from deployments.notifying import block_of
from deployments.self_check import schedules_that_plan_nothing
from deployments.there import GONE_TAG
from tasks.repository_block import RecollectRepository
from tests.deployments.hastened import end_in_silence, hastened, sign_of_life
from tests.deployments.workplace import Workplace, until
from tests.servers.prefect_server import OURS, PrefectServer, prefect_server
from tests.servers.webhook import Receiver, receiver

ALL = sorted(deployment.name for deployment in FOR_ALL)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    with prefect_server(tmp_path_factory.mktemp("registering"), OURS) as started:
        yield started


@pytest.fixture
def place(server: PrefectServer, tmp_path: Path) -> Workplace:
    """A server without a worker, and without what the test before has left."""
    place = Workplace(server, tmp_path)
    for name in place.names():
        place.send("DELETE", f"deployments/{place.deployment(name)['id']}")
    return place


def choices(place: Workplace, deployment: str, field: str) -> list[str]:
    """What a form offers for a field that takes one name, or several, or none."""
    found = place.deployment(deployment)["parameter_openapi_schema"]["properties"][field]
    variants = [variant.get("items", variant) for variant in (found, *found.get("anyOf", ()))]
    return next(variant["enum"] for variant in variants if "enum" in variant)


def test_registering_makes_all_that_is_needed_and_registering_again_touches_nothing(place: Workplace) -> None:
    first = place.register("Ada", "Ben")
    before = {name: place.deployment(name)["updated"] for name in place.names()}
    again = place.register("Ada", "Ben")

    assert sorted(first.added) == sorted(["Ada on laptop", "Ben on laptop", *ALL])
    assert place.send("GET", "work_pools/recollect")["type"] == "process"
    assert sorted(again.unchanged) == sorted(first.added)
    assert (again.added, again.changed, again.paused, again.resumed, again.automations) == ((), (), (), (), ())
    assert {name: place.deployment(name)["updated"] for name in place.names()} == before
    assert {found["name"] for found in place.send("POST", "automations/filter")} == set(AUTOMATIONS)


def test_schedules_stand_in_the_time_zone_of_the_computer_and_really_plan_runs(place: Workplace) -> None:
    place.register("Ada")
    zones = {
        name: [(plan["slug"], plan["schedule"]["timezone"]) for plan in place.deployment(name)["schedules"]]
        for name in place.names()
    }

    assert {name: zone for name, zone in zones.items() if zone} == {
        "Ada on laptop": [("every-half-hour", "Europe/Berlin")],
        "prune": [("daily", "Europe/Berlin")],
        "verify": [("weekly", "Europe/Berlin")],
        "refresh-deployments": [("every-half-hour", "Europe/Berlin")],
    }
    assert place.spoken_to(lambda: asyncio.run(schedules_that_plan_nothing(60))) is None


def test_a_schedule_that_makes_no_run_to_come_is_told_in_a_sentence(place: Workplace) -> None:
    place.register("Ada")
    assert place.spoken_to(lambda: asyncio.run(schedules_that_plan_nothing(60))) is None
    place.reschedule("prune", {"rrule": "DTSTART:20200101T000000Z\nRRULE:FREQ=DAILY;COUNT=1", "timezone": "UTC"})
    told = place.spoken_to(lambda: asyncio.run(schedules_that_plan_nothing(8)))
    place.edit("prune", paused=True)

    assert told is not None
    assert "The Prefect server has planned no run of prune, so nothing is going to run by itself" in told
    assert place.spoken_to(lambda: asyncio.run(schedules_that_plan_nothing(60))) is None


def test_a_profile_that_is_gone_is_paused_and_one_that_came_back_goes_on(place: Workplace) -> None:
    place.register("Ada", "Ben")
    gone = place.register("Ada")
    still = place.register("Ada")
    paused = place.deployment("Ben on laptop")
    offered = choices(place, "restore-profile", "profile"), choices(place, "back-up-all", "profiles")
    back = place.register("Ada", "Ben")

    assert gone.paused == ("Ben on laptop",)
    assert "The profile Ben is gone from laptop, so its backups are paused" in gone.remarks[0]
    assert (paused["paused"], GONE_TAG in paused["tags"]) == (True, True)
    assert (still.paused, still.remarks) == ((), ())
    assert offered == (["Ada", "Ben"], ["Ada"])
    assert back.resumed == ("Ben on laptop",)
    resumed = place.deployment("Ben on laptop")
    assert (resumed["paused"], GONE_TAG in resumed["tags"]) == (False, False)


def test_a_profile_that_somebody_paused_stays_paused_when_it_comes_back(place: Workplace) -> None:
    place.register("Ada", "Ben")
    place.edit("Ben on laptop", paused=True)
    gone = place.register("Ada")
    back = place.register("Ada", "Ben")

    assert (gone.paused, back.resumed) == ((), ())
    assert place.deployment("Ben on laptop")["paused"]


def test_no_profile_is_gone_when_ankis_folder_could_not_be_looked_at(place: Workplace) -> None:
    place.register("Ada", "Ben")
    away = place.register(profiles_known=False, remarks=("The folder Anki2 does not exist",))
    emptied = place.register("Ada", empty_profiles=("Ben",))

    assert (away.paused, away.remarks) == ((), ("The folder Anki2 does not exist",))
    assert emptied.paused == ()
    assert not place.deployment("Ben on laptop")["paused"]
    assert choices(place, "back-up-all", "profiles") == ["Ada"]


def test_what_people_chose_on_a_deployment_stays(place: Workplace) -> None:
    place.register("Ada")
    (plan,) = place.deployment("Ada on laptop")["schedules"]
    moved = {"cron": "0 5 * * *", "timezone": "Asia/Tokyo", "day_or": True}
    place.edit(
        "Ada on laptop",
        parameters={"profile": "Ada", "force": True},
        job_variables={"env": {"RECOLLECT_UPLOADS": "1"}},
        tags=["recollect", "host:laptop", "profile:Ada", "mine"],
        schedules=[{"slug": plan["slug"], "active": False}],
    )
    place.edit("verify", parameters={"read_percent": 50})
    place.reschedule("prune", moved)
    again = place.register("Ada")

    assert again.changed == ()
    ada = place.deployment("Ada on laptop")
    assert ada["parameters"] == {"profile": "Ada", "force": True}
    assert ada["job_variables"] == {"env": {"RECOLLECT_UPLOADS": "1"}}
    assert "mine" in ada["tags"]
    assert [(plan["slug"], plan["active"]) for plan in ada["schedules"]] == [("every-half-hour", False)]
    assert place.deployment("verify")["parameters"] == {"read_percent": 50}
    assert place.deployment("prune")["schedules"][0]["schedule"] == moved


def test_what_a_deployment_is_about_is_put_right(place: Workplace) -> None:
    place.register("Ada")
    place.edit(
        "Ada on laptop",
        parameters={"unknown": 1},
        parameter_openapi_schema={"type": "object", "properties": {}},
        concurrency_limit=5,
        entrypoint="flows.nowhere",
    )
    again = place.register("Ada")

    assert again.changed == ("Ada on laptop",)
    ada = place.deployment("Ada on laptop")
    assert (ada["parameters"], ada["entrypoint"]) == ({"profile": "Ada"}, "flows.backup.back_up_profile")
    assert ada["global_concurrency_limit"]["limit"] == 1
    assert choices(place, "Ada on laptop", "profile") == ["Ada"]


def test_computers_offer_each_others_profiles_and_leave_each_others_backups_alone(
    place: Workplace,
) -> None:
    place.register("Ada", repositories=("default", "usb"))
    place.register("Cara", host="tower", repositories=("default", "nas"))
    first = place.register("Ada", repositories=("default", "usb"))
    again = place.register("Cara", host="tower", repositories=("default", "nas"))

    assert set(place.names()) - set(ALL) == {
        *further("Ada", "laptop", "usb"),
        *further("Cara", "tower", "nas"),
        "refresh-deployments on laptop",
        "refresh-deployments on tower",
        "all profiles on laptop",
        "all profiles on tower",
    }
    assert first.added == ("refresh-deployments on laptop", "all profiles on laptop")
    assert place.deployment("all profiles on tower")["work_queue_name"] == "tower"
    assert choices(place, "all profiles on tower", "profiles") == ["Cara"]
    assert "everywhere" in place.deployment("back-up-all")["parameter_openapi_schema"]["properties"]
    assert "everywhere" not in place.deployment("all profiles on tower")["parameter_openapi_schema"]["properties"]
    assert again.paused == ()
    assert place.deployment("refresh-deployments on tower")["work_queue_name"] == "tower"
    assert choices(place, "restore-profile", "profile") == ["Ada", "Cara"]
    assert set(choices(place, "prune", "repository")) == {"default", "nas", "usb"}
    assert choices(place, "Ada on laptop", "repository") == ["default", "usb"]


def test_a_repository_that_stands_in_a_block_can_be_chosen_and_its_kind_of_block_is_there(place: Workplace) -> None:
    place.register("Ada")
    kind = place.send("GET", "block_types/slug/recollect-repository")
    place.spoken_to(lambda: RecollectRepository.model_validate({"url": "s3://bucket/anki"}).save("nas"))
    changed = place.register("Ada", repositories=("default", "usb"))
    again = place.register("Ada", repositories=("default", "usb"))
    place.spoken_to(lambda: RecollectRepository.delete("nas"))

    assert (kind["name"], kind["logo_url"]) == ("Recollect Repository", None)
    assert {"Ada on laptop", *changed.added} == {
        *further("Ada", "laptop", "usb"),
        "Ada on laptop to nas",
        "prune nas",
        "verify nas",
    }
    assert set(changed.changed) == {"Ada on laptop", *ALL} - {"refresh-deployments"}
    assert (again.added, again.changed) == ((), ())
    assert choices(place, "Ada on laptop", "repository") == ["default", "usb", "nas"]
    assert choices(place, "verify", "repository") == ["default", "nas", "usb"]


def further(profile: str, host: str, repository: str) -> list[str]:
    """The deployments of a profile of a computer that knows one further repository."""
    own = f"{profile} on {host}"
    return [own, f"{own} to {repository}", f"prune {repository} on {host}", f"verify {repository} on {host}"]


USB: dict[str, Any] = {"repositories": ("default", "usb")}


def test_backups_to_a_further_repository_are_about_that_one_and_run_once_a_day(place: Workplace) -> None:
    added = place.register("Ada", **USB)
    again = place.register("Ada", **USB)
    to_usb = place.deployment("Ada on laptop to usb")
    (plan,) = to_usb["schedules"]

    assert {*further("Ada", "laptop", "usb")} <= {*added.added}
    assert added.new_profiles == ("Ada",)
    assert (again.added, again.changed, again.automations, again.new_profiles) == ((), (), (), ())
    assert to_usb["parameters"] == {"profile": "Ada", "repository": "usb"}
    assert choices(place, "Ada on laptop to usb", "profile") == ["Ada"]
    assert choices(place, "Ada on laptop to usb", "repository") == ["usb"]
    assert (to_usb["global_concurrency_limit"]["limit"], to_usb["work_queue_name"]) == (1, "laptop")
    assert (plan["slug"], plan["schedule"]["timezone"]) == ("daily", "Europe/Berlin")
    assert plan["schedule"]["cron"].endswith(" * * *")
    assert choices(place, "verify usb on laptop", "repository") == ["usb"]
    assert place.deployment("Ada on laptop")["parameters"] == {"profile": "Ada"}


def test_what_is_for_a_repository_that_is_gone_is_paused_and_goes_on_when_it_is_back(place: Workplace) -> None:
    place.register("Ada", "Ben", **USB)
    place.register("Cara", host="tower", **USB)
    place.edit("Ben on laptop to usb", paused=True)
    gone = place.register("Ada", "Ben")
    still = place.register("Ada", "Ben")
    paused = {name: place.deployment(name)["paused"] for name in place.names() if "usb" in name}
    back = place.register("Ada", "Ben", **USB)

    own = {"Ada on laptop to usb", "prune usb on laptop", "verify usb on laptop"}
    assert set(gone.paused) == own
    assert gone.remarks == (
        (
            "laptop has no further repository usb any more, so what was done for that one by itself is paused. It goes "
            "on when the repository comes back"
        ),
    )
    assert (still.paused, still.remarks) == ((), ())
    assert {name for name, is_paused in paused.items() if is_paused} == own | {"Ben on laptop to usb"}
    assert set(back.resumed) == own
    # That one somebody paused.
    assert place.deployment("Ben on laptop to usb")["paused"]
    assert not place.deployment("Ada on laptop to usb")["paused"]


def test_what_is_for_a_block_that_is_gone_is_paused_whichever_computer_notices(place: Workplace) -> None:
    def block() -> None:
        place.spoken_to(lambda: RecollectRepository.model_validate({"url": "s3://bucket/anki"}).save("cloud"))

    place.register("Ada")
    block()
    place.register("Ada")
    place.register("Cara", host="tower")
    both = {"prune cloud", "verify cloud"}
    made = {name for name in place.names() if "cloud" in name}
    place.spoken_to(lambda: RecollectRepository.delete("cloud"))
    by_tower = place.register("Cara", host="tower")
    by_laptop = place.register("Ada")
    block()
    back = place.register("Ada")
    place.spoken_to(lambda: RecollectRepository.delete("cloud"))

    assert made == both | {"Ada on laptop to cloud", "Cara on tower to cloud"}
    assert set(by_tower.paused) == both | {"Cara on tower to cloud"}
    assert by_laptop.paused == ("Ada on laptop to cloud",)
    assert set(back.resumed) == both | {"Ada on laptop to cloud"}


def test_a_profile_that_is_gone_takes_its_backups_to_further_repositories_along_and_is_told_once(
    place: Workplace,
) -> None:
    place.register("Ada", "Ben", **USB)
    gone = place.register("Ada", **USB)
    back = place.register("Ada", "Ben", **USB)

    assert set(gone.paused) == {"Ben on laptop", "Ben on laptop to usb"}
    assert len(gone.remarks) == 1
    assert (set(back.resumed), back.new_profiles) == ({*gone.paused}, ())


def test_what_people_chose_on_what_is_for_a_further_repository_stays_but_for_what_it_is_about(
    place: Workplace,
) -> None:
    place.register("Ada", **USB)
    hourly = {"cron": "0 * * * *", "timezone": "UTC", "day_or": True}
    place.reschedule("Ada on laptop to usb", hourly)
    place.edit("prune usb on laptop", schedules=[{"slug": "daily", "active": False}])
    place.edit("verify usb on laptop", parameters={"read_percent": 1}, enforce_parameter_schema=False)
    again = place.register("Ada", **USB)

    assert again.changed == ("verify usb on laptop",)
    assert place.deployment("Ada on laptop to usb")["schedules"][0]["schedule"] == hourly
    assert not place.deployment("prune usb on laptop")["schedules"][0]["active"]
    assert place.deployment("verify usb on laptop")["parameters"] == {"read_percent": 1, "repository": "usb"}


def test_no_picture_of_a_kind_of_block_is_asked_for_from_elsewhere(place: Workplace) -> None:
    with receiver() as notified:
        place.register("Ada", notify=SecretStr(notified.url))

    assert {kind["logo_url"] for kind in place.send("POST", "block_types/filter")} == {None}


def test_two_computers_do_not_undo_each_others_work_in_turn(place: Workplace) -> None:
    for _ in range(2):
        place.register("Ada", repositories=("default", "usb"))
        place.register("Cara", host="tower", repositories=("default", "nas"))
    before = place.deployment("prune")["updated"]
    place.register("Ada", repositories=("default", "usb"))
    place.register("Cara", host="tower", repositories=("default", "nas"))

    assert place.deployment("prune")["updated"] == before


def test_an_automation_that_somebody_switched_off_stays_off(place: Workplace) -> None:
    place.register("Ada")
    off = place.automation(AUTOMATIONS[0])
    place.send("PATCH", f"automations/{off['id']}", {"enabled": False})
    assert place.register("Ada").automations == ()

    assert {found["name"]: found["enabled"] for found in place.send("POST", "automations/filter")} == {
        name: name != AUTOMATIONS[0] for name in AUTOMATIONS
    }


def test_an_address_is_kept_as_a_secret_of_the_server_and_forgotten_when_it_is_not_set_any_more(
    place: Workplace,
) -> None:
    place.register("Ada")
    secret = SecretStr("http://127.0.0.1:9/a-secret-word")
    told = place.register("Ada", notify=secret)
    again = place.register("Ada", notify=secret)
    other = place.register("Cara", host="tower")
    blocks = place.send("POST", "block_documents/filter")
    shown = [blocks, *(place.send("POST", f"{what}/filter") for what in ("automations", "deployments"))]
    forgotten = place.register("Ada")

    assert len(told.automations) == 5
    assert (again.automations, other.automations) == ((), ())
    assert [block["name"] for block in blocks] == [block_of("laptop")]
    assert "a-secret-word" not in json.dumps(shown)
    assert sorted(forgotten.automations) == sorted(told.automations)
    assert place.send("POST", "block_documents/filter") == []


def heard(place: Workplace, event: str, profile: str, into: str = "default", **payload: str) -> None:
    """Let the server hear of how a backup ended, in the words of flows/report/events.py."""
    about = {
        "prefect.resource.id": f"recollect.profile.{profile}",
        "prefect.resource.name": profile,
        "recollect.profile": profile,
        "recollect.host": "laptop",
        "recollect.into": into,
    }
    place.emit(event, about, **payload)


def test_what_went_wrong_is_told_whatever_is_in_it_and_what_went_well_is_not(place: Workplace) -> None:
    with receiver() as notified:
        place.register("Ada", notify=SecretStr(notified.url))
        heard(place, "recollect.backup.completed", "Ada", message="1 MB added.")
        heard(place, "recollect.backup.suspect", 'Ben "x"', message='{{ 1 + 1 }} of\n"notes" <b>are</b> gone \\.')
        told = notified.sentence_about("", within_s=60)

        assert told == 'Recollect: Backup of Ben "x" on laptop: suspect. {{ 1 + 1 }} of\n"notes" <b>are</b> gone \\.'
        assert notified.received.empty()


def test_a_backup_that_fails_every_half_hour_is_told_once_and_leaves_other_news_their_place(place: Workplace) -> None:
    with receiver() as notified:
        place.register("Ada", notify=SecretStr(notified.url))
        heard(place, "recollect.backup.failed", "Dora", message="The disk is away.")
        first = notified.sentence_about("", within_s=60)
        heard(place, "recollect.backup.failed", "Dora", message="The disk is still away.")
        heard(place, "recollect.verify.failed", "Dora", message="It is damaged.")
        second = notified.sentence_about("", within_s=60)

        assert first == "Recollect: Backup of Dora on laptop: failed. The disk is away."
        assert second == "Recollect: Verify of Dora on laptop: failed. It is damaged."
        assert notified.received.empty()


_ACTIONS = {"filter": {"event": {"prefix": ["prefect.automation.action"]}}}


def test_a_receiver_that_fails_does_not_make_the_server_write_its_address_down(place: Workplace) -> None:
    with receiver("a-very-secret-word", status=500) as notified:
        place.register("Ada", notify=SecretStr(notified.url))
        heard(place, "recollect.backup.failed", "Cara", message="It is damaged.")
        notified.sentence_about("damaged", within_s=60)
        until(lambda: "500" in str(place.send("POST", "events/filter", _ACTIONS)["events"]))

    files = [path for path in place.server.home.parent.rglob("*") if path.is_file()]
    written = [path for path in files if path.suffix in {".log", ".db", ".db-wal"}]
    assert len(written) >= 2
    assert not any(b"a-very-secret-word" in path.read_bytes() for path in written)


def test_a_backup_that_does_not_come_is_told_for_the_profile_alone_that_has_none(place: Workplace) -> None:
    with receiver() as notified:
        place.register("Ada", notify=SecretStr(notified.url))
        with hastened(place, "Recollect: tell that a good backup is overdue on laptop", 26 * 3600):
            told = until(lambda: _told_while_ada_fails_and_ben_is_well(place, notified))

    assert told.startswith("Recollect: No good backup of Ada on laptop for 26 hours. ")


@pytest.mark.parametrize(
    ("missing", "hours", "told"),
    [
        ("default", 26, "Recollect: No good backup of Ada on laptop for 26 hours. "),
        ("usb", 50, "Recollect: No good backup of Ada on laptop (usb) for 50 hours. "),
    ],
)
def test_a_backup_to_one_repository_does_not_hide_that_another_gets_none(
    place: Workplace, missing: str, hours: int, told: str
) -> None:
    name = {
        "default": "Recollect: tell that a good backup is overdue on laptop",
        "usb": "Recollect: tell that a good backup to a further repository is overdue on laptop",
    }[missing]
    (other,) = {"default", "usb"} - {missing}

    def heard_of() -> str | None:
        heard(place, "recollect.backup.failed", "Ada", missing)
        heard(place, "recollect.backup.completed", "Ada", other)
        with suppress(Empty):
            return notified.sentence_about("No good backup", within_s=1)
        return None

    with receiver() as notified:
        place.register("Ada", notify=SecretStr(notified.url), **USB)
        # What goes elsewhere by hand is not missed there.
        assert place.automation(name)["trigger"]["match"]["recollect.into"] == [missing]
        with hastened(place, name, hours * 3600):
            assert until(heard_of).startswith(told)


def test_a_backup_that_fails_to_one_repository_is_told_though_one_to_another_failed_just_now(place: Workplace) -> None:
    with receiver() as notified:
        place.register("Ada", notify=SecretStr(notified.url), **USB)
        for into in ("default", "default", "usb"):
            heard(place, "recollect.backup.failed", "Eve", into, message="The disk is away.")
        told = {notified.sentence_about("", within_s=60) for _ in range(2)}

        assert told == {
            "Recollect: Backup of Eve on laptop: failed. The disk is away.",
            "Recollect: Backup of Eve on laptop (usb): failed. The disk is away.",
        }
        assert notified.received.empty()


def test_a_run_of_which_nothing_is_heard_any_more_ends_as_crashed(place: Workplace) -> None:
    place.register("Ada")
    flow = place.deployment("Ada on laptop")["flow_id"]
    # As within back-up-all: it has no deployment, and no tag.
    run = place.send("POST", "flow_runs/", {"flow_id": flow, "name": "Ada", "state": {"type": "RUNNING"}})

    with hastened(place, ZOMBIES, 540):
        sign_of_life(place, run["id"])
        ended = end_in_silence(place, run["id"])

    assert ended["state_type"] == "CRASHED"
    assert "Nothing was heard of this run for nine minutes" in ended["state"]["message"]


def _told_while_ada_fails_and_ben_is_well(place: Workplace, notified: Receiver) -> str | None:
    # A backup that fails again and again does not put off the day on which it is told that there is no good one.
    heard(place, "recollect.backup.failed", "Ada")
    heard(place, "recollect.backup.unchanged", "Ben")
    try:
        return notified.sentence_about("No good backup", within_s=1)
    except Empty:
        return None


def test_a_profile_that_is_backed_up_with_all_others_by_the_clock_counts_as_planned(place: Workplace) -> None:
    place.register("Ada", "Ben")
    place.edit("Ada on laptop", paused=True)
    all_of_them = place.deployment("back-up-all")["id"]
    plan = {"schedule": {"interval": 1800, "timezone": "UTC"}, "active": True, "slug": "mine"}
    place.send("POST", f"deployments/{all_of_them}/schedules", [plan])

    def of_ada() -> Planned:
        (found,) = planned(place.server.api_url, [deployment_of("Ada", "laptop")])
        return found

    covered = of_ada()
    assert (covered.active, covered.within) == (True, "back-up-all")
    place.edit("back-up-all", parameters={"profiles": ["Ben"]})
    assert (of_ada().active, of_ada().within) == (False, None)
    place.edit("back-up-all", parameters={}, paused=True)
    assert not of_ada().active
