# SPDX-License-Identifier: MIT
"""C calls Python: exceptions, threads, lifetimes, interpreters."""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import subprocess
import sys
import threading
import traceback
import weakref
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import headway as hw
from headway import _core

np = pytest.importorskip("numpy")

HEADER = """
#include <stddef.h>
typedef int (*visit)(int i, void *context);
struct job { double (*f)(double x, void *data); void *data; int id; };
struct pair { int a, b; };
typedef struct server server;
int each(int n, visit f, void *context);
double run(const struct job *j, double x);
double apply(double (*f)(double), double x);
double apply2(double (*f)(double, double), double x, double y);
long from_thread(int (*f)(int), int n);
void start_thread(int (*f)(int), int n);
long join_thread(void);
int rows(int (*f)(int n, char **values, double *numbers, void *context), void *context);
struct pair swap(struct pair (*f)(struct pair), struct pair p);
const char *text(const char *(*f)(const char *), const char *s);
float narrow(float (*f)(float), float x);
unsigned char byte(unsigned char (*f)(unsigned char), unsigned char x);
long double wide(long double (*f)(long double), long double x);
double _Complex whirl(double _Complex (*f)(double _Complex), double _Complex x);
void store(int (*f)(int));
int call_stored(int x);
server *server_new(void);
void server_free(server *s);
void server_on(server *s, int (*f)(int, void *), void *context);
int server_fire(server *s, int x);
int errno_around(void (*f)(void), int value);
int errno_of(int (*f)(void));
void *pointer(void *(*f)(void *), void *p);
int by_pointer(int (*f)(struct pair *p), struct pair *p);
void sort(void *base, size_t n, size_t size, int (*compare)(const void *, const void *));
int compare_ints(const void *a, const void *b);
double twice(double x);
int variadic(int (*f)(int, ...));
int recurse(int (*f)(int), int n);
int at_end(void (*f)(void));
"""

SOURCE = """
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
int each(int n, visit f, void *context)
{ int sum = 0; for (int i = 0; i < n; i++) { int r = f(i, context); if (r < 0) return r; sum += r; } return sum; }
double run(const struct job *j, double x) { return j->f(x, j->data); }
double apply(double (*f)(double), double x) { return f(x); }
double apply2(double (*f)(double, double), double x, double y) { return f(x, y); }
struct task { int (*f)(int); int n; long sum; };
static void *work(void *p)
{ struct task *t = p; for (int i = 0; i < t->n; i++) t->sum += t->f(i); return 0; }
long from_thread(int (*f)(int), int n)
{ struct task t = {f, n, 0}; pthread_t id; pthread_create(&id, 0, work, &t); pthread_join(id, 0); return t.sum; }
static struct task started; static pthread_t thread;
void start_thread(int (*f)(int), int n)
{ started = (struct task){f, n, 0}; pthread_create(&thread, 0, work, &started); }
long join_thread(void) { pthread_join(thread, 0); return started.sum; }
int rows(int (*f)(int n, char **values, double *numbers, void *context), void *context)
{ char *values[] = {"one", 0, "three"}; double numbers[] = {1, 2, 3}; return f(3, values, numbers, context); }
struct pair swap(struct pair (*f)(struct pair), struct pair p) { return f(p); }
const char *text(const char *(*f)(const char *), const char *s) { return f(s); }
float narrow(float (*f)(float), float x) { return f(x); }
unsigned char byte(unsigned char (*f)(unsigned char), unsigned char x) { return f(x); }
long double wide(long double (*f)(long double), long double x) { return f(x); }
double _Complex whirl(double _Complex (*f)(double _Complex), double _Complex x) { return f(x); }
static int (*stored)(int);
void store(int (*f)(int)) { stored = f; }
int call_stored(int x) { return stored(x); }
struct server { int (*f)(int, void *); void *context; };
server *server_new(void) { return calloc(1, sizeof(server)); }
void server_free(server *s) { free(s); }
void server_on(server *s, int (*f)(int, void *), void *context) { s->f = f; s->context = context; }
int server_fire(server *s, int x) { return s->f ? s->f(x, s->context) : -1; }
int errno_around(void (*f)(void), int value) { errno = value; f(); return errno; }
int errno_of(int (*f)(void)) { int r = f(); errno = 99; return r; }
void *pointer(void *(*f)(void *), void *p) { return f(p); }
int by_pointer(int (*f)(struct pair *p), struct pair *p) { return f(p); }
void sort(void *base, size_t n, size_t size, int (*compare)(const void *, const void *))
{ qsort(base, n, size, compare); }
int compare_ints(const void *a, const void *b)
{ int x = *(const int *)a, y = *(const int *)b; return (x > y) - (x < y); }
double twice(double x) { return 2 * x; }
int variadic(int (*f)(int, ...)) { return f(1, 2); }
int at_end(void (*f)(void)) { return atexit(f); }
int recurse(int (*f)(int), int n) { return n ? f(n) + 1 : 0; }
"""

