"""Deployments on a real Prefect server, with a real worker."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from deployments.catalog import FOR_ALL
from tests.deployments.workplace import Workplace, until


def test_what_is_deployed_from_prefect_yaml_finds_the_profiles_by_itself_when_a_worker_comes(place: Workplace) -> None:
    assert place.seen["deployed"] == sorted(deployment.name for deployment in FOR_ALL)
    assert set(place.names()) - set(place.seen["deployed"]) == {
        "Ada on laptop",
        "Ben on laptop",
        "Ada on laptop to offsite",
        "Ben on laptop to offsite",
        "prune offsite on laptop",
        "verify offsite on laptop",
    }
    (run,) = place.runs("refresh-deployments")
    assert (run["state_type"], run["state_name"]) == ("COMPLETED", "Completed"), run["state"]["message"]
    assert "6 added: Ada on laptop, Ben on laptop, Ada on laptop to offsite, " in run["state"]["message"]
    ada = place.deployment("Ada on laptop")
    assert (ada["parameters"], ada["work_queue_name"], ada["pull_steps"]) == ({"profile": "Ada"}, "laptop", [])
    assert ada["global_concurrency_limit"]["limit"] == 1
    assert ada["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    assert [(plan["slug"], plan["active"], plan["schedule"]["interval"]) for plan in ada["schedules"]] == [
        ("every-half-hour", True, 1800)
    ]


def test_refreshing_again_leaves_all_as_it_is(place: Workplace) -> None:
    before = place.deployment("Ada on laptop")
    place.start("refresh-deployments")
    run = until(lambda: place.runs("refresh-deployments")[1:] or None)[0]

    assert (run["state_type"], run["state_name"]) == ("COMPLETED", "Unchanged"), run["state"]["message"]
    assert place.deployment("Ada on laptop")["updated"] == before["updated"]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("Ada on laptop", {"profile": "Ben"}),
        ("Ada on laptop", {"repository": "elsewhere"}),
        ("Ada on laptop to offsite", {"repository": "default"}),
        ("Ada on laptop to offsite", {"profile": "Ben"}),
        ("prune offsite on laptop", {"repository": "default"}),
        ("back-up-all", {"profiles": ["Nobody"]}),
        ("back-up-all", {"repository": "s3://key:secret@bucket"}),
        ("back-up-all", {"at_once": 33}),
        ("Ada on laptop", {"daily": 10_000}),
        ("prune", {"monthly": -1}),
        ("prune", {"weekly": "many"}),
        ("verify", {"read_percent": 101}),
        ("export-colpkg", {"profile": "Ada", "target": "sftp://lena:secret@nas/ada.colpkg"}),
        ("export-colpkg", {"profile": "Ada", "target": "sftp://lena:se/cret@nas/ada.colpkg"}),
        ("export-colpkg", {"profile": "Ada", "target": "/tmp/ada.colpkg", "layout": "newest"}),
        ("restore-profile", {"profile": ""}),
        ("restore-profile", {}),
    ],
)
def test_nonsense_in_a_form_is_refused_before_a_run_exists(
    place: Workplace, name: str, parameters: dict[str, object]
) -> None:
    with pytest.raises(httpx.HTTPStatusError, match="409"):
        place.start(name, **parameters)


def test_a_schedule_that_fires_backs_the_profile_up(place: Workplace) -> None:
    (plan,) = place.deployment("Ada on laptop")["schedules"]
    soon = f"DTSTART:{datetime.now(UTC):%Y%m%dT%H%M%SZ}\nRRULE:FREQ=SECONDLY;INTERVAL=10;COUNT=12"
    place.reschedule("Ada on laptop", {"rrule": soon, "timezone": "UTC"})
    run = until(lambda: place.runs("Ada on laptop", left_out=False) or None)[0]
    place.reschedule("Ada on laptop", plan["schedule"])

    assert run["auto_scheduled"]
    assert (run["name"], run["state_name"]) == ("Ada", "Completed"), run["state"]["message"]
    assert run["parameters"]["profile"] == "Ada"
    assert "Ada" in {row.profile for row in place.rows()}


def test_two_runs_of_a_profile_to_one_place_never_overlap_and_the_later_one_says_why(
    place: Workplace,
) -> None:
    gate = place.folder / "gate"
    # A run waits for its passphrase until the gate is there.
    waiting = f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.1)\nprint('correct horse')"
    (place.folder / "waiting.py").write_text(waiting)
    place.edit(
        "Ben on laptop",
        job_variables={
            "env": {
                "RECOLLECT_REPO": str(place.folder / "sealed"),
                "RECOLLECT_PASSPHRASE_COMMAND": f"python {place.folder / 'waiting.py'}",
            }
        },
    )
    place.start("Ben on laptop")
    until(lambda: [run for run in place.all_runs("Ben on laptop") if run["state_name"] == "Running"] or None)
    place.start("Ben on laptop")
    left_out = until(lambda: [run for run in place.runs("Ben on laptop") if run["state_name"] == "Skipped"] or None)[0]
    # To another repository is other work, which is neither left out nor made to wait.
    place.start("Ben on laptop to offsite")
    (to_offsite,) = until(lambda: place.runs("Ben on laptop to offsite") or None)
    still = [run for run in place.all_runs("Ben on laptop") if run["state_name"] == "Running"]
    gate.touch()
    (done,) = until(lambda: place.runs("Ben on laptop", left_out=False) or None)
    place.edit("Ben on laptop", job_variables={})

    assert len(still) == 1
    assert (to_offsite["name"], to_offsite["state_name"]) == ("Ben (offsite)", "Completed"), to_offsite["state"]
    assert (place.folder / "offsite" / "recollect.json").exists()
    assert left_out["state"]["message"] == "Another run of this was under way. It does the work."
    assert left_out["state_type"] == "COMPLETED"
    assert left_out["total_run_time"] == 0
    assert (done["state_type"], done["state_name"]) == ("COMPLETED", "Completed"), done["state"]["message"]


def test_all_profiles_are_backed_up_now_each_as_a_run_of_its_own(place: Workplace) -> None:
    place.start("back-up-all", force=True)
    (run,) = until(lambda: place.runs("back-up-all") or None)
    children = {child["name"]: child["state_name"] for child in place.children_of(run["id"])}

    assert (run["state_name"], run["state"]["message"]) == ("Completed", "2 completed")
    assert children == {"Ada": "Completed", "Ben": "Completed"}


def test_a_run_of_another_computer_is_refused_even_where_what_it_is_about_is_here_by_name(place: Workplace) -> None:
    names = ("Ada on laptop", "prune offsite on laptop")
    tags = {name: place.deployment(name)["tags"] for name in names}
    before = {name: len(place.runs(name)) for name in names}
    for name in names:
        place.edit(name, tags=["recollect", "host:tower"])
        place.start(name)
    runs = {name: until(lambda name=name: place.runs(name)[before[name] :] or None)[0] for name in names}
    for name in names:
        place.edit(name, tags=tags[name])

    assert {run["state_name"] for run in runs.values()} == {"Failed"}
    told = "Nothing was done, for this run belongs to tower, and a worker on laptop took it. Name the queues"
    assert [run["state"]["message"].startswith(told) for run in runs.values()] == [True] * len(names)


def test_a_backup_that_fails_is_told_in_a_sentence_with_the_profile_and_the_reason(place: Workplace) -> None:
    assert place.notified is not None
    place.collection("Ben").write_bytes(b"no database at all" * 1000)
    place.start("Ben on laptop")
    told = place.notified.sentence_about("Ben", within_s=90)

    assert told.startswith("Recollect: Backup of Ben on laptop: failed. ")
    assert str(place.collection("Ben")) in told
    assert told.endswith(".")
