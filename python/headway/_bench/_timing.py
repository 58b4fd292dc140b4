# SPDX-License-Identifier: MIT
"""Measuring contestants in turns, so that what disturbs one disturbs all."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from headway._bench._peers import Missing

ROUND = 2e-3  # seconds that one round of one contestant takes at least
FEWEST, MOST = 5, 200  # rounds
UNROLL = 20  # calls in the body of the timing loop: its own cost is then below 1 ns a call


@dataclass(frozen=True)
class Contestant:
    """One way to do a piece of work.

    `expression`, or statements on one line, runs with `names` as local variables; once does the work
    `per` times (elements of an array). `around` makes a context that a round runs in.
    """

    name: str
    what: str
    expression: str
    names: Mapping[str, Any]
    per: float = 1
    around: Callable[[], AbstractContextManager[Any]] = nullcontext


@dataclass(frozen=True)
class Figure:
    """A ratio to be reached: the time of `ours` over that of `theirs`, "at most" `bound`; for
    "at least" it is how many times faster `ours` is. No bound: shown only."""

    text: str
    ours: str
    theirs: str
    bound: float | None = None
    sense: str = "at most"


@dataclass
class Contest:
    """What is measured in one go, and the figures drawn from it."""

    title: str
    unit: str  # what one time is for: "call", "element", "stack"
    contestants: list[Contestant] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)

    def add(
        self, name: str, what: str, make: Callable[[], tuple[str, dict[str, Any]]], **options: Any
    ) -> None:
        """Adds a contestant whose expression and names `make` returns; notes why it cannot."""
        try:
            expression, names = make()
        except Missing as reason:
            self.absent[name] = str(reason)
        else:
            self.contestants.append(Contestant(name, what, expression, names, **options))

    def figure(
        self, text: str, ours: str, theirs: str, bound: float | None = None, sense: str = "at most"
    ) -> None:
        """Adds a figure; see `Figure`."""
        self.figures.append(Figure(text, ours, theirs, bound, sense))


@dataclass(frozen=True)
class Measured:
    """Seconds for one unit of work, one number a round."""

    contestant: Contestant
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median over the rounds."""
        return statistics.median(self.rounds)

    @property
    def least(self) -> float:
        """The quickest round."""
        return min(self.rounds)


def ratio(a: Measured, b: Measured) -> float:
    """Median over the rounds of a's time over b's in the same round."""
    return statistics.median(x / y for x, y in zip(a.rounds, b.rounds, strict=True))


Clocked = Callable[[int], float]  # seconds that this many repeats take


def _clocked(contestant: Contestant, unroll: int) -> Clocked:
    """The contestant's expression in a loop, its names local variables."""
    names = dict(contestant.names)
    body = "\n        ".join([contestant.expression] * unroll)
    source = (
        f"def run(repeats, clock, {', '.join(names)}):\n"
        "    start = clock()\n"
        "    for _ in range(repeats):\n"
        f"        {body}\n"
        "    return clock() - start\n"
    )
    scope: dict[str, Any] = {}
    exec(compile(source, f"<{contestant.name}>", "exec"), scope)
    run = scope["run"]

    def clocked(repeats: int) -> float:
        with contestant.around():
            seconds: float = run(repeats, time.perf_counter, **names)
        return seconds

    return clocked


def _prepared(contestant: Contestant) -> tuple[Clocked, int, int]:
    """The loop, how often it evaluates its expression per repeat, and how many repeats a round."""
    once = _clocked(contestant, 1)
    once(1)  # what is done on first use is not measured
    if min(once(1) for _ in range(3)) > ROUND / UNROLL:
        clocked, unroll = once, 1
    else:
        clocked, unroll = _clocked(contestant, UNROLL), UNROLL
    repeats = 1
    while (seconds := clocked(repeats)) < ROUND:
        repeats = max(repeats + 1, min(10 * repeats, int(repeats * 1.2 * ROUND / seconds) + 1))
    return clocked, unroll, repeats


def measure(contest: Contest, seconds: float) -> Iterator[dict[str, Measured] | float]:
    """Measures every contestant of a contest for about `seconds` in all.

    Yields the part that is done, 0 to 1, now and then, and at last the measurements by name.
    """
    prepared = [_prepared(c) for c in contest.contestants]
    times: list[list[float]] = [[] for _ in prepared]
    enabled = gc.isenabled()
    gc.disable()
    try:
        start = time.perf_counter()
        while True:
            for (clocked, unroll, repeats), c, into in zip(
                prepared, contest.contestants, times, strict=True
            ):
                into.append(clocked(repeats) / (repeats * unroll * c.per))
            spent = (time.perf_counter() - start) / seconds if seconds else 1.0
            count = len(times[0]) if times else MOST
            if count >= MOST or (spent >= 1 and count >= FEWEST):
                break
            yield min(spent, 0.99)
    finally:
        if enabled:
            gc.enable()
    yield {
        c.name: Measured(c, tuple(rounds))
        for c, rounds in zip(contest.contestants, times, strict=True)
    }
