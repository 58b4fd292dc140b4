# SPDX-License-Identifier: MIT
"""From a declaration and its annotation to a `Binding`: every decision about a function.

A binding is drafted in the order in which the decisions depend on each other: which parameters are
arrays and of what size; from that, what each parameter is to the caller; from that, whether and
how the function maps over arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from headway import _core
from headway._annotate import FunctionWords
from headway._callback import callback_of
from headway._errors import AnnotationError, NotBoundError
from headway._expression import constant
from headway._mapping import MAX_CORE, MAX_DIMS, mapping
from headway._model import Binding, Param, Result, Role
from headway._prototype import Lookup, Prototype, Record, tag
from headway._roles import decide
from headway._shapes import Shapes
from headway._status import failure, success
from headway._types import Types
from headway._words import RETURN

_BYTES = frozenset({"char", "signed char", "unsigned char", "void"})


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a binding needs to know beyond its own declaration."""

    module: str
    types: Types
    lookup: Lookup  # declarations by name
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
    return _Draft(Prototype(record, words, around.lookup), around).binding()


class _Draft:
    """A binding on its way. Parameters are meant by index."""

    def __init__(self, proto: Prototype, around: Surroundings) -> None:
        self.proto = proto
        self.around = around
        self.words = proto.words
        self.check()
        self.shapes = Shapes(proto)
        self.check_limits()
        self.roles, self.notes = decide(proto, self.shapes, around.types)

    def binding(self) -> Binding:
        """The decisions, and those that depend on them alone."""
        record, words = self.proto.record, self.words
        return Binding(
            name=words.name or self.proto.name,
            module=self.around.module,
            prototype=record["prototype"],
            doc=record["doc"] or record["prototype"],
            type=self.function_type(),
            params=tuple(self.param(i) for i in range(len(self.roles))),
            result=self.result(),
            dims=tuple(self.shapes.dims),
            mapping=mapping(self.proto, self.shapes, self.roles),
            gil=words.gil,
            serial=words.serial,
            lock=words.lock,
            split=self.split(),
            variadic=self.proto.variadic,
            consumes=self.consumes(),
            notes=tuple(self.notes),
        )

    def check(self) -> None:
        """Refuse what cannot be passed, whatever is said of it."""
        for i, p in enumerate(self.proto.params):
            try:
                self.around.types.value(p["type"])
            except NotBoundError as error:
                raise NotBoundError(f"parameter {self.proto.names[i]!r}: {error}") from None

    def check_limits(self) -> None:
        """Refuse more than a call has room for."""
        for i, dims in self.shapes.arrays.items():
            if len(dims) > MAX_CORE:
                raise NotBoundError(
                    f"parameter {self.proto.names[i]!r}: it has {len(dims)} dimensions, "
                    f"and at most {MAX_CORE} are supported"
                )
        if len(self.shapes.dims) > MAX_DIMS:
            raise NotBoundError(
                f"its arrays have {len(self.shapes.dims)} different sizes, "
                f"and at most {MAX_DIMS} are supported"
            )

    def param_type(self, i: int) -> Any:
        """The `_core.CType` of parameter i; arrays have decayed to pointers to their elements."""
        encoded = self.proto.type(i)
        if i in self.shapes.arrays:
            element = self.shapes.element(i)
            if element == "void" and self.roles[i] is not Role.IN:
                element = "unsigned char"
            encoded = ["ptr", element, encoded[2]]
        if self.proto.said(i).direction == "in" and encoded[0] == "ptr":
            encoded = ["ptr", encoded[1], True]  # what C forgot to call const
        return self.around.types.value(encoded)

    def function_type(self) -> Any:
        result = self.around.types.value(self.proto.result)
        params = [self.param_type(i) for i in range(len(self.proto.params))]
        return _core.function(result, params, self.proto.variadic)

    def param(self, i: int) -> Param:
        said, p = self.proto.said(i), self.proto.params[i]
        return Param(
            name=self.proto.python_name(i),
            c=p["c"],
            type=self.param_type(i),
            role=self.roles[i],
            dims=self.shapes.arrays.get(i),
            nullable=said.nullable,
            as_bytes=self.as_bytes(i),
            length=said.length,
            owned=self.freeing_function(said.owned, p["type"][1] if said.owned else None),
            borrowed=said.borrowed,
            keeps=said.keeps,
            error=said.error,
            callback=callback_of(
                f"{self.proto.name}, parameter {self.proto.names[i]!r}",
                p["type"],
                said,
                self.words.callbacks.get(i, {}),
                self.on_error,
            ),
        )

    def on_error(self, text: str) -> Any:
        value = constant(self.proto.lookup, text)
        if value is None:
            raise AnnotationError(
                f"annotation of {self.proto.name}: on_error={text} is neither a number "
                "nor a constant of the header"
            )
        return value

    def as_bytes(self, i: int) -> bool:
        """Whether an output of bytes is text or raw data, and not an array of small numbers."""
        if i not in self.shapes.arrays or self.roles[i] is not Role.OUT:
            return False
        said, element = self.proto.said(i), self.shapes.element(i)
        if said.bytes or element in ("char", "void"):
            return True
        in_words = bool(said.size) or said.capacity is not None
        is_byte = isinstance(element, str) and element in _BYTES  # a struct's encoding is a list
        return is_byte and in_words and "int8" not in self.proto.params[i]["c"]

    def freeing_function(self, name: str, received: Any) -> Any:
        """The callable that frees what owned=name is said of; its type must fit."""
        if not name:
            return None
        record = self.proto.lookup(name)
        where = f"annotation of {self.proto.name}: owned={name}"
        if record is None or record["k"] != "function":
            raise AnnotationError(f"{where}: no such function is declared")
        takes = [p["type"] for p in record["params"]]
        if len(takes) != 1 or tag(takes[0]) != "ptr":
            raise AnnotationError(f"{where}: it must take the handle alone; {record['prototype']}")
        if tag(received) != "ptr":
            raise AnnotationError(f"{where}: what is received is not a pointer")
        if takes[0][1] not in ("void", received[1]):
            raise AnnotationError(f"{where}: it frees something else; {record['prototype']}")
        return self.around.function(name)

    def result(self) -> Result:
        said, status = self.words.result, self.words.status
        record, lookup, encoded = self.proto.record, self.proto.lookup, self.proto.result
        return Result(
            c=record["result"]["c"],
            type=self.around.types.value(encoded),
            status=success(record, status, lookup) if status else None,
            silent=self.silent(),
            on_status=failure(record, self.roles, status, lookup, self.around.function)
            if status
            else None,
            owned=self.freeing_function(said.owned, encoded),
            borrowed=said.borrowed,
            keeps=said.keeps,
            as_bytes=said.bytes,
        )

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
        return 0 if self.proto.name in self.around.freeing else None

    def split(self) -> int | None:
        """The size that the function is a loop over."""
        split = self.words.split
        if split is None:
            return None
        names = [dim.name for dim in self.shapes.dims]
        where = f"annotation of {self.proto.name}: split={split}"
        if split not in names or self.shapes.dims[names.index(split)].param is None:
            known = ", ".join(names) or "it has no sized arrays"
            raise AnnotationError(f"{where} is no size of it ({known})")
        at = names.index(split)
        reason = self.not_splittable(at)
        if reason:
            raise AnnotationError(f"{where}: the work cannot be cut along {split}: {reason}")
        return at

    def not_splittable(self, at: int) -> str:
        """Why pieces along a size would not do what the whole does, or "".

        A piece is the function itself, called with a smaller size and with each array that has
        this size moved on to where the piece begins.
        """
        proto, shapes, size = self.proto, self.shapes, self.shapes.dims[at]
        assert size.param is not None
        if tag(proto.type(size.param)) == "ptr":
            return f"it is passed by pointer ({proto.params[size.param]['c']!r}), not by value"
        if proto.result != "void":
            return f"the function returns {proto.record['result']['c']!r}, and each piece would"
        for dim in shapes.dims:
            if any(step == (1, at) for step in dim.postfix or ()):
                return f"the size {dim.name!r} of an array is computed from it"
        for i, role in enumerate(self.roles):
            dims = shapes.arrays.get(i, ())
            if at in dims[1:]:
                return f"it is not the first dimension of {proto.names[i]}"
            if role in (Role.OUT, Role.INOUT) and dims[:1] != (at,):
                return f"each piece would write to all of {proto.names[i]}"
        return ""
