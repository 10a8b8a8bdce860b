"""What the figures were measured on and with, without anything that names one machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path

from tests.servers.rclone import rclone_program

TOOLS = ("restic", "borg", "rclone")
PACKAGES = {"restic": "restic", "borg": "borgbackup", "rclone": "rclone"}
"""The Debian package of each tool."""

_GIB = 1024**3


def facts(work: Path) -> dict[str, str]:
    """The machine, the disk that `work` lies on, and the versions of all that takes part."""
    return {
        "machine": f"{_processor()}, {os.cpu_count()} cores, {_memory()}",
        "disk": _filesystem(work),
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        **{tool: _version(tool) for tool in TOOLS},
        **{name: importlib.metadata.version(name) for name in ("recollect", "prefect", "anki")},
        "S3 server": f"rclone serve s3, {_version(rclone_program())}",
    }


def _version(program: str) -> str:
    question = "--version" if program == "borg" else "version"
    shown = subprocess.run([program, question], capture_output=True, text=True, check=True)  # noqa: S603
    found = re.search(r"\d+(\.\d+)+\S*", shown.stdout)
    return found[0] if found else "unknown"


def _processor() -> str:
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"^model name\s*:\s*(.+)$", told, re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def _memory() -> str:
    try:
        held = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return "memory unknown"
    return f"{held / _GIB:.0f} GiB of memory"


def _filesystem(work: Path) -> str:
    """The kind of filesystem, and whether the disk below it turns."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    except OSError:
        return "unknown"
    lying = [mount for mount in mounts if work.is_relative_to(mount[1])]
    device, _, kind = max(lying, key=lambda mount: len(mount[1]))[:3]
    name = Path(device).name
    if name.startswith(("vd", "xvd")):
        return f"{kind} on a virtual disk"
    try:
        turning = (Path("/sys/block") / name.rstrip("0123456789") / "queue" / "rotational").read_text().strip() == "1"
    except OSError:
        return kind
    return f"{kind} on a {'turning' if turning else 'solid-state'} disk"
