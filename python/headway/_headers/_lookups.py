# SPDX-License-Identifier: MIT
"""The look-ups that reading headers made besides those that found a file it read."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from headway._headers._cache import exists

if TYPE_CHECKING:
    from headway._headers._read import Inclusion
    from headway._headers._request import Request

_HAS_INCLUDE = re.compile(rb"__has_include(?:_next)?\s*\(\s*(?:\"([^\"\n]+)\"|<([^>\n]+)>)?")
_DEFINES_IT = re.compile(rb"define\s+$")


def lookups(
    request: Request, inclusions: list[Inclusion], contents: dict[str, bytes]
) -> tuple[list[str], list[str], bool]:
    """The files that were looked for besides those read.

    Parameters
    ----------
    request : Request
        Whose directories are searched.
    inclusions : list of Inclusion
        What was included.
    contents : dict
        Of the files read.

    Returns
    -------
    absent : list of str
        Files that are not there and would be taken if they were.
    present : list of str
        Files that were asked about, and are there.
    known : bool
        Whether that is all: False where ``__has_include`` asks about a computed name.
    """
    absent: dict[str, None] = {}
    present: dict[str, None] = {}

    def candidates(includer: str, name: str, quoted: bool) -> list[str]:
        beside = [os.path.dirname(os.path.abspath(includer))] if quoted else []
        return [os.path.join(place, name) for place in (*beside, *request.search.directories)]

    for inclusion in inclusions:
        for path in candidates(inclusion.includer, inclusion.spelled, inclusion.quoted):
            if path == inclusion.file:
                break
            if not exists(path):
                absent[path] = None
    known = True
    for path, text in contents.items():
        for match in _HAS_INCLUDE.finditer(text):
            asked = match[1] or match[2]
            if not asked:
                line = text.rfind(b"\n", 0, match.start()) + 1
                known = known and bool(_DEFINES_IT.search(text, line, match.start()))
                continue
            for candidate in candidates(path, os.fsdecode(asked), bool(match[1])):
                if exists(candidate):
                    present[candidate] = None
                    break
                absent[candidate] = None
    return list(absent), list(present), known
