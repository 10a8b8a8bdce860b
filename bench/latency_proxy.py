"""A way to an HTTP server on this machine that takes as long as one to a server far away, and counts requests.

Every request waits before it goes on; bytes are passed as they are. No more of HTTP/1.1 (RFC 9112) is understood than
where messages end: Content-Length, chunks, answers that go on until the connection ends, and `100 Continue`.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

HOST: Final = "127.0.0.1"
_BUFFER: Final = 1024 * 1024
_LONGEST_HEAD: Final = 64 * 1024
_ENDS_WITHIN_S: Final = 10
_BODILESS: Final = frozenset({204, 304})


class MessageUnclearError(Exception):
    """A message whose end can't be found: nothing behind it could be told apart."""


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of a request or an answer; names of headers in lower case."""

    first: tuple[str, str, str]
    headers: Mapping[str, str]
    raw: bytes

    @property
    def closes(self) -> bool:
        """Whether nothing follows on the connection."""
        return "close" in self.headers.get("connection", "").lower() or "HTTP/1.0" in self.first


def kind_of(head: Head) -> str:
    """What a request asks of an S3 server: its method, with listings and copies told apart."""
    method, target, _ = head.first
    path, _, query = target.partition("?")
    names = {part.partition("=")[0] for part in query.split("&")}
    inside_a_bucket = "/" in path.strip("/")
    if method == "GET" and (not inside_a_bucket or "uploads" in names):
        return "LIST"
    if method == "PUT" and "x-amz-copy-source" in head.headers:
        return "COPY"
    return "DELETE" if method == "POST" and "delete" in names else method


class LatencyProxy:
    """A server on a free port before the one on the port `target`. Both that and `delay_s` may change while it runs."""

    def __init__(self, delay_s: float, target: int = 0) -> None:
        self.delay_s = delay_s
        self.target = target
        self.port = 0
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def counts(self) -> dict[str, int]:
        """How many requests of each kind came since the last `forget_counts`."""
        with self._lock:
            return dict(sorted(self._counts.items()))

    def forget_counts(self) -> None:
        """Begin to count anew."""
        with self._lock:
            self._counts.clear()

    async def listen(self) -> asyncio.Server:
        """Begin to serve in the running loop."""
        server = await asyncio.start_server(self._serve, HOST, 0, limit=_BUFFER)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        try:
            server, to_server = await asyncio.open_connection(HOST, self.target, limit=_BUFFER)
        except OSError:
            to_client.close()
            return
        try:
            while await self._exchange(client, to_client, server, to_server):
                pass
        except (MessageUnclearError, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # either side went away, or can't be understood: the other learns it as the connection ends
        finally:
            for writer in (to_client, to_server):
                writer.close()
            for writer in (to_client, to_server):
                with suppress(ConnectionError):
                    await writer.wait_closed()

    async def _exchange(
        self,
        client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
    ) -> bool:
        """Pass one request and its answer; whether another may follow."""
        request = await _read_head(client)
        if request is None:
            return False
        with self._lock:
            self._counts[kind_of(request)] += 1
        await asyncio.sleep(self.delay_s)
        to_server.write(request.raw)
        await to_server.drain()
        # Beside the answer: `100 Continue` comes before the body, and a refusal may come in the middle of it.
        sending = asyncio.create_task(_pass_body(client, to_server, request, answers=None))
        try:
            answer, invited = await _pass_answer(server, to_client, request)
            if not sending.done() and (invited or "expect" not in request.headers):
                # The answer may overtake the last bytes of a body that the server has already taken.
                await asyncio.wait([sending], timeout=_ENDS_WITHIN_S)
            if not sending.done():
                return False
            sending.result()
        finally:
            sending.cancel()
        return not (request.closes or answer.closes or _lasts_until_the_end(answer, request))


async def _pass_answer(
    server: asyncio.StreamReader, to_client: asyncio.StreamWriter, request: Head
) -> tuple[Head, bool]:
    """Pass the answer; returns its head, and whether the server asked for the body first (`100 Continue`)."""
    invited = False
    while True:
        answer = await _read_head(server)
        if answer is None:
            raise MessageUnclearError("The server ended the connection instead of answering")
        to_client.write(answer.raw)
        if _status(answer) // 100 != 1:
            break
        invited = True
        await to_client.drain()
    await _pass_body(server, to_client, answer, answers=request)
    return answer, invited


async def _read_head(reader: asyncio.StreamReader) -> Head | None:
    """The next head; None when the connection ended before it."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as ended:
        if not ended.partial:
            return None
        raise
    if len(raw) > _LONGEST_HEAD:
        raise MessageUnclearError("The head of a message is too long")
    lines = raw.decode("latin-1").split("\r\n")
    first = lines[0].split(" ", 2)
    if len(first) < 2:
        raise MessageUnclearError(f"This is no first line: {lines[0]!r}")
    headers = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return Head((first[0], first[1], first[2] if len(first) > 2 else ""), headers, raw)


