"""A person's first days with Recollect, in a real browser on the real server that `recollect up` starts.

The tests of this module go on where the one before them ended. What they see is kept as pictures, which illustrate the
README and the guides, where the environment names a folder for them (`make pictures`).
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.walk import RUN_WITHIN_MS, Picture, back_up, lose_notes_and_restore, to_run
from tests.cli.desk import Desk
from tests.flows.chains.house import copy_base, sample_base
from tests.servers.browser import Browser, browser
from tests.servers.prefect_server import PROJECT
from tests.servers.process import HOST, free_port

__all__ = ["sample_base"]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows sends no signals to other processes")

GUARD = PROJECT / "tests" / "deployments" / "local" / "guard"
TRIED = "tried.log"
"""Where each try of a process to speak to another computer is written down."""
PICTURES = "RECOLLECT_TEST_PICTURES"
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
def picture(window: Browser, tmp_path: Path) -> Picture:
    """Keeps what the window shows, under a name."""
    folder = Path(os.environ.get(PICTURES) or tmp_path)

    def keep(name: str) -> None:
        window.page.wait_for_timeout(500)  # pages fade in, and nothing tells when they are done
        window.page.screenshot(path=folder / f"{name}.png")

    return keep


def test_a_backup_that_is_started_in_the_browser_ends_well_and_tells_what_it_did(
    window: Browser, desk: Desk, picture: Picture
) -> None:
    first = to_run(window, "Ada, Ben")  # which began by itself
    expect(first.get_by_text("Completed", exact=True).first).to_be_visible(timeout=RUN_WITHIN_MS)
    back_up(window, desk, picture)


def test_a_restore_shows_its_plan_waits_for_an_answer_and_brings_the_profile_back(
    window: Browser, desk: Desk, picture: Picture
) -> None:
    lose_notes_and_restore(window, desk, picture)


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
