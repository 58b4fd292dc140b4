# SPDX-License-Identifier: MIT
"""Nothing keeps what it should let go of, nothing lets go of what it does not own, type by type."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import headway as hw
from headway import _core

np = pytest.importorskip("numpy")

HEADER = """
#include <stddef.h>
struct point { double x, y; };
struct link { struct point *to; const char *name; double (*f)(double); };
enum colour { RED, GREEN = 5 };
double d1(double x);
double d5(double a, double b, double c, double d, double e);
int simple(const double *x, int n, const char *text);
double sum(size_t n, const double x[n]);
void scale(size_t n, const double x[n], double by, double y[n]);
void out2(double x, double *half, int *floor_);
struct point swap(struct point p);
struct point *same(struct point *p);
const char *text(const char *s);
enum colour next(enum colour c);
double apply(double (*f)(double), double x);
int status(int code, struct point **made);
void point_free(struct point *p);
struct point *point_new(void);
long long_text(const char *const *words);
int vary(int n, ...);
size_t fill(char *buffer, size_t size);
"""

SOURCE = """
#include <stdlib.h>
#include <string.h>
double d1(double x) { return x; }
double d5(double a, double b, double c, double d, double e) { return a + b + c + d + e; }
int simple(const double *x, int n, const char *text) { return n; }
double sum(size_t n, const double x[n]) { double s = 0; while (n--) s += x[n]; return s; }
void scale(size_t n, const double x[n], double by, double y[n]) { while (n--) y[n] = by * x[n]; }
void out2(double x, double *half, int *floor_) { *half = x / 2; *floor_ = (int)x; }
struct point swap(struct point p) { return (struct point){p.y, p.x}; }
struct point *same(struct point *p) { return p; }
const char *text(const char *s) { return s; }
enum colour next(enum colour c) { return c == RED ? GREEN : 99; }
double apply(double (*f)(double), double x) { return f(x); }
struct point *point_new(void) { return calloc(1, sizeof(struct point)); }
int status(int code, struct point **made) { *made = point_new(); return code; }
void point_free(struct point *p) { free(p); }
long long_text(const char *const *words) { return words[0] != 0; }
int vary(int n, ...) { return n; }
size_t fill(char *buffer, size_t size) { memset(buffer, 'x', size); return size / 2; }
"""

ANNOTATIONS = {
    "out2": {"half": "out", "floor_": "out"},
    "status": {"made": "out, owned=point_free", "return": "status(0)"},
    "point_new": {"return": "owned=point_free"},
    "fill": {"buffer": "out, capacity=size, length=return"},
}


@pytest.fixture(scope="module")
def m(c_library: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    header = tmp_path_factory.mktemp("refcounts") / "refcounts.h"
    header.write_text(HEADER, encoding="utf-8")
    made = hw.load(c_library(f'#include "{header}"\n{SOURCE}', "-w"), header, annotate=ANNOTATIONS)
    for name in dir(made):
        getattr(made, name)
    return made


@contextmanager
def balanced(*objects: Any) -> Iterator[None]:
    """The reference counts of these objects and the number of live ones are the same afterwards."""
    gc.collect()
    counts = [sys.getrefcount(o) for o in objects]
    live = _core.live_objects()
    yield
    gc.collect()
    assert [sys.getrefcount(o) for o in objects] == counts
    assert _core.live_objects() == live


class Bad:
    """Converts to nothing."""

    def __float__(self) -> float:
        raise ArithmeticError

    __index__ = __float__


BAD = Bad()


def many(call: Callable[[], Any], *, fails: bool = False, times: int = 20) -> None:
    """Calls again and again, so that a reference lost each time shows."""
    for _ in range(times):
        with suppress(ArithmeticError, TypeError, ValueError, hw.StatusError) if fails else held():
            call()
            if fails:
                pytest.fail("it did not fail")


@contextmanager
def held() -> Iterator[None]:
    yield


# ---- every kind of argument, on success and on failure -----------------------------------------

F, A, S = 1e300 / 7, np.arange(3.0) + 0.5, "text that is no constant".upper()
RO = np.arange(3.0)
RO.setflags(write=False)


def calls(m: ModuleType) -> dict[str, tuple[Callable[[], Any], tuple[Any, ...]]]:
    """Calls that succeed, with the objects they are given."""
    p = m.point(x=1, y=2)
    at = hw.addressof(p)
    b, view, words = b"bytes" * 3, bytearray(b"abc\0"), [S, b"x"]
    out, tuple_ = np.zeros(3), (1.5, 2.5)
    function = float.__abs__
    i = 10**9 + 7
    return {
        "a float": (lambda: m.d1(F), (F,)),
        "an integer for a float": (lambda: m.d1(i), (i,)),
        "five floats": (lambda: m.d5(F, F, F, F, 0.0), (F,)),
        "keywords": (lambda: m.d5(F, F, F, d=F, e=0.0), (F,)),
        "an array, a count and text": (lambda: m.simple(A, 3, S), (A, S)),
        "an array read-only": (lambda: m.simple(RO, 3, S), (RO, S)),
        "a sized array": (lambda: m.sum(A), (A,)),
        "an array mapped": (lambda: m.d1(A), (A,)),
        "a list mapped": (lambda: m.d1([F, F]), (F,)),
        "an output allocated": (lambda: m.scale(A, F), (A, F)),
        "an output given": (lambda: m.scale(A, 2.0, out), (A, out)),
        "an output by keyword": (lambda: m.scale(A, 2.0, out=out), (A, out)),
        "outputs of numbers": (lambda: m.out2(F), (F,)),
        "a struct by value": (lambda: m.swap(p), (p, m.point)),
        "a tuple for a struct": (lambda: m.swap(tuple_), (tuple_, m.point)),
        "a struct by pointer": (lambda: m.same(p), (p, m.point)),
        "a pointer": (lambda: m.same(at), (at, p, m.point)),
        "text": (lambda: m.text(S), (S,)),
        "bytes": (lambda: m.text(b), (b,)),
        "a buffer": (lambda: m.text(view), (view,)),
        "an enum": (lambda: m.next(m.RED), (m.RED, m.GREEN, m.colour)),
        "a number outside an enum": (lambda: m.next(5), (m.GREEN, m.colour)),
        "a callable": (lambda: m.apply(function, 1.5), (function,)),
        "a C function": (lambda: m.apply(m.d1, F), (m.d1, F)),
        "strings": (lambda: m.long_text(words), (words, S)),
        "further arguments": (lambda: m.vary(1, F, S, at, p), (F, S, at, p)),
        "an owned output": (lambda: m.status(0), (m.point_free,)),
        "an owned result": (m.point_new, (m.point_free,)),
        "bytes cut to length": (lambda: m.fill(size=100), ()),
        "null": (lambda: m.same(hw.NULL), (hw.NULL,)),
    }


def failures(m: ModuleType) -> dict[str, tuple[Callable[[], Any], tuple[Any, ...]]]:
    """Calls that fail, with the objects they are given."""
    p = m.point(x=1, y=2)
    at = hw.addressof(p)
    wrong = np.zeros(3, "f4")

    def bad(x: float) -> float:
        raise ValueError

    return {
        "a wrong number": (lambda: m.d1(BAD), (BAD,)),
        "the last of five": (lambda: m.d5(F, F, F, F, BAD), (F, BAD)),
        "an unknown keyword": (lambda: m.d5(F, F, F, F, F, z=F), (F,)),
        "too few": (lambda: m.d5(F, F), (F,)),
        "too many": (lambda: m.simple(A, 3, S, F), (A, S, F)),
        "after an array and text": (lambda: m.simple(A, BAD, S), (A, S, BAD)),
        "after text encoded anew": (lambda: m.simple(A, 3, "a\0b"), (A,)),
        "an array of another dtype": (lambda: m.simple(wrong, 3, S), (wrong, S)),
        "a number for a sized array": (lambda: m.sum(F), (F,)),
        "an output read-only": (lambda: m.scale(A, F, RO), (A, F, RO)),
        "an output of another size": (lambda: m.scale(A, F, np.zeros(4)), (A, F)),
        "a sized array and a wrong number": (lambda: m.scale(A, BAD), (A, BAD)),
        "a wrong struct": (lambda: m.swap(m.link()), (m.point, m.link)),
        "a wrong field": (lambda: m.swap((F, BAD)), (F, BAD, m.point)),
        "a pointer to another": (lambda: m.same(hw.new("int")), ()),
        "a pointer and a wrong number": (lambda: m.vary(BAD, at), (at, p, BAD)),
        "a wrong further argument": (lambda: m.vary(1, S, at, [F]), (S, at, F)),
        "a callable that raises": (lambda: m.apply(bad, F), (bad, F)),
        "a callable of a wrong result": (lambda: m.apply(str, F), (F,)),
        "a wrong item in a list": (lambda: m.long_text([S, F]), (S, F)),
        "a status": (lambda: m.status(3), (m.point_free,)),
    }


def test_references_are_balanced_on_success(m: ModuleType) -> None:
    for what, (call, objects) in calls(m).items():
        many(call)  # caches that fill once
        with balanced(*objects):
            many(call)
        assert what


def test_references_are_balanced_on_failure(m: ModuleType) -> None:
    for call, objects in failures(m).values():
        many(call, fails=True)
        with balanced(*objects):
            many(call, fails=True)


@pytest.mark.parametrize("which", ["calls", "failures"])
def test_memory_does_not_grow(m: ModuleType, which: str) -> None:
    """What counts no references of ours: blocks of Python's allocator."""
    if not hasattr(sys, "getallocatedblocks") or sys.getallocatedblocks() == 0:
        pytest.skip("the allocator does not count")
    table = calls(m) if which == "calls" else failures(m)
    for what, (call, _) in table.items():
        grown = []
        for _ in range(4):  # the first fills caches
            gc.collect()
            before = sys.getallocatedblocks()
            many(call, fails=which == "failures", times=200)
            gc.collect()
            grown.append(sys.getallocatedblocks() - before)
        assert min(grown) < 100, what


