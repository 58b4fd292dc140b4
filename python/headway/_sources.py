# SPDX-License-Identifier: MIT
"""Where the annotations of a module come from, and which of them speak of a declaration.

Annotations that ship with Headway are read when a function they might speak of is first used, so
that loading a module does not wait for them. Those that the user gives are read and checked at once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headway._errors import AnnotationError

if TYPE_CHECKING:
    from headway._annotate import Layer

SHIPPED = os.path.join(os.path.dirname(__file__), "annotations")

Source = str | os.PathLike[str] | Mapping[str, Any]
Annotate = Source | Sequence[Source] | None


class Given:
    """One dictionary or TOML file of annotations.

    Parameters
    ----------
    path : str
        The file; or, for messages, where the dictionary was given.
    table : mapping, optional
        The annotations, where they are not in a file.
    strict : bool
        Checked when the module is made: the user's own. Shipped ones may speak of what this version
        of a library does not have.
    automatic : bool
        Applied without being asked for; says only which functions may not run in parallel.
    """

    def __init__(
        self,
        path: str,
        table: Mapping[str, Any] | None = None,
        *,
        strict: bool = True,
        automatic: bool = False,
    ) -> None:
        self.path = path
        self.strict = strict
        self.automatic = automatic
        self._table = table
        self._layer: Layer | None = None
        self._text: str | None = None

    @property
    def layer(self) -> Layer:
        """The annotations by function or struct, read at first use."""
        if self._layer is None:
            from headway import _annotate

            if self._table is None:
                self._layer = _annotate.read_toml(self.path)
            else:
                self._layer = _annotate.flatten(self._table, self.path)
        return self._layer

    def _may_name(self, name: str) -> bool:
        """Whether the annotations could speak of a name: parsing a file takes longer than looking
        for the name in its text."""
        if self._layer is not None or self._table is not None:
            return True
        if self._text is None:
            with open(self.path, encoding="utf-8") as file:
                self._text = file.read()
        return "*" in self._text or re.search(rf"\b{re.escape(name)}\b", self._text) is not None

    def about(self, name: str) -> list[Mapping[str, str]]:
        """What is said about a name: by patterns such as ``H5*`` first, then by the name itself."""
        if not self._may_name(name):
            return []
        if name in self.layer:
            return [*self._by_pattern(name), self.layer[name]]
        return self._by_pattern(name)

    def _by_pattern(self, name: str) -> list[Mapping[str, str]]:
        from fnmatch import fnmatchcase

        return [said for key, said in self.layer.items() if "*" in key and fnmatchcase(name, key)]


def sources(
    annotate: Annotate, stems: Sequence[str], header_files: Sequence[str]
) -> tuple[Given, ...]:
    """All annotations of a module, each over the ones before.

    Parameters
    ----------
    annotate : str, path, mapping or a sequence of these
        What the user gives. A file is looked for as given, then beside the headers, then among
        those shipped with Headway.
    stems : sequence of str
        Short names of the libraries; for some, annotations apply without being asked for.
    header_files : sequence of str
        The headers that were read.

    Raises
    ------
    AnnotationError
        A file was not found; the message says where it was looked for.
    """
    found = [Given(path, strict=False, automatic=True) for path in _automatic(stems)]
    if annotate is None:
        return tuple(found)
    each = [annotate] if isinstance(annotate, (str, os.PathLike, Mapping)) else annotate
    for source in each:
        if isinstance(source, Mapping):
            found.append(Given("annotate=", source))
        else:
            found.append(_file(os.fspath(source), header_files))
    return tuple(found)


def _automatic(stems: Sequence[str]) -> list[str]:
    """Shipped annotations that say which functions may not run in parallel."""
    names = ["c", "m"]
    for start in ("fftw3", "hdf5"):
        if any(stem.startswith(start) for stem in stems):
            names.append(start)
    return [os.path.join(SHIPPED, f"{name}.toml") for name in names]


def _file(name: str, header_files: Sequence[str]) -> Given:
    beside = dict.fromkeys(os.path.dirname(file) for file in header_files)
    places = [os.path.expanduser(name), *(os.path.join(d, name) for d in beside)]
    for path in places:
        if os.path.isfile(path):
            return Given(path)
    shipped = os.path.join(SHIPPED, name)
    if os.path.isfile(shipped):
        return Given(shipped, strict=False)
    raise AnnotationError(
        f"annotations {name!r} were not found; looked for {', '.join(places)} and {shipped}"
    )
