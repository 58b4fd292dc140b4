# SPDX-License-Identifier: MIT
"""Reads C headers: declarations and macros as plain records, cached on disk.

>>> from headway._headers import read
>>> read(["math.h"]).get("cos")["prototype"]
'double cos(double __x)'
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from headway._headers import _cache
from headway._headers._request import Request

__all__ = ["Declarations", "read"]

Record = dict[str, Any]
_TAG_WORDS = ("struct", "union", "enum")


class Declarations:
    """What headers declare.

    Attributes
    ----------
    listed : tuple of str
        The names that are the requested headers' own and can be bound, for ``dir()``; a tag
        without a rival among ordinary names by its bare name.
    refused : tuple of str
        Those that cannot be bound; their records say why.
    files : tuple of str
        The files that were read.
    absent, present : tuple of str
        The files that were only looked for: those that would be read if they were there, and those
        that are.
    diagnostics : tuple of str
        The compiler's warnings.
    """

    def __init__(self, entry: _cache.Entry, again: Callable[[], _cache.Entry]) -> None:
        self._again = again
        self._use(entry)

    def _use(self, entry: _cache.Entry) -> None:
        header = entry.header
        self._body = entry.body
        self._ends: list[int] = header["ends"]
        self._index: dict[str, int] = {name: i for i, name in enumerate(header["names"])}
        self.listed: tuple[str, ...] = tuple(header["listed"])
        self.refused: tuple[str, ...] = tuple(header["refused"])
        self.files: tuple[str, ...] = tuple(file[0] for file in header["files"])
        self.absent: tuple[str, ...] = tuple(header["absent"])
        self.present: tuple[str, ...] = tuple(header["present"])
        self.diagnostics: tuple[str, ...] = tuple(header["diagnostics"])

    def get(self, name: str) -> Record | None:
        """The record of an ordinary name, of a tag's key, or of a tag's bare name."""
        try:
            return self._get(name)
        except _cache.MALFORMED:  # a cache entry whose checksums are right and records are not
            self._use(self._again())
            return self._get(name)

    def _get(self, name: str) -> Record | None:
        at = self._index.get(name)
        if at is None and " " not in name:
            found = (self._index.get(f"{word} {name}") for word in _TAG_WORDS)
            at = next((i for i in found if i is not None), None)
        if at is None:
            return None
        record: Record = {**self._decode(at)}
        doc = record.get("doc")
        if isinstance(doc, int):  # kept apart, since declarations share comments
            record["doc"] = self._decode(len(self._index) + doc)
        return record

    def _decode(self, at: int) -> Any:
        start = self._ends[at - 1] if at else 0
        return json.loads(self._body[start : self._ends[at]])

    def names(self) -> list[str]:
        """All ordinary names, those of system headers included."""
        return [name for name in self._index if " " not in name]

    def tags(self) -> list[str]:
        """The keys of all structs, unions and enums that have a name."""
        return [key for key in self._index if " " in key and "<" not in key]


def read(
    headers: Sequence[str | os.PathLike[str]],
    *,
    source: str | None = None,
    include_dirs: Iterable[str | os.PathLike[str]] = (),
    defines: Mapping[str, str | int | None] | None = None,
    extra_args: Iterable[str] = (),
    extra_headers: int = 0,
    cache: bool = True,
) -> Declarations:
    """Read C headers, or C source after them.

    Parameters
    ----------
    headers : sequence of path-like
        Names as after ``#include``, or paths of files.
    source : str, optional
        C source that follows the headers; what it declares is then what is listed.
    include_dirs : iterable of path-like
        Directories to look in before the system's.
    defines : mapping, optional
        Macros; None defines one as C's ``-DNAME`` does.
    extra_args : iterable of str
        Further options of clang.
    extra_headers : int
        How many of `headers`, from the first, are only there for the others to use.
    cache : bool
        Whether to use and fill the disk cache.

    Raises
    ------
    HeaderError
        A header is missing, or C has an error.
    """
    request = Request(headers, source, include_dirs, defines, extra_args, extra_headers)
    key = request.key

    def again() -> _cache.Entry:
        from headway._headers import _read

        started = time.time_ns()
        reading = _read.read(request)
        entry = _cache.entry_of(key, reading, started)
        if cache and reading.complete:
            _cache.store(key, entry)
        return entry

    entry = _cache.load(key) if cache else None
    return Declarations(entry or again(), again)
