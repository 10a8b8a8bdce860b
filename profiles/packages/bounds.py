"""How much a package may ask for before it is taken for an attack, or for rubbish."""

from __future__ import annotations

from dataclasses import dataclass

_MIB = 1 << 20
_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds far beyond what any learner has, and within what an ordinary computer can stand.

    members: files in the package. Several times what a very large profile has; each costs about 1 KB of memory while
        the package is open, so 500 MB at the very worst.
    directory_bytes: the zip file's directory, 46 bytes and a name for each member, and a few that some tools add.
    map_bytes: the list of media once decompressed: 450 000 entries with the longest names that Anki takes.
    collection_bytes, media_bytes: the collection, and one media file. Anki before 2.1.61 could not even back up a
        collection beyond 1 GiB, and does not sync media files beyond 100 MiB.
    ratio: how many times its packed size anything may unpack to. Nothing but zeros reaches that: deflate ends at 1032
        (https://zlib.net/zlib_tech.html), zstd makes 32 KiB of a GiB of them.
    unsuspected_bytes: below this `ratio` is not asked: an empty picture or a wiped page does shrink to next to nothing.
    """

    members: int = 500_000
    directory_bytes: int = 64 * _MIB
    map_bytes: int = 64 * _MIB
    collection_bytes: int = 64 * _GIB
    media_bytes: int = 64 * _GIB
    ratio: int = 1_000
    unsuspected_bytes: int = _GIB

    def plausible(self, packed_bytes: int) -> int:
        """How many bytes at most `packed_bytes` may unpack to."""
        return max(self.unsuspected_bytes, self.ratio * packed_bytes)