ANNOTATIONS = {
    "each": {"f": "call, context=context, on_error=-7"},
    "rows": {"f": "call, context=context", "f.1": "in, size=0", "f.2": "in, size=0"},
    "job": {"f": "context=data, on_error=-1"},
    "store": {"f": "keep"},
    "join_thread": {"return": "release_gil"},
    "server_on": {"f": "context=context, keep=s"},
    "server_new": {"return": "owned=server_free"},
}


@pytest.fixture(scope="module")
def m(c_library: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    header = tmp_path_factory.mktemp("callbacks") / "callbacks.h"
    header.write_text(HEADER, encoding="utf-8")
    path = c_library(f'#include "{header}"\n{SOURCE}', "-w", "-pthread")
    return hw.load(path, header, annotate=ANNOTATIONS)


# ---- arguments and results ---------------------------------------------------------------------


def test_a_callable_is_called_with_what_c_passes(m: ModuleType) -> None:
    seen: list[int] = []
    assert m.each(4, lambda i: seen.append(i) or 10 * i) == 60
    assert seen == [0, 1, 2, 3]


def test_any_callable_will_do(m: ModuleType) -> None:
    class Adder:
        def __call__(self, i: int) -> int:
            return i + 1

        def method(self, i: int) -> int:
            return i + 2

    assert m.each(2, Adder()) == 3
    assert m.each(2, Adder().method) == 5
    assert m.each(3, [5, 6, 7].__getitem__) == 18
    assert m.each(3, abs) == 3


@pytest.mark.parametrize(
    ("name", "function", "value", "expected"),
    [
        ("swap", lambda p: (p.b, p.a), (1, 2), None),
        ("text", lambda s: s + "é", "abc", "abcé"),
        ("text", lambda s: None, "abc", None),
        ("text", lambda s: s.encode() + b"!", "abc", "abc!"),
        ("narrow", lambda x: x / 3, 1.0, float(np.float32(1) / np.float32(3))),
        ("byte", lambda x: 255 - x, 1, 254),
        ("wide", lambda x: x * 2, 1.5, 3.0),
        ("whirl", lambda z: z * 1j, 1 + 2j, -2 + 1j),
        ("apply", lambda x: 3, 1.0, 3.0),
        ("apply", lambda x: np.float32(1.5), 1.0, 1.5),
    ],
)
def test_every_kind_of_value_goes_in_and_comes_out(
    m: ModuleType, name: str, function: Callable[..., Any], value: Any, expected: Any
) -> None:
    got = getattr(m, name)(function, value)
    assert got == (m.pair(a=2, b=1) if name == "swap" else expected)


def test_lengths_make_lists(m: ModuleType) -> None:
    seen: list[Any] = []
    assert m.rows(lambda n, values, numbers: seen.append((n, values, numbers)) or 7) == 7
    assert seen == [(3, ["one", None, "three"], [1.0, 2.0, 3.0])]


def test_saying_nothing_is_zero_for_integers_and_an_error_for_numbers(m: ModuleType) -> None:
    assert m.each(3, lambda i: None) == 0
    with pytest.raises(TypeError, match=r"expected a real number, got NoneType"):
        m.apply(lambda x: None, 1.0)


def test_pointers_come_as_pointers(m: ModuleType) -> None:
    seen: list[Any] = []
    p = m.pair(a=1, b=2)

    def change(q: Any) -> int:
        seen.append(q.a)
        q.b = 9
        return int(q == hw.addressof(p))

    assert m.by_pointer(change, p) == 1
    assert (seen, p.b) == ([1], 9)
    assert m.pointer(lambda q: q, hw.cast("void *", 77)) == hw.cast("void *", 77)
    assert not m.pointer(lambda q: hw.NULL, hw.NULL)


# ---- exceptions --------------------------------------------------------------------------------


def test_an_exception_comes_out_of_the_call(m: ModuleType) -> None:
    def bad(i: int) -> int:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine") as caught:
        m.each(3, bad)
    assert [f.name for f in traceback.extract_tb(caught.value.__traceback__)][-1] == "bad"
    assert m.each(2, lambda i: 1) == 2


def test_after_an_exception_c_gets_on_error_and_python_is_not_entered(m: ModuleType) -> None:
    calls = []

    def bad(i: int) -> int:
        calls.append(i)
        raise ValueError

    with pytest.raises(ValueError):
        m.rows(lambda *args: bad(1))
    with pytest.raises(ValueError):
        m.each(5, bad)
    assert calls == [1, 0]
    compared = []

    def compare(a: Any, b: Any) -> int:
        compared.append(1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        m.sort(np.arange(100, dtype="i4")[::-1].copy(), 100, 4, compare)
    assert len(compared) == 1


def test_what_c_gets_after_an_exception(m: ModuleType, c_library: Any, tmp_path: Path) -> None:
    """on_error is a number, a string or a struct's zeros: whatever the result type is."""
    (tmp_path / "e.h").write_text(
        "#include <stddef.h>\nstruct big { double x[4]; };\n"
        "extern double got; extern float got_f; extern int got_i; extern struct big got_b;\n"
        "void d(double (*f)(void)); void f(float (*f)(void)); void i(int (*f)(void));\n"
        "void b(struct big (*f)(void)); void c(signed char (*f)(void));\n"
        "typedef struct holder { double (*f)(double); } holder; void h(const holder *h);\n"
    )
    source = (
        f'#include "{tmp_path}/e.h"\ndouble got; float got_f; int got_i; struct big got_b;\n'
        "void d(double (*f)(void)) { got = f(); } void f(float (*f)(void)) { got_f = f(); }\n"
        "void i(int (*f)(void)) { got_i = f(); } void b(struct big (*f)(void)) { got_b = f(); }\n"
        "void c(signed char (*f)(void)) { got_i = f(); }\n"
        "void h(const holder *h) { got = h->f(1); }\n"
    )
    said = {
        "d": {"f": "call, on_error=2"},
        "f": {"f": "call, on_error=-3"},
        "i": {"f": "call, on_error=4"},
        "c": {"f": "call, on_error=-5"},
        "holder": {"f": "on_error=6"},
    }
    e = hw.load(c_library(source), tmp_path / "e.h", annotate=said)

    def bad(*args: Any) -> Any:
        raise RuntimeError

    for name, value in (("d", 2), ("f", -3), ("i", 4), ("c", -5), ("b", 0)):
        with pytest.raises(RuntimeError):
            getattr(e, name)(bad)
        got = {"d": lambda: e.got, "f": lambda: e.got_f, "b": lambda: e.got_b.x[3]}
        assert got.get(name, lambda: e.got_i)() == value, name
    with pytest.raises(RuntimeError):
        e.h(e.holder(f=bad))
    assert e.got == 6


@pytest.mark.parametrize(
    ("name", "function", "args", "exception", "error"),
    [
        ("apply", lambda x: "a", (1.0,), TypeError, r"argument result \(double\): expected a real"),
        (
            "each",
            lambda i: 1.5,
            None,
            TypeError,
            r"<lambda>\(\) argument result \(int\): expected an",
        ),
        ("each", lambda i: 2**40, None, OverflowError, "does not fit"),
        ("byte", lambda x: 256, (1,), OverflowError, "does not fit"),
        ("swap", lambda p: 3, ((1, 2),), TypeError, "expected struct pair, got int"),
        ("swap", lambda p: p.c, ((1, 2),), AttributeError, "no attribute|no field"),
        ("text", lambda s: 5, ("a",), TypeError, r"expected const char \*, got int"),
        ("each", lambda: 1, None, TypeError, "takes 0 positional arguments but 1 was given"),
        ("narrow", lambda x: 1e300, (1.0,), OverflowError, "beyond the range of float"),
    ],
)
def test_a_wrong_result_is_an_error_of_the_call(
    m: ModuleType,
    name: str,
    function: Callable[..., Any],
    args: tuple[Any, ...] | None,
    exception: type[Exception],
    error: str,
) -> None:
    with pytest.raises(exception, match=error):
        m.each(2, function) if args is None else getattr(m, name)(function, *args)


def test_interrupts_come_out_too(m: ModuleType) -> None:
    def stop(i: int) -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        m.each(3, stop)


def test_what_is_no_callable_is_refused(m: ModuleType) -> None:
    for wrong in (5, "a", None, m.pair()):
        with pytest.raises(TypeError, match=r"each\(\) argument 2 \(f: "):
            m.each(1, wrong)
    with pytest.raises(hw.NotBoundError, match="a variadic function cannot be a callback"):
        m.variadic(lambda *args: 1)


# ---- nesting -----------------------------------------------------------------------------------


def test_calls_nest(m: ModuleType) -> None:
    def inner(i: int) -> int:
        return m.each(i, lambda j: j) + int(m.apply(lambda x: x, float(i)))

    assert m.each(4, inner) == sum(i * (i - 1) // 2 + i for i in range(4))


def test_an_exception_stays_within_the_call_it_comes_out_of(m: ModuleType) -> None:
    seen = []

    def outer(i: int) -> int:
        try:
            m.each(1, lambda j: 1 // 0)
        except ZeroDivisionError:
            seen.append(i)
        return i

    assert m.each(3, outer) == 3
    assert seen == [0, 1, 2]


def test_recursion_through_c_ends_in_a_recursion_error(m: ModuleType) -> None:
    def down(n: int) -> int:
        return int(m.recurse(down, n - 1))

    assert m.recurse(down, 50) == 50
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(300)
    try:
        with pytest.raises(RecursionError):
            m.recurse(down, 100_000)
    finally:
        sys.setrecursionlimit(before)


def test_errno_of_c_is_not_that_of_python(m: ModuleType) -> None:
    def spoil() -> None:
        with pytest.raises(FileNotFoundError):
            os.stat("/nonexistent")

    assert m.errno_around(spoil, errno.EDOM) == errno.EDOM
    seen = []

    def inner() -> int:
        m.errno_around(lambda: None, errno.ERANGE)
        seen.append(hw.errno)
        return 0

    m.errno_of(inner)
    assert seen == [errno.ERANGE]
    assert hw.errno == 99


# ---- threads -----------------------------------------------------------------------------------


def test_a_foreign_thread_runs_python(m: ModuleType) -> None:
    threads = set()

    def f(i: int) -> int:
        threads.add(threading.get_ident())
        return 2 * i

    assert m.from_thread(f, 100) == 9900
    assert threading.get_ident() not in threads
    assert len(threads) == 1


def test_a_foreign_thread_runs_while_python_does_something_else(m: ModuleType) -> None:
    go = threading.Event()

    def f(i: int) -> int:
        go.wait(10)
        return i

    callback = hw.typeof(m.start_thread).params[0](f)
    m.start_thread(callback, 10)
    go.set()
    assert m.join_thread() == 45


def test_an_exception_on_a_foreign_thread_goes_to_the_hook(
    m: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    caught: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: caught.append(args.exc_type))
    assert m.from_thread(lambda i: 1 // (i % 2), 4) == 2
    assert caught == [ZeroDivisionError] * 2


def test_an_exception_outside_any_call_goes_to_the_hook(
    m: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    caught: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: caught.append(args.exc_type))

    def bad(x: int) -> int:
        raise LookupError

    callback = hw.typeof(m.store).params[0](bad)
    prototype = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)  # lets the GIL go
    assert prototype(int(callback))(3) == 0
    keeping = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_int)  # keeps it
    assert keeping(int(callback))(3) == 0
    assert caught == [LookupError, LookupError]


def test_a_callback_called_from_another_extension_within_a_callback(m: ModuleType) -> None:
    """The outer call let the GIL go, took it for the callback, and ctypes let it go again."""
    inner = hw.typeof(m.store).params[0](lambda x: x + 1)
    free = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(int(inner))
    keeping = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_int)(int(inner))
    assert m.each(3, lambda i: free(i) + keeping(i)) == 12
    m.apply.release_gil = True
    try:
        assert m.apply(lambda x: free(int(x)), 4.0) == 5
    finally:
        m.apply.release_gil = False


def test_a_callback_called_by_c_that_another_extension_called(m: ModuleType) -> None:
    """ctypes lets the GIL go and takes it back for its own callback, in a call of ours."""
    ours = hw.typeof(m.store).params[0](lambda x: 10 * x)
    call = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_int)(int(ours))
    theirs = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda x: call(x) + 1)
    address = ctypes.cast(theirs, ctypes.c_void_p).value
    pointer = hw.cast(hw.typeof(m.recurse).params[0], address)
    assert m.recurse(pointer, 3) == 32


