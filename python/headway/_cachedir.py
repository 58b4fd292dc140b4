# SPDX-License-Identifier: MIT
"""Where Headway keeps what it need not do twice, and how files get there whole or not at all.

A warm load goes through here, so `pathlib` (and the half of urllib it imports) comes when needed.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

KINDS = ("headers", "compile", "bench")  # the directories below the cache directory


class Entry(NamedTuple):
    """One cached file."""

    kind: str  # one of KINDS
    path: Path
    size: int  # bytes
    modified: float  # seconds since the epoch


def location() -> str:
    """The path of the cache directory; it need not exist.

    ``HEADWAY_CACHE_DIR``, else ``$XDG_CACHE_HOME/headway``, else ``~/.cache/headway``. Read from
    the environment at each call, so that a program may set it.

    Raises
    ------
    RuntimeError
        Neither is set, and the user has no home directory.
    """
    own = os.environ.get("HEADWAY_CACHE_DIR")
    if own:
        return own
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification: a path that is not absolute is to be ignored.
    if not os.path.isabs(base):
        base = os.path.join(os.path.expanduser("~"), ".cache")
        if not os.path.isabs(base):
            raise RuntimeError("there is no home directory for the cache; set HEADWAY_CACHE_DIR")
    return os.path.join(base, "headway")


def cache_dir() -> Path:
    """The cache directory, as `location` says."""
    from pathlib import Path

    return Path(location())


def room(kind: str) -> Path | None:
    """The directory for one kind of entry, made where missing; None where that is not possible."""
    try:
        directory = cache_dir() / kind
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return None
    return directory if os.access(directory, os.W_OK | os.X_OK) else None


def store(path: Path, content: bytes, *, executable: bool = False) -> bool:
    """Writes a file atomically: readers see all of it, or what was there before.

    Returns False where the directory cannot be written (a cache is a convenience: its absence
    costs time, never the result).
    """
    import tempfile  # most caches are only read

    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    except OSError:
        return False
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o755 if executable else 0o644)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        return False
    return True


def entries() -> Iterator[Entry]:
    """Every cached file. Others that the cache directory may hold are not ours to count or clear."""
    from pathlib import Path

    for kind in KINDS:
        for directory, _, names in os.walk(cache_dir() / kind):
            for name in names:
                path = Path(directory, name)
                try:
                    status = path.lstat()
                except OSError:  # another process cleared it meanwhile
                    continue
                if stat.S_ISREG(status.st_mode):
                    yield Entry(kind, path, status.st_size, status.st_mtime)


def clear(kind: str | None = None) -> tuple[int, int]:
    """Removes the cached files of one kind, or all; returns how many files and how many bytes.

    Modules in use stay in use: a loaded shared library outlives its file.
    """
    count = size = 0
    for entry in list(entries()):
        if kind is None or entry.kind == kind:
            try:
                entry.path.unlink()
            except FileNotFoundError:
                continue
            count += 1
            size += entry.size
    return count, size
