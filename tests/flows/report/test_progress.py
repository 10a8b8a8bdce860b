"""Progress that is shown: whoever listened before still hears of all, and no server can hold up or end the work."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID, uuid4

import pytest

from flows.report import progress
from flows.report.progress import ShownProgress
from recollect.progress import SILENT, Stage

KEY = "progress-ada"


class Listener:
    """Somebody who listened before, and may want the work to stop."""

    def __init__(self, *, stops: bool = False) -> None:
        self.heard: list[tuple[str, int | None, int | None] | tuple[int, int]] = []
        self.stops = stops

    @contextmanager
    def stage(self, what: str, total: int | None, files: int | None = None) -> Iterator[Stage]:
        self.heard.append((what, total, files))
        yield self

    def advance(self, amount: int, files: int = 0) -> None:
        self.heard.append((amount, files))
        if self.stops:
            raise KeyboardInterrupt


class Server:
    """Takes artifacts in the place of a client, or refuses to."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.refuses = refuses
        self.shown: list[tuple[float, str]] = []
        self.told = threading.Semaphore(0)

    @contextmanager
    def client(self, **_: object) -> Iterator[Server]:
        if self.refuses:
            self.told.release()
            raise ConnectionError("Nobody is there")
        yield self

    def create_artifact(self, artifact: progress.ArtifactCreate) -> Server:
        assert artifact.key == KEY
        assert artifact.flow_run_id is not None
        return self._take(artifact)

    def update_artifact(self, _id: UUID, artifact: progress.ArtifactUpdate) -> None:
        self._take(artifact)

    @property
    def id(self) -> UUID:
        return uuid4()

    def _take(self, artifact: progress.ArtifactCreate | progress.ArtifactUpdate) -> Server:
        self.shown.append((artifact.data, artifact.description or ""))
        self.told.release()
        return self


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    monkeypatch.setattr(progress, "patient_client", server.client)
    monkeypatch.setattr(progress, "LONG_S", 0.0)
    monkeypatch.setattr(progress, "EVERY_S", 0.001)
    return server


def test_whoever_listened_before_hears_of_everything(server: Server) -> None:
    listener = Listener()
    shown = ShownProgress(uuid4(), KEY, listener)
    with shown.stage("copying", None) as stage:
        stage.advance(5)
    with shown.stage("storing", 10, 2) as stage:
        stage.advance(6, files=1)
        stage.advance(4, files=1)

    assert listener.heard == [("copying", None, None), (5, 0), ("storing", 10, 2), (6, 1), (4, 1)]
    assert all(percent <= 100 for percent, _ in server.shown)


def test_the_last_that_is_shown_is_the_end_and_its_words_are_no_markup(server: Server) -> None:
    with ShownProgress(uuid4(), KEY, SILENT).stage("<b>Ada</b>: storing", 2048, 3) as stage:
        stage.advance(1024, files=1)
        assert server.told.acquire(timeout=30)
        stage.advance(4096, files=2)

    percent, words = server.shown[-1]
    assert percent == 100
    assert words.replace("\\", "") == "<b>Ada</b>: storing: 2.0 KiB of 2.0 KiB, 3 of 3 files"
    assert "\\<b\\>" in words


def test_work_that_is_done_at_once_and_work_of_unknown_length_are_not_shown(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ShownProgress(uuid4(), KEY, SILENT).stage("copying", None) as stage:
        stage.advance(1)
    monkeypatch.setattr(progress, "LONG_S", 60.0)
    with ShownProgress(uuid4(), KEY, SILENT).stage("storing", 10) as stage:
        stage.advance(10)
    assert server.shown == []


# What ends a thread is no more than a warning to pytest.
@pytest.mark.filterwarnings("error")
def test_a_server_that_is_gone_changes_nothing_for_the_work(server: Server) -> None:
    server.refuses = True
    listener = Listener()
    with ShownProgress(uuid4(), KEY, listener).stage("storing", 10) as stage:
        assert server.told.acquire(timeout=30)
        stage.advance(10)
    assert listener.heard[-1] == (10, 0)


def test_what_stops_the_work_is_not_held_back_and_leaves_no_thread(server: Server) -> None:
    shown = ShownProgress(uuid4(), KEY, Listener(stops=True))
    with pytest.raises(KeyboardInterrupt), shown.stage("storing", 10) as stage:
        stage.advance(1)
    assert "progress" not in {thread.name for thread in threading.enumerate()}
