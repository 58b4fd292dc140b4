# SPDX-License-Identifier: MIT
"""The decisions that make a C declaration callable: what `_bind` decides and `_core.Function` obeys."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

EMPTY_MACRO = "a macro that stands for nothing"  # why a macro without a body is not bound


class Role(enum.IntEnum):
    """What a C parameter is to the Python caller."""

    IN = 0  # an argument
    OUT = 1  # allocated where not passed, returned
    INOUT = 2  # an argument that C writes to
    SIZE = 3  # inferred from arrays, or a keyword where no input fixes it
    CONTEXT = 4  # the void * of a callback: filled in, not seen


@dataclass(frozen=True, slots=True)
class Dim:
    """One distinct core dimension of a function.

    Exactly one of `param`, `fixed` and `postfix` is given. A postfix expression is a tuple of pairs
    (0, integer), (1, index of a dimension) and (2, ord(operator)) with operators + - * / %.
    """

    name: str  # as C writes it: "n", "n + 1", "3"
    param: int | None = None  # the C parameter that carries it (an integer, or a pointer to one)
    fixed: int | None = None
    postfix: tuple[tuple[int, int], ...] | None = None


@dataclass(frozen=True, slots=True)
class Callback:
    """How a Python callable is called back.

    `sizes[i]` is the callback parameter that holds the length of callback parameter i, which then
    arrives as a list; -1 for none.
    """

    context: int | None = None  # callback parameter not handed to Python (the void *)
    on_error: Any = None  # what C gets after an exception; None: zero
    # "call"; "always": kept alive for the life of the process; an index: as long as the handle
    # passed for that C parameter
    keep: str | int = "call"
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Param:
    """One C parameter, in C order."""

    name: str  # what Python calls it; "arg2" for the unnamed third
    c: str  # the C type as spelled, for messages
    type: Any  # _core.CType; arrays have decayed to pointers
    role: Role = Role.IN
    dims: tuple[int, ...] | None = None  # a sized array: indices into Binding.dims, outermost first
    nullable: bool = False
    as_bytes: bool = False  # an OUT array of characters: returned as bytes
    # OUT array: the C parameter that says how much was written; -1 the result
    length: int | None = None
    owned: Any = None  # the _core.Function that frees the handle or memory received here
    borrowed: bool = False
    keeps: int | None = None  # the handle received here keeps this parameter's handle alive
    error: bool = False  # an OUT string that is raised with the status, not returned
    callback: Callback | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """The C return value."""

    c: str
    type: Any
    status: Any = None  # callable(value) -> bool: True is success
    silent: bool = False  # success is one value only, which says nothing: it is not returned
    # callable(value, {index: argument or out value}, error_text) -> exception
    on_status: Any = None
    owned: Any = None
    borrowed: bool = False
    keeps: int | None = None
    nullable: bool = True
    as_bytes: bool = False


@dataclass(frozen=True, slots=True)
class Operand:
    """One operand of the mapping: a C parameter (or -1, the return value) seen as an array."""

    param: int
    kind: str  # NumPy's letter of the element type, one of ?bBhHiIlLqQfdgFDG
    core: tuple[int, ...] = ()  # indices into Binding.dims
    inout: int = -1  # an output that starts as a copy of this input operand (index into inputs)


@dataclass(frozen=True, slots=True)
class Mapping:
    """The function as a ufunc (no dims) or gufunc: inputs in C order, outputs result first."""

    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]

    def signature(self, dims: tuple[Dim, ...]) -> str:
        """NumPy's gufunc signature, ``'(m,k),(k,n)->(m,n)'``."""

        def one(o: Operand) -> str:
            return "(" + ",".join(dims[d].name for d in o.core) + ")"

        return ",".join(map(one, self.inputs)) + "->" + ",".join(map(one, self.outputs))


@dataclass(frozen=True, slots=True)
class Binding:
    """Everything `_core.Function` needs to know."""

    name: str  # what Python calls it
    module: str
    prototype: str  # the C prototype, for messages
    doc: str
    type: Any  # _core.CType of kind function
    params: tuple[Param, ...]
    result: Result
    dims: tuple[Dim, ...] = ()
    mapping: Mapping | None = None
    gil: str = "auto"  # "auto", "keep", "release"
    serial: bool = False
    lock: str | None = None  # functions that name the same lock run one at a time
    split: int | None = None  # index into dims: independent elements, cut over the cores
    variadic: bool = False
    consumes: int | None = None  # the handle parameter that this function frees
    notes: tuple[str, ...] = field(default=())  # e.g. "c is assumed to be an output"
