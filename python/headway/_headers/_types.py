# SPDX-License-Identifier: MIT
"""C types as JSON: what libclang knows of a type, in the encoding of the records.

A tag (struct, union, enum) is described once, when a type first refers to it, and from then on
known by its key: ``"struct tm"``; for an unnamed one the typedef that names it, ``"struct div_t"``,
else ``"struct <anon 3>"``.
"""

from __future__ import annotations

import re
from typing import Any

from headway._headers._libclang import Clang, Cursor, CursorKind, Type, TypeKind

Encoded = str | list[Any]
Record = dict[str, Any]

_ARITHMETIC = {
    2: "void", 3: "_Bool", 4: "char", 13: "char", 14: "signed char", 5: "unsigned char",
    16: "short", 8: "unsigned short", 17: "int", 9: "unsigned int", 18: "long",
    10: "unsigned long", 19: "long long", 11: "unsigned long long", 21: "float", 22: "double",
    23: "long double",
}  # fmt: skip

_UNSIGNED = ("_Bool", "unsigned char", "unsigned short", "unsigned int", "unsigned long",
             "unsigned long long")  # fmt: skip
_BY_SIZE = {1: "char", 2: "short", 4: "int", 8: "long long"}

_TAG_WORDS = {CursorKind.STRUCT: "struct", CursorKind.UNION: "union", CursorKind.ENUM: "enum"}
_ARRAYS = (TypeKind.CONSTANT_ARRAY, TypeKind.INCOMPLETE_ARRAY, TypeKind.VARIABLE_ARRAY)
_FUNCTIONS = (TypeKind.FUNCTION, TypeKind.FUNCTION_NO_PROTOTYPE)
_UNNAMED = re.compile(r"\((?:unnamed|anonymous)[^()]* at [^()]*\)")
_COMPLEX = re.compile(r"_Complex (float|double|long double)")
_VARIADIC_LIST = "__va_list_tag"


def unsupported(encoded: Encoded) -> str:
    """Why a value of this type cannot be passed, or "" where it can."""
    return encoded[1] if encoded[0] == "bad" else ""