# ---- results -----------------------------------------------------------------------------------


def test_results_belong_to_the_caller_alone(m: ModuleType) -> None:
    for result in (
        m.scale(A, 2.0),
        m.swap((1, 2)),
        m.same(m.point()),
        m.text(S),
        m.out2(3.0),
        m.fill(size=100),
        m.point_new(),
    ):
        assert sys.getrefcount(result) == 3  # the variable, the tuple, the argument


# ---- types -------------------------------------------------------------------------------------


def test_types_are_freed_with_what_they_are_made_of() -> None:
    with balanced():
        point = _core.record("struct p", False)
        pointer = _core.pointer(point)
        double = _core.arithmetic("double")
        point.complete(16, 8, [("x", double, 0, 0, -1), ("next", pointer, 8, 0, -1)], False)
        array = _core.array(point, 3)
        function = _core.function(point, [pointer, double], False)
        value = array([(1.0, hw.NULL)] * 3)
        value[0].next = value[1]
        del point, pointer, array, function, value


def test_a_layout_that_is_refused_leaves_the_type_as_it_was() -> None:
    double = _core.arithmetic("double")
    with balanced(double):
        record = _core.record("struct r", False)
        for fields in (
            [("x", double, 0, 0, -1), ("y", double, 9, 0, -1)],
            [("x", double, -1, 0, -1)],
            [("x", double, 0, 0, 3)],
            [("x", 5, 0, 0, -1)],
            [("x",)],
            [5],
        ):
            for _ in range(3):
                with pytest.raises((ValueError, TypeError, OverflowError)):
                    record.complete(16, 8, fields, False)
        record.complete(8, 8, [("x", double, 0, 0, -1)], False)
        assert record(x=2).x == 2
        with pytest.raises(TypeError, match="is not an incomplete struct or union"):
            record.complete(8, 8, [("x", double, 0, 0, -1)], False)
        del record


