# SPDX-License-Identifier: MIT
"""Owned handles: typed, freed once, in order, and refused afterwards."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
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
typedef struct db db;
typedef struct stmt stmt;
typedef struct point { double x, y; struct point *next; } point;
int db_open(const char *name, db **out);
int db_close(db *d);
const char *db_error(db *d);
int db_id(db *d);
int db_slow(db *d, int milliseconds);
int running(void);
int db_call(db *d, int (*f)(int));
int db_both(db *d, double x);
stmt *stmt_make(db *d, int id);
void stmt_free(stmt *s);
int stmt_id(stmt *s);
stmt *stmt_sub(stmt *s, int id);
int stmt_slow(stmt *s, int milliseconds);
stmt *stmt_peek(db *d);
point *point_new(double x, double y);
void point_free(point *p);
double point_sum(const point *p);
double point_by_value(point p);
char *greet(const char *name);
void greet_free(char *text);
int two(db **first, db **second, int fail);
void locked_free(db *d);
db *locked_new(void);
int strict_close(db *d);
db *strict_new(int fails);
const char *history(void);
void forget(void);
int live(void);
"""

SOURCE = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static char log_[4096]; static int alive;
static void tell(const char *what, int id) { size_t n = strlen(log_); snprintf(log_ + n, sizeof log_ - n, "%s%d ", what, id); }
struct db { int id, fails; char error[40]; };
struct stmt { int id; db *d; };
static db *db_make(int id) { db *d = calloc(1, sizeof *d); d->id = id; alive++; return d; }
int db_open(const char *name, db **out)
{
    if (!strcmp(name, "nothing")) { *out = 0; return 2; }
    *out = db_make((int)strlen(name));
    if (!strcmp(name, "broken")) { strcpy((*out)->error, "it is broken"); return 1; }
    return 0;
}
int db_close(db *d) { tell("close", d->id); d->id = -99; free(d); alive--; return 0; }
const char *db_error(db *d) { return d ? d->error : "no handle"; }
int db_id(db *d) { return d ? d->id : -1; }
static _Atomic int running_;
int running(void) { return running_; }
int db_slow(db *d, int ms) { running_ = 1; usleep((unsigned)ms * 1000); running_ = 0; return d->id; }
int db_call(db *d, int (*f)(int)) { int r = f(d->id); return r + d->id; }
int db_both(db *d, double x) { return d->id + (int)x; }
stmt *stmt_make(db *d, int id) { stmt *s = calloc(1, sizeof *s); s->id = id; s->d = d; alive++; return s; }
void stmt_free(stmt *s) { tell("free", s->id); if (s->d) s->id += s->d->id; free(s); alive--; }
int stmt_id(stmt *s) { return s->id; }
stmt *stmt_sub(stmt *s, int id) { return stmt_make(s->d, id); }
int stmt_slow(stmt *s, int ms) { running_ = 1; usleep((unsigned)ms * 1000); running_ = 0; return s->id; }
static stmt peeked = {7, 0};
stmt *stmt_peek(db *d) { return &peeked; }
point *point_new(double x, double y) { point *p = calloc(1, sizeof *p); p->x = x; p->y = y; alive++; return p; }
void point_free(point *p) { tell("point", (int)p->x); free(p); alive--; }
double point_sum(const point *p) { return p->x + p->y; }
double point_by_value(point p) { return p.x + p.y; }
char *greet(const char *name)
{ if (!*name) return 0; alive++; char *s = malloc(100); snprintf(s, 100, "hello %s", name); return s; }
void greet_free(char *text) { tell("text", (int)strlen(text)); free(text); alive--; }
int two(db **first, db **second, int fail) { *first = db_make(1); *second = fail ? 0 : db_make(2); return fail; }
void locked_free(db *d) { db_close(d); }
db *locked_new(void) { return db_make(5); }
int strict_close(db *d) { if (d->fails) { d->fails--; return 1; } db_close(d); return 0; }
db *strict_new(int fails) { db *d = db_make(6); d->fails = fails; return d; }
const char *history(void) { return log_; }
void forget(void) { log_[0] = 0; }
int live(void) { return alive; }
"""

ANNOTATIONS = {
    "db_open": {"out": "out, owned=db_close", "return": "status(0, message=db_error)"},
    "stmt_make": {"return": "owned=stmt_free, keeps=d"},
    "stmt_sub": {"return": "owned=stmt_free, keeps=s"},
    "stmt_peek": {"return": "borrowed, keeps=d"},
    "point_new": {"return": "owned=point_free"},
    "greet": {"return": "owned=greet_free"},
    "two": {
        "first": "out, owned=db_close",
        "second": "out, owned=db_close",
        "return": "status(0)",
    },
    "locked_new": {"return": "owned=locked_free, lock=handles"},
    "locked_free": {"return": "lock=handles"},
    "strict_new": {"return": "owned=strict_close"},
    "strict_close": {"return": "status(0)"},
    "db_slow": {"return": "release_gil"},
}


@pytest.fixture(scope="module")
def module(c_library: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    header = tmp_path_factory.mktemp("handles") / "handles.h"
    header.write_text(HEADER, encoding="utf-8")
    path = c_library(f'#include "{header}"\n{SOURCE}', "-w")
    made = hw.load(path, header, annotate=ANNOTATIONS)
    for name in dir(made):  # a test that binds a name would be run again, in its own history
        getattr(made, name)
    return made


@pytest.fixture
def m(module: ModuleType) -> Any:
    module.forget()
    yield module
    gc.collect()
    assert module.live() == 0, "C objects were not freed"


def freed(m: ModuleType) -> list[str]:
    return str(m.history()).split()


# ---- types -------------------------------------------------------------------------------------


def test_a_handle_of_another_type_is_refused(m: ModuleType) -> None:
    d = m.db_open("abc")
    s = m.stmt_make(d, 1)
    with pytest.raises(
        TypeError, match=r"db_id\(\) argument 1 \(d: db \*\): expected .*db \*, got "
    ):
        m.db_id(s)
    with pytest.raises(TypeError, match="expected .*stmt"):
        m.stmt_free(d)
    with pytest.raises(TypeError, match="expected .*db"):
        m.db_id(m.point_new(1, 2))
    assert m.db_id(d) == 3


def test_a_handle_tells_what_it_is(m: ModuleType) -> None:
    d = m.db_open("abc")
    assert d.owned
    assert not d.closed
    assert "owned" in repr(d)
    d.close()
    assert not d.owned
    assert d.closed
    assert "freed" in repr(d)


# ---- freeing once ------------------------------------------------------------------------------


def test_a_handle_is_freed_when_the_last_reference_goes(m: ModuleType) -> None:
    d = m.db_open("abc")
    other = d
    del d
    assert freed(m) == []
    del other
    assert freed(m) == ["close3"]


def test_a_handle_is_freed_once_however_often_it_is_closed(m: ModuleType) -> None:
    d = m.db_open("abc")
    d.close()
    d.close()
    hw.close(d)
    del d
    gc.collect()
    assert freed(m) == ["close3"]


def test_the_freeing_function_called_by_hand_uses_the_handle_up(m: ModuleType) -> None:
    d = m.db_open("abc")
    assert m.db_close(d) == 0
    assert d.closed
    with pytest.raises(hw.UseAfterFreeError, match="was freed already"):
        m.db_close(d)
    del d
    assert freed(m) == ["close3"]


def test_a_with_block_frees_at_its_end(m: ModuleType) -> None:
    with m.db_open("abc") as d:
        assert m.db_id(d) == 3
    assert freed(m) == ["close3"]
    with pytest.raises(ZeroDivisionError), m.db_open("abcd") as d:
        _ = 1 / 0
    assert freed(m) == ["close3", "close4"]
    with m.db_open("a") as d:
        m.db_close(d)
    assert freed(m)[2:] == ["close1"]


def test_every_use_of_a_freed_handle_is_refused(m: ModuleType) -> None:
    p = m.point_new(1, 2)
    view, further, cast = p[0], p + 0, hw.cast("double *", p)
    inner = hw.addressof(view, "y")
    assert view.x == 1
    p.close()
    uses: list[Callable[[], Any]] = [
        lambda: m.point_sum(p),
        lambda: m.point_sum(view),
        lambda: m.point_sum(further),
        lambda: m.point_by_value(view),
        lambda: m.point_free(p),
        lambda: p.x,
        lambda: setattr(p, "x", 1),
        lambda: p[0],
        lambda: p.__setitem__(0, (1, 2)),
        lambda: view.x,
        lambda: setattr(view, "x", 1),
        lambda: view == m.point(),
        lambda: memoryview(view),
        lambda: m.point(view),
        lambda: further[0],
        lambda: further.x,
        lambda: p + 1,
        lambda: cast[0],
        lambda: inner[0],
        lambda: hw.addressof(view)[0],
        lambda: hw.buffer(p),
        lambda: hw.buffer(view),
    ]
    for i, use in enumerate(uses):
        with pytest.raises(hw.UseAfterFreeError, match="was freed already"):
            use()
            pytest.fail(f"use {i} was not refused")
    with pytest.raises(ReferenceError):
        uses[0]()
    assert "freed" in repr(view)
    assert hw.sizeof(hw.typeof(view)) == 24


def test_a_null_handle_is_not_freed(m: ModuleType) -> None:
    with pytest.raises(hw.StatusError, match="db_open failed with status 2$"):
        m.db_open("nothing")
    null = hw.cast(hw.typeof(m.db_id).params[0], 0)
    with pytest.raises(ValueError, match="is NULL: what returned it failed or found nothing"):
        m.db_id(null)
    assert m.db_id(hw.NULL) == -1
    assert freed(m) == []


# ---- in a cycle, at the end --------------------------------------------------------------------


def test_a_handle_in_a_cycle_is_freed_by_the_collector(m: ModuleType) -> None:
    d = m.db_open("abc")
    holder: dict[str, Any] = {"d": d}
    holder["self"] = holder
    del d, holder
    assert freed(m) == []
    gc.collect()
    assert freed(m) == ["close3"]


def test_children_are_freed_before_their_parent(m: ModuleType) -> None:
    d = m.db_open("abc")
    first, second = m.stmt_make(d, 1), m.stmt_make(d, 2)
    del d
    assert freed(m) == []
    del first
    assert freed(m) == ["free1"]
    del second
    assert freed(m) == ["free1", "free2", "close3"]


def test_closing_a_parent_frees_its_children_first(m: ModuleType) -> None:
    for close in (lambda d: d.close(), m.db_close):
        m.forget()
        d = m.db_open("abc")
        first, second = m.stmt_make(d, 1), m.stmt_make(d, 2)
        grandchild = m.stmt_sub(second, 4)
        close(d)
        assert freed(m)[-1] == "close3"
        assert sorted(freed(m)[:-1]) == ["free1", "free2", "free4"]
        assert freed(m).index("free4") < freed(m).index("free2")
        for s in (first, second, grandchild):
            assert s.closed
            with pytest.raises(hw.UseAfterFreeError):
                m.stmt_id(s)


def test_children_that_went_are_not_freed_again(m: ModuleType) -> None:
    d = m.db_open("abc")
    for i in range(100):
        m.stmt_make(d, i)
    kept = m.stmt_make(d, 1000)
    m.stmt_free(kept)
    d.close()
    assert freed(m) == [*(f"free{i}" for i in range(100)), "free1000", "close3"]


@pytest.mark.parametrize("order", [0, 1])
def test_a_family_in_a_cycle_is_freed_child_first(m: ModuleType, order: int) -> None:
    for _ in range(20):
        m.forget()
        d = m.db_open("abc")
        s = m.stmt_make(d, 1)
        g = m.stmt_sub(s, 2)
        members = [d, s, g] if order else [g, s, d]
        members.append(members)
        del d, s, g, members
        gc.collect()
        assert freed(m) == ["free2", "free1", "close3"]


def test_a_borrowed_handle_keeps_its_parent_and_goes_with_it(m: ModuleType) -> None:
    d = m.db_open("abc")
    s = m.stmt_peek(d)
    del d
    gc.collect()
    assert freed(m) == []
    assert m.stmt_id(s) == 7
    assert not s.owned
    del s
    assert freed(m) == ["close3"]
    d = m.db_open("abc")
    s = m.stmt_peek(d)
    d.close()
    with pytest.raises(hw.UseAfterFreeError):
        m.stmt_id(s)


def test_memory_of_a_handle_keeps_the_handle(m: ModuleType) -> None:
    p = m.point_new(1, 2)
    view = p[0]
    field = hw.addressof(view, "y")
    del p, view
    gc.collect()
    assert field[0] == 2
    assert freed(m) == []
    del field
    assert freed(m) == ["point1"]


def test_what_is_stored_in_a_handle_lives_until_it_is_freed(m: ModuleType) -> None:
    before = _core.live_objects()["Value"]
    p = m.point_new(1, 2)
    p.next = m.point(x=5)
    gc.collect()
    assert p.next.x == 5
    assert _core.live_objects()["Value"] == before + 1
    p.close()
    assert _core.live_objects()["Value"] == before


def test_handles_alive_at_exit_are_freed(m: ModuleType) -> None:
    library = m.db_id.library.path
    first = (Path(library).parent / "source.c").read_text(encoding="utf-8").splitlines()[0]
    header = first.split('"')[1]
    code = f"""if True:
        import headway as hw
        m = hw.load({str(library)!r}, {header!r}, annotate={ANNOTATIONS!r})
        d = m.db_open("abc")
        s = m.stmt_make(d, 1)
        cycle = [s, d]
        cycle.append(cycle)
        print(m.db_id(d))
        """
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "3\n", "")


# ---- failures ----------------------------------------------------------------------------------


def test_an_open_that_fails_frees_what_it_made(m: ModuleType) -> None:
    with pytest.raises(
        hw.StatusError, match=r"db_open failed with status 1: it is broken"
    ) as caught:
        m.db_open("broken")
    assert caught.value.status == 1
    assert caught.value.message == "it is broken"
    del caught
    gc.collect()
    assert freed(m) == ["close6"]


def test_every_output_that_is_not_null_is_freed_on_failure(m: ModuleType) -> None:
    first, second = m.two(fail=0)
    assert (m.db_id(first), m.db_id(second)) == (1, 2)
    del first, second
    assert freed(m) == ["close1", "close2"]
    m.forget()
    with pytest.raises(hw.StatusError, match="two failed with status 3"):
        m.two(fail=3)
    gc.collect()
    assert freed(m) == ["close1"]


def test_a_freeing_function_that_fails_leaves_the_handle_in_use(m: ModuleType) -> None:
    d = m.strict_new(1)
    with pytest.raises(hw.StatusError, match="strict_close failed with status 1"):
        m.strict_close(d)
    assert not d.closed
    assert m.db_id(d) == 6
    m.strict_close(d)
    assert d.closed
    assert freed(m) == ["close6"]


def test_owned_strings_are_copied_and_freed(m: ModuleType) -> None:
    assert m.greet("you") == "hello you"
    assert freed(m) == ["text9"]
    assert m.greet("") is None
    assert freed(m) == ["text9"]


# ---- in use ------------------------------------------------------------------------------------


def test_a_handle_in_use_by_another_thread_cannot_be_freed(m: ModuleType) -> None:
    d = m.db_open("abc")
    s = m.stmt_make(d, 1)
    for function, handle in ((m.db_slow, d), (m.stmt_slow, s)):
        thread = threading.Thread(target=function, args=(handle, 300))
        thread.start()
        while not m.running():
            time.sleep(0.001)
        for free in (handle.close, d.close, lambda: m.db_close(d)):
            with pytest.raises(hw.UseAfterFreeError, match="is in use by a call"):
                free()
        thread.join()
        assert not handle.closed
    d.close()
    assert freed(m) == ["free1", "close3"]


def test_a_callback_cannot_free_the_handle_of_its_call(m: ModuleType) -> None:
    d = m.db_open("abc")

    def f(i: int) -> int:
        with pytest.raises(hw.UseAfterFreeError, match="is in use by a call"):
            d.close()
        with pytest.raises(hw.UseAfterFreeError, match="is in use by a call"):
            m.db_close(d)
        return i

    assert m.db_call(d, f) == 6


def test_the_conversion_of_one_argument_cannot_free_another(m: ModuleType) -> None:
    d = m.db_open("abc")

    class Sly:
        def __float__(self) -> float:
            d.close()
            return 1.0

    for call in (lambda: m.db_both(d, Sly()), lambda: m.db_both(d, x=Sly())):
        with pytest.raises(hw.UseAfterFreeError, match="is in use by a call"):
            call()
    assert m.db_both(d, 1.0) == 4
    d.close()


def test_a_function_with_a_lock_frees_under_it(m: ModuleType) -> None:
    threads = [
        threading.Thread(target=lambda: [m.locked_new() for _ in range(50)]) for _ in range(4)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert freed(m)[-1] == "close5"


def test_threads_that_free_one_handle_free_it_once(m: ModuleType) -> None:
    for _ in range(50):
        m.forget()
        d = m.db_open("abc")
        barrier = threading.Barrier(4)
        refused = []

        def free(d: Any = d, barrier: threading.Barrier = barrier, refused: Any = refused) -> None:
            barrier.wait()
            try:
                m.db_close(d)
            except hw.UseAfterFreeError:
                refused.append(1)

        threads = [threading.Thread(target=free) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert len(refused) == 3
        assert freed(m) == ["close3"]


def test_memory_of_a_handle_that_an_array_looks_into_cannot_be_freed(m: ModuleType) -> None:
    p = m.point_new(1, 2)
    array = np.frombuffer(p[0])
    for free in (p.close, lambda: m.point_free(p)):
        with pytest.raises(hw.UseAfterFreeError, match="its memory by a buffer or array"):
            free()
    assert array.tolist()[:2] == [1, 2]
    del array
    gc.collect()
    p.close()
    assert freed(m) == ["point1"]


def test_a_cycle_of_a_handle_and_an_array_of_its_memory_is_freed(m: ModuleType) -> None:
    p = m.point_new(1, 2)
    cycle = [p, np.frombuffer(p[0]), memoryview(p[0])]
    cycle.append(cycle)
    del p, cycle
    gc.collect()
    assert freed(m) == ["point1"]


# ---- a real library ----------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/usr/include/sqlite3.h").exists(), reason="sqlite3.h is missing")
def test_sqlite_statements_go_before_their_connection() -> None:
    sq = hw.load("sqlite3", "sqlite3.h", annotate="sqlite3.toml")
    db = sq.sqlite3_open(":memory:")
    cycle: list[Any] = [db]
    cycle.append(cycle)
    before = _core.live_objects()["Pointer"]
    sq.sqlite3_exec(db, "create table t (x)", lambda *args: 0)
    for i in range(3):
        sq.sqlite3_exec(db, f"insert into t values ({i})", lambda *args: 0)
    rows: list[Any] = []
    sq.sqlite3_exec(db, "select x from t", lambda n, values, names: rows.append(values))
    assert rows == [["0"], ["1"], ["2"]]
    assert _core.live_objects()["Pointer"] == before
    del db, cycle
    gc.collect()
    assert _core.live_objects()["Pointer"] == before - 1
