# SPDX-License-Identifier: MIT
"""`headway.load`: a shared library and its header become a module."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import ModuleType

from headway import _headers, _module
from headway._arguments import definitions, directories, texts
from headway._library import Name, Names, ask_pkg_config, open_libraries, stem
from headway._sources import Annotate, sources


def load(
    libraries: Names,
    *header: str | os.PathLike[str],
    annotate: Annotate = None,
    pkg_config: str | Sequence[str] | None = None,
    include_dirs: Sequence[str | os.PathLike[str]] = (),
    defines: Mapping[str, str | int | None] | None = None,
    headers: Sequence[str | os.PathLike[str]] = (),
    name: str | None = None,
    cache: bool = True,
) -> ModuleType:
    """Load a shared library by its header. No compiler is needed.

    Parameters
    ----------
    libraries : str, path, None, or a sequence of these
        ``"m"`` for libm, a path for a file, None for what this process has loaded already.
        Of several, each function is taken from the first that has it.
    *header : str or path
        As one would write them in ``#include <...>``, or paths of files.
    annotate : str, path, mapping or a sequence of these, optional
        What the header cannot say: a TOML file (looked for as given, then beside the header, then
        among those shipped with Headway) or ``{"function": {"parameter": "words"}}``.
    pkg_config : str or sequence of str, optional
        Packages that pkg-config knows; it says where headers and libraries are.
    include_dirs : sequence of str or path, optional
        Further directories to look for headers in.
    defines : mapping, optional
        Macros to define before the headers are read; None defines one as ``#define X`` does.
    headers : sequence of str or path, optional
        Headers to include before the ones loaded, for those that do not include what they need.
    name : str, optional
        What to call the module; by default the library's name or the header's.
    cache : bool, default True
        Keep what was read on disk, and use what is kept there.

    Returns
    -------
    module
        Functions, types, enums, macros and variables under their C names. ``dir()`` lists what the
        requested headers declare; the rest of what they include can be used as well.

    Raises
    ------
    LibraryError, HeaderError, AnnotationError
        What was not found or not understood, where it was looked for and what to do.

    Notes
    -----
    The words of annotations, under the name or index of a parameter (``"callback.2"`` for one of a
    callback's), separated by commas; docs/annotations.md has them all with examples.

    =========================== ====================================================
    in, out, inout              which way data goes; an ``in`` may be read-only
    size=n, size=[m][k]         an array of that many elements
    capacity=n, length=n        at most n elements are written; n of them were
    owned=fn, consumed          freed by fn; freed by this function
    borrowed, keeps=p           not freed; keeps the handle p alive
    nullable, bytes, error      None is NULL; bytes, not text; text of the exception
    context=p, on_error=value   a callback's void *; what C gets after an exception
    call, keep, keep=p          how long C uses a callback: this call, always, as p
    =========================== ====================================================

    Under ``return``: ``status(0)``, ``status(>=0)``, ``status(nonnull)``, ``status(errno)``,
    ``status(0, message=fn)``, and owned, borrowed, keeps, nullable, bytes. Of the function itself:
    ``serial``, ``lock=name``, ``split=n``, ``gil=keep``, ``gil=release``, ``name=python_name``.

    Examples
    --------
    >>> import headway as hw
    >>> m = hw.load("m", "math.h")
    >>> m.cos(0.0)
    1.0
    """
    if not header:
        raise TypeError("load() needs at least one header, such as load('m', 'math.h')")
    places = directories(include_dirs)
    macros = definitions(defines)
    before = texts("headers", headers, "stdio.h")
    library_dirs: list[str] = []
    if pkg_config is not None:
        package = ask_pkg_config(pkg_config)
        places += package.include_dirs
        library_dirs = package.library_dirs
        macros = {**package.defines, **macros}
    requested = [os.fspath(h) for h in header]
    declarations = _headers.read(
        [*before, *requested],
        extra_headers=len(before),
        include_dirs=places,
        defines=macros,
        cache=cache,
    )
    stems = [stem(library) for library in _sequence(libraries)]
    return _module.make(
        name or _module_name(stems, requested),
        declarations,
        open_libraries(libraries, library_dirs),
        sources(annotate, stems, _files_of(requested, declarations.files)),
    )


def _sequence(libraries: Names) -> Sequence[Name]:
    one = libraries is None or isinstance(libraries, (str, os.PathLike))
    return [libraries] if one else libraries  # type: ignore[list-item,return-value]


def _module_name(stems: Sequence[str], headers: Sequence[str]) -> str:
    """The first library's short name, else the header's, as an identifier."""
    base = next(filter(None, stems), os.path.splitext(os.path.basename(headers[0]))[0])
    return "".join(ch if ch.isalnum() or ch == "_" else "_" for ch in base)


def _files_of(headers: Sequence[str], files: Sequence[str]) -> list[str]:
    """The files that the requested headers are."""
    return [f for h in headers for f in files if f == h or f.endswith("/" + h)]
