"""What a command costs: time, processor, memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_LAUNCHER = Path(__file__).with_name("launcher.py")
_SHOWN = 2_000
_CPU_FIELDS = slice(11, 15)
_PARENT_FIELD = 1


class CommandFailedError(Exception):
    """A tool that is measured did not do its work."""


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments, the variables that it needs beside the usual ones, and the folder it starts in."""

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None


Interlude = Callable[[], None]
"""What happens between two commands, and is not measured."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Wall and processor seconds (user and system, children included) and the largest resident memory in bytes."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


def run(commands: Sequence[Command | Interlude], scratch: Path) -> Cost:
    """Run commands one after the other, and say what they cost together. Raises CommandFailedError."""
    costs = []
    for command in commands:
        if isinstance(command, Command):
            costs.append(_run(command, scratch))
        else:
            command()
    return Cost(
        sum(cost.wall_s for cost in costs),
        sum(cost.cpu_s for cost in costs),
        max((cost.peak_bytes for cost in costs), default=0),
    )


def _run(command: Command, scratch: Path) -> Cost:
    report, log = scratch / "cost.json", scratch / "output.log"
    report.unlink(missing_ok=True)
    with log.open("wb") as output:
        ended = subprocess.run(  # noqa: S603 - what is measured is named by our own modules
            [sys.executable, "-I", "-S", str(_LAUNCHER), str(report), *command.arguments],
            env=plain_environment() | dict(command.environment),
            cwd=command.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
        )
    if ended.returncode != 0:
        said = log.read_text(encoding="utf-8", errors="replace")[-_SHOWN:]
        raise CommandFailedError(f"{' '.join(command.arguments)} ended with {ended.returncode}:\n{said}")
    return Cost(**json.loads(report.read_text(encoding="utf-8")))


def plain_environment() -> dict[str, str]:
    """This process's variables without those that would change what a measured tool does."""
    theirs = ("RECOLLECT_", "PREFECT_", "RESTIC_", "BORG_", "RCLONE_", "AWS_", "ANKI_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(theirs)}
    return kept | {"DO_NOT_TRACK": "1", "NO_COLOR": "1", "PYTHONUTF8": "1"}


def computed_so_far(process_id: int) -> float | None:
    """Processor seconds of a process that runs, its children included; None where the system does not tell."""
    running = _processes()
    if process_id not in running:
        return None
    family = {process_id}
    while grown := {child for child, (parent, _) in running.items() if parent in family} - family:
        family |= grown
    return sum(running[member][1] for member in family)


def children() -> set[int]:
    """The processes that this one has started and that run; none where the system does not tell."""
    return {child for child, (parent, _) in _processes().items() if parent == os.getpid()}


def _processes() -> dict[int, tuple[int, float]]:
    """Every process with its parent and its processor seconds, from Linux's list of them."""
    found = {}
    try:
        ticks = os.sysconf("SC_CLK_TCK")
        folders = [folder for folder in Path("/proc").iterdir() if folder.name.isdecimal()]
    except (OSError, ValueError):
        return {}
    for folder in folders:
        fields = _stat(folder)
        if fields is not None:
            # proc(5): user and system time of the process, and of its children that it has waited for.
            found[int(folder.name)] = (int(fields[_PARENT_FIELD]), sum(map(int, fields[_CPU_FIELDS])) / ticks)
    return found


def _stat(folder: Path) -> list[str] | None:
    try:
        # The name, in brackets, may hold anything; what is counted here follows it.
        return (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def folder_bytes(folder: Path) -> int:
    """The lengths of all files below a folder; what a running program removes meanwhile does not count."""
    total = 0
    pending = [folder]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(Path(entry.path))
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except FileNotFoundError:
            continue
    return total
