# SPDX-License-Identifier: MIT
"""Reads headers with libclang: from a request to records and what they depend on."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from headway._errors import HeaderError
from headway._headers._declare import Declarations
from headway._headers._libclang import Cursor, CursorKind
from headway._headers._lookups import lookups
from headway._headers._macros import Evaluator, definitions
from headway._headers._request import Request
from headway._headers._search import missing
from headway._headers._types import Record, Types
from headway._headers._unit import ERROR, PREPROCESSING_RECORD, SKIP_BODIES, Diagnostic, Unit

_NOT_FOUND = re.compile(r"'([^']+)' file not found")
_UNKNOWN = re.compile(r"unknown type name '(\w+)'")
_DECLARED_IN = {
    **dict.fromkeys(("size_t", "ptrdiff_t", "wchar_t", "max_align_t"), "stddef.h"),
    **dict.fromkeys((f"{u}int{n}_t" for u in ("", "u") for n in (8, 16, 32, 64)), "stdint.h"),
    **dict.fromkeys(("intptr_t", "uintptr_t", "intmax_t", "uintmax_t"), "stdint.h"),
    **dict.fromkeys(("ssize_t", "off_t", "pid_t", "uid_t", "gid_t", "mode_t", "u_char", "u_int",
                     "ushort", "uint", "ulong"), "sys/types.h"),
    **dict.fromkeys(("time_t", "clock_t"), "time.h"),
    "FILE": "stdio.h", "bool": "stdbool.h", "va_list": "stdarg.h", "jmp_buf": "setjmp.h",
}  # fmt: skip
_OWN_BELOW = ("bits", "asm", "asm-generic", "linux")  # where libc keeps parts of its headers


@dataclass(slots=True)
class Inclusion:
    """One ``#include`` that was obeyed or skipped because of an include guard."""

    includer: str
    spelled: str
    quoted: bool
    file: str


@dataclass(slots=True)
class Reading:
    """What reading gave.

    `records` holds ordinary names and, by key, tags. `listed` and `refused` are the names of the
    requested headers themselves. `contents` are the files read, as they were read;
    `absent` and `present` the files that were only looked for.
    """

    records: dict[str, Record]
    listed: list[str]
    refused: list[str]
    diagnostics: list[str]
    contents: dict[str, bytes]
    absent: list[str]
    present: list[str]
    complete: bool  # whether these are all the look-ups there were
    libclang: str


def read(request: Request) -> Reading:
    """Parse, and describe every declaration and macro.

    Raises
    ------
    HeaderError
        A header that another includes is missing, or C has an error.
    """
    text = request.text()
    arguments = request.arguments()
    with Unit(request.name, text, arguments, PREPROCESSING_RECORD | SKIP_BODIES) as unit:
        found = unit.diagnostics()
        errors = [diagnostic for diagnostic in found if diagnostic.severity >= ERROR]
        if errors:
            raise HeaderError(_explain(errors, request))
        cursors = unit.children()
        inclusions, handles = _inclusions(unit, cursors)
        types = Types(unit.clang)
        declarations = Declarations(unit, types)
        declarations.walk(cursors)
        declarations.constants()
        macros = definitions(unit, cursors)
        ordinary = declarations.records
        places = {
            name: {unit.path(file) for file in files} for name, files in declarations.places.items()
        }

        def ask(lines: Sequence[str]) -> tuple[Unit, int]:
            question = text + "\n".join(lines) + "\n"
            options = [*arguments, "-ferror-limit=0", "-Werror=implicit-int"]
            return Unit(request.name, question, options), text.count("\n") + 1

        for name, record in Evaluator(ask, macros, ordinary, types.tags).run().items():
            ordinary[name] = record
            places[name] = {unit.path(macros[name].file)}
        own = _own_files(request, inclusions)
        listed, refused = _listed(ordinary, types.tags, places, own)
        if not listed:  # a header that only includes others
            own.update(i.file for i in inclusions if i.includer in own)
            listed, refused = _listed(ordinary, types.tags, places, own)
        contents = {os.path.abspath(unit.path(handle)): unit.contents(handle) for handle in handles}
        scanned = {**contents, request.name: text.encode("utf-8", "surrogateescape")}
        return Reading(
            {**types.tags, **ordinary},
            listed,
            refused,
            [str(diagnostic) for diagnostic in found],
            contents,
            *lookups(request, inclusions, scanned),
            unit.clang.path,
        )


