# SPDX-License-Identifier: MIT
"""Which parameters of a function are arrays, and what their sizes have to do with each other."""

from __future__ import annotations

from typing import Any

from headway._annotate import function_type
from headway._expression import Malformed, Term, constant, fold, postfix
from headway._model import Dim
from headway._prototype import Prototype, tag


class Shapes:
    """The sized arrays of a function.

    Parameters
    ----------
    proto : Prototype
        The function.

    Attributes
    ----------
    dims : list of Dim
        The distinct sizes.
    arrays : dict of int to tuple of int
        From each parameter that is a sized array to its sizes, outermost first: indices into
        `dims`.

    Raises
    ------
    NotBoundError
        A bound in the prototype cannot be known when the function is called.
    AnnotationError
        The same of a size that an annotation gives.
    """

    def __init__(self, proto: Prototype) -> None:
        self.proto = proto
        self.dims: list[Dim] = []
        self.arrays: dict[int, tuple[int, ...]] = {}
        bounds = {i: b for i in range(len(proto.params)) if (b := self._bounds(i))}
        parsed = {i: [self._parse(i, text) for text in b] for i, b in bounds.items()}
        # The plain sizes come first, so that an expression has something to be computed from.
        for i, expressions in parsed.items():
            for terms in expressions:
                self._number_plain(i, terms)
        for i, expressions in parsed.items():
            pairs = zip(expressions, bounds[i], strict=True)
            self.arrays[i] = tuple(self._dim(i, terms, text) for terms, text in pairs)

    def carries(self, i: int) -> bool:
        """Whether a parameter carries a size."""
        return any(dim.param == i for dim in self.dims)

    def element(self, i: int) -> Any:
        """The encoded type of what an array parameter holds, or a plain pointer points to."""
        encoded = self.proto.type(i)[1]
        for _ in self.arrays.get(i, (0,))[1:]:  # rows of rows; said in words, a flat pointer
            encoded = encoded[1] if tag(encoded) == "arr" else encoded
        return encoded

    def _bounds(self, i: int) -> tuple[str, ...]:
        """The sizes of an array parameter, outermost first; nothing for what is no sized array."""
        said, param = self.proto.said(i), self.proto.params[i]
        if not said.size and said.capacity is None:
            declared = param["bounds"]
            return tuple(declared) if declared and None not in declared else ()
        if tag(param["type"]) != "ptr" or function_type(param["type"]):
            raise self.proto.wrong(i, f"size and capacity are for pointers; it is {param['c']!r}")
        if said.capacity is not None:
            return (self.proto.names[said.capacity],)
        return self._unnamed(said.size)

    def _unnamed(self, sizes: tuple[str, ...]) -> tuple[str, ...]:
        """A lone number that is the index of an unnamed integer parameter means that parameter."""
        proto = self.proto
        if len(sizes) == 1 and sizes[0].isdecimal() and int(sizes[0]) < len(proto.params):
            i = int(sizes[0])
            if not proto.params[i]["name"] and proto.is_size(i):
                return (proto.names[i],)
        return sizes

    def _parse(self, i: int, text: str) -> tuple[Term, ...]:
        """A bound in postfix form, with the names of constants replaced by their values."""
        try:
            terms = postfix(text)
        except Malformed as error:
            raise self.proto.bad_size(i, f"its size: {error}") from None
        return tuple(self._constant(i, term) for term in terms)

    def _constant(self, i: int, term: Term) -> Term:
        if term.kind != "name" or self.proto.index(term.text) is not None:
            return term
        value = constant(self.proto.lookup, term.text)
        if isinstance(value, int):
            return Term("int", str(value), value)
        message = f"its size uses {term.text!r}, which is neither a parameter nor a constant"
        raise self.proto.bad_size(i, message)

    def _number_plain(self, i: int, terms: tuple[Term, ...]) -> None:
        """Number a size that is just a parameter."""
        param = self.proto.index(terms[0].text) if len(terms) == 1 else None
        if param is None or terms[0].kind != "name" or self.carries(param):
            return
        if not self.proto.is_size(param):
            c = self.proto.params[param]["c"]
            raise self.proto.bad_size(i, f"its size {terms[0].text!r} is {c!r}, not an integer")
        self.dims.append(Dim(name=self.proto.python_name(param), param=param))

    def _dim(self, i: int, terms: tuple[Term, ...], text: str) -> int:
        """The number of a size, which may be new if it is a constant or an expression."""
        steps = tuple(self._step(i, term, text) for term in terms)
        if len(steps) == 1 and steps[0][0] == 1:
            return steps[0][1]
        if any(what == 1 for what, _ in steps):
            return self._numbered(Dim(name=" ".join(text.split()), postfix=steps))
        size = fold(steps)
        if size is None or size < 1:
            raise self.proto.bad_size(i, f"its size {text!r} is not positive")
        return self._numbered(Dim(name=str(size), fixed=size))

    def _step(self, i: int, term: Term, text: str) -> tuple[int, int]:
        """One step of a postfix expression as `Dim` has it."""
        if term.kind == "int":
            return 0, term.value
        if term.kind == "op":
            return 2, ord(term.text)
        param = self.proto.index(term.text)
        for at, dim in enumerate(self.dims):
            if dim.param == param:
                return 1, at
        raise self.proto.bad_size(
            i,
            f"its size {text!r} needs {term.text}, which is the size of no array; "
            f"a size is known only where it is some array's plain bound [{term.text}]",
        )

    def _numbered(self, dim: Dim) -> int:
        for at, known in enumerate(self.dims):
            if known.param is None and (known.fixed, known.postfix) == (dim.fixed, dim.postfix):
                return at
        self.dims.append(dim)
        return len(self.dims) - 1
