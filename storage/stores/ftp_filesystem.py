"""fsspec's FTP filesystem without two habits: it answers for folders that it could not read, and writes in pieces."""

from __future__ import annotations

import ftplib
import io
import ssl
from contextlib import suppress
from typing import Any

from fsspec.implementations.ftp import FTPFileSystem, _mlsd2


class CandidFTPFileSystem(FTPFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Lists a folder whole or raises.

    fsspec's own `ls` takes every refusal, also a passing one, for an empty folder or for one that is not there.

    A file is written by one command. fsspec's own files give another for each block, which many servers don't take.
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

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        return _Incoming(self.ftp, path) if mode == "wb" else super()._open(path, mode, **options)

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


class _Incoming(io.RawIOBase):
    """A file that the server takes in as it comes. Until it is closed, the connection can do nothing else."""

    def __init__(self, ftp: ftplib.FTP, path: str) -> None:
        super().__init__()
        self._ftp = ftp
        ftp.voidcmd("TYPE I")
        self._data = ftp.transfercmd(f"STOR {path}")

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """Send all of `data`."""
        self._data.sendall(data)
        return len(data)

    def close(self) -> None:
        """Tell the server that this was all, and wait until it says that it has it."""
        if self.closed:
            return
        super().close()
        try:
            if isinstance(self._data, ssl.SSLSocket):
                self._data.unwrap()
        finally:
            self._data.close()
        self._ftp.voidresp()

    def discard(self) -> None:
        """Go away in the middle. What came until then stays on the server."""
        with suppress(OSError, EOFError, ftplib.Error):
            self.close()
