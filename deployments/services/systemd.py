"""A unit of the user's own systemd. How words are quoted: systemd.syntax(7); what % means: systemd.unit(5)."""

from __future__ import annotations

import os
from pathlib import Path

from deployments.services.service import NAME, Service, Unit

_UNIT = f"{NAME}.service"


def systemd_unit(service: Service) -> Unit:
    """The service for `systemctl --user`."""
    return Unit(
        "systemd",
        _folder() / _UNIT,
        unit_text(service),
        enable=(("systemctl", "--user", "daemon-reload"), ("systemctl", "--user", "enable", "--now", _UNIT)),
        disable=(("systemctl", "--user", "disable", "--now", _UNIT),),
        show=("systemctl", "--user", "is-enabled", "--quiet", _UNIT),
        advice="It starts when you log in, and ends when you log out. To let it run all the time, run `loginctl "
        "enable-linger` once. What it says: `journalctl --user -u recollect`.",
    )


def unit_text(service: Service) -> str:
    """The unit file."""
    # systemd takes no program with quotes in its path, however they are written (string_is_safe in its source).
    by_shell: list[str] = ["/bin/sh", "-c", 'exec "$0" "$@"'] if set(service.command[0]) & set("'\"\\") else []
    program, *arguments = [*by_shell, *service.command]
    # The colon keeps systemd from looking for variables in the words of the command (systemd.service(5)).
    command = " ".join(quoted(word) for word in (f":{program}", *arguments))
    lines = [
        "[Unit]",
        "Description=Recollect backs up Anki",
        "",
        "[Service]",
        "Type=exec",
        f"ExecStart={command}",
        *(f"Environment={quoted(f'{name}={value}')}" for name, value in service.environment.items()),
        "Restart=on-failure",
        "RestartSec=30",
        # Recollect itself ends what it has started, in order.
        "KillMode=mixed",
        "TimeoutStopSec=90",
        "",
        "[Install]",
        "WantedBy=default.target",
    ]
    return "\n".join(lines) + "\n"


def quoted(word: str) -> str:
    """A word as systemd takes it apart again, whatever is in it but control characters."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _folder() -> Path:
    chosen = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(chosen) if chosen.startswith("/") else Path.home() / ".config") / "systemd" / "user"
