# SPDX-License-Identifier: MIT
"""How a function pointer, of a parameter or of a struct's field, calls Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from headway._annotate import function_type
from headway._errors import AnnotationError
from headway._model import Callback
from headway._words import ParamWords


def callback_of(
    where: str,
    encoded: Any,
    words: ParamWords | None,
    inner: Mapping[int, ParamWords],
    constant: Callable[[str], Any],
) -> Callback | None:
    """Decide on a callback.

    Parameters
    ----------
    where : str
        What the messages call it.
    encoded : encoded type
        Of the parameter or field.
    words : ParamWords or None
        What is said about it.
    inner : mapping
        What is said about its parameters, by index.
    constant : callable
        The value of a number or constant given as text.

    Returns
    -------
    Callback or None
        None where the type is no function pointer.

    Raises
    ------
    AnnotationError
        The words do not fit the type.
    """
    callee = function_type(encoded)
    if callee is None:
        return None
    words = words or ParamWords()
    context = next((i for i, w in inner.items() if w.is_context), None)
    if context is None and words.context is not None:
        context = _context(where, callee[2])
    sizes = {i: int(w.size[0]) for i, w in inner.items() if w.size}
    return Callback(
        context=context,
        on_error=constant(words.on_error) if words.on_error else None,
        keep=words.keep,
        sizes=tuple(sizes.get(i, -1) for i in range(len(callee[2]))) if sizes else (),
    )


def _context(where: str, params: list[Any]) -> int:
    """The one parameter of the callback that is a void * to something writable."""
    found = [i for i, p in enumerate(params) if p == ["ptr", "void", False]]
    if len(found) != 1:
        count = "no" if not found else "more than one"
        raise AnnotationError(
            f"annotation of {where}: context is given, but the callback has {count} void * "
            'parameter; say which it is with a path: "callback.INDEX" = "context"'
        )
    return found[0]
