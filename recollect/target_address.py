"""Where a file goes that lies in no repository, and how to get in there without writing a secret down with it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from itertools import takewhile
from typing import NamedTuple

from recollect.errors import RepositoryUnknown, SettingsInvalid
from recollect.setting_types import full_address
from recollect.settings import RepositoryAddress, Settings, repository_address

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://([^/?#]*)(.*)", re.DOTALL)


def target_address(settings: Settings, target: str, *others: RepositoryAddress) -> RepositoryAddress:
    """The path or URL `target`, made whole, with the options to get there.

    A URL gets those that the settings give for a repository on the very same server under the very same user (of S3: in
    the same bucket), and the password in that one's URL if there is one; of several it is the one nearest to it. No
    other server ever gets to see them. `others` are repositories that count as those in the settings do. Raises
    SettingsInvalid for what is no address.
    """
    try:
        url = full_address(target)
    except ValueError as error:
        problem = f"The address {error}"
    else:
        wanted = _parts(url)
        if wanted is None:
            return RepositoryAddress("", url, {})
        known = [*_known(settings), *others]
        near = [(found, one) for one in known if (found := _parts(one.url)) is not None and found.place == wanted.place]
        if not near:
            return RepositoryAddress("", url, {})
        found, nearest = max(near, key=lambda one: _shared_folders(one[0].path, wanted.path))
        whole = wanted if wanted.password else wanted._replace(password=found.password)
        return RepositoryAddress("", whole.url, nearest.options)
    raise SettingsInvalid(problem, "Write a URL, or a full path")


def _known(settings: Settings) -> Iterator[RepositoryAddress]:
    for name in ("default", *settings.repositories):
        # `repo` may name a block of Prefect.
        with contextlib.suppress(RepositoryUnknown):
            yield repository_address(settings, name)


class _Parts(NamedTuple):
    protocol: str
    user: str
    password: str
    host: str
    path: str

    @property
    def place(self) -> tuple[str, str, str]:
        return self.protocol.lower(), self.user, self.host

    @property
    def url(self) -> str:
        user = f"{self.user}:{self.password}" if self.password else self.user
        return f"{self.protocol}://{user}{'@' if user else ''}{self.host}{self.path}"


def _parts(url: str) -> _Parts | None:
    """What a URL is made of; None for a path."""
    matched = _URL.fullmatch(url)
    if matched is None:
        return None
    protocol, place, path = matched.groups()
    who, _, host = place.rpartition("@")
    user, _, password = who.partition(":")
    return _Parts(protocol, user, password, host, path)


def _shared_folders(one: str, other: str) -> int:
    return sum(
        1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one.split("/"), other.split("/"), strict=False))
    )
