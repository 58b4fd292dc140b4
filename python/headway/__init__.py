# SPDX-License-Identifier: MIT
"""Headway: C functions in Python, at every scale. The header is the binding.

>>> import headway as hw
>>> m = hw.load("m", "math.h")
>>> m.hypot(3.0, 4.0)
5.0

`load` takes a shared library and its header, `compile` takes C source. What they return are plain
modules of functions that take numbers, arrays (in parallel, by NumPy's rules), strings, structs and
callables.
"""

from __future__ import annotations

import os as _os

from headway._core import (
    NULL,
    CType,
    Function,
    Pointer,
    Value,
    get_num_threads,
    set_errno,
    set_num_threads,
)
from headway._errors import (
    AnnotationError,
    CompileError,
    CompileWarning,
    HeaderError,
    HeadwayError,
    LibraryError,
    NotBoundError,
    StatusError,
    SymbolError,
    UseAfterFreeError,
)

TYPE_CHECKING = False  # typing itself would double the time of the import
if TYPE_CHECKING:
    from typing import Any

    from headway._compile import compile
    from headway._load import load
    from headway._memory import (
        addressof,
        buffer,
        cast,
        close,
        new,
        offsetof,
        sizeof,
        string,
        typeof,
    )
    from headway._threads import threads

    errno: int

__version__ = "0.1.0"

__all__ = [
    "NULL",
    "AnnotationError",
    "CType",
    "CompileError",
    "CompileWarning",
    "Function",
    "HeaderError",
    "HeadwayError",
    "LibraryError",
    "NotBoundError",
    "Pointer",
    "StatusError",
    "SymbolError",
    "UseAfterFreeError",
    "Value",
    "addressof",
    "buffer",
    "cast",
    "close",
    "compile",
    "errno",
    "get_num_threads",
    "load",
    "new",
    "offsetof",
    "set_errno",
    "set_num_threads",
    "sizeof",
    "string",
    "threads",
    "typeof",
]

# imported on first use, so that `import headway` stays light
_LAZY = {
    "load": "_load",
    "compile": "_compile",
    "threads": "_threads",
    "new": "_memory",
    "cast": "_memory",
    "addressof": "_memory",
    "sizeof": "_memory",
    "offsetof": "_memory",
    "buffer": "_memory",
    "string": "_memory",
    "typeof": "_memory",
    "close": "_memory",
}

if "HEADWAY_NUM_THREADS" in _os.environ:
    from headway._threads import warn_if_ignored as _warn_if_ignored

    _warn_if_ignored()


def include_dir() -> str:
    """The directory to give a C compiler for ``headway/annotate.h``."""
    return _os.path.join(_os.path.dirname(__file__), "include")


def __getattr__(name: str) -> Any:
    if name == "errno":
        from headway import _core

        return _core.get_errno()
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module 'headway' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"headway.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
