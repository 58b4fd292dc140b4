# SPDX-License-Identifier: MIT
"""What was read, kept on disk: JSON, valid while every file it came from is what it was.

An entry is three parts: a line with the lengths and checksums of the others; a header, which says
what was asked, what the answer depends on, and where each record lies; and the records, one JSON
text each, decoded when they are looked up.

The answer depends on

- the files that were read: compared by size, times and inode first. Where these differ the content
  decides, by its SHA-256, and the entry learns the new times;
- the files that were looked for and absent: a header that appears in a directory searched earlier
  would win. That includes names that were only asked about, by ``__has_include``;
- libclang and this package, where they are there: an entry serves a machine without libclang.

A file that changed at about the time it was read has times that prove nothing (it may change again
within the clock's grain), so its content is compared until it has aged.

Whatever is wrong with an entry, headers are read again; no entry can raise.
"""

from __future__ import annotations

import json
import os
import stat
import time
import zlib
from typing import TYPE_CHECKING, Any

from headway import _cachedir

if TYPE_CHECKING:
    from headway._headers._read import Reading

KIND = "headers"  # the room in the cache directory

_MAGIC = "headway headers"
_GRAIN = 2_000_000_000  # ns: what file systems' clocks may be off
_UNKNOWN = -1  # a time that no file has

# What malformed JSON, or JSON of another shape than ours, makes its reader raise.
MALFORMED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


class Entry:
    """The content of an entry, checked: the header as JSON, and the bytes of the records."""

    __slots__ = ("body", "header")

    def __init__(self, header: dict[str, Any], body: bytes) -> None:
        self.header = header
        self.body = body


# ---- the form


def encode(entry: Entry) -> bytes:
    """An entry as it stands in a file."""
    header = _dump(entry.header)
    first = {
        "what": _MAGIC,
        "header": [len(header), zlib.crc32(header)],
        "records": [len(entry.body), zlib.crc32(entry.body)],
    }
    return b"".join((_dump(first), b"\n", header, b"\n", entry.body))


def decode(content: bytes) -> Entry | None:
    """The entry that a file holds; None where it holds none, or not all of one."""
    try:
        end = content.index(b"\n") + 1
        first = json.loads(content[:end])
        size, check = first["header"]
        body_size, body_check = first["records"]
        if first["what"] != _MAGIC or len(content) != end + size + 1 + body_size:
            return None
        header, body = content[end : end + size], content[end + size + 1 :]
        if len(header) != size or zlib.crc32(header) != check or zlib.crc32(body) != body_check:
            return None
        decoded = json.loads(header)
    except MALFORMED:
        return None
    return Entry(decoded, body) if isinstance(decoded, dict) else None


def _dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def entry_of(key: dict[str, Any], reading: Reading, started: int) -> Entry:
    """The entry for what was read.

    Parameters
    ----------
    key : dict
        What was asked.
    reading : Reading
        The answer.
    started : int
        When reading began, in ns since the epoch.
    """
    docs: dict[str, int] = {}
    texts, ends, end = [], [], 0
    for record in reading.records.values():
        doc = record.get("doc")
        shared = {**record, "doc": docs.setdefault(doc, len(docs))} if doc else record
        texts.append(_dump(shared))
    texts += [_dump(doc) for doc in docs]
    for text in texts:
        end += len(text)
        ends.append(end)
    header = {
        "key": key,
        "files": [_describe(path, text, started) for path, text in reading.contents.items()],
        "absent": reading.absent,
        "present": reading.present,
        "tools": _tools(reading.libclang),
        "names": list(reading.records),
        "ends": ends,
        "listed": reading.listed,
        "refused": reading.refused,
        "diagnostics": reading.diagnostics,
    }
    return Entry(header, b"".join(texts))


# ---- what it depends on


def _stat(path: str, since: int) -> list[int]:
    """Size, times and inode of a file; unknown times where they may be those of a later change."""
    found = os.stat(path)
    aged = max(found.st_mtime_ns, found.st_ctime_ns) < since - _GRAIN
    mtime = found.st_mtime_ns if aged else _UNKNOWN
    return [found.st_size, mtime, found.st_ctime_ns, found.st_ino]


