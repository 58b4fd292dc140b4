# SPDX-License-Identifier: MIT
"""What a prototype cannot say: the words of annotations, parsed and checked.

The same words come from three places: macros of ``headway/annotate.h`` in the header, a TOML file,
and the ``annotate=`` argument. A later place overrides an earlier one word by word.

The words of a parameter::

    in  out  inout             which way its data goes
    size=EXPR  size=[m][k]     an array of that many elements
    capacity=p                 an output of at most p elements
    length=p | length=return   how many of them were written
    owned=fn                   a handle or memory received here is freed by fn
    borrowed  keeps=p          it is not freed; it keeps the handle p alive
    consumed                   the function frees the handle passed here
    nullable                   None is NULL
    error                      a message, raised with the status and not returned
    bytes                      an output of characters is returned as bytes
    call  keep  keep=p         a callback is used during the call, for ever, while handle p lives
    context=p  on_error=VALUE  its void * parameter; what C gets after a Python exception

of the return value (the key ``return``): ``status(...)``, ``owned``, ``borrowed``, ``keeps``,
``nullable``, ``bytes``; and of the function (keys of their own, or beside those of ``return``)
``gil="keep"|"release"``, ``serial``, ``lock="name"``, ``split="n"``, ``name="python_name"``.

A parameter is addressed by name or by index from 0, a parameter of a callback by path:
``callback.2``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from headway._errors import AnnotationError, nearest
from headway._expression import Malformed, postfix

Record = Mapping[str, Any]

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


@dataclass(frozen=True, slots=True)
class FunctionWords:
    """What was said about one function."""

    params: Mapping[int, ParamWords] = field(default_factory=dict)
    callbacks: Mapping[int, Mapping[int, ParamWords]] = field(default_factory=dict)
    result: ParamWords = ParamWords()
    status: Status | None = None
    gil: str = "auto"
    serial: bool = False
    lock: str | None = None
    split: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class StructWords:
    """What was said about the callbacks in the fields of a struct."""

    fields: Mapping[str, ParamWords] = field(default_factory=dict)
    callbacks: Mapping[str, Mapping[int, ParamWords]] = field(default_factory=dict)


# ---- the words, as text ------------------------------------------------------------------------

_DIRECTIONS = ("in", "out", "inout")
_FLAGS = ("borrowed", "consumed", "nullable", "error", "bytes")
_PARAM = (
    *_DIRECTIONS, "size", "capacity", "length", "owned", "keeps", *_FLAGS, "call", "keep",
    "context", "on_error",
)  # fmt: skip
_CALLBACK_PARAM = ("in", "size", "context")
_FIELD = ("call", "keep", "context", "on_error", "nullable")
_RESULT = ("status", "owned", "borrowed", "keeps", "nullable", "bytes")
_FUNCTION = ("gil", "keep_gil", "release_gil", "serial", "lock", "split", "name")
_VALUED = frozenset(
    {"size", "capacity", "length", "owned", "keeps", "on_error", "gil", "lock", "split", "name"}
)
_EITHER = frozenset({"keep", "context"})  # with a value or without one

_WORD = re.compile(r"([A-Za-z_]\w*)")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*\Z")
_CONDITION = re.compile(r"(==|!=|>=|<=|>|<)?\s*([-+]?\w+)\Z")
_BRACKETS = re.compile(r"\s*\[([^\[\]]*)\]")


@dataclass(frozen=True, slots=True)
class _Place:
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
            raise self.fail(f"{word}={given} is no {self.c} of it; {_choices(given, self.names)}")
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


def _choices(given: str, names: tuple[str, ...]) -> str:
    if not names:
        return "it has none"
    shown = ", ".join(f"{i}: {name}" for i, name in enumerate(names))
    return f"it has {shown}{nearest(given, list(names))}"


def _split(text: str, place: _Place) -> list[str]:
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


def _tokens(text: str, allowed: tuple[str, ...], place: _Place) -> dict[str, str]:
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
                f"{nearest(word, list(allowed))}"
            )
        words[word] = _value(word, part[match.end() :].strip(), place)
    return words


def _value(word: str, rest: str, place: _Place) -> str:
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


def _sizes(text: str, place: _Place) -> tuple[str, ...]:
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


def _identifier(word: str, given: str, place: _Place) -> str:
    if not _IDENTIFIER.match(given):
        raise place.fail(f"{word}={given} is not a name; write {_usage(word)}")
    return given


def _update(base: ParamWords, words: dict[str, str], place: _Place) -> ParamWords:
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
            new[word] = _identifier(word, given, place)
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


def _status(text: str, place: _Place) -> Status:
    """``0, message=zError`` and its like, the inside of ``status(...)``."""
    operator, values, errno, message = "", [], False, ""
    for part in _split(text, place):
        key, equals, given = part.partition("=")
        condition = _CONDITION.match(part)
        if equals and key.strip() == "message":
            message = _identifier("message", given.strip(), place)
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


def _one(operator: str, another: str, place: _Place) -> str:
    """A status has one condition; only == may be repeated, for a list of values."""
    if operator and not operator == another == "==":
        raise place.fail("status takes one condition, or a list of values")
    return another


def _constant(text: str, place: _Place) -> str:
    if not _IDENTIFIER.match(text):
        try:
            int(text, 0)
        except ValueError:
            raise place.fail(f"status: {text!r} is neither an integer nor a name") from None
    return text


def _function_words(base: FunctionWords, words: dict[str, str], place: _Place) -> FunctionWords:
    """Lay words of the function itself over earlier ones."""
    new: dict[str, Any] = {}
    for word, given in words.items():
        if word == "gil":
            if given not in ("keep", "release"):
                raise place.fail(f"gil={given}: write gil=keep or gil=release")
            new["gil"] = given
        elif word in ("keep_gil", "release_gil"):
            new["gil"] = word.partition("_")[0]
        elif word == "serial":
            new["serial"] = True
        elif word == "name":
            new["name"] = _identifier(word, given, place)
        elif word in ("lock", "split"):
            new[word] = given
    if words.keys() >= {"keep_gil", "release_gil"}:
        raise place.fail("keep_gil and release_gil exclude each other")
    return replace(base, **new)


# ---- functions and structs ---------------------------------------------------------------------


def param_names(record: Record) -> tuple[str, ...]:
    """What the parameters of a function are called: C's names, ``arg2`` for an unnamed third."""
    return tuple(p["name"] or f"arg{i}" for i, p in enumerate(record["params"]))


