"""What the systems are told to start: read back as they read it, whatever is in the paths, and without a secret."""

from __future__ import annotations

import os
import plistlib
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.services.installing import Done, install, is_known, remove
from deployments.services.launchd import agent, launchd_unit
from deployments.services.service import Service, ServiceRefused, Unit, service_for, unit_for
from deployments.services.systemd import quoted, systemd_unit, unit_text
from deployments.services.task_scheduler import task, task_scheduler_unit
from recollect.settings import load_settings

LOG = Path("/state/prefect/logs/up.log")
ODD = "/a b/\"c'/100%h/$HOME/&<d>/é/\\x"

words = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"), min_size=1, max_size=30
)
services = st.builds(
    Service,
    command=st.lists(words, min_size=1, max_size=4).map(tuple),
    environment=st.dictionaries(st.from_regex(r"RECOLLECT_[A-Z]{1,8}", fullmatch=True), words, max_size=3),
    log=st.just(LOG),
)


def as_systemd_reads(line: str) -> list[str]:
    """The words of a line, by the rules of systemd.syntax(7) for what is quoted, and %% for a percent sign."""
    found, word, place, inside = list[str](), "", 0, False
    while place < len(line):
        letter = line[place]
        if letter == '"':
            inside = not inside
        elif letter == "\\":
            place += 1
            word += line[place]
        elif letter == "%":
            assert line[place + 1] == "%"
            place += 1
            word += "%"
        elif letter == " " and not inside:
            found.append(word)
            word = ""
        else:
            word += letter
        place += 1
    assert not inside
    return [*found, word]


def values_of(unit: str, key: str) -> list[str]:
    return [line.removeprefix(f"{key}=") for line in unit.split("\n") if line.startswith(f"{key}=")]


@given(services)
def test_systemd_reads_back_what_was_meant(service: Service) -> None:
    unit = unit_text(service)
    (command,) = values_of(unit, "ExecStart")
    program, *arguments = as_systemd_reads(command)
    # The colon: no $ in it is taken for a variable.
    assert program[0] == ":"
    read = [program[1:], *arguments]
    assert read[-len(service.command) :] == list(service.command)
    assert not set(program) & set("'\"\\")
    assert read[: -len(service.command)] in ([], ["/bin/sh", "-c", 'exec "$0" "$@"'])
    variables = [as_systemd_reads(value) for value in values_of(unit, "Environment")]
    assert variables == [[f"{name}={value}"] for name, value in service.environment.items()]


@pytest.mark.skipif(os.name == "nt", reason="there is no such shell")
def test_a_program_with_quotes_in_its_path_is_started_with_its_arguments(tmp_path: Path) -> None:
    program = tmp_path / 'a "b" $HOME' / "recollect"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    (command,) = values_of(unit_text(Service((str(program), "up", ODD), {}, LOG)), "ExecStart")
    words = as_systemd_reads(command)
    printed = subprocess.run([words[0][1:], *words[1:]], capture_output=True, text=True, check=True).stdout
    assert printed == f"up\n{ODD}\n"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="only systemd can say")
@pytest.mark.parametrize("folder", ["100%h $HOME é &", "a \"b\" 'c' \\x"])
def test_systemd_itself_finds_nothing_wrong(folder: str, tmp_path: Path) -> None:
    program = tmp_path / folder / "recollect"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    file = tmp_path / "recollect.service"
    file.write_text(unit_text(Service((str(program), "up", f"--config={ODD}"), {"RECOLLECT_BASE": ODD}, LOG)))
    (tmp_path / "run").mkdir(mode=0o700)
    told = subprocess.run(
        ["systemd-analyze", "--user", "verify", file],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path / "run")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (told.returncode, told.stdout + told.stderr) == (0, "")


@given(services)
def test_launchd_reads_back_what_was_meant(service: Service) -> None:
    read = plistlib.loads(agent(service).encode())
    assert read["ProgramArguments"] == list(service.command)
    assert read["EnvironmentVariables"] == dict(service.environment)
    assert read["KeepAlive"] == {"SuccessfulExit": False}


def as_windows_reads(line: str) -> list[str]:
    """The words of a command line: https://learn.microsoft.com/cpp/c-language/parsing-c-command-line-arguments."""
    found, word, inside, begun, place = list[str](), "", False, False, 0
    while place < len(line):
        backslashes = len(line[place:]) - len(line[place:].lstrip("\\"))
        place += backslashes
        quote = place < len(line) and line[place] == '"'
        word += "\\" * (backslashes // 2 if quote else backslashes)
        begun = begun or backslashes > 0
        if quote:
            if backslashes % 2:
                word += '"'
            else:
                inside = not inside
            begun = True
        elif place < len(line) and line[place] in " \t" and not inside:
            if begun:
                found.append(word)
            word, begun = "", False
        elif place < len(line):
            word, begun = word + line[place], True
        place += 1
    return [*found, word] if begun else found


@given(services)
def test_the_task_scheduler_reads_back_what_was_meant(service: Service) -> None:
    unit = task(service, "PC\\Ada & Ben")
    assert unit.startswith('<?xml version="1.0" encoding="UTF-16"?>')
    read = Xml.fromstring(unit.encode("utf-16"))
    schema = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}
    found = {name: read.findtext(f".//t:{name}", "", schema) for name in ("Command", "Arguments", "UserId")}
    assert found["Command"] == service.command[0]
    assert as_windows_reads(found["Arguments"]) == [*service.command[1:], "--detach"]
    assert found["UserId"] == "PC\\Ada & Ben"


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """A person's environment, with settings that hold secrets and others that hold none."""
    for name in os.environ:
        if name.upper().startswith("RECOLLECT_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recollect.toml").touch()
    for name, value in {
        "RECOLLECT_BASE": "Anki2",
        "RECOLLECT_REPO": "sftp://ada:hunter2@nas/it",
        "RECOLLECT_REPO_OPTIONS": '{"password": "hunter2"}',
        "RECOLLECT_REPOSITORIES": '{"b": {"url": "s3://b", "options": {"secret": "hunter2"}}}',
        "RECOLLECT_PASSPHRASE": "hunter2",
        "RECOLLECT_DAILY": "7",
    }.items():
        monkeypatch.setenv(name, value)
    return os.environ


