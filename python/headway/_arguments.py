# SPDX-License-Identifier: MIT
"""Arguments that `headway.load` and `headway.compile` share, checked and in one form."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from headway._errors import HeaderError

Paths = Sequence[str | os.PathLike[str]]
Defines = Mapping[str, str | int | None]


def texts(what: str, given: Paths, example: str) -> list[str]:
    """A sequence of names or paths.

    Raises
    ------
    TypeError
        It is one str, whose characters would be taken for the names.
    """
    if isinstance(given, (str, bytes, os.PathLike)):
        raise TypeError(
            f'{what} is a sequence of str, such as ["{example}"], '
            f"not the {type(given).__name__} {given!r}"
        )
    return [os.fspath(each) for each in given]


def directories(given: Paths) -> list[str]:
    """The absolute directories of ``include_dirs=``.

    Raises
    ------
    HeaderError
        One does not exist.
    """
    found = [os.path.abspath(path) for path in texts("include_dirs", given, "/usr/include/hdf5")]
    for path in found:
        if not os.path.isdir(path):
            what = "is no directory" if os.path.exists(path) else "does not exist"
            raise HeaderError(f"include_dirs: {path!r} {what}; name a directory of headers")
    return found


def definitions(given: Defines | None) -> dict[str, str | int | None]:
    """The macros of ``defines=``.

    Raises
    ------
    TypeError
        It is no mapping, or a value is neither text nor an integer nor None.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise TypeError(
            'defines is a mapping, such as {"NDEBUG": None, "SIZE": 8}, '
            f"not the {type(given).__name__} {given!r}"
        )
    for name, value in given.items():
        if value is not None and not isinstance(value, (str, int)):
            raise TypeError(
                f"defines: {name!r} is {value!r}; a macro stands for a str, an int or None (nothing)"
            )
    return dict(given)