def function_words(record: Record, *layers: Mapping[str, str]) -> FunctionWords:
    """Everything said about a function.

    Parameters
    ----------
    record : mapping
        The function's declaration; its own words come first.
    *layers : mapping of str to str
        From path (``"buf"``, ``"4"``, ``"callback.2"``, ``"return"``, ``"serial"``) to words, each
        layer over the one before.

    Raises
    ------
    AnnotationError
        A path or word does not fit the function.
    """
    own = {str(i): p["words"] for i, p in enumerate(record["params"]) if p.get("words")}
    for i, p in enumerate(record["params"]):
        own.update({f"{i}.{j}": words for j, words in p.get("inner", {}).items()})
    if record.get("words"):
        own["return"] = record["words"]
    said = FunctionWords()
    for layer in (own, *layers):
        for path, text in layer.items():
            said = _say(said, record, path, text)
    return said


def _say(said: FunctionWords, record: Record, path: str, text: str) -> FunctionWords:
    """One more path and its words."""
    owner, names = record["name"], param_names(record)
    head, dot, rest = path.partition(".")
    index = index_of(head, names)
    if index is not None:
        if dot:
            return _say_callback(said, record, index, rest, text)
        place = _Place(owner, f"parameter {names[index]!r}", names)
        words = _tokens(text, _PARAM, place)
        if words.get("context") == "":
            raise place.fail("context needs the parameter that is the callback's void *")
        known = said.params.get(index, ParamWords())
        return replace(said, params={**said.params, index: _update(known, words, place)})
    if path == "return":
        return _say_return(said, _Place(owner, "return", names), text)
    place = _Place(owner, f"key {path!r}", names)
    if path in _FUNCTION:
        value = _value(path, f"={text}" if text else "", place)
        return _function_words(said, {path: value}, place)
    raise place.fail(
        f"it is neither a parameter nor one of return, {', '.join(_FUNCTION)}; "
        f"{_choices(head, names)}"
    )


def _say_return(said: FunctionWords, place: _Place, text: str) -> FunctionWords:
    words = _tokens(text, (*_RESULT, *_FUNCTION), place)
    of_function = {word: given for word, given in words.items() if word in _FUNCTION}
    if "status" in words:
        said = replace(said, status=_status(words["status"], place))
    said = replace(said, result=_update(said.result, words, place))
    return _function_words(said, of_function, place)


def _say_callback(
    said: FunctionWords, record: Record, index: int, rest: str, text: str
) -> FunctionWords:
    """Words about parameter `rest` of the callback that parameter `index` takes."""
    name = param_names(record)[index]
    target = f"parameter '{name}.{rest}'"
    known = said.callbacks.get(index, {})
    place = _Place(record["name"], target, ())
    new = _callback_words(place, record["params"][index]["type"], rest, text, known)
    return replace(said, callbacks={**said.callbacks, index: new})


