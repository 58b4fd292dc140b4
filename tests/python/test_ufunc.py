# SPDX-License-Identifier: MIT
"""The genuine ufunc behind a function: every method does what NumPy's own do."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import headway as hw

HERE = Path(__file__).parent
RNG = np.random.default_rng(5)


@pytest.fixture(scope="module", params=["loaded", "compiled"])
def k(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    clean_environment: dict[str, str],
) -> ModuleType:
    """map_kernels.c, called through pointers or compiled with its loops."""
    annotate = {"minmax": {"low": "out", "high": "out"}, "reverse": {"x": "inout"}}
    if request.param == "compiled":
        return hw.compile(HERE / "map_kernels.c", annotate=annotate)
    library = tmp_path_factory.mktemp("ufunc") / "libkernels.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-O2", "-o", library, HERE / "map_kernels.c"],
        check=True,
        env=clean_environment,
    )
    return hw.load(library, HERE / "map_kernels.h", annotate=annotate)


@pytest.fixture(params=[1, 2, 7])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    with hw.threads(request.param):
        yield request.param


def random(*shape: int) -> np.ndarray:
    return RNG.random(shape)


def identical(a: Any, b: Any) -> bool:
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


# ---- what it is --------------------------------------------------------------------------------


def test_it_is_a_ufunc(k: ModuleType) -> None:
    u = k.sub.ufunc
    assert type(u) is np.ufunc and u is k.sub.ufunc
    assert (u.nout, u.nargs, u.identity, u.signature) == (1, 3, None, None)
    assert u.__name__ == "sub"
    assert k.sub.__doc__ and k.sub.__doc__ in u.__doc__


@pytest.mark.parametrize(
    ("name", "types"),
    [
        ("sub", ["dd->d"]),
        ("scale", ["di->d", "dl->d"]),
        ("addi", ["ii->i", "ll->l"]),
        ("negate", ["h->h", "l->l"]),
        ("twice", ["l->l"]),
        ("square", ["L->L", "l->L"]),
        ("is_odd", ["i->?", "l->?"]),
        ("both", ["??->?", "ll->?"]),
        ("mul", ["DD->D"]),
        ("third", ["g->g"]),
        ("weigh", ["ii->i", "ll->i"]),
        ("many", ["dfihl->d", "dflll->d"]),
    ],
)
def test_types(k: ModuleType, name: str, types: list[str]) -> None:
    assert getattr(k, name).ufunc.types == types


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        ("matmul", "(m,k),(k,n)->(m,n)"),
        ("mean", "(n)->()"),
        ("cross", "(3),(3)->(3)"),
        ("weigh", "(),(n)->(n)"),
        ("reverse", "(n)->(n)"),
        ("full_convolve", "(m),(n)->(m_plus_n_minus_1)"),
        ("edges", "(n)->(n_plus_1)"),
        ("minmax", "(n)->(),()"),
        ("outer_product", "(m),(n)->(m,n)"),
    ],
)
def test_signatures(k: ModuleType, name: str, signature: str) -> None:
    assert getattr(k, name).ufunc.signature == signature


def test_a_function_and_its_ufunc_go_together(tmp_path: Path) -> None:
    module = hw.load("m", "math.h", name="another_math")
    function = module.hypot
    ufunc = function.ufunc
    del module, function
    gc.collect()
    assert ufunc(3.0, 4.0) == 5  # keeps alive what it calls
    watch = weakref.ref(ufunc) if hasattr(type(ufunc), "__weakref__") else None
    del ufunc
    gc.collect()
    assert watch is None or watch() is None


# ---- methods -----------------------------------------------------------------------------------

ARRAYS = st.integers(0, 3).flatmap(
    lambda seed: st.sampled_from([(0,), (1,), (7,), (600,), (3, 4), (40, 50), (2, 3, 4)]).map(
        lambda shape: np.random.default_rng(seed).random(shape)
    )
)
VIEWS = st.sampled_from(
    [
        lambda a: a,
        lambda a: a[::-1],
        lambda a: a[..., ::2],
        lambda a: a.T,
        lambda a: a.astype("f"),
        lambda a: a.astype(">f8"),
        lambda a: (100 * a).astype("i8"),
    ]
)
RELAXED = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@RELAXED
@given(ARRAYS, VIEWS, st.data())
def test_reduce_and_accumulate_are_numpys(k: ModuleType, a: Any, view: Any, data: Any) -> None:
    a = view(a)
    axis = data.draw(st.integers(0, a.ndim - 1))
    wide = a.astype(float)
    if a.shape[axis]:
        assert identical(k.sub.ufunc.reduce(a, axis=axis), np.subtract.reduce(wide, axis=axis))
        assert identical(
            k.sub.ufunc.reduce(a, axis=axis, keepdims=True, initial=2.5),
            np.subtract.reduce(wide, axis=axis, keepdims=True, initial=2.5),
        )
    else:
        with pytest.raises(ValueError, match="no identity"):
            k.sub.ufunc.reduce(a, axis=axis)
    assert identical(k.sub.ufunc.accumulate(a, axis=axis), np.subtract.accumulate(wide, axis=axis))


@RELAXED
@given(ARRAYS, ARRAYS, VIEWS)
def test_outer_is_numpys(k: ModuleType, a: Any, b: Any, view: Any) -> None:
    a, b = view(a)[:30], b[:30]
    assert identical(k.sub.ufunc.outer(a, b), np.subtract.outer(a.astype(float), b))


def test_long_reductions_keep_the_order(k: ModuleType, threads: int) -> None:
    a = random(300_000)
    assert identical(k.sub.ufunc.reduce(a), np.subtract.reduce(a))
    assert identical(k.sub.ufunc.accumulate(a), np.subtract.accumulate(a))
    table = a.reshape(300, 1000)
    for axis in (0, 1):
        assert identical(k.sub.ufunc.reduce(table, axis=axis), np.subtract.reduce(table, axis=axis))
        assert identical(
            k.sub.ufunc.accumulate(table, axis=axis), np.subtract.accumulate(table, axis=axis)
        )
    where = table > 0.5
    assert identical(
        k.sub.ufunc.reduce(table, axis=1, where=where, initial=0),
        np.subtract.reduce(table, axis=1, where=where, initial=0),
    )


def test_reduceat_and_at(k: ModuleType, threads: int) -> None:
    a = random(5000)
    cuts = [0, 10, 5, 4000, 4999]
    assert identical(k.sub.ufunc.reduceat(a, cuts), np.subtract.reduceat(a, cuts))
    places = np.random.default_rng(3).integers(0, 50, 5000)
    mine, theirs = np.zeros(50), np.zeros(50)
    k.sub.ufunc.at(mine, places, a)
    np.subtract.at(theirs, places, a)
    assert identical(mine, theirs)


def test_integers_reduce_in_their_own_width(k: ModuleType, threads: int) -> None:
    a = np.arange(30_000)
    assert identical(k.addi.ufunc.reduce(a), a.sum())
    assert identical(k.addi.ufunc.accumulate(a), a.cumsum())
    assert identical(k.addi.ufunc.reduce(a[:100].astype("i")), a[:100].sum(dtype="i"))
    counts = np.zeros(3, int)
    k.addi.ufunc.at(counts, [0, 0, 2], 1)
    assert counts.tolist() == [2, 0, 1]
    with pytest.raises(OverflowError, match="4294967296"):
        k.addi.ufunc.reduce(np.array([1, 2**32, 3]))


def test_calls_with_every_word(k: ModuleType, threads: int) -> None:
    a, b = random(40, 1, 30), random(20, 30)
    u = k.sub.ufunc
    assert identical(u(a, b), a - b)
    out = np.full((40, 20, 30), 5.0)
    where = np.random.default_rng(1).random(out.shape) > 0.5
    assert u(a, b, out=out, where=where) is out
    assert identical(out, np.where(where, a - b, 5))
    assert u(a.astype("f"), b, casting="safe").dtype == float
    with pytest.raises(TypeError):
        u(a, b, casting="safe", dtype="f")
    assert identical(u(a, b, signature="dd->d"), a - b)
    assert u(a[:, 0], 1.0, order="F").flags.f_contiguous


def test_several_outputs(k: ModuleType, threads: int) -> None:
    x = random(700, 9)
    low, high = k.minmax.ufunc(x)
    assert identical(low, x.min(1)) and identical(high, x.max(1))
    low, high = k.minmax.ufunc(x, axis=0)
    assert identical(low, x.min(0)) and identical(high, x.max(0))


def test_core_dimensions_in_odd_layouts(k: ModuleType, threads: int) -> None:
    a, b = random(6, 600, 5)[::2], random(600, 5, 3)
    u, plain = k.matmul.ufunc, k.matmul
    stacked = a.transpose(1, 0, 2)
    assert identical(u(stacked, b), plain(stacked.copy(), b))
    assert identical(
        u(stacked[..., ::-1], b[:, ::-1]), plain(stacked[..., ::-1].copy(), b[:, ::-1].copy())
    )
    assert identical(u(stacked, b), u(stacked.astype(">f8"), b))
    with pytest.raises(ValueError, match="broadcast"):
        u(a, b)
    with pytest.raises(ValueError, match="dimension"):
        u(np.zeros(3), b)


def test_an_error_ends_the_call_and_only_that(k: ModuleType, threads: int) -> None:
    bad = np.zeros(200_000, np.int64)
    bad[::7] = 2**40
    for array in (bad, bad.reshape(400, 500)[:, ::2].T, bad.astype(">i8")):
        with pytest.raises(OverflowError, match="1099511627776"):
            k.addi.ufunc(array, 1)
        assert k.addi.ufunc(np.arange(5), 1).tolist() == [1, 2, 3, 4, 5]
    with pytest.raises(OverflowError):
        k.addi.ufunc.reduce(bad)
    assert k.addi.ufunc.reduce(np.arange(5)) == 10


def test_threads_of_python_may_share_a_ufunc(k: ModuleType) -> None:
    a = random(100_000)
    expected = a - 1
    wrong = []

    def run(i: int) -> None:
        for _ in range(10):
            if i % 2:
                if not identical(k.sub.ufunc(a, 1), expected):
                    wrong.append(i)
            else:
                try:
                    k.addi.ufunc(np.full(3000, 2**40), 1)
                    wrong.append(i)
                except OverflowError:
                    pass

    several = [threading.Thread(target=run, args=(i,)) for i in range(6)]
    for t in several:
        t.start()
    for t in several:
        t.join()
    assert not wrong


def test_references_are_counted_right(k: ModuleType) -> None:
    a, u = random(1000), k.sub.ufunc

    def calls() -> None:
        u(a, 1)
        u.reduce(a)
        u.accumulate(a)
        u(a.astype("f"), a)
        with pytest.raises(OverflowError):
            k.addi.ufunc(np.array([2**40]), 1)

    def counts() -> list[int]:
        return [sys.getrefcount(o) for o in (a, u, k.sub, k.addi, k.addi.ufunc)]

    calls()
    before = counts()
    for _ in range(20):
        calls()
    assert counts() == before
