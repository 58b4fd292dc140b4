# SPDX-License-Identifier: MIT
"""What each parameter of a function is to the Python caller."""

from __future__ import annotations

from headway._annotate import function_type
from headway._errors import NotBoundError
from headway._model import Role
from headway._prototype import Prototype, tag
from headway._shapes import Shapes
from headway._types import Types
from headway._words import RETURN

_SAID = {"in": Role.IN, "out": Role.OUT, "inout": Role.INOUT}
_FOR_OUTPUTS = ("length", "error", "bytes", "owned", "borrowed", "keeps")


def decide(proto: Prototype, shapes: Shapes, types: Types) -> tuple[list[Role], list[str]]:
    """The role of each parameter, and notes on what was assumed.

    Raises
    ------
    AnnotationError
        Words of a parameter do not fit its type or its role.
    """
    roles = [_role(proto, shapes, i) for i in range(len(proto.params))]
    for i, role in enumerate(roles):
        if role is Role.CONTEXT and proto.type(i) != ["ptr", "void", False]:
            c = proto.params[i]["c"]
            raise proto.wrong(i, f"a callback's context is a void *, this is {c!r}")
        if role in (Role.OUT, Role.INOUT):
            _check_output(proto, shapes, types, i)
        else:
            _check_input(proto, i)
        _check_words(proto, shapes, i)
    return roles, [
        f"{proto.names[i]} is assumed to be an output"
        for i in shapes.arrays
        if roles[i] is Role.OUT and not _is_said_to_be_output(proto, i)
    ]


def _role(proto: Prototype, shapes: Shapes, i: int) -> Role:
    if shapes.carries(i):
        return Role.SIZE
    if any(words.context == i for words in proto.words.params.values()):
        return Role.CONTEXT
    said = proto.said(i).direction
    if said:
        return _SAID[said]
    if _is_said_to_be_output(proto, i) or _is_writable_array(proto, shapes, i):
        return Role.OUT
    return Role.IN


def _is_said_to_be_output(proto: Prototype, i: int) -> bool:
    """Whether words that only an output has are said of it, or of another about it."""
    said = proto.said(i)
    if said.direction == "out" or said.capacity is not None or said.owned or said.error:
        return True
    return any(words.length == i for words in proto.words.params.values())


def _is_writable_array(proto: Prototype, shapes: Shapes, i: int) -> bool:
    """Whether it is an array that C may write to; of pointers, those they point to are meant."""
    if i not in shapes.arrays or proto.type(i)[2]:
        return False
    return tag(shapes.element(i)) not in ("ptr", "fn")


def _check_output(proto: Prototype, shapes: Shapes, types: Types, i: int) -> None:
    """An output needs memory that C may write to, and whose size is known."""
    encoded, c = proto.type(i), proto.params[i]["c"]
    if tag(encoded) != "ptr" or function_type(encoded):
        raise proto.wrong(i, f"only a pointer can be an output, this is {c!r}")
    if encoded[2]:
        raise proto.wrong(i, f"C does not write through {c!r}: it points to const")
    if i in shapes.arrays:
        return
    if encoded[1] == "void":
        raise proto.wrong(i, "an output of unknown size; add size= or capacity=")
    try:
        types.value(encoded[1])
    except NotBoundError as error:
        raise proto.wrong(i, f"it cannot be an output: {error}") from None


def _check_input(proto: Prototype, i: int) -> None:
    for word in _FOR_OUTPUTS:
        if getattr(proto.said(i), word) not in (None, "", False):
            raise proto.wrong(i, f"{word} is for an output; say out as well")


def _check_words(proto: Prototype, shapes: Shapes, i: int) -> None:
    """Refuse words that would be without effect."""
    said, c = proto.said(i), proto.params[i]["c"]
    if said.length is not None:
        if i not in shapes.arrays:
            raise proto.wrong(i, "length is for an array; add size= or capacity=")
        if said.length != RETURN and not proto.is_size(said.length):
            raise proto.wrong(i, f"length={proto.names[said.length]} is no integer")
    of_callback = said.context is not None or said.on_error or said.keep != "call"
    if of_callback and not function_type(proto.type(i)):
        raise proto.wrong(i, f"context, keep and on_error are for callbacks, not {c!r}")
    if said.error and proto.words.status is None:
        raise proto.wrong(i, "error needs a status to be raised with; add return = status(...)")