def test_no_secret_is_written_down_and_what_is_left_out_is_told(person: Mapping[str, str], tmp_path: Path) -> None:
    service = service_for(load_settings(), person, LOG, ("--port=4300",))
    for text in (unit_text(service), agent(service), task(service, "")):
        assert "hunter2" not in text
    assert dict(service.environment) == {
        "RECOLLECT_BASE": str(tmp_path / "Anki2"),
        "RECOLLECT_CONFIG": str(tmp_path / "recollect.toml"),
        "RECOLLECT_DAILY": "7",
        "RECOLLECT_STATE": str(load_settings().state),
    }
    assert service.command[-2:] == ("up", "--port=4300")
    told = str(service.remark)
    assert "hunter2" not in told
    assert all(f"RECOLLECT_{name}" in told for name in ("PASSPHRASE", "REPO", "REPO_OPTIONS", "REPOSITORIES"))


def test_an_address_without_a_secret_is_written_down(
    person: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REPO_OPTIONS", "REPOSITORIES", "PASSPHRASE"):
        monkeypatch.delenv(f"RECOLLECT_{name}")
    monkeypatch.setenv("RECOLLECT_REPO", "./there")
    service = service_for(load_settings(), person, LOG)
    assert service.environment["RECOLLECT_REPO"] == str(Path("there").absolute())
    assert service.remark is None


def test_what_cannot_be_written_down_is_refused(person: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOLLECT_BASE", "a\nExecStartPre=rm")
    with pytest.raises(ServiceRefused, match="control character"):
        service_for(load_settings(), person, LOG)


def test_an_unknown_system_is_told_what_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "plan9")
    with pytest.raises(ServiceRefused, match="recollect up"):
        unit_for(Service(("recollect", "up"), {}, LOG))


@pytest.mark.parametrize("make", [systemd_unit, launchd_unit, task_scheduler_unit])
def test_every_system_is_told_by_commands_of_its_own(make: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(make)
    unit = make(Service((ODD, "up"), {}, LOG))
    tools = {command[0] for command in (*unit.enable, *unit.disable, unit.show)}
    assert tools in ({"systemctl"}, {"launchctl"}, {"schtasks"})
    assert unit.text.encode(unit.encoding)


def test_words_are_quoted_one_by_one() -> None:
    assert quoted('a "b" 5% \\') == '"a \\"b\\" 5%% \\\\"'


def unit_with(tmp_path: Path, tool: str) -> Unit:
    command = ((tool, "it"),)
    return Unit("a system", tmp_path / "new" / "unit", "text é", command, command, command[0], "It starts.", "utf-16")


def a_tool(tmp_path: Path, content: str) -> str:
    tool = tmp_path / "tool"
    tool.write_text(f"#!/bin/sh\n{content}\n")
    tool.chmod(0o755)
    return str(tool)


@pytest.mark.skipif(os.name == "nt", reason="the tool is a script of the shell")
def test_what_is_installed_is_known_to_the_system_and_gone_when_it_is_removed(tmp_path: Path) -> None:
    unit = unit_with(tmp_path, a_tool(tmp_path, f'echo "$@" >> "{tmp_path}/called"'))
    assert install(unit) == Done((f"{unit.file} is written, and a system has started it.",))
    assert unit.file.read_text("utf-16") == "text é"
    assert is_known(unit)
    removed = remove(unit)
    assert (len(removed.done), removed.by_hand) == (1, ())
    assert not unit.file.exists()
    assert remove(unit) == Done(("Nothing is installed.",))
    assert (tmp_path / "called").read_text() == "it\n" * 3


@pytest.mark.skipif(os.name == "nt", reason="the tool is a script of the shell")
def test_what_the_system_did_not_take_is_to_be_done_by_hand(tmp_path: Path) -> None:
    unit = unit_with(tmp_path, a_tool(tmp_path, "echo there is no bus >&2; exit 3"))
    (told,) = install(unit).by_hand
    assert "there is no bus" in told
    assert f"Run by hand: {tmp_path}/tool it" in told
    assert not is_known(unit)
    (told,) = remove(unit).by_hand
    assert "recollect down" in told
    assert not unit.file.exists()


def test_a_system_without_its_tool_gets_the_file_all_the_same(tmp_path: Path) -> None:
    unit = unit_with(tmp_path, "no-such-tool")
    (told,) = install(unit).by_hand
    assert "There is no no-such-tool here. Run by hand: no-such-tool it" in told
    assert unit.file.exists()


def test_a_folder_that_cannot_be_written_to_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "new").touch()
    with pytest.raises(ServiceRefused, match="can't be written"):
        install(unit_with(tmp_path, "no-such-tool"))
