# SPDX-License-Identifier: MIT
"""The suite ``call``: what one call costs."""

from __future__ import annotations

import functools
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import headway as hw
from headway._bench._peers import SOURCES, Missing, Peers
from headway._bench._timing import Contest
from headway._errors import HeadwayError

SAME = "of one shared library, built with -O3 -march=native"


def _load(peers: Peers, **annotate: dict[str, str]) -> Any:
    return hw.load(str(peers.kernels), str(SOURCES / "kernels.h"), annotate=annotate or None)


def scalars(peers: Peers) -> Contest:
    """A function of three doubles."""
    contest = Contest(f"double sum3(double, double, double) {SAME}", "call")
    module = _load(peers)
    numbers = {"a": 1.5, "b": 2.5, "c": 3.5}

    def local(function: Any) -> tuple[str, dict[str, Any]]:
        return "f(a, b, c)", {"f": function, **numbers}

    contest.add("headway", "hw.load, the function in a local name", lambda: local(module.sum3))
    contest.add(
        "headway m.f(...)",
        "hw.load, the function fetched from the module at each call",
        lambda: ("m.sum3(a, b, c)", {"m": module, **numbers}),
    )
    contest.add(
        "METH_FASTCALL",
        "hand-written extension module, PyFloat_AsDouble of each argument",
        lambda: local(peers.fastcall.sum3),
    )
    contest.add("nanobind", 'm.def("sum3", &sum3)', lambda: local(peers.nanobind.sum3))
    contest.add("cffi", "API mode, lib.sum3", lambda: local(peers.cffi.lib.sum3))
    contest.add("ctypes", "argtypes and restype declared", lambda: local(peers.ctypes.sum3))
    for peer, bound in [
        ("METH_FASTCALL", 1.4),
        ("nanobind", 0.75),
        ("cffi", 0.25),
        ("ctypes", 0.06),
    ]:
        contest.figure(
            f"scalar call of a three-double function, against {peer}", "headway", peer, bound
        )
    contest.figure(
        "the same as m.f(...), against METH_FASTCALL", "headway m.f(...)", "METH_FASTCALL"
    )
    return contest


def arrays(peers: Peers) -> Contest:
    """A function of an array of ten."""
    import numpy as np

    contest = Contest(
        f"double total(const double *x, size_t n) {SAME}, x a NumPy array of 10", "call"
    )
    x = np.arange(10.0)

    def local(function: Any) -> tuple[str, dict[str, Any]]:
        return "f(x)", {"f": function, "x": x}

    for gil, doing in [("keep", "kept"), ("release", "released")]:
        module = _load(peers, total={"x": "in, size=n", "gil": gil})
        contest.add(
            f"headway, GIL {doing}",
            f'hw.load, annotated "in, size=n" and gil="{gil}"',
            functools.partial(local, module.total),
        )
    contest.add(
        "METH_FASTCALL, GIL kept",
        "hand-written, NumPy C API: type, dimensions, contiguity checked",
        lambda: local(peers.fastcall.total),
    )
    contest.add(
        "METH_FASTCALL, GIL released",
        "the same between Py_BEGIN_ALLOW_THREADS and Py_END_ALLOW_THREADS",
        lambda: local(peers.fastcall.total_released),
    )
    contest.add(
        "nanobind, GIL kept",
        "nb::ndarray<const double, ndim<1>, c_contig, device::cpu>",
        lambda: local(peers.nanobind.total),
    )
    contest.add(
        "nanobind, GIL released",
        "the same with call_guard<gil_scoped_release>",
        lambda: local(peers.nanobind.total_released),
    )
    text = "double f(const double *, size_t) with an array of 10, GIL {0} by both, against {1}"
    for peer, doing, bound in [
        ("METH_FASTCALL", "kept", 2),
        ("METH_FASTCALL", "released", 1.5),
        ("nanobind", "kept", 0.6),
        ("nanobind", "released", 0.6),
    ]:
        contest.figure(
            text.format(doing, peer), f"headway, GIL {doing}", f"{peer}, GIL {doing}", bound
        )
    return contest


def _kept_and_released(
    contest: Contest, peers: Peers, name: str, local: Callable[[Any], tuple[str, dict[str, Any]]]
) -> None:
    """Headway with the GIL kept, as nanobind does by default, and released, as Headway does."""
    for gil, doing in [("keep", "kept"), ("release", "released")]:
        module = _load(peers, **{name: {"gil": gil}})
        statement, names = local(module)
        names["f"] = getattr(module, name)
        contest.add(
            f"headway, GIL {doing}",
            f'hw.load, annotated gil="{gil}"',
            functools.partial(lambda *taken: taken, statement, names),
        )


