"""A terminal of a given size for the tests of the command, and a person who types at it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence

from tests.cli.desk import RECOLLECT, Desk

# Ctrl-C typed at a terminal becomes a signal only to a program that has it for its own.
_AT_THIS_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def at_terminal(
    desk: Desk,
    arguments: Sequence[str],
    *,
    columns: int = 80,
    rows: int = 24,
    typed: str = "",
    once: str = "",
    answers: Sequence[tuple[str, str]] = (),
) -> tuple[int, str]:
    """Run the command at a terminal; `typed` goes in when `once` has come out. Gives the exit code and all output.

    `answers` are several of the kind: questions in the order in which they come, with what is typed.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", _AT_THIS_TERMINAL, str(RECOLLECT), *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=desk.environment | {"TERM": "xterm-256color"},
        cwd=desk.home,
        start_new_session=True,
    )
    os.close(theirs)
    out, answered = b"", 0
    waiting = [(once, typed), *answers] if typed else list(answers)
    while chunk := _read(ours):
        out += chunk
        if waiting and waiting[0][0].encode() in out[answered:]:
            os.write(ours, waiting.pop(0)[1].encode())
            answered = len(out)
    os.close(ours)
    return process.wait(), out.decode().replace("\r\n", "\n")


def shown(output: str) -> str:
    """The output without its colours and movements."""
    return _ESCAPES.sub("", output)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:
        # Linux tells so that the last process on the other side has gone; macOS with an empty read.
        return b""
