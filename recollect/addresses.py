"""What tells URLs, paths and their look-alikes apart, and how an address may be shown to anyone."""

from __future__ import annotations

import re
from typing import Final

PROTOCOL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(?=//)")
"""Two letters or more, so that the drive of a Windows path is none."""

CHAINED: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+:)(?::|//.*::(?:[A-Za-z][A-Za-z0-9+.-]*:)?/)", re.DOTALL)
"""fsspec's way to put one filesystem on top of another, `simplecache::s3://…`, which no store takes. An IPv6 address
has colons, too, but no slash behind them."""

LOOKS_LIKE_A_SERVER: Final = re.compile(r"([^/\\:.~][^/\\:]+:)(?!//)")
"""What scp and rclone take for a server, `nas:/backups`, `s3:bucket`: neither URL nor path; two letters or more, so
that a Windows drive is none."""

_UNESCAPED_PASSWORD: Final = re.compile(r"([^:@/?#\[]*):(?!\d*(?:[/?#]|$)).*@", re.DOTALL)
"""A user's name and a password in which / ? # may stand as they are: no valid URL, but nothing to print either."""


def shown_url(url: str) -> str:
    """`url` without what must not be shown: password, query and fragment, where signatures and tokens stand.

    A path stays as it is. Of what only looks like a URL there is no more than the first word.
    """
    if look_alike := CHAINED.match(url) or LOOKS_LIKE_A_SERVER.match(url):
        return f"{look_alike[1]}…"
    matched = PROTOCOL.match(url)
    if matched is None:
        return url
    rest = url[matched.end() + 2 :]
    if unescaped := _UNESCAPED_PASSWORD.match(rest):
        rest = f"{unescaped[1]}@{rest[unescaped.end() :]}"
    rest = rest.partition("?")[0].partition("#")[0]
    place, slash, path = rest.partition("/")
    user, at, host = place.rpartition("@")
    return f"{matched[1]}://{user.partition(':')[0]}{at}{host}{slash}{path}"
