# SPDX-License-Identifier: MIT
"""Runs suites and shows what came out: as a rich table, as Markdown, as JSON."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from headway._bench import _call, _peers, _timing

SUITES = ("call", "map")

Progress = Callable[[str, float], None]  # what is being measured; the part done, 0 to 1


@dataclass
class Row:
    """One figure: what was measured and what it must reach."""

    figure: str
    value: float  # a ratio; milliseconds where there is nobody to compare with
    bound: float | None
    sense: str  # "at most", "at least"
    ours: tuple[str, float, str]  # name, median seconds, what it does
    theirs: tuple[str, float, str] | None
    unit: str
    beside: dict[str, float] = field(default_factory=dict)  # other interpreters: their value

    @property
    def reached(self) -> bool | None:
        """Whether the bound is kept; None where there is none."""
        if self.bound is None:
            return None
        return self.value <= self.bound if self.sense == "at most" else self.value >= self.bound

    def shown(self) -> str:
        """The value as text."""
        return f"{self.value:.1f} ms" if self.theirs is None else f"{self.value:.2f}"

    def must(self) -> str:
        """The bound as text."""
        if self.bound is None:
            return "shown"
        sign = "≤" if self.sense == "at most" else "≥"
        return f"{sign} {self.bound:g}{' ms' if self.theirs is None else ''}"

    def times(self) -> str:
        """The raw times as text."""
        sides = [self.ours] + ([self.theirs] if self.theirs else [])
        return "; ".join(f"{name} {duration(seconds)}" for name, seconds, _ in sides)


@dataclass
class Report:
    """What a run of suites found."""

    rows: list[Row] = field(default_factory=list)
    contests: list[dict[str, Any]] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)  # contestant: why it took no part


def duration(seconds: float) -> str:
    """Seconds with three figures and a unit."""
    for size, unit in [(1, "s"), (1e-3, "ms"), (1e-6, "us")]:
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def _rows(contest: _timing.Contest, measured: dict[str, _timing.Measured]) -> Iterator[Row]:
    for figure in contest.figures:
        if figure.ours not in measured or figure.theirs not in measured:
            continue
        ours, theirs = measured[figure.ours], measured[figure.theirs]
        at_most = figure.sense == "at most"
        yield Row(
            figure.text,
            _timing.ratio(ours, theirs) if at_most else _timing.ratio(theirs, ours),
            figure.bound,
            figure.sense,
            (figure.ours, ours.median, ours.contestant.what),
            (figure.theirs, theirs.median, theirs.contestant.what),
            contest.unit,
        )


def _contests(suite: str, peers: _peers.Peers) -> Iterator[_timing.Contest]:
    if suite == "call":
        return _call.contests(peers)
    from headway._bench import _map  # needs NumPy

    return _map.contests(peers)


def run(suites: Iterable[str], seconds: float, progress: Progress) -> Report:
    """Measures suites, giving each contest about `seconds`."""
    report, peers = Report(), _peers.Peers()
    for suite in suites:
        progress(f"{suite}: building", 0)
        for contest in _contests(suite, peers):
            measured: dict[str, _timing.Measured] = {}
            for state in _timing.measure(contest, seconds):
                if isinstance(state, dict):
                    measured = state
                else:
                    progress(f"{suite}: {contest.title}", state)
            report.rows.extend(_rows(contest, measured))
            report.absent.update(contest.absent)
            report.contests.append(
                {
                    "suite": suite,
                    "title": contest.title,
                    "unit": contest.unit,
                    "absent": contest.absent,
                    "seconds": {
                        name: {
                            "what": m.contestant.what,
                            "median": m.median,
                            "least": m.least,
                            "rounds": len(m.rounds),
                        }
                        for name, m in measured.items()
                    },
                }
            )
        if suite == "call":
            progress("call: import and load in fresh interpreters", 0)
            report.rows.append(_fresh(_call.start_up()))
            try:
                report.rows.extend(map(_fresh, _call.warm_loads()))
            except _peers.Missing as reason:
                report.absent["warm hw.load of sqlite3.h"] = str(reason)
    return report


def _fresh(found: _call.Fresh) -> Row:
    name = found.figure.partition(" (")[0]
    return Row(
        found.figure,
        1e3 * found.seconds,
        None if found.bound is None else 1e3 * found.bound,
        "at most",
        (name, found.seconds, found.what),
        None,
        "process",
    )


def beside(report: Report, python: str, suites: Iterable[str], seconds: float) -> None:
    """Adds what another interpreter, with Headway installed, finds in the same suites."""
    command = [python, "-m", "headway", "bench", *suites, "--json", "--seconds", str(seconds)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise _peers.Missing(f"{python}: {last}")
    found = json.loads(done.stdout)
    values = {row["figure"]: row["value"] for row in found["figures"]}
    for row in report.rows:
        if row.figure in values:
            row.beside[found["machine"]["python"]] = values[row.figure]


def as_json(report: Report, machine: dict[str, Any]) -> dict[str, Any]:
    """The report as what ``json.dumps`` takes."""
    return {
        "machine": machine,
        "packages": _peers.versions(),
        "figures": [
            {
                "figure": row.figure,
                "value": row.value,
                "bound": row.bound,
                "sense": row.sense,
                "reached": row.reached,
                "ours": list(row.ours),
                "theirs": list(row.theirs) if row.theirs else None,
                "beside": row.beside,
            }
            for row in report.rows
        ],
        "contests": report.contests,
        "absent": report.absent,
    }


def markdown(report: Report, machine: dict[str, Any]) -> str:
    """The report as Markdown: the figures, then what each contestant did and how long it took."""
    others = sorted({version for row in report.rows for version in row.beside})
    lines = [
        f"Measured on {machine['cpu']}, {machine['cores']} cores, {machine['system']}, "
        f"CPython {machine['python']}, {machine['compiler']}; "
        + ", ".join(f"{name} {version}" for name, version in _peers.versions().items())
        + ".",
        "",
        "| figure | measured | must reach | times |" + "".join(f" on {v} |" for v in others),
        "|---|---|---|---|" + "---|" * len(others),
    ]
    for row in report.rows:
        mark = "" if row.reached is not False else " (missed)"
        other = "".join(f" {row.beside[v]:.2f} |" if v in row.beside else " |" for v in others)
        lines.append(
            f"| {row.figure} | {row.shown()}{mark} | {row.must()} | {row.times()} |{other}"
        )
    for contest in report.contests:
        lines += [
            "",
            f"### {contest['title']}",
            "",
            "| | what it does | median | least | rounds |",
            "|---|---|---|---|---|",
        ]
        for name, took in contest["seconds"].items():
            what = took["what"].replace("|", "\\|")
            lines.append(
                f"| {name} | {what} | {duration(took['median'])} | "
                f"{duration(took['least'])} | {took['rounds']} |"
            )
    for name, reason in report.absent.items():
        lines += ["", f"{name} took no part: {reason}"]
    return "\n".join(lines) + "\n"
