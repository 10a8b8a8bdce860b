"""What is asked of an S3 server: one request for each thing, and one for several where that can be."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]
from fsspec.asyn import sync_wrapper
from s3fs import S3FileSystem
from s3fs.errors import translate_boto_error

from storage.errors import Damaged, ObjectExists, ObjectMissing, StorageError, StoreRefused
from storage.store import Store
from storage.stores import s3_medium
from tests.servers.s3_requests import S3Requests
from tests.storage.conftest import Places

FOLDERS = ("verdicts", "index", "packs")


@pytest.fixture
def store(places: Places) -> Store:
    return places.new("s3-rclone").open()


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> S3Requests:
    return S3Requests(monkeypatch)


def test_every_operation_is_one_request(store: Store, requests: S3Requests) -> None:
    store.write("packs/ab/1", b"0123456789")
    assert requests.names() == ["put_object"]
    store.read("packs/ab/1")
    store.read_range("packs/ab/1", 2, 3)
    assert requests.names() == ["get_object"] * 2
    store.size("packs/ab/1")
    assert requests.names() == ["head_object"]
    store.list("packs")
    store.list_together(FOLDERS)
    assert requests.names() == ["list_objects_v2"] * 2
    store.remove("packs/ab/1")
    assert requests.names() == ["delete_object"]
    store.create("keys/1", b"1")
    assert requests.names() == ["head_object", "put_object"]


def test_what_is_not_there_costs_one_request_too(store: Store, requests: S3Requests) -> None:
    with pytest.raises(ObjectMissing):
        store.read("packs/ab/1")
    with pytest.raises(ObjectMissing):
        store.read_range("packs/ab/1", 0, 1)
    assert requests.names() == ["get_object"] * 2
    assert store.size("packs/ab/1") is None
    assert requests.names() == ["head_object"]
    assert store.list("packs") == []
    assert store.list_together(FOLDERS) == {"verdicts": [], "index": [], "packs": []}
    assert requests.names() == ["list_objects_v2"] * 2


def test_a_refusal_costs_no_more_than_the_question(store: Store, requests: S3Requests) -> None:
    store.write("a", b"123")
    requests.asked.clear()
    with pytest.raises(ObjectExists):
        store.create("a", b"1")
    with pytest.raises(Damaged):
        store.read_range("a", 3, 1)
    assert requests.names() == ["head_object", "get_object"]


def test_a_listing_of_several_answers_goes_on_to_its_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"packs/{number}" for number in range(7)]
    for name in names:
        store.write(name, b"1")
    monkeypatch.setattr(s3_medium, "_KEYS_IN_ONE_ANSWER", 3)
    assert [found.name for found in store.list("packs")] == names


def test_folders_that_one_answer_can_not_tell_of_are_listed_one_by_one_in_the_order_asked_for(
    store: Store, requests: S3Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("index/1", "index/2", "packs/1", "packs/2", "verdicts/1"):
        store.write(name, b"1")
    monkeypatch.setattr(s3_medium, "_KEYS_IN_ONE_ANSWER", 4)
    requests.asked.clear()

    for _ in range(2):
        found = store.list_together(FOLDERS)
        assert [len(found[folder]) for folder in FOLDERS] == [1, 2, 2]

    prefixes = [arguments["Prefix"].rpartition("/")[0].rpartition("/")[2] for _, arguments in requests.asked]
    assert prefixes[1:] == [*FOLDERS, *FOLDERS]  # what did not fit once is not tried again


def test_an_answer_that_ends_behind_the_last_folder_is_enough(
    store: Store, requests: S3Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("index/1", "packs/1", "packs2/1", "packs2/2", "verdicts/1"):
        store.write(name, b"1")
    monkeypatch.setattr(s3_medium, "_KEYS_IN_ONE_ANSWER", 3)
    requests.asked.clear()

    found = store.list_together(("packs", "index"))

    assert [len(found[folder]) for folder in ("index", "packs")] == [1, 1]
    assert requests.names() == ["list_objects_v2"]


def test_a_server_that_can_not_begin_in_the_middle_is_asked_for_each_folder(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("index/1", "packs/1"):
        store.write(name, b"1")
    _refuse(monkeypatch, "StartAfter", "NotImplemented")

    found = store.list_together(FOLDERS)

    assert {folder: [one.name for one in found[folder]] for folder in FOLDERS} == {
        "verdicts": [],
        "index": ["index/1"],
        "packs": ["packs/1"],
    }


def test_many_objects_are_removed_with_few_requests(
    store: Store, requests: S3Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"packs/{number}" for number in range(7)]
    for name in names:
        store.write(name, b"1")
    monkeypatch.setattr(s3_medium, "_KEYS_IN_ONE_REMOVAL", 3)
    requests.asked.clear()

    store.remove_all(names)

    assert requests.names() == ["delete_objects"] * 3
    assert store.removals_at_once == 3
    assert store.list("") == []


def test_a_server_that_removes_nothing_together_is_asked_for_each_object(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a/1", "a/2"):
        store.write(name, b"1")
    _refuse(monkeypatch, "Delete", "NotImplemented")

    assert store.removals_at_once == 2  # until it is known what the service can do
    store.remove_all(["a/1", "a/2"])

    assert store.list("") == []
    assert store.removals_at_once == 1


def test_a_bucket_that_wants_a_digest_gets_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one does that locks its objects for a time."""
    put, digests = S3FileSystem._pipe_file, []

    async def strict(self: Any, path: str, data: bytes, **arguments: Any) -> Any:
        digests.append(arguments.get("ContentMD5"))
        if digests[-1] is None:
            raise _refusal("InvalidRequest", "put_object")
        return await put(self, path, data, **arguments)

    monkeypatch.setattr(S3FileSystem, "_pipe_file", strict)
    _mirror(store)
    store.write("a", b"abc")
    store.create("b", b"abc")

    of_abc = "kAFQmDzST7DWlj99KOF/cg=="
    assert digests == [None, of_abc, of_abc]
    assert store.read("a") == store.read("b") == b"abc"


