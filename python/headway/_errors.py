# SPDX-License-Identifier: MIT
"""The exceptions of Headway.

Each is a `HeadwayError` and the built-in exception a caller would expect in its place, so that
``except OSError`` and ``except AttributeError`` work as they do elsewhere.
"""

from __future__ import annotations


class HeadwayError(Exception):
    """Base of every exception that Headway defines."""


class HeaderError(HeadwayError, ValueError):
    """A header is missing or has an error; the message shows file, line and source."""


class LibraryError(HeadwayError, OSError):
    """A shared library was not found or could not be opened."""


class SymbolError(HeadwayError, AttributeError):
    """A header declares a name that the library does not have."""


class NotBoundError(HeadwayError, AttributeError):
    """A declaration that cannot be used from Python; the message says why."""


class AnnotationError(HeadwayError, ValueError):
    """An annotation is malformed or does not fit the declaration it is about."""


class CompileError(HeadwayError, RuntimeError):
    """No compiler was found, or it refused the source."""


class CompileWarning(UserWarning):
    """The compiler warned of C that it accepted."""


class StatusError(HeadwayError, RuntimeError):
    """A C function reported failure.

    Attributes
    ----------
    status : object
        What the function returned.
    function : str
        Its name.
    message : str or None
        The library's own text about the failure, where an annotation says how to get it.
    """

    def __init__(self, status: object, function: str, message: str | None = None) -> None:
        said = f": {message}" if message else ""
        super().__init__(f"{function} failed with status {_shown(status)}{said}")
        self.status = status
        self.function = function
        self.message = message

    def __reduce__(self) -> tuple[type[StatusError], tuple[object, str, str | None]]:
        return type(self), (self.status, self.function, self.message)


class UseAfterFreeError(HeadwayError, ReferenceError):
    """A handle was used after the function that frees it had been called."""


def _shown(status: object) -> str:
    """A status as C users know it: an enum's member by name and number."""
    name = getattr(status, "name", None)
    return f"{name} ({int(status)})" if name and isinstance(status, int) else repr(status)


def nearest(word: str, known: list[str]) -> str:
    """``"; did you mean 'x'?"`` for the known word nearest to this one, else nothing."""
    import difflib  # only on the way to an error

    close = difflib.get_close_matches(word, known, 1, 0.6)
    return f"; did you mean {close[0]!r}?" if close else ""
