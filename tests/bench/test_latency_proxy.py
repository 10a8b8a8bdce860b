"""The proxy passes what it does not understand the purpose of, and counts what it passes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.latency_proxy import HOST, Head, LatencyProxy, kind_of, latency_proxy


class Echo(BaseHTTPRequestHandler):
    """Answers with the body that it was sent, framed as the path says."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        if self.path == "/refused":
            self.send_response(403)
            self.send_header("Content-Length", "0")
            self.end_headers()
            self.close_connection = True
            return
        self._answer(self._body())

    def do_GET(self) -> None:
        self._answer(b"got " + self.path.encode())

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "12345")
        self.end_headers()

    def do_DELETE(self) -> None:
        self.send_response(204)
        self.end_headers()

    def handle_expect_100(self) -> bool:
        return self.path == "/refused" or super().handle_expect_100()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"]))
        parts = []
        while length := int(self.rfile.readline().partition(b";")[0], 16):
            parts.append(self.rfile.read(length))
            self.rfile.readline()
        while self.rfile.readline() != b"\r\n":
            pass
        return b"".join(parts)

    def _answer(self, content: bytes) -> None:
        self.send_response(200)
        if self.path.startswith("/chunked"):
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            half = len(content) // 2
            for part in (content[:half], content[half:]):
                if part:
                    self.wfile.write(f"{len(part):x};note=1\r\n".encode() + part + b"\r\n")
            self.wfile.write(b"0\r\nX-Trailer: seen\r\n\r\n")
        elif self.path.startswith("/until-the-end"):
            self.end_headers()
            self.wfile.write(content)
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def proxy() -> Iterator[LatencyProxy]:
    server = ThreadingHTTPServer((HOST, 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with latency_proxy(0.0, server.server_address[1]) as made:
        yield made
    server.shutdown()
    server.server_close()


@contextmanager
def connected(proxy: LatencyProxy) -> Iterator[HTTPConnection]:
    connection = HTTPConnection(HOST, proxy.port, timeout=20)
    try:
        yield connection
    finally:
        connection.close()


def exchange(connection: HTTPConnection, method: str, path: str, body: Any = None, **headers: str) -> HTTPResponse:
    connection.request(method, path, body, headers, encode_chunked=headers.get("Transfer-Encoding") == "chunked")
    return connection.getresponse()


@pytest.mark.parametrize("path", ["/plain/key", "/chunked/key"])
@pytest.mark.parametrize("length", [0, 1, 70_000, 3_000_000])
def test_bodies_pass_unharmed_on_one_connection(proxy: LatencyProxy, path: str, length: int) -> None:
    body = bytes(range(251)) * (length // 251 + 1)
    with connected(proxy) as connection:
        for _ in range(3):
            assert exchange(connection, "PUT", path, body[:length]).read() == body[:length]


@settings(max_examples=40, deadline=None)
@given(parts=st.lists(st.binary(min_size=1, max_size=2_000), max_size=6))
def test_chunked_requests_pass_unharmed(proxy: LatencyProxy, parts: list[bytes]) -> None:
    with connected(proxy) as connection:
        answer = exchange(connection, "PUT", "/chunked/key", iter(parts), **{"Transfer-Encoding": "chunked"})
        assert answer.read() == b"".join(parts)
        assert exchange(connection, "GET", "/plain/next").read() == b"got /plain/next"


def test_an_answer_that_lasts_until_the_end_passes_whole(proxy: LatencyProxy) -> None:
    with connected(proxy) as connection:
        body = b"x" * 2_000_000
        assert exchange(connection, "PUT", "/until-the-end/key", body).read() == body


def test_answers_without_a_body_leave_the_connection_usable(proxy: LatencyProxy) -> None:
    with connected(proxy) as connection:
        head = exchange(connection, "HEAD", "/bucket/key")
        assert (head.read(), head.headers["Content-Length"]) == (b"", "12345")
        assert exchange(connection, "DELETE", "/bucket/key").read() == b""
        assert exchange(connection, "GET", "/bucket/key").read() == b"got /bucket/key"


def received(connection: socket.socket, end: bytes) -> bytes:
    content = b""
    while not content.endswith(end):
        part = connection.recv(65_536)
        if not part:
            break
        content += part
    return content


def test_a_body_is_sent_after_the_server_asked_for_it(proxy: LatencyProxy) -> None:
    with socket.create_connection((HOST, proxy.port), timeout=20) as connection:
        connection.sendall(b"PUT /plain/key HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert received(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"body")
        assert received(connection, b"body").startswith(b"HTTP/1.1 200 ")
        connection.sendall(b"GET /plain/key HTTP/1.1\r\nHost: x\r\n\r\n")
        assert received(connection, b"got /plain/key").startswith(b"HTTP/1.1 200 ")


def test_a_refused_body_ends_the_connection_so_that_no_request_is_taken_for_it(proxy: LatencyProxy) -> None:
    with socket.create_connection((HOST, proxy.port), timeout=5) as connection:
        connection.sendall(b"PUT /refused HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert received(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 403 ")
        assert connection.recv(1) == b""


@pytest.mark.parametrize(
    "nonsense",
    [
        b"GET\r\n\r\n",
        b"PUT /a/b HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
    ],
)
def test_what_can_not_be_understood_ends_its_own_connection_only(proxy: LatencyProxy, nonsense: bytes) -> None:
    with socket.create_connection((HOST, proxy.port), timeout=20) as connection:
        connection.sendall(nonsense)
        assert b"200" not in received(connection, b"never")
    with connected(proxy) as connection_after:
        assert exchange(connection_after, "GET", "/plain/key").status == 200


def test_every_request_is_counted_by_its_kind(proxy: LatencyProxy) -> None:
    proxy.forget_counts()
    with connected(proxy) as connection:
        for method, path in (
            ("PUT", "/bucket/key"),
            ("GET", "/bucket/key?versionId=1"),
            ("GET", "/bucket?list-type=2&prefix=packs%2F"),
            ("GET", "/bucket/?delimiter=%2F"),
            ("HEAD", "/bucket/key"),
            ("DELETE", "/bucket/key"),
        ):
            exchange(connection, method, path, b"" if method == "PUT" else None).read()
        exchange(connection, "PUT", "/bucket/copy", b"", **{"X-Amz-Copy-Source": "/bucket/key"}).read()
    assert proxy.counts() == {"COPY": 1, "DELETE": 1, "GET": 1, "HEAD": 1, "LIST": 2, "PUT": 1}
    proxy.forget_counts()
    assert proxy.counts() == {}


def test_removing_many_objects_at_once_is_told_from_other_posts() -> None:
    assert kind_of(Head(("POST", "/bucket?delete", "HTTP/1.1"), {}, b"")) == "DELETE"
    assert kind_of(Head(("POST", "/bucket/key?uploads", "HTTP/1.1"), {}, b"")) == "POST"
    assert kind_of(Head(("GET", "/bucket/?uploads&prefix=a", "HTTP/1.1"), {}, b"")) == "LIST"


def test_every_request_waits() -> None:
    server = ThreadingHTTPServer((HOST, 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with latency_proxy(0.05, server.server_address[1]) as proxy, connected(proxy) as connection:
        began = time.monotonic()
        for _ in range(4):
            exchange(connection, "GET", "/bucket/key").read()
        # What is asked of the clock is only that none of them was let through at once.
        assert time.monotonic() - began > 3 * 0.05
    server.shutdown()
    server.server_close()
