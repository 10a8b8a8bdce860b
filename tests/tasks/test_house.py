"""The house holds: which room may import which, read from the source of every module."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("recollect", "storage", "profiles", "tasks", "flows", "cli", "deployments")
MODULES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]

MAY_IMPORT = {
    "recollect": {"recollect"},
    "storage": {"recollect", "storage"},
    "profiles": {"recollect", "profiles"},
    "tasks": {"recollect", "storage", "profiles", "tasks"},
    "flows": {"recollect", "storage", "profiles", "tasks", "flows"},
    "cli": set(ROOMS),
    "deployments": {"recollect", "storage", "profiles", "tasks", "flows", "deployments"},
}

STORAGE_MAY_IMPORT = {
    "errors": set[str](),
    "format": {"errors", "format"},
    "stores": {"errors", "store", "stores"},
    "sweeping": {"core", "errors", "format", "store", "sweeping"},
    "checking": {"core", "errors", "format", "store", "checking"},
    "core": {"core", "errors", "format", "store"},
    "store": {"errors"},
}
"""The rooms of `storage`; what lies in none of them is the core, but for the errors and what a store is."""


def imports(path: Path, *, everywhere: bool) -> Iterator[str]:
    """The modules that a source file imports: at its top level, where those for types don't count, or everywhere."""
    pending: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports by a relative name"
            assert node.module is not None
            yield node.module
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not everywhere:
            pending += node.orelse
        elif everywhere or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            pending += ast.iter_child_nodes(node)


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def room_of(module: str) -> str:
    return module.partition(".")[0]


def test_every_room_is_looked_at() -> None:
    assert {room_of(named(path).partition("/")[0]) for path in MODULES} == set(ROOMS)
    assert len(MODULES) > 80


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_imports_run_one_way_only(path: Path) -> None:
    room = named(path).partition("/")[0]
    used = {room_of(module) for module in imports(path, everywhere=True)} & {*ROOMS, "tests", "bench"}
    assert used <= MAY_IMPORT[room]


@pytest.mark.parametrize(
    "path", [path for path in MODULES if named(path).startswith(("storage/", "profiles/"))], ids=named
)
def test_the_libraries_stand_on_the_ground_floor_alone(path: Path) -> None:
    found = set(imports(path, everywhere=True))
    assert {module for module in found if room_of(module) == "recollect"} <= {
        "recollect.addresses",
        "recollect.errors",
        "recollect.memory",
        "recollect.progress",
        "recollect.units",
    }
    assert {room_of(module) for module in found}.isdisjoint(
        {"prefect", "pydantic", "pydantic_settings", "typer", "rich"}
    )


def storage_room_of(module: str) -> str:
    first = module.removeprefix("storage").strip(".").partition(".")[0]
    return first if first in STORAGE_MAY_IMPORT else "core"


@pytest.mark.parametrize("path", [path for path in MODULES if named(path).startswith("storage/")], ids=named)
def test_imports_within_storage_run_one_way_only(path: Path) -> None:
    module = named(path).removesuffix(".py").replace("/", ".")
    used = {storage_room_of(other) for other in imports(path, everywhere=True) if room_of(other) == "storage"}
    assert used <= STORAGE_MAY_IMPORT[storage_room_of(module)]


def test_no_module_comes_back_to_itself_by_what_it_imports() -> None:
    modules = {named(path).removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for path in MODULES}
    below = {module: set(imports(path, everywhere=False)) & modules.keys() for module, path in modules.items()}
    TopologicalSorter(below).prepare()  # raises where there is a circle


@pytest.mark.parametrize("path", [path for path in MODULES if named(path).startswith("storage/")], ids=named)
def test_storage_knows_nothing_of_anki(path: Path) -> None:
    assert "anki" not in {room_of(module) for module in imports(path, everywhere=True)}


A_BLOCK = "tasks/repository_block.py"
"""It is a thing of Prefect's own, and loaded only where one is used."""


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in MODULES
        if named(path).startswith(("recollect/", "tasks/", "flows/chains/", "cli/")) and named(path) != A_BLOCK
    ],
    ids=named,
)
def test_the_steps_the_chains_and_the_commands_start_without_prefect(path: Path) -> None:
    top = set(imports(path, everywhere=False))
    assert {room_of(module) for module in top}.isdisjoint({"prefect"})
    assert "tasks.repository_block" not in top
    # A flow's own module imports Prefect; the chains are what the rest of the house may load.
    loaded = {module for module in top if room_of(module) == "flows"}
    assert all(module == "flows" or module.startswith("flows.chains") for module in loaded)


def test_only_the_step_and_the_blocks_speak_to_prefect() -> None:
    speaking = {
        named(path)
        for path in MODULES
        if named(path).startswith(("recollect/", "tasks/", "flows/chains/"))
        and "prefect" in {room_of(module) for module in imports(path, everywhere=True)}
    }
    assert speaking <= {"tasks/step.py", "tasks/passphrase_block.py", A_BLOCK}


def test_loading_the_chains_loads_neither_prefect_nor_anki_nor_a_cloud() -> None:
    code = (
        "import sys, flows.chains.backup, flows.chains.restore, flows.chains.prune, flows.chains.export;"
        "print([name for name in ('prefect', 'anki', 's3fs', 'sshfs', 'aiobotocore') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
