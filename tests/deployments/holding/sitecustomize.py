"""Python imports this as it starts, in each process that has this folder in its path: where the environment names a
moment, the process stops there, halfway through writing a file, until it is let go on.

A test listens on the port that is named beside it (`tests/deployments/gate.py`), and hears of the process that stopped.
With "until-ended" before it, the moment ends as well when the run is told to end; with "until-stopped", when its runs
side by side are.
"""

from __future__ import annotations

import importlib
import itertools
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

_ENDINGS = {
    # What Prefect raises in the main thread as soon as it hears of the signal by which a run is ended.
    "until-ended": ("prefect.exceptions", "TerminationSignal", "__init__"),
    # How runs side by side hear of that.
    "until-stopped": ("flows.running.side_by_side", "SideBySide", "stop"),
}
_HALF = 2


def _hold(gate: int, goes_on: threading.Event) -> None:
    test = socket.create_connection(("127.0.0.1", gate))  # stays open as long as this process lives
    _open.append(test)
    test.sendall(f"{os.getpid()}\n".encode())
    threading.Thread(target=lambda: (test.recv(1), goes_on.set()), daemon=True).start()
    goes_on.wait()


def _when_called(module: str, owner: str, name: str, then: Callable[[], None]) -> None:
    found = getattr(importlib.import_module(module), owner)
    called = getattr(found, name)

    def telling(*arguments: Any, **named: Any) -> Any:
        try:
            return called(*arguments, **named)
        finally:
            then()

    setattr(found, name, telling)


_open: list[socket.socket] = []


def _stop_at(moment: str, gate: int) -> None:
    import profiles.install_media
    import storage.stores.local_medium

    *rest, kind, wanted = moment.split(" ")
    goes_on = threading.Event()
    for until in rest:
        _when_called(*_ENDINGS[until], goes_on.set)
    passed = itertools.count(1)  # a step of its own, which no other thread can come between

    def due() -> bool:
        return next(passed) == (int(wanted) if kind == "media" else 1)

    write_object = storage.stores.local_medium._write_durably
    write_media = profiles.install_media._write_all

    def half_an_object(path: Path, data: bytes) -> None:
        if kind == "object" and wanted in path.as_posix() and due():
            path.write_bytes(data[: len(data) // _HALF])
            _hold(gate, goes_on)
            path.unlink()
        write_object(path, data)

    def half_a_file(descriptor: int, part: bytes) -> None:
        half = len(part) // _HALF
        if kind == "media" and due():
            write_media(descriptor, part[:half])
            _hold(gate, goes_on)
            part = part[half:]
        write_media(descriptor, part)

    storage.stores.local_medium._write_durably = half_an_object
    profiles.install_media._write_all = half_a_file


if _moment := os.environ.get("RECOLLECT_TEST_MOMENT"):
    _stop_at(_moment, int(os.environ["RECOLLECT_TEST_GATE"]))
