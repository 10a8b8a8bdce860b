"""Puts a unit where its system looks for it, lets the system take note of it, and takes it away again."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from deployments.services.service import ServiceRefused, Unit

_PATIENCE_S = 120


@dataclass(frozen=True, slots=True)
class Done:
    """What was done, and what is left to do by hand, in sentences."""

    done: tuple[str, ...]
    by_hand: tuple[str, ...] = ()


def install(unit: Unit) -> Done:
    """Write the unit, in place of one that is there, and start it. Raises ServiceRefused when it can't be written."""
    try:
        unit.file.parent.mkdir(parents=True, exist_ok=True)
        unit.file.write_bytes(unit.text.encode(unit.encoding, "surrogateescape"))
    except OSError as error:
        raise ServiceRefused(
            f"{unit.file} can't be written: {(error.strerror or type(error).__name__).lower()}",
            "See that its folder is yours to write to; `recollect service install --print` shows what was to stand in "
            "it",
        ) from error
    told = _told_the_system(unit.enable)
    written = f"{unit.file} is written"
    if told is None:
        return Done((f"{written}, and {unit.system} has started it.",))
    return Done((f"{written}.",), (f"{told} Run by hand: {_lines(unit.enable)}",))


def remove(unit: Unit) -> Done:
    """Let the system forget the unit, and take its file away."""
    if not unit.file.exists():
        return Done(("Nothing is installed.",))
    told = _told_the_system(unit.disable)
    with contextlib.suppress(FileNotFoundError):
        unit.file.unlink()
    gone = f"{unit.file} is removed"
    if told is None:
        return Done((f"{gone}, and {unit.system} has ended what it had started.",))
    return Done((f"{gone}.",), (f"{told} Where it still runs, `recollect down` ends it.",))


def is_known(unit: Unit) -> bool:
    """Whether the system would start it."""
    return _ran(unit.show) is None


def _told_the_system(commands: Sequence[Sequence[str]]) -> str | None:
    """Run the commands, one after the other; a sentence about the first that did not go through."""
    for command in commands:
        if (trouble := _ran(command)) is not None:
            return trouble
    return None


def _ran(command: Sequence[str]) -> str | None:
    if shutil.which(command[0]) is None:
        return f"There is no {command[0]} here."
    try:
        ended = subprocess.run(  # noqa: S603 - written in this project
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"`{shlex.join(command)}` did not go through: {type(error).__name__}."
    if ended.returncode == 0:
        return None
    said = " ".join((ended.stderr or ended.stdout).split())
    return f"`{shlex.join(command)}` did not go through: {said.rstrip('.') or f'code {ended.returncode}'}."


def _lines(commands: Sequence[Sequence[str]]) -> str:
    return " && ".join(shlex.join(command) for command in commands)
