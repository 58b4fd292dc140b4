# SPDX-License-Identifier: MIT
"""The words of annotations: their grammar, one text at a time.

`tokens` cuts a text into words and checks each against what the place allows; `update` and `status`
say what they mean. Every complaint goes through `Place.fail`, which names function and parameter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from headway._errors import AnnotationError, nearest
from headway._expression import Malformed, postfix

RETURN = -1  # `length=return`


@dataclass(frozen=True, slots=True)
class ParamWords:
    """What was said about one parameter. Parameters it refers to are indices."""

    direction: str = ""  # "in", "out", "inout"; "" where not said
    size: tuple[str, ...] = ()  # expressions, outermost first
    capacity: int | None = None
    length: int | None = None  # RETURN for the return value
    owned: str = ""  # name of a C function
    borrowed: bool = False
    keeps: int | None = None
    consumed: bool = False
    nullable: bool = False
    error: bool = False
    bytes: bool = False
    keep: str | int = "call"  # of a callback: "call", "always", or the parameter it lives with
    context: int | None = None  # of a callback: the parameter that is its void *
    is_context: bool = False  # of a callback's parameter: it is the void *
    on_error: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """When a return value is success, and what to say when it is not."""

    operator: str = "=="  # == != < <= > >=, "nonnull", or "" where only errno was given
    values: tuple[str, ...] = ()  # integers or names of constants; several only with ==
    errno: bool = False  # failure is an OSError of errno
    message: str = ""  # name of the C function that tells what went wrong


# ---- the words, as text ------------------------------------------------------------------------

_DIRECTIONS = ("in", "out", "inout")
_FLAGS = ("borrowed", "consumed", "nullable", "error", "bytes")
PARAM = (
    *_DIRECTIONS, "size", "capacity", "length", "owned", "keeps", *_FLAGS, "call", "keep",
    "context", "on_error",
)  # fmt: skip
CALLBACK_PARAM = ("in", "size", "context")
FIELD = ("call", "keep", "context", "on_error", "nullable")
RESULT = ("status", "owned", "borrowed", "keeps", "nullable", "bytes")
FUNCTION = ("gil", "keep_gil", "release_gil", "serial", "lock", "split", "name")
_VALUED = frozenset(
    {"size", "capacity", "length", "owned", "keeps", "on_error", "gil", "lock", "split", "name"}
)
_EITHER = frozenset({"keep", "context"})  # with a value or without one

_WORD = re.compile(r"([A-Za-z_]\w*)")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*\Z")
_CONDITION = re.compile(r"(==|!=|>=|<=|>|<)?\s*([-+]?\w+)\Z")
_BRACKETS = re.compile(r"\s*\[([^\[\]]*)\]")


@dataclass(frozen=True, slots=True)
class Place:
    """What a text is about, for messages: ``sqlite3_open, parameter 'ppDb'``."""

    owner: str
    target: str
    names: tuple[str, ...]  # how parameters (fields) may be called, by index
    c: str = "parameter"

    def fail(self, message: str) -> AnnotationError:
        return AnnotationError(f"annotation of {self.owner}, {self.target}: {message}")

    def index(self, word: str, given: str) -> int:
        """The parameter that a word refers to by name or by index."""
        found = index_of(given, self.names)
        if found is None:
            raise self.fail(f"{word}={given} is no {self.c} of it; {choices(given, self.names)}")
        return found


def index_of(given: str, names: tuple[str, ...]) -> int | None:
    """The parameter meant by a name (leading underscores may be left out) or by an index."""
    if given in names:
        return names.index(given)
    bare = [name.lstrip("_") for name in names]
    if bare.count(given) == 1:
        return bare.index(given)
    if given.isdecimal() and given.isascii() and int(given) < len(names):
        return int(given)
    return None


def choices(given: str, names: tuple[str, ...]) -> str:
    if not names:
        return "it has none"
    shown = ", ".join(f"{i}: {name}" for i, name in enumerate(names))
    return f"it has {shown}{nearest(given, list(names))}"


def _split(text: str, place: Place) -> list[str]:
    """Cut at commas that stand outside brackets and quotes."""
    parts, depth, quote, start = [], 0, "", 0
    for i, ch in enumerate(text):
        if quote:
            quote = "" if ch == quote else quote
        elif ch in "\"'":
            quote = ch
        elif ch in "([":
            depth += 1
        elif ch in ")]":
            depth -= 1
            if depth < 0:
                raise place.fail(f"{text!r} closes a bracket it did not open")
        elif ch in ",;" and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    if depth or quote:
        raise place.fail(f"{text!r} leaves a bracket or quote open")
    parts.append(text[start:])
    return [part.strip() for part in parts]


def tokens(text: str, allowed: tuple[str, ...], place: Place) -> dict[str, str]:
    """The words of a text, each with its value ("" where it has none)."""
    words: dict[str, str] = {}
    if not text.strip():
        return words
    for part in _split(text, place):
        match = _WORD.match(part)
        word = match[1] if match else part
        if match is None or word not in allowed:
            raise place.fail(
                f"unknown word {word!r}; allowed here are {', '.join(allowed)}"
                f"{_status_meant(part, allowed) or nearest(word, list(allowed))}"
            )
        words[word] = value_of(word, part[match.end() :].strip(), place)
    return words


def _status_meant(part: str, allowed: tuple[str, ...]) -> str:
    """How to write what stands inside ``status(...)`` and was written without it."""
    if not re.match(r"(?:nonnull|errno)\Z|message\s*=|[-+\d=!<>]", part):
        return ""
    inside = f"0, {part}" if part.startswith("message") else part
    where = "" if "status" in allowed else " for the return value"
    return f"; did you mean status({inside}){where}?"


def value_of(word: str, rest: str, place: Place) -> str:
    """What follows a word, ``= value`` or ``(...)``, checked against what the word takes."""
    malformed = place.fail(f"{f'{word} {rest}'.strip()!r} is malformed; write {_usage(word)}")
    if word == "status":
        if not (rest.startswith("(") and rest.endswith(")")):
            raise malformed
        return rest[1:-1]
    given = rest[1:].strip() if rest.startswith("=") else ""
    if bool(given) != bool(rest) or (word in _VALUED and not given):
        raise malformed
    if given and word not in _VALUED and word not in _EITHER:
        raise malformed
    return _unquoted(given)


def _unquoted(text: str) -> str:
    quoted = len(text) > 1 and text[0] in "\"'" and text[-1] == text[0]
    return text[1:-1] if quoted else text


def _usage(word: str) -> str:
    return {
        "size": "size=EXPRESSION",
        "capacity": "capacity=PARAMETER",
        "length": "length=PARAMETER or length=return",
        "owned": "owned=FUNCTION",
        "keeps": "keeps=PARAMETER",
        "on_error": "on_error=NUMBER",
        "context": "context=PARAMETER",
        "keep": "keep or keep=PARAMETER",
        "gil": "gil=keep or gil=release",
        "lock": "lock=NAME",
        "split": "split=SIZE",
        "name": "name=NAME",
        "status": "status(0), status(>=0), status(nonnull), status(errno), "
        "status(0, message=FUNCTION)",
    }.get(word, word)


# ---- the words, understood ---------------------------------------------------------------------


def _sizes(text: str, place: Place) -> tuple[str, ...]:
    """``n + 1`` is one dimension, ``[m][k]`` are two."""
    parts = [text]
    if text.startswith("["):
        parts = _BRACKETS.findall(text)
        if _BRACKETS.sub("", text).strip() or not parts:
            raise place.fail(f"size={text} is not a list of bounds such as [m][k]")
    for part in parts:
        try:
            postfix(part)
        except Malformed as error:
            raise place.fail(f"size: {error}") from None
    return tuple(part.strip() for part in parts)


def identifier(word: str, given: str, place: Place) -> str:
    if not _IDENTIFIER.match(given):
        raise place.fail(f"{word}={given} is not a name; write {_usage(word)}")
    return given


def update(base: ParamWords, words: dict[str, str], place: Place) -> ParamWords:
    """The words of a parameter or return value, laid over earlier ones."""
    new: dict[str, Any] = {word: True for word in words if word in _FLAGS}
    directions = [word for word in words if word in _DIRECTIONS]
    if len(directions) > 1:
        raise place.fail(f"{' and '.join(directions)} exclude each other")
    if directions:
        new["direction"] = directions[0]
    for word, given in words.items():
        if word == "size":
            new[word] = _sizes(given, place)
        elif word == "length" and given == "return":
            new[word] = RETURN
        elif word in ("capacity", "length", "keeps"):
            new[word] = place.index(word, given)
        elif word == "owned":
            new[word] = identifier(word, given, place)
        elif word == "on_error":
            new[word] = given
        elif word == "keep":
            new[word] = place.index(word, given) if given else "always"
        elif word == "call":
            new["keep"] = "call"
        elif word == "context":
            new.update({"context": place.index(word, given)} if given else {"is_context": True})
    if "call" in words and "keep" in words:
        raise place.fail("call and keep exclude each other")
    return replace(base, **new)


def status(text: str, place: Place) -> Status:
    """``0, message=zError`` and its like, the inside of ``status(...)``."""
    operator, values, errno, message = "", [], False, ""
    for part in _split(text, place):
        key, equals, given = part.partition("=")
        condition = _CONDITION.match(part)
        if equals and key.strip() == "message":
            message = identifier("message", given.strip(), place)
        elif part == "errno":
            errno = True
        elif part == "nonnull":
            operator = _one(operator, "nonnull", place)
        elif condition:
            operator = _one(operator, condition[1] or "==", place)
            values.append(_constant(condition[2], place))
        else:
            raise place.fail(
                f"status({text}): {part!r} is not understood; write {_usage('status')}"
            )
    if not operator and not errno:
        raise place.fail(f"status({text}) does not say what success is; write {_usage('status')}")
    return Status(operator, tuple(values), errno, message)


def _one(operator: str, another: str, place: Place) -> str:
    """A status has one condition; only == may be repeated, for a list of values."""
    if operator and not operator == another == "==":
        raise place.fail("status takes one condition, or a list of values")
    return another


def _constant(text: str, place: Place) -> str:
    if not _IDENTIFIER.match(text):
        try:
            int(text, 0)
        except ValueError:
            raise place.fail(f"status: {text!r} is neither an integer nor a name") from None
    return text
