# SPDX-License-Identifier: MIT
"""The work behind ``headway demo``: real libraries bound, two tables, and a picture of them."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import headway as hw
from headway._bench import _map, _timing
from headway._bench._peers import SOURCES, Peers
from headway._bench._timing import Contest
from headway._errors import HeaderError, LibraryError

OURS = "Headway"  # what the names of Headway's own rows begin with
BETA = "beta_logpdf(a, b, x) = lgamma(a+b) - lgamma(a) - lgamma(b) + (a-1) log x + (b-1) log1p(-x)"


@dataclass(frozen=True)
class Shown:
    """A line of code, what it gave, and how long loading its library took."""

    load: str
    call: str
    result: str
    seconds: float


@dataclass(frozen=True)
class Line:
    """A row of a table: seconds, None where a way does not apply."""

    name: str
    what: str
    per_call: float | None
    per_element: float | None


@dataclass(frozen=True)
class Table:
    """One table of the demo."""

    title: str
    unit: str
    lines: list[Line]
    absent: dict[str, str]


def _libm() -> str:
    m = hw.load("m", "math.h")
    return f"{m.cos(1.0):.4f}, {m.hypot(np.arange(3.0), 4)}"


def _zlib() -> str:
    z = hw.load("z", "zlib.h", annotate={"crc32": {"buf": "in, size=len"}})
    return f"{z.crc32(0, b'hello')}, {z.zlibVersion()!r}, {z.Z_BEST_SPEED}"


def _sqlite() -> str:
    sq = hw.load("sqlite3", "sqlite3.h", annotate="sqlite3.toml")
    rows: list[Any] = []
    db = sq.sqlite3_open(":memory:")
    sq.sqlite3_exec(db, "select 1, null", lambda n, values, names: rows.append(list(values)))
    return f"{rows[0]}"


def _gsl() -> str:
    g = hw.load(["gsl", "gslcblas"], "gsl/gsl_sf_bessel.h")
    return f"{g.gsl_sf_bessel_J0(np.array([0.0, 2.4048, 5.5201])).round(4)}"


def _stdlib() -> str:
    return f"{hw.load(None, 'stdlib.h').div(10, 3)}"


LIBRARIES: tuple[tuple[str, str, Callable[[], str]], ...] = (
    ('m = hw.load("m", "math.h")', "m.cos(1.0), m.hypot(np.arange(3.0), 4)", _libm),
    ('z = hw.load("z", "zlib.h", annotate={...})',
     'z.crc32(0, b"hello"), z.zlibVersion(), z.Z_BEST_SPEED', _zlib),
    ('sq = hw.load("sqlite3", "sqlite3.h", annotate="sqlite3.toml")',
     'sq.sqlite3_exec(db, "select 1, null", callback)', _sqlite),
    ('g = hw.load(["gsl", "gslcblas"], "gsl/gsl_sf_bessel.h")',
     "g.gsl_sf_bessel_J0(np.array([0, 2.4048, 5.5201]))", _gsl),
    ('c = hw.load(None, "stdlib.h")', "c.div(10, 3)", _stdlib),
)  # fmt: skip


def libraries() -> Iterator[Shown]:
    """Loads real libraries and calls a function or two of each."""
    for load, call, run in LIBRARIES:
        start = time.perf_counter()
        try:
            result = run()
        except (LibraryError, HeaderError) as error:
            result = f"not on this machine: {str(error).splitlines()[0]}"
        yield Shown(load, call, result, time.perf_counter() - start)


def plain_beta_logpdf(a: float, b: float, x: float) -> float:
    """The formula in Python."""
    return (
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
        + (a - 1) * math.log(x) + (b - 1) * math.log1p(-x)
    )  # fmt: skip


class _BetaWays:
    """The ways to compute beta_logpdf that both contests of its table use."""

    def __init__(self, peers: Peers) -> None:
        self.peers = peers
        self.loaded = hw.load(str(peers.kernels), str(SOURCES / "kernels.h")).beta_logpdf
        self.compiled = hw.compile(_map.BETA).beta_logpdf
        self.vector = hw.compile(_map.BETA, math="vector").beta_logpdf

    def per_call(self) -> Contest:
        """One evaluation with Python floats."""
        contest = Contest("one call", "call")

        def scalars(expression: str, get: Callable[[], Any]) -> tuple[str, dict[str, Any]]:
            return expression, {"f": get(), "a": _map.A, "b": _map.B, "x": 0.3}

        ways: list[tuple[str, str, Callable[[], Any]]] = [
            ("plain Python", "f(a, b, x)", lambda: plain_beta_logpdf),
            ("SciPy scalar", "f(x, a, b)", lambda: self.peers.scipy[0].beta.logpdf),
            ("cffi", "f(a, b, x)", lambda: self.peers.cffi.lib.beta_logpdf),
            ("Headway loaded", "f(a, b, x)", lambda: self.loaded),
            ("Headway compiled", "f(a, b, x)", lambda: self.compiled),
            ("Headway + vector math", "f(a, b, x)", lambda: self.vector),
        ]
        for name, expression, get in ways:
            contest.add(name, "", functools.partial(scalars, expression, get))
        return contest

    def per_element(self) -> Contest:
        """A million elements; ten thousand where every element is a Python call."""
        import ctypes

        n, few = 1_000_000, 10_000
        contest = Contest("one element", "element")
        x, out = _map.unit_interval(n), np.zeros(n)
        floats = x[:few].tolist()

        def one_by_one(function: Any) -> tuple[str, dict[str, Any]]:
            return "[f(a, b, v) for v in xs]", {
                "f": function,
                "a": _map.A,
                "b": _map.B,
                "xs": floats,
            }

        def mapped(function: Any) -> tuple[str, dict[str, Any]]:
            return "f(a, b, x, out=out)", {
                "f": function,
                "a": _map.A,
                "b": _map.B,
                "x": x,
                "out": out,
            }

        one: dict[str, Any] = {"per": n, **_map.threads(1)}
        contest.add(
            "plain Python",
            "a list comprehension, math.lgamma and so on",
            lambda: one_by_one(plain_beta_logpdf),
            per=few,
        )
        contest.add(
            "SciPy scalar",
            "scipy.stats.beta.logpdf in a list comprehension",
            lambda: (
                "[f(v, a, b) for v in xs]",
                {
                    "f": self.peers.scipy[0].beta.logpdf,
                    "a": _map.A,
                    "b": _map.B,
                    "xs": floats[:100],
                },
            ),
            per=100,
        )
        contest.add(
            "SciPy vector",
            "scipy.stats.beta.logpdf of the array",
            lambda: (
                "f(x, a, b)",
                {"f": self.peers.scipy[0].beta.logpdf, "a": _map.A, "b": _map.B, "x": x},
            ),
            **one,
        )
        contest.add(
            "cffi",
            "API mode, in a list comprehension",
            lambda: one_by_one(self.peers.cffi.lib.beta_logpdf),
            per=few,
        )
        contest.add(
            "Headway loaded", "hw.load, no compiler, one core", lambda: mapped(self.loaded), **one
        )
        contest.add(
            "Headway compiled", "hw.compile, libm, one core", lambda: mapped(self.compiled), **one
        )
        contest.add(
            "Headway + vector math",
            'hw.compile(math="vector"), one core',
            lambda: mapped(self.vector),
            **one,
        )
        contest.add(
            "Headway + all cores",
            f"the same on {hw.get_num_threads()} threads",
            lambda: mapped(self.vector),
            per=n,
        )
        contest.add(
            "plain C",
            "a C loop, gcc -O3 -march=native, libm, one core",
            lambda: (
                "f(n, a, b, x, out)",
                {
                    "f": self.peers.plain.beta_scalar_shapes,
                    "n": ctypes.c_size_t(n),
                    "a": ctypes.c_double(_map.A),
                    "b": ctypes.c_double(_map.B),
                    "x": _map.address(x),
                    "out": _map.address(out),
                },
            ),
            **one,
        )
        return contest


def _matmul(peers: Peers) -> Contest:
    """100,000 products of small matrices."""
    import ctypes

    stacks, few, m = 100_000, 1_000, 4
    contest = Contest("one product", "product")
    rng = np.random.default_rng(9)
    a, b = rng.random((stacks, m, m)), rng.random((stacks, m, m))
    out = np.zeros_like(a)
    given = {"a": a, "b": b, "out": out}
    library = peers.library("matmul", "matmul.c")
    loaded = hw.load(str(library), str(SOURCES / "matmul.h")).matmul
    compiled = hw.compile(_map.MATMUL).matmul

    def mapped(function: Any) -> tuple[str, dict[str, Any]]:
        return "f(a, b, out=out)", {"f": function, **given}

    one: dict[str, Any] = {"per": stacks, **_map.threads(1)}
    contest.add(
        "Python loop",
        "np.dot of each pair",
        lambda: ("[f(p, q) for p, q in zip(a, b)]", {"f": np.dot, "a": a[:few], "b": b[:few]}),
        per=few,
    )
    contest.add(
        "np.einsum",
        'einsum("sij,sjk->sik", a, b)',
        lambda: ('f("sij,sjk->sik", a, b, out=out)', {"f": np.einsum, **given}),
        **one,
    )
    contest.add("np.matmul", "NumPy's own gufunc", lambda: mapped(np.matmul), **one)
    contest.add("Headway loaded", "hw.load, no compiler, one core", lambda: mapped(loaded), **one)
    contest.add("Headway compiled", "hw.compile, one core", lambda: mapped(compiled), **one)
    contest.add(
        "Headway + all cores",
        f"the same on {hw.get_num_threads()} threads",
        lambda: mapped(compiled),
        per=stacks,
    )
    contest.add(
        "plain C",
        "a C loop over the stacks, gcc -O3 -march=native, one core",
        lambda: (
            "f(s, m, a, b, out)",
            {
                "f": peers.plain.matmul_stack,
                "s": ctypes.c_size_t(stacks),
                "m": ctypes.c_size_t(m),
                **{name: _map.address(array) for name, array in given.items()},
            },
        ),
        **one,
    )
    return contest


Progress = Callable[[str, float], None]


def _measured(contest: Contest, what: str, seconds: float, progress: Progress) -> dict[str, float]:
    for state in _timing.measure(contest, seconds):
        if isinstance(state, dict):
            return {name: m.median for name, m in state.items()}
        progress(what, state)
    return {}


def beta_table(peers: Peers, seconds: float, progress: Progress) -> Table:
    """beta_logpdf in every way: time per call, time per element."""
    progress("compiling beta_logpdf", 0)
    ways = _BetaWays(peers)
    calls, elements = ways.per_call(), ways.per_element()
    call = _measured(calls, "beta_logpdf, one call", seconds, progress)
    element = _measured(elements, "beta_logpdf, arrays", 2 * seconds, progress)
    lines = [
        Line(c.name, c.what, call.get(c.name), element.get(c.name)) for c in elements.contestants
    ]
    return Table(BETA, "element", lines, elements.absent)


def matmul_table(peers: Peers, seconds: float, progress: Progress) -> Table:
    """A gufunc in every way: time per product."""
    progress("compiling matmul", 0)
    contest = _matmul(peers)
    product = _measured(contest, "matmul, stacks of 4x4", seconds, progress)
    lines = [Line(c.name, c.what, None, product.get(c.name)) for c in contest.contestants]
    return Table(
        "matmul of 100,000 pairs of 4x4 matrices, the gufunc (m,k),(k,n)->(m,n)",
        "product",
        lines,
        contest.absent,
    )


def picture(tables: list[Table], path: Path) -> None:
    """Draws the tables as bars on logarithmic axes."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    panels = [
        (f"{title}, ns", [(line.name, value) for line in table.lines
                          if (value := getattr(line, column)) is not None])
        for table, column, title in [
            (tables[0], "per_call", "beta_logpdf: time per call"),
            (tables[0], "per_element", "beta_logpdf: time per element"),
            (tables[1], "per_element", "matmul 4x4: time per product"),
        ]
    ]  # fmt: skip
    figure, axes = plt.subplots(
        len(panels), 1, figsize=(9, 1.2 + 0.34 * sum(len(bars) + 2 for _, bars in panels)),
        height_ratios=[len(bars) + 1 for _, bars in panels], layout="constrained",
    )  # fmt: skip
    for axis, (title, bars) in zip(axes, panels, strict=True):
        _bars(axis, title, bars)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _bars(axis: Any, title: str, bars: list[tuple[str, float]]) -> None:
    names = [name for name, _ in bars]
    values = [1e9 * seconds for _, seconds in bars]
    colours = ["#1f6fb4" if name.startswith(OURS) else "#b5b5b5" for name in names]
    drawn = axis.barh(names, values, color=colours)
    axis.bar_label(
        drawn, [f"{value:,.3g}" if value < 1000 else f"{value:,.0f}" for value in values], padding=4
    )
    axis.set_xscale("log")
    axis.set_xlim(min(values) / 2, max(values) * 4)
    axis.invert_yaxis()
    axis.set_title(title, loc="left", fontweight="bold")
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(left=False)
