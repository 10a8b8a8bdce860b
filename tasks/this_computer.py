"""By which name this computer is known in its backups: once chosen, it stays, whatever the network calls it today."""

from __future__ import annotations

import platform
import re

from recollect.settings import Settings
from storage.object_cache import ObjectCache

HOST_TAG = "host:"
"""With this a tag begins that says to which computer a deployment and its runs belong."""

_FILE = "host"
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,255}")


def this_host(settings: Settings) -> str:
    """The name that is set; else the one that this computer had when it was first asked for.

    It is a part of what tells one computer's profile from another's, and a laptop is often called otherwise at home and
    at work: with a name that follows, each place would begin a history of its own.
    """
    if settings.host is not None:
        return settings.host
    state = ObjectCache(settings.state)
    kept = (state.get(_FILE) or b"").decode("utf-8", "replace").removesuffix("\n")
    if _NAME.fullmatch(kept):
        return kept
    name = platform.node() or "this computer"
    state.put(_FILE, f"{name}\n".encode("utf-8", "replace"))
    return name
