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

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from headway._errors import AnnotationError
from headway._words import (
    CALLBACK_PARAM,
    FIELD,
    FUNCTION,
    PARAM,
    RESULT,
    ParamWords,
    Place,
    Status,
    choices,
    identifier,
    index_of,
    status,
    tokens,
    update,
    value_of,
)

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FunctionWords:
    """What was said about one function."""

    params: Mapping[int, ParamWords] = field(default_factory=dict)
    callbacks: Mapping[int, Mapping[int, ParamWords]] = field(default_factory=dict)
    result: ParamWords = field(default_factory=ParamWords)
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


def _update_function(base: FunctionWords, words: dict[str, str], place: Place) -> FunctionWords:
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
            new["name"] = identifier(word, given, place)
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
        place = Place(owner, f"parameter {names[index]!r}", names)
        words = tokens(text, PARAM, place)
        if words.get("context") == "":
            raise place.fail("context needs the parameter that is the callback's void *")
        known = said.params.get(index, ParamWords())
        return replace(said, params={**said.params, index: update(known, words, place)})
    if path == "return":
        return _say_return(said, Place(owner, "return", names), text)
    place = Place(owner, f"key {path!r}", names)
    if path in FUNCTION:
        value = value_of(path, f"={text}" if text else "", place)
        return _update_function(said, {path: value}, place)
    raise place.fail(
        f"it is neither a parameter nor one of return, {', '.join(FUNCTION)}; "
        f"{choices(head, names)}"
    )


def _say_return(said: FunctionWords, place: Place, text: str) -> FunctionWords:
    words = tokens(text, (*RESULT, *FUNCTION), place)
    of_function = {word: given for word, given in words.items() if word in FUNCTION}
    if "status" in words:
        said = replace(said, status=status(words["status"], place))
    said = replace(said, result=update(said.result, words, place))
    return _update_function(said, of_function, place)


def _say_callback(
    said: FunctionWords, record: Record, index: int, rest: str, text: str
) -> FunctionWords:
    """Words about parameter `rest` of the callback that parameter `index` takes."""
    name = param_names(record)[index]
    target = f"parameter '{name}.{rest}'"
    known = said.callbacks.get(index, {})
    place = Place(record["name"], target, ())
    new = _callback_words(place, record["params"][index]["type"], rest, text, known)
    return replace(said, callbacks={**said.callbacks, index: new})


def _callback_words(
    place: Place, type_: Any, rest: str, text: str, known: Mapping[int, ParamWords]
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
    words = tokens(text, CALLBACK_PARAM, place)
    if "size" in words:
        place.index("size", words["size"])
    if words.get("context"):
        raise place.fail("context takes no value here: this parameter is the callback's void *")
    return {**known, at: update(known.get(at, ParamWords()), words, place)}


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
    place = Place(owner, f"field {path!r}", tuple(fields), "field")
    if name not in fields:
        raise place.fail(f"it is no field; {choices(name, place.names)}")
    type_ = fields[name]["type"]
    if function_type(type_) is None:
        raise place.fail("only a field that is a function pointer takes an annotation")
    if dot:
        known = said.callbacks.get(name, {})
        new = _callback_words(place, type_, rest, text, known)
        return replace(said, callbacks={**said.callbacks, name: new})
    words = tokens(text, FIELD, place)
    known_words = said.fields.get(name, ParamWords())
    return replace(said, fields={**said.fields, name: update(known_words, words, place)})


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