def test_many_threads_call_back_at_once(m: ModuleType) -> None:
    results = []

    def work() -> None:
        for _ in range(50):
            results.append(m.each(10, lambda i: i))
            results.append(m.from_thread(lambda i: i, 10))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [45] * 400


# ---- lifetimes ---------------------------------------------------------------------------------


class Target:
    def __call__(self, *args: Any) -> int:
        return 5


def test_a_callback_of_a_call_ends_with_the_call(m: ModuleType) -> None:
    target = Target()
    gone = weakref.ref(target)
    assert m.each(1, target) == 5
    del target
    assert gone() is None


def test_a_callback_in_a_struct_lives_as_long_as_the_struct(m: ModuleType) -> None:
    target = Target()
    gone = weakref.ref(target)
    job = m.job(f=target)
    del target
    gc.collect()
    assert m.run(job, 1.0) == 5
    copy = m.job(job)
    del job
    gc.collect()
    assert m.run(copy, 1.0) == 5
    copy.f = lambda x: 7.0
    del copy
    gc.collect()
    assert gone() is None


def test_another_callback_in_its_place_lets_go_of_the_first(m: ModuleType) -> None:
    target = Target()
    gone = weakref.ref(target)
    job = m.job(f=target)
    del target
    job.f = lambda x: x
    assert gone() is None
    assert m.run(job, 2.0) == 2


