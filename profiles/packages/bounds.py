"""How much a package may ask for before it is taken for an attack, or for rubbish."""

from __future__ import annotations

from dataclasses import dataclass

_MIB = 1 << 20
_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds far beyond what any learner has, and within what a small computer can stand.

    members: files in the package. The largest media folders known have some 200 000 files; each costs about 600 bytes
        of memory while the package is open.
    directory_bytes: the zip file's directory, 46 bytes and a name for each member, and a few that some tools add.
    map_bytes: the list of media once decompressed; with the longest names that Anki takes, 450 000 of them.
    collection_bytes, media_bytes: the collection, and one media file. Collections rarely reach 1 GiB, and AnkiWeb takes
        no media file beyond 100 MiB.
    ratio: how many times its packed size anything may unpack to. Text shrinks to a fiftieth at best, and deflate can
        do no better than a thousandth, zstd than some hundred-thousandth, of nothing but zeros.
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