def _status(answer: Head) -> int:
    try:
        return int(answer.first[1])
    except ValueError:
        raise MessageUnclearError(f"This is no status: {answer.first[1]!r}") from None


def _lasts_until_the_end(answer: Head, request: Head) -> bool:
    """Whether only the end of the connection tells where an answer ends (RFC 9112, section 6.3)."""
    bodiless = request.first[0] == "HEAD" or _status(answer) in _BODILESS
    return not bodiless and "transfer-encoding" not in answer.headers and "content-length" not in answer.headers


async def _pass_body(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: Head, *, answers: Head | None
) -> None:
    """Pass the body that follows `head`, which is an answer when it `answers` a request."""
    if answers is not None and (answers.first[0] == "HEAD" or _status(head) in _BODILESS):
        pass
    elif "chunked" in head.headers.get("transfer-encoding", "").lower():
        await _pass_chunks(reader, writer)
    elif "content-length" in head.headers:
        await _pass_bytes(reader, writer, _number(head.headers["content-length"], 10))
    elif answers is not None:
        while part := await reader.read(_BUFFER):
            writer.write(part)
            await writer.drain()
    await writer.drain()


async def _pass_chunks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        line = await reader.readuntil(b"\r\n")
        writer.write(line)
        length = _number(line.partition(b";")[0].decode("latin-1").strip(), 16)
        if length == 0:
            break
        await _pass_bytes(reader, writer, length + len(b"\r\n"))
    while True:  # what trails the chunks ends with an empty line, as a head does
        line = await reader.readuntil(b"\r\n")
        writer.write(line)
        if line == b"\r\n":
            return


async def _pass_bytes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, length: int) -> None:
    while length > 0:
        part = await reader.read(min(length, _BUFFER))
        if not part:
            raise MessageUnclearError("The connection ended in the middle of a message")
        length -= len(part)
        writer.write(part)
        await writer.drain()


def _number(text: str, base: int) -> int:
    try:
        number = int(text, base)
    except ValueError:
        number = -1
    if number < 0:
        raise MessageUnclearError(f"This is no length: {text!r}")
    return number


@contextmanager
def latency_proxy(delay_s: float, target: int = 0) -> Iterator[LatencyProxy]:
    """A proxy that serves in a thread of its own until the context ends."""
    proxy = LatencyProxy(delay_s, target)
    loop = asyncio.new_event_loop()
    listening = threading.Event()

    def serve() -> None:
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(proxy.listen())
        listening.set()
        loop.run_forever()
        server.close()
        waiting = asyncio.all_tasks(loop)
        for task in waiting:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*waiting, return_exceptions=True))
        loop.close()

    thread = threading.Thread(target=serve, name="latency proxy", daemon=True)
    thread.start()
    try:
        if not listening.wait(_ENDS_WITHIN_S):
            raise RuntimeError("The latency proxy did not come up")
        yield proxy
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_ENDS_WITHIN_S)
