# SPDX-License-Identifier: MIT
"""The suite ``map``: what one element costs."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

import headway as hw
from headway._bench._peers import SOURCES, Peers
from headway._bench._timing import Contest

BETA = (SOURCES / "beta.c").read_text(encoding="utf-8")
MATMUL = (SOURCES / "matmul.c").read_text(encoding="utf-8")
A, B = 2.5, 4.0  # shapes of the beta distribution
PLAIN = "C loop, gcc -O3 -march=native, libm, function inlined"


def threads(count: int) -> dict[str, Any]:
    """Options for a contestant that runs on so many threads."""
    return {"around": functools.partial(hw.threads, count)}


def address(array: np.ndarray[Any, Any]) -> Any:
    """An array's memory, for the C loops."""
    import ctypes

    return ctypes.c_void_p(array.ctypes.data)


def unit_interval(n: int) -> np.ndarray[Any, Any]:
    """Points in (0, 1), in no order."""
    return np.random.default_rng(7).uniform(0.001, 0.999, n)


def numba_beta(peers: Peers) -> Any:
    """``beta_logpdf`` by ``numba.vectorize``."""

    def beta_logpdf(a: float, b: float, x: float) -> float:
        return (
            math.lgamma(a + b)
            - math.lgamma(a)
            - math.lgamma(b)
            + (a - 1) * math.log(x)
            + (b - 1) * math.log1p(-x)
        )

    return peers.numba.vectorize(["float64(float64, float64, float64)"])(beta_logpdf)


def beta(peers: Peers) -> Contest:
    """beta_logpdf with scalar shapes on one thread."""
    import ctypes

    n = 1_000_000
    contest = Contest(
        f"beta_logpdf(a, b, x), a and b scalars, x of {n:,} doubles, 1 thread", "element"
    )
    x, out = unit_interval(n), np.empty(n)
    given = {"a": A, "b": B, "x": x, "out": out}
    one: dict[str, Any] = {"per": n, **threads(1)}
    vector = hw.compile(BETA, math="vector").beta_logpdf
    libm = hw.compile(BETA).beta_logpdf
    contest.add(
        "headway, vector math",
        'hw.compile(source, math="vector"), out= given',
        lambda: ("f(a, b, x, out=out)", {"f": vector, **given}),
        **one,
    )
    contest.add(
        "headway, libm",
        "hw.compile(source), out= given",
        lambda: ("f(a, b, x, out=out)", {"f": libm, **given}),
        **one,
    )
    contest.add(
        "plain C loop",
        PLAIN,
        lambda: (
            "f(n, a, b, x, out)",
            {
                "f": peers.plain.beta_scalar_shapes,
                "n": ctypes.c_size_t(n),
                "a": ctypes.c_double(A),
                "b": ctypes.c_double(B),
                "x": address(x),
                "out": address(out),
            },
        ),
        **one,
    )
    contest.add(
        "Numba vectorize",
        'vectorize(["float64(float64, float64, float64)"]), out= given',
        lambda: ("f(a, b, x, out)", {"f": numba_beta(peers), **given}),
        **one,
    )
    contest.add(
        "scipy.stats",
        "beta.logpdf(x, a, b)",
        lambda: ("f(x, a, b)", {"f": peers.scipy[0].beta.logpdf, "x": x, "a": A, "b": B}),
        **one,
    )
    contest.add(
        "scipy.special",
        "gammaln(a+b) - gammaln(a) - gammaln(b) + (a-1)*np.log(x) + (b-1)*np.log1p(-x)",
        lambda: (
            "g(a + b) - g(a) - g(b) + (a - 1) * log(x) + (b - 1) * log1p(-x)",
            {"g": peers.scipy[1].gammaln, "log": np.log, "log1p": np.log1p, "a": A, "b": B, "x": x},
        ),
        **one,
    )
    text = "beta_logpdf on 10^6 doubles, vector math, 1 thread, against {}"
    for peer, bound in [
        ("plain C loop", 12),
        ("Numba vectorize", 11),
        ("scipy.stats", 18),
        ("scipy.special", None),
    ]:
        contest.figure(text.format(peer), "headway, vector math", peer, bound, "at least")
    contest.figure(
        "the same compiled with plain libm, against the plain C loop",
        "headway, libm",
        "plain C loop",
        1.05,
    )
    return contest


