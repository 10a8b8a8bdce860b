"""Runs that pause with a question on a real Prefect server, answered as the browser does it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from flows.recover import ADD
from flows.restore import RESTORE, STOP
from storage.format.audit_row import Outcome
from tests.flows.chains.house import add_note, anki_open, fronts, opened, tree_of
from tests.flows.on_prefect import Home, Run, pressed
from tests.servers.prefect_server import PrefectServer

_ASKED_WITHIN_S = 60.0

QUICKLY = "import flows.running.asking\nflows.running.asking._POLL_S = 0.1\n"
BACKED_UP = "back_up_profile('Ada')\n"
NO_TIME = "flows.running.asking._MINUTE_S = 1.5\n"
IN_PLACE = "end(restore_profile('Ada', in_place=True, return_state=True))\n"
RECOVER = (
    "from flows.recover import recover_notes\n"
    "end(recover_notes('Ada', decks=['Chemistry'], into=True, return_state=True))\n"
)


@dataclass(slots=True)
class Browser:
    """Somebody who looks at the server for runs that are paused. What it saw before is nothing new."""

    server: PrefectServer
    seen: set[str] = field(default_factory=set)

    def question(self) -> Question:
        """The next question that comes up."""
        deadline = time.monotonic() + _ASKED_WITHIN_S
        wanted = {"flow_runs": {"state": {"type": {"any_": ["PAUSED"]}}}}
        while time.monotonic() < deadline:
            for run in httpx.post(f"{self.server.api_url}/flow_runs/filter", json=wanted, timeout=30).json():
                if run["state"]["id"] not in self.seen:
                    self.seen.add(run["state"]["id"])
                    return Question(self.server, run["id"], run["state"]["state_details"]["run_input_keyset"])
            time.sleep(0.1)  # nothing announces a run that pauses
        raise AssertionError("nobody asked anything")


@dataclass(frozen=True, slots=True)
class Question:
    """A question as the server shows it."""

    server: PrefectServer
    run: str
    keys: dict[str, str]

    @property
    def text(self) -> str:
        return str(self._input("description"))

    @property
    def choices(self) -> list[str]:
        schema = self._input("schema")
        assert schema["required"] == ["answer"]
        return list(schema["properties"]["answer"]["enum"])

    @property
    def title(self) -> str:
        return str(self._input("schema")["properties"]["answer"]["title"])

    def answer(self, answer: str | None) -> str:
        """Answer as the form does; the status that the server gives back."""
        body: dict[str, Any] = {"run_input": {"answer": answer}} if answer is not None else {}
        told = pressed(f"{self.server.api_url}/flow_runs/{self.run}/resume", body)
        return str(told.json()["status"])

    def _input(self, which: str) -> Any:
        found = httpx.get(f"{self.server.api_url}/flow_runs/{self.run}/input/{self.keys[which]}", timeout=30)
        found.raise_for_status()
        return found.json()


@contextmanager
def running(home: Home, script: str) -> Iterator[tuple[Browser, list[Run]]]:
    """A script that runs while the block goes on; its runs are there at the end of it."""
    runs: list[Run] = []
    browser = Browser(home.server)
    with ThreadPoolExecutor(1) as pool:
        ran = pool.submit(home.run, QUICKLY + script)
        yield browser, runs
        runs += ran.result()


def outcome(run: Run) -> tuple[str, str]:
    return run.state_type, run.state


def test_a_restore_shows_its_plan_asks_and_goes_on_with_a_yes(home: Home) -> None:
    with running(home, BACKED_UP + IN_PLACE) as (browser, runs):
        question = browser.question()
        before = home.collection("Ada").read_bytes()
        assert question.title == "Restore this?"
        assert question.choices == [RESTORE, STOP]
        assert "Restore Ada as of " in question.text
        assert "safety snapshot" in question.text
        assert question.answer(RESTORE) == "ACCEPT"

    (run,) = runs
    assert outcome(run) == ("COMPLETED", "Completed"), run.message
    assert run.artifacts()["restore-plan"] == f"# Restore of Ada\n\n{question.text}"
    assert home.collection("Ada").read_bytes() != before
    assert "restore-collection" in [task["name"] for task in run.tasks(expected=2)]
    row = next(row for row in home.rows() if row.action == "restore")
    assert (row.outcome, row.flow_run) == (Outcome.COMPLETED, run.id)


def test_a_no_ends_as_skipped_and_an_answer_that_is_none_is_refused_by_the_form(home: Home) -> None:
    before = tree_of(home.base)
    with running(home, BACKED_UP + IN_PLACE + RECOVER) as (browser, runs):
        question = browser.question()
        assert question.answer("perhaps") == "REJECT"
        assert question.answer(None) == "REJECT"
        assert question.answer(STOP) == "ACCEPT"
        question = browser.question()
        assert question.choices == [ADD, STOP]
        assert "Add notes to the collection of Ada" in question.text
        assert question.answer(STOP) == "ACCEPT"

    for run in runs:
        assert outcome(run) == ("COMPLETED", "Skipped"), run.message
        assert run.message.endswith("the plan was not confirmed")
    assert tree_of(home.base) == before
    assert [(row.action, row.outcome, row.reason) for row in home.rows()[-2:]] == [
        ("restore", Outcome.SKIPPED, "not-confirmed"),
        ("recover", Outcome.SKIPPED, "not-confirmed"),
    ]


def test_without_an_answer_a_run_ends_as_skipped_with_a_sentence_and_changes_nothing(home: Home) -> None:
    before = tree_of(home.base)
    silent = IN_PLACE.replace("in_place=True", "in_place=True, answer_minutes=1")
    runs = home.run(
        QUICKLY
        + NO_TIME
        + BACKED_UP
        + silent
        + silent.replace("True,", "True, snapshot='ask',", 1)
        + RECOVER.replace("into=True", "into=True, answer_minutes=1")
    )

    assert len(runs) == 3
    for run in runs:
        assert outcome(run) == ("COMPLETED", "Skipped"), run.message
        assert run.message == (
            "Nothing was changed, for nobody answered within 1 minute. "
            "Start it again, and answer its question on the page of the run."
        )
        assert "Traceback" not in run.log()
        assert "Error" not in run.log()
    assert tree_of(home.base) == before
    assert {(row.outcome, row.reason) for row in home.rows()[-3:]} == {(Outcome.SKIPPED, "not-answered")}


def test_a_profile_that_changed_meanwhile_is_asked_about_again(home: Home) -> None:
    with running(home, BACKED_UP + IN_PLACE) as (browser, runs):
        question = browser.question()
        add_note(home.collection("Ada"), "written meanwhile")
        question.answer(RESTORE)
        again = browser.question()
        assert again.run == question.run
        assert "has changed since the plan was shown" in again.text
        again.answer(RESTORE)

    assert outcome(runs[0]) == ("COMPLETED", "Completed"), runs[0].message
    assert "written meanwhile" not in fronts(home.collection("Ada"))


def test_an_anki_that_was_opened_meanwhile_ends_it_in_a_sentence(home: Home) -> None:
    with running(home, BACKED_UP + IN_PLACE) as (browser, runs):
        question = browser.question()
        with anki_open(home.collection("Ada")):
            question.answer(RESTORE)
            _until_ended(home, question.run)

    assert outcome(runs[0]) == ("FAILED", "Failed")
    assert runs[0].message.startswith("Anki has the collection of Ada open")
    assert "Traceback" not in runs[0].log()


def test_the_snapshots_that_there_are_are_offered_and_the_one_that_is_picked_comes_back(home: Home) -> None:
    add = f"from tests.flows.chains.house import add_note\nadd_note(Path({str(home.collection('Ada'))!r}), 'newer')\n"
    script = BACKED_UP + add + BACKED_UP + IN_PLACE.replace("in_place", "snapshot='ask', in_place")
    with running(home, script) as (browser, runs):
        question = browser.question()
        assert (question.title, len(question.choices)) == ("Which snapshot?", 2)
        newer, older = question.choices
        assert "230 notes" in newer
        assert "229 notes" in older
        question.answer(older)
        browser.question().answer(RESTORE)

    assert outcome(runs[0]) == ("COMPLETED", "Completed"), runs[0].message
    assert "newer" not in fronts(home.collection("Ada"))


def test_a_run_that_is_set_going_without_an_answer_asks_again_and_one_that_is_cancelled_ends(home: Home) -> None:
    with running(home, BACKED_UP + IN_PLACE + IN_PLACE) as (browser, runs):
        question = browser.question()
        _set_state(home, question.run, "RUNNING")
        again = browser.question()
        assert again.run == question.run
        again.answer(STOP)
        _set_state(home, browser.question().run, "CANCELLED")

    assert [run.state for run in runs] == ["Skipped", "Skipped"]
    row = home.rows()[-1]
    assert (row.outcome, row.reason) == (Outcome.SKIPPED, "not-answered")
    assert "the run was ended (Cancelled)" in (row.message or "")


@pytest.mark.parametrize("parameters", ["to={!r}", "in_place=True, ask=False"])
def test_into_an_empty_folder_or_with_asking_off_nothing_is_asked(home: Home, tmp_path: Path, parameters: str) -> None:
    given = parameters.format(str(tmp_path / "restored"))
    (run,) = home.run(BACKED_UP + f"end(restore_profile('Ada', {given}, return_state=True))\n")
    assert outcome(run) == ("COMPLETED", "Completed"), run.message


def test_notes_are_added_after_a_yes(home: Home) -> None:
    collection = home.collection("Ada")
    with opened(collection) as anki:
        chemistry = list(anki.find_notes("deck:Chemistry"))
    remove = (
        "from tests.flows.chains.house import opened\n"
        f"with opened(Path({str(collection)!r})) as anki: anki.remove_notes(anki.find_notes('deck:Chemistry'))\n"
    )
    with running(home, BACKED_UP + remove + RECOVER) as (browser, runs):
        browser.question().answer(ADD)

    assert outcome(runs[0]) == ("COMPLETED", "Completed"), runs[0].message
    with opened(collection) as anki:
        assert list(anki.find_notes("deck:Chemistry")) == chemistry


def _set_state(home: Home, run: str, state: str) -> None:
    body = {"state": {"type": state}, "force": True}
    pressed(f"{home.server.api_url}/flow_runs/{run}/set_state", body)


def _until_ended(home: Home, run: str) -> None:
    deadline = time.monotonic() + _ASKED_WITHIN_S
    while time.monotonic() < deadline:
        found = httpx.get(f"{home.server.api_url}/flow_runs/{run}", timeout=30).json()
        if found["state"]["type"] in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}:
            return
        time.sleep(0.1)  # nothing announces a run that ends
    raise AssertionError("the run goes on")
