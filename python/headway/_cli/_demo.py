# SPDX-License-Identifier: MIT
"""``headway demo``: the demonstration's tables and picture."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path

from typer import BadParameter

from headway._bench import _demo
from headway._bench._peers import Missing, Peers
from headway._bench._report import duration
from headway._cli._bench import BenchError
from headway._cli._output import console, print_json, progress


def run(output: Path, seconds: float, json: bool) -> None:
    """Runs the demonstration."""
    if not output.absolute().parent.is_dir():
        raise BadParameter(f"--output: there is no directory {str(output.parent)!r}")
    if output.is_dir():
        raise BadParameter(f"--output: {str(output)!r} is a directory; name a file in it")
    out = console()
    with progress() as show:
        show("loading libraries", 0)
        shown = list(_demo.libraries())
        if not json:
            _print_libraries(shown)
        peers = Peers()
        try:
            tables = [
                _demo.beta_table(peers, seconds, show),
                _demo.matmul_table(peers, seconds, show),
            ]
        except Missing as reason:
            raise BenchError(str(reason)) from None
        drawn = importlib.util.find_spec("matplotlib") is not None
        if drawn:
            show(f"drawing {output}", 0.9)
            _demo.picture(tables, output)
    if json:
        print_json(
            {
                "libraries": [dataclasses.asdict(line) for line in shown],
                "tables": [dataclasses.asdict(table) for table in tables],
                "picture": str(output) if drawn else None,
            }
        )
        return
    for table in tables:
        _print_table(table)
    out.print(
        f"picture: {output}" if drawn else "no picture: pip install 'headway\\[plot]' for one"
    )


def _print_libraries(shown: list[_demo.Shown]) -> None:
    from rich.table import Table

    table = Table("loaded", "called", "gave", title="C libraries, no binding written",
                  title_justify="left")  # fmt: skip
    for line in shown:
        table.add_row(*(text.replace("[", "\\[") for text in (line.load, line.call, line.result)))
    console().print(table)


def _print_table(table: _demo.Table) -> None:
    from rich.table import Table

    calls = any(line.per_call is not None for line in table.lines)
    best = min(line.per_element for line in table.lines if line.per_element is not None)
    columns = ["", *(["per call"] if calls else []), f"per {table.unit}", "x the quickest", "how"]
    shown = Table(title=table.title, title_justify="left")
    for column in columns:
        shown.add_column(column, justify="left" if column in {"", "how"} else "right")
    for line in table.lines:
        element = line.per_element
        row = [line.name]
        if calls:
            row.append("" if line.per_call is None else duration(line.per_call))
        row += ["" if element is None else duration(element),
                "" if element is None else f"{element / best:,.1f}", line.what]  # fmt: skip
        style = "bold" if line.name.startswith(_demo.OURS) else ""
        shown.add_row(*row, style=style)
    console().print(shown)
    for name, reason in table.absent.items():
        console().print(f"{name} took no part: {reason}", markup=False)
