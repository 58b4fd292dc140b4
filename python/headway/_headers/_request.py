# SPDX-License-Identifier: MIT
"""What is asked of the reader: headers, source, directories, definitions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import headway
from headway._headers._search import Search

FORMAT = 5  # of the records and the cache; raised when either changes

_PATH_OPTIONS = ("-I", "-isystem", "-iquote", "-idirafter", "-include")


class Request:
    """One reading of headers, its directories absolute and its headers found.

    Attributes
    ----------
    includes : tuple of (str, str)
        What stands after ``#include`` for each header, and the file that is.
    key : dict
        Everything the result depends on but the content of files; JSON-able.
    """

    def __init__(
        self,
        headers: Sequence[str | os.PathLike[str]],
        source: str | None = None,
        include_dirs: Iterable[str | os.PathLike[str]] = (),
        defines: Mapping[str, str | int | None] | None = None,
        extra_args: Iterable[str] = (),
        extra_headers: int = 0,
    ) -> None:
        directories, self.extra_args = _split_options(extra_args)
        self.search = Search((*include_dirs, *directories))
        self.headers = tuple(os.fspath(header) for header in headers)
        self.includes = tuple(self.search.resolve(header) for header in self.headers)
        self.extra_headers = extra_headers
        self.source = source
        self.defines = dict(defines or {})

    @property
    def key(self) -> dict[str, Any]:
        """What tells this request from another."""
        return {
            "format": FORMAT,
            "version": getattr(headway, "__version__", ""),
            "headers": [list(include) for include in self.includes],
            "extra_headers": self.extra_headers,
            "source": self.source,
            "search": [list(self.search.user), list(self.search.system)],
            "defines": {name: self.defines[name] for name in self.defines},
            "arguments": self.extra_args,
            "directory": os.getcwd() if self._relative() else "",
        }

    def _relative(self) -> bool:
        """Whether the working directory matters: the source's own includes start there."""
        lines = (self.source or "").split("\n")
        quoting = any('"' in line and line.lstrip().startswith("#") for line in lines)
        return quoting or "-include" in self.extra_args

    def arguments(self) -> list[str]:
        """The command line for libclang."""
        given = [
            f"-D{name}"
            if value is None
            else f"-D{name}={value:d}"
            if isinstance(value, int)
            else f"-D{name}={value}"
            for name, value in self.defines.items()
        ]
        return [
            "-xc",
            "-std=gnu17",
            "-fretain-comments-from-system-headers",
            "-Wno-pragma-once-outside-header",
            "-DHEADWAY_READING=1",
            *self.search.arguments(),
            *given,
            *self.extra_args,
        ]

    @property
    def name(self) -> str:
        """What messages call the unit."""
        return "<source>" if self.source is not None else "<headers>"

    def text(self) -> str:
        """The unit: the headers, then the source with its own line numbers."""
        lines = "".join(f"#include {include}\n" for include, _ in self.includes)
        if self.source is None:
            return lines
        return f'{lines}#line 1 "{self.name}"\n{self.source}\n'


def _split_options(extra_args: Iterable[str]) -> tuple[list[str], list[str]]:
    """The directories that ``-I`` names, and the other options; paths made absolute."""
    directories, others = [], []
    words = iter(extra_args)
    for word in words:
        option = next((o for o in _PATH_OPTIONS if word.startswith(o)), None)
        if option is None:
            others.append(word)
            continue
        path = word[len(option) :] or next(words, "")
        if option == "-I":
            directories.append(path)
        else:
            others += [option, path if option == "-include" else os.path.abspath(path)]
    return directories, others
