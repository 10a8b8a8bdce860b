"""A world in one thread: actors that take turns, a clock that goes when nobody acts, and chance from one seed.

Every actor is a greenlet. It acts until it waits for something, which is mostly the store; who waits for the shortest
time goes on next. Nothing in a world depends on anything but its seed, so that what went wrong once can be seen again.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import greenlet  # type: ignore[import-untyped]

T = TypeVar("T")

BEGINNING = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


class Died(BaseException):
    """The computer that an actor runs on lost its power. Nothing in the code under test may catch it."""


class World:
    """Time, turns and chance."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self._names = random.Random(f"names of {seed}")
        self._seconds = 0.0
        self._turns: list[tuple[float, int, Callable[[], object]]] = []
        self._turn = 0
        self._actors: list[greenlet.greenlet] = []
        self._hub = greenlet.getcurrent()
        self.is_over = False
        self.trace: list[str] = []
        """What happened, in words: what to look at when something was lost."""

    def note(self, what: str) -> None:
        """Remember what happens."""
        self.trace.append(f"{self.now:%d %H:%M:%S} {what}")

    @property
    def now(self) -> datetime:
        """The true time."""
        return BEGINNING + timedelta(seconds=self._seconds)

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return self._seconds

    def random_bytes(self, length: int) -> bytes:
        """Names for new objects: chance of its own, so that a name more does not change what happens next."""
        return self._names.randbytes(length)

    def later(self, seconds: float, act: Callable[[], object]) -> None:
        """Let `act` happen after some time, whatever anybody does meanwhile."""
        self._turn += 1
        heapq.heappush(self._turns, (self._seconds + seconds, self._turn, act))

    def enter(self, life: Callable[[], None]) -> None:
        """Bring an actor to life."""
        actor = greenlet.greenlet(life)
        self._actors.append(actor)
        self.later(0, actor.switch)

    def wait(self, seconds: float) -> None:
        """Let others act for some time. Called by actors; outside of them no time goes by."""
        actor = greenlet.getcurrent()
        if actor is self._hub:
            return
        if self.is_over:
            raise Died
        self.later(seconds, actor.switch)
        self._hub.switch()

    def run(self, *, until: Callable[[], bool]) -> None:
        """Let actors take turns until `until`. What an actor does not expect is raised here."""
        while self._turns and not until():
            self._seconds, _, act = heapq.heappop(self._turns)
            act()

    def settle(self, seconds: float) -> None:
        """End every actor's life, and let what is still under way arrive for some time."""
        self.is_over = True
        for actor in self._actors:
            if not actor.dead and actor:
                with suppress(Died):
                    actor.throw(Died)
        self.pass_time(seconds)

    def pass_time(self, seconds: float) -> None:
        """Let nothing happen for a while but what is under way."""
        end = self._seconds + seconds
        while self._turns and self._turns[0][0] <= end:
            self._seconds, _, act = heapq.heappop(self._turns)
            owner = getattr(act, "__self__", None)
            if not isinstance(owner, greenlet.greenlet):
                act()
        self._seconds = end


class LocalClock:
    """One computer's clocks: a little wrong, and the monotonic one stands still in sleep."""

    def __init__(self, world: World, skew: timedelta) -> None:
        self._world = world
        self._skew = skew
        self._asleep = 0.0

    def now(self) -> datetime:
        return self._world.now + self._skew

    def monotonic(self) -> float:
        return self._world.seconds - self._asleep

    def sleep(self, seconds: float) -> None:
        """The computer is closed for a while."""
        self._asleep += seconds
        self._world.wait(seconds)


class InlineExecutor:
    """Stands in for `ThreadPoolExecutor`: what is submitted is done at once, by whoever submits it."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __enter__(self) -> InlineExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, act: Callable[..., T], *arguments: Any) -> Future[T]:
        done: Future[T] = Future()
        try:
            done.set_result(act(*arguments))
        except Exception as failure:  # noqa: BLE001 - as a real executor does
            done.set_exception(failure)
        return done

    def map(self, act: Callable[..., T], *arguments: Any) -> Iterator[T]:
        done = [self.submit(act, *one) for one in zip(*arguments, strict=True)]
        return (one.result() for one in done)

    def shutdown(self, *, wait: bool = True, cancel_futures: bool = False) -> None:
        pass
