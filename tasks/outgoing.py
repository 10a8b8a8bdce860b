"""A file that is written for other programs, wherever the settings let us get to."""

from __future__ import annotations

from recollect.target_address import target_address
from storage.stores.address import open_outgoing_file
from storage.stores.outgoing_file import OutgoingFile
from tasks.repository_address import address_of
from tasks.settings_in_force import active_settings


def outgoing_file(target: str, repository_name: str = "default") -> OutgoingFile:
    """The file to be written at a path or URL; what it takes to get there comes from the settings, or from the block of
    the repository that it is made of, where that lies on the same server."""
    settings = active_settings()
    address = target_address(settings, target, address_of(settings, repository_name))
    return open_outgoing_file(address.url, address.options)