class Types:
    """The types of one translation unit; `tags` gathers the descriptions, by key."""

    def __init__(self, clang: Clang) -> None:
        self.clang = clang
        self.tags: dict[str, Record] = {}
        self.definitions: dict[str, Cursor] = {}  # by key; the first declaration where incomplete
        self._keys: dict[int, str] = {}  # address of a declaration: key
        self._named_by: dict[str, str] = {}  # key: "tag" or "typedef"
        self._known: dict[int, Encoded] = {}  # address of a type: encoding
        self._unnamed = 0

    # ---- types

    def encode(self, type_: Type) -> Encoded:
        """The encoding of a type, typedefs resolved."""
        address = type_.data[0] or 0
        known = self._known.get(address)
        if known is None:
            known = self._encode(self.clang.getCanonicalType(type_))
            self._known[address] = known
        return known

    def _encode(self, type_: Type) -> Encoded:
        clang, kind = self.clang, type_.kind
        if kind in _ARITHMETIC:
            return _ARITHMETIC[kind]
        if kind == TypeKind.POINTER:
            return self._pointer(clang.getPointeeType(type_))
        if kind in _ARRAYS:
            element = self.encode(clang.getArrayElementType(type_))
            if unsupported(element).startswith("va_list"):
                return element
            fixed = kind == TypeKind.CONSTANT_ARRAY
            return ["arr", element, clang.getArraySize(type_) if fixed else None]
        if kind == TypeKind.RECORD:
            declaration = clang.getTypeDeclaration(type_)
            if clang.text(clang.getCursorSpelling(declaration)) == _VARIADIC_LIST:
                return ["bad", "va_list: only C can make one"]
            return ["rec", self.key(declaration)]
        if kind == TypeKind.ENUM:
            return ["enum", self.key(clang.getTypeDeclaration(type_))]
        if kind in _FUNCTIONS:
            return self._function(type_)
        if kind == TypeKind.COMPLEX:
            element = self.encode(clang.getElementType(type_))
            if element in ("float", "double", "long double"):
                return f"{element} _Complex"
        return ["bad", f"type {self.spelling(type_)} is not supported"]

    def _pointer(self, pointee: Type) -> Encoded:
        target = self.encode(pointee)
        if unsupported(target).startswith("va_list"):
            return target
        return ["ptr", target, self.is_const(pointee)]

    def _function(self, type_: Type) -> Encoded:
        clang = self.clang
        prototyped = type_.kind == TypeKind.FUNCTION
        params = [
            self.decayed(clang.getArgType(type_, i))
            for i in range(max(clang.getNumArgTypes(type_), 0))
        ]
        return [
            "fn",
            self.encode(clang.getResultType(type_)),
            params,
            prototyped and bool(clang.isFunctionTypeVariadic(type_)),
            prototyped,
        ]

    def decayed(self, type_: Type) -> Encoded:
        """The encoding of a parameter: arrays and functions are pointers."""
        canonical = self.clang.getCanonicalType(type_)
        if canonical.kind in _ARRAYS:
            pointer = self._pointer(self.clang.getArrayElementType(canonical))
            if pointer[0] == "ptr" and self.is_const(canonical):
                return ["ptr", pointer[1], True]
            return pointer
        if canonical.kind in _FUNCTIONS:
            return self._pointer(canonical)
        return self.encode(type_)

    def is_const(self, type_: Type) -> bool:
        """Whether it may not be written; an array is const where its elements are."""
        clang = self.clang
        canonical = clang.getCanonicalType(type_)
        while canonical.kind in _ARRAYS and not clang.isConstQualifiedType(canonical):
            canonical = clang.getArrayElementType(canonical)
        return bool(clang.isConstQualifiedType(canonical))

    def spelling(self, type_: Type) -> str:
        """The type as C spells it, typedefs kept."""
        text = _UNNAMED.sub("{...}", self.clang.text(self.clang.getTypeSpelling(type_)))
        return _COMPLEX.sub(r"\1 _Complex", text) if "_Complex" in text else text

    def bounds(self, type_: Type) -> list[str | None] | None:
        """The array bounds of a parameter as written, outermost first; None where it is no array.

        A variable bound is an expression; libclang gives it as part of the type's spelling only.
        Since the declarator has no name, its own bounds are the first brackets there are.
        """
        clang, spelled = self.clang, []
        if clang.getCanonicalType(type_).kind not in _ARRAYS:
            return None
        text = self.spelling(type_)
        start = text.find("[")
        while type_.kind in _ARRAYS:  # written here, not behind a typedef
            end = _closing(text, start)
            spelled.append(_bound(text[start + 1 : end]))
            start = end + 1
            type_ = clang.getArrayElementType(type_)
        type_ = clang.getCanonicalType(type_)
        while type_.kind in _ARRAYS:
            size = clang.getArraySize(type_)
            spelled.append(str(size) if size >= 0 else None)
            type_ = clang.getArrayElementType(type_)
        return spelled

    # ---- tags

    def key(self, declaration: Cursor) -> str:
        """The key of a struct, union or enum, described on first sight."""
        clang = self.clang
        address = declaration.data[0]
        key = self._keys.get(address)
        if key is not None:
            return key
        canonical = clang.getCanonicalCursor(declaration)
        key = self._keys.get(canonical.data[0])
        if key is None:
            key = self._name(canonical)
            self._keys[canonical.data[0]] = key
        self._keys[address] = key
        self._describe(key, declaration)
        return key

    def _name(self, canonical: Cursor) -> str:
        clang = self.clang
        word = _TAG_WORDS.get(canonical.kind, "struct")
        spelled = clang.text(clang.getTypeSpelling(clang.getCursorType(canonical)))
        if "(" in spelled:  # struct (unnamed at file.h:1:9)
            self._unnamed += 1
            return f"{word} <anon {self._unnamed}>"
        how = "tag" if spelled.startswith(f"{word} ") else "typedef"
        name = spelled.removeprefix(f"{word} ")
        key = f"{word} {name}"
        if self._named_by.setdefault(key, how) != how:  # typedef struct {...} x; struct x {...};
            key = f"{word} <{how} {name}>"
        return key

    def _describe(self, key: str, declaration: Cursor) -> None:
        clang = self.clang
        definition = clang.getCursorDefinition(declaration)
        complete = not clang.Cursor_isNull(definition)
        known = self.tags.get(key)
        if known is not None and (known.get("members") or known.get("fields") is not None):
            return
        if known is not None and not complete:
            return
        cursor = definition if complete else declaration
        record: Record = {"k": key.partition(" ")[0], "name": key}
        self.tags[key] = record
        self.definitions[key] = cursor
        if record["k"] == "enum":
            self._describe_enum(record, cursor)
        else:
            self._describe_record(record, cursor, complete)

    def _describe_enum(self, record: Record, cursor: Cursor) -> None:
        clang = self.clang
        base = self.encode(clang.getEnumDeclIntegerType(cursor))
        value = (
            clang.getEnumConstantDeclUnsignedValue
            if base in _UNSIGNED
            else clang.getEnumConstantDeclValue
        )
        record["base"] = base if isinstance(base, str) else "int"
        record["members"] = [
            [clang.text(clang.getCursorSpelling(member)), value(member)]
            for member in clang.children(cursor)
            if member.kind == CursorKind.ENUM_CONSTANT
        ]
        record["doc"] = ""

    def _describe_record(self, record: Record, cursor: Cursor, complete: bool) -> None:
        clang = self.clang
        type_ = clang.getCursorType(cursor)
        record.update(
            size=max(clang.Type_getSizeOf(type_), 0) if complete else 0,
            align=max(clang.Type_getAlignOf(type_), 0) if complete else 0,
            packed=False,
            fields=None,
            doc="",
            flexible=False,
        )
        if not complete:
            return
        fields = [f for c in clang.fields(type_) if (f := self._field(c, record["size"]))]
        record["fields"] = [field for field, _ in fields]
        record["packed"] = any(
            align > record["align"] or (field["bit_width"] < 0 and field["offset"] % align)
            for field, align in fields
            if align
        )
        record["flexible"] = bool(fields) and self._flexible(fields[-1][0])

    def _flexible(self, last: Record) -> bool:
        type_ = last["type"]
        if type_[0] == "arr" and not type_[2]:
            last["type"] = ["arr", type_[1], None]
            return True
        return type_[0] == "rec" and bool(self.tags[type_[1]].get("flexible"))

    def _field(self, cursor: Cursor, size: int) -> tuple[Record, int] | None:
        """One field and its natural alignment; None for unnamed padding."""
        clang = self.clang
        name = clang.text(clang.getCursorSpelling(cursor))
        type_ = clang.getCursorType(cursor)
        width = clang.getFieldDeclBitWidth(cursor) if clang.Cursor_isBitField(cursor) else -1
        if width >= 0 and not name:
            return None
        bits = clang.Cursor_getOffsetOfField(cursor)
        field: Record = {
            "name": "" if "(" in name else name,
            "type": self.encode(type_),
            "c": self.spelling(type_),
            "offset": bits // 8,
            "bit_offset": 0,
            "bit_width": width,
        }
        if width >= 0:
            self._bit_field(field, bits, clang.Type_getSizeOf(type_), size)
        words = words_of(clang, cursor)
        if words:
            field["words"] = words
        inner = inner_words(clang, cursor)
        if inner:
            field["inner"] = inner
        return field, max(clang.Type_getAlignOf(type_), 0)

    def _bit_field(self, field: Record, bits: int, unit: int, size: int) -> None:
        """Place a bit-field in a storage unit that holds all of it and lies within the struct.

        That is a unit of the declared type but in packed structs, where a narrower or shifted one
        of the same signedness does.
        """
        width = field["bit_width"]
        offset = bits // (8 * unit) * unit
        if bits - 8 * offset + width <= 8 * unit and offset + unit <= size:
            field.update(offset=offset, bit_offset=bits - 8 * offset)
            return
        declared = field["type"]
        base = self.tags[declared[1]]["base"] if declared[0] == "enum" else declared
        for narrower, name in _BY_SIZE.items():
            offset = min(bits // 8, size - narrower)
            if offset >= 0 and bits - 8 * offset + width <= 8 * narrower:
                signed = {"char": "signed char"}.get(name, name)
                narrow = f"unsigned {name}" if base in _UNSIGNED else signed
                field.update(type=narrow, offset=offset, bit_offset=bits - 8 * offset)
                return
        field["type"] = ["bad", f"bit-field {field['name']} straddles storage units"]


def words_of(clang: Clang, cursor: Cursor) -> str:
    """The words of ``headway/annotate.h`` on a declaration, joined by commas."""
    if not clang.Cursor_hasAttrs(cursor):
        return ""
    prefix = "headway:"
    found = []
    for child in clang.children(cursor):
        if child.kind == CursorKind.ANNOTATE:
            text = clang.text(clang.getCursorSpelling(child))
            if text.startswith(prefix) and text not in found:
                found.append(text)
    return ", ".join(text[len(prefix) :] for text in found)


def inner_words(clang: Clang, cursor: Cursor) -> dict[str, str]:
    """The words on the parameters of a callback, by index.

    They stand in the declarator of the callback itself or of the typedef that is its type. Names
    of the callback's parameters become indices, since a function type has no names.
    """
    params = _callback_params(clang, cursor)
    words = {str(i): words_of(clang, param) for i, param in enumerate(params)}
    names = {clang.text(clang.getCursorSpelling(param)): str(i) for i, param in enumerate(params)}
    return {
        i: re.sub(r"(?<==)\s*(\w+)", lambda match: names.get(match[1], match[1]), text)
        for i, text in words.items()
        if text
    }


def _callback_params(clang: Clang, cursor: Cursor) -> list[Cursor]:
    target = clang.getPointeeType(clang.getCanonicalType(clang.getCursorType(cursor)))
    if target.kind not in _FUNCTIONS:
        return []
    params = [child for child in clang.children(cursor) if child.kind == CursorKind.PARAM]
    declaration = clang.getTypeDeclaration(clang.getCursorType(cursor))
    if params or declaration.kind != CursorKind.TYPEDEF:
        return params
    return [child for child in clang.children(declaration) if child.kind == CursorKind.PARAM]


def _closing(text: str, start: int) -> int:
    """The index of the bracket that closes the one at `start`."""
    depth = 0
    for i in range(start, len(text)):
        depth += (text[i] == "[") - (text[i] == "]")
        if depth == 0:
            return i
    raise ValueError(f"{text!r}: unbalanced brackets")


def _bound(text: str) -> str | None:
    """``static const n`` is n; ``*`` and nothing are no bound."""
    words = text.split(" ")
    while words and words[0] in ("static", "const", "restrict", "volatile"):
        words.pop(0)
    bound = " ".join(words)
    return None if bound in ("", "*") else bound