def _against_nanobind(contest: Contest, what: str) -> None:
    contest.figure(
        f"{what}, GIL kept by both, against nanobind", "headway, GIL kept", "nanobind", 1.1
    )
    contest.figure(
        f"{what}, Headway's default of releasing the GIL, against nanobind, which keeps it",
        "headway, GIL released",
        "nanobind",
        None,
    )


def strings(peers: Peers) -> Contest:
    """A string in and out."""
    contest = Contest(f"const char *file_name(const char *) {SAME}, str in and str out", "call")
    path = "/usr/include/math.h"
    _kept_and_released(contest, peers, "file_name", lambda module: ("f(s)", {"s": path}))
    contest.add(
        "nanobind",
        'm.def("file_name", &file_name)',
        lambda: ("f(s)", {"f": peers.nanobind.file_name, "s": path}),
    )
    contest.add(
        "cffi",
        "API mode: b = s.encode(); ffi.string(lib.file_name(b)).decode()",
        lambda: (
            "b = s.encode(); string(f(b)).decode()",  # the result points into b
            {"f": peers.cffi.lib.file_name, "string": peers.cffi.ffi.string, "s": path},
        ),
    )
    _against_nanobind(contest, "const char * in and out with str")
    return contest


def structs(peers: Peers) -> Contest:
    """A pointer to a struct."""
    contest = Contest(f"double norm(const point *) {SAME}, a struct of three doubles", "call")
    _kept_and_released(
        contest, peers, "norm", lambda module: ("f(p)", {"p": module.point(x=1.0, y=2.0, z=2.0)})
    )
    contest.add(
        "nanobind",
        "nb::class_<point>",
        lambda: ("f(p)", {"f": peers.nanobind.norm, "p": peers.nanobind.point(1.0, 2.0, 2.0)}),
    )
    contest.add(
        "cffi",
        'API mode, ffi.new("point *")',
        lambda: (
            "f(p)",
            {"f": peers.cffi.lib.norm, "p": peers.cffi.ffi.new("point *", [1.0, 2.0, 2.0])},
        ),
    )
    _against_nanobind(contest, "pointer to a struct")
    return contest


@dataclass(frozen=True)
class Fresh:
    """A time measured in fresh interpreters."""

    figure: str
    what: str
    seconds: float
    bound: float | None  # seconds


def _run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


def _started(code: str) -> float:
    start = time.perf_counter()
    _run(code)
    return time.perf_counter() - start


def start_up(rounds: int = 15) -> Fresh:
    """``import headway``, beyond starting an interpreter, and whether NumPy came with it."""
    _run("import headway")  # bytecode written, files in the page cache
    seconds = statistics.median(
        _started("import headway") - _started("pass") for _ in range(rounds)
    )
    numpy = _run("import sys, headway; print('numpy' in sys.modules)").strip() == "True"
    return Fresh(
        "import headway (warm), NumPy not imported by it",
        "fresh interpreters, the time of `python -c pass` taken off; NumPy was "
        + ("imported" if numpy else "not imported"),
        seconds,
        30e-3,
    )


LOAD = """
import time, headway as hw
{before}
start = time.perf_counter()
hw.load("sqlite3", "sqlite3.h", annotate="sqlite3.toml")
print(time.perf_counter() - start)
"""


def warm_loads(rounds: int = 15) -> list[Fresh]:
    """``hw.load`` of a large header that is in the cache.

    Raises
    ------
    Missing
        SQLite is not on this machine.
    """
    try:
        hw.load("sqlite3", "sqlite3.h", annotate="sqlite3.toml")
        hw.load("m", "math.h")
    except HeadwayError as error:
        raise Missing(str(error).splitlines()[0]) from None

    def median(before: str) -> float:
        return statistics.median(float(_run(LOAD.format(before=before))) for _ in range(rounds))

    return [
        Fresh(
            "warm hw.load of sqlite3.h",
            "in fresh interpreters that have loaded libm, headers in the cache",
            median('hw.load("m", "math.h")'),
            5e-3,
        ),
        Fresh(
            "the same as the first load of a process, which imports json, re, enum and typing",
            "in fresh interpreters, headers in the cache",
            median(""),
            None,
        ),
    ]


def contests(peers: Peers) -> Iterator[Contest]:
    """The contests of the suite, made one after the other."""
    for make in (scalars, arrays, strings, structs):
        yield make(peers)
