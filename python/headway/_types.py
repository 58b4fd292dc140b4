# SPDX-License-Identifier: MIT
"""From declarations to `_core.CType`: each type made when something first needs it, and once."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from threading import RLock
from typing import Any

from headway import _core
from headway._annotate import StructWords
from headway._callback import callback_of
from headway._errors import NotBoundError

Record = Mapping[str, Any]


class Types:
    """The types of one set of declarations.

    Parameters
    ----------
    lookup : callable
        From a tag's key (``"struct div_t"``) to its declaration, or None.
    words : callable
        What annotations say of a struct, given its declaration.
    constant : callable
        The value of a number or of a constant's name, for ``on_error``.
    """

    def __init__(
        self,
        lookup: Callable[[str], Record | None],
        words: Callable[[Record], StructWords],
        constant: Callable[[str], Any],
    ) -> None:
        self._lookup = lookup
        self._words = words
        self._constant = constant
        self._known: dict[Any, Any] = {}  # by encoded type, frozen
        self._enums: dict[str, type[enum.IntEnum]] = {}
        self._opaque: dict[str, str] = {}  # records left incomplete, with the reason
        self._unfinished: list[tuple[str, Any, Record]] = []
        self._lock = RLock()  # guards all of the above

    def ctype(self, encoded: Any) -> Any:
        """The `_core.CType` of an encoded type, every struct within it complete.

        Raises
        ------
        NotBoundError
            The type is one that Headway does not support; the message is the reason.
        """
        with self._lock:
            try:
                return self._make(encoded)
            finally:
                while self._unfinished:
                    self._finish(*self._unfinished.pop())

    def value(self, encoded: Any) -> Any:
        """As `ctype`, for what is passed or stored by value: refuses incomplete structs."""
        made = self.ctype(encoded)
        key = encoded[1] if isinstance(encoded, list) and encoded[0] == "rec" else None
        if key in self._opaque:
            raise NotBoundError(f"{key} {self._opaque[key]}: only a pointer to it can be used")
        return made

    def enum(self, key: str) -> type[enum.IntEnum]:
        """The `IntEnum` of an enum's tag."""
        with self._lock:
            if key not in self._enums:
                record = self._lookup(key) or {"name": key, "members": [], "doc": ""}
                self._enums[key] = _int_enum(record)
            return self._enums[key]

    def _make(self, encoded: Any) -> Any:
        """The type, perhaps with structs yet to be completed."""
        if isinstance(encoded, str):
            return _core.arithmetic(encoded)
        key = _frozen(encoded)
        made = self._known.get(key)
        if made is None:
            made = getattr(self, "_make_" + encoded[0])(*encoded[1:])
            made = self._known.setdefault(key, made)
        return made

    def _make_bad(self, reason: str) -> Any:
        raise NotBoundError(reason)

    def _make_ptr(self, target: Any, const: bool = False) -> Any:
        return _core.pointer(self._make(target), const)

    def _make_arr(self, element: Any, count: int | None) -> Any:
        made = self._make(element)
        self._complete_now(element)
        return _core.array(made, count)

    def _make_fn(
        self, result: Any, params: list[Any], variadic: bool, prototyped: bool = True
    ) -> Any:
        return _core.function(self._make(result), [self._make(p) for p in params], variadic)

    def _make_enum(self, key: str) -> Any:
        record = self._lookup(key)
        base = self._make(record["base"] if record else "unsigned int")
        cls = self.enum(key)
        made = _core.enumeration(key, base, cls)
        setattr(cls, "__ctype__", made)  # noqa: B010  # for sizeof, new and their like
        return made

    def _make_rec(self, key: str) -> Any:
        record = self._lookup(key)
        made = _core.record(key, key.startswith("union "))
        if record is None or record["fields"] is None:
            self._opaque[key] = "is declared but not defined"
        else:
            self._unfinished.append((key, made, record))
        return made

    def _complete_now(self, encoded: Any) -> None:
        """Complete a struct that another contains: containment has no cycles."""
        if _kind(encoded) != "rec":
            return
        key = encoded[1]
        for at, (name, made, record) in enumerate(self._unfinished):
            if name == key:
                del self._unfinished[at]
                self._finish(key, made, record)
                break
        if key in self._opaque:
            raise NotBoundError(f"{key} {self._opaque[key]}")

    def _finish(self, key: str, made: Any, record: Record) -> None:
        words = self._words(record)
        try:
            fields = [self._field(record, field, words) for field in record["fields"]]
        except NotBoundError as error:
            self._opaque[key] = f"has a field that is not supported ({error})"
            return
        made.complete(record["size"], record["align"], fields, record["packed"])

    def _field(self, record: Record, field: Record, words: StructWords) -> tuple[Any, ...]:
        """One field as `complete` takes it: name, type, offset, bits and the callback in it."""
        encoded = field["type"]
        made = self._make(encoded)
        self._complete_now(encoded)
        callback = callback_of(
            f"{record['name']}, field {field['name']!r}",
            encoded,
            words.fields.get(field["name"]),
            words.callbacks.get(field["name"], {}),
            self._constant,
        )
        bits = (field["bit_offset"], field["bit_width"])
        return (field["name"], made, field["offset"], *bits, callback)


def _kind(encoded: Any) -> str:
    return encoded[0] if isinstance(encoded, list) else "arithmetic"


def _frozen(encoded: Any) -> Any:
    return tuple(map(_frozen, encoded)) if isinstance(encoded, list) else encoded


def _int_enum(record: Record) -> type[enum.IntEnum]:
    """An IntEnum with C's members; names that Python's enum keeps for itself are left out."""
    name = record["name"].rpartition(" ")[2]
    members = {m: value for m, value in record["members"] if _is_member_name(m)}
    made = enum.IntEnum(name, members)  # type: ignore[misc]
    made.__doc__ = record["doc"] or f"The C enum {name}."
    return made


def _is_member_name(name: str) -> bool:
    return name not in ("mro", "name", "value") and not (name[0] == name[-1] == "_")
