# SPDX-License-Identifier: MIT
"""Whether and how a function applies to whole arrays: as a ufunc or a gufunc."""

from __future__ import annotations

from collections.abc import Sequence

from headway._model import Mapping, Operand, Role
from headway._prototype import Prototype, tag
from headway._shapes import Shapes

MAX_OPERANDS, MAX_CORE, MAX_DIMS = 32, 8, 16  # HW_MAX_* of headway/call.h


def mapping(proto: Prototype, shapes: Shapes, roles: Sequence[Role]) -> Mapping | None:
    """The function as a ufunc (of numbers) or a gufunc (of sized arrays, too).

    None where it is neither: where something passed is neither a number nor a sized array of
    numbers, where the return value is a status, or where the inputs do not fix an output's size.
    """
    if proto.words.status or proto.variadic or len(shapes.dims) > MAX_DIMS:
        return None
    inputs, outputs = [], []
    if proto.result != "void":
        outputs.append(Operand(-1, proto.letter(proto.result)))
    for i, role in enumerate(roles):
        if role is Role.SIZE and tag(proto.type(i)) != "ptr":
            continue
        operand = _operand(proto, shapes, roles, i)
        if operand is None:
            return None
        if role is not Role.OUT:
            inputs.append(operand)
        if role is not Role.IN:
            inout = len(inputs) - 1 if role is Role.INOUT else -1
            outputs.append(Operand(i, operand.kind, operand.core, inout))
    made = Mapping(tuple(inputs), tuple(outputs))
    return made if _can_run(made, shapes) else None


def _operand(proto: Prototype, shapes: Shapes, roles: Sequence[Role], i: int) -> Operand | None:
    """A parameter as an operand: a number, or a sized array of numbers."""
    if roles[i] in (Role.SIZE, Role.CONTEXT) or proto.said(i).length is not None:
        return None
    by_value = i not in shapes.arrays and roles[i] is Role.IN
    letter = proto.letter(proto.type(i) if by_value else shapes.element(i))
    return Operand(i, letter, shapes.arrays.get(i, ())) if letter else None


def _can_run(made: Mapping, shapes: Shapes) -> bool:
    """Whether NumPy can run it: every size of an output follows from the inputs."""
    operands = (*made.inputs, *made.outputs)
    if not made.inputs or not made.outputs or len(operands) > MAX_OPERANDS:
        return False
    if any(not o.kind or len(o.core) > MAX_CORE for o in operands):
        return False
    known = {d for o in made.inputs for d in o.core if shapes.dims[d].param is not None}
    return all(_parts(shapes, d) <= known for o in made.outputs for d in o.core)


def _parts(shapes: Shapes, d: int) -> set[int]:
    """The plain sizes that a size is made of."""
    dim = shapes.dims[d]
    if dim.param is not None:
        return {d}
    return {at for what, at in dim.postfix or () if what == 1}
