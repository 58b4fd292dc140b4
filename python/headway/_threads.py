# SPDX-License-Identifier: MIT
"""How many threads a map uses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from headway import _core


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
