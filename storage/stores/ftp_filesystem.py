"""fsspec's FTP filesystem, but for its habit of answering for a folder that it could not read."""

from __future__ import annotations

import ftplib
from typing import Any

from fsspec.implementations.ftp import FTPFileSystem, _mlsd2


class CandidFTPFileSystem(FTPFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Lists a folder whole or raises.

    fsspec's own `ls` takes every refusal, also a passing one, for an empty folder or for one that is not there.
    """

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:  # noqa: FBT001, FBT002 -- fsspec's signature
        """What is in a folder: details if `detail`, else names. FileNotFoundError only if the folder above lacks it."""
        folder: str = self._strip_protocol(path)
        try:
            found = self._entries(folder)
        except ftplib.error_perm:
            # Code 550 says both "not there" and "not allowed" (RFC 959 §4.2): the folder above tells which.
            if folder == "/":
                raise
            details = self.info(folder)
            if details["type"] == "directory":
                raise
            found = [details]
        return found if detail else sorted(details["name"] for details in found)

    def _entries(self, folder: str) -> list[dict[str, Any]]:
        try:
            lines = list(self.ftp.mlsd(folder))
        except ftplib.error_perm:  # a server that doesn't know MLSD
            lines = _mlsd2(self.ftp, folder)
        found = []
        for name, details in lines:
            if name in {".", ".."} or details["type"] in {"pdir", "cdir"}:
                continue
            is_folder = details["type"] == "dir"
            found.append(
                {
                    **details,
                    "name": f"{folder.rstrip('/')}/{name.lstrip('/')}",
                    "size": 0 if is_folder else int(details.get("size", 0)),
                    "type": "directory" if is_folder else details["type"],
                }
            )
        return found
