# SPDX-License-Identifier: MIT
"""From a declaration and its annotation to a `Binding`: every decision about a function.

A binding is drafted in the order in which the decisions depend on each other: which parameters are
arrays and of what size; from that, what each parameter is to the caller; from that, whether and
how the function maps over arrays.
"""

from __future__ import annotations

import keyword
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from headway import _core
from headway._annotate import (
    RETURN,
    FunctionWords,
    ParamWords,
    function_type,
    index_of,
    param_names,
)
from headway._callback import callback_of
from headway._errors import AnnotationError, NotBoundError
from headway._expression import Malformed, Term, constant, fold, postfix
from headway._model import Binding, Dim, Operand, Param, Result, Role
from headway._model import Mapping as ArrayMapping
from headway._status import failure, success
from headway._types import Types

Record = Mapping[str, Any]

MAX_OPERANDS, MAX_CORE, MAX_DIMS = 32, 8, 16  # HW_MAX_* of headway/call.h

_LETTERS = {
    "_Bool": "?", "signed char": "b", "unsigned char": "B", "short": "h", "unsigned short": "H",
    "int": "i", "unsigned int": "I", "long": "l", "unsigned long": "L", "long long": "q",
    "unsigned long long": "Q", "float": "f", "double": "d", "long double": "g",
    "float _Complex": "F", "double _Complex": "D", "long double _Complex": "G",
}  # fmt: skip
_INTEGERS = frozenset("bBhHiIlLqQ")
_BYTES = frozenset({"char", "signed char", "unsigned char", "void"})
_SIGNED_CHAR = os.uname().machine in ("x86_64", "i386", "i686")  # else plain char has no sign


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a binding needs to know beyond its own declaration."""

    module: str
    types: Types
    lookup: Callable[[str], Record | None]  # declarations by name
    function: Callable[[str], Any]  # the callable C function of a name
    freeing: frozenset[str] = frozenset()  # functions that an owned= names


def bind(record: Record, words: FunctionWords, around: Surroundings) -> Binding:
    """Decide how a C function is called from Python.

    Parameters
    ----------
    record : mapping
        The function's declaration.
    words : FunctionWords
        What annotations say of it.
    around : Surroundings
        The module it becomes part of.

    Raises
    ------
    NotBoundError
        It cannot be called; the message is the reason.
    AnnotationError
        The annotation does not fit the declaration.
    """
    return _Draft(record, words, around).binding()


@dataclass(slots=True)
class _Draft:
    """A binding on its way. Indices are of C parameters and of `dims`."""

    record: Record
    words: FunctionWords
    around: Surroundings
    dims: list[Dim] = field(default_factory=list)
    arrays: dict[int, tuple[int, ...]] = field(default_factory=dict)  # parameter to its dims
    roles: list[Role] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def binding(self) -> Binding:
        """All decisions, in order."""
        self.check()
        self.shape()
        self.roles = [self.role(i) for i in range(len(self.params))]
        self.check_roles()
        params = tuple(self.param(i) for i in range(len(self.params)))
        result = self.result()
        return Binding(
            name=self.words.name or self.record["name"],
            module=self.around.module,
            prototype=self.record["prototype"],
            doc=self.record["doc"] or self.record["prototype"],
            type=self.function_type(),
            params=params,
            result=result,
            dims=tuple(self.dims),
            mapping=self.mapping(),
            gil=self.words.gil,
            serial=self.words.serial,
            lock=self.words.lock,
            split=self.split(),
            variadic=self.record["type"][3],
            consumes=self.consumes(),
            notes=tuple(self.notes),
        )

    @property
    def params(self) -> list[Record]:
        return self.record["params"]  # type: ignore[no-any-return]

    def said(self, i: int) -> ParamWords:
        """The annotation of parameter i."""
        return self.words.params.get(i, ParamWords())

    def name(self, i: int) -> str:
        """Parameter i in messages."""
        return param_names(self.record)[i]

    def wrong(self, i: int, message: str) -> NoReturn:
        raise AnnotationError(
            f"annotation of {self.record['name']}, parameter {self.name(i)!r}: {message}"
        )

    def check(self) -> None:
        """Refuse what cannot be passed, whatever is said of it."""
        for i, p in enumerate(self.params):
            try:
                self.around.types.value(p["type"])
            except NotBoundError as error:
                raise NotBoundError(f"parameter {self.name(i)!r}: {error}") from None

    # ---- shapes --------------------------------------------------------------------------------

    def shape(self) -> None:
        """Find the arrays and number the sizes.

        The plain ones come first, so that an expression has something to be computed from.
        """
        bounds = {i: b for i in range(len(self.params)) if (b := self.bounds(i))}
        parsed = {i: [self.expression(i, text) for text in b] for i, b in bounds.items()}
        for i, terms in parsed.items():
            for each in terms:
                self.plain_dim(i, each)
        for i, terms in parsed.items():
            self.arrays[i] = tuple(
                self.dim(i, *pair) for pair in zip(terms, bounds[i], strict=True)
            )

    def bounds(self, i: int) -> tuple[str, ...]:
        """The sizes of an array parameter, outermost first; nothing for what is no sized array."""
        said, p = self.said(i), self.params[i]
        if said.size or said.capacity is not None:
            if _tag(p["type"]) != "ptr" or function_type(p["type"]):
                self.wrong(i, f"size and capacity are for pointers; it is {p['c']!r}")
            if said.capacity is not None:
                return (self.name(said.capacity),)
            return self.unnamed_index(said.size)
        declared = p["bounds"]
        return tuple(declared) if declared and None not in declared else ()

    def unnamed_index(self, sizes: tuple[str, ...]) -> tuple[str, ...]:
        """A lone number that is the index of an unnamed integer parameter means that parameter."""
        if len(sizes) == 1 and sizes[0].isdecimal() and int(sizes[0]) < len(self.params):
            i = int(sizes[0])
            if not self.params[i]["name"] and self.is_size(i):
                return (self.name(i),)
        return sizes

    def expression(self, i: int, text: str) -> tuple[Term, ...]:
        """A bound in postfix form, with the names of constants replaced by their values."""
        try:
            terms = postfix(text)
        except Malformed as error:
            raise NotBoundError(f"the bound of {self.name(i)!r}: {error}") from None
        return tuple(self.constant_term(i, term) for term in terms)

    def constant_term(self, i: int, term: Term) -> Term:
        if term.kind != "name" or self.index(term.text) is not None:
            return term
        value = constant(self.around.lookup, term.text)
        if isinstance(value, int):
            return Term("int", str(value), value)
        message = f"its size uses {term.text!r}, which is neither a parameter nor a constant"
        if self.said(i).size:
            self.wrong(i, message)
        raise NotBoundError(f"parameter {self.name(i)!r}: {message}")

    def index(self, name: str) -> int | None:
        """The parameter of that name."""
        return index_of(name, param_names(self.record))

    def is_size(self, i: int) -> bool:
        """Whether a parameter can carry a size: an integer or, for capacity, a pointer to one."""
        encoded = self.params[i]["type"]
        if _tag(encoded) == "ptr" and not encoded[2]:
            encoded = encoded[1]
        return self.letter(encoded) in _INTEGERS

    def plain_dim(self, i: int, terms: tuple[Term, ...]) -> None:
        """Number a size that is just a parameter."""
        if len(terms) != 1 or terms[0].kind != "name":
            return
        param = self.index(terms[0].text)
        assert param is not None  # constant_term saw to it
        if not self.is_size(param):
            message = f"its size {terms[0].text!r} is {self.params[param]['c']!r}, not an integer"
            if self.said(i).size or self.said(i).capacity is not None:
                self.wrong(i, message)
            raise NotBoundError(f"parameter {self.name(i)!r}: {message}")
        if param not in [d.param for d in self.dims]:
            self.dims.append(Dim(name=self.python_name(param), param=param))

    def dim(self, i: int, terms: tuple[Term, ...], text: str) -> int:
        """The number of a size, which may be new if it is a constant or an expression."""
        steps = tuple(self.step(i, term, text) for term in terms)
        if len(steps) == 1 and steps[0][0] == 1:
            return steps[0][1]
        if all(what != 1 for what, _ in steps):
            size = fold(steps)
            if size is None or size < 1:
                raise NotBoundError(
                    f"parameter {self.name(i)!r}: its size {text!r} is not positive"
                )
            return self.numbered(Dim(name=str(size), fixed=size))
        return self.numbered(Dim(name=" ".join(text.split()), postfix=steps))

    def step(self, i: int, term: Term, text: str) -> tuple[int, int]:
        """One step of a postfix expression as `Dim` has it."""
        if term.kind == "int":
            return 0, term.value
        if term.kind == "op":
            return 2, ord(term.text)
        param = self.index(term.text)
        for at, dim in enumerate(self.dims):
            if dim.param == param:
                return 1, at
        message = (
            f"its size {text!r} needs {term.text}, which is the size of no array; "
            f"a size is known only where it is some array's plain bound [{term.text}]"
        )
        if self.said(i).size:
            self.wrong(i, message)
        raise NotBoundError(f"parameter {self.name(i)!r}: {message}")

    def numbered(self, dim: Dim) -> int:
        for at, known in enumerate(self.dims):
            if (known.fixed, known.postfix) == (dim.fixed, dim.postfix) and known.param is None:
                return at
        self.dims.append(dim)
        return len(self.dims) - 1

    # ---- roles ---------------------------------------------------------------------------------

    def role(self, i: int) -> Role:
        """What parameter i is to the caller."""
        said, encoded = self.said(i), self.params[i]["type"]
        if any(dim.param == i for dim in self.dims):
            return Role.SIZE
        if any(words.context == i for words in self.words.params.values()):
            return Role.CONTEXT
        if said.direction:
            return {"in": Role.IN, "out": Role.OUT, "inout": Role.INOUT}[said.direction]
        if said.capacity is not None or said.owned or said.error:
            return Role.OUT
        if any(words.length == i for words in self.words.params.values()):
            return Role.OUT
        if i in self.arrays and not encoded[2] and _tag(self.element(i)) not in ("ptr", "fn"):
            self.notes.append(f"{self.name(i)} is assumed to be an output")
            return Role.OUT
        return Role.IN

    def check_roles(self) -> None:
        """Outputs need memory that C may write to, and whose size is known."""
        for i, role in enumerate(self.roles):
            if role is Role.CONTEXT and self.params[i]["type"] != ["ptr", "void", False]:
                self.wrong(i, f"a callback's context is a void *, this is {self.params[i]['c']!r}")
            if role in (Role.OUT, Role.INOUT):
                self.check_output(i)
            self.check_words(i)

    def check_output(self, i: int) -> None:
        encoded, c = self.params[i]["type"], self.params[i]["c"]
        if _tag(encoded) != "ptr" or function_type(encoded):
            self.wrong(i, f"only a pointer can be an output, this is {c!r}")
        if encoded[2]:
            self.wrong(i, f"C does not write through {c!r}: it points to const")
        if i in self.arrays:
            return
        if encoded[1] == "void":
            self.wrong(i, "an output of unknown size; add size= or capacity=")
        if _tag(encoded[1]) == "rec":
            try:
                self.around.types.value(encoded[1])
            except NotBoundError as error:
                self.wrong(i, f"it cannot be an output: {error}")

    def check_words(self, i: int) -> None:
        """Words that would otherwise be without effect."""
        said, role = self.said(i), self.roles[i]
        received = role in (Role.OUT, Role.INOUT)
        for word in ("length", "error", "bytes", "owned", "borrowed", "keeps"):
            value = getattr(said, word)
            if value not in (None, "", False) and not received:
                self.wrong(i, f"{word} is for an output; say out as well")
        if said.length is not None and i not in self.arrays:
            self.wrong(i, "length is for an array; add size= or capacity=")
        if said.length not in (None, RETURN) and not self.is_size(said.length or 0):
            self.wrong(i, f"length={self.name(said.length or 0)} is no integer")
        if (said.context is not None or said.on_error or said.keep != "call") and not function_type(
            self.params[i]["type"]
        ):
            self.wrong(
                i, f"context, keep and on_error are for callbacks, not {self.params[i]['c']!r}"
            )
        if said.error and self.words.status is None:
            self.wrong(i, "error needs a status to be raised with; add return = status(...)")

    # ---- parameters and the result -------------------------------------------------------------

    def element(self, i: int) -> Any:
        """The encoded type of what an array parameter holds, or a plain pointer points to."""
        encoded = self.params[i]["type"][1]
        for _ in self.arrays.get(i, (0,))[1:]:  # rows of rows; said in words, a flat pointer
            encoded = encoded[1] if _tag(encoded) == "arr" else encoded
        return encoded

    def param_type(self, i: int) -> Any:
        """The `_core.CType` of parameter i; arrays have decayed to pointers to their elements."""
        encoded = self.params[i]["type"]
        if i in self.arrays:
            element = self.element(i)
            if element == "void" and self.roles[i] is not Role.IN:
                element = "unsigned char"
            encoded = ["ptr", element, encoded[2]]
        return self.around.types.value(encoded)

    def function_type(self) -> Any:
        result = self.around.types.value(self.record["type"][1])
        params = [self.param_type(i) for i in range(len(self.params))]
        return _core.function(result, params, self.record["type"][3])

    def python_name(self, i: int) -> str:
        """What Python calls parameter i: no leading underscores, no keyword."""
        names = [n.lstrip("_") or n for n in param_names(self.record)]
        name = names[i] if names.count(names[i]) == 1 else self.name(i)
        return name + "_" if keyword.iskeyword(name) else name

    def param(self, i: int) -> Param:
        said, p = self.said(i), self.params[i]
        return Param(
            name=self.python_name(i),
            c=p["c"],
            type=self.param_type(i),
            role=self.roles[i],
            dims=self.arrays.get(i),
            nullable=said.nullable,
            as_bytes=self.as_bytes(i),
            length=said.length,
            owned=self.freeing_function(said.owned, p["type"][1] if said.owned else None),
            borrowed=said.borrowed,
            keeps=said.keeps,
            error=said.error,
            callback=callback_of(
                f"{self.record['name']}, parameter {self.name(i)!r}",
                p["type"],
                said,
                self.words.callbacks.get(i, {}),
                self.on_error,
            ),
        )

    def on_error(self, text: str) -> Any:
        value = constant(self.around.lookup, text)
        if value is None:
            raise AnnotationError(
                f"annotation of {self.record['name']}: on_error={text} is neither a number "
                "nor a constant of the header"
            )
        return value

    def as_bytes(self, i: int) -> bool:
        """Whether an output of bytes is text or raw data, and not an array of small numbers."""
        if i not in self.arrays or self.roles[i] is not Role.OUT:
            return False
        element = self.element(i)
        if self.said(i).bytes or element in ("char", "void"):
            return True
        said_by_words = bool(self.said(i).size) or self.said(i).capacity is not None
        return element in _BYTES and said_by_words and "int8" not in self.params[i]["c"]

    def freeing_function(self, name: str, received: Any) -> Any:
        """The callable that frees what owned=name is said of; its type must fit."""
        if not name:
            return None
        record = self.around.lookup(name)
        where = f"annotation of {self.record['name']}: owned={name}"
        if record is None or record["k"] != "function":
            raise AnnotationError(f"{where}: no such function is declared")
        takes = [p["type"] for p in record["params"]]
        if len(takes) != 1 or _tag(takes[0]) != "ptr":
            raise AnnotationError(f"{where}: it must take the handle alone; {record['prototype']}")
        if _tag(received) != "ptr":
            raise AnnotationError(f"{where}: what is received is not a pointer")
        if takes[0][1] not in ("void", received[1]):
            raise AnnotationError(f"{where}: it frees something else; {record['prototype']}")
        return self.around.function(name)

    def result(self) -> Result:
        said, status = self.words.result, self.words.status
        encoded = self.record["type"][1]
        return Result(
            c=self.record["result"]["c"],
            type=self.around.types.value(encoded),
            status=success(self.record, status, self.around.lookup) if status else None,
            silent=self.silent(),
            on_status=self.on_status(),
            owned=self.freeing_function(said.owned, encoded),
            borrowed=said.borrowed,
            keeps=said.keeps,
            as_bytes=said.bytes,
        )

    def on_status(self) -> Any:
        """What makes the exception of a failed call."""
        status, around = self.words.status, self.around
        if status is None:
            return None
        return failure(self.record, self.roles, status, around.lookup, around.function)

    def silent(self) -> bool:
        """Whether the value says nothing: the one status of success, or an output's length."""
        status = self.words.status
        if any(words.length == RETURN for words in self.words.params.values()):
            return True
        return status is not None and status.operator == "==" and len(status.values) == 1

    def consumes(self) -> int | None:
        """The handle parameter that the function frees."""
        said = [i for i, words in self.words.params.items() if words.consumed]
        if said:
            return said[0]
        return 0 if self.record["name"] in self.around.freeing else None

    def split(self) -> int | None:
        """The size that the function is a loop over."""
        if self.words.split is None:
            return None
        names = [dim.name for dim in self.dims if dim.param is not None]
        if self.words.split not in names:
            known = ", ".join(names) or "it has no sized arrays"
            raise AnnotationError(
                f"annotation of {self.record['name']}: split={self.words.split} is no size of it "
                f"({known})"
            )
        return [dim.name for dim in self.dims].index(self.words.split)

    # ---- the mapping ---------------------------------------------------------------------------

    def letter(self, encoded: Any) -> str:
        """NumPy's letter of an arithmetic or enum type, "" for any other."""
        if _tag(encoded) == "enum":
            record = self.around.lookup(encoded[1])
            encoded = record["base"] if record else "unsigned int"
        if encoded == "char":
            return "b" if _SIGNED_CHAR else "B"
        return _LETTERS.get(encoded, "") if isinstance(encoded, str) else ""

    def mapping(self) -> ArrayMapping | None:
        """The function as a ufunc or gufunc; None where it is neither."""
        if self.words.status or self.record["type"][3] or len(self.dims) > MAX_DIMS:
            return None
        inputs, outputs = [], []
        result = self.record["type"][1]
        if result != "void":
            outputs.append(Operand(-1, self.letter(result)))
        for i, role in enumerate(self.roles):
            if role is Role.SIZE and _tag(self.params[i]["type"]) != "ptr":
                continue
            operand = self.operand(i)
            if operand is None:
                return None
            if role in (Role.IN, Role.INOUT):
                inputs.append(operand)
            if role is Role.OUT:
                outputs.append(operand)
            if role is Role.INOUT:
                outputs.append(Operand(i, operand.kind, operand.core, len(inputs) - 1))
        made = ArrayMapping(tuple(inputs), tuple(outputs))
        return made if self.is_mapping(made) else None

    def operand(self, i: int) -> Operand | None:
        """Parameter i as an operand: a number, or a sized array of numbers."""
        encoded, role, said = self.params[i]["type"], self.roles[i], self.said(i)
        if role in (Role.SIZE, Role.CONTEXT) or said.length is not None:
            return None
        if i in self.arrays:
            letter = self.letter(self.element(i))
        else:
            letter = self.letter(encoded if role is Role.IN else encoded[1])
        return Operand(i, letter, self.arrays.get(i, ())) if letter else None

    def is_mapping(self, made: ArrayMapping) -> bool:
        """Whether NumPy can run it: every size of an output follows from the inputs."""
        operands = (*made.inputs, *made.outputs)
        if not made.inputs or not made.outputs or len(operands) > MAX_OPERANDS:
            return False
        if any(not o.kind or len(o.core) > MAX_CORE for o in operands):
            return False
        known = {d for o in made.inputs for d in o.core if self.dims[d].param is not None}
        return all(all(d in known for d in self.needs(d)) for o in made.outputs for d in o.core)

    def needs(self, d: int) -> set[int]:
        """The plain sizes that a size is made of."""
        dim = self.dims[d]
        if dim.param is not None:
            return {d}
        return {at for what, at in dim.postfix or () if what == 1}


def _tag(encoded: Any) -> str:
    """What an encoded type is: ptr, arr, rec, enum, fn, bad; "" for arithmetic and void."""
    return encoded[0] if isinstance(encoded, list) else ""
