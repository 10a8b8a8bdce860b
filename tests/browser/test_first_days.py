"""A person's first days with Recollect, in a real browser on the real server that `recollect up` starts.

The tests of this module go on where the one before them ended. What they see is kept as pictures, which illustrate the
README and the guides, where the environment names a folder for them (`make pictures`).
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.cli.desk import Desk
from tests.flows.chains.house import copy_base, opened, sample_base
from tests.servers.browser import Browser, browser
from tests.servers.prefect_server import PROJECT
from tests.servers.process import HOST, free_port

__all__ = ["sample_base"]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows sends no signals to other processes")

GUARD = PROJECT / "tests" / "deployments" / "local" / "guard"
TRIED = "tried.log"
"""Where each try of a process to speak to another computer is written down."""
PICTURES = "RECOLLECT_TEST_PICTURES"
RUN_WITHIN_MS = 90_000
LINKED_TO = (
    "/blocks/catalog",
    "/blocks/catalog/recollect-repository/create",
    "/work-pools/create",
    "/automations/create",
    "/concurrency-limits",
    "/settings",
    "/v2/",
    "/v2/blocks/catalog",
)
PAGES = ("Dashboard", "Runs", "Flows", "Deployments", "Work Pools", "Blocks", "Variables", "Automations", "Event Feed")


@pytest.fixture(scope="module")
def desk(sample_base: Path) -> Iterator[Desk]:
    """Ada's and Ben's computer, which goes by the name laptop."""
    # A short path, for pages and pictures show it.
    with tempfile.TemporaryDirectory(prefix="ada-", ignore_cleanup_errors=True) as home:
        guarded = {"PYTHONPATH": f"{GUARD}{os.pathsep}{PROJECT}", "RECOLLECT_TEST_GUARD": str(Path(home) / TRIED)}
        made = Desk(Path(home), {"RECOLLECT_HOST": "laptop", **guarded})
        copy_base(sample_base, made.base)
        yield made


@pytest.fixture(scope="module")
def window(desk: Desk) -> Iterator[Browser]:
    """A window on what `recollect up` brings up."""
    port = free_port()
    began = desk.run("up", "--detach", "--port", str(port))
    try:
        assert began.code == 0, began.err
        url = f"http://{HOST}:{port}"
        assert url in began.out
        with browser(url, desk.home) as opened:
            yield opened
    finally:
        desk.run("down")


@pytest.fixture
def picture(window: Browser, tmp_path: Path) -> Callable[[str], None]:
    """Keeps what the window shows, under a name."""
    folder = Path(os.environ.get(PICTURES) or tmp_path)

    def keep(name: str) -> None:
        window.page.wait_for_timeout(500)  # pages fade in, and nothing tells when they are done
        window.page.screenshot(path=folder / f"{name}.png")

    return keep


def to_form(window: Browser, deployment: str) -> Page:
    """From the list of deployments to the form for a run of one, as a person clicks."""
    page = window.open("/deployments")
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
    wanted = {"flow_runs": {"name": {"any_": [name]}}}
    deadline = time.monotonic() + RUN_WITHIN_MS / 1000
    while not (runs := httpx.post(f"{window.url}/api/flow_runs/filter", json=wanted, timeout=30).json()):
        assert time.monotonic() < deadline, f"No run goes by the name {name}"
        # The page asks nothing of the server while this process waits in any other way.
        window.page.wait_for_timeout(250)
    return window.open(f"/runs/flow-run/{runs[0]['id']}")


def to_artifacts(page: Page) -> None:
    page.get_by_role("tab", name="Artifacts").or_(page.get_by_text("Artifacts", exact=True)).last.click()


def test_a_backup_that_is_started_in_the_browser_ends_well_and_tells_what_it_did(
    window: Browser, desk: Desk, picture: Callable[[str], None]
) -> None:
    page = window.open("/deployments")
    expect(page.get_by_role("link", name="Ada on laptop", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="Ben on laptop", exact=True)).to_be_visible()
    picture("deployments")

    page = to_form(window, "Ada on laptop")
    expect(page.get_by_text("Even if nothing has changed")).to_be_visible()
    page.get_by_role("button", name="Submit").click()
    page = to_run(window, "Ada")
    expect(page.get_by_text("Completed", exact=True).first).to_be_visible(timeout=RUN_WITHIN_MS)
    picture("backup")
    assert desk.run("snapshots", "Ada").code == 0

    to_artifacts(page)
    page.get_by_text(re.compile("^backup-report-ada")).first.click()
    expect(page.get_by_text("229").first).to_be_visible()
    picture("report")


def test_a_restore_shows_its_plan_waits_for_an_answer_and_brings_the_profile_back(
    window: Browser, desk: Desk, picture: Callable[[str], None]
) -> None:
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


def test_no_page_asks_for_anything_on_another_host_nor_lets_the_server_do_so(window: Browser, desk: Desk) -> None:
    for name in PAGES:
        page = window.open("/dashboard")
        page.locator(".p-context-nav-item", has_text=re.compile(rf"^\s*{name}\s*$")).click()
        page.wait_for_load_state("networkidle")
    for path in LINKED_TO:
        window.open(path)
    assert "process" in window.open("/api/collections/views/aggregate-worker-metadata").content()
    assert window.asked_elsewhere == set()
    assert not (desk.home / TRIED).exists(), (desk.home / TRIED).read_text()
