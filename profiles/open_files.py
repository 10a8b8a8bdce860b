"""Which program has a file open for writing, as far as the system tells: for files that are open without being locked.

Anki opens prefs21.db when it starts and keeps it open, also while it only shows the list of profiles, but locks it just
for the instant of a change (qt/aqt/profiles.py, _loadMeta; pylib/anki/db.py).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from profiles.lock_probe import Holder, printable_command

_LSOF = "/usr/sbin/lsof"  # part of macOS
_LSOF_PATIENCE_S = 10


def writer_of(path: Path) -> Holder | None:
    """A process, other than this one, that has the file `path` open and may write to it; None when none is known.

    Linux tells by /proc/<pid>/fd (proc(5)), macOS by lsof(8), both only of processes that this user may look into: its
    own, or all when it is root. Other systems don't tell. Nothing is locked, and the file is not opened.
    """
    if sys.platform.startswith("linux"):
        return next(_writers_in_proc(path, Path("/proc")), None)
    if sys.platform == "darwin":
        return next(_writers_by_lsof(path, _LSOF), None)
    return None


def _writers_in_proc(path: Path, proc: Path) -> Iterator[Holder]:
    try:
        wanted = path.stat()
        processes = [entry for entry in proc.iterdir() if entry.name.isdigit() and int(entry.name) != os.getpid()]
    except OSError:
        return
    for process in processes:
        # The process may end, or close the file, at any moment; those of other users can't be looked into.
        with suppress(OSError):
            for link in (process / "fd").iterdir():
                with suppress(OSError):
                    if _is_writing(process, link, path.name, wanted):
                        command = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
                        yield Holder(int(process.name), printable_command(command))


def _is_writing(process: Path, link: Path, name: str, wanted: os.stat_result) -> bool:
    # By name first: to follow a descriptor of a network drive that is gone could wait for ever.
    if link.readlink().name != name:
        return False
    found = link.stat()
    if (found.st_dev, found.st_ino) != (wanted.st_dev, wanted.st_ino):
        return False
    flags = (process / "fdinfo" / link.name).read_text(encoding="ascii").partition("flags:")[2].split()[0]
    return int(flags, 8) & os.O_ACCMODE != os.O_RDONLY


def _writers_by_lsof(path: Path, lsof: str) -> Iterator[Holder]:
    try:
        # Fields, one a line: p<process>, c<command>, then for each descriptor f<number> and a<access: r, w or u>.
        shown = subprocess.run(  # noqa: S603
            [lsof, "-w", "-F", "pca", "--", str(path)], capture_output=True, check=False, timeout=_LSOF_PATIENCE_S
        )
    except (OSError, subprocess.SubprocessError):
        return
    pid, command = 0, ""
    for line in shown.stdout.decode(errors="replace").splitlines():
        kind, value = line[:1], line[1:]
        if kind == "p" and value.isdigit():
            pid, command = int(value), ""
        elif kind == "c":
            command = value
        elif kind == "a" and value in ("w", "u") and pid != os.getpid():
            yield Holder(pid, printable_command(command))
