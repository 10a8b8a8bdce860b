"""An agent of the user for launchd: launchd.plist(5)."""

from __future__ import annotations

import os
import plistlib
from pathlib import Path

from deployments.services.service import NAME, Service, Unit

_LABEL = f"{NAME}.up"


def launchd_unit(service: Service) -> Unit:
    """The service for `launchctl`."""
    domain = f"gui/{os.getuid() if hasattr(os, 'getuid') else 0}"
    file = Path.home() / "Library" / "LaunchAgents" / f"{_LABEL}.plist"
    return Unit(
        "launchd",
        file,
        agent(service),
        enable=(("launchctl", "bootstrap", domain, str(file)),),
        disable=(("launchctl", "bootout", f"{domain}/{_LABEL}"),),
        show=("launchctl", "print", f"{domain}/{_LABEL}"),
        advice="It starts when you log in. macOS may ask once whether it may read the folder of Anki: allow that in "
        f"System Settings > Privacy & Security > Full Disk Access. What it says goes to {service.log}.",
    )


def agent(service: Service) -> str:
    """The property list."""
    return plistlib.dumps(
        {
            "Label": _LABEL,
            "ProgramArguments": list(service.command),
            "EnvironmentVariables": dict(service.environment),
            "RunAtLoad": True,
            # What `recollect down` ended stays down until the next login.
            "KeepAlive": {"SuccessfulExit": False},
            "ThrottleInterval": 30,
            "ExitTimeOut": 90,
            "StandardOutPath": str(service.log),
            "StandardErrorPath": str(service.log),
        }
    ).decode()
