# SPDX-License-Identifier: MIT
"""A function's declaration and what is said of it, as the deciding parts of binding ask for it."""

from __future__ import annotations

import keyword
import os
from collections.abc import Callable, Mapping
from typing import Any

from headway._annotate import FunctionWords, param_names
from headway._errors import AnnotationError, NotBoundError
from headway._words import ParamWords, index_of

Record = Mapping[str, Any]
Lookup = Callable[[str], Record | None]

_LETTERS = {
    "_Bool": "?", "signed char": "b", "unsigned char": "B", "short": "h", "unsigned short": "H",
    "int": "i", "unsigned int": "I", "long": "l", "unsigned long": "L", "long long": "q",
    "unsigned long long": "Q", "float": "f", "double": "d", "long double": "g",
    "float _Complex": "F", "double _Complex": "D", "long double _Complex": "G",
    "char": "b" if os.uname().machine in ("x86_64", "i386", "i686") else "B",
}  # fmt: skip
_INTEGERS = frozenset("bBhHiIlLqQ")


def tag(encoded: Any) -> str:
    """What an encoded type is: ptr, arr, rec, enum, fn, bad; "" for arithmetic and void."""
    return encoded[0] if isinstance(encoded, list) else ""


class Prototype:
    """A function's declaration with its annotation. Parameters are meant by index.

    Parameters
    ----------
    record : mapping
        The declaration.
    words : FunctionWords
        What annotations say of it.
    lookup : callable
        Declarations by name.
    """

    def __init__(self, record: Record, words: FunctionWords, lookup: Lookup) -> None:
        self.record = record
        self.words = words
        self.lookup = lookup
        self.name: str = record["name"]
        self.params: list[Record] = record["params"]
        self.names = param_names(record)
        self.result: Any = record["type"][1]
        self.variadic: bool = record["type"][3]

    def said(self, i: int) -> ParamWords:
        """The annotation of a parameter."""
        return self.words.params.get(i, ParamWords())

    def type(self, i: int) -> Any:
        """The encoded type of a parameter; arrays have decayed to pointers."""
        return self.params[i]["type"]

    def index(self, name: str) -> int | None:
        """The parameter that an expression names."""
        return index_of(name, self.names)

    def python_name(self, i: int) -> str:
        """What Python calls a parameter: no leading underscores, no keyword."""
        names = [name.lstrip("_") or name for name in self.names]
        name = names[i] if names.count(names[i]) == 1 else self.names[i]
        return name + "_" if keyword.iskeyword(name) else name

    def letter(self, encoded: Any) -> str:
        """NumPy's letter of an arithmetic or enum type, "" for any other."""
        if tag(encoded) == "enum":
            record = self.lookup(encoded[1])
            encoded = record["base"] if record else "unsigned int"
        return _LETTERS.get(encoded, "") if isinstance(encoded, str) else ""

    def is_size(self, i: int) -> bool:
        """Whether a parameter can carry a size: an integer or, for capacity, a pointer to one."""
        encoded = self.type(i)
        if tag(encoded) == "ptr" and not encoded[2]:
            encoded = encoded[1]
        return self.letter(encoded) in _INTEGERS

    def wrong(self, i: int, message: str) -> AnnotationError:
        """What to raise about the annotation of a parameter."""
        return AnnotationError(f"annotation of {self.name}, parameter {self.names[i]!r}: {message}")

    def bad_size(self, i: int, message: str) -> AnnotationError | NotBoundError:
        """What to raise about a size: where the prototype gives it, the function is refused."""
        if self.said(i).size or self.said(i).capacity is not None:
            return self.wrong(i, message)
        return NotBoundError(f"parameter {self.names[i]!r}: {message}")
