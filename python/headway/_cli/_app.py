# SPDX-License-Identifier: MIT
"""The verbs and their options. Bodies import what they need when they run."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="C headers become Python modules, fast for one call and for a hundred million.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


class Suite(StrEnum):
    """The suites of the benchmark."""

    call = "call"
    map = "map"


def _version(wanted: bool) -> None:
    if wanted:
        from headway import __version__

        typer.echo(f"headway {__version__}")
        raise typer.Exit


@app.callback()
def headway(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """C headers become Python modules, fast for one call and for a hundred million."""


@app.command()
def load(
    library: Annotated[
        str,
        typer.Argument(
            help="The library: `m`, `gsl,gslcblas` for several, a path, or `-` for what the "
            "process has (libc).",
            show_default=False,
        ),
    ],
    header: Annotated[
        list[str],
        typer.Argument(help="Its header or headers, as in `#include`.", show_default=False),
    ],
    include_dir: Annotated[
        list[Path] | None,
        typer.Option("--include-dir", "-I", help="Look for headers here, too. Repeatable."),
    ] = None,
    before: Annotated[
        list[str] | None,
        typer.Option(
            "--include", metavar="HEADER", help="Include this one before the others. Repeatable."
        ),
    ] = None,
    define: Annotated[
        list[str] | None,
        typer.Option("--define", "-D", metavar="NAME[=VALUE]", help="Define a macro. Repeatable."),
    ] = None,
    pkg_config: Annotated[
        str | None,
        typer.Option(metavar="PACKAGE", help="Take include directories from pkg-config."),
    ] = None,
    annotate: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A TOML file of annotations."),
    ] = None,
    match: Annotated[
        str | None,
        typer.Option(metavar="PATTERN", help="Only names like this one, as in `gsl_sf_*`."),
    ] = None,
    everything: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Also names that `dir()` leaves out: from included headers, "
            "with leading underscores.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """
    Show what Python sees of a C library.

    One row for each name: its kind, its Python signature, and how it maps over arrays.
    Below: which arrays are assumed to be outputs, and what is not bound, with the reason.

    `headway load m math.h`

    `headway load hdf5_serial hdf5.h --pkg-config hdf5 --match 'H5D*'`
    """
    from headway._cli._load import show

    show(
        library,
        header,
        before=before or [],
        include_dirs=include_dir or [],
        defines=define or [],
        pkg_config=pkg_config,
        annotate=annotate,
        match=match,
        everything=everything,
        json=json,
    )


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the picture goes.")] = Path(
        "demo.png"
    ),
    seconds: Annotated[
        float, typer.Option(min=0.01, help="How long to measure each table, in seconds.")
    ] = 4.0,
    json: Json = False,
) -> None:
    """
    Call C from Python at every scale, beside what one would use instead.

    Binds real libraries without a line of binding code, then measures the log density of the beta
    distribution and a stack of matrix products in every way at hand: plain Python, SciPy, cffi,
    Headway loaded and compiled, with vector math, on all cores, and plain C. Takes under a
    minute and draws a picture.
    """
    from headway._cli._demo import run

    run(output, seconds, json)


@app.command()
def bench(
    suites: Annotated[
        list[Suite] | None,
        typer.Argument(
            help="What to measure: `call`, `map`; both where none is named.", show_default=False
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0.0, help="How long to measure each group of contestants.")
    ] = 3.0,
    beside: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PYTHON",
            help="Show another interpreter's figures beside: "
            "one that has Headway installed. Repeatable.",
        ),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    json: Json = False,
) -> None:
    """
    Measure Headway against its peers, in one run.

    `call`: what one call costs, against a hand-written METH_FASTCALL extension, nanobind, cffi
    and ctypes. `map`: what one element costs, against C loops, NumPy, Numba and SciPy. Every
    figure is a ratio of times measured in turns; what both sides do is in the Markdown and the
    JSON. The peers are in the extra `bench` and are built with the machine's compiler.
    """
    from headway._cli._bench import run

    if markdown and json:
        raise typer.BadParameter("--markdown and --json exclude each other")
    names = [suite.value for suite in suites] if suites else [suite.value for suite in Suite]
    run(names, seconds, beside or [], markdown=markdown, json=json)


@app.command()
def info(json: Json = False) -> None:
    """
    Tell what Headway found on this machine.

    Versions, processor, threads, compilers, vector math library, C headers, cache.
    """
    from headway._cli._info import show

    show(json)


@app.command()
def cache(
    clear: Annotated[
        bool, typer.Option("--clear", help="Remove every entry; it is rebuilt when needed.")
    ] = False,
    json: Json = False,
) -> None:
    """
    Show or clear the cache.

    Parsed headers, compiled modules and the benchmark's peers are kept there.
    `HEADWAY_CACHE_DIR` says where.
    """
    from headway._cli._cache import run

    run(clear, json)
