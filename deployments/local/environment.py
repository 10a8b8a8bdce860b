"""What the server, the worker and the flows find in their environment: nothing that tells others of anybody, and the
settings in force where `recollect up` was called.

A flow runs in a folder that is made for it. So relative paths are made whole here, and the file of settings is named.
Secrets stay where the person put them: what is in the environment is handed on, and nothing else is read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from deployments.local.home import Home, encryption_key
from recollect.settings import Settings
from recollect.settings_file import PREFIX

HOST = "127.0.0.1"
_PATHS = ("base", "cache", "state", "passphrase_file", "key_file", "repo")
_PATHS_OF_A_REPOSITORY = ("url", "passphrase_file", "key_file")

QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
    "PREFECT_CLI_PROMPT": "false",
}
"""For every process that has to do with Prefect: nobody is told of anything, or asked for anything."""

_INTO_A_LOG = {
    "NO_COLOR": "1",
    # What Python holds back would be missing in the log of a process that was killed.
    "PYTHONUNBUFFERED": "1",
}

_POLLS_EVERY_S = "2"
_LEASE_S = "60"
"""So long the run of a worker that was killed before it began keeps others of its deployment from beginning."""


def own_api_url(port: int) -> str:
    """Where the server of this computer answers."""
    return f"http://{HOST}:{port}/api"


def server_environment(inherited: Mapping[str, str], home: Home, port: int) -> dict[str, str]:
    """For the server of this computer. Raises HomeUnusable."""
    return {
        **_past_proxies(_without(("PREFECT_", PREFIX), _with_whole_python_path(inherited))),
        **QUIET,
        **_INTO_A_LOG,
        "PREFECT_HOME": str(home.folder),
        "PREFECT_PROFILES_PATH": str(home.folder / "profiles.toml"),
        "PREFECT_SERVER_API_HOST": HOST,
        # The option --port would leave the pages asking the default port.
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_API_URL": own_api_url(port),
        "PREFECT_SERVER_ENCRYPTION_KEY": encryption_key(home),
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_SERVER_CONCURRENCY_INITIAL_DEPLOYMENT_LEASE_DURATION": _LEASE_S,
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_UI_V2_ENABLED": "false",
        # Prefect's own kinds of blocks bring pictures from hosts of others; `register` adds the useful ones bare.
        "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    }


def client_environment(inherited: Mapping[str, str], home: Home, api_url: str) -> dict[str, str]:
    """For any process that speaks to the server of this computer, and to no other."""
    return {
        **_past_proxies(_without(("PREFECT_",), inherited)),
        **QUIET,
        "PREFECT_HOME": str(home.folder),
        "PREFECT_PROFILES_PATH": str(home.folder / "profiles.toml"),
        "PREFECT_API_URL": api_url,
    }


def worker_environment(inherited: Mapping[str, str], settings: Settings, home: Home, api_url: str) -> dict[str, str]:
    """For the worker of the server of this computer, and the flows that it runs."""
    return {
        **client_environment(settings_environment(inherited, settings), home, api_url),
        **_INTO_A_LOG,
        "PREFECT_WORKER_QUERY_SECONDS": _POLLS_EVERY_S,
    }


def joined_environment(inherited: Mapping[str, str], settings: Settings, api_url: str) -> dict[str, str]:
    """For a worker of somebody else's server: with all that the person has set to speak to it."""
    environment = _past_proxies(settings_environment(inherited, settings))
    return {**environment, **QUIET, **_INTO_A_LOG, "PREFECT_API_URL": api_url}


def settings_environment(inherited: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """`inherited`, with paths in it made whole and the file of settings named."""
    environment = _with_whole_python_path(inherited)
    for variable in inherited:
        name = variable.upper().removeprefix(PREFIX).lower()
        if not inherited[variable] or not variable.upper().startswith(PREFIX):
            continue
        if name in _PATHS and (value := getattr(settings, name)) is not None:
            environment[variable] = str(value)
        elif name == "repositories":
            environment[variable] = _with_whole_paths(inherited[variable], settings)
    if settings.config_file is not None:
        environment[f"{PREFIX}CONFIG"] = str(settings.config_file)
    return environment


def _with_whole_paths(text: str, settings: Settings) -> str:
    """The setting `repositories`, as JSON; what is not there is not added, for it may be a secret."""
    named = json.loads(text)
    for name, table in named.items():
        known = settings.repositories[name]
        table.update({key: str(getattr(known, key)) for key in _PATHS_OF_A_REPOSITORY if table.get(key)})
    return json.dumps(named)


def _without(prefixes: tuple[str, ...], inherited: Mapping[str, str]) -> dict[str, str]:
    """What is set for another server must not reach this one, but for how much is logged."""
    return {
        name: value
        for name, value in inherited.items()
        if not name.upper().startswith(prefixes) or name.upper().startswith("PREFECT_LOGGING_")
    }


def _with_whole_python_path(inherited: Mapping[str, str]) -> dict[str, str]:
    # The processes work in a folder of their own.
    if not (path := inherited.get("PYTHONPATH")):
        return dict(inherited)
    whole = os.pathsep.join(str(Path(entry).absolute()) for entry in path.split(os.pathsep))
    return {**inherited, "PYTHONPATH": whole}


def _past_proxies(inherited: Mapping[str, str]) -> dict[str, str]:
    """A proxy is for the world outside: on its way to this computer's own server nothing may go through one."""
    named = [inherited[name] for name in ("no_proxy", "NO_PROXY") if inherited.get(name)]
    listed = ",".join([*named[:1], HOST, "localhost"])
    return {**inherited, "no_proxy": listed, "NO_PROXY": listed}
