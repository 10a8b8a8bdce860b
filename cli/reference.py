"""The pages in docs/reference/, made from the commands, the settings and the audit table themselves.

`python -m cli.reference` writes them anew; a test holds that they are current.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import typer

from cli.main import COMMANDS, app
from cli.session import Exit
from recollect.settings import SETTING_NAMES, Settings
from storage.format.audit_row import AUDIT_COLUMNS

FOLDER = Path(__file__).parents[1] / "docs" / "reference"

_GENERATED = "<!-- Made by `python -m cli.reference`; do not edit. -->"
_ABOUT_COMMANDS = (
    "Results go to standard output, everything else to standard error. With `--json`, standard output is JSON or "
    "empty. `recollect COMMAND --help` tells the same as this page."
)
_ABOUT_SETTINGS = (
    "The first of these places that names a setting wins: the command line, the environment, a `recollect.toml` (the "
    "one that `--config` or `RECOLLECT_CONFIG` names, else the one in the current folder, else the user's own). An "
    "empty variable counts as unset. Relative paths in a file mean the file's own folder."
)
_ABOUT_AUDIT = """\
A row for every action that was done, skipped or failed, each in a Parquet file of its own below `audit/` in the
repository. Sizes are bytes and durations seconds. Any Parquet tool reads the table:

```python
import pyarrow.dataset

table = pyarrow.dataset.dataset("REPOSITORY/audit", partitioning="hive", format="parquet").to_table()
```"""
_EXIT_CODES = {
    Exit.DONE: "done, or nothing had to be done",
    Exit.FAILED: "failed: what happened is told on standard error",
    Exit.USAGE: "called in a way, or with settings, that make no sense",
    Exit.SKIPPED: "skipped: the profile was busy; it may work the next time",
}
_COLUMN_KINDS = {"Outcome": "text", "str": "text", "int": "whole number", "float": "number", "datetime": "moment"}


def pages() -> dict[str, str]:
    """Each page by its file name."""
    return {"commands.md": _commands_page(), "settings.md": _settings_page(), "audit.md": _audit_page()}


def _commands_page() -> str:
    return _page(
        "Commands",
        [
            _ABOUT_COMMANDS,
            _table(
                ("exit code", "meaning"),
                [
                    *((str(int(code)), meaning) for code, meaning in _EXIT_CODES.items()),
                    ("130, 143", "stopped by Ctrl-C, or by SIGTERM"),
                ],
            ),
            *(section for name in COMMANDS for section in _command(name)),
        ],
    )


def _command(name: str) -> Iterator[str]:
    group: Any = typer.main.get_command(app)
    with group.make_context("recollect", [name], resilient_parsing=True) as outer:
        yield from _told("recollect", group.get_command(outer, name), name, outer)


def _told(above: str, command: Any, name: str, outer: Any) -> Iterator[str]:
    """A command's section; a group's is followed by those of its commands."""
    called = f"{above} {name}"
    with command.make_context(name, [], parent=outer, resilient_parsing=True) as context:
        usage = " ".join([called, *(piece.strip("{}") for piece in command.collect_usage_pieces(context))])
        parameters = [parameter for parameter in command.get_params(context) if parameter.name != "help"]
        *told, example = inspect.cleandoc(command.help).split("\n\n")
        yield f"{'#' * len(called.split())} {called.removeprefix('recollect ')}"
        yield from told
        yield f"```\n{usage}\n```"
        yield f"Example: `{example.removeprefix('Example: ')}`"
        if parameters:
            yield _table(("argument or option", "meaning"), map(_parameter, parameters))
        for below in getattr(command, "commands", {}):
            yield from _told(called, command.commands[below], below, context)


def _parameter(parameter: Any) -> tuple[str, str]:
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar}`", parameter.help
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    value = f" `{parameter.metavar}`" if parameter.metavar else ""
    default = f" Default: {parameter.default}." if isinstance(parameter.default, str | int) and value else ""
    return names + value, parameter.help + default


def _settings_page() -> str:
    rows = []
    for name in SETTING_NAMES:
        setting = Settings.model_fields[name]
        fixed = isinstance(setting.default, int)
        told = f"{setting.description}{f'; default: {setting.default}' if fixed else ''}"
        rows.append((f"`{name}`", f"`RECOLLECT_{name.upper()}`", told))
    return _page(
        "Settings",
        [
            _ABOUT_SETTINGS,
            _table(("in recollect.toml", "in the environment", "meaning"), rows),
        ],
    )


def _audit_page() -> str:
    rows = [
        (
            f"`{column.name}`",
            _COLUMN_KINDS[column.kind.__name__] + (", may be empty" if column.nullable else ""),
            column.description,
        )
        for column in AUDIT_COLUMNS
    ]
    return _page(
        "The audit table",
        [
            _ABOUT_AUDIT,
            "`recollect audit --json` prints the same columns.",
            _table(("column", "kind", "meaning"), rows),
        ],
    )


def _page(title: str, parts: Iterable[str]) -> str:
    return "\n\n".join([f"# {title}", _GENERATED, *parts]) + "\n"


def _table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [headings, tuple("---" for _ in headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def write() -> None:
    """Write the pages to docs/reference/."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, content in pages().items():
        (FOLDER / name).write_text(content, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write()
