"""`python -m bench`: measures, and writes what was measured to a file and to the page on performance."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import platformdirs

from bench.conditions import Conditions
from bench.course import Course, Prefect
from bench.generate import base_folder
from bench.index_load import measure_index_load
from bench.machine import PACKAGES, TOOLS, facts
from bench.measure import CommandFailedError, children, folder_bytes
from bench.place import Kind, far_away
from bench.report import PAGE, write_page
from bench.results import Results, write_results
from bench.sizes import SIZES, Size
from bench.where import Whereabouts
from tests.servers.prefect_server import prefect_server

_DELAY_S = 0.020


def main() -> int:
    """Measure, as the command line says."""
    options = _parser().parse_args()
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        packages = " ".join(PACKAGES[tool] for tool in missing)
        _say(f"Missing to measure against: {', '.join(missing)}. Install with: sudo apt-get install {packages}")
        return 1
    size = SIZES[options.size]
    began = datetime.now(UTC)
    results_folder: Path = options.cache / "results"
    results_folder.mkdir(parents=True, exist_ok=True)
    _say(f"Making the {size.name} profile, unless it is there")
    base = base_folder(options.cache, size, options.seed)
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="work-", dir=options.cache)))
        far = stack.enter_context(far_away(work / "far", work, options.delay_ms / 1_000))
        prefect = None
        if options.prefect:
            _say("Starting a Prefect server")
            before = children()
            server = stack.enter_context(prefect_server(work))
            prefect = Prefect(server.environment, next(iter(children() - before), None))
        course = Course(
            size=size,
            seed=options.seed,
            rounds=options.rounds,
            kinds=[Kind(name) for name in options.places.split(",")],
            base=base,
            work=work,
            far=far,
            prefect=prefect,
            say=_say,
            conditions=Conditions(work),
        )
        failure, index_load = None, None
        whereabouts: list[Whereabouts] = []
        try:
            course.go(history=options.history)
            _say("Watching where the time goes")
            whereabouts.extend(course.whereabouts())
            _say("Loading a large index")
            index_load = measure_index_load(work / "index")
        except CommandFailedError as failed:
            # What was measured in an hour is worth keeping.
            failure = failed
        results = Results(
            facts=_conditions(options, size, base, began) | facts(work),
            measurements=tuple(course.measurements),
            unable=course.unable,
            whereabouts=tuple(whereabouts),
            index_load=index_load,
        )
    kept = results_folder / f"{size.name}-{began:%Y%m%dT%H%M%SZ}{'-incomplete' if failure else ''}.json"
    write_results(kept, results)
    _say(f"Measured: {kept}")
    if failure:
        _say(f"A tool did not do its work, so that not all is measured, and no page is written. {failure}")
        return 1
    if options.page:
        write_page(options.page, results)
        _say(f"Written: {options.page}")
    return 0


def _conditions(options: argparse.Namespace, size: Size, base: Path, began: datetime) -> dict[str, str]:
    minutes = (datetime.now(UTC) - began).total_seconds() / 60
    return {
        "date": began.date().isoformat(),
        "command": _command(options),
        "minutes": f"{minutes:.0f}",
        "rounds": str(options.rounds),
        "delay_ms": str(options.delay_ms),
        "bytes": str(folder_bytes(base)),
        "size": size.name,
        **{name: str(getattr(size, name)) for name in ("notes", "reviews", "media", "increments", "snapshots", "kept")},
    }


def _command(options: argparse.Namespace) -> str:
    """The command that measures the same again, wherever its files may lie."""
    usual = _parser().parse_args([])
    more = [f"--{name} {getattr(options, name)}" for name in ("seed", "places") if _differs(name, options, usual)]
    more += [f"--delay-ms {options.delay_ms:g}"] if _differs("delay_ms", options, usual) else []
    more += [f"--no-{name}" for name in ("prefect", "history") if _differs(name, options, usual)]
    if more:
        return " ".join([f"python -m bench --size {options.size} --rounds {options.rounds}", *more])
    return f"make bench SIZE={options.size} ROUNDS={options.rounds}"


def _differs(name: str, options: argparse.Namespace, usual: argparse.Namespace) -> bool:
    return bool(getattr(options, name) != getattr(usual, name))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="medium")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured")
    parser.add_argument("--seed", type=int, default=1, help="another seed makes another profile")
    parser.add_argument("--places", default="local,s3", help="local, s3 or both with a comma")
    parser.add_argument("--delay-ms", type=float, default=_DELAY_S * 1_000, help="added to every S3 request")
    parser.add_argument("--no-prefect", dest="prefect", action="store_false", help="measure no Prefect flow")
    parser.add_argument("--no-history", dest="history", action="store_false", help="nothing that needs many snapshots")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to write the tables into")
    parser.add_argument("--no-page", dest="page", action="store_const", const=None, help="write no page")
    parser.add_argument(
        "--cache",
        type=Path,
        default=platformdirs.user_cache_path("recollect-bench", appauthor=False),
        help="a folder on the disk to measure, with room for forty times the profile; profiles and results stay there",
    )
    return parser


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