def beta_arrays(peers: Peers) -> Contest:
    """beta_logpdf with all three arguments arrays on one thread."""
    import ctypes

    n = 1_000_000
    contest = Contest(f"beta_logpdf(a, b, x), each of {n:,} doubles, 1 thread", "element")
    x, out = unit_interval(n), np.empty(n)
    rng = np.random.default_rng(8)
    a, b = rng.uniform(1, 5, n), rng.uniform(1, 5, n)
    given = {"a": a, "b": b, "x": x, "out": out}
    one: dict[str, Any] = {"per": n, **threads(1)}
    vector = hw.compile(BETA, math="vector").beta_logpdf
    libm = hw.compile(BETA).beta_logpdf
    contest.add(
        "headway, vector math",
        'hw.compile(source, math="vector"), out= given',
        lambda: ("f(a, b, x, out=out)", {"f": vector, **given}),
        **one,
    )
    contest.add(
        "headway, libm",
        "hw.compile(source), out= given",
        lambda: ("f(a, b, x, out=out)", {"f": libm, **given}),
        **one,
    )
    contest.add(
        "plain C loop",
        PLAIN,
        lambda: (
            "f(n, a, b, x, out)",
            {
                "f": peers.plain.beta_array_shapes,
                "n": ctypes.c_size_t(n),
                **{name: address(array) for name, array in given.items()},
            },
        ),
        **one,
    )
    contest.figure(
        "a, b, x all arrays, vector math, 1 thread, against the plain C loop",
        "headway, vector math",
        "plain C loop",
        1.5,
        "at least",
    )
    contest.figure(
        "a, b, x all arrays, compiled with plain libm, against the plain C loop",
        "headway, libm",
        "plain C loop",
        1.05,
    )
    return contest


def beta_threads(_: Peers) -> Contest:
    """beta_logpdf on two threads against one."""
    n = 10_000_000
    contest = Contest(
        f"beta_logpdf(a, b, x), x of {n:,} doubles, out= given, vector math", "element"
    )
    given = {"a": A, "b": B, "x": unit_interval(n), "out": np.zeros(n)}
    vector = hw.compile(BETA, math="vector").beta_logpdf
    for count in (1, 2):
        contest.add(
            f"{count} thread" + "s" * (count > 1),
            f"hw.threads({count})",
            lambda: ("f(a, b, x, out=out)", {"f": vector, **given}),
            per=n,
            **threads(count),
        )
    contest.figure(
        "beta_logpdf on 10^7 elements, out= given, 2 threads against 1",
        "2 threads",
        "1 thread",
        1.85,
        "at least",
    )
    return contest


def loaded_cos(peers: Peers) -> Contest:
    """cos through its address, element by element."""
    import ctypes

    n = 100_000
    contest = Contest(f"cos of libm on {n:,} doubles, 1 thread, no compiler", "element")
    x, out = unit_interval(n), np.empty(n)
    cos = hw.load("m", "math.h").cos
    pointer = ctypes.cast(ctypes.CDLL("libm.so.6").cos, ctypes.c_void_p)
    one: dict[str, Any] = {"per": n, **threads(1)}
    contest.add(
        "headway, loaded",
        'hw.load("m", "math.h").cos, out= given',
        lambda: ("f(x, out=out)", {"f": cos, "x": x, "out": out}),
        **one,
    )
    contest.add(
        "C loop",
        "calls cos of libm through a pointer, gcc -O3 -march=native",
        lambda: (
            "f(p, n, x, out)",
            {
                "f": peers.plain.loop_d_d,
                "p": pointer,
                "n": ctypes.c_size_t(n),
                "x": address(x),
                "out": address(out),
            },
        ),
        **one,
    )
    contest.figure(
        "loaded (no compiler), cos, against a C loop through a pointer",
        "headway, loaded",
        "C loop",
        1.1,
    )
    return contest


def loaded_sum3(peers: Peers) -> Contest:
    """A sum of three doubles through its address, element by element."""
    import ctypes

    n = 100_000
    contest = Contest(
        f"sum3 of a shared library on 3 x {n:,} doubles, 1 thread, no compiler", "element"
    )
    x, y, z, out = unit_interval(n), unit_interval(n), unit_interval(n), np.empty(n)
    sum3 = hw.load(str(peers.kernels), str(SOURCES / "kernels.h")).sum3
    pointer = ctypes.cast(ctypes.CDLL(str(peers.kernels)).sum3, ctypes.c_void_p)
    one: dict[str, Any] = {"per": n, **threads(1)}
    contest.add(
        "headway, loaded",
        "hw.load, out= given",
        lambda: ("f(x, y, z, out=out)", {"f": sum3, "x": x, "y": y, "z": z, "out": out}),
        **one,
    )
    contest.add(
        "C loop",
        "calls sum3 through a pointer, gcc -O3 -march=native",
        lambda: (
            "f(p, n, x, y, z, out)",
            {
                "f": peers.plain.loop_ddd_d,
                "p": pointer,
                "n": ctypes.c_size_t(n),
                "x": address(x),
                "y": address(y),
                "z": address(z),
                "out": address(out),
            },
        ),
        **one,
    )
    contest.figure(
        "loaded (no compiler), three-double sum, against a C loop through a pointer",
        "headway, loaded",
        "C loop",
        1.1,
    )
    return contest


