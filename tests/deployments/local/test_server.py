from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.local import server
from deployments.local.asking import ServerSilent, ask, is_well
from deployments.local.environment import own_api_url
from deployments.local.home import Home, made
from deployments.local.processes import start
from deployments.local.server import PortTaken, ServerNotUp, refuse_taken_port, wait_until_well, who_listens
from tests.deployments.local.web import Web, web
from tests.servers.prefect_server import PROJECT
from tests.servers.process import HOST, free_port

__all__ = ["web"]


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_free_port_is_taken_as_it_is() -> None:
    refuse_taken_port(free_port())


def test_a_port_is_free_again_when_connections_to_it_have_just_ended() -> None:
    with socket.socket() as listener:
        # As the server does.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, 0))
        listener.listen()
        port = listener.getsockname()[1]
        with socket.create_connection((HOST, port)):
            accepted, _ = listener.accept()
            # The end that is closed first waits for a while with the port in its name.
            accepted.close()
    refuse_taken_port(port)


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="only Linux has this table")
def test_a_port_that_is_taken_names_the_program_and_another_port(listening: int) -> None:
    with pytest.raises(PortTaken) as refused:
        refuse_taken_port(listening)
    name = Path("/proc/self/comm").read_text().strip()
    assert f"Port {listening} is taken by {name} (process {os.getpid()})" in str(refused.value)
    assert f"recollect up --port {listening + 1}" in str(refused.value)


def test_a_port_that_nobody_listens_on_has_no_program() -> None:
    assert who_listens(free_port()) is None


def test_whose_port_it_is_can_stay_unknown(listening: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "who_listens", lambda _: None)
    with pytest.raises(PortTaken, match=f"Port {listening} is taken by another program"):
        refuse_taken_port(listening)


def test_a_port_that_another_prefect_server_has_is_one_to_join(web: Web) -> None:
    with pytest.raises(PortTaken, match=f"recollect up --join {own_api_url(web.port)}"):
        refuse_taken_port(web.port)


def test_a_server_that_ends_before_it_answers_is_told_with_its_last_words(tmp_path: Path) -> None:
    home = made(Home(tmp_path / "prefect"))
    child = start("server", ["no_such_module"], home, {**os.environ, "PYTHONPATH": str(PROJECT)})
    with pytest.raises(ServerNotUp, match=r"ended with code 1 before it answered(.|\n)*no_such_module"):
        wait_until_well(home, child, free_port(), lambda _: child.process.wait() < 0, print)


def test_a_server_that_takes_long_is_told_of_until_nobody_waits_for_it_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, told = made(Home(tmp_path / "prefect")), list[str]()
    monkeypatch.setattr(server, "_TELLS_EVERY_S", 0.0)
    child = start("server", ["tests.deployments.local.idling"], home, {**os.environ, "PYTHONPATH": str(PROJECT)})
    try:
        wait_until_well(home, child, free_port(), lambda _: len(told) > 2, told.append)
    finally:
        child.end()
    assert set(told) == {"It is still starting, after 0 s"}


def test_a_server_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = made(Home(tmp_path / "prefect"))
    monkeypatch.setattr(server, "_HEALTHY_WITHIN_S", 0.0)
    child = start("server", ["tests.deployments.local.idling"], home, {**os.environ, "PYTHONPATH": str(PROJECT)})
    try:
        with pytest.raises(ServerNotUp, match="did not answer within"):
            wait_until_well(home, child, free_port(), lambda _: False, print)
    finally:
        child.end()


def test_a_server_is_well_when_it_says_so(web: Web) -> None:
    assert is_well(web.api_url)
    web.answers["/api/health"] = (500, True)
    assert not is_well(web.api_url)
    web.answers["/api/health"] = (200, b"<html>Another program, which answers everything</html>")
    assert not is_well(web.api_url)


@pytest.mark.parametrize(
    "url", ["", "nonsense", "http://", "file:///etc/passwd", "http://[::1/api", f"http://{HOST}:1"]
)
def test_what_is_no_server_is_not_well(url: str) -> None:
    assert not is_well(url)


def test_trouble_with_a_server_is_a_sentence_without_its_password(web: Web) -> None:
    web.answers["/api/it"] = (403, {"detail": "no"})
    with pytest.raises(ServerSilent, match="answers with 403"):
        ask(web.api_url, "it", {"a": 1})
    with pytest.raises(ServerSilent, match="does not answer") as silent:
        ask(f"http://ada:hunter2@{HOST}:1/api", "it")
    assert "hunter2" not in str(silent.value)


def test_credentials_go_along_as_prefect_sends_them(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    web.answers["/api/it"] = (200, [1])
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "ada:pw")
    assert ask(web.api_url, "it") == [1]
    assert web.heard[-1]["Authorization"] == "Basic YWRhOnB3"
    monkeypatch.setenv("PREFECT_API_KEY", "key")
    ask(web.api_url, "it", {})
    assert web.heard[-1]["Authorization"] == "Bearer key"


def test_a_proxy_is_not_asked_for_a_server_of_this_computer(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, f"http://{HOST}:1")
    assert is_well(web.api_url)


def test_asking_imports_neither_prefect_nor_a_client() -> None:
    code = (
        "import sys, cli.server; from deployments.local.asking import is_well; is_well('http://127.0.0.1:1/api')\n"
        "print([name for name in ('prefect', 'httpx', 'anki', 'pyarrow') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