@pytest.mark.parametrize(
    "make",
    [
        lambda: _core.arithmetic("doubl"),
        lambda: _core.array(_core.arithmetic("void"), 3),
        lambda: _core.array(_core.arithmetic("int"), 2**62),
        lambda: _core.array(_core.arithmetic("int"), "x"),
        lambda: _core.function(_core.arithmetic("int"), [_core.arithmetic("void")], False),
        lambda: _core.function(_core.arithmetic("int"), [5], False),
        lambda: _core.enumeration("e", _core.arithmetic("double"), int),
        lambda: _core.pointer(5),
        lambda: _core.pointer_at(_core.arithmetic("int"), 5),
        lambda: _core.open_library("/nonexistent.so"),
        lambda: _core.open_library(None).symbol("no such symbol"),
        lambda: _core.bytes_at(0),
    ],
)
def test_what_cannot_be_made_leaves_nothing(make: Callable[[], Any]) -> None:
    with balanced():
        for _ in range(5):
            with pytest.raises((ValueError, TypeError, KeyError, OSError)):
                make()


def test_types_refuse_to_be_instantiated_or_changed(m: ModuleType) -> None:
    for type_ in (_core.CType, _core.Value, _core.Pointer, _core.Library):
        with pytest.raises(TypeError, match="cannot create"):
            type_()
        with pytest.raises(TypeError, match="immutable"):
            type_.x = 1  # type: ignore[attr-defined]
    with pytest.raises((TypeError, AttributeError)):
        _core.Function(None, 1, None)
    with pytest.raises(AttributeError):
        m.d1.name = "x"


