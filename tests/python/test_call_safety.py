# SPDX-License-Identifier: MIT
"""What C does with what it was given: callbacks kept, lengths that lie, handles that are NULL."""

from __future__ import annotations

import gc
import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest

import headway as hw

SOURCE = """
#include <stddef.h>
#include <errno.h>
typedef int (*callback)(int);
struct box { callback f; int n; };
static callback kept;
void keep_it(callback f) { kept = f; }
int use_it(int x) { return kept(x); }
struct registry { callback f[4]; int n; };
void add(struct registry *r, callback f) { r->f[r->n++] = f; f(0); }
int total(struct registry *r) { int s = 0; for (int i = 0; i < r->n; i++) s += r->f[i](1); return s; }
long put(char *out, size_t room, long says) { for (size_t i = 0; i < room; i++) out[i] = 'x'; return says; }
struct thing { int a; };
struct thing *nothing(void) { return NULL; }
int look(struct thing *t) { return t->a; }
int text_is(callback f, int x) { return f(x); }
int takes(int x, double y) { return x + (int)y; }
"""


@pytest.fixture(scope="module")
def k() -> ModuleType:
    return hw.compile(
        SOURCE,
        name="safety",
        annotate={
            "add": {"f": "keep=r"},
            "put": {"out": "out, capacity=room, length=return"},
        },
    )


def test_a_callback_used_after_its_call_raises(k: ModuleType) -> None:
    k.keep_it(lambda x: x + 1)
    gc.collect()
    with pytest.raises(hw.UseAfterFreeError, match="keep="):
        k.use_it(1)


def test_callbacks_live_as_long_as_what_keeps_them(k: ModuleType) -> None:
    registry = k.registry()
    for n in (1, 10, 100):
        k.add(registry, lambda x, n=n: n * x)
    made = k.add.ctype.params[1](lambda x: 1000 * x)
    k.add(registry, made)
    del made
    gc.collect()
    assert k.total(registry) == 1111


def test_a_callback_that_raises_while_it_is_registered_is_kept_all_the_same(k: ModuleType) -> None:
    def raises_once(x: int) -> int:
        if x == 0:
            raise LookupError("first")
        return 5

    registry = k.registry()
    with pytest.raises(LookupError):
        k.add(registry, raises_once)
    gc.collect()
    assert k.total(registry) == 5


def test_what_cannot_keep_a_callback_is_refused(k: ModuleType) -> None:
    memory = np.zeros(1, k.registry.dtype)
    with pytest.raises(TypeError, match="cannot hold it"):
        k.add(memory, lambda x: x)


@pytest.mark.parametrize("says", [6, -1, 2**40])
def test_a_length_beyond_the_room_is_an_error(k: ModuleType, says: int) -> None:
    with pytest.raises(ValueError, match=rf"put.*out.*5.*{says}"):
        k.put(says, room=5)
    assert k.put(3, room=5) == b"xxx"
    assert k.put(5, room=5) == b"xxxxx"


def test_a_null_that_c_returned_is_refused_like_none(k: ModuleType) -> None:
    nothing = k.nothing()
    assert not nothing
    with pytest.raises(ValueError, match="look.*NULL"):
        k.look(nothing)


def test_an_integer_callback_must_return_one(k: ModuleType) -> None:
    with pytest.raises(TypeError, match="NoneType"):
        k.text_is(lambda x: None, 1)
    with pytest.raises(TypeError, match="str"):
        k.text_is(lambda x: "one", 1)


def test_an_array_for_a_number_says_why() -> None:
    plain = hw.compile(
        "int check(int x) { return x; }", annotate={"check": {"return": "status(>=0)"}}
    )
    with pytest.raises(TypeError, match=r"check\(\) argument 1 \(x: int\).*ndarray.*not map"):
        plain.check(np.array([1, 2]))


def test_a_wrong_count_shows_how_it_is_called(k: ModuleType) -> None:
    with pytest.raises(TypeError, match=r"takes\(\) takes 2 arguments, got 5; .*takes\(x"):
        k.takes(1, 2, 3, 4, 5)


def test_errno_is_that_of_the_call_not_of_what_was_freed_meanwhile() -> None:
    m = hw.compile(
        "#include <errno.h>\n#include <stdlib.h>\n"
        "struct h { int x; };\n"
        "struct h *make(void) { return calloc(1, sizeof(struct h)); }\n"
        "void drop(struct h *p) { free(p); errno = 7; }\n"
        "int fails(void) { errno = 33; return -1; }\n",
        annotate={"make": {"return": "owned=drop"}},
    )
    handle = m.make()
    assert m.fails() == -1
    del handle
    gc.collect()
    assert hw.errno == 33


def test_a_list_that_shrinks_while_it_is_read_does_no_harm() -> None:
    program = """
import headway as hw
items = []
class Evil:
    def __index__(self):
        items.clear()
        return 1
items.extend([Evil(), 2, 3, 4])
print(list(hw.new("int[4]", items)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[1, 2, 3, 4]"


def test_what_a_pointer_to_const_leads_to_is_a_copy() -> None:
    m = hw.compile(
        "struct pair { int a; int b[2]; };\n"
        "static const struct pair table[2] = {{1, {2, 3}}, {4, {5, 6}}};\n"
        "const struct pair *pairs(void) { return table; }\n"
    )
    p = m.pairs()
    assert (p.a, p[1].a, list(p.b)) == (1, 4, [2, 3])
    p[0].a = 9
    p.b[0] = 9
    assert (p.a, p.b[0]) == (1, 2)
    with pytest.raises(TypeError, match="cannot be written"):
        p.a = 9


def test_a_size_beside_a_map_is_refused() -> None:
    m = hw.compile(
        "#include <stddef.h>\n"
        "double sum(size_t n, const double x[n])"
        "{ double s = 0; for (size_t i = 0; i < n; i++) s += x[i]; return s; }\n"
    )
    with pytest.raises(TypeError, match="sum.*size n"):
        m.sum(np.ones((2, 3)), n=999)
    with pytest.raises(ValueError, match="sum.*999"):
        m.sum(np.ones(3), n=999)
    assert m.sum(np.ones(3), n=3) == 3
