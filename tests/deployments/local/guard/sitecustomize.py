"""Put first on PYTHONPATH, this keeps every Python process from speaking to another computer, and writes down each try.

Python itself tells of every connection before it is made, also of those of event loops:
https://docs.python.org/3/library/audit_events.html.
"""

import os
import sys

_HERE = {"127.0.0.1", "::1", "localhost", "", None}


def _is_here(host):
    return (host.decode() if isinstance(host, bytes) else host) in _HERE


def _look(event, arguments):
    if event in {"socket.connect", "socket.sendto"}:
        address = arguments[1]
        tried = address[0] if isinstance(address, tuple) and not _is_here(address[0]) else None
    elif event == "socket.getaddrinfo" or event in {"socket.gethostbyname", "socket.gethostbyaddr"}:
        tried = None if _is_here(arguments[0]) else arguments[0]
    else:
        return
    if tried is not None:
        line = f"{os.getpid()} {event} {tried!r} {getattr(sys, 'argv', [])[:4]}\n"
        log = os.open(os.environ["RECOLLECT_TEST_GUARD"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(log, line.encode())
        os.close(log)
        raise ConnectionRefusedError(f"This test lets nobody speak to {tried!r}")


sys.addaudithook(_look)
