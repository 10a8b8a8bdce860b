"""Whether a Prefect server is at hand. Finding out does not import Prefect, which takes a second."""

from __future__ import annotations

import os

from cli.output import say
from cli.session import usage
from deployments.local.asking import is_well
from deployments.local.environment import client_environment
from deployments.local.home import Home, home_of, what_is_up
from recollect.addresses import shown_url
from recollect.settings import Settings


def use_server(wanted: bool | None, settings: Settings) -> bool:
    """Whether to run on the server that PREFECT_API_URL names, else on the one that `recollect up` keeps running.

    `wanted` is what the command line said, if anything. The environment is then as Prefect needs it.
    """
    if wanted is False:
        return False
    url, ours = os.environ.get("PREFECT_API_URL"), None
    if not url and (record := what_is_up(home_of(settings))):
        url, ours = record.api_url, None if record.joined else home_of(settings)
    shown = shown_url(url) if url else ""
    if url and is_well(url):
        if ours:
            speak_to(ours, url)
        else:
            os.environ["PREFECT_API_URL"] = url
        say(f"Running on the Prefect server at {shown}")
        return True
    if wanted:
        raise usage(
            f"No Prefect server answers at {shown}. Start it, or leave --server out."
            if url
            else "There is no Prefect server at hand. Start one with `recollect up`, or leave --server out."
        )
    if url:
        say(f"No Prefect server answers at {shown}; going on without it.")
    return False


def speak_to(home: Home, url: str) -> None:
    """Let Prefect, once it is imported, speak to the server of `recollect up`, and to no other."""
    environment = client_environment(os.environ, home, url)
    for name in os.environ.keys() - environment.keys():
        # What is set for other servers must not reach this one.
        del os.environ[name]
    os.environ.update(environment)