def _callback_words(
    place: _Place, type_: Any, rest: str, text: str, known: Mapping[int, ParamWords]
) -> Mapping[int, ParamWords]:
    """Lay the words of a callback's parameter over what is known of its parameters."""
    callee = function_type(type_)
    if callee is None:
        raise place.fail("a path goes into callbacks only; this is none")
    names = tuple(str(i) for i in range(len(callee[2])))
    place = replace(place, names=names, c="parameter of the callback")
    at = index_of(rest, names)
    if at is None:
        raise place.fail(f"its callback has {len(names)} parameters, addressed by index from 0")
    words = _tokens(text, _CALLBACK_PARAM, place)
    if "size" in words:
        place.index("size", words["size"])
    if words.get("context"):
        raise place.fail("context takes no value here: this parameter is the callback's void *")
    return {**known, at: _update(known.get(at, ParamWords()), words, place)}


def function_type(type_: Any) -> list[Any] | None:
    """The ["fn", ...] behind a function pointer's encoded type, or None."""
    if isinstance(type_, list) and type_[0] == "ptr":
        type_ = type_[1]
    return type_ if isinstance(type_, list) and type_[0] == "fn" else None


def struct_words(record: Record, *layers: Mapping[str, str]) -> StructWords:
    """Everything said about the callbacks in a struct's fields.

    The paths of a layer are ``"function"`` (with the words ``context=FIELD``, ``on_error`` and
    ``keep``) and ``"function.1"`` (a parameter of the callback in that field).
    """
    fields = {f["name"]: f for f in record["fields"] or () if f["name"]}
    own = {name: f["words"] for name, f in fields.items() if f.get("words")}
    for name, f in fields.items():
        own.update({f"{name}.{j}": words for j, words in f.get("inner", {}).items()})
    said = StructWords()
    for layer in (own, *layers):
        for path, text in layer.items():
            said = _say_field(said, record["name"], fields, path, text)
    return said


def _say_field(
    said: StructWords, owner: str, fields: Mapping[str, Record], path: str, text: str
) -> StructWords:
    name, dot, rest = path.partition(".")
    place = _Place(owner, f"field {path!r}", tuple(fields), "field")
    if name not in fields:
        raise place.fail(f"it is no field; {_choices(name, place.names)}")
    type_ = fields[name]["type"]
    if function_type(type_) is None:
        raise place.fail("only a field that is a function pointer takes an annotation")
    if dot:
        known = said.callbacks.get(name, {})
        new = _callback_words(place, type_, rest, text, known)
        return replace(said, callbacks={**said.callbacks, name: new})
    words = _tokens(text, _FIELD, place)
    known_words = said.fields.get(name, ParamWords())
    return replace(said, fields={**said.fields, name: _update(known_words, words, place)})


# ---- where annotations come from ---------------------------------------------------------------

Layer = dict[str, dict[str, str]]  # by function or struct, then by path


def flatten(source: Mapping[Any, Any], origin: str) -> Layer:
    """Bring a dictionary or a TOML document to one form.

    Parameters
    ----------
    source : mapping
        ``{"f": {"x": "in, size=n", "cb": {1: "context"}, "serial": True}}``; ``{"f": "serial"}``
        and ``{"f.cb.1": "context"}`` say the same as their long forms.
    origin : str
        Where it comes from, for messages.

    Raises
    ------
    AnnotationError
        A value is neither text nor a table.
    """
    layer: Layer = {}
    for key, value in source.items():
        owner, _, path = str(key).partition(".")
        entries = layer.setdefault(owner, {})
        if isinstance(value, Mapping):
            entries.update(_paths(value, path, f"{origin}: {key}"))
        elif path:
            entries[path] = _text(value, f"{origin}: {key}")
        else:
            entries["return"] = _text(value, f"{origin}: {key}")
    return layer


def _paths(table: Mapping[Any, Any], prefix: str, origin: str) -> Iterable[tuple[str, str]]:
    for key, value in table.items():
        path = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, Mapping):
            yield from _paths(value, path, f"{origin}.{key}")
        elif value is not False:
            yield path, _text(value, f"{origin}.{key}")


def _text(value: object, origin: str) -> str:
    if value is True:
        return ""
    if isinstance(value, str):
        return value
    raise AnnotationError(
        f"{origin} is {value!r}; expected the words of an annotation as text, "
        "such as 'in, size=n', or a table of them"
    )


def read_toml(path: str) -> Layer:
    """Read annotations from a TOML file.

    Raises
    ------
    AnnotationError
        The file is not TOML; the message has file, line and column.
    """
    import tomllib

    with open(path, "rb") as file:
        try:
            document = tomllib.load(file)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise AnnotationError(f"{path} is not valid TOML: {error}") from error
    return flatten(document, path)
