"""`recollect stats`."""

from __future__ import annotations

from collections.abc import Iterator

from cli.options import AsJson, Config, Repo
from cli.output import count, moment_here, say, show_json, show_text
from cli.progress import progress_bars
from cli.session import session
from cli.tables import Column, show_table
from recollect.units import size
from storage.statistics import Amounts, Overhead, Statistics, statistics
from tasks.repositories import open_named

_COLUMNS = (
    Column("Profile", folds=16),
    Column("Host", rank=7),
    Column("Snapshots", right=True),
    Column("First", rank=6),
    Column("Last", rank=5),
    Column("Newest", right=True, rank=2),
    Column("All of them", right=True, rank=1),
    Column("Different", right=True, rank=4),
    Column("Stored", right=True),
    Column("Saved", right=True, rank=3),
    Column("Shrunk", right=True, rank=3),
    Column("Only here", right=True),
)


def stats(repo: Repo = None, as_json: AsJson = False, config: Config = None) -> None:
    """Show what a repository holds and what it costs, by profile and in all.

    Newest is what the newest snapshot holds, All of them what the snapshots hold if each stood alone, Different what of
    that is not the same, Stored what it takes when compressed, and Only here what no other profile needs.

    Example: recollect stats --json
    """
    with session(config, repo=repo):
        repository = open_named()
        with progress_bars():
            found = statistics(repository)
        if as_json:
            show_json(found.as_json())
        elif found.profiles:
            show_table(f"Repository {repository.store.url}", _COLUMNS, _rows(found))
            for line in _overhead(found):
                show_text(line)
        else:
            say(f"There is no snapshot in {repository.store.url} yet")
        for remark in found.remarks:
            say(remark)


def _rows(found: Statistics) -> Iterator[tuple[object, ...]]:
    for profile in found.profiles:
        yield profile.name, profile.host, *_amounts(profile.amounts), size(profile.only_bytes)
    if len(found.profiles) > 1:
        yield "In all", "", *_amounts(found.in_all), ""


def _amounts(amounts: Amounts) -> tuple[object, ...]:
    return (
        count(amounts.snapshots),
        moment_here(amounts.first) if amounts.first else "",
        moment_here(amounts.last) if amounts.last else "",
        size(amounts.newest_bytes),
        size(amounts.all_bytes),
        size(amounts.unique_bytes),
        size(amounts.stored_bytes),
        _times(amounts.deduplication),
        _times(amounts.compression),
    )


def _overhead(found: Statistics) -> Iterator[str]:
    overhead: Overhead = found.overhead
    yield f"Everything stored there: {size(found.bytes)}, of which {count(found.packs)} packs {size(found.pack_bytes)}."
    beside = (
        ("index", overhead.index),
        ("manifests", overhead.manifests),
        ("tables and padding of packs", overhead.frames),
        ("no longer needed", overhead.dead),
        ("needed by the trash alone", overhead.trash),
        ("audit table", overhead.audit),
        ("else", overhead.other),
    )
    yield "Beside the content: " + ", ".join(f"{what} {size(amount)}" for what, amount in beside if amount) + "."
    if overhead.condemned:
        yield f"Packs on their way out: {size(overhead.condemned)}."
    if overhead.quarantined:
        yield f"Packs that hold damage, quarantined: {size(overhead.quarantined)}."


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.1f}x"
