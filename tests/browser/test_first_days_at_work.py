"""A person's first days with Recollect at work, with `prefect deploy --all` and `prefect worker start`.

The same on what `recollect up` brings up is in `test_first_days.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.walk import back_up, lose_notes_and_restore
from tests.cli.desk import Desk
from tests.deployments.workplace import HOST as LAPTOP
from tests.deployments.workplace import Workplace, workplace
from tests.flows.chains.house import sample_base
from tests.servers.browser import Browser, browser
from tests.servers.prefect_server import OURS, PROJECT, prefect_server
from tests.servers.process import HOST

__all__ = ["sample_base"]


@pytest.fixture(scope="module")
def place(sample_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    scratch = tmp_path_factory.mktemp("at-work")
    with prefect_server(scratch, OURS) as server, workplace(server, sample_base, scratch) as ready:
        yield ready


@pytest.fixture(scope="module")
def desk(place: Workplace) -> Desk:
    """The same computer, at which somebody uses the command."""
    settings = {"RECOLLECT_HOST": LAPTOP, "RECOLLECT_CACHE": str(place.folder / "cache"), "PYTHONPATH": str(PROJECT)}
    return Desk(place.folder, settings)


@pytest.fixture(scope="module")
def window(place: Workplace) -> Iterator[Browser]:
    with browser(f"http://{HOST}:{place.server.port}", place.folder) as opened:
        yield opened


def test_a_backup_of_what_was_deployed_ends_well_and_tells_what_it_did(window: Browser, desk: Desk) -> None:
    back_up(window, desk, without_a_picture)


def test_a_restore_of_what_was_deployed_waits_for_an_answer_and_brings_the_profile_back(
    window: Browser, desk: Desk
) -> None:
    lose_notes_and_restore(window, desk, without_a_picture)


def without_a_picture(_name: str) -> None:
    """The pictures are taken of what `recollect up` brings up."""
