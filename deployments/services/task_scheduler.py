"""A task of Windows' Task Scheduler that begins at logon.

https://learn.microsoft.com/windows/win32/taskschd/task-scheduler-schema
"""

from __future__ import annotations

import os
import subprocess
from xml.etree import ElementTree as Xml

from deployments.services.service import NAME, Service, Unit

_SCHEMA = "http://schemas.microsoft.com/windows/2004/02/mit/task"
_TASK = NAME.capitalize()


def task_scheduler_unit(service: Service) -> Unit:
    """The service for `schtasks`. Variables are the user's own there: `setx` sets them, and no task can."""
    file = service.log.with_name(f"{NAME}-task.xml")
    return Unit(
        "the Task Scheduler",
        file,
        task(service, os.environ.get("USERNAME", "")),
        enable=(
            ("schtasks", "/Create", "/TN", _TASK, "/XML", str(file), "/F"),
            ("schtasks", "/Run", "/TN", _TASK),
        ),
        disable=(("schtasks", "/Delete", "/TN", _TASK, "/F"),),
        show=("schtasks", "/Query", "/TN", _TASK),
        advice="It starts when you log on. It finds the settings in recollect.toml, and in variables that are set for "
        f"your account. What it says goes to {service.log}.",
        # schtasks reads no other.
        encoding="utf-16",
    )


def task(service: Service, user: str) -> str:
    """The task in XML."""
    root = Xml.Element("Task", {"version": "1.2", "xmlns": _SCHEMA})
    _add(root, "RegistrationInfo", {"Description": "Recollect backs up Anki"})
    trigger = {"Enabled": "true"} | ({"UserId": user} if user else {})
    _add(Xml.SubElement(root, "Triggers"), "LogonTrigger", trigger)
    principal = _add(Xml.SubElement(root, "Principals"), "Principal", {"UserId": user} if user else {})
    principal.set("id", "Author")
    _add(principal, "LogonType", "InteractiveToken")
    _add(principal, "RunLevel", "LeastPrivilege")
    settings = _add(
        root,
        "Settings",
        {
            "MultipleInstancesPolicy": "IgnoreNew",
            "DisallowStartIfOnBatteries": "false",
            "StopIfGoingOnBatteries": "false",
            "StartWhenAvailable": "true",
            "ExecutionTimeLimit": "PT0S",
        },
    )
    _add(settings, "RestartOnFailure", {"Interval": "PT1M", "Count": "10"})
    actions = Xml.SubElement(root, "Actions", {"Context": "Author"})
    program, *arguments = service.command
    # Detached, for a window that stays open is one that somebody closes.
    _add(actions, "Exec", {"Command": program, "Arguments": subprocess.list2cmdline([*arguments, "--detach"])})
    Xml.indent(root)
    return f'<?xml version="1.0" encoding="UTF-16"?>\n{Xml.tostring(root, encoding="unicode")}\n'


def _add(above: Xml.Element, name: str, content: str | dict[str, str]) -> Xml.Element:
    made = Xml.SubElement(above, name)
    if isinstance(content, str):
        made.text = content
    else:
        for below, text in content.items():
            Xml.SubElement(made, below).text = text
    return made
