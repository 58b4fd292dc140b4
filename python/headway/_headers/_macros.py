# SPDX-License-Identifier: MIT
"""Macros as records: the constants among them have a value, the others a reason.

What a macro is worth only the compiler knows. A second unit includes the same headers and then
declares a variable for each macro, ``__auto_type v = MACRO;``, which libclang evaluates. A
third one asks again about those that are not numbers: strings, pointers made of integers, types.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from headway._headers._declare import evaluate
from headway._headers._libclang import Cursor, CursorKind
from headway._headers._types import Encoded, Record, Types
from headway._headers._unit import ERROR, Unit
from headway._model import EMPTY_MACRO

_BODY_TOKEN = re.compile(
    r"[A-Za-z_]\w*|[()\[\]{}]|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|[0-9.][\w.]*|\S", re.DOTALL
)
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_]\w*\Z")
_DEFINED = "#ifdef {m}\nextern char __headway_a{i};\n#endif"
_VALUE = "__auto_type __headway_q{i} = __builtin_choose_expr(1, {m}, 0);"
_STRING = "const char *__headway_q{i} = {m}; extern __typeof__({m}) __headway_t{i};"
_POINTER = (
    "__auto_type __headway_q{i} = (__UINTPTR_TYPE__)({m}); extern __typeof__({m}) __headway_t{i};"
)
_TYPE = "typedef {m} __headway_q{i};"
_RANGE = "__auto_type __headway_q{i} = (({m}) == (double)({m}) || ({m}) != ({m}));"
# The error about an initialiser such as (open_library(), 5): its value is known all the same.
_NO_CONSTANT = "initializer element is not a compile-time constant"
# What may stand around the name of a function that remains the name of that function.
_PLAIN = (CursorKind.UNEXPOSED_EXPRESSION, CursorKind.PARENTHESES, CursorKind.INTEGER,
          CursorKind.OPERATOR)  # fmt: skip
_PAIRS = {")": "(", "]": "[", "}": "{"}
_OF_PLACE = {"__LINE__", "__FILE__", "__COUNTER__", "__DATE__", "__TIME__", "__TIMESTAMP__",
             "__BASE_FILE__", "__FILE_NAME__", "__INCLUDE_LEVEL__"}  # fmt: skip


@dataclass(slots=True)
class Macro:
    """The last definition of a macro."""

    name: str
    file: int
    function_like: bool
    body: str
    tokens: list[str] = field(default_factory=list)


Ask = Callable[[Sequence[str]], tuple[Unit, int]]
Answer = tuple[Unit, Cursor, Cursor | None]  # the variable, and the one declared for its type
Reader = Callable[[str, Answer | None, str], None]
Question = tuple[str, str, Reader]  # a macro or expression, the form of the question, who listens


def definitions(unit: Unit, cursors: Iterable[Cursor]) -> dict[str, Macro]:
    """The macros that files define, the last definition of each; some may be undefined again."""
    clang = unit.clang
    found: dict[str, Macro] = {}
    for cursor in cursors:
        if cursor.kind != CursorKind.MACRO_DEFINITION:
            continue
        extent = clang.getCursorExtent(cursor)
        file, _, _, start = clang.place(clang.getFileLocation, clang.getRangeStart(extent))
        if not file:
            continue  # predefined, or given on the command line
        end = clang.place(clang.getFileLocation, clang.getRangeEnd(extent))[3]
        name = clang.text(clang.getCursorSpelling(cursor))
        text = unit.contents(file)[start:end].decode("utf-8", "replace")
        body = _COMMENT.sub(" ", re.sub(r"\\\r?\n", "", text[len(name) :])).strip()
        function_like = bool(clang.Cursor_isMacroFunctionLike(cursor))
        found.pop(name, None)
        found[name] = Macro(name, file, function_like, body, _BODY_TOKEN.findall(body))
    return found


class Evaluator:
    """Finds what macros are worth.

    Parameters
    ----------
    ask : callable
        From lines of C to a unit that includes the headers and then has those lines, and the
        number of the first of them.
    macros : mapping
        The definitions.
    ordinary, tags : mapping
        The records of what is no macro: a macro may be another name of one.

    Attributes
    ----------
    records : dict
        The result, by name; without macros that were undefined again, and without those that are
        less useful than the declaration of the same name.
    """

    def __init__(
        self,
        ask: Ask,
        macros: Mapping[str, Macro],
        ordinary: Mapping[str, Record],
        tags: Mapping[str, Record],
    ) -> None:
        self.records: dict[str, Record] = {}
        self._ask = ask
        self._macros = macros
        self._ordinary = ordinary
        self._tags = tags
        self._alive: set[str] = set()
        self._reasons: dict[str, str] = {}
        self._further: list[Question] = []
        self._zeros: dict[str, int] = {}  # strings with NUL bytes inside: their length

    def run(self) -> dict[str, Record]:
        """Ask, in two units but for macros that need a closer look."""
        questions: list[Question] = []
        for name, macro in self._macros.items():
            reason = self._unfit(macro)
            if reason:
                self._reasons[name] = reason
            elif not self._alias(name):
                questions.append((name, _VALUE, self._value))
        self._ask_all(questions, list(self._macros))
        self._further = [q for q in self._further if q[0] in self._alive]
        self._ask_all(self._further)
        self._bytes()
        for name in self._alive - self.records.keys() - self._ordinary.keys():
            reason = self._reasons.get(name, "a macro that is not a constant")
            self.records[name] = {"k": "refused", "name": name, "reason": reason}
        return {name: record for name, record in self.records.items() if name in self._alive}

    # ---- without the compiler

    def _unfit(self, macro: Macro) -> str:
        """Why a macro cannot be a constant, as far as its text says."""
        if macro.function_like:
            return "a function-like macro, which only C code can use"
        if not macro.body:
            return EMPTY_MACRO
        tokens = set(macro.tokens)
        depth: list[str] = []
        balanced = True
        seen: set[str] = set()
        pending = [macro]
        while pending:
            for token in pending.pop().tokens:
                if token in "([{":
                    depth.append(token)
                elif token in _PAIRS:
                    balanced = balanced and bool(depth) and depth.pop() == _PAIRS[token]
                elif token in self._macros and token not in seen:
                    seen.add(token)
                    pending.append(self._macros[token])
            if depth or not balanced:
                return "a macro that is not an expression: its brackets do not match"
        if (tokens | seen) & _OF_PLACE or any(
            _OF_PLACE.intersection(self._macros[name].tokens) for name in seen
        ):
            return "a macro whose value depends on where it stands"
        return ""

    def _alias(self, name: str) -> bool:
        """Record a macro that is another name of something declared."""
        seen, target = {name}, name
        while target in self._macros:
            body = self._macros[target].body
            while body.startswith("(") and body.endswith(")"):
                body = body[1:-1].strip()
            if self._macros[target].function_like or not _NAME.match(body):
                return False
            target = body
            if target in seen:  # #define X X
                break
            seen.add(target)
        record = self._ordinary.get(target)
        if record is None:
            return False
        if target != name:
            self.records[name] = {**record, "name": name}
        return True

    # ---- with the compiler

    def _ask_all(self, questions: Sequence[Question], names: Sequence[str] = ()) -> None:
        """Ask about macros, and whether `names` are still defined at the end of the headers.

        A macro that breaks the syntax in spite of its looks may take its neighbours along; the
        ones without an answer and without an error of their own are asked about again.
        """
        if not questions and not names:
            return
        lines = [_DEFINED.format(i=i, m=name) for i, name in enumerate(names)]
        skipped = sum(line.count("\n") + 1 for line in lines)
        lines += [text.format(i=i, m=name) for i, (name, text, _) in enumerate(questions)]
        unit, first = self._ask(lines)
        with unit:
            errors: dict[int, str] = {}
            for error in unit.diagnostics(ERROR):
                errors.setdefault(error.main_line - first - skipped, error.message)
            found = _variables(unit)
            self._alive.update(name for i, name in enumerate(names) if f"__headway_a{i}" in found)
            lost = []
            for i, (name, text, read) in enumerate(questions):
                cursor = found.get(f"__headway_q{i}")
                if cursor is not None and errors.get(i) == _NO_CONSTANT:
                    read(name, (unit, cursor, None), errors[i])
                elif i in errors or (cursor is None and len(questions) == 1):
                    read(name, None, errors.get(i, "it is not an expression"))
                elif cursor is None:
                    lost.append((name, text, read))
                else:
                    read(name, (unit, cursor, found.get(f"__headway_t{i}")), "")
        if lost:
            half = len(lost) // 2
            self._ask_all(lost[:half])
            self._ask_all(lost[half:])

    def _keep(self, name: str, value: float | str, **more: Encoded) -> None:
        self.records[name] = {"k": "macro", "name": name, "value": value, **more}

    def _value(self, name: str, answer: Answer | None, error: str) -> None:
        if error:
            self._reasons[name] = f"a macro that is not a constant: {error}"
        if answer is None:
            self._further.append((name, _TYPE, self._type))
            return
        unit, cursor, _ = answer
        types = Types(unit.clang)
        type_ = types.encode(unit.clang.getCursorType(cursor))
        value = evaluate(unit, cursor)
        if type_[0] == "bad" or (isinstance(type_, str) and type_.endswith("_Complex")):
            kind = type_ if isinstance(type_, str) else type_[1]
            self._reasons[name] = f"a macro that is neither an integer, a float nor text: {kind}"
        elif type_[0] == "ptr" and self._is_function(name, unit, cursor):
            return
        elif type_[0] == "ptr":
            if type_[1] == "char":
                self._further.append((name, _STRING, self._string))
            self._further.append((name, _POINTER, self._pointer))
        elif type_ == "long double" and value in (0.0, float("inf"), float("-inf")):
            self._keep(name, float(value))
            self._further.append((name, _RANGE, self._range))
        elif isinstance(value, int | float):
            self._keep(name, value)

    def _is_function(self, name: str, unit: Unit, variable: Cursor) -> bool:
        """Record a macro whose expansion is the name of a function, ``JOIN(match_, 8)``."""
        clang, named = unit.clang, []
        pending = clang.children(variable)
        while pending:
            cursor = pending.pop()
            if cursor.kind == CursorKind.REFERENCE:
                named.append(clang.text(clang.getCursorSpelling(cursor)))
            elif cursor.kind not in _PLAIN:
                return False
            pending += clang.children(cursor)
        record = self._ordinary.get(named[0]) if len(named) == 1 else None
        if record is None or record["k"] != "function":
            return False
        self.records[name] = {**record, "name": name}
        return True

    def _string(self, name: str, answer: Answer | None, _error: str) -> None:
        """Characters: the array type tells the length, zero bytes inside included."""
        if answer is None or answer[2] is None:
            return
        unit, cursor, array = answer
        type_ = Types(unit.clang).encode(unit.clang.getCursorType(array))
        size = int(type_[2] or 0) if type_[0] == "arr" else 0
        value = evaluate(unit, cursor)
        if size and isinstance(value, bytes) and len(value) == size - 1:
            self._keep(name, value.decode("latin-1"))
        elif size:
            self._zeros[name] = size - 1

    def _bytes(self) -> None:
        """Read strings byte by byte where libclang stops at a zero, or does not look."""
        for name, size in self._zeros.items():
            text: list[int] = []

            def read(
                _name: str, answer: Answer | None, _error: str, text: list[int] = text
            ) -> None:
                value = evaluate(answer[0], answer[1]) if answer is not None else None
                if isinstance(value, int):
                    text.append(value % 256)

            self._ask_all([(f"({name})[{i}]", _VALUE, read) for i in range(size)])
            if len(text) == size:
                self._keep(name, bytes(text).decode("latin-1"))

    def _pointer(self, name: str, answer: Answer | None, _error: str) -> None:
        """An integer made a pointer, such as MAP_FAILED."""
        if name in self.records or name in self._zeros:
            return  # it is a string
        value = evaluate(answer[0], answer[1]) if answer is not None else None
        if answer is None or not isinstance(value, int) or answer[2] is None:
            self._reasons[name] = "a macro that is an address known at run time only"
            return
        type_ = Types(answer[0].clang).encode(answer[0].clang.getCursorType(answer[2]))
        known = _tags_of(type_) <= self._tags.keys()
        self._keep(name, value, type=type_ if known else ["ptr", "void", False])

    def _type(self, name: str, answer: Answer | None, _error: str) -> None:
        """A macro that names a type, such as ``bool``."""
        if answer is None or self._macros[name].tokens == ["_Complex"]:  # half a type
            return
        clang = answer[0].clang
        types = Types(clang)
        underlying = clang.getTypedefDeclUnderlyingType(answer[1])
        encoded = types.encode(underlying)
        if encoded[0] != "bad" and _tags_of(encoded) <= self._tags.keys():
            self.records[name] = {
                "k": "typedef",
                "name": name,
                "type": encoded,
                "c": types.spelling(underlying),
                "doc": "",
            }

    def _range(self, name: str, answer: Answer | None, _error: str) -> None:
        """A long double that a double turns into zero or infinity is refused."""
        value = evaluate(answer[0], answer[1]) if answer is not None else None
        if value != 1:
            del self.records[name]
            self._reasons[name] = "a long double beyond the range of Python's float"


def _variables(unit: Unit) -> dict[str, Cursor]:
    """The answers to our questions, by name."""
    clang, found = unit.clang, {}
    for cursor in unit.children():
        if cursor.kind in (CursorKind.VAR, CursorKind.TYPEDEF):
            name = clang.text(clang.getCursorSpelling(cursor))
            if name.startswith("__headway_"):
                found[name] = cursor
    return found


def _tags_of(encoded: Encoded) -> set[str]:
    """The keys of the tags that a type refers to."""
    if isinstance(encoded, str):
        return set()
    if encoded[0] in ("rec", "enum"):
        return {encoded[1]}
    parts = (part for part in encoded[1:] if isinstance(part, list))
    found = [_tags_of(part) for part in parts if part]
    return set().union(*found)
