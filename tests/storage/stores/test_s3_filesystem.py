"""How a body reaches an S3 server: whole, at once declared, and again when the server was not ready for it."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from storage.stores.s3_filesystem import InPieces, PromptS3FileSystem

BODY = random.Random(1).randbytes(3 * 256 * 1024 + 77)


class Busy(ThreadingHTTPServer):
    """A server that says that it is busy the first time, and keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.received: list[tuple[bytes, str | None]] = []


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Busy

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((body, self.headers.get("Transfer-Encoding")))
        self.send_response(503 if len(self.server.received) == 1 else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def server() -> Iterator[Busy]:
    with Busy() as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


def test_a_long_body_is_sent_again_whole_when_the_server_was_busy(
    server: Busy, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[InPieces] = []
    iterate = InPieces.__aiter__
    monkeypatch.setattr(InPieces, "__aiter__", lambda body: sent.append(body) or iterate(body))
    filesystem = PromptS3FileSystem(
        key="key",
        secret="secret",
        endpoint_url=f"http://127.0.0.1:{server.server_port}",
        skip_instance_cache=True,
    )
    filesystem.pipe_file("bucket/packs/ab/1", BODY)
    assert server.received == [(BODY, None)] * 2
    assert len(sent) == 2
