# SPDX-License-Identifier: MIT
"""The Python signature of a bound C function."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import Parameter, Signature

from headway._model import Binding, Param, Role


def signature(binding: Binding) -> Signature:
    """How a bound function is called from Python.

    Inputs come in C order, then outputs, which are allocated where not passed. Sizes that no input
    fixes are keywords, and so is ``out``. The annotations are C's types.
    """
    parameters = [
        *(_positional(p) for p in binding.params if p.role in (Role.IN, Role.INOUT)),
        *_outputs(binding),
        *_keywords(binding),
    ]
    return Signature(parameters, return_annotation=_returned(binding))


def size_keywords(binding: Binding) -> list[int]:
    """The C parameters that carry a size which no input fixes."""
    fixed = {d for p in binding.params if p.role in (Role.IN, Role.INOUT) for d in p.dims or ()}
    return [
        dim.param
        for at, dim in enumerate(binding.dims)
        if dim.param is not None and at not in fixed
    ]


def _positional(param: Param) -> Parameter:
    return Parameter(param.name, Parameter.POSITIONAL_OR_KEYWORD, annotation=param.c)


def _is_returned(param: Param) -> bool:
    return param.role is Role.OUT and not param.error


def _returned_params(binding: Binding) -> list[Param]:
    return [p for p in binding.params if _is_returned(p)]


def _outputs(binding: Binding) -> Iterator[Parameter]:
    if binding.variadic:
        yield Parameter("args", Parameter.VAR_POSITIONAL)
    kind = Parameter.KEYWORD_ONLY if binding.variadic else Parameter.POSITIONAL_OR_KEYWORD
    for p in _returned_params(binding):
        yield Parameter(p.name, kind, default=None, annotation=p.c)


def _keywords(binding: Binding) -> Iterator[Parameter]:
    for i in size_keywords(binding):
        param = binding.params[i]
        yield Parameter(param.name, Parameter.KEYWORD_ONLY, annotation=param.c)
    names = {p.name for p in binding.params}
    if (binding.mapping or _returned_params(binding)) and "out" not in names:
        yield Parameter("out", Parameter.KEYWORD_ONLY, default=None)
    if binding.mapping and "ufunc_keywords" not in names:
        yield Parameter("ufunc_keywords", Parameter.VAR_KEYWORD)


def _returned(binding: Binding) -> str | None:
    """The C types of what comes back: the return value first, then the outputs."""
    c = [] if binding.result.silent or binding.result.c == "void" else [binding.result.c]
    c += [_received(p) for p in binding.params if p.role is Role.INOUT or _is_returned(p)]
    if not c:
        return None
    return c[0] if len(c) == 1 else f"({', '.join(c)})"


def _received(param: Param) -> str:
    """What comes back for an output: an array, or what the pointer points to."""
    return param.c if param.dims is not None else param.c.removesuffix("*").rstrip()
