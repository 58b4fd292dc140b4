# SPDX-License-Identifier: MIT
"""The part of libclang's C interface that reading headers needs, through ctypes.

The interface is stable across releases; Python bindings that look every number up in an
enumeration raise for the types a newer clang adds, and take four times as long.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from ctypes import POINTER, Structure, byref, c_char_p, c_int, c_longlong, c_uint, c_void_p
from ctypes.util import find_library
from importlib.util import find_spec
from typing import Any

from headway._errors import HeaderError


class CursorKind:
    """Kinds of cursor (``CXCursorKind``)."""

    STRUCT = 2
    UNION = 3
    ENUM = 5
    FIELD = 6
    ENUM_CONSTANT = 7
    FUNCTION = 8
    VAR = 9
    PARAM = 10
    TYPEDEF = 20
    UNEXPOSED_EXPRESSION = 100
    REFERENCE = 101
    INTEGER = 106
    PARENTHESES = 111
    OPERATOR = 112
    ANNOTATE = 406
    MACRO_DEFINITION = 501
    INCLUSION = 503


class TypeKind:
    """Kinds of type (``CXTypeKind``)."""

    INVALID = 0
    POINTER = 101
    RECORD = 105
    ENUM = 106
    FUNCTION_NO_PROTOTYPE = 110
    FUNCTION = 111
    CONSTANT_ARRAY = 112
    INCOMPLETE_ARRAY = 114
    VARIABLE_ARRAY = 115
    COMPLEX = 100


class Cursor(Structure):
    """``CXCursor``: a place in the syntax tree."""

    _fields_ = (("kind", c_int), ("xdata", c_int), ("data", c_void_p * 3))


class Type(Structure):
    """``CXType``."""

    _fields_ = (("kind", c_int), ("data", c_void_p * 2))


class String(Structure):
    """``CXString``: owned by libclang until disposed of."""

    _fields_ = (("data", c_void_p), ("flags", c_uint))


class Location(Structure):
    """``CXSourceLocation``."""

    _fields_ = (("data", c_void_p * 2), ("offset", c_uint))


class Range(Structure):
    """``CXSourceRange``."""

    _fields_ = (("data", c_void_p * 2), ("begin", c_uint), ("end", c_uint))


class Unsaved(Structure):
    """``CXUnsavedFile``: a file that is in memory only."""

    _fields_ = (("name", c_char_p), ("contents", c_char_p), ("length", ctypes.c_ulong))


Visitor = ctypes.CFUNCTYPE(c_int, Cursor, Cursor, c_void_p)
FieldVisitor = ctypes.CFUNCTYPE(c_int, Cursor, c_void_p)

_PLACE = (POINTER(c_void_p), POINTER(c_uint), POINTER(c_uint), POINTER(c_uint))

# name: (result, arguments), without the prefix clang_
_PROTOTYPES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "createIndex": (c_void_p, (c_int, c_int)),
    "disposeIndex": (None, (c_void_p,)),
    "parseTranslationUnit2": (
        c_int,
        (c_void_p, c_char_p, POINTER(c_char_p), c_int, POINTER(Unsaved), c_uint, c_uint,
         POINTER(c_void_p)),
    ),
    "disposeTranslationUnit": (None, (c_void_p,)),
    "getTranslationUnitCursor": (Cursor, (c_void_p,)),
    "getCString": (c_char_p, (String,)),
    "disposeString": (None, (String,)),
    "visitChildren": (c_uint, (Cursor, Visitor, c_void_p)),
    "Type_visitFields": (c_uint, (Type, FieldVisitor, c_void_p)),
    "getNumDiagnostics": (c_uint, (c_void_p,)),
    "getDiagnostic": (c_void_p, (c_void_p, c_uint)),
    "disposeDiagnostic": (None, (c_void_p,)),
    "getDiagnosticSeverity": (c_int, (c_void_p,)),
    "getDiagnosticSpelling": (String, (c_void_p,)),
    "getDiagnosticLocation": (Location, (c_void_p,)),
    "getCursorLocation": (Location, (Cursor,)),
    "getCursorExtent": (Range, (Cursor,)),
    "getRangeStart": (Location, (Range,)),
    "getRangeEnd": (Location, (Range,)),
    "getExpansionLocation": (None, (Location, *_PLACE)),
    "getFileLocation": (None, (Location, *_PLACE)),
    "getPresumedLocation": (
        None, (Location, POINTER(String), POINTER(c_uint), POINTER(c_uint))),
    "getFileName": (String, (c_void_p,)),
    "getFileContents": (c_void_p, (c_void_p, c_void_p, POINTER(ctypes.c_size_t))),
    "getIncludedFile": (c_void_p, (Cursor,)),
    "getCursorSpelling": (String, (Cursor,)),
    "getCursorType": (Type, (Cursor,)),
    "getCursorResultType": (Type, (Cursor,)),
    "getCursorDefinition": (Cursor, (Cursor,)),
    "getCanonicalCursor": (Cursor, (Cursor,)),
    "Cursor_isNull": (c_int, (Cursor,)),
    "Cursor_isBitField": (c_uint, (Cursor,)),
    "Cursor_isFunctionInlined": (c_uint, (Cursor,)),
    "Cursor_isMacroFunctionLike": (c_uint, (Cursor,)),
    "Cursor_hasAttrs": (c_uint, (Cursor,)),
    "Cursor_getStorageClass": (c_int, (Cursor,)),
    "Cursor_getMangling": (String, (Cursor,)),
    "Cursor_getNumArguments": (c_int, (Cursor,)),
    "Cursor_getArgument": (Cursor, (Cursor, c_uint)),
    "Cursor_getRawCommentText": (String, (Cursor,)),
    "Cursor_getOffsetOfField": (c_longlong, (Cursor,)),
    "Cursor_Evaluate": (c_void_p, (Cursor,)),
    "getCursorTLSKind": (c_int, (Cursor,)),
    "EvalResult_getKind": (c_int, (c_void_p,)),
    "EvalResult_getAsLongLong": (c_longlong, (c_void_p,)),
    "EvalResult_isUnsignedInt": (c_uint, (c_void_p,)),
    "EvalResult_getAsUnsigned": (ctypes.c_ulonglong, (c_void_p,)),
    "EvalResult_getAsDouble": (ctypes.c_double, (c_void_p,)),
    "EvalResult_getAsStr": (c_char_p, (c_void_p,)),
    "EvalResult_dispose": (None, (c_void_p,)),
    "getFieldDeclBitWidth": (c_int, (Cursor,)),
    "getEnumDeclIntegerType": (Type, (Cursor,)),
    "getEnumConstantDeclValue": (c_longlong, (Cursor,)),
    "getEnumConstantDeclUnsignedValue": (ctypes.c_ulonglong, (Cursor,)),
    "getTypedefDeclUnderlyingType": (Type, (Cursor,)),
    "getTypeSpelling": (String, (Type,)),
    "getCanonicalType": (Type, (Type,)),
    "getTypeDeclaration": (Cursor, (Type,)),
    "isConstQualifiedType": (c_uint, (Type,)),
    "getPointeeType": (Type, (Type,)),
    "getArrayElementType": (Type, (Type,)),
    "getElementType": (Type, (Type,)),
    "getArraySize": (c_longlong, (Type,)),
    "getResultType": (Type, (Type,)),
    "getNumArgTypes": (c_int, (Type,)),
    "getArgType": (Type, (Type, c_uint)),
    "isFunctionTypeVariadic": (c_uint, (Type,)),
    "Type_getSizeOf": (c_longlong, (Type,)),
    "Type_getAlignOf": (c_longlong, (Type,)),
}  # fmt: skip


def _candidates() -> Iterator[str]:
    """Where libclang may be, best first: the wheel, then the system's."""
    spec = find_spec("clang")
    for directory in (spec.submodule_search_locations or ()) if spec else ():
        yield os.path.join(directory, "native", "libclang.so")
    yield from system_libclang()


