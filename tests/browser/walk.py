"""What a person does in a browser on the first days, whichever way the server came up: a backup, and a restore."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from playwright.sync_api import Page, expect

from tests.cli.desk import Desk
from tests.flows.chains.house import opened
from tests.servers.browser import Browser

RUN_WITHIN_MS = 90_000

Picture = Callable[[str], None]
"""Keeps what the window shows, under a name."""


def back_up(window: Browser, desk: Desk, picture: Picture) -> None:
    """Find Ada's deployment, start a backup, see it complete, and read its report."""
    page = window.open("/deployments")
    expect(page.get_by_role("link", name="Ada on laptop", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="Ben on laptop", exact=True)).to_be_visible()
    picture("deployments")

    page = to_form(window, "Ada on laptop")
    field(page, "Even if nothing has changed").get_by_role("switch").click()
    page.get_by_role("button", name="Submit").click()
    page = to_run(window, "Ada")
    expect(page.get_by_text("Completed", exact=True).first).to_be_visible(timeout=RUN_WITHIN_MS)
    picture("backup")
    assert desk.run("snapshots", "Ada").code == 0

    to_artifacts(page)
    page.get_by_text(re.compile("^backup-report-ada")).first.click()
    expect(page.get_by_text("229").first).to_be_visible()
    picture("report")


def lose_notes_and_restore(window: Browser, desk: Desk, picture: Picture) -> None:
    """Delete a deck, fill in the form of a restore, read its plan, say yes, and find the notes where they were."""
    collection = desk.base / "Ada" / "collection.anki2"
    before = notes_in(collection)
    with opened(collection) as anki:
        anki.remove_notes(anki.find_notes("deck:Geography"))
    assert len(left := notes_in(collection)) < len(before)

    page = to_form(window, "restore-profile")
    choose(page, "Profile", "Ada")
    field(page, "Over the profile itself").get_by_role("switch").click()
    picture("restore-form")
    page.get_by_role("button", name="Submit").click()
    page = to_run(window, "Ada from latest")
    expect(page.get_by_text("Paused", exact=True).first).to_be_visible(timeout=RUN_WITHIN_MS)
    assert notes_in(collection) == left

    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("Restore this?").first).to_be_visible()
    expect(page.get_by_text("229 notes").first).to_be_visible()
    choose(page, "Restore this?", "Restore it")
    picture("restore-question")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("Completed", exact=True).first).to_be_visible(timeout=RUN_WITHIN_MS)
    picture("restored")
    assert notes_in(collection) == before
    assert "restore" in desk.run("audit").out


def to_form(window: Browser, deployment: str) -> Page:
    """From the list of deployments to the form for a run of one, as a person clicks."""
    page = window.open("/deployments")
    page.get_by_placeholder("Search deployments").fill(deployment)  # the list has pages
    page.locator(f'a[title="{deployment}"][href^="/deployments/"]').click()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("Custom run").click()
    expect(page.get_by_role("button", name="Submit")).to_be_visible()
    return page


def field(page: Page, title: str) -> Page:
    """What the form has under a title."""
    return page.locator(".schema-form-property", has=page.get_by_text(re.compile(rf"^{re.escape(title)}(\s|$)"))).last


def choose(page: Page, title: str, choice: str) -> None:
    """Pick one of a field's choices."""
    list_ = field(page, title).locator(".p-select-button")
    width = list_.evaluate("list => list.offsetWidth")
    list_.click(position={"x": width - 20, "y": 20})
    page.locator(".p-select-option", has_text=choice).click()


def notes_in(collection: Path) -> list[int]:
    with opened(collection) as anki:
        return sorted(anki.find_notes(""))


def to_run(window: Browser, name: str) -> Page:
    """To the page of a run, as soon as it goes by its name; lists of runs are drawn anew only now and then."""
    # Not one within a run, as those of the first backup are.
    wanted = {"flow_runs": {"name": {"any_": [name]}, "deployment_id": {"is_null_": False}}}
    deadline = time.monotonic() + RUN_WITHIN_MS / 1000
    while not (runs := httpx.post(f"{window.url}/api/flow_runs/filter", json=wanted, timeout=30).json()):
        assert time.monotonic() < deadline, f"No run goes by the name {name}"
        # The page asks nothing of the server while this process waits in any other way.
        window.page.wait_for_timeout(250)
    return window.open(f"/runs/flow-run/{runs[0]['id']}")


def to_artifacts(page: Page) -> None:
    page.get_by_role("tab", name="Artifacts").or_(page.get_by_text("Artifacts", exact=True)).last.click()
