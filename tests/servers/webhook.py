"""A receiver of notifications on 127.0.0.1, as a chat room is one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any

from tests.servers.process import HOST


@dataclass(frozen=True, slots=True)
class Receiver:
    """What was received, oldest first."""

    url: str
    received: Queue[Any]

    def sentence_about(self, what: str, within_s: float) -> str:
        """The next text that comes and names that. Raises queue.Empty when none comes in time."""
        while True:
            text: str = self.received.get(timeout=within_s)["text"]
            if what in text:
                return text


@contextmanager
def receiver(secret: str = "a-secret-word", status: int = 200) -> Iterator[Receiver]:
    """Listen until the block ends; each call is answered with that status."""
    received: Queue[Any] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            received.put(json.loads(content))
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the standard library's own name
            pass

    server = ThreadingHTTPServer((HOST, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Receiver(f"http://{HOST}:{server.server_port}/{secret}", received)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