# ---- values, pointers, functions, libraries ----------------------------------------------------


def test_values_and_pointers_let_go(m: ModuleType) -> None:
    p = m.point()
    with balanced(p, m.point, m.link):
        link = m.link(to=p, name=S, f=lambda x: x)
        array = hw.new("link[2]", [link, link], module=m)
        array[0] = array[1]
        array[1].to = array[0].to
        views = [array[0], array[1], hw.addressof(array), hw.addressof(array[0], "to")]
        further = [views[2] + 0, hw.cast("char *", views[3]), memoryview(array), np.asarray(array)]
        assert repr(further)
        with suppress(TypeError):
            array[0].to = link
        with suppress(IndexError):
            array[9] = link
        del link, array, views, further


def test_functions_and_libraries_let_go(m: ModuleType, c_library: Any, tmp_path: Path) -> None:
    (tmp_path / "f.h").write_text("double f(double x);\nextern int n;\n")
    path = c_library("double f(double x) { return x; } int n = 3;")
    hw.load(path, tmp_path / "f.h").f(np.zeros(2))
    with balanced():
        again = hw.load(path, tmp_path / "f.h")
        assert again.f(2.0) == 2
        assert again.f.ufunc(2.0) == 2
        assert again.f(np.zeros(2)).tolist() == [0, 0]
        assert (again.f.address, again.n) == (again.f.address, 3)
        repr(again.f)
        repr(again.f.library)
        twin = _core.Function(again.f.binding, again.f.address, again.f.library, libffi=True)
        assert twin(1.5) == 1.5
        assert twin.__signature__.parameters["x"]
        del again, twin


def test_a_function_outlives_its_module(c_library: Any, tmp_path: Path) -> None:
    (tmp_path / "g.h").write_text("double g(double x);\n")
    path = c_library("double g(double x) { return 2 * x; }")
    g = hw.load(path, tmp_path / "g.h").g
    gc.collect()
    assert g(2.0) == 4
    ufunc = g.ufunc
    del g
    gc.collect()
    assert ufunc(np.arange(3.0)).tolist() == [0, 2, 4]