def _describe(path: str, content: bytes, since: int) -> list[Any]:
    import hashlib  # costs as much as all the rest of a warm read

    try:
        status = _stat(path, since)
    except OSError:  # gone since: the entry will not be used
        status = [_UNKNOWN] * 4
    return [path, *status, hashlib.sha256(content).hexdigest()]


def _tools(libclang: str) -> list[list[Any]]:
    """The stat of libclang and of this package's own files."""
    package = os.path.dirname(os.path.abspath(__file__))
    own = [os.path.join(package, name) for name in sorted(os.listdir(package))]
    found = []
    for path in [libclang, *(path for path in own if path.endswith(".py"))]:
        try:
            status = os.stat(path)
        except OSError:
            continue
        found.append([path, status.st_size, status.st_mtime_ns])
    return found


def exists(path: str) -> bool:
    try:
        os.stat(path)
    except OSError:
        return False
    return True


def _unchanged(file: list[Any]) -> bool:
    """Whether a file is what it was, by its stat or else by its content; notes its stat."""
    path, size, mtime, ctime, inode, digest = file
    found = os.stat(path)
    if found.st_size != size:
        return False
    if (found.st_mtime_ns, found.st_ctime_ns, found.st_ino) == (mtime, ctime, inode):
        return True
    import hashlib

    now = time.time_ns()
    with open(path, "rb") as opened:
        if hashlib.sha256(opened.read()).hexdigest() != digest:
            return False
    file[1:5] = _stat(path, now)
    return True


def valid(header: dict[str, Any], key: dict[str, Any]) -> tuple[bool, bool]:
    """Whether an entry answers a request as reading would now, and whether it learned new times."""
    learned = False
    if header["key"] != key:
        return False, False
    for path, size, mtime in header["tools"]:
        try:
            found = os.stat(path)
        except OSError:
            continue
        if (found.st_size, found.st_mtime_ns) != (size, mtime):
            return False, False
    if any(map(exists, header["absent"])) or not all(map(exists, header["present"])):
        return False, False
    for file in header["files"]:
        before = file[1:5]
        if not _unchanged(file):
            return False, False
        learned = learned or file[1:5] != before
    return True, learned


# ---- on disk


def path_of(key: dict[str, Any]) -> str:
    """Where the entry for a request is; another request may share the place, and then replaces."""
    text = _dump(key)
    first = key["headers"][-1][1] if key["headers"] else "source"
    name = "".join(ch if ch.isalnum() else "_" for ch in os.path.basename(first))[:40]
    file = f"{name}-{zlib.crc32(text):08x}{zlib.adler32(text):08x}.json"
    return os.path.join(_cachedir.location(), KIND, file)


def load(key: dict[str, Any]) -> Entry | None:
    """The entry that answers a request; None where there is none, or none that is still right."""
    try:
        path = path_of(key)
        entry = decode(_content(path))
        if entry is None:
            return None
        right, learned = valid(entry.header, key)
        if not right or not _well_formed(entry):
            return None
        if learned:
            _write(path, entry)
        return entry
    except (OSError, *MALFORMED, RuntimeError):  # RuntimeError: there is no home directory
        return None


def _well_formed(entry: Entry) -> bool:
    """Whether the index fits the records."""
    header = entry.header
    ends, names = header["ends"], header["names"]
    lists = ("names", "listed", "refused", "absent", "present", "diagnostics")
    return (
        all({str}.issuperset(map(type, header[name])) for name in lists)
        and len(ends) >= len(names)
        and ends == sorted(ends)
        and (ends[-1] if ends else 0) == len(entry.body)
    )


def _content(path: str) -> bytes:
    """A regular file of ours (or root's), whole."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_uid not in (os.geteuid(), 0):
            return b""
        return file.read()


def store(key: dict[str, Any], entry: Entry) -> bool:
    """Keep an entry; returns whether that was possible."""
    try:
        return _write(path_of(key), entry)
    except (OSError, RuntimeError):
        return False


def _write(path: str, entry: Entry) -> bool:
    from pathlib import Path

    if _cachedir.room(KIND) is None:
        return False
    return _cachedir.store(Path(path), encode(entry))
