# SPDX-License-Identifier: MIT
"""``headway load``: what Python sees of a C library."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import headway as hw
from headway._cli._output import console, print_json, progress
from headway._model import EMPTY_MACRO
from headway._module import Loaded, Row, loaded


def show(
    library: str,
    headers: Sequence[str],
    *,
    before: Sequence[str],
    include_dirs: Sequence[Path],
    defines: Sequence[str],
    pkg_config: str | None,
    annotate: Path | None,
    match: str | None,
    everything: bool,
    json: bool,
) -> None:
    """Loads a library and prints the table of what it declares."""
    with progress() as show_progress:
        show_progress(f"reading {', '.join(headers)}", 0)
        module = hw.load(
            None if library == "-" else library.split(","),
            *headers,
            headers=before,
            include_dirs=[str(directory) for directory in include_dirs],
            defines=dict(map(definition, defines)),
            pkg_config=pkg_config,
            annotate=None if annotate is None else str(annotate),
        )
        behind = loaded(module)
        names = behind.everything() if everything else behind.own()
        chosen = [name for name in names if match is None or fnmatchcase(name, match)]
        rows = []
        for i, name in enumerate(chosen):
            show_progress(f"binding {name}", i / len(chosen))
            rows.append(describe(behind, behind.row(name)))
    if json:
        print_json({"library": library, "headers": list(headers), "names": rows})
    else:
        _print(rows, f"{library}: {', '.join(headers)}")
        if match is not None and not rows:
            place = "the headers declare" if everything else "dir() lists; --all looks further"
            console().print(f"{match!r} matches nothing that {place}", markup=False)


def definition(text: str) -> tuple[str, str | None]:
    """``NAME`` or ``NAME=VALUE`` as an entry of ``defines=``."""
    name, given, value = text.partition("=")
    return name, value if given else None


def describe(behind: Loaded, row: Row) -> dict[str, Any]:
    """One row for the table and for JSON."""
    described: dict[str, Any] = {"name": row.name, "kind": row.kind, "bound": row.bound}
    if not row.bound:
        prefix = rf"{re.escape(behind.name)}\.{re.escape(row.name)}(?: is not bound)?: "
        described["reason"] = re.sub(rf"^{prefix}", "", row.text)
        return described
    described["c"] = row.text
    if row.kind == "function":
        function = getattr(behind.module, row.name)
        described["signature"] = f"{function.__name__}{function.__signature__}"
        described["map"] = row.mapping
        described["notes"] = list(row.notes)
    return described


def _short(signature: str) -> str:
    """A signature for the eye: without what every ufunc takes, C types not in quotes."""
    plain = signature.replace(", *, out=None, **ufunc_keywords", "")
    return plain.replace("*, out=None, **ufunc_keywords", "").replace("'", "")


def _print(rows: Sequence[dict[str, Any]], title: str) -> None:
    from rich.table import Table
    from rich.text import Text

    out = console()
    bound = [row for row in rows if row["bound"]]
    table = Table("name", "kind", "Python", "maps as", title=title, title_justify="left")
    for row in bound:
        table.add_row(row["name"], row["kind"], Text(_short(row.get("signature") or row["c"])),
                      row.get("map") or "")  # fmt: skip
    if bound:
        out.print(table)
    notes = [(row["name"], note) for row in bound for note in row.get("notes", ())]
    if notes:
        out.print("\nAssumed, where nothing says otherwise:")
        for name, note in notes:
            out.print(Text(f"  {name}: {note}"))
    refused = [row for row in rows if not row["bound"]]
    empty = [row["name"] for row in refused if row["reason"] == EMPTY_MACRO]
    told = [row for row in refused if row["reason"] != EMPTY_MACRO]
    if told:
        table = Table("name", "why it is not bound", title="Not bound", title_justify="left")
        for row in told:
            table.add_row(row["name"], Text(row["reason"]))
        out.print()
        out.print(table)
    if empty:
        out.print(Text(f"\nMacros that stand for nothing, as include guards: {', '.join(empty)}"))
    out.print(f"\n{len(bound)} bound, {len(refused)} not")