def test_a_put_that_is_refused_for_another_reason_is_told_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    async def refusing(self: Any, path: str, data: bytes, **arguments: Any) -> Any:
        tries.append(arguments)
        raise _refusal("InvalidRequest", "put_object")

    monkeypatch.setattr(S3FileSystem, "_pipe_file", refusing)
    _mirror(store)
    for _ in range(2):
        with pytest.raises(StorageError):
            store.write("a", b"abc")
    assert len(tries) == 3


def test_a_removal_that_the_answer_says_was_refused_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/1", "a/2"):
        store.write(name, b"1")
    _refuse(monkeypatch, "Key", "AccessDenied")
    answered = S3FileSystem.call_s3

    def refused_one(self: Any, method: str, **arguments: Any) -> Any:
        if method == "delete_objects":
            key = arguments["Delete"]["Objects"][0]["Key"]
            return {"Errors": [{"Key": key, "Code": "AccessDenied", "Message": "no"}]}
        return answered(self, method, **arguments)

    monkeypatch.setattr(S3FileSystem, "call_s3", refused_one)
    with pytest.raises(StoreRefused):
        store.remove_all(["a/1", "a/2"])


def _refusal(code: str, method: str) -> BaseException:
    answer = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
    refusal: BaseException = translate_boto_error(ClientError(answer, method))
    return refusal


def _mirror(store: Store) -> None:
    """Let the filesystem's method for outsiders be made anew: fsspec makes it for each filesystem when it is opened."""
    filesystem = store._medium._filesystem  # type: ignore[attr-defined]
    filesystem.pipe_file = sync_wrapper(filesystem._pipe_file, obj=filesystem)


def _refuse(monkeypatch: pytest.MonkeyPatch, argument: str, code: str) -> None:
    """Let the server refuse what is asked with this argument."""
    answered = S3FileSystem.call_s3

    def refused(self: Any, method: str, **arguments: Any) -> Any:
        if argument in arguments:
            raise _refusal(code, method)
        return answered(self, method, **arguments)

    monkeypatch.setattr(S3FileSystem, "call_s3", refused)