def _explain(errors: Sequence[Diagnostic], request: Request) -> str:
    """The message of a HeaderError: each error with its place and line of C."""
    text = "\n".join(str(error) for error in errors[:5])
    if len(errors) > 5:
        text += f"\nand {len(errors) - 5} more"
    absent = _NOT_FOUND.search(errors[0].message)
    if absent:
        text += "\n" + missing(absent[1], request.search.directories)
    unknown = next(filter(None, (_UNKNOWN.search(error.message) for error in errors)), None)
    if unknown and request.source is None:
        text += (
            f"\n{unknown[1]!r} comes from a header that this one does not include; include it before "
            f'with headers=["{_DECLARED_IN.get(unknown[1], "stdio.h")}"]'
            f"{'' if unknown[1] in _DECLARED_IN else ' or its like'}"
        )
    return text


def _inclusions(unit: Unit, cursors: Sequence[Cursor]) -> tuple[list[Inclusion], list[int]]:
    clang = unit.clang
    found: list[Inclusion] = []
    handles: dict[int, None] = {}
    for cursor in cursors:
        if cursor.kind != CursorKind.INCLUSION:
            continue
        file = clang.getIncludedFile(cursor)
        if not file:
            continue
        location = clang.getRangeStart(clang.getCursorExtent(cursor))
        includer, _, offset = unit.expansion(location)
        directive = unit.contents(includer)[offset : offset + 200].split(b"\n")[0]
        spelled = clang.text(clang.getCursorSpelling(cursor))
        handles[file] = None
        found.append(Inclusion(unit.path(includer), spelled, b'"' in directive, unit.path(file)))
    return found, list(handles)


def _own_files(request: Request, inclusions: Sequence[Inclusion]) -> set[str]:
    """The files whose declarations are the requested headers' own.

    Those are the headers, what lies below their directories, and, where that is a directory of
    many libraries such as /usr/include: what they include in quotes or by their own name, and what
    they include from the directories where libc keeps the parts of its headers.
    """
    requested = request.includes[request.extra_headers :]
    own = {request.name} if request.source is not None else {file for _, file in requested}
    if request.source is not None:
        return own
    below = tuple(
        directory + os.sep
        for directory in (os.path.dirname(file) for file in own)
        if directory not in request.search.generic
    )
    parts = tuple(
        f"{directory}/{part}/" for directory in request.search.generic for part in _OWN_BELOW
    )
    own.update(i.file for i in inclusions if below and i.file.startswith(below))
    while True:
        more = {i.file for i in inclusions if i.includer in own and _is_own(i, parts)} - own
        if not more:
            return own
        own |= more


def _is_own(inclusion: Inclusion, parts: tuple[str, ...]) -> bool:
    """Whether what a header includes belongs to it: its own parts, and what it stands for."""
    same_name = os.path.basename(inclusion.includer) == os.path.basename(inclusion.file)
    return inclusion.quoted or same_name or inclusion.file.startswith(parts)


def _listed(
    ordinary: dict[str, Record],
    tags: dict[str, Record],
    places: dict[str, set[str]],
    own: set[str],
) -> tuple[list[str], list[str]]:
    listed: list[str] = []
    refused: list[str] = []
    for name, record in ordinary.items():
        if not name.startswith("_") and not own.isdisjoint(places.get(name, ())):
            (refused if record["k"] == "refused" else listed).append(name)
    for key in tags:
        name = key.partition(" ")[2]
        bindable = name.isidentifier() and not name.startswith("_") and name not in ordinary
        if bindable and name not in listed and not own.isdisjoint(places[key]):
            listed.append(name)
    return sorted(listed), sorted(refused)