def hypot(n: int, bound: float) -> Contest:
    """hypot of short arrays."""
    contest = Contest(f"hypot on 2 x {n:,} doubles", "call")
    names = {"x": unit_interval(n), "y": unit_interval(n)}
    loaded = hw.load("m", "math.h").hypot
    contest.add(
        "headway, loaded",
        'hw.load("m", "math.h").hypot, default threads',
        lambda: ("f(x, y)", {"f": loaded, **names}),
    )
    contest.add("np.hypot", "NumPy's own ufunc", lambda: ("f(x, y)", {"f": np.hypot, **names}))
    contest.figure(
        f"map of m.hypot on {n:,} elements, against np.hypot", "headway, loaded", "np.hypot", bound
    )
    return contest


def cast(_: Peers) -> Contest:
    """Input that is cast, against input that is not."""
    n = 1_000_000
    contest = Contest(
        f"logistic(x) = 1 / (1 + exp(-x)), vector math, {n:,} elements, out= given", "element"
    )
    logistic = hw.compile(
        "#include <math.h>\ndouble logistic(double x){ return 1 / (1 + exp(-x)); }\n", math="vector"
    ).logistic
    out = np.empty(n)

    def mapped(x: np.ndarray[Any, Any]) -> tuple[str, dict[str, Any]]:
        return "f(x, out=out)", {"f": logistic, "x": x, "out": out}

    for dtype in ("float64", "float32"):
        x = np.linspace(-5, 5, n).astype(dtype)
        for count in (1, 2):
            contest.add(
                f"{dtype}, {count} thread" + "s" * (count > 1),
                f"{dtype} input, float64 loop, hw.threads({count})",
                functools.partial(mapped, x),
                per=n,
                **threads(count),
            )
    contest.figure(
        "cast float32 input, against the same loop on float64 input, 1 thread",
        "float32, 1 thread",
        "float64, 1 thread",
        1.7,
    )
    contest.figure("the same on 2 threads", "float32, 2 threads", "float64, 2 threads", 1.7)
    contest.figure(
        "cast float32 input, 2 threads against 1",
        "float32, 2 threads",
        "float32, 1 thread",
        None,
        "at least",
    )
    return contest


def matmul(peers: Peers) -> Contest:
    """A gufunc of small matrices."""
    import ctypes

    stacks, m = 100_000, 4
    contest = Contest(f"matmul of {stacks:,} stacks of {m}x{m}, 1 thread, out= given", "stack")
    rng = np.random.default_rng(9)
    a, b = rng.random((stacks, m, m)), rng.random((stacks, m, m))
    out = np.empty_like(a)
    given = {"a": a, "b": b, "out": out}
    compiled = hw.compile(MATMUL).matmul
    one: dict[str, Any] = {"per": stacks, **threads(1)}
    contest.add(
        "headway, compiled",
        "hw.compile of the C99 function",
        lambda: ("f(a, b, out=out)", {"f": compiled, **given}),
        **one,
    )
    contest.add(
        "np.matmul", "NumPy", lambda: ("f(a, b, out=out)", {"f": np.matmul, **given}), **one
    )
    contest.add(
        "plain C loop",
        "C loop over the stacks, function inlined, gcc -O3 -march=native",
        lambda: (
            "f(s, m, a, b, out)",
            {
                "f": peers.plain.matmul_stack,
                "s": ctypes.c_size_t(stacks),
                "m": ctypes.c_size_t(m),
                "a": address(a),
                "b": address(b),
                "out": address(out),
            },
        ),
        **one,
    )
    contest.figure(
        "matmul gufunc of 100,000 stacks of 4x4, 1 thread, against np.matmul",
        "headway, compiled",
        "np.matmul",
        1.2,
        "at least",
    )
    return contest


def split(n: int) -> Contest:
    """hypot on two threads against one, at one length."""
    contest = Contest(f"hypot on 2 x {n:,} doubles, out= given", "element")
    names = {"x": unit_interval(n), "y": unit_interval(n), "out": np.zeros(n)}
    loaded = hw.load("m", "math.h").hypot
    for count in (1, 2):
        contest.add(
            f"{count} thread" + "s" * (count > 1),
            f"hw.threads({count})",
            lambda: ("f(x, y, out=out)", {"f": loaded, **names}),
            per=n,
            **threads(count),
        )
    contest.figure(
        f"map of m.hypot on {n:,} elements, 2 threads against 1", "2 threads", "1 thread", 1.1
    )
    return contest


def contests(peers: Peers) -> Iterator[Contest]:
    """The contests of the suite, made one after the other."""
    for make in (beta, beta_arrays, beta_threads, loaded_cos, loaded_sum3):
        yield make(peers)
    yield hypot(10, 0.6)
    yield hypot(1_000, 1.0)
    yield cast(peers)
    yield matmul(peers)
    for n in (1_000, 3_000, 10_000, 30_000, 100_000, 1_000_000):
        yield split(n)
