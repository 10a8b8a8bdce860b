"""Objects in S3 and in what speaks its language: one request for each thing asked, and for several where that can be.

s3fs does the talking, but not what it puts around a request for the sake of folders, which S3 has none of: a listing
that is empty would be three requests, and asking for the size of what is not there would be two.

One put is one step there: an object appears whole or not at all, so no temporary names are needed. What arrived need
not be asked for, either: a put says how long its body is and carries its SHA-256 in the signature
(https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html), and before a manifest is written the
length of every pack is looked at anyway.

`create` is exclusive where the service honours a conditional put (AWS, Ceph, Google). `rclone serve s3` ignores the
condition: there two writers at the same instant may both succeed, and only the look beforehand keeps an object that
was there already.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import islice, pairwise
from typing import Any

from storage.store import StoredObject
from storage.stores.object_medium import cut_out, refuse_taken, refuses_the_condition, service_code

_KEYS_IN_ONE_ANSWER = 1000
_KEYS_IN_ONE_REMOVAL = 1000
"""What S3 allows in one request (API reference, ListObjectsV2 and DeleteObjects)."""


class S3Medium:
    """Objects below `prefix` ("" for all) of a bucket that an `S3FileSystem` of s3fs reaches."""

    def __init__(self, filesystem: Any, bucket: str, prefix: str) -> None:
        self._filesystem = filesystem
        self._bucket = bucket
        self._root = f"{prefix}/" if prefix else ""
        self._walks = True
        self._removes_together: bool | None = None
        self._sends_digests = False

    def read(self, name: str) -> bytes:
        # With more than one request at a time, each read would begin with a question for the size.
        content: bytes = self._filesystem.cat_file(self._path(name), max_concurrency=1)
        return content

    def read_range(self, name: str, start: int, length: int) -> bytes:
        return cut_out(self._filesystem, self._path(name), start, length)

    def write(self, name: str, data: bytes) -> None:
        self._put(name, data)

    def create(self, name: str, data: bytes) -> None:
        refuse_taken(self.size, name)
        with refuses_the_condition(name):
            self._put(name, data, mode="create")

    def begin(self, name: str, *, replace: bool) -> S3Upload:
        return S3Upload(self, name, replace=replace)

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        below = f"{self._root}{prefix}/" if prefix else self._root
        more: dict[str, str] = {}
        while True:
            answer = self.asked("list_objects_v2", Prefix=below, MaxKeys=_KEYS_IN_ONE_ANSWER, **more)
            yield from self._told(answer)
            if not answer.get("IsTruncated"):
                return
            more = {"ContinuationToken": answer["NextContinuationToken"]}

    def objects_together(self, folders: Sequence[str]) -> list[StoredObject] | None:
        """What lies from the first of these folders to the last of them, by name; None when one answer can't tell."""
        if not self._walks:
            return None
        first, last = min(folders), max(folders)
        try:
            answer = self.asked(
                "list_objects_v2",
                Prefix=self._root,
                StartAfter=f"{self._root}{first}/",
                MaxKeys=_KEYS_IN_ONE_ANSWER,
            )
        except OSError as error:
            # Directory buckets know no such parameter, and are not sorted either.
            if service_code(error) not in {"NotImplemented", "InvalidArgument", "InvalidRequest"}:
                raise
            self._walks = False
            return None
        keys = [item["Key"].encode() for item in answer.get("Contents", ())]
        is_sorted = all(one < other for one, other in pairwise(keys))
        behind_the_last = f"{self._root}{last}0".encode()  # "0" comes after "/"
        # What does not fit once won't fit a minute later: from then on each folder is asked for by itself.
        self._walks = not answer.get("IsTruncated") or (bool(keys) and is_sorted and keys[-1] >= behind_the_last)
        return list(self._told(answer)) if self._walks else None

    def remove(self, name: str) -> None:
        self.asked("delete_object", Key=f"{self._root}{name}")

    @property
    def removals_at_once(self) -> int:
        if self._removes_together is None:
            return 2  # enough to find out; should the service not know how, no more than two go one by one
        return _KEYS_IN_ONE_REMOVAL if self._removes_together else 1

    def remove_together(self, names: Iterable[str]) -> None:
        """Remove objects, as many with each request as it takes."""
        left = iter(names)
        while some := list(islice(left, _KEYS_IN_ONE_REMOVAL)):
            for name in self._not_removed(some):
                self.remove(name)

    def size(self, name: str) -> int:
        return int(self.asked("head_object", Key=f"{self._root}{name}")["ContentLength"])

    def exists(self) -> bool:
        return next(self.objects(""), None) is not None

    def sweep(self, older_than: timedelta) -> int:  # noqa: ARG002 -- an upload that was cut off is no object
        return 0

    def _put(self, name: str, data: bytes, **condition: str) -> None:
        digest = {"ContentMD5": _md5(data)} if self._sends_digests else {}
        try:
            self._filesystem.pipe_file(self._path(name), data, **condition, **digest)
        except OSError as error:
            # Where a bucket locks its objects for a time, each put must carry a digest in a header of its own:
            # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html
            if self._sends_digests or service_code(error) != "InvalidRequest":
                raise
            self._sends_digests = True
            self._put(name, data, **condition)

    def _not_removed(self, names: Sequence[str]) -> list[str]:
        """Remove objects with one request; returns those that the service would not remove so."""
        keys = {f"{self._root}{name}": name for name in names}
        try:
            answer = self.asked("delete_objects", Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True})
        except OSError as error:
            if not service_code(error):
                raise
            # Google's service knows no such request. What else there is to say, it says of each object.
            self._removes_together = False
            return list(names)
        self._removes_together = True
        return [keys[trouble["Key"]] for trouble in answer.get("Errors", ()) if trouble.get("Key") in keys]

    def _told(self, answer: dict[str, Any]) -> Iterator[StoredObject]:
        for item in answer.get("Contents", ()):
            yield StoredObject(item["Key"].removeprefix(self._root), int(item["Size"]), item["LastModified"])

    def asked(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """What the service answers to a request about the bucket."""
        answer: dict[str, Any] = self._filesystem.call_s3(operation, Bucket=self._bucket, **arguments)
        return answer

    def key(self, name: str) -> str:
        """The object's key in the bucket."""
        return f"{self._root}{name}"

    def _path(self, name: str) -> str:
        return f"{self._bucket}/{self._root}{name}"


class S3Upload:
    """An object that is put in parts, which are no object until the upload is completed.

    One that fits into a single part is put at once.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
    """

    def __init__(self, medium: S3Medium, name: str, *, replace: bool) -> None:
        self._medium = medium
        self._name = name
        self._replace = replace
        self._id: str | None = None
        self._tags: list[str] = []
        self._sent = 0
        self._all_sent = False
        self._completing = False

    def send(self, part: bytes) -> None:
        if self._id is None:
            self._id = self._medium.asked("create_multipart_upload", Key=self._medium.key(self._name))["UploadId"]
        answer = self._asked(
            "upload_part",
            PartNumber=len(self._tags) + 1,
            Body=part,
            # Where a bucket locks its objects, each part must carry a digest; elsewhere it does no harm.
            ContentMD5=_md5(part),
        )
        self._tags.append(answer["ETag"])
        self._sent += len(part)

    def finish(self, last: bytes) -> None:
        if self._id is None:
            self._put_at_once(last)
            return
        if last and not self._all_sent:
            self.send(last)
        self._all_sent = True
        if not (self._replace or self._completing):
            refuse_taken(self._medium.size, self._name)
        again, self._completing = self._completing, True
        condition = {} if self._replace else {"IfNoneMatch": "*"}
        parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(self._tags, 1)]
        try:
            with refuses_the_condition(self._name):
                self._asked("complete_multipart_upload", MultipartUpload={"Parts": parts}, **condition)
        except OSError as error:
            # The answer to an earlier try may have been lost after the service had carried it out.
            if not (again and self._was_completed(error)):
                raise

    def abandon(self) -> None:
        if self._id is not None:
            self._asked("abort_multipart_upload")

    def _put_at_once(self, content: bytes) -> None:
        put = self._medium.write if self._replace else self._medium.create
        again, self._completing = self._completing, True
        try:
            put(self._name, content)
        except FileExistsError:
            if not (again and self._medium.read(self._name) == content):
                raise

    def _was_completed(self, refusal: OSError) -> bool:
        if isinstance(refusal, FileExistsError):
            return self._medium.size(self._name) == self._sent
        return service_code(refusal) == "NoSuchUpload"

    def _asked(self, operation: str, **arguments: Any) -> dict[str, Any]:
        return self._medium.asked(operation, Key=self._medium.key(self._name), UploadId=self._id, **arguments)


def _md5(data: bytes) -> str:
    return b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
