from __future__ import annotations

import re
from pathlib import Path

import pytest

from cli.main import COMMANDS
from cli.reference import FOLDER, pages
from recollect.settings import SETTING_NAMES
from storage.format.audit_row import AUDIT_COLUMNS


@pytest.mark.parametrize("name", ["commands.md", "settings.md", "audit.md"])
def test_the_pages_are_current(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == pages()[name], "run: python -m cli.reference"


def test_the_pages_leave_nothing_out() -> None:
    made = pages()
    assert all(f"\n## {name}\n" in made["commands.md"] for name in COMMANDS)
    assert all(f"| `{name}` | `RECOLLECT_" in made["settings.md"] for name in SETTING_NAMES)
    assert all(f"| `{column.name}` |" in made["audit.md"] for column in AUDIT_COLUMNS)


def test_every_action_that_leaves_a_row_can_be_asked_for_by_a_name_that_is_told() -> None:
    (told,) = re.findall(r"Only this action: (.*)\. \|", pages()["commands.md"])
    root = Path(__file__).parents[2]
    sources = [path.read_text(encoding="utf-8") for room in ("flows", "tasks") for path in (root / room).rglob("*.py")]
    done = {name for source in sources for name in re.findall(r"\b[aA]udit(?:ed)?\(\"([a-z-]+)\"", source)}
    assert len(done) > 10
    assert set(told.split(", ")) == done
