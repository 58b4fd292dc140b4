# SPDX-License-Identifier: MIT
"""Finding and opening shared libraries, without a compiler.

``lib<name>.so`` is what the loader is asked for first. On many machines that file is missing (it
comes with development packages) or is a linker script (libm, libc), so the names that the loader's
cache knows are tried next: ``libm.so.6``. The cache is read for names only; which file serves this
machine is the loader's decision.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from headway import _core
from headway._errors import LibraryError, nearest

LOADER_CACHE = "/etc/ld.so.cache"

Name = str | os.PathLike[str] | None
Names = Name | Sequence[Name]


def open_libraries(names: Names, directories: Sequence[str] = ()) -> list[Any]:
    """Open one or several libraries.

    Parameters
    ----------
    names : str, path, None, or a sequence of these
        ``"m"`` is libm; what has a ``/`` or ``.so`` in it is a file; None is this process.
    directories : sequence of str
        Where to look before the loader's own places.

    Raises
    ------
    LibraryError
        Says where each was looked for, what the loader said and what to install.
    """
    if names is None or isinstance(names, (str, os.PathLike)):
        names = [names]
    return _open_all(list(names), directories)


def _open_all(names: list[Name], directories: Sequence[str], share: bool = False) -> list[Any]:
    """Open each; where one lacks symbols, those after it are opened first and lend theirs."""
    if not names:
        return []
    first, rest = names[0], names[1:]
    try:
        return [_open(first, directories, share), *_open_all(rest, directories, share)]
    except LibraryError as error:
        if not rest or "undefined symbol" not in str(error):
            raise
    opened = _open_all(rest, directories, share=True)
    return [_open(first, directories, share), *opened]


def stem(name: Name) -> str:
    """What a library is called in short: ``"z"`` for ``/usr/lib/libz.so.1``, "" for None."""
    if name is None:
        return ""
    base = os.path.basename(os.fspath(name)).partition(".so")[0]
    return base.removeprefix("lib") if base != os.fspath(name) else base


def _open(name: Name, directories: Sequence[str], share: bool) -> Any:
    if name is None:
        return _core.open_library(None)
    text = os.fspath(name)
    if "/" in text or isinstance(name, os.PathLike):
        return _open_file(os.path.expanduser(text), share)
    if not text:
        raise LibraryError("the name of a library is empty; write 'm' for libm, or None")
    refusals = []
    for candidate in _candidates(text, directories):
        try:
            return _core.open_library(candidate, share)
        except OSError as error:
            if os.path.exists(candidate) or "cannot open shared object file" not in str(error):
                refusals.append(str(error))
    for refusal in refusals:
        for entry in _script_entries(refusal.partition(": ")[0]):
            return _open(entry, directories, share)
    raise _not_found(text, directories, refusals)


def _script_entries(path: str) -> list[str]:
    """What a linker script such as libcurses.so stands for: ``INPUT(-lncurses)``."""
    try:
        with open(path, "rb") as file:
            text = file.read(4096)
    except OSError:
        return []
    if text.startswith(b"\x7fELF") or not text.isascii():
        return []
    found = re.findall(r"\b(?:INPUT|GROUP)\s*\(\s*(?:-l)?([^\s()]+)", text.decode())
    return [entry for entry in found if os.path.basename(path) not in (entry, f"lib{entry}.so")]


def _open_file(path: str, share: bool) -> Any:
    if not os.path.exists(path):
        raise LibraryError(f"there is no shared library {path!r}")
    try:
        return _core.open_library(os.path.abspath(path), share)
    except OSError as error:
        raise LibraryError(f"{path!r} cannot be opened: {error}") from error


def _candidates(name: str, directories: Sequence[str]) -> Iterator[str]:
    """What to ask the loader for, in order."""
    file = name if ".so" in name else f"lib{name}.so"
    for directory in directories:
        path = os.path.join(directory, file)
        if os.path.exists(path):
            yield path
    yield file
    yield from _versions(f"{file}.", cached_names())
    for directory in _own_directories():
        if os.path.isdir(directory):
            found = [n for n in os.listdir(directory) if n == file or n.startswith(f"{file}.")]
            yield from (os.path.join(directory, n) for n in _versions(file, found))


def _own_directories() -> list[str]:
    """Places beside this Python that the loader need not know: conda's, a virtual environment's."""
    return list(dict.fromkeys([f"{sys.prefix}/lib", f"{sys.base_prefix}/lib", "/usr/local/lib"]))


def _versions(start: str, names: Sequence[str]) -> list[str]:
    """The names that begin so, the newest version first."""

    def version(name: str) -> list[int]:
        return [int(part) for part in name[len(start) :].split(".") if part.isdecimal()]

    return sorted({n for n in names if n.startswith(start)}, key=version, reverse=True)


def cached_names() -> list[str]:
    """Every library name in the loader's cache; none where there is no such cache."""
    try:
        return _names_in(LOADER_CACHE, os.stat(LOADER_CACHE).st_mtime_ns)
    except OSError:
        return []


@lru_cache(maxsize=1)
def _names_in(cache: str, modified: int) -> list[str]:
    """The names in the cache as it was at this time."""
    with open(cache, "rb") as file:
        content = file.read()
    names = {string.rpartition(b"/")[2] for string in content.split(b"\0") if b".so" in string}
    return sorted(os.fsdecode(name) for name in names if name.startswith(b"lib"))


def _not_found(name: str, directories: Sequence[str], refusals: list[str]) -> LibraryError:
    file = name if ".so" in name else f"lib{name}.so"
    if refusals:
        said = "; ".join(dict.fromkeys(refusals))
        return LibraryError(f"library {name!r} was found but cannot be opened: {said}")
    places = [*directories, "the loader's directories (LD_LIBRARY_PATH and the system's)"]
    places += [f"{LOADER_CACHE} (for {file}.*)", *_own_directories()]
    known = sorted({stem(n) for n in cached_names()})
    return LibraryError(
        f"library {name!r} was not found. Looked for {file} in {', '.join(places)}. "
        f"Install the package that has it (on Debian and Ubuntu: apt install lib{stem(name)}-dev), "
        f"or give the path of the file{nearest(name, known)}"
    )


def ask_pkg_config(packages: str | Sequence[str]) -> PkgConfig:
    """Ask pkg-config where a package's headers and libraries are.

    Raises
    ------
    LibraryError
        pkg-config is not installed, or does not know the package.
    """
    import shlex
    import subprocess

    names = [packages] if isinstance(packages, str) else list(packages)
    command = ["pkg-config", "--cflags", "--libs", *names]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise LibraryError(
            "pkg_config= needs the pkg-config command, which is not installed "
            "(on Debian and Ubuntu: apt install pkgconf); or give include_dirs= instead"
        ) from None
    if done.returncode:
        raise LibraryError(f"{' '.join(command)} failed: {done.stderr.strip()}")
    return PkgConfig(shlex.split(done.stdout))


class PkgConfig:
    """The flags of a package, sorted."""

    def __init__(self, flags: Sequence[str]) -> None:
        self.include_dirs = _following(flags, "-I")
        self.library_dirs = _following(flags, "-L")
        self.libraries = _following(flags, "-l")
        pairs = [d.partition("=") for d in _following(flags, "-D")]
        self.defines: dict[str, str | int | None] = {n: v if eq else None for n, eq, v in pairs}


def _following(flags: Sequence[str], start: str) -> list[str]:
    return [flag[len(start) :] for flag in flags if flag.startswith(start)]
