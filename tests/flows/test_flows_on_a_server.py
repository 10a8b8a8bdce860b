"""The flows on a real Prefect server: what it shows of them, and what it must never get to know."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from profiles.packages.layout import Layout
from profiles.packages.reading import open_package
from storage.format.audit_row import Outcome
from tests.flows.chains.house import add_note, opened
from tests.flows.on_prefect import Home, Run, run_of
from tests.servers.prefect_server import PROJECT, prefect_environment
from tests.servers.rclone import SECRET, s3_server

PASSPHRASE = "correct-horse-battery-staple"
STEPS = ["snapshot", "checksum", "upload", "retention-prune", "deletion-log-archive"]

# The log is rewritten whenever some of the collection has been copied, as an Anki does that never rests.
BUSY = """
import tasks.snapshot
from recollect.progress import current_progress
copy_collection = tasks.snapshot.copy_collection

class NeverResting:
    def __init__(self, collection):
        self.log = collection.with_name(collection.name + "-wal")
        self.rounds = 0
    def advance(self, amount):
        self.rounds += 1
        self.log.write_bytes(self.rounds.to_bytes(32, "big"))

def copied(collection, target, **_):
    return copy_collection(collection, target, pause=lambda _: None, progress=NeverResting(collection))

tasks.snapshot.copy_collection = copied
"""

FAULTS = """
import tasks.repositories, tasks.settings_in_force, tasks.step
from storage.stores.address import open_store
from storage.errors import StoreFull, StoreUnreachable
from tests.faults.faulty_store import WRITING, FaultyStore
tasks.step._FIRST_DELAY_S = 0.05
store = FaultyStore(open_store(tasks.settings_in_force.active_settings().repo))
tasks.repositories.open_store = lambda *_: store
"""


def _outcome(run: Run) -> tuple[str, str]:
    return run.state_type, run.state


def test_a_backup_is_a_run_of_five_named_tasks_that_the_audit_table_names(home: Home) -> None:
    (run,) = home.run("end(back_up_profile('Ada', return_state=True))")

    assert run.name == "Ada"
    assert _outcome(run) == ("COMPLETED", "Completed"), run.message
    tasks = run.tasks(expected=len(STEPS))
    assert [task["name"] for task in tasks] == STEPS
    assert {task["state_type"] for task in tasks} == {"COMPLETED"}
    (row,) = home.rows()
    assert row.flow_run == run.id
    assert row.snapshot
    assert row.snapshot in run.message


def test_an_unchanged_profile_and_a_busy_one_end_under_names_of_their_own_with_the_reason(home: Home) -> None:
    script = "end(back_up_profile('Ada', return_state=True))\n" * 2 + BUSY
    _, unchanged, skipped = home.run(script + "end(back_up_profile('Ben', return_state=True))")

    assert _outcome(unchanged) == ("COMPLETED", "Unchanged"), unchanged.message
    assert "Nothing has changed since the snapshot" in unchanged.message
    assert _outcome(skipped) == ("COMPLETED", "Skipped"), skipped.message
    assert "gave no moment of calm" in skipped.message
    row = home.rows()[-1]
    assert (row.outcome, row.reason, row.message) == (Outcome.SKIPPED, "source-busy", skipped.message)
    assert row.flow_run == skipped.id
    assert [task["name"] for task in skipped.tasks(expected=1)] == ["snapshot"]


def test_six_profiles_are_six_runs_and_neither_a_damaged_one_nor_a_defect_stops_the_others(home: Home) -> None:
    home.add_profiles("Cara", "Dora", "Emil", "Finn")
    home.collection("Ben").write_bytes(b"no database at all" * 1000)
    (run,) = home.run(
        "import flows.chains.backup as chain\n"
        "snapshot = chain.snapshot\n"
        "def defective(work, **options):\n"
        "    return 1 / 0 if work.profile.name == 'Emil' else snapshot(work, **options)\n"
        "chain.snapshot = defective\n"
        "without_heartbeats.__exit__(None, None, None)\n"
        "end(back_up_all(return_state=True))"
    )

    children = {child.name: child for child in run.children()}
    assert {name: child.state for name, child in children.items()} == {
        "Ada": "Completed",
        "Ben": "Failed",
        "Cara": "Completed",
        "Dora": "Completed",
        "Emil": "Failed",
        "Finn": "Completed",
    }
    assert _outcome(run) == ("FAILED", "Failed"), run.message
    assert run.message.startswith("4 completed, 2 failed. Ben: ")
    assert str(home.collection("Ben")) in run.message
    assert "Emil: " in run.message
    # New profiles go one after the other, for the pictures that they share.
    assert all(before.ended <= after.began for before, after in pairwise(run.children()))
    assert {(row.profile, row.outcome, row.flow_run) for row in home.rows()} == {
        (name, Outcome(child.state.lower()), child.id) for name, child in children.items()
    }
    # Each has shown signs of life, by which a run whose process was killed is found, and from one thread alone.
    for child in children.values():
        (sign,) = child.signs_of_life(expected=1)
        named = {
            about["prefect.resource.name"] for about in sign["related"] if about["prefect.resource.role"] == "flow"
        }
        assert "back-up-profile" in named
    # Known trouble is told in a sentence; a defect shows where it is.
    assert str(home.collection("Ben")) in children["Ben"].log()
    assert "Traceback" not in children["Ben"].log()
    assert "ZeroDivisionError" in children["Emil"].log()
    assert "Traceback" in children["Emil"].log()


def test_a_slow_profile_holds_up_no_quick_one_and_no_more_run_side_by_side_than_asked_for(home: Home) -> None:
    home.add_profiles(*(f"Quick {number}" for number in range(8)))
    (run,) = home.run(
        "import threading\n"
        "import flows.chains.backup as chain\n"
        "back_up_all()\n"
        "snapshot, quick, guard, running, most = chain.snapshot, threading.Semaphore(0), threading.Lock(), set(), [0]\n"
        "def measured(work, **options):\n"
        "    name = work.profile.name\n"
        "    with guard:\n"
        "        running.add(name); most[0] = max(most[0], len(running))\n"
        "    try:\n"
        "        if name == 'Ada':\n"
        "            for _ in range(9): assert quick.acquire(timeout=90)\n"
        "        return snapshot(work, **options)\n"
        "    finally:\n"
        "        with guard: running.remove(name)\n"
        "        quick.release()\n"
        "chain.snapshot = measured\n"
        "end(back_up_all(force=True, at_once=2, return_state=True))\n"
        "assert most == [2], most\n"
    )

    assert _outcome(run) == ("COMPLETED", "Completed"), run.message
    assert run.message == "10 completed"
    children = run.children()
    assert sorted(child.name for child in children) == ["Ada", "Ben", *(f"Quick {number}" for number in range(8))]
    assert {_outcome(child) for child in children} == {("COMPLETED", "Completed")}
    (ada,) = [child for child in children if child.name == "Ada"]
    assert sum(child.ended < ada.ended for child in children) >= 8  # all but the one that let it go on
    assert {row.flow_run for row in home.rows()[-10:]} == {child.id for child in children}


def test_a_run_whose_creation_was_asked_for_twice_is_there_once(home: Home) -> None:
    (run,) = home.run(
        "from prefect.client.orchestration import SyncPrefectClient\n"
        "request = SyncPrefectClient.request\n"
        "def lost(client, method, path, **options):\n"
        "    if 'idempotency_key' in (options.get('json') or {}):\n"
        "        request(client, method, path, **options)  # the answer to which got lost\n"
        "    return request(client, method, path, **options)\n"
        "SyncPrefectClient.request = lost\n"
        "end(back_up_all(return_state=True))"
    )

    assert run.message == "2 completed"
    assert [(child.name, child.state) for child in run.children()] == [("Ada", "Completed"), ("Ben", "Completed")]


def test_a_terminated_run_ends_the_run_within_it_too_and_begins_no_other(home: Home) -> None:
    printed = home.printed(
        "import os, signal, time\n"
        "import flows.chains.storing as chain\n"
        "from flows.backup_all import back_up_all\n"
        "from prefect.exceptions import TerminationSignal\n"
        "from prefect.utilities.engine import capture_sigterm\n"
        "from recollect.progress import current_progress\n"
        "def terminated(*_):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    with current_progress().stage('long work', None) as stage:\n"
        "        while True: stage.advance(1), time.sleep(0.01)\n"
        "chain.checksum.function = terminated\n"
        "with capture_sigterm():\n"
        "    try: back_up_all()\n"
        "    except TerminationSignal: print('terminated')\n"
    )

    assert printed == "terminated\n"
    (row,) = home.rows()
    assert (row.profile, row.outcome, row.reason) == ("Ada", Outcome.FAILED, "interrupted")
    assert row.flow_run is not None
    assert run_of(home.server, row.flow_run).state == "Crashed"
    assert list((home.folder / "cache" / "staging").iterdir()) == []


def test_what_a_flow_found_out_survives_a_server_that_hands_back_the_bare_state(home: Home) -> None:
    printed = home.printed(
        "from flows.backup import back_up_profile\n"
        "from flows.on_server import back_up_all_on_server, restore_on_server\n"
        "from flows.running.states import report_of\n"
        "from prefect.client.orchestration import get_client\n"
        "state = back_up_profile('Ada', return_state=True)\n"
        "with get_client(sync_client=True) as client:\n"
        "    print(report_of(client.read_flow_run(state.state_details.flow_run_id).state).outcome)\n"
        "print(back_up_all_on_server(['Ada'], force=True).summary())\n"
        "print(restore_on_server('Ada', 'latest', None).outcome)\n"
        "print(back_up_all_on_server(['Nobody'], force=False).reports[0].row.reason)\n"
    )

    assert printed.splitlines() == ["completed", "1 completed", "completed", "profile-unknown"]


def test_what_a_deployment_says_to_keep_counts_for_other_runs_too_until_it_says_nothing(home: Home) -> None:
    printed = home.printed(
        "from prefect.client.orchestration import get_client\n"
        "from prefect.flow_engine import run_flow\n"
        "from prefect.states import Pending\n"
        "from flows.backup import back_up_profile\n"
        "from tasks.repositories import open_named\n"
        "deployment = back_up_profile.to_deployment('Ada, so many').apply()\n"
        "def deployed(**limits):\n"
        "    given = {'profile': 'Ada', **limits}\n"
        "    with get_client(sync_client=True) as client:\n"
        "        run = client.create_flow_run_from_deployment(deployment, parameters=given, state=Pending())\n"
        "    run_flow(back_up_profile, run, parameters=given, return_type='state')\n"
        "def noted():\n"
        "    repository = open_named()\n"
        "    facts = repository.manifest(list(repository.snapshots())[-1]).facts\n"
        "    print(len(list(repository.snapshots())), facts['keep_daily'], facts['keep_weekly'])\n"
        "deployed(daily=60)\n"
        "noted()\n"
        "back_up_profile('Ada', force=True)\n"
        "noted()\n"
        "deployed()\n"
        "noted()\n"
        "with get_client(sync_client=True) as client:\n"
        "    client.delete_deployment(deployment)"
    )

    assert printed.splitlines() == ["1 60 None", "2 60 None", "3 None None"]


def test_a_pruning_goes_by_the_limits_in_its_form(home: Home) -> None:
    (run,) = home.run(
        "from tests.flows.chains.backdating import backdate\n"
        "from tests.flows.chains.house import House\n"
        f"house = House(Path({str(home.base)!r}), '', Path(), Path())\n"
        "backdate(house, 'Ada', days=[3, 4, 5, 40, 400])\n"
        "end(prune(['Ada'], daily=1, weekly=0, monthly=0, return_state=True))\n"
    )

    assert run.state == "Completed"
    assert run.message == "Ada: 4 of 5 snapshots were let go"


def test_restores_and_a_pruning_complete(home: Home, tmp_path: Path) -> None:
    _, restored, in_place, pruned = home.run(
        "back_up_profile('Ada')\n"
        "end(back_up_profile('Ben', return_state=True))\n"
        f"end(restore_profile('Ada', to={str(tmp_path / 'restored')!r}, return_state=True))\n"
        "Path(r'" + str(home.collection("Ada")) + "').write_bytes(b'broken')\n"
        "end(restore_profile('Ada', in_place=True, ask=False, return_state=True))\n"
        "end(prune(return_state=True))"
    )

    assert {_outcome(run) for run in (restored, in_place, pruned)} == {("COMPLETED", "Completed")}
    assert restored.name == "Ada from latest"
    assert "\nRestore Ada as of " in restored.artifacts()["restore-plan"]
    assert "\n- collection\\: 229 notes" in restored.artifacts()["restore-plan"]
    assert "safety snapshot" in in_place.artifacts()["restore-plan"]
    assert (tmp_path / "restored" / "collection.anki2").read_bytes()[:15] == b"SQLite format 3"
    assert home.collection("Ada").read_bytes()[:15] == b"SQLite format 3"
    assert "choose Upload to AnkiWeb" in in_place.log()
    assert "Ada: 0 of 1 snapshots were let go; Ben: 0 of 1 snapshots were let go" in pruned.message


def test_notes_are_recovered_by_a_run_that_the_audit_table_names(home: Home, tmp_path: Path) -> None:
    with opened(home.collection("Ada")) as anki:
        deck = len(anki.find_notes("deck:Chemistry"))
    package = tmp_path / "chemistry.apkg"
    recovered, unclear = home.run(
        "from flows.recover import recover_notes\n"
        "back_up_profile('Ada')\n"
        f"end(recover_notes('Ada', decks=['Chemistry'], to={str(package)!r}, return_state=True))\n"
        "end(recover_notes('Ada', decks=['Chemistry'], return_state=True))"
    )

    assert (recovered.name, _outcome(recovered)) == ("Ada", ("COMPLETED", "Completed")), recovered.message
    assert f"{deck} notes of the snapshot" in recovered.message
    assert [task["name"] for task in recovered.tasks(expected=2)] == ["find-notes", "cut-package"]
    assert "tick" in recovered.log()
    assert package.read_bytes()[:2] == b"PK"
    row = home.rows()[-1]
    assert (row.action, row.outcome, row.flow_run) == ("recover", Outcome.COMPLETED, recovered.id)
    assert (_outcome(unclear), "not clear where to" in unclear.message) == (("FAILED", "Failed"), True)


def test_an_export_writes_a_package_and_no_other_over_it(home: Home, tmp_path: Path) -> None:
    package = tmp_path / "ada.colpkg"
    exported, again, relative = home.run(
        "back_up_profile('Ada')\n"
        f"end(export_colpkg('Ada', {str(package)!r}, layout='legacy', return_state=True))\n"
        f"end(export_colpkg('Ada', {str(package)!r}, media=False, return_state=True))\n"
        "end(export_colpkg('Ada', 'ada.colpkg', return_state=True))\n"
    )

    assert _outcome(exported) == ("COMPLETED", "Completed"), exported.message
    assert exported.name == "Ada from latest"
    assert [task["name"] for task in exported.tasks(expected=2)] == ["prepare-collection", "export-package"]
    assert "20 media files" in exported.message
    assert "File > Import" in exported.log()
    assert _outcome(again) == _outcome(relative) == ("FAILED", "Failed")
    assert "is there already" in again.message
    assert "is no full path" in relative.message
    with package.open("rb") as file, open_package(file, "it") as opened:
        assert (opened.layout, len(opened.media)) == (Layout.LEGACY2, 20)


def test_what_a_form_got_wrong_ends_as_failed_with_a_sentence_and_no_traceback(home: Home, tmp_path: Path) -> None:
    runs = home.run(
        "end(back_up_profile('Nobody', return_state=True))\n"
        "end(back_up_profile('Ada', repository='elsewhere', return_state=True))\n"
        "end(back_up_all(['Nobody'], return_state=True))\n"
        "end(restore_profile('Ada', snapshot='1999', in_place=True, return_state=True))\n"
        "end(restore_profile('Ada', return_state=True))\n"
        f"end(restore_profile('Ada', to={str(tmp_path)!r}, in_place=True, return_state=True))\n"
        "end(restore_profile('Ada', to='a folder', return_state=True))\n"
        "end(prune(['Nobody'], return_state=True))"
    )

    wanted = ["Nobody", "elsewhere", "Nobody", "Ada", "in place", "in place", "'a folder' is no full path", "Nobody"]
    assert len(runs) == len(wanted)
    for run, said in zip(runs, wanted, strict=True):
        assert _outcome(run) == ("FAILED", "Failed")
        assert said in run.message
        assert run.message.endswith(".")
        assert "Error" not in run.message
        assert "Traceback" not in run.log()


def test_a_step_is_tried_again_only_when_the_store_did_not_answer(home: Home) -> None:
    again, full, away = home.run(
        FAULTS + "store.fail(WRITING, folder='packs/')\n"
        "store.fail(WRITING, folder='packs/')\n"
        "end(back_up_profile('Ada', return_state=True))\n"
        "store.fail(WRITING, folder='packs/', error=StoreFull)\n"
        "end(back_up_profile('Ben', return_state=True))\n"
        "store.fail(frozenset({'list'}), folder='snapshots/')\n"
        "end(back_up_profile('Ben', return_state=True))"
    )

    assert again.state == "Completed"
    assert [(task["name"], task["run_count"]) for task in again.tasks(expected=5)] == [
        (step, 3 if step == "upload" else 1) for step in STEPS
    ]
    assert full.state == "Failed"
    assert [(task["name"], task["run_count"]) for task in full.tasks(expected=3)] == [(step, 1) for step in STEPS[:3]]
    assert away.state == "Failed"
    assert [(task["name"], task["run_count"]) for task in away.tasks(expected=1)] == [("snapshot", 1)]
    for run in (again, full, away):
        assert "a fault was ordered. This is a test." in run.log()
        assert "Traceback" not in run.log()


def test_no_note_and_no_secret_gets_to_the_server_or_into_a_log(home: Home, tmp_path: Path) -> None:
    marker = "a-thing-that-only-Ada-knows"
    add_note(home.collection("Ada"), marker)
    with s3_server(tmp_path / "s3", tmp_path) as s3:
        secrets = {
            "RECOLLECT_REPO": s3.url("anki"),
            "RECOLLECT_REPO_OPTIONS": json.dumps(s3.options),
            "RECOLLECT_PASSPHRASE": PASSPHRASE,
        }
        runs = home.run(
            "end(back_up_all(return_state=True))\n"
            f"end(restore_profile('Ada', to={str(tmp_path / 'restored')!r}, return_state=True))\n"
            "import tasks.snapshot, profiles.errors\n"
            "def prove(_): raise profiles.errors.CollectionDamaged('It was damaged', 'This is a test')\n"
            "tasks.snapshot.prove = prove\n"
            "end(back_up_profile('Ada', force=True, return_state=True))\n"
            "def prove(_): raise ValueError('a defect')\n"
            "tasks.snapshot.prove = prove\n"
            "end(back_up_profile('Ada', force=True, return_state=True))\n",
            secrets,
        )

    assert [run.state for run in runs] == ["Completed", "Completed", "Failed", "Failed"]
    assert marker.encode() in (tmp_path / "restored" / "collection.anki2").read_bytes()
    kept = [path for path in home.server.home.rglob("*") if path.is_file()]
    assert "prefect.db" in {path.name for path in kept}
    for path in [*kept, home.folder / "stderr.log", home.server.home.parent / "prefect-server.log"]:
        content = path.read_bytes()
        assert marker.encode() not in content, path
        assert SECRET.encode() not in content, path
        assert PASSPHRASE.encode() not in content, path
    storage = home.server.home / "storage"
    assert not storage.exists() or not any(storage.iterdir())


def test_a_passphrase_comes_from_a_block_and_shows_nowhere_else(home: Home) -> None:
    block = {"RECOLLECT_PASSPHRASE_BLOCK": "anki-backups"}
    missing, backed_up = home.run(
        "from prefect.blocks.system import Secret\n"
        "end(back_up_profile('Ada', return_state=True))\n"
        f"Secret(value={PASSPHRASE!r}).save('anki-backups')\n"
        "end(back_up_profile('Ada', return_state=True))",
        block,
    )

    assert missing.state == "Failed"
    assert "No passphrase can be had from the Prefect block anki-backups" in missing.message
    assert backed_up.state == "Completed", backed_up.message
    assert json.loads((home.folder / "repository" / "recollect.json").read_text())["sealing"] == "aes-256-gcm"
    for run in (missing, backed_up):
        assert PASSPHRASE not in run.message + run.log()
    assert PASSPHRASE not in (home.folder / "stderr.log").read_text()
    opened = home.printed(
        "from tasks.repositories import open_named; print(len(open_named().snapshots()))",
        {"RECOLLECT_PASSPHRASE": PASSPHRASE},
    )
    assert opened == "1\n"


def test_chains_and_steps_do_without_prefect() -> None:
    script = (
        "import importlib, pkgutil, sys, flows.chains, tasks\n"
        "for package in (flows.chains, tasks):\n"
        "    for found in pkgutil.iter_modules(package.__path__):\n"
        "        if found.name == 'repository_block': continue  # it is a thing of Prefect's own\n"
        "        importlib.import_module(f'{package.__name__}.{found.name}')\n"
        "print('prefect' in sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True, timeout=60
    )

    assert ended.stdout == "False\n"


def test_adopting_ankis_backups_is_a_run_with_a_task_for_each_new_one_and_a_sentence_about_each_bad_one(
    home: Home,
) -> None:
    folder = home.base / "Ada" / "backups"
    folder.mkdir(exist_ok=True)
    with opened(home.collection("Ada")) as anki:
        assert anki.create_backup(backup_folder=str(folder), force=True, wait_for_completion=True)
    (folder / "backup-2026-03-10-12.30.45.colpkg").touch()
    adopted, relative = home.run(
        "from flows.adopt import adopt_backups\n"
        "end(adopt_backups(return_state=True))\n"
        "end(adopt_backups(['backups'], 'Ada', return_state=True))"
    )

    assert _outcome(adopted) == ("FAILED", "Failed")
    assert adopted.message.startswith("1 adopted, 1 failed. ")
    assert "backup-2026-03-10-12.30.45.colpkg can't be used: it is empty" in adopted.message
    assert [task["name"] for task in adopted.tasks(expected=1)] == ["adopt-package"]
    assert {(row.action, row.outcome, row.flow_run) for row in home.rows()} == {
        ("adopt", Outcome.COMPLETED, adopted.id),
        ("adopt", Outcome.FAILED, adopted.id),
    }
    assert "is no full path" in relative.message


def test_every_flow_is_found_by_its_module_and_explains_each_parameter(tmp_path: Path) -> None:
    script = (
        "import json\n"
        "from prefect.flows import load_flow_from_entrypoint\n"
        "for name in ('backup.back_up_profile', 'backup_all.back_up_all', 'restore.restore_profile', 'prune.prune',\n"
        "             'verify.verify', 'recover.recover_notes', 'adopt.adopt_backups', 'export.export_colpkg'):\n"
        "    found = load_flow_from_entrypoint(f'flows.{name}')\n"
        "    print(json.dumps([found.name, found.parameters.model_dump()['properties']]))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env=prefect_environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ended.returncode == 0, ended.stderr
    found = dict(json.loads(line) for line in ended.stdout.splitlines())
    assert set(found) == {
        "back-up-profile",
        "back-up-all",
        "restore-profile",
        "prune",
        "verify",
        "recover-notes",
        "adopt-backups",
        "export-colpkg",
    }
    for parameters in found.values():
        for name, parameter in parameters.items():
            assert parameter.get("description"), name
        # An address may hold a password; a name of this form can't.
        assert parameters["repository"]["pattern"]
