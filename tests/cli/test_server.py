from __future__ import annotations

import json
import os
import random
import signal
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest
import typer

from cli.server import use_server
from recollect.settings import load_settings
from tests.cli.desk import Desk, interrupted
from tests.servers.prefect_server import PrefectServer, prefect_server
from tests.servers.process import HOST, free_port


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    with prefect_server(tmp_path_factory.mktemp("prefect")) as started:
        yield started


@pytest.fixture
def answering() -> Iterator[str]:
    """The address of something that says it is well, as a Prefect server does."""

    class Well(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/api/health" else 404)
            self.end_headers()
            self.wfile.write(b"true")

        def log_message(self, *_: object) -> None:
            """Quietly."""

    with HTTPServer((HOST, 0), Well) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://{HOST}:{listening.server_port}/api"
        listening.shutdown()
        thread.join()


def dead_url() -> str:
    return f"http://{HOST}:{free_port()}/api"


def on_server(server: PrefectServer) -> Mapping[str, str]:
    return {name: value for name, value in server.environment.items() if name.startswith("PREFECT_")}


def test_a_server_that_answers_is_used_unless_told_not_to(answering: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", answering)
    assert use_server(None, load_settings())
    assert use_server(True, load_settings())
    assert not use_server(False, load_settings())


@pytest.mark.parametrize("url", ["nonsense", "http://", "ftp://x/api", f"http://{HOST}:1/api", "http://[::1/api"])
def test_a_server_that_does_not_answer_is_done_without(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", url)
    assert not use_server(None, load_settings())
    assert "going on without it" in capsys.readouterr().err
    with pytest.raises(typer.Exit):
        use_server(True, load_settings())


def test_a_password_in_the_servers_address_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", f"http://ada:hunter2@{HOST}:1/api")
    use_server(None, load_settings())
    assert "hunter2" not in capsys.readouterr().err


def test_a_dead_server_is_told_and_the_backup_is_made_without_it(desk: Desk) -> None:
    ran = desk.having(PREFECT_API_URL=dead_url()).run("backup")
    assert ran.code == 0
    assert "No Prefect server answers" in ran.err
    assert "completed" in ran.out


def test_a_server_that_was_asked_for_must_be_there(desk: Desk) -> None:
    assert desk.run("backup", "--server").code == 2
    ran = desk.having(PREFECT_API_URL=dead_url()).run("backup", "--server")
    assert (ran.code, ran.out) == (2, "")
    assert not desk.repository.exists()


def test_with_a_server_a_backup_is_a_flow_run_and_prints_the_same_table(desk: Desk, server: PrefectServer) -> None:
    ran = desk.having(**on_server(server)).run("backup")
    assert ran.code == 0, ran.err
    assert [line.split()[:2] for line in ran.out.splitlines()[3:]] == [["Ada", "completed"], ["Ben", "completed"]]
    runs = httpx.post(f"{server.api_url}/flow_runs/filter", json={}).json()
    flows = {flow["id"]: flow["name"] for flow in httpx.post(f"{server.api_url}/flows/filter", json={}).json()}
    assert sorted(flows[run["flow_id"]] for run in runs) == ["back-up-all", "back-up-profile", "back-up-profile"]
    rows = desk.call("audit", "--json").json
    assert {row["flow_run"] for row in rows} <= {run["id"] for run in runs}


def test_with_a_server_json_stays_json_and_trouble_a_sentence(desk: Desk, server: PrefectServer) -> None:
    (desk.base / "Ada" / "collection.anki2").write_bytes(b"SQLite format 3\0" + bytes(4000))
    ran = desk.having(**on_server(server)).run("backup", "--json")
    assert ran.code == 1
    assert {row["profile"]: row["outcome"] for row in json.loads(ran.out)} == {"Ada": "failed", "Ben": "completed"}
    assert "Traceback" not in ran.err


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no signals to other processes")
def test_with_a_server_a_backup_that_is_told_to_end_still_writes_its_row(desk: Desk, server: PrefectServer) -> None:
    luck = random.Random(5)
    for number in range(16):
        (desk.base / "Ada" / "collection.media" / f"long {number}.mp3").write_bytes(luck.randbytes(4 << 20))
    code, out, err = interrupted(
        desk.having(**on_server(server)),
        signal.SIGTERM,
        lambda: any(desk.repository.glob("packs/*/*.pack")),
        "Ada",
    )
    assert (code, out) == (143, "")
    assert "Traceback" not in err
    assert [row["reason"] for row in desk.call("audit", "--json").json] == ["interrupted"]


def test_with_a_server_a_restore_is_a_flow_run(stocked: Desk, server: PrefectServer) -> None:
    ran = stocked.having(**on_server(server)).run("restore", "Ada", "--to", "restored")
    assert ran.code == 0, ran.err
    assert (stocked.home / "restored" / "collection.anki2").exists()


def test_with_a_server_a_no_at_the_terminal_has_the_row_that_it_has_without(stocked: Desk, answering: str) -> None:
    pytest.importorskip("pty", exc_type=ImportError)
    from tests.cli.terminal import at_terminal

    at_a_server = stocked.having(PREFECT_API_URL=answering)
    code, output = at_terminal(at_a_server, ["restore", "Ada", "--in-place"], typed="n\n", once="[y/N]")
    assert code == 1
    assert "the plan was not confirmed" in " ".join(output.split())
    (row,) = stocked.call("audit", "--action", "restore", "--json").json
    assert (row["profile"], row["outcome"], row["reason"]) == ("Ada", "skipped", "not-confirmed")
