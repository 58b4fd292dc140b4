# SPDX-License-Identifier: MIT
"""What ``status(...)`` of an annotation means: when a call succeeded, and what to raise if not."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from headway import _core
from headway._errors import AnnotationError, StatusError
from headway._expression import constant
from headway._model import Role
from headway._words import Status

Record = Mapping[str, Any]
Lookup = Callable[[str], Record | None]
Test = Callable[[Any], bool]

STATUS = -1  # a message function is given the status, not a parameter


def success(record: Record, status: Status, lookup: Lookup) -> Test:
    """The test that a return value passes on success.

    Parameters
    ----------
    record : mapping
        The function's declaration.
    status : Status
        The condition.
    lookup : callable
        Declarations by name, for constants.

    Raises
    ------
    AnnotationError
        The condition does not fit what the function returns.
    """
    where = f"annotation of {record['name']}, return"
    values = [_integer(where, text, lookup) for text in status.values]
    result = record["type"][1]
    returns = f"it returns {record['result']['c']!r}"
    if isinstance(result, list) and result[0] == "ptr":
        if status.operator not in ("nonnull", "") and (status.operator, values) != ("!=", [0]):
            raise AnnotationError(f"{where}: a pointer's status is nonnull or errno; {returns}")
        return _nonnull
    if not _is_integer(result) or status.operator == "nonnull":
        raise AnnotationError(f"{where}: this status is for integers; {returns}")
    return _comparison(status.operator, values)


def _nonnull(value: Any) -> bool:
    """Whether a returned pointer is not NULL; a returned string may be empty."""
    return value is not None and (isinstance(value, (str, bytes)) or bool(value))


def _integer(where: str, text: str, lookup: Lookup) -> int:
    value = constant(lookup, text)
    if not isinstance(value, int):
        raise AnnotationError(f"{where}: status: {text!r} is no integer constant of the header")
    return value


def _is_integer(encoded: Any) -> bool:
    if isinstance(encoded, list):
        return bool(encoded[0] == "enum")
    return encoded == "_Bool" or "char" in encoded or "int" in encoded or "long" in encoded.split()


def _comparison(operator: str, values: Sequence[int]) -> Test:
    """A bound method where there is one: it runs after every call."""
    if not operator:
        return (-1).__ne__  # errno alone: as POSIX functions report
    if len(values) > 1:
        return frozenset(values).__contains__
    value = values[0]
    return {
        "==": value.__eq__,
        "!=": value.__ne__,
        "<": value.__gt__,
        "<=": value.__ge__,
        ">": value.__lt__,
        ">=": value.__le__,
    }[operator]


class Failure:
    """Makes the exception of a call that failed.

    Parameters
    ----------
    function : str
        The C function that failed.
    errno : bool
        The exception is an `OSError` of errno.
    message : callable or None
        The C function that tells what went wrong.
    takes : int or None
        What it is given: the index of a parameter, `STATUS`, or nothing.
    """

    __slots__ = ("_errno", "_function", "_message", "_takes")

    def __init__(
        self, function: str, errno: bool, message: Callable[..., Any] | None, takes: int | None
    ) -> None:
        self._function = function
        self._errno = errno
        self._message = message
        self._takes = takes

    def __call__(self, value: Any, values: Mapping[int, Any], text: str | None) -> Exception:
        """The exception for a status.

        `values` are the arguments and outputs by parameter, `text` what the function itself said.
        """
        code = _core.get_errno() if self._errno else 0
        said = text or self._ask(value, values)
        if self._errno:
            return OSError(code, f"{self._function}: {said or os.strerror(code)}")
        return StatusError(value, self._function, said)

    def _ask(self, value: Any, values: Mapping[int, Any]) -> str | None:
        if self._message is None:
            return None
        if self._takes is None:
            said = self._message()
        elif self._takes == STATUS:
            said = self._message(value)
        elif values.get(self._takes):
            said = self._message(values[self._takes])
        else:  # not even a handle was made
            return None
        return said.decode(errors="replace") if isinstance(said, bytes) else said


def failure(
    record: Record,
    roles: Sequence[Role],
    status: Status,
    lookup: Lookup,
    function: Callable[[str], Any],
) -> Failure:
    """What makes the exception when the function's status is not success.

    Parameters
    ----------
    record, roles
        The function's declaration and the roles of its parameters.
    status : Status
        Its annotation.
    lookup, function : callable
        Declarations, and callable C functions, by name.

    Raises
    ------
    AnnotationError
        The message function does not exist, or nothing fits its parameter.
    """
    name = record["name"]
    if not status.message:
        return Failure(name, status.errno, None, None)
    where = f"annotation of {name}: message={status.message}"
    message = lookup(status.message)
    if message is None or message["k"] != "function":
        raise AnnotationError(f"{where}: no such function is declared")
    wants = [p["type"] for p in message["params"]]
    if len(wants) > 1:
        raise AnnotationError(f"{where}: it must take one parameter; {message['prototype']}")
    takes = _source(record, roles, wants[0]) if wants else None
    if wants and takes is None:
        raise AnnotationError(
            f"{where}: neither the status nor a handle fits its parameter; {message['prototype']}"
        )
    return Failure(name, status.errno, function(status.message), takes)


def _source(record: Record, roles: Sequence[Role], wanted: Any) -> int | None:
    """What fits a message function's parameter: a handle just made or passed, or the status."""
    types = [p["type"] for p in record["params"]]
    for i, (encoded, role) in enumerate(zip(types, roles, strict=True)):
        if role is Role.OUT and _same(encoded[1], wanted):
            return i
    for i, (encoded, role) in enumerate(zip(types, roles, strict=True)):
        if role is Role.IN and isinstance(encoded, list) and _same(encoded, wanted):
            return i
    return STATUS if _is_integer(wanted) and _is_integer(record["type"][1]) else None


def _same(one: Any, other: Any) -> bool:
    """Whether two are pointers to the same struct, const or not."""
    both = (one, other)
    return all(isinstance(t, list) and t[0] == "ptr" for t in both) and bool(one[1] == other[1])