def system_libclang() -> list[str]:
    """The system's copies of libclang, newest first."""
    root, found = "/usr/lib", []
    names = os.listdir(root) if os.path.isdir(root) else []
    for name in names:
        if name.startswith("llvm-") and name[5:].isdecimal():
            found.append((int(name[5:]), os.path.join(root, name, "lib", "libclang.so.1")))
    named = find_library("clang")
    return [path for _, path in sorted(found, reverse=True)] + ([named] if named else [])


class Clang:
    """libclang, loaded.

    Attributes are its functions without the prefix ``clang_``.
    """

    _loaded: Clang | None = None

    def __init__(self, path: str) -> None:
        self.path = path
        library = ctypes.CDLL(path)
        for name, (result, arguments) in _PROTOTYPES.items():
            function = getattr(library, f"clang_{name}")
            function.restype = result
            function.argtypes = arguments
            setattr(self, name, function)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"libclang's clang_{name} is not declared here")

    @classmethod
    def get(cls) -> Clang:
        """The one libclang of the process.

        Raises
        ------
        HeaderError
            There is none on this machine.
        """
        if cls._loaded is None:
            tried = []
            for path in _candidates():
                try:
                    cls._loaded = cls(path)
                    break
                except (OSError, AttributeError) as error:  # absent, or too old
                    tried.append(f"  {path}: {error}")
            else:
                raise HeaderError(
                    "reading headers needs libclang, which was not found; type "
                    "`pip install libclang`\n" + "\n".join(tried)
                )
        return cls._loaded

    def text(self, string: String) -> str:
        """A string of libclang's, as ours; frees it."""
        raw = self.getCString(string)
        self.disposeString(string)
        return raw.decode("utf-8", "replace") if raw else ""

    def filename(self, string: String) -> str:
        """A file name of libclang's, as `os` spells it; frees it."""
        raw = self.getCString(string)
        self.disposeString(string)
        return os.fsdecode(raw) if raw else ""

    def children(self, cursor: Cursor) -> list[Cursor]:
        """The direct children of a cursor."""
        found: list[Cursor] = []
        add = found.append

        def visit(child: Cursor, _parent: Cursor, _data: object) -> int:
            add(child)
            return 1  # continue with the next

        self.visitChildren(cursor, Visitor(visit), None)
        return found

    def fields(self, record: Type) -> list[Cursor]:
        """The fields of a struct or union."""
        found: list[Cursor] = []
        add = found.append

        def visit(field: Cursor, _data: object) -> int:
            add(field)
            return 1

        self.Type_visitFields(record, FieldVisitor(visit), None)
        return found

    def place(self, locate: Callable[..., None], location: Location) -> tuple[int, int, int, int]:
        """File handle (0: none), line, column and offset of a location."""
        file, line, column, offset = c_void_p(), c_uint(), c_uint(), c_uint()
        locate(location, byref(file), byref(line), byref(column), byref(offset))
        return file.value or 0, line.value, column.value, offset.value

    def presumed(self, location: Location) -> tuple[str, int, int]:
        """File, line and column of a location as ``#line`` says."""
        name, line, column = String(), c_uint(), c_uint()
        self.getPresumedLocation(location, byref(name), byref(line), byref(column))
        return self.text(name), line.value, column.value
