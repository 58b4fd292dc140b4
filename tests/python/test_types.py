# SPDX-License-Identifier: MIT
"""C types and memory from Python: layouts, fields, structs in arrays, pointers."""

from __future__ import annotations

import ctypes
import gc
import sys
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
#include <stdint.h>
struct point { double x, y; };
struct mixed { char c; short s; int i; long l; float f; double d; void *p; char last; };
struct nested { char c; struct point p; struct { int a; union { int b; float f; }; } in; int z; };
struct anonymous { int a; union { int b; float f; }; int z; };
struct arrays { int n[3]; char name[10]; struct point corners[2]; double grid[2][3]; };
struct bits { unsigned a : 3; int b : 5; unsigned c : 20; int d : 7; unsigned long long e : 40;
              int : 0; signed char f : 4; _Bool g : 1; };
struct straddle { unsigned char a; unsigned b : 30; unsigned c : 10; unsigned char d; };
union number { int i; float f; unsigned char bytes[8]; };
struct __attribute__((packed)) packed { char c; int i; double d; };
struct __attribute__((packed)) packed_bits { unsigned a : 5; unsigned b : 30; long c : 50; };
struct tail { int n; double data[]; };
struct aligned { char c; _Alignas(32) int i; };
struct node { int value; struct node *next; };
struct self { struct self *me; struct point *where; const char *name; char **words; };
struct opaque;
struct empty_tail { int n; char text[]; };
enum colour { RED, GREEN = 5, BLUE };
struct painted { enum colour c; _Bool on; long double wide; };

