# SPDX-License-Identifier: MIT
"""``headway bench``: the figures, as a table, Markdown or JSON."""

from __future__ import annotations

from collections.abc import Sequence

from headway._bench import _report
from headway._bench._peers import Missing
from headway._cli._info import machine
from headway._cli._output import console, print_json, progress
from headway._errors import HeadwayError


class BenchError(HeadwayError):
    """A benchmark could not be run."""


def run(
    suites: Sequence[str], seconds: float, others: Sequence[str], *, markdown: bool, json: bool
) -> None:
    """Measures suites and shows what came out."""
    with progress() as show:
        try:
            report = _report.run(suites, seconds, show)
            for python in others:
                show(f"the same on {python}", 0)
                _report.beside(report, python, suites, seconds)
        except Missing as reason:
            raise BenchError(str(reason)) from None
    if json:
        print_json(_report.as_json(report, machine()))
    elif markdown:
        print(_report.markdown(report, machine()), end="")
    else:
        _print(report)


def _print(report: _report.Report) -> None:
    from rich.table import Table

    versions = sorted({version for row in report.rows for version in row.beside})
    table = Table("figure", "measured", "must reach", "times (median)",
                  *(f"on {version}" for version in versions), title_justify="left")  # fmt: skip
    for row in report.rows:
        colour = {True: "green", False: "red", None: "default"}[row.reached]
        table.add_row(
            row.figure, f"[{colour}]{row.shown()}[/]", row.must(), row.times(),
            *(f"{row.beside[v]:.2f}" if v in row.beside else "" for v in versions),
        )  # fmt: skip
    out = console()
    out.print(table)
    for name, reason in report.absent.items():
        out.print(f"{name} took no part: {reason}", markup=False)
