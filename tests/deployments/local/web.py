"""A small web server that answers as a test wants it to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tests.servers.process import HOST


@dataclass
class Web:
    """What it answers to which path, and the headers of what it was asked."""

    port: int
    answers: dict[str, tuple[int, Any]] = field(default_factory=lambda: {"/api/health": (200, True)})
    heard: list[Message] = field(default_factory=list)

    @property
    def api_url(self) -> str:
        return f"http://{HOST}:{self.port}/api"


@pytest.fixture
def web() -> Iterator[Web]:
    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.heard.append(self.headers)
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            code, content = made.answers.get(self.path, (404, None))
            self.send_response(code)
            self.end_headers()
            self.wfile.write(content if isinstance(content, bytes) else json.dumps(content).encode())

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Quietly."""

    with HTTPServer((HOST, 0), Answering) as listening:
        made = Web(listening.server_port)
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield made
        listening.shutdown()
        thread.join()
