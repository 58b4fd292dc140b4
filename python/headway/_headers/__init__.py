# SPDX-License-Identifier: MIT
"""Reads C headers: declarations and macros as plain records, cached on disk.

>>> from headway._headers import read
>>> read(["math.h"]).get("cos")["prototype"]
'double cos(double __x)'
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

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
    diagnostics : tuple of str
        The compiler's warnings.
    """

    def __init__(
        self,
        records: Mapping[str, Record],
        listed: Iterable[str],
        refused: Iterable[str],
        files: Iterable[str],
        diagnostics: Iterable[str],
    ) -> None:
        self._records = records
        self.listed = tuple(listed)
        self.refused = tuple(refused)
        self.files = tuple(files)
        self.diagnostics = tuple(diagnostics)

    def get(self, name: str) -> Record | None:
        """The record of an ordinary name, of a tag's key, or of a tag's bare name."""
        record = self._records.get(name)
        if record is None and " " not in name:
            for word in _TAG_WORDS:
                record = record or self._records.get(f"{word} {name}")
        return record

    def names(self) -> list[str]:
        """All ordinary names, those of system headers included."""
        return [name for name in self._records if " " not in name]


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
    from headway._headers import _read

    request = Request(headers, source, include_dirs, defines, extra_args, extra_headers)
    reading = _read.read(request)
    return Declarations(
        reading.records, reading.listed, reading.refused, reading.contents, reading.diagnostics
    )
