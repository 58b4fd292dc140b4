# SPDX-License-Identifier: MIT
"""Why a map refused its arrays, in C's terms; asked by `_numpy` when the ufunc raises TypeError."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from headway._model import Binding


def explain(function: Any, args: Sequence[Any], keywords: Mapping[str, Any]) -> str | None:
    """What was wrong, what was expected and what to do; None where the types are not at fault.

    Parameters
    ----------
    function : Function
        The mapped function.
    args : sequence
        Its inputs.
    keywords : mapping
        The keywords of the call. One that chooses NumPy's rules leaves NumPy's own message.
    """
    if not {"dtype", "signature", "sig", "casting"}.isdisjoint(keywords):
        return None
    binding: Binding = function.binding
    mapping = binding.mapping
    if mapping is None:
        return None
    loops = [loop.replace("->", "") for loop in function.ufunc.types]
    for i, (operand, given) in enumerate(zip(mapping.inputs, args, strict=True)):
        if not any(_takes(loop[i], given) for loop in loops):
            param = binding.params[operand.param]
            return _message(binding.name, i, param.name, param.c, operand.kind, given)
    out = keywords.get("out")
    outputs = out if isinstance(out, tuple) else (out,)
    for result, given in zip(mapping.outputs, outputs, strict=False):
        if isinstance(given, np.ndarray) and not np.can_cast(result.kind, given.dtype, "same_kind"):
            c = binding.result.c if result.param < 0 else binding.params[result.param].c
            return (
                f"{binding.name}() writes {c}: an output of dtype {np.dtype(result.kind)} does not "
                f"go into out= of dtype {given.dtype} (by NumPy's rule same_kind); pass an array of {_dtype(result.kind)}"
            )
    return None


def _takes(letter: str, given: Any) -> bool:
    """Whether NumPy casts an input to the type of a loop without being asked to."""
    if type(given) in (bool, int, float, complex):  # these take the type of what they stand beside
        return np.result_type(letter, given) == np.dtype(letter)
    return np.can_cast(np.asarray(given).dtype, letter, "safe")


def _message(function: str, i: int, name: str, c: str, letter: str, given: Any) -> str:
    dtype = np.asarray(given).dtype
    came = f"an array of {dtype}" if np.ndim(given) else f"{dtype} ({given!r:.40})"
    wanted = _dtype(letter)
    if dtype.kind not in "biufc":
        remedy = f"expected numbers that go into {np.dtype(letter)}"
    elif dtype.kind == "c" and np.dtype(letter).kind != "c":
        remedy = f"pass the part that is meant, such as {name}.real"
    elif isinstance(given, np.ndarray):
        remedy = f"pass {name}.astype({wanted}) where that is meant"
    else:
        remedy = f"pass np.asarray({name}, {wanted}) where that is meant"
    return (
        f"{function}() argument {i + 1} ({name}: {c}): {came} does not become "
        f"{np.dtype(letter)} without loss; {remedy}"
    )


def _dtype(letter: str) -> str:
    return f"np.{np.dtype(letter).type.__name__}"
