"""What was measured, as tables and a plot in the page on performance: `python -m bench.report RESULTS.json`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.goals import INDEX_LOAD_BYTES, INDEX_LOAD_S, PEERS, Judgement, judge
from bench.index_load import IndexLoad
from bench.plot import plot
from bench.results import Measurement, Results, Scenario, Spread, read_results, spread
from bench.where import Spent
from recollect.units import size

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
BEGINS: Final = "<!-- measured: written by bench/report.py, not by hand -->"
ENDS: Final = "<!-- end of what was measured -->"

_NEW_PAGE = f"""# Performance

{BEGINS}
{ENDS}
"""
_KINDS = ("PUT", "COPY", "GET", "HEAD", "LIST", "DELETE", "POST")
_FUNCTIONS_SHOWN = 12
_LEAST_SHOWN_S = 0.02


class PageUnmarkedError(Exception):
    """The page has no place for the figures."""


def write_page(page: Path, results: Results) -> None:
    """Put the figures into the page, between its marks, and the plot beside it. Nothing else of the page changes."""
    text = page.read_text(encoding="utf-8") if page.exists() else _NEW_PAGE
    before, begins, rest = text.partition(BEGINS)
    _, ends, after = rest.partition(ENDS)
    if not begins or not ends:
        raise PageUnmarkedError(f"{page} lacks the lines {BEGINS!r} and {ENDS!r}, between which the figures go")
    picture = page.with_suffix(".svg")
    picture.write_text(plot(results, _titles(results), _names(results)), encoding="utf-8")
    measured = "\n\n".join(_sections(results, picture.name))
    page.write_text(f"{before}{BEGINS}\n\n{measured}\n\n{ENDS}{after}", encoding="utf-8")


def _sections(results: Results, picture: str) -> Iterable[str]:
    yield _conditions(results.facts)
    yield "### Goals\n\nOurs in proportion to the fastest of restic, borg and rclone:\n\n" + _goals(
        list(judge(results)), _names(results)
    )
    yield f"### Wall time\n\nThe scale is logarithmic.\n\n![Wall time by scenario and tool]({picture})"
    for place in results.places():
        yield f"### {_titles(results)[place]}\n\n" + _overview(results, place)
        for scenario in Scenario:
            measured = results.of(scenario, place)
            if measured:
                yield f"**{_names(results)[scenario]}**\n\n" + _details(measured)
    if results.unable:
        yield "Not measured:\n\n" + "\n".join(f"- {what}: {why}." for what, why in sorted(results.unable.items()))
    if results.index_load:
        yield _index_load(results.index_load)
    yield from _whereabouts(results)


def _index_load(loaded: IndexLoad) -> str:
    met = loaded.seconds <= INDEX_LOAD_S and loaded.peak_bytes <= INDEX_LOAD_BYTES
    return (
        f"### A large index\n\nAn index of {_grouped(str(loaded.blobs))} blobs, on the same disk, was loaded in "
        f"{loaded.seconds:.2f} s by a process whose memory peaked at {_bytes(loaded.peak_bytes)}. The goals were "
        f"{INDEX_LOAD_S} s and {_bytes(INDEX_LOAD_BYTES)}: {'met' if met else '**missed**'}."
    )


def _conditions(facts: Mapping[str, str]) -> str:
    measured = (
        f"Measured on {facts['date']} by `{facts['command']}`, which took {facts['minutes']} minutes, in rounds: "
        f"{facts['rounds']}. Figures are medians, with the range in brackets."
    )
    tools = (
        f"- Tools: Recollect {facts['recollect']}, restic {facts['restic']}, borg {facts['borg']}, rclone "
        f"{facts['rclone']}, Anki {facts['anki']}, Prefect {facts['prefect']}; S3 by {facts['S3 server']}"
    )
    profile = (
        f"- Profile ({facts['size']}): {_grouped(facts['notes'])} notes, {_grouped(facts['reviews'])} reviews, "
        f"{_grouped(facts['media'])} media files, {_bytes(int(facts['bytes']))} in all"
    )
    machine = f"- Machine: {facts['machine']}; {facts['disk']}; {facts['system']}"
    return "\n".join([measured, "", machine, tools, profile, f"- Every S3 request waited {_delay(facts)}"])


def _goals(judgements: Sequence[Judgement], names: Mapping[Scenario, str]) -> str:
    rows = [
        (
            f"{names[one.goal.scenario]}, {one.goal.place}{', bytes stored' if one.goal.of_bytes else ''}",
            one.variant,
            _figure(one, one.figure),
            *(_figure(one, one.peers[peer]) if peer in one.peers else "" for peer in PEERS),
            f"{one.goal.share:g}",
            f"{one.share:.3g} of {one.best}",
            "met" if one.met else "**missed**",
        )
        for one in judgements
    ]
    return _table(("", "variant", "ours", *PEERS, "at most", "measured", ""), rows)


def _figure(judgement: Judgement, value: float) -> str:
    return _bytes(value) if judgement.goal.of_bytes else f"{value:.2f} s"


def _overview(results: Results, place: str) -> str:
    columns = {scenario: results.of(scenario, place) for scenario in Scenario}
    columns = {scenario: measured for scenario, measured in columns.items() if measured}
    peers = list(dict.fromkeys(peer for measured in columns.values() for peer in measured))
    rows = [
        (
            peer,
            *(
                f"{spread(one.wall_s for one in measured[peer]).median:.2f}" if peer in measured else ""
                for measured in columns.values()
            ),
        )
        for peer in peers
    ]
    return "Median wall time in seconds:\n\n" + _table(("", *(_names(results)[name] for name in columns)), rows)


def _details(measured: Mapping[str, list[Measurement]]) -> str:
    with_server = any(one.server_cpu_s is not None for found in measured.values() for one in found)
    with_requests = any(one.requests is not None for found in measured.values() for one in found)
    header = ["", "wall, s", "on disk, s", "CPU, s", *(["CPU of the Prefect server, s"] if with_server else [])]
    header += ["peak memory", "stored", *(["requests"] if with_requests else [])]
    rows = []
    for peer, found in measured.items():
        server = [one.server_cpu_s for one in found if one.server_cpu_s is not None]
        row = [peer, *(_seconds(spread(values)) for values in _times(found))]
        if with_server:
            row.append(_seconds(spread(server)) if server else "")
        row.append(_bytes(spread(one.peak_bytes for one in found).median))
        row.append(_bytes(spread(one.stored_bytes for one in found).median))
        if with_requests:
            row.append(_requests(found))
        rows.append(row)
    return _table(header, rows)


def _times(found: Sequence[Measurement]) -> Iterable[list[float]]:
    yield [one.wall_s for one in found]
    yield [one.on_disk_s for one in found]
    yield [one.cpu_s for one in found]


def _requests(found: Sequence[Measurement]) -> str:
    counts = {kind: spread((one.requests or {}).get(kind, 0) for one in found).median for kind in _KINDS}
    total = sum(counts.values())
    parts = ", ".join(f"{count:.0f} {kind}" for kind, count in counts.items() if count)
    return f"{total:.0f}: {parts}" if total else "0"


def _whereabouts(results: Results) -> Iterable[str]:
    if not results.whereabouts:
        return
    yield (
        "### Where the time goes\n\nThe library, watched on its own (`bench/where.py`), in seconds "
        "over all threads. *Computed* is time on a processor, native code counting for the function that called it; "
        "*waited* is for the disk, for a processor, or for Python's lock."
    )
    for seen in results.whereabouts:
        shown = [spent for spent in seen.spent if spent.computed + spent.waited >= _LEAST_SHOWN_S][:_FUNCTIONS_SHOWN]
        rest = [spent for spent in seen.spent if spent not in shown]
        rows = [*shown, Spent("all else", sum(one.computed for one in rest), sum(one.waited for one in rest))]
        table = _table(
            ("function", "computed", "waited"),
            [(_code(one.function), f"{one.computed:.2f}", f"{one.waited:.2f}") for one in rows],
        )
        yield (
            f"**{seen.action}**: {seen.wall:.2f} s by the clock, {seen.computed:.2f} s "
            f"computed, {seen.native:.2f} s of them in threads of other libraries\n\n{table}"
        )


def _code(function: str) -> str:
    return f"`{function}`" if ":" in function else function


def _titles(results: Results) -> dict[str, str]:
    return {"local": "To a local folder", "s3": f"To S3, {_delay(results.facts)} away"}


def _names(results: Results) -> dict[Scenario, str]:
    facts = results.facts
    exact = {
        Scenario.PICTURES: "after adding 20 pictures",
        Scenario.RESTORE_LATER: f"restore after {facts['increments']} increments",
        Scenario.PRUNE: f"prune of {facts['snapshots']} snapshots to {facts['kept']}",
    }
    return {scenario: exact.get(scenario, str(scenario)) for scenario in Scenario}


def _delay(facts: Mapping[str, str]) -> str:
    return f"{float(facts['delay_ms']):g} ms"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(header)} |", f"|---{'|---:' * (len(header) - 1)}|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _seconds(found: Spread) -> str:
    if found.least == found.most:
        return f"{found.median:.2f}"
    return f"{found.median:.2f} ({found.least:.2f}-{found.most:.2f})"


def _bytes(count: float) -> str:
    return f"{'-' if count < 0 else ''}{size(abs(count))}"


def _grouped(number: str) -> str:
    return f"{int(number):,}".replace(",", " ")


if __name__ == "__main__":
    write_page(PAGE, read_results(Path(sys.argv[1])))