def test_a_callback_that_refers_to_its_struct_is_collected(m: ModuleType) -> None:
    before = _core.live_objects()

    def run() -> float:
        job = m.job(id=3)
        job.f = lambda x: x + job.id
        return float(m.run(job, 1.0))

    assert run() == 4
    gc.collect()
    assert _core.live_objects() == before


def test_a_callback_field_has_context_and_on_error(m: ModuleType) -> None:
    assert m.run(m.job(f=lambda *args: len(args)), 1.0) == 1
    with pytest.raises(ZeroDivisionError):
        m.run(m.job(f=lambda x: x / 0), 1.0)


def test_a_callback_field_is_read_as_a_pointer_that_calls(m: ModuleType) -> None:
    job = m.job(f=lambda x: 2 * x)
    f = job.f
    del job
    gc.collect()
    assert f(4.0, hw.NULL) == 8


@pytest.mark.holds("a callback that is kept for the life of the process")
def test_a_callback_kept_for_good_is_called_later(m: ModuleType) -> None:
    m.store(lambda x: x + 1)
    gc.collect()
    assert m.call_stored(4) == 5


def test_an_exception_of_a_stored_callback_comes_out_of_the_call_that_runs_it(
    m: ModuleType,
) -> None:
    callback = hw.typeof(m.store).params[0](lambda x: x // 0)
    m.store(callback)
    with pytest.raises(ZeroDivisionError):
        m.call_stored(4)


def test_a_callback_kept_by_a_handle_lives_as_long_as_the_handle(m: ModuleType) -> None:
    target = Target()
    gone = weakref.ref(target)
    server = m.server_new()
    m.server_on(server, target)
    del target
    gc.collect()
    assert m.server_fire(server, 1) == 5
    m.server_free(server)
    assert gone() is None


def test_a_handle_that_is_collected_lets_go_of_its_callbacks(m: ModuleType) -> None:
    before = _core.live_objects()

    def fire() -> int:
        server = m.server_new()
        m.server_on(server, lambda x: x + bool(server))
        return int(m.server_fire(server, 1))

    assert fire() == 2
    gc.collect()
    assert _core.live_objects() == before


def test_a_callback_that_is_replaced_while_it_runs(m: ModuleType) -> None:
    job = m.job()

    def f(x: float) -> float:
        job.f = lambda x: 0.0
        gc.collect()
        return x + 1

    job.f = f
    del f
    assert m.run(job, 1.0) == 2
    assert m.run(job, 1.0) == 0


def test_what_a_result_points_into_lives_until_the_next(m: ModuleType) -> None:
    assert m.text(lambda s: "".join(["x"] * 1000), "a") == "x" * 1000
    array = np.arange(3.0)
    count = sys.getrefcount(array)
    assert m.pointer(lambda p: array, hw.NULL) == hw.cast("void *", array.ctypes.data)
    assert sys.getrefcount(array) == count


# ---- bound functions as callbacks --------------------------------------------------------------


def test_a_bound_c_function_is_its_own_address(m: ModuleType) -> None:
    a = np.array([3, 1, 2], "i4")
    before = _core.live_objects()["Callback"]
    m.sort(a, 3, 4, m.compare_ints)
    assert a.tolist() == [1, 2, 3]
    assert m.apply(m.twice, 4.0) == 8
    libm = hw.load("m", "math.h")
    assert m.apply(libm.cos, 0.0) == 1
    assert m.apply2(libm.hypot, 3.0, 4.0) == 5
    assert _core.live_objects()["Callback"] == before


def test_a_bound_c_function_of_another_type_is_refused_unless_cast(m: ModuleType) -> None:
    libm = hw.load("m", "math.h")
    with pytest.raises(TypeError, match=r"argument 1 \(f: double \(\*\)\(double\)\)"):
        m.apply(libm.hypot, 1.0)
    with pytest.raises(TypeError, match="expected"):
        m.job(f=libm.cos)
    job = m.job(f=hw.cast(m.job.fields["f"][0], libm.cos))
    assert m.run(job, 0.0) == 1  # a second argument in a register does no harm
    job = m.job(f=hw.cast(m.job.fields["f"][0], libm.sqrt))
    del libm
    gc.collect()
    assert m.run(job, 4.0) == 2


def test_a_compiled_comparator_sorts_without_python(m: ModuleType) -> None:
    k = hw.compile(
        "int by_size(const void *a, const void *b)"
        "{ double x = *(const double *)a, y = *(const double *)b; return (x > y) - (x < y); }"
    )
    c = hw.load(None, "stdlib.h")
    a = np.random.default_rng(1).random(1000)
    c.qsort(a, 1000, 8, k.by_size)
    np.testing.assert_array_equal(a, np.sort(a))


def test_python_sorts_through_c(m: ModuleType) -> None:
    a = np.array([3, 1, 2], "i4")
    m.sort(a, 3, 4, lambda p, q: hw.cast("int *", p)[0] - hw.cast("int *", q)[0])
    assert a.tolist() == [1, 2, 3]


def test_a_function_type_makes_callbacks_to_hold(m: ModuleType) -> None:
    pointer = hw.typeof(m.apply).params[0]
    for ctype in (pointer, pointer.target):
        callback = ctype(lambda x: x + 1)
        assert isinstance(callback, pointer)
        assert callback(2.0) == 3
        assert m.apply(callback, 2.0) == 3
    with pytest.raises(TypeError, match="takes one callable"):
        pointer()
    with pytest.raises(TypeError, match="expected a callable for .*, got int"):
        pointer(3)


# ---- the end of an interpreter -----------------------------------------------------------------


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code],
        env=path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_callback_after_the_interpreter_ended_does_nothing(m: ModuleType) -> None:
    library = m.each.library.path
    code = f"""if True:
        import headway as hw
        m = hw.load({str(library)!r}, {header_of(library)!r})
        kept = hw.typeof(m.at_end).params[0](lambda: print("never"))
        assert m.at_end(kept) == 0
        import ctypes
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))  # C has it for good
        print("end")
        """
    done = run_python(code)
    assert (done.returncode, done.stdout) == (0, "end\n"), done.stderr


