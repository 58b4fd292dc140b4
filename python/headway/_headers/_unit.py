# SPDX-License-Identifier: MIT
"""One translation unit: parsing it, its diagnostics, its files and their text."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from ctypes import byref, c_char_p, c_size_t, c_void_p
from dataclasses import dataclass
from types import TracebackType

from headway._errors import HeaderError
from headway._headers._libclang import Clang, Cursor, Location, Unsaved

PREPROCESSING_RECORD = 0x01  # macro definitions and inclusions are cursors
SKIP_BODIES = 0x40

WARNING, ERROR = 2, 3
_SEVERITIES = ("note", "note", "warning", "error", "fatal error")


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """What the compiler says about a place."""

    severity: int
    message: str
    file: str
    line: int
    column: int
    main_line: int  # line of the main file that led there; 0 where an included file is at fault
    source: str  # the line of C

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: " if self.file else ""
        text = f"{where}{_SEVERITIES[self.severity]}: {self.message}"
        if self.source.strip():
            marker = "".join(ch if ch == "\t" else " " for ch in self.source[: self.column - 1])
            text += f"\n    {self.source}\n    {marker}^"
        return text


class Unit:
    """A parsed translation unit; a context manager, since libclang's memory is not ours."""

    def __init__(
        self, name: str, source: str, arguments: Sequence[str], options: int = SKIP_BODIES
    ) -> None:
        self.clang = Clang.get()
        self.name = name
        self._text = source.encode("utf-8", "surrogateescape")
        self._paths: dict[int, str] = {}
        self._contents: dict[int, bytes] = {}
        self._index = self.clang.createIndex(0, 0)
        self._unit = c_void_p()
        argv = (c_char_p * len(arguments))(*map(os.fsencode, arguments))
        unsaved = Unsaved(name.encode(), self._text, len(self._text))
        status = self.clang.parseTranslationUnit2(
            self._index, name.encode(), argv, len(arguments),
            byref(unsaved), 1, options, byref(self._unit),
        )  # fmt: skip
        if status:
            self.close()
            raise HeaderError(
                f"libclang gave up on {name} (error {status}); its arguments were {arguments}"
            )

    def __enter__(self) -> Unit:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the tree; cursors and types of it are invalid from here on."""
        if self._unit.value:
            self.clang.disposeTranslationUnit(self._unit)
            self._unit = c_void_p()
        if self._index:
            self.clang.disposeIndex(self._index)
            self._index = None

    def children(self) -> list[Cursor]:
        """The declarations at file scope, macro definitions and inclusions first."""
        return self.clang.children(self.clang.getTranslationUnitCursor(self._unit))

    def path(self, file: int) -> str:
        """The name of a file, as it was looked up; "" for what no file has."""
        if file not in self._paths:
            self._paths[file] = self.clang.filename(self.clang.getFileName(file)) if file else ""
        return self._paths[file]

    def contents(self, file: int) -> bytes:
        """What libclang read from a file."""
        if file not in self._contents:
            size = c_size_t()
            address = self.clang.getFileContents(self._unit, file, byref(size)) if file else None
            self._contents[file] = ctypes.string_at(address, size.value) if address else b""
        return self._contents[file]

    def expansion(self, location: Location) -> tuple[int, int, int]:
        """File, line and offset where a location is, or its macro is used."""
        file, line, _, offset = self.clang.place(self.clang.getExpansionLocation, location)
        return file, line, offset

    def diagnostics(self, least: int = WARNING) -> list[Diagnostic]:
        """What the compiler had to say, at least that severe."""
        clang, found = self.clang, []
        for i in range(clang.getNumDiagnostics(self._unit)):
            raw = clang.getDiagnostic(self._unit, i)
            severity = clang.getDiagnosticSeverity(raw)
            if severity >= least:
                message = clang.text(clang.getDiagnosticSpelling(raw))
                location = clang.getDiagnosticLocation(raw)
                found.append(self._diagnostic(severity, message, location))
            clang.disposeDiagnostic(raw)
        return found

    def _diagnostic(self, severity: int, message: str, location: Location) -> Diagnostic:
        file, line, column, offset = self.clang.place(self.clang.getExpansionLocation, location)
        name, shown, column = self.clang.presumed(location) if file else ("", 0, 0)
        text = self.contents(file)
        begin = text.rfind(b"\n", 0, offset) + 1
        end = text.find(b"\n", offset)
        source = text[begin : end if end >= 0 else None].decode("utf-8", "replace").rstrip("\r")
        main = line if self.path(file) == self.name else 0
        return Diagnostic(severity, message, name, shown, column, main, source)
