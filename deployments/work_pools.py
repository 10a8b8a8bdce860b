"""Where the flows run: one work pool, with a queue for each computer's own profiles and one for all that is left."""

from __future__ import annotations

from hashlib import blake2s

WORK_POOL = "recollect"
DEFAULT_QUEUE = "default"
"""The queue that each pool has. Runs that belong to no computer wait in it."""

_REFUSED = str.maketrans(dict.fromkeys("/%&<>", "-"))
"""What Prefect refuses in names (prefect/types/names.py)."""


def queue_of(host: str) -> str:
    """The queue of the computer of that name, which is the name itself where it can be."""
    name = safe_name(host)
    return marked(name, host) if name == DEFAULT_QUEUE else name


def safe_name(text: str) -> str:
    """`text` as a name that Prefect takes. What had to be changed is marked, so that two texts are never one name."""
    name = text.translate(_REFUSED)
    return name if name == text and name.strip("' \"") else marked(name, text)


def marked(name: str, text: str) -> str:
    """`name` with a short digest of the `text` that it stands for."""
    return f"{name} ({blake2s(text.encode('utf-8', 'surrogatepass'), digest_size=4).hexdigest()})"
