"""Several small objects asked for at once: what such a request costs is the wait for its answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")

_AT_ONCE = 8


def side_by_side(ask: Callable[[_Item], _Answer], items: Iterable[_Item]) -> Iterator[_Answer]:
    """What `ask` gives for each of `items`, in their order. What one of them raises is raised.

    Who wants no more of the answers need not take them all: what was not asked by then is not asked any more.
    """
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="ask") as pool:
        yield from pool.map(ask, items)
