# SPDX-License-Identifier: MIT
"""Where headers are looked for: an explicit list, so that every look-up is known.

libclang runs with ``-nostdinc``. In this order: the user's ``include_dirs``, the directories of
``CPATH`` and ``C_INCLUDE_PATH``, clang's own headers or the few that ship with Headway,
``/usr/local/include``, the multiarch directory, ``/usr/include``, gcc's own headers where there are
none of clang's, and Headway's ``annotate.h``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence

from headway._errors import HeaderError

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FREESTANDING = os.path.join(_PACKAGE, "freestanding")
INCLUDE = os.path.join(_PACKAGE, "include")

_CLANG = 18  # the release of libclang the builtin headers should be made for


def _subdirectories(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def _versioned(root: str, tail: str) -> Iterator[tuple[tuple[int, ...], str]]:
    """The directories ``root/<version>/tail``, with their version."""
    for name in _subdirectories(root):
        parts = name.split(".")
        path = os.path.join(root, name, tail)
        if all(part.isdecimal() for part in parts) and os.path.isfile(path + "/stddef.h"):
            yield tuple(map(int, parts)), path


def _clang_headers(root: str) -> Iterator[tuple[tuple[int, ...], str]]:
    for name in _subdirectories(root):
        if name.startswith("llvm-"):
            yield from _versioned(f"{root}/{name}/lib/clang", "include")
    yield from _versioned(f"{root}/clang", "include")


def _gcc_headers(root: str) -> Iterator[tuple[tuple[int, ...], str]]:
    machine = os.uname().machine
    for target in _subdirectories(f"{root}/gcc"):
        if target.startswith(machine):
            yield from _versioned(f"{root}/gcc/{target}", "include")


def resource_dir(roots: Iterable[str] = ("/usr/lib", "/usr/lib64", "/usr/local/lib")) -> str:
    """The directory of ``stddef.h`` and its like.

    clang's of the release nearest to libclang's, else the newest gcc's, else Headway's own.
    """
    roots = tuple(roots)
    clang = [found for root in roots for found in _clang_headers(root)]
    if clang:
        return min(clang, key=lambda v: (abs(v[0][0] - _CLANG), v[0][0] > _CLANG, v[1]))[1]
    gcc = [found for root in roots for found in _gcc_headers(root)]
    return max(gcc)[1] if gcc else FREESTANDING


def system_dirs() -> list[str]:
    """The directories of the system's headers, in order."""
    multiarch = getattr(sys.implementation, "_multiarch", "")
    multiarch = multiarch or f"{os.uname().machine}-linux-gnu"
    places = ["/usr/local/include", f"/usr/include/{multiarch}", "/usr/include"]
    return [place for place in places if os.path.isdir(place)]


def _from_environment(variable: str) -> list[str]:
    value = os.environ.get(variable, "")
    return [os.path.abspath(entry) for entry in value.split(os.pathsep)] if value else []


class Search:
    """The directories to look for headers in.

    Attributes
    ----------
    user, system : tuple of str
        Absolute directories, in order; `user` comes first and warns where `system` does not.
    generic : frozenset of str
        Directories that hold the headers of many libraries.
    """

    __slots__ = ("generic", "system", "user")

    def __init__(self, include_dirs: Iterable[str | os.PathLike[str]] = ()) -> None:
        user = [os.path.abspath(os.fspath(path)) for path in include_dirs]
        user += _from_environment("CPATH")
        shared = system_dirs()
        builtin = resource_dir()
        system = [*_from_environment("C_INCLUDE_PATH"), builtin, *shared]
        if "/clang/" not in builtin:
            # made for libclang, which gcc's are not; those serve where nobody else has a header
            system = [*_from_environment("C_INCLUDE_PATH"), FREESTANDING, *shared, builtin]
        if os.path.isdir(INCLUDE):
            system.append(INCLUDE)
        self.user = tuple(dict.fromkeys(user))
        self.system = tuple(dict.fromkeys(path for path in system if path not in self.user))
        self.generic = frozenset(shared)

    @property
    def directories(self) -> tuple[str, ...]:
        """All of them, in order."""
        return self.user + self.system

    def arguments(self) -> list[str]:
        """As libclang wants to hear it."""
        return [
            "-nostdinc",
            *(f"-I{path}" for path in self.user),
            *(word for path in self.system for word in ("-isystem", path)),
        ]

    def find(self, header: str) -> str | None:
        """The file that ``#include <header>`` means; None where there is none."""
        for directory in self.directories:
            path = os.path.join(directory, header)
            if os.path.isfile(path):
                return path
        return None

    def resolve(self, header: str | os.PathLike[str]) -> tuple[str, str]:
        """What to write after ``#include``, and the file that is meant.

        Parameters
        ----------
        header : path-like
            A name to look for, or the path of a file: absolute, or relative to the working
            directory where the look-up finds nothing or it starts with a dot.

        Raises
        ------
        HeaderError
            There is no such file.
        """
        name = os.fspath(header)
        if not os.path.isabs(name) and not name.startswith("."):
            found = self.find(name)
            if found is not None:
                return f"<{name}>", found
        path = os.path.abspath(name)
        if os.path.isfile(path):
            return f'"{path}"', path
        if path == name or name.startswith("."):
            raise HeaderError(f"header {name!r} not found: there is no file {path}")
        raise HeaderError(missing(name, (*self.directories, os.getcwd())))


def missing(name: str, directories: Sequence[str]) -> str:
    """The message about a header that is nowhere."""
    return (
        f"header {name!r} not found; searched\n"
        + "".join(f"    {directory}\n" for directory in directories)
        + "give its directory with include_dirs=[...] or pkg_config=..., or install the package "
        "that has it (on Debian its name ends in -dev)"
    )
