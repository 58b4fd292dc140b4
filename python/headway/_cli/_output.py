# SPDX-License-Identifier: MIT
"""What the verbs share: tables, JSON, and a progress bar that stays out of the way."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


def console() -> Console:
    """Standard output; a pipe gets lines as long as they are."""
    return Console() if sys.stdout.isatty() else Console(width=200, highlight=False)


def print_json(value: Any) -> None:
    """A value as JSON on standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


@contextmanager
def progress() -> Iterator[Callable[[str, float], None]]:
    """A function that shows what is being done and which part (0 to 1) of it is done.

    The bar is on standard error, and only where that is a terminal.
    """
    errors = Console(stderr=True)
    bar = Progress(
        SpinnerColumn(), BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"),
        console=errors, transient=True, disable=not errors.is_terminal,
    )  # fmt: skip
    with bar:
        task = bar.add_task("", total=1.0)

        def show(what: str, part: float) -> None:
            bar.update(task, description=what, completed=part)

        yield show


def size(count: int) -> str:
    """A number of bytes for people."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError
