# SPDX-License-Identifier: MIT
"""Declarations as records: functions, variables, typedefs and the constants of enums."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from headway._headers._comments import Comments, clean
from headway._headers._libclang import Cursor, CursorKind, Type, TypeKind
from headway._headers._types import Record, Types, inner_words, unsupported, words_of
from headway._headers._unit import Unit

_STATIC = 3  # CX_SC_Static
_EVALUATED_INT, _EVALUATED_FLOAT, _EVALUATED_STRING = 1, 2, 4
_BODY = re.compile(  # what follows a declarator, or the macro call that it ends with
    rb"(?:\w+\s*\((?>[^(){};]|\([^(){};]*\))*+\))?(?>\s|//[^\n]*\n|/\*.*?\*/|\\\n)*+\{", re.DOTALL
)
_QUALIFIERS = ("const", "restrict", "volatile", "_Nonnull", "_Nullable")


def declare(spelled: str, name: str) -> str:
    """A declaration of `name` with a type spelled without one: ``int (*)(void)``, ``double[n]``."""
    at = _declarator(spelled)
    before, after = spelled[:at], spelled[at:]
    space = "" if not name or before.endswith(("*", "(")) else " "
    return f"{before.rstrip()}{space}{name}{after}" if name else spelled


def _declarator(spelled: str) -> int:
    """Where the name goes: after the innermost ``(*``, else before the first bracket."""
    at = min((i for i in (spelled.find("("), spelled.find("[")) if i >= 0), default=-1)
    if at < 0:
        return len(spelled)
    if not spelled.startswith("(*", at):
        return at
    while True:
        while at < len(spelled) and spelled[at] in "(* ":
            at += 1
        word = next((w for w in _QUALIFIERS if spelled.startswith(w, at)), None)
        if word is None:
            return at
        at += len(word)


def evaluate(unit: Unit, cursor: Cursor) -> int | float | bytes | None:
    """The constant a variable is initialised with; None where it is not one."""
    clang = unit.clang
    result = clang.Cursor_Evaluate(cursor)
    if not result:
        return None
    try:
        kind = clang.EvalResult_getKind(result)
        if kind == _EVALUATED_INT:
            if clang.EvalResult_isUnsignedInt(result):
                return int(clang.EvalResult_getAsUnsigned(result))
            return int(clang.EvalResult_getAsLongLong(result))
        if kind == _EVALUATED_FLOAT:
            return float(clang.EvalResult_getAsDouble(result))
        if kind == _EVALUATED_STRING:
            return bytes(clang.EvalResult_getAsStr(result) or b"")
        return None
    finally:
        clang.EvalResult_dispose(result)


class Declarations:
    """Walks the declarations of a unit.

    Attributes
    ----------
    records : dict
        By name in C's ordinary name space.
    places : dict
        By name or tag key, the handles of the files that declare it.
    """

    def __init__(self, unit: Unit, types: Types) -> None:
        self.records: dict[str, Record] = {}
        self.places: dict[str, set[int]] = {}
        self._unit = unit
        self._clang = unit.clang
        self._types = types
        self._comments: dict[int, Comments] = {}

    def walk(self, cursors: list[Cursor]) -> None:
        """Record every declaration among the cursors of a unit."""
        readers: dict[int, Callable[[str, Cursor], Record | None]] = {
            CursorKind.FUNCTION: self._function,
            CursorKind.VAR: self._variable,
            CursorKind.TYPEDEF: self._typedef,
        }
        tags = (CursorKind.STRUCT, CursorKind.UNION, CursorKind.ENUM)
        for cursor in cursors:
            if cursor.kind in tags:
                self._tag(cursor)
            elif cursor.kind in readers:
                name = self._clang.text(self._clang.getCursorSpelling(cursor))
                self._place(name, cursor)
                record = readers[cursor.kind](name, cursor)
                if record is not None:
                    self._add(name, record)

    def _add(self, name: str, record: Record) -> None:
        """A declaration may be repeated: the last type stands, what was said before is kept."""
        known = self.records.get(name)
        if known is not None and known["k"] == record["k"]:
            record["doc"] = record["doc"] or known["doc"] if "doc" in record else ""
            if record["k"] == "function":
                _merge(known, record)
        if known is None or known["k"] == "refused" or record["k"] != "refused":
            self.records[name] = record

    def _place(self, name: str, cursor: Cursor) -> None:
        file, _, _ = self._unit.expansion(self._clang.getCursorLocation(cursor))
        self.places.setdefault(name, set()).add(file)

    # ---- kinds of declaration

    def _function(self, name: str, cursor: Cursor) -> Record:
        clang, types = self._clang, self._types
        type_ = clang.getCursorType(cursor)
        if type_.kind not in (TypeKind.FUNCTION, TypeKind.FUNCTION_NO_PROTOTYPE):
            type_ = clang.getCanonicalType(type_)  # declared by a typedef of a function type
        result = clang.getCursorResultType(cursor)
        location = clang.getCursorLocation(cursor)
        file, line, _ = clang.presumed(location)
        static = clang.Cursor_getStorageClass(cursor) == _STATIC
        defined = self._is_defined(cursor)
        record: Record = {
            "k": "function",
            "name": name,
            "type": types.encode(type_),
            "params": [self._param(p) for p in self._arguments(cursor, type_)],
            "result": {"c": types.spelling(result), "type": types.encode(result)},
            "prototype": "",
            "doc": self._doc(cursor),
            "symbol": clang.text(clang.Cursor_getMangling(cursor)),
            "inline": static or (defined and bool(clang.Cursor_isFunctionInlined(cursor))),
            "static": static,
            "defined": defined,
            "file": file,
            "line": line,
            "words": words_of(clang, cursor),
        }
        record["prototype"] = prototype(record)
        reason = _refusal(record)
        return _refused(name, reason) if reason else record

    def _is_defined(self, cursor: Cursor) -> bool:
        """Whether a function has a body. The parser skips bodies, and then sees a declaration."""
        end = self._clang.getRangeEnd(self._clang.getCursorExtent(cursor))
        file, _, offset = self._unit.expansion(end)
        return bool(_BODY.match(self._unit.contents(file), offset))

    def _arguments(self, cursor: Cursor, type_: Type) -> Iterator[tuple[Cursor | None, Type]]:
        """The parameters with their types; without cursors where a typedef declares them."""
        clang = self._clang
        count = clang.Cursor_getNumArguments(cursor)
        cursors: list[Cursor | None] = [clang.Cursor_getArgument(cursor, i) for i in range(count)]
        for i in range(max(clang.getNumArgTypes(type_), 0)):
            param = cursors[i] if i < len(cursors) else None
            if param is not None and clang.Cursor_isNull(param):
                param = None
            yield param, clang.getArgType(type_, i) if param is None else clang.getCursorType(param)

    def _param(self, argument: tuple[Cursor | None, Type]) -> Record:
        clang, types = self._clang, self._types
        cursor, type_ = argument
        param: Record = {
            "name": clang.text(clang.getCursorSpelling(cursor)) if cursor is not None else "",
            "c": types.spelling(type_),
            "type": types.decayed(type_),
            "bounds": types.bounds(type_),
            "words": words_of(clang, cursor) if cursor is not None else "",
        }
        inner = inner_words(clang, cursor) if cursor is not None else {}
        if inner:
            param["inner"] = inner
        return param

    def _variable(self, name: str, cursor: Cursor) -> Record:
        clang, types = self._clang, self._types
        type_ = clang.getCursorType(cursor)
        encoded = types.encode(type_)
        if clang.Cursor_getStorageClass(cursor) == _STATIC:
            value = evaluate(self._unit, cursor) if types.is_const(type_) else None
            if isinstance(value, int | float) and isinstance(encoded, str):
                return {"k": "macro", "name": name, "value": value}
            return _refused(name, "a static variable has no address outside its own unit of C")
        if clang.getCursorTLSKind(cursor):
            return _refused(name, "a thread-local variable is another one in every thread")
        if unsupported(encoded):
            return _refused(name, unsupported(encoded))
        return {
            "k": "var",
            "name": name,
            "type": encoded,
            "c": types.spelling(type_),
            "const": types.is_const(type_),
            "symbol": clang.text(clang.Cursor_getMangling(cursor)),
            "doc": self._doc(cursor),
        }

    def _typedef(self, name: str, cursor: Cursor) -> Record:
        clang, types = self._clang, self._types
        underlying = clang.getTypedefDeclUnderlyingType(cursor)
        encoded = types.encode(underlying)
        if unsupported(encoded):
            return _refused(name, unsupported(encoded))
        return {
            "k": "typedef",
            "name": name,
            "type": encoded,
            "c": types.spelling(underlying),
            "doc": self._doc(cursor),
        }

    def _tag(self, cursor: Cursor) -> None:
        types = self._types
        key = types.key(cursor)
        self._place(key, cursor)
        tag = types.tags[key]
        if not tag["doc"]:
            tag["doc"] = self._doc(cursor)

    def constants(self) -> None:
        """Record the constants of every enum met, wherever it was declared."""
        for key, tag in self._types.tags.items():
            self._place(key, self._types.definitions[key])
            for name, value in tag.get("members", ()):
                self.records[name] = {"k": "const", "name": name, "value": value, "enum": key}
                self.places.setdefault(name, set()).update(self.places[key])

    # ---- comments

    def _doc(self, cursor: Cursor) -> str:
        clang = self._clang
        raw = clang.text(clang.Cursor_getRawCommentText(cursor))
        if raw:
            return clean(raw)
        extent = clang.getCursorExtent(cursor)
        file, line, _ = self._unit.expansion(clang.getRangeStart(extent))
        last_file, _, end = self._unit.expansion(clang.getRangeEnd(extent))
        if not file or last_file != file:
            return ""
        comments = self._comments.get(file)
        if comments is None:
            comments = self._comments[file] = Comments(self._unit.contents(file))
        name = clang.text(clang.getCursorSpelling(cursor))
        return comments.above(line, name) or comments.below(end)


def _refusal(function: Record) -> str:
    """Why a function cannot be called, or ""."""
    encoded = function["type"]
    if not encoded[4]:
        return (
            f"declared without a prototype: `{function['prototype']}` says nothing of its "
            f"parameters; `(void)` says that there are none"
        )
    reason = unsupported(encoded[1])
    if reason:
        return f"its result: {reason}"
    for i, param in enumerate(function["params"]):
        reason = unsupported(param["type"])
        if reason:
            return f"its parameter {param['name'] or i}: {reason}"
    return ""


def _refused(name: str, reason: str) -> Record:
    return {"k": "refused", "name": name, "reason": reason}


def prototype(record: Record) -> str:
    """The prototype of a function as C declares it."""
    encoded = record["type"]
    spelled = [declare(p["c"], p["name"]) for p in record["params"]] + ["..."] * bool(encoded[3])
    inner = ", ".join(spelled) or ("void" if encoded[4] else "")
    return declare(record["result"]["c"], f"{record['name']}({inner})")


def _merge(known: Record, record: Record) -> None:
    """What an earlier declaration of a function said and this one does not."""
    record["words"] = record["words"] or known["words"]
    for before, now in zip(known["params"], record["params"], strict=False):
        for what in ("name", "words", "bounds"):
            now[what] = now[what] or before[what]
    record["defined"] = record["defined"] or known["defined"]
    record["inline"] = record["inline"] or known["inline"]
    record["prototype"] = prototype(record)
