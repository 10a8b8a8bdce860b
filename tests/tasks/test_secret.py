from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import pytest

from recollect.secret_settings import SecretPlace
from storage.errors import SecretMissing, SecretRefused
from storage.format.secret import SecretKind, new_key_file, new_recovery_key, typed_secret
from tasks import secret as secret_module
from tasks.secret import Person, SecretUnavailable, secret_at

PASSPHRASE = "correct horse battery staple"
SECRET = typed_secret(PASSPHRASE)


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    secret_module._given.clear()


def command(script: str) -> SecretPlace:
    return SecretPlace(passphrase_command=(sys.executable, "-c", script))


def unavailable(place: SecretPlace) -> str:
    with pytest.raises(SecretUnavailable) as caught:
        secret_at(place)
    told = str(caught.value)
    assert PASSPHRASE not in told
    assert PASSPHRASE not in repr(caught.value.__context__)
    return told


def test_no_place_is_no_secret() -> None:
    assert secret_at(SecretPlace()) is None


def test_the_passphrase_itself_may_be_a_recovery_key() -> None:
    recovery, text = new_recovery_key()
    assert secret_at(SecretPlace(passphrase=PASSPHRASE)) == SECRET
    assert secret_at(SecretPlace(passphrase=text)) == recovery


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_file_is_a_passphrase_but_for_the_line_break_at_its_end(tmp_path: Path, end: str) -> None:
    file = tmp_path / "passphrase"
    for start in (b"", b"\xef\xbb\xbf"):  # Windows' Notepad puts a byte order mark in front
        file.write_bytes(start + (PASSPHRASE + end).encode())
        assert secret_at(SecretPlace(passphrase_file=file)) == SECRET


def test_blanks_within_a_file_count(tmp_path: Path) -> None:
    file = tmp_path / "passphrase"
    file.write_text(f" {PASSPHRASE}\n\n")
    assert secret_at(SecretPlace(passphrase_file=file)) == typed_secret(f" {PASSPHRASE}\n")


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe\x00", b"x" * 100_000])
def test_a_file_that_is_no_passphrase_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "passphrase"
    file.write_bytes(content)
    assert str(file) in unavailable(SecretPlace(passphrase_file=file))


def test_a_file_that_is_not_there_or_a_folder_is_named(tmp_path: Path) -> None:
    for place in (SecretPlace(passphrase_file=tmp_path), SecretPlace(key_file=tmp_path / "missing")):
        assert str(tmp_path) in unavailable(place)


def test_a_key_file_is_read(tmp_path: Path) -> None:
    secret, content = new_key_file()
    (tmp_path / "key").write_bytes(content)
    assert secret_at(SecretPlace(key_file=tmp_path / "key")) == secret
    (tmp_path / "key").write_bytes(b"something else")
    with pytest.raises(SecretRefused, match="no key file"):
        secret_at(SecretPlace(key_file=tmp_path / "key"))


def test_a_command_is_run_without_a_shell_and_not_again_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "runs"
    place = command(f"open({str(log)!r}, 'a').write('x'); print({PASSPHRASE!r})")
    for _ in range(3):
        assert secret_at(place) == SECRET
    assert log.read_text() == "x"
    now = secret_module.time.monotonic() + secret_module._TRUSTED_FOR_S + 1
    monkeypatch.setattr(secret_module.time, "monotonic", lambda: now)
    assert secret_at(place) == SECRET
    assert log.read_text() == "xx"
    marker = tmp_path / "marker"
    assert secret_at(SecretPlace(passphrase_command=("echo", f"$(touch {marker}) and more"))) is not None
    assert not marker.exists()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (f"print({PASSPHRASE!r}); raise SystemExit(3)", "ended with code 3"),
        (f"import sys; sys.exit({PASSPHRASE!r})", "ended with code 1"),
        ("pass", "is empty"),
        ("import sys; sys.stdout.buffer.write(b'\\xff')", "is no text"),
    ],
)
def test_a_command_that_gives_nothing_is_told_without_what_it_printed(script: str, said: str) -> None:
    told = unavailable(command(script))
    assert said in told
    assert "passphrase_command" in told


def test_a_command_that_is_not_there_is_told() -> None:
    assert "can't be run" in unavailable(SecretPlace(passphrase_command=(PASSPHRASE,)))
    assert "can't be run" in unavailable(SecretPlace(passphrase_command=("a\0b",)))


def test_a_command_that_waits_for_ever_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret_module, "_COMMAND_PATIENCE_S", 0.2)
    assert "did not end" in unavailable(command("import threading; threading.Event().wait()"))


def test_a_command_can_not_read_what_a_person_types() -> None:
    assert secret_at(command(f"import sys; print(sys.stdin.read() + {PASSPHRASE!r})")) == SECRET


def test_a_block_is_not_asked_for_without_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert "PREFECT_API_URL" in unavailable(SecretPlace(passphrase_block="anki"))


def test_what_a_block_holds_is_taken_if_it_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    held: dict[str, object] = {"anki": PASSPHRASE, "number": 7, "empty": ""}
    monkeypatch.setattr("tasks.passphrase_block.passphrase_in_block", held.get)
    assert secret_at(SecretPlace(passphrase_block="anki")) == SECRET
    for name in ("number", "empty", "missing"):
        assert name in unavailable(SecretPlace(passphrase_block=name))


def test_a_person_is_asked_once_however_many_threads_want_to_know() -> None:
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return PASSPHRASE

    person = Person(ask=ask)
    found = []
    way = person.passphrase_of("s3://bucket/x")
    assert way is not None
    threads = [threading.Thread(target=lambda: found.append(way())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [SECRET] * 8
    assert len(asked) == 1
    assert "s3://bucket/x" in asked[0]
    again = person.passphrase_of("s3://bucket/x")
    assert again is not None
    assert again() == SECRET
    assert len(asked) == 1
    assert PASSPHRASE not in repr(person)


def test_a_person_may_type_the_recovery_key_or_nothing() -> None:
    recovery, text = new_recovery_key()
    answers = iter([text, ""])
    person = Person(ask=lambda _: next(answers))
    first, second = (person.passphrase_of(url) for url in ("/one", "/two"))
    assert first is not None
    assert second is not None
    assert first() == recovery
    assert recovery.kind is SecretKind.RECOVERY
    with pytest.raises(SecretMissing):
        second()


def test_where_nobody_is_there_nobody_is_asked() -> None:
    assert Person().passphrase_of("/one") is None


def test_the_settings_of_a_process_can_be_turned_into_json_without_a_secret(tmp_path: Path) -> None:
    assert PASSPHRASE not in json.dumps({"place": repr(SecretPlace(passphrase=PASSPHRASE)), "secret": repr(SECRET)})
