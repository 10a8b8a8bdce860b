"""What a person sees of a run in the Prefect UI, and what automations hear of it, asked from a real server."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

from tests.flows.chains.house import add_note, opened
from tests.flows.on_prefect import Home, Run

# Counts what is asked of the store.
COUNTING = """
import tasks.repositories, tasks.settings_in_force
from storage.stores.address import open_store
from tests.faults.faulty_store import FaultyStore
store = FaultyStore(open_store(tasks.settings_in_force.active_settings().repo))
tasks.repositories.open_store = lambda *_: store
from flows.chains.backup import back_up

def asked(act):
    before = len(store.requests)
    act()
    return sorted((one.verb, one.name.partition('/')[0]) for one in store.requests[before:])
"""

NO_ARTIFACTS = """
from prefect.client.orchestration import SyncPrefectClient
def refused(*_, **__): raise RuntimeError('no room left')
SyncPrefectClient.create_artifact = refused
"""


def said(run: Run) -> list[tuple[str, str]]:
    """The events of a run: what happened, and to what."""
    return [(event["event"], event["resource"]["recollect.profile"]) for event in run.events(expected=1)]


def test_a_backup_leaves_a_report_a_table_and_pictures_and_an_event_with_its_figures(home: Home) -> None:
    (run,) = home.run("end(back_up_profile('Ada', return_state=True))")

    (row,) = home.rows()
    pages = run.artifacts()
    assert set(pages) == {f"{kind}-{row.profile_key.lower()}" for kind in ("backup-report", "snapshots", "pictures")}
    report, table, pictures = (
        pages[f"{kind}-{row.profile_key.lower()}"] for kind in ("backup-report", "snapshots", "pictures")
    )
    assert "# Backup of Ada" in report
    assert f"| Notes | {row.notes} |" in report
    assert str(row.snapshot).replace("-", "\\-") in report
    assert [shown["Snapshot"].replace("\\", "") for shown in json.loads(table)] == [row.snapshot]
    assert pictures.count("](data:image/svg+xml;base64,") == 4

    (event,) = run.events(expected=1)
    assert event["event"] == "recollect.backup.completed"
    assert event["resource"] == {
        "prefect.resource.id": f"recollect.profile.{row.profile_key}",
        "prefect.resource.name": "Ada",
        "recollect.profile": "Ada",
        "recollect.host": row.host,
        "recollect.repository": row.repository_id,
        "recollect.into": "default",
    }
    assert {f"prefect.flow-run.{run.id}", f"recollect.repository.{row.repository_id}"} <= {
        related["prefect.resource.id"] for related in event["related"]
    }
    assert event["payload"]["notes"] == row.notes
    assert event["payload"]["bytes_stored"] == row.bytes_stored
    assert event["payload"]["snapshot"] == row.snapshot
    assert event["payload"]["flow_run"] == run.id


def test_a_run_that_finds_nothing_new_leaves_no_pages_and_a_server_that_takes_none_costs_nothing_else(
    home: Home,
) -> None:
    _, unchanged, refused = home.run(
        "end(back_up_profile('Ada', return_state=True))\n" * 2
        + NO_ARTIFACTS
        + "end(back_up_profile('Ben', return_state=True))"
    )

    assert unchanged.state == "Unchanged"
    assert unchanged.artifacts() == {}
    assert said(unchanged) == [("recollect.backup.unchanged", "Ada")]
    assert (refused.state_type, refused.state) == ("COMPLETED", "Completed")
    assert refused.artifacts() == {}
    assert "RuntimeError: no room left" in refused.log()
    assert "Traceback" not in refused.log()
    assert said(refused) == [("recollect.backup.completed", "Ben")]


def test_a_profile_that_lost_much_ends_as_suspect_and_names_what_to_go_back_to(home: Home) -> None:
    (good,) = home.run("end(back_up_profile('Ada', return_state=True))")
    with opened(home.collection("Ada")) as anki:
        anki.remove_notes(anki.find_notes(""))
    (suspect,) = home.run("end(back_up_profile('Ada', return_state=True))")

    assert (suspect.state_type, suspect.state) == ("COMPLETED", "Suspect")
    assert "marked as suspect: Much is gone since the last snapshot: notes fell from" in suspect.message
    assert said(suspect) == [("recollect.backup.suspect", "Ada")]
    first, second = home.rows()
    assert (second.outcome.value, second.reason) == ("completed", "suspect")
    report = suspect.artifacts()[f"backup-report-{second.profile_key.lower()}"].replace("\\", "")
    assert "**Suspect**" in report
    assert f"The last good snapshot before it is {first.snapshot}" in report
    table = json.loads(suspect.artifacts()[f"snapshots-{second.profile_key.lower()}"])
    assert [shown["Marks"] for shown in table] == ["suspect", ""]
    assert good.state == "Completed"


def test_what_is_shown_asks_nothing_of_the_store(home: Home) -> None:
    printed = home.printed(
        COUNTING + "from flows.backup import back_up_profile\n"
        "import json\n"
        "back_up('Ada')\n"
        "for options in ({}, {'force': True}):\n"
        "    chain = asked(lambda: back_up('Ada', **options))\n"
        "    flow = asked(lambda: back_up_profile('Ada', return_state=True, **options))\n"
        "    print(json.dumps([chain, flow]))\n"
    )

    for line in printed.splitlines():
        chain, flow = json.loads(line)
        assert chain == flow
        assert chain


def test_each_profile_of_many_is_told_of_once_and_all_on_one_page(home: Home) -> None:
    home.collection("Ben").write_bytes(b"no database at all" * 1000)
    (run,) = home.run("end(back_up_all(return_state=True))")

    assert {child.name: said(child) for child in run.children()} == {
        "Ada": [("recollect.backup.completed", "Ada")],
        "Ben": [("recollect.backup.failed", "Ben")],
    }
    assert run.events(expected=0) == []
    (page,) = run.artifacts().values()
    assert "| Ada | completed |" in page
    assert "| Ben | failed |" in page
    assert run.message in page.replace("\\", "")


def test_what_is_told_of_a_further_repository_is_told_apart(home: Home) -> None:
    settings = '[repositories.usb]\nurl = "./usb"\n'
    (home.folder / "recollect.toml").write_text(settings)
    # As the command line does with an option, the last of them goes elsewhere under the name of the default one.
    runs = home.run(
        "from recollect.settings import load_settings\n"
        "from tasks.settings_in_force import using\n"
        "end(back_up_profile('Ada', return_state=True))\n"
        "end(back_up_profile('Ada', repository='usb', return_state=True))\n"
        "end(back_up_profile('Ada', repository='missing', return_state=True))\n"
        "with using(load_settings({'repo': 'usb'})):\n"
        "    end(back_up_profile('Ben', return_state=True))\n"
        f"with using(load_settings({{'repo': {str(home.folder / 'other')!r}}})):\n"
        "    end(back_up_profile('Ben', return_state=True))\n"
    )

    assert [event["resource"]["recollect.into"] for run in runs for event in run.events(expected=1)] == [
        "default",
        "usb",
        "missing",
        "usb",
        "elsewhere",
    ]
    default, usb, *_ = runs
    assert (default.name, usb.name) == ("Ada", "Ada (usb)")
    assert {f"{key}-usb" for key in default.artifacts()} == usb.artifacts().keys()


def test_what_fails_before_it_begins_is_told_too_with_the_profile_that_goes_unprotected(home: Home) -> None:
    elsewhere, unset = home.run(
        "import os\n"
        "end(back_up_profile('Ada', repository='elsewhere', return_state=True))\n"
        "os.environ['RECOLLECT_CONFIG'] = '/nowhere/recollect.toml'\n"
        "end(back_up_profile('Ada', return_state=True))\n"
    )

    assert said(elsewhere) == [("recollect.backup.failed", "Ada")]
    (event,) = elsewhere.events(expected=1)
    assert event["resource"]["prefect.resource.id"].startswith("recollect.profile.Ada-")
    assert event["payload"]["repository"] == "elsewhere"
    assert event["payload"]["message"] == elsewhere.message
    assert unset.state == "Failed"
    assert "does not exist" in unset.message
    assert said(unset) == [("recollect.backup.failed", "Ada")]


def test_names_that_are_markdown_or_html_are_shown_as_they_are(home: Home) -> None:
    name = "![x](y) <img src=z>"
    home.add_profiles(name)
    (run,) = home.run(f"end(back_up_profile({name!r}, return_state=True))")

    assert run.name == name
    assert run.state == "Completed", run.message
    pages = run.artifacts()
    assert len(pages) == 3
    for page in pages.values():
        assert name not in page
        assert not re.search(r"(?<!\\)<", page)
    (report,) = (page for key, page in pages.items() if key.startswith("backup-report-"))
    assert r"# Backup of \!\[x\]\(y\) \<img src\=z\>" in report


def test_pruning_shows_who_is_protected_and_since_when(home: Home) -> None:
    *_, run = home.run(
        "back_up_profile('Ada')\nend(back_up_profile('Ben', return_state=True))\nend(prune(return_state=True))"
    )

    assert run.name == "all profiles"
    assert [event for event, _ in said_of_all(run, 3)] == [
        "recollect.prune.completed",
        "recollect.prune.completed",
        "recollect.sweep.unchanged",
    ]
    pages = run.artifacts()
    assert len(pages) == 2, "nothing was let go, so each profile's own pages are as true as they were"
    (repository,) = (page for key, page in pages.items() if key.startswith("repository-"))
    (report,) = (page for key, page in pages.items() if key.startswith("prune-report-"))
    assert "| Ada | " in repository
    assert "| Ben | " in repository
    assert repository.count("](data:image/svg+xml;base64,") == 3
    assert "0 of 1 snapshots were let go" in report


def test_an_adoption_shows_the_snapshots_that_it_made_beside_those_that_there_were(home: Home, tmp_path: Path) -> None:
    for year in (2024, 2025):
        add_note(home.collection("Ada"), str(year))
        with opened(home.collection("Ada")) as anki:
            name = str(tmp_path / f"backup-{year}-05-04-12.00.00.colpkg")
            anki.export_collection_package(name, include_media=False, legacy=False)
            anki.reopen()
    backed_up, adopted = home.run(
        "from flows.adopt import adopt_backups\n"
        "end(back_up_profile('Ada', return_state=True))\n"
        f"end(adopt_backups([{str(tmp_path)!r}], 'Ada', return_state=True))"
    )

    assert adopted.state == "Completed", adopted.message
    (key,) = (key for key in backed_up.artifacts() if key.startswith("snapshots-"))
    pages = adopted.artifacts()
    assert [shown["Marks"] for shown in json.loads(pages[key])] == ["", "adopted", "adopted"]
    assert key.replace("snapshots-", "pictures-") in pages
    assert len(pages) == 3


def test_logs_are_short_and_warn_only_of_what_somebody_should_look_at(home: Home) -> None:
    backed_up, unchanged, restored, pruned = home.run(
        "end(back_up_profile('Ada', return_state=True))\n"
        * 2
        + "end(restore_profile('Ada', in_place=True, ask=False, return_state=True))\n"
        "end(prune(return_state=True))"
    )

    for run in (backed_up, unchanged, restored, pruned):
        assert run.log(logging.WARNING) == ""
        began, *_, ended = run.log().splitlines()
        assert began.startswith("Beginning flow run")
        assert ended.startswith(f"Finished in state {run.state}('{run.message[:20]}")
        assert "Finished in state Completed()" not in run.log(), "of a step, which says nothing"
    told = backed_up.log().splitlines()[1:-1]
    assert re.fullmatch(r"Notes 229, cards \d+, .*; read .*, stored .*; in all \d.* s", told[0])
    assert all(line.startswith("deleted.txt, line ") for line in told[1:])
    assert len(unchanged.log().splitlines()) == 2
    assert len(pruned.log().splitlines()) == 2
    for advice in ("The state before is kept as the safety snapshot", "brings back", "choose Upload to AnkiWeb"):
        assert advice in restored.log()


def said_of_all(run: Run, expected: int) -> list[tuple[str, str]]:
    return [(event["event"], event["resource"]["prefect.resource.id"]) for event in run.events(expected=expected)]


def test_other_flows_leave_a_report_and_an_event(home: Home, tmp_path: Path) -> None:
    _, restored, exported, recovered, verified = home.run(
        "from flows.recover import recover_notes\nfrom flows.verify import verify\n"
        "end(back_up_profile('Ada', return_state=True))\n"
        f"end(restore_profile('Ada', to={str(tmp_path / 'restored')!r}, return_state=True))\n"
        f"end(export_colpkg('Ada', {str(tmp_path / 'ada.colpkg')!r}, return_state=True))\n"
        f"end(recover_notes('Ada', decks=['Chemistry'], to={str(tmp_path / 'c.apkg')!r}, return_state=True))\n"
        "end(verify(return_state=True))"
    )

    for run, action in ((restored, "restore"), (exported, "export"), (recovered, "recover"), (verified, "verify")):
        assert [event["event"] for event in run.events(expected=1)] == [f"recollect.{action}.completed"]
        assert [key for key in run.artifacts() if key.startswith(f"{action}-report-")], run.artifacts().keys()
    assert verified.name == "repository default"


def test_a_report_says_when_the_deployment_is_due_next(home: Home) -> None:
    (run,) = home.run(
        "from datetime import UTC, datetime, timedelta\n"
        "from prefect.client.orchestration import get_client\n"
        "from prefect.flow_engine import run_flow\n"
        "from prefect.states import Pending, Scheduled\n"
        "deployment = back_up_profile.to_deployment('Ada at home').apply()\n"
        "due = datetime(2077, 5, 4, 12, tzinfo=UTC)\n"
        "with get_client(sync_client=True) as client:\n"
        "    def create(state):\n"
        "        given = {'profile': 'Ada'}\n"
        "        return client.create_flow_run_from_deployment(deployment, parameters=given, state=state)\n"
        "    create(Scheduled(scheduled_time=datetime.now(UTC) - timedelta(hours=1)))\n"
        "    create(Scheduled(scheduled_time=due))\n"
        "    flow_run = create(Pending())\n"
        "end(run_flow(back_up_profile, flow_run, parameters={'profile': 'Ada'}, return_type='state'))\n"
        "with get_client(sync_client=True) as client:\n"
        "    client.delete_deployment(deployment)"
    )

    (report,) = (page for key, page in run.artifacts().items() if key.startswith("backup-report-"))
    assert "The next run is due at 2077\\-05\\-04" in report
    related = {related["prefect.resource.role"] for related in run.events(expected=1)[0]["related"]}
    assert {"flow-run", "deployment", "repository"} <= related


def test_long_work_is_shown_as_it_goes_on_and_short_work_is_not(home: Home) -> None:
    (outer,) = home.run(
        "import time\n"
        "from prefect import flow\n"
        "from prefect.client.orchestration import get_client\n"
        "from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId\n"
        "from prefect.context import FlowRunContext\n"
        "import flows.report.progress as shown\n"
        "from recollect.progress import current_progress\n"
        "shown.EVERY_S = 0.05\n"
        "@flow(name='long', flow_run_name='{profile}')\n"
        "def long(profile: str) -> None:\n"
        "    with shown.shown_progress():\n"
        "        with current_progress().stage('short', 10) as stage:\n"
        "            stage.advance(10)\n"
        "        shown.LONG_S = 0.0\n"
        "        with current_progress().stage('<b>long</b>', 200, 2) as stage:\n"
        "            stage.advance(100, 1)\n"
        "            seen()\n"
        "            stage.advance(100, 1)\n"
        "def seen():\n"
        "    with get_client(sync_client=True) as client:\n"
        "        run = ArtifactFilterFlowRunId(any_=[FlowRunContext.get().flow_run.id])\n"
        "        mine = ArtifactFilter(flow_run_id=run)\n"
        "        while [one.data for one in client.read_artifacts(artifact_filter=mine)] != [50]:\n"
        "            time.sleep(0.05)\n"
        "@flow(name='outer')\n"
        "def outer() -> None:\n"
        "    with shown.shown_progress():\n"
        "        long('Ada')\n"
        "end(outer(return_state=True))",
    )

    assert outer.state == "Completed", outer.message
    (run,) = outer.children()
    ((key, percent),) = run.artifacts().items()
    assert key.startswith("progress-ada-")
    assert percent == 100
    assert outer.artifacts() == {}