def test_what_is_alive_at_exit_does_no_harm(m: ModuleType) -> None:
    library = m.each.library.path
    code = f"""if True:
        import builtins, headway as hw
        m = hw.load({str(library)!r}, {header_of(library)!r}, annotate={ANNOTATIONS!r})
        server = m.server_new()
        m.server_on(server, lambda x: x + bool(server))
        job = m.job(f=lambda x: x + job.id)
        builtins.kept = [server, job, m, hw.NULL]
        cycle = [server, job]
        cycle.append(cycle)
        print(m.server_fire(server, 1))
        """
    done = run_python(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "2\n", "")


def header_of(library: Any) -> str:
    first = (Path(library).parent / "source.c").read_text(encoding="utf-8").splitlines()[0]
    return first.split('"')[1]


# ---- sub-interpreters --------------------------------------------------------------------------

SUBINTERPRETERS = """if True:
    import sys, threading
    try:
        import _xxsubinterpreters as interpreters
    except ImportError:
        import _interpreters as interpreters
    inside = '''if True:
        import headway as hw
        c = hw.load(None, "stdlib.h")
        m = hw.load({library!r}, {header!r})
        seen = []
        assert m.apply(lambda x: seen.append(x) or 2 * x, 4.0) == 8
        assert m.recurse(lambda n: n, 3) == 4
        assert m.from_thread(lambda i: i, 10) == 45
        try:
            m.apply(lambda x: 1 / 0, 1.0)
        except ZeroDivisionError:
            seen.append("raised")
        job = m.job(f=lambda x, data: x + 1)
        assert m.run(job, 1.0) == 2
        assert seen == [4.0, "raised"]
        print("inside", flush=True)
        '''
    def work():
        i = interpreters.create()
        failed = interpreters.run_string(i, inside)
        if failed is not None:
            print(failed)
        interpreters.destroy(i)
    # first here: CPython 3.12.1 and 3.13.0 crash where two interpreters at once import a module that
    # the main one has not imported
    exec(inside)
    work()
    threads = [threading.Thread(target=work) for _ in range(2)]
    for t in threads: t.start()
    for t in threads: t.join()
    assert m.apply(lambda x: 3 * x, 1.0) == 3
    print("end")
"""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="one interpreter with its own GIL is 3.12's")
def test_callbacks_run_in_the_interpreter_that_made_them(m: ModuleType) -> None:
    library = m.each.library.path
    code = SUBINTERPRETERS.format(library=str(library), header=header_of(library))
    done = run_python(code)
    assert done.stdout.count("inside") == 4, done.stderr
    assert done.stdout.endswith("end\n")
    assert done.returncode == 0, done.stderr
