# SPDX-License-Identifier: MIT
"""How many threads a map uses."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from headway import _core

VARIABLE, MOST = "HEADWAY_NUM_THREADS", 1024


def ignored() -> str | None:
    """The value of ``HEADWAY_NUM_THREADS`` where it is no number of threads; None where it is."""
    text = os.environ.get(VARIABLE, "").strip()
    fine = not text or (text.isascii() and text.isdecimal() and 1 <= int(text) <= MOST)
    return None if fine else text


def warn_if_ignored() -> None:
    """Warn of a value that the library passes over."""
    text = ignored()
    if text is not None:
        warnings.warn(
            f"{VARIABLE}={text} is ignored: expected a number from 1 to {MOST}; "
            f"maps use {_core.get_num_threads()} threads",
            RuntimeWarning,
            stacklevel=3,
        )


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Let maps that this thread starts inside the block use at most `n` threads.

    Parameters
    ----------
    n : int
        1 to 1024, the calling thread included. Results do not depend on it.

    Raises
    ------
    ValueError
        Where `n` is outside that range.

    Examples
    --------
    >>> import headway as hw
    >>> with hw.threads(2):
    ...     hw.get_num_threads()
    2
    """
    if n == 0:
        raise ValueError("0 threads: expected a number from 1 to 1024")
    before = _core.swap_threads(n)
    try:
        yield
    finally:
        _core.swap_threads(before)
