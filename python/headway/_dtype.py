# SPDX-License-Identifier: MIT
"""NumPy dtypes of C types, with C's own offsets."""

from __future__ import annotations

from typing import Any

from headway import _core


def of(ctype: _core.CType) -> Any:
    """The dtype of an arithmetic type, a struct, a union or an array of them.

    Bit-fields and flexible array members have no dtype and are left out; pointers are addresses
    (``uintp``).

    Raises
    ------
    TypeError
        For void, functions and structs that the header declares without defining.
    """
    import numpy as np

    code = ctype.code
    if code is not None:
        return np.dtype({"c": "i1"}.get(code, code))
    kind = ctype.kind
    if kind == "pointer":
        return np.dtype(np.uintp)
    if kind == "array":
        shape = []
        while ctype.kind == "array":
            shape.append(ctype.count)
            ctype = ctype.target
        return np.dtype((of(ctype), tuple(shape)))
    if kind in ("struct", "union"):
        size = ctype.size
        fields = {
            name: (of(member), offset)
            for name, (member, offset, _, bit_width) in ctype.fields.items()
            if bit_width < 0 and not (member.kind == "array" and member.count is None)
        }
        return np.dtype(
            {
                "names": list(fields),
                "formats": [dtype for dtype, _ in fields.values()],
                "offsets": [offset for _, offset in fields.values()],
                "itemsize": size,
            }
        )
    raise TypeError(f"{ctype.name} has no dtype")
