from __future__ import annotations

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