double norm1(const struct point *p);
double sum_points(const struct point *p, size_t n);
void move_points(struct point *p, size_t n, double by);
struct point middle(struct point a, struct point b);
int bits_b(const struct bits *p);
void bits_fill(struct bits *p);
double tail_sum(const struct tail *t);
int list_length(const struct node *n);
struct node *make_list(int n);
void free_list(struct node *n);
size_t count_words(char **words);
void upcase(char *text);
size_t fact(int i);
int straddle_c(const struct straddle *s);
struct opaque *opaque_make(void);
const char *second_word(const struct self *s);
extern struct point origin;
extern int counter;
int get_counter(void);
int twice(int x);
extern int (*doubler)(int);
"""

LAYOUTS = {
    "struct point": ["x", "y"],
    "struct mixed": ["c", "s", "i", "l", "f", "d", "p", "last"],
    "struct nested": ["c", "p", "in", "z"],
    "struct arrays": ["n", "name", "corners", "grid"],
    "union number": ["i", "f", "bytes"],
    "struct packed": ["c", "i", "d"],
    "struct tail": ["n", "data"],
    "struct aligned": ["c", "i"],
    "struct painted": ["c", "on", "wide"],
    "struct straddle": ["a", "d"],
    "struct bits": [],
    "struct packed_bits": [],
}

SOURCE = """
#include <stdlib.h>
#include <string.h>
double norm1(const struct point *p) { return p->x + p->y; }
double sum_points(const struct point *p, size_t n)
{ double s = 0; for (size_t i = 0; i < n; i++) s += p[i].x + p[i].y; return s; }
void move_points(struct point *p, size_t n, double by) { for (size_t i = 0; i < n; i++) p[i].x += by; }
struct point middle(struct point a, struct point b)
{ return (struct point){(a.x + b.x) / 2, (a.y + b.y) / 2}; }
int bits_b(const struct bits *p) { return p->b; }
void bits_fill(struct bits *p)
{ p->a = 5; p->b = -3; p->c = 0xabcde; p->d = -64; p->e = 0xfedcba9876; p->f = -8; p->g = 1; }
double tail_sum(const struct tail *t) { double s = 0; for (int i = 0; i < t->n; i++) s += t->data[i]; return s; }
int list_length(const struct node *n) { int k = 0; for (; n; n = n->next) k++; return k; }
struct node *make_list(int n)
{ struct node *head = 0; while (n--) { struct node *x = malloc(sizeof *x); x->value = n; x->next = head; head = x; } return head; }
void free_list(struct node *n) { while (n) { struct node *next = n->next; free(n); n = next; } }
size_t count_words(char **words) { size_t n = 0; while (words[n]) n++; return n; }
void upcase(char *text) { for (; *text; text++) if (*text >= 'a' && *text <= 'z') *text -= 32; }
int straddle_c(const struct straddle *s) { return s->c; }
struct opaque { int x; };
struct opaque *opaque_make(void) { static struct opaque o; return &o; }
const char *second_word(const struct self *s) { return s->words[1]; }
struct point origin = {1, 2};
int counter = 7;
int get_counter(void) { return counter; }
int twice(int x) { return 2 * x; }
int (*doubler)(int) = twice;
"""


def facts() -> str:
    """A C function that tells sizes, alignments and offsets, in the order of LAYOUTS."""
    told = []
    for name, fields in LAYOUTS.items():
        told += [f"sizeof({name})", f"_Alignof({name})"]
        told += [f"offsetof({name}, {field})" for field in fields]
    return f"size_t fact(int i) {{ static const size_t f[] = {{{', '.join(told)}}}; return f[i]; }}"


@pytest.fixture(scope="module")
def m(c_library: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    header = tmp_path_factory.mktemp("types") / "types.h"
    header.write_text(HEADER, encoding="utf-8")
    path = c_library(f'#include "{header}"\n{SOURCE}{facts()}')
    return hw.load(path, header)


# ---- layouts -----------------------------------------------------------------------------------


def test_layouts_are_those_of_the_c_compiler(m: ModuleType) -> None:
    told = (m.fact(i) for i in range(1000))
    for name, fields in LAYOUTS.items():
        ctype = getattr(m, name.split()[1])
        assert ctype.name == name
        assert (ctype.size, ctype.align) == (next(told), next(told)), name
        for field in fields:
            offset = next(told)
            assert ctype.fields[field][1] == offset, (name, field)
            assert hw.offsetof(ctype, field) == offset


def test_layouts_are_those_of_ctypes(m: ModuleType) -> None:
    class Point(ctypes.Structure):
        _fields_ = [("x", ctypes.c_double), ("y", ctypes.c_double)]

    class Arrays(ctypes.Structure):
        _fields_ = [
            ("n", ctypes.c_int * 3),
            ("name", ctypes.c_char * 10),
            ("corners", Point * 2),
            ("grid", ctypes.c_double * 3 * 2),
        ]

    assert hw.sizeof(m.arrays) == ctypes.sizeof(Arrays)
    for name, _ in Arrays._fields_:
        assert hw.offsetof(m.arrays, name) == getattr(Arrays, name).offset
    ours = m.arrays(n=[1, 2, 3], name="abc", corners=[(1, 2), (3, 4)], grid=[[1, 2, 3], [4, 5, 6]])
    theirs = Arrays.from_buffer_copy(memoryview(ours))
    assert list(theirs.n) == [1, 2, 3]
    assert theirs.name == b"abc"
    assert (theirs.corners[1].x, theirs.corners[1].y) == (3, 4)
    assert list(theirs.grid[1]) == [4, 5, 6]


def test_offsets_go_into_nested_structs(m: ModuleType) -> None:
    assert hw.offsetof(m.nested, "p", "y") == hw.offsetof(m.nested, "p") + 8
    assert hw.offsetof("struct point", "y", module=m) == 8
    with pytest.raises(AttributeError, match="struct point has no field 'z'; it has x, y"):
        hw.offsetof(m.point, "z")
    with pytest.raises(TypeError, match="'a' of struct bits is a bit-field, which has no address"):
        hw.offsetof(m.bits, "a")


def test_types_tell_what_they_are(m: ModuleType) -> None:
    fields = m.mixed.fields
    kinds = ["integer"] * 4 + ["real"] * 2 + ["pointer", "integer"]
    assert [fields[name][0].kind for name in LAYOUTS["struct mixed"]] == kinds
    assert m.arrays.fields["grid"][0].name == "double[2][3]"
    assert m.arrays.fields["n"][0].count == 3
    assert m.tail.fields["data"][0].count is None
    assert m.painted.fields["c"][0].kind == "enum"
    assert m.point.kind == "struct"
    assert m.number.kind == "union"
    assert m.opaque.kind == "struct"
    assert hw.typeof(m.norm1).kind == "function"
    assert hw.typeof(m.norm1).params[0].target == m.point
    assert hw.typeof("const char *").target_const
    assert repr(m.point) == "<C type struct point>"


def test_types_are_equal_by_what_they_are(m: ModuleType) -> None:
    assert hw.typeof("int") == hw.typeof("int32_t") == hw.typeof("signed int")
    assert hw.typeof("long") == hw.typeof("long long")
    assert hw.typeof("int") != hw.typeof("unsigned")
    assert hw.typeof("_Bool") != hw.typeof("unsigned char")
    assert hw.typeof("double *") == hw.typeof("const double *")
    assert hw.typeof("double *") != hw.typeof("float *")
    assert hw.typeof("int[3]") != hw.typeof("int[4]")
    assert m.point != m.mixed
    assert hash(hw.typeof("long")) == hash(hw.typeof("long long"))
    assert hw.typeof("int") != "int"


def test_structs_of_one_name_and_other_fields_do_not_pass_for_each_other() -> None:
    source = "struct s {{ {} p; struct {{ int a; }}; }}; int f(struct s *p) {{ return p->a; }}"
    pointer, same, number = (
        hw.compile(before + source.format(field), name=name)
        for before, field, name in (
            ("", "const char *", "points"),
            ("struct { int b; } first;", "const char *", "points_too"),
            ("", "long", "counts"),
        )
    )
    assert pointer.s == same.s and pointer.s != number.s
    assert pointer.f(same.s(a=7)) == 7
    with pytest.raises(TypeError, match="struct s"):
        pointer.f(number.s(p=12345))
    with pytest.raises(TypeError, match="struct s"):
        pointer.f(hw.addressof(number.s(p=12345)))


def test_isinstance_asks_for_the_type_of_a_value(m: ModuleType) -> None:
    assert isinstance(m.point(), m.point)
    assert not isinstance(m.point(), m.mixed)
    assert isinstance(hw.new("int"), hw.typeof("int *"))
    assert not isinstance(5, m.point)
    assert isinstance(m.GREEN, m.painted.fields["c"][0])
    assert not isinstance(5, m.painted.fields["c"][0])


@pytest.mark.parametrize(
    ("spelling", "size", "kind"),
    [
        ("int", 4, "integer"),
        ("unsigned long long int", 8, "integer"),
        ("long unsigned", 8, "integer"),
        ("double _Complex", 16, "complex"),
        ("const char *", 8, "pointer"),
        ("char *const *", 8, "pointer"),
        ("int[3]", 12, "array"),
        ("int[2][3]", 24, "array"),
        ("char *[4]", 32, "array"),
        ("size_t", 8, "integer"),
    ],
)
def test_spellings_are_read(spelling: str, size: int, kind: str) -> None:
    ctype = hw.typeof(spelling)
    assert (ctype.size, ctype.kind) == (size, kind)
    assert hw.sizeof(spelling) == size


def test_two_dimensions_are_rows_of_columns() -> None:
    ctype = hw.typeof("int[2][3]")
    assert (ctype.count, ctype.target.count) == (2, 3)


@pytest.mark.parametrize(
    ("spelling", "error"),
    [
        ("flot", "'flot' names no C type"),
        ("int(", "'int\\(' is not a C type"),
        ("int[3] *", "a pointer to an array is made with pointer types"),
        ("point", "say module= for a header's types"),
    ],
)
def test_spellings_that_are_none_are_refused(spelling: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        hw.typeof(spelling)


def test_names_of_a_header_are_found_in_its_module(m: ModuleType) -> None:
    assert hw.typeof("struct point *", m).target == m.point
    assert hw.typeof("point[3]", m).count == 3
    assert hw.typeof("enum colour", m).kind == "enum"
    assert hw.typeof(m.colour).enum_class is m.colour
    with pytest.raises(ValueError, match="names no C type in"):
        hw.typeof("struct gone", m)
    with pytest.raises(TypeError, match="expected a C type or its spelling, got float"):
        hw.typeof(1.5)


def test_what_has_no_size_says_why(m: ModuleType) -> None:
    with pytest.raises(TypeError, match="void has no size"):
        hw.sizeof("void")
    with pytest.raises(TypeError, match="struct opaque: it is declared, not defined"):
        _ = m.opaque.size
    with pytest.raises(TypeError, match="an array without a length has no size"):
        _ = m.tail.fields["data"][0].size
    with pytest.raises(TypeError, match="a function has no size"):
        _ = hw.typeof(m.norm1).size
    assert hw.sizeof("int[0]") == 0


# ---- structs -----------------------------------------------------------------------------------


def test_structs_are_made_from_keywords_sequences_mappings_and_copies(m: ModuleType) -> None:
    p = m.point(x=1, y=2)
    assert (p.x, p.y) == (1.0, 2.0)
    assert p == m.point([1, 2]) == m.point({"y": 2, "x": 1}) == m.point(p)
    assert m.point() == m.point(x=0, y=0)
    assert m.point([1]).y == 0
    assert p != m.point(x=1, y=3)
    assert p != 1
    assert repr(p) == "struct point(x=1.0, y=2.0)"
    q = m.point(p)
    q.x = 9
    assert p.x == 1


def test_what_is_between_the_fields_does_not_count_in_a_comparison(m: ModuleType) -> None:
    a, b = m.painted(c=m.BLUE, on=True, wide=1.5), m.painted(c=m.BLUE, on=True, wide=1.5)
    memoryview(a).cast("B")[6:16] = bytes(range(10))
    memoryview(a).cast("B")[26:32] = bytes(range(6))
    assert a == b
    a.wide = 2
    assert a != b


def test_a_struct_is_true_whatever_it_holds(m: ModuleType) -> None:
    assert m.point()
    assert hw.new("int[1]")
    assert not hw.new("int[0]")


@pytest.mark.parametrize(
    ("make", "exception", "error"),
    [
        (lambda m: m.point(z=1), AttributeError, "struct point has no field 'z'"),
        (lambda m: m.point([1, 2, 3]), ValueError, "struct point takes at most 2 values, got 3"),
        (lambda m: m.point(1), TypeError, "struct point cannot be made from int"),
        (lambda m: m.point("ab"), TypeError, "struct point cannot be made from str"),
        (lambda m: m.point(x="a"), TypeError, r"x \(double\): expected a real number, got str"),
        (lambda m: m.point(m.mixed()), TypeError, "struct point cannot be made from struct mixed"),
        (lambda m: m.point([1], [2]), TypeError, "takes keywords or one initialiser, got 2"),
        (lambda m: m.opaque(), TypeError, "struct opaque: it is declared, not defined"),
        (lambda m: m.mixed(s=40000), OverflowError, "s .short.: 40000 does not fit"),
        (lambda m: m.arrays(n=[1, 2, 3, 4]), ValueError, "takes at most 3 values, got 4"),
        (lambda m: m.arrays(name="x" * 11), ValueError, "11 bytes do not fit in char.10."),
        (lambda m: m.number([1, 2]), ValueError, "union number takes at most 1 value"),
        (lambda m: hw.typeof("int")(), TypeError, "makes no values when called; headway.new"),
        (lambda m: hw.typeof("int[2]")(a=1), TypeError, "takes no keywords"),
    ],
)
def test_wrong_initialisers_are_refused(
    m: ModuleType, make: Callable[[ModuleType], Any], exception: type[Exception], error: str
) -> None:
    with pytest.raises(exception, match=error):
        make(m)


def test_nested_structs_are_views_of_the_whole(m: ModuleType) -> None:
    n = m.nested(p=(1, 2), z=9)
    inner = n.p
    inner.x = 7
    assert n.p.x == 7
    n.p = m.point(x=3, y=4)
    assert (inner.x, inner.y) == (3, 4)
    n.p = {"x": 8}
    assert (inner.x, inner.y) == (8, 0)
    address = inner.__address__
    del n
    gc.collect()
    assert inner.__address__ == address
    assert inner.x == 8


def test_members_of_anonymous_structs_and_unions_are_members(m: ModuleType) -> None:
    n = m.nested(**{"in": {"a": 1, "f": 1.0}})
    inner = getattr(n, "in")
    assert inner.a == 1
    assert inner.b == int.from_bytes(np.float32(1).tobytes(), "little")
    assert list(m.anonymous.fields) == ["a", "b", "f", "z"]
    made = m.anonymous(a=1, b=2, z=3)
    assert made == m.anonymous([1, [2], 3])
    assert (made.a, made.b, made.z) == (1, 2, 3)
    made.f = 1.0
    assert made.b == inner.b


def test_arrays_inside_structs(m: ModuleType) -> None:
    a = m.arrays(n=[1, 2, 3])
    assert list(a.n) == [1, 2, 3]
    assert len(a.n) == 3
    a.n[1] = 20
    assert a.n[-2] == 20
    assert a.n[1:] == [20, 3]
    a.n[0:2] = [8, 9]
    assert list(a.n) == [8, 9, 3]
    a.n = range(3)
    assert list(a.n) == [0, 1, 2]
    a.corners[1].y = 4
    assert a.corners[1] == m.point(x=0, y=4)
    a.corners[0] = a.corners[1]
    assert a.corners[0].y == 4
    a.corners[0] = a.corners[0]
    assert a.corners[0].y == 4
    a.grid[1][2] = 6
    assert np.asarray(a.grid).tolist() == [[0, 0, 0], [0, 0, 6]]
    a.name = "abc"
    assert hw.string(a.name) == b"abc"
    a.name = b"0123456789"
    assert hw.string(a.name) == b"0123456789"
    a.name = "x"
    assert hw.string(a.name) == b"x"


@pytest.mark.parametrize("index", [3, -4, 2**70])
def test_an_index_outside_an_array_is_an_error(m: ModuleType, index: int) -> None:
    a = m.arrays()
    with pytest.raises(IndexError):
        _ = a.n[index]
    with pytest.raises(IndexError):
        a.n[index] = 1


def test_arrays_keep_their_length(m: ModuleType) -> None:
    a = m.arrays()
    with pytest.raises(ValueError, match="3 values for 2 elements: a C array keeps its length"):
        a.n[0:2] = [1, 2, 3]
    with pytest.raises(TypeError, match="cannot be deleted"):
        del a.n[0]
    with pytest.raises(TypeError, match="cannot be deleted"):
        del a.n[0:1]
    with pytest.raises(TypeError, match="has no elements"):
        _ = m.point()[0]
    with pytest.raises(TypeError, match="field n of struct arrays cannot be deleted"):
        del a.n


def test_unions_share_their_bytes(m: ModuleType) -> None:
    u = m.number(f=1.0)
    assert u.i == 0x3F800000
    u.i = 1
    assert list(u.bytes) == [1, 0, 0, 0, 0, 0, 0, 0]
    assert m.number([5]).i == 5
    assert m.number(bytes=b"abc").bytes[1] == ord("b")


def test_enums_and_bools_in_structs(m: ModuleType) -> None:
    p = m.painted(c=m.GREEN, on=True)
    assert p.c is m.GREEN
    assert p.on is True
    p.c = 77
    assert (p.c, type(p.c)) == (77, int)
    with pytest.raises(OverflowError, match="2 is neither true"):
        p.on = 2


# ---- bit-fields --------------------------------------------------------------------------------


def test_bit_fields_read_what_c_wrote_and_the_other_way_round(m: ModuleType) -> None:
    b = m.bits()
    m.bits_fill(b)
    assert (b.a, b.b, b.c, b.d, b.e) == (5, -3, 0xABCDE, -64, 0xFEDCBA9876)
    assert (b.f, b.g) == (-8, True)
    made = m.bits(a=5, b=-3, c=0xABCDE, d=-64, e=0xFEDCBA9876, f=-8, g=True)
    assert bytes(memoryview(made)) == bytes(memoryview(b))
    b.b = 15
    assert m.bits_b(b) == 15
    assert (b.a, b.c) == (5, 0xABCDE)


@pytest.mark.parametrize(("field", "low", "high"), [("a", 0, 7), ("b", -16, 15), ("d", -64, 63)])
def test_bit_fields_hold_exactly_their_range(
    m: ModuleType, field: str, low: int, high: int
) -> None:
    b = m.bits()
    for value in (low, high):
        setattr(b, field, value)
        assert getattr(b, field) == value
    for value in (low - 1, high + 1):
        with pytest.raises(OverflowError):
            setattr(b, field, value)
        assert getattr(b, field) == high


def test_bit_fields_that_straddle_bytes_and_units(m: ModuleType) -> None:
    s = m.straddle(a=255, b=2**30 - 1, c=0x2A5, d=255)
    assert m.straddle_c(s) == 0x2A5
    s.b = 0
    assert (s.a, s.b, s.c, s.d) == (255, 0, 0x2A5, 255)
    p = m.packed_bits(a=31, b=0x15555555, c=-(2**49))
    assert (p.a, p.b, p.c) == (31, 0x15555555, -(2**49))
    p.b = 0
    assert (p.a, p.b, p.c) == (31, 0, -(2**49))


def test_an_unnamed_bit_field_takes_no_value_by_position(m: ModuleType) -> None:
    assert m.bits([1, 2, 3, 4, 5, 6, True]).f == 6
    with pytest.raises(ValueError, match="takes at most 7 values, got 8"):
        m.bits([0] * 8)


# ---- packed, aligned, flexible -----------------------------------------------------------------


def test_packed_fields_lie_where_c_has_them(m: ModuleType) -> None:
    p = m.packed(c=b"a", i=-1, d=2.5)
    assert (p.c, p.i, p.d) == (b"a", -1, 2.5)
    assert bytes(memoryview(p))[1:5] == b"\xff" * 4
    assert m.packed.dtype.itemsize == 13


def test_flexible_array_members_are_as_long_as_what_they_start_with(m: ModuleType) -> None:
    t = m.tail(n=3, data=[1, 2, 3.5])
    assert m.tail_sum(t) == 6.5
    assert len(t.data) == 3
    assert hw.sizeof(t) == 8 + 24
    t.data[1] = 10
    t.data = [0, 0, 1]
    assert m.tail_sum(t) == 1
    with pytest.raises(IndexError):
        _ = t.data[3]
    with pytest.raises(ValueError, match="takes at most 3 values"):
        t.data = [1, 2, 3, 4]
    assert t == m.tail(n=3, data=[0, 0, 1])
    assert t != m.tail(n=3, data=[0, 0, 2])


def test_a_flexible_array_member_may_start_as_zeros(m: ModuleType) -> None:
    t = m.tail({"n": 2, "data": 2})
    assert list(t.data) == [0, 0]
    assert len(m.tail(n=1).data) == 0
    text = m.empty_tail(n=1, text="abc")
    assert hw.string(text.text) == b"abc"
    for wrong in (-1, 2**62):
        with pytest.raises((ValueError, OverflowError, MemoryError)):
            m.tail(n=1, data=wrong)


def test_a_flexible_array_member_behind_a_pointer(m: ModuleType) -> None:
    t = m.tail(n=2, data=[1, 2])
    assert list(hw.addressof(t).data) == [1, 2]
    elsewhere = hw.cast(hw.typeof(hw.addressof(t)), int(hw.addressof(t)))
    assert elsewhere.data[1] == 2  # its length is not known: a pointer
    with pytest.raises(TypeError, match="how many elements data has is not known"):
        elsewhere.data = [1]


# ---- dtype -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["point", "mixed", "nested", "arrays", "packed", "painted"])
def test_dtypes_have_the_offsets_of_c(m: ModuleType, name: str) -> None:
    ctype = getattr(m, name)
    dtype = ctype.dtype
    assert dtype.itemsize == ctype.size
    assert {n: dtype.fields[n][1] for n in dtype.names} == {
        n: offset for n, (_, offset, _, _) in ctype.fields.items()
    }
    assert ctype.dtype is dtype


def test_dtypes_leave_out_bit_fields_and_flexible_members(m: ModuleType) -> None:
    assert m.tail.dtype.names == ("n",)
    assert m.bits.dtype.names == ()
    assert m.straddle.dtype.names == ("a", "d")
    assert m.bits.dtype.itemsize == m.bits.size


def test_dtypes_of_numbers_are_numpys() -> None:
    for spelling, letter in {"double": "f8", "unsigned short": "u2", "_Bool": "?"}.items():
        assert hw.typeof(spelling).dtype == np.dtype(letter)
    assert hw.typeof("int[2][3]").dtype == np.dtype(("i4", (2, 3)))
    assert hw.typeof("void *").dtype == np.uintp
    with pytest.raises(TypeError, match="void has no dtype"):
        _ = hw.typeof("void").dtype


def test_structured_arrays_pass_without_a_copy(m: ModuleType) -> None:
    a = np.zeros(4, m.point.dtype)
    a["x"] = [1, 2, 3, 4]
    assert m.sum_points(a, 4) == 10
    m.move_points(a, 4, 0.5)
    np.testing.assert_array_equal(a["x"], [1.5, 2.5, 3.5, 4.5])


def test_structured_arrays_of_another_layout_do_not_pass(m: ModuleType) -> None:
    for wrong in (
        np.zeros(2, np.dtype([("x", "f8"), ("z", "f8")])),
        np.zeros(2, np.dtype([("x", "f4"), ("y", "f8")])),
        np.zeros(2, np.dtype({"names": ["x", "y"], "formats": ["f8"] * 2, "offsets": [8, 0]})),
    ):
        with pytest.raises(TypeError, match="expected elements of struct point"):
            m.sum_points(wrong, 2)
    with pytest.raises(ValueError, match="not C-contiguous"):
        m.sum_points(np.zeros(4, m.point.dtype)[::2], 2)
    readonly = np.zeros(2, m.point.dtype)
    readonly.setflags(write=False)
    assert m.sum_points(readonly, 2) == 0
    with pytest.raises(ValueError, match="read-only"):
        m.move_points(readonly, 2, 1)


def test_values_are_buffers_of_their_shape_and_type(m: ModuleType) -> None:
    a = hw.new("int[2][3]", [[1, 2, 3], [4, 5, 6]])
    view = memoryview(a)
    assert (view.format, view.shape, view.strides) == ("i", (2, 3), (12, 4))
    array = np.asarray(a)
    assert array.tolist() == [[1, 2, 3], [4, 5, 6]]
    array[0, 0] = 9
    assert a[0][0] == 9
    assert np.asarray(hw.new("double _Complex[2]", [1j, 2])).tolist() == [1j, 2]
    assert np.asarray(hw.new("long double[1]", [1.5])).dtype == np.longdouble
    points = hw.new("point[2]", [(1, 2), (3, 4)], module=m)
    assert np.frombuffer(points, m.point.dtype)["y"].tolist() == [2, 4]
    assert np.asarray(hw.new("int[0]")).shape == (0,)
    assert memoryview(m.point()).nbytes == 16


def test_a_view_keeps_the_memory(m: ModuleType) -> None:
    array = np.asarray(hw.new("int[3]", [1, 2, 3]))
    gc.collect()
    assert array.tolist() == [1, 2, 3]


# ---- new, cast, addressof ----------------------------------------------------------------------


def test_new_makes_pointers_to_numbers_and_pointers() -> None:
    p = hw.new("int", 5)
    p[0] += 1
    assert p[0] == 6
    assert hw.new("double")[0] == 0
    q = hw.new("int **", p)
    assert q[0] == p
    assert q[0][0] == 6
    assert hw.new("char", b"a")[0] == b"a"


def test_new_makes_arrays_as_long_as_what_goes_in() -> None:
    assert list(hw.new("int[]", [1, 2, 3])) == [1, 2, 3]
    assert len(hw.new("int[]", 4)) == 4
    text = hw.new("char[]", "é")
    assert len(text) == 3
    assert hw.string(text) == "é".encode()
    assert len(hw.new("char[]", b"ab")) == 3
    assert list(hw.new("char[]", "ab")) == [b"a", b"b", b"\0"]
    with pytest.raises(ValueError, match="has no length: say it"):
        hw.new("int[]")
    with pytest.raises(ValueError, match="does not fit in memory|count"):
        _core.array(hw.typeof("int"), -1)


def test_casts_are_those_of_c() -> None:
    assert hw.cast("unsigned char", 300) == 44
    assert hw.cast("signed char", 200) == -56
    assert hw.cast("int", 3.9) == 3
    assert hw.cast("int", -3.9) == -3
    assert hw.cast("uint64_t", -1) == 2**64 - 1
    assert hw.cast("double", 3) == 3.0
    assert hw.cast("float", 0.1) == float(np.float32(0.1))
    assert hw.cast("char", 65) == b"A"
    assert int(hw.cast("void *", -1)) == 2**64 - 1
    with pytest.raises(TypeError, match="C does not cast to int.3."):
        hw.cast("int[3]", 1)
    with pytest.raises(TypeError, match="expected an address"):
        hw.cast("int *", 1.5)


@pytest.mark.parametrize(("value", "expected"), [(0, False), (2, True), (256, True), (0.5, True)])
def test_a_cast_to_bool_asks_whether_it_is_zero(value: float, expected: bool) -> None:
    assert hw.cast("_Bool", value) is expected


def test_a_cast_between_pointers_keeps_the_memory() -> None:
    p = hw.cast("unsigned char *", hw.new("int", 0x01020304))
    gc.collect()
    assert p[0] == 4
    assert [p[i] for i in range(4)] == [4, 3, 2, 1]
    with pytest.raises(IndexError):
        _ = p[4]
    assert hw.cast("int", hw.cast("int *", 16)) == 16


def test_addresses_of_structs_arrays_and_fields(m: ModuleType) -> None:
    p = m.point(x=1, y=2)
    at = hw.addressof(p)
    assert m.norm1(at) == m.norm1(p) == 3
    assert int(at) == p.__address__
    y = hw.addressof(p, "y")
    assert y[0] == 2
    y[0] = 5
    assert p.y == 5
    assert int(y) - int(at) == 8
    del p
    gc.collect()
    assert at.y == 5
    with pytest.raises(TypeError, match="expected a C struct, union or array, got int"):
        hw.addressof(3)
    with pytest.raises(TypeError, match="bit-field"):
        hw.addressof(m.bits(), "a")


def test_an_address_from_elsewhere_is_taken_at_its_word() -> None:
    theirs = ctypes.c_double(2.5)
    p = hw.cast("double *", ctypes.addressof(theirs))
    assert p[0] == 2.5
    p[0] = 3
    assert theirs.value == 3
    a = np.arange(3.0)
    assert hw.cast("double *", a.ctypes.data)[2] == 2


def test_extern_variables_are_read_each_time(m: ModuleType) -> None:
    assert m.origin.x == 1
    m.origin.x = 4
    assert m.origin.x == 4
    m.origin.x = 1
    assert m.counter == m.get_counter()
    assert m.doubler(4) == 8


# ---- buffer and string -------------------------------------------------------------------------


def test_buffers_are_the_memory_itself(m: ModuleType) -> None:
    p = m.point(x=1)
    view = hw.buffer(p)
    assert (view.nbytes, view.readonly) == (16, False)
    view[0:8] = np.float64(7).tobytes()
    assert p.x == 7
    assert hw.buffer(p, 8).nbytes == 8
    at = hw.addressof(p)
    assert hw.buffer(at).nbytes == 16
    assert bytes(hw.buffer(at, 8)) == np.float64(7).tobytes()
    with pytest.raises(ValueError, match="NULL"):
        hw.buffer(hw.cast("int *", 0))
    with pytest.raises(TypeError, match="void has no size"):
        hw.buffer(hw.cast("void *", 1))
    with pytest.raises(TypeError, match="expected a C value or a pointer"):
        hw.buffer(b"abc")


def test_strings_stop_at_a_nul() -> None:
    a = hw.new("char[8]", "abc")
    assert hw.string(a) == b"abc"
    assert hw.string(a, 2) == b"ab"
    p = hw.cast("char *", hw.addressof(a))
    assert hw.string(p) == b"abc"
    assert hw.string(p, 2) == b"ab"
    with pytest.raises(ValueError, match="NULL"):
        hw.string(hw.cast("char *", 0))
    with pytest.raises(TypeError, match="expected a C value or a pointer"):
        hw.string("abc")


# ---- pointers ----------------------------------------------------------------------------------


def test_pointers_add_subtract_compare_and_hash() -> None:
    a = hw.new("int[4]", [1, 2, 3, 4])
    p = hw.cast("int *", hw.addressof(a))
    q = p + 2
    assert (q[0], q[-1], q[1]) == (3, 2, 4)
    assert (2 + p) == q
    assert q - p == 2
    assert p - q == -2
    assert (q - 2) == p
    assert q > p
    assert q >= p
    assert p != q
    assert hash(q - 2) == hash(p)
    assert q - np.int64(1) == p + 1
    assert bool(p)
    assert p != 3
    for wrong in (lambda: p + 1.5, lambda: p - "a", lambda: 5 - p, lambda: p + p):
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(TypeError, match="have no distance"):
        _ = p - hw.cast("char *", p)
    with pytest.raises(TypeError, match="void has no size"):
        _ = hw.cast("void *", p) + 1


def test_pointers_into_memory_of_python_stay_inside() -> None:
    a = hw.new("int[4]")
    p = hw.cast("int *", hw.addressof(a))
    for index in (4, -1, 2**61, -(2**61), 2**62):
        with pytest.raises(IndexError, match="outside"):
            _ = p[index]
        with pytest.raises(IndexError, match="outside"):
            p[index] = 1
    with pytest.raises(IndexError):
        _ = (p + 4)[0]
    with pytest.raises(OverflowError):
        _ = p + 2**62
    with pytest.raises(OverflowError):
        _ = p - 2**63
    view = hw.cast("char *", p + 3)
    assert view[3] == b"\0"
    with pytest.raises(IndexError):
        _ = view[4]


def test_null_is_false_and_not_looked_into(m: ModuleType) -> None:
    null = hw.cast(hw.typeof("struct point *", m), 0)
    assert not null
    assert not hw.NULL
    assert null == hw.NULL
    for use in (lambda: null[0], lambda: null.x, lambda: setattr(null, "x", 1)):
        with pytest.raises(ValueError, match="NULL"):
            use()
    assert repr(null) == "<struct point * NULL>"


def test_pointers_to_const_are_not_written_through(m: ModuleType) -> None:
    p = hw.cast("const int *", hw.new("int", 3))
    with pytest.raises(TypeError, match="cannot be written"):
        p[0] = 4
    with pytest.raises(TypeError, match="cannot be deleted"):
        del hw.new("int")[0]
    s = hw.cast(_core.pointer(m.point, True), hw.addressof(m.point()))
    with pytest.raises(TypeError, match="cannot be written"):
        s.x = 1


def test_pointers_to_structs_reach_their_fields(m: ModuleType) -> None:
    p = m.point(x=1, y=2)
    at = hw.addressof(p)
    at.x = 3
    assert p.x == 3
    assert at[0].x == 3
    at[0] = m.point(x=5)
    assert p.x == 5
    with pytest.raises(AttributeError, match="no field 'z'"):
        at.z = 1
    with pytest.raises(AttributeError):
        _ = at.z
    opaque = m.opaque_make()
    with pytest.raises(AttributeError):
        _ = opaque.x
    with pytest.raises(TypeError, match="declared, not defined"):
        _ = opaque[0]


def test_pointers_to_functions_are_called(m: ModuleType) -> None:
    at = hw.cast(_core.pointer(hw.typeof(m.twice)), m.twice)
    assert at(21) == 42
    with pytest.raises(TypeError, match="takes 1 argument"):
        at()
    with pytest.raises(ValueError, match="is NULL and cannot be called"):
        hw.cast(_core.pointer(hw.typeof(m.twice)), 0)()
    with pytest.raises(TypeError, match="cannot be called"):
        hw.new("int")()


def test_a_list_in_c_is_walked_without_holding_every_node(m: ModuleType) -> None:
    n = 100_000
    head = m.make_list(n)
    before = _core.live_objects()["Pointer"]
    node, count = head, 0
    while node:
        node, count = node.next, count + 1
    assert count == n
    assert _core.live_objects()["Pointer"] <= before + 2
    m.free_list(head)


def test_a_list_made_in_python_lives_as_long_as_its_head(m: ModuleType) -> None:
    head = None
    for i in range(1000):
        head = m.node(value=i) if head is None else m.node(value=i, next=head)
    gc.collect()
    assert m.list_length(head) == 1000
    node = hw.addressof(head)
    for i in range(999, -1, -1):
        assert node.value == i
        node = node.next
    assert not node


def test_a_long_list_made_in_python_is_let_go_of(m: ModuleType) -> None:
    head = m.node()
    for _ in range(200_000):
        head = m.node(next=head)
    del head


# ---- what memory keeps -------------------------------------------------------------------------


def test_what_a_stored_pointer_points_into_lives_as_long_as_the_struct(m: ModuleType) -> None:
    s = m.self(where=m.point(x=1, y=2), name="name", words=["one", "two"])
    gc.collect()
    assert s.where.y == 2
    assert s.name == "name"
    assert m.second_word(s) == "two"
    copy = m.self(s)
    del s
    gc.collect()
    assert copy.where.y == 2
    assert m.second_word(copy) == "two"


def test_storing_a_pointer_anew_lets_go_of_what_it_pointed_into(m: ModuleType) -> None:
    s = m.self()
    before = _core.live_objects()["Value"]
    for _ in range(5):
        s.where = m.point()
    assert _core.live_objects()["Value"] == before + 1
    s.where = hw.NULL
    assert _core.live_objects()["Value"] == before


def test_storing_one_pointer_of_a_copied_struct_keeps_what_the_others_point_into(
    m: ModuleType,
) -> None:
    outer = hw.new("struct self[2]", module=m)
    outer[0] = m.self(me=hw.NULL, where=m.point(x=3), words=["a", "b"])
    outer[0].me = hw.addressof(outer[1])
    gc.collect()
    scribble = [m.point(x=9) for _ in range(100)]
    assert outer[0].where.x == 3
    assert m.second_word(outer[0]) == "b"
    del scribble


def test_a_struct_that_points_to_itself_is_collected(m: ModuleType) -> None:
    before = _core.live_objects()
    s = m.self()
    s.me = s
    s.where = m.point()
    t = m.self(me=s)
    s.me = t
    assert t.me.me.me == hw.addressof(s)
    del s, t
    gc.collect()
    assert _core.live_objects() == before


def test_a_store_that_fails_leaves_memory_as_it_was(m: ModuleType) -> None:
    a = m.arrays(n=[1, 2, 3])
    with pytest.raises(TypeError):
        a.n = [7, 8, "x"]
    assert list(a.n) == [1, 2, 3]
    s = m.self(where=m.point(x=1))
    with pytest.raises(TypeError):
        s.where = m.mixed()
    assert s.where.x == 1


# ---- char ** -----------------------------------------------------------------------------------


def test_lists_of_strings_are_vectors_of_char(m: ModuleType) -> None:
    assert m.count_words(["a", b"bc", "é"]) == 3
    assert m.count_words(()) == 0
    vector = hw.new("char *[3]")
    keep = [hw.new("char[]", "one"), hw.new("char[]", "two")]
    vector[0], vector[1] = keep
    assert m.count_words(vector) == 2
    assert hw.string(vector[1]) == b"two"
    words = hw.cast("char **", hw.addressof(vector))
    assert hw.string(words[0]) == b"one"
    assert hw.string((words + 1)[0]) == b"two"
    with pytest.raises(TypeError, match="expected a list of str or bytes, got int in it"):
        m.count_words(["a", 1])
    with pytest.raises(ValueError, match="NUL inside"):
        m.count_words(["a\0b"])


def test_text_that_c_writes_to_is_a_buffer(m: ModuleType) -> None:
    text = bytearray(b"abc\0")
    m.upcase(text)
    assert text == b"ABC\0"
    mine = hw.new("char[]", "xyz")
    m.upcase(mine)
    assert hw.string(mine) == b"XYZ"
    array = np.frombuffer(b"def\0", "u1").copy()
    m.upcase(array)
    assert array.tobytes() == b"DEF\0"
    with pytest.raises(TypeError, match="a str is immutable"):
        m.upcase("abc")
    with pytest.raises(TypeError, match="bytes are immutable"):
        m.upcase(b"abc")


def test_close_is_for_owned_handles(m: ModuleType) -> None:
    with pytest.raises(TypeError, match="is not owned by Python: nothing to close"):
        hw.close(hw.new("int"))
    with pytest.raises(TypeError, match="expected a handle, got int"):
        hw.close(3)  # type: ignore[arg-type]


def test_weak_references_to_everything(m: ModuleType) -> None:
    import weakref

    for o in (m.point, m.point(), hw.new("int"), m.twice):
        assert weakref.ref(o)() is o


def test_reference_counts_of_what_fields_hold_are_balanced(m: ModuleType) -> None:
    p = m.point(x=1)
    count = sys.getrefcount(p)
    s = m.self(where=p)
    assert sys.getrefcount(p) == count + 1
    del s
    assert sys.getrefcount(p) == count
    with pytest.raises(TypeError):
        m.self(where=p, me=p)
    assert sys.getrefcount(p) == count
