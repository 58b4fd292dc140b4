# SPDX-License-Identifier: MIT
"""What Python values become in C and C values in Python, and what is refused with which words."""

from __future__ import annotations

import array
import decimal
import fractions
import math
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import headway as hw

np = pytest.importorskip("numpy")

INTEGERS = {
    "signed_char": ("signed char", 8, True),
    "unsigned_char": ("unsigned char", 8, False),
    "short": ("short", 16, True),
    "unsigned_short": ("unsigned short", 16, False),
    "int": ("int", 32, True),
    "unsigned_int": ("unsigned int", 32, False),
    "long": ("long", 64, True),
    "unsigned_long": ("unsigned long", 64, False),
    "long_long": ("long long", 64, True),
    "unsigned_long_long": ("unsigned long long", 64, False),
    "int8_t": ("int8_t", 8, True),
    "uint16_t": ("uint16_t", 16, False),
    "int64_t": ("int64_t", 64, True),
    "size_t": ("size_t", 64, False),
}

OTHERS = {
    "_Bool": "_Bool",
    "char": "char",
    "float": "float",
    "double": "double",
    "long_double": "long double",
    "cfloat": "float _Complex",
    "cdouble": "double _Complex",
    "enum": "enum colour",
    "text": "const char *",
    "numbers": "const double *",
    "any": "const void *",
}

TYPES = {name: c for name, (c, _, _) in INTEGERS.items()} | OTHERS

HEADER = """
#include <stdint.h>
#include <stddef.h>
enum colour { RED, GREEN = 5 };
struct box { int n; };
struct crate { int n; };
struct handle;
double mixed(const double *x, int n, double scale);
void fill(double *x, int n);
int take_box(struct box *b);
int by_value(struct box b);
struct handle *give(int null);
int take_handle(struct handle *h);
int nullable(const double *x);
const char *name_or_null(int null);
long length(const char *text, size_t n);
int raw(unsigned char *data, size_t n);
double many(double a, double b, double c, double d, double e, int k, const char *s);
void nothing(void);
int kept(const int *n, const char *restrict text);
double total(size_t n, const double x[n]);
void outer(size_t m, size_t n, const double a[m], const double b[n], double c[m][n]);
size_t bytes_of(const void *data, size_t size);
size_t words_of(const char *const *words, size_t n);
"""

SOURCE = """
#include <string.h>
double mixed(const double *x, int n, double scale) { double s = 0; while (n--) s += x[n]; return s * scale; }
void fill(double *x, int n) { while (n--) x[n] = n; }
int take_box(struct box *b) { return b ? b->n++ : -1; }
int by_value(struct box b) { return b.n; }
struct handle { int x; };
struct handle *give(int null) { static struct handle h; return null ? 0 : &h; }
int take_handle(struct handle *h) { return h != 0; }
int nullable(const double *x) { return x == 0; }
const char *name_or_null(int null) { return null ? 0 : "name"; }
long length(const char *text, size_t n) { return (long)strnlen(text, n); }
int raw(unsigned char *data, size_t n) { int s = 0; while (n--) { s += data[n]; data[n] = 1; } return s; }
double many(double a, double b, double c, double d, double e, int k, const char *s)
{ return a + b + c + d + e + k + s[0]; }
void nothing(void) {}
double total(size_t n, const double x[n]) { double s = 0; while (n--) s += x[n]; return s; }
void outer(size_t m, size_t n, const double a[m], const double b[n], double c[m][n])
{ for (size_t i = 0; i < m; i++) for (size_t j = 0; j < n; j++) c[i][j] = a[i] * b[j]; }
size_t bytes_of(const void *data, size_t size) { return size; }
size_t words_of(const char *const *words, size_t n) { return n; }
int kept(const int *n, const char *restrict text) { return *n + text[0]; }
"""

# a second parameter of pointer type keeps the function from being mapped over arrays
PROTOTYPES = "".join(
    f"{c} id_{name}({c} value);\n{c} plain_{name}({c} value, const char *unused);\n"
    for name, c in TYPES.items()
)
DEFINITIONS = "".join(
    f"{c} id_{name}({c} value) {{ return value; }}\n"
    f"{c} plain_{name}({c} value, const char *unused) {{ return value; }}\n"
    for name, c in TYPES.items()
)


ANNOTATIONS = {
    "nullable": {"x": "in, nullable"},
    "bytes_of": {"data": "in, size=size"},
    "words_of": {"words": "in, size=n"},
}


@pytest.fixture(scope="module")
def m(c_library: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    header = tmp_path_factory.mktemp("conversions") / "conversions.h"
    header.write_text(HEADER + PROTOTYPES, encoding="utf-8")
    path = c_library(f'#include "{header}"\n{SOURCE}{DEFINITIONS}', "-w")
    return hw.load(path, header, annotate=ANNOTATIONS)


def limits(bits: int, signed: bool) -> tuple[int, int]:
    half = 1 << (bits - 1)
    return (-half, half - 1) if signed else (0, 2 * half - 1)


# ---- integers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_are_exact_or_overflow(m: ModuleType, name: str) -> None:
    c, bits, signed = INTEGERS[name]
    low, high = limits(bits, signed)
    for function in (getattr(m, f"id_{name}"), lambda v: getattr(m, f"plain_{name}")(v, "")):
        for value in {low, low + 1, -1, 0, 1, 127, 128, 255, 2**30, 2**31 - 1, high - 1, high}:
            if low <= value <= high:
                got = function(value)
                assert got == value
                assert type(got) is int
        for value in (low - 1, high + 1, low - 2**64, high + 2**64, 2**200, -(2**200)):
            with pytest.raises(OverflowError, match="does not fit") as caught:
                function(value)
            assert c in str(caught.value)


@given(data=st.data())
def test_any_integer_is_exact_or_overflow(m: ModuleType, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(list(INTEGERS)))
    value = data.draw(st.integers() | st.integers(-(2**65), 2**65))
    low, high = limits(*INTEGERS[name][1:])
    function = getattr(m, f"id_{name}")
    if low <= value <= high:
        assert function(value) == value
    else:
        with pytest.raises(OverflowError):
            function(value)


class Index:
    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


def test_what_has_an_index_is_an_integer(m: ModuleType) -> None:
    assert m.plain_int(True, "") == 1
    assert m.plain_int(Index(7), "") == 7
    assert m.plain_int(np.int8(-3), "") == -3
    assert m.plain_unsigned_long(np.uint64(2**64 - 1), "") == 2**64 - 1
    assert m.plain_int(m.GREEN, "") == 5
    with pytest.raises(OverflowError):
        m.plain_int(np.int64(2**31), "")
    with pytest.raises(OverflowError):
        m.plain_int(Index(2**31), "")


@pytest.mark.parametrize("value", [1.0, "1", b"1", None, 1j, [1], object(), np.float32(1)])
def test_what_has_none_is_not(m: ModuleType, value: object) -> None:
    with pytest.raises(
        TypeError, match=r"plain_int\(\) argument 1 \(value: int\): expected an int"
    ):
        m.plain_int(value, "")


def test_an_error_in_index_comes_out(m: ModuleType) -> None:
    class Bad:
        def __index__(self) -> int:
            raise ZeroDivisionError("mine")

        def __float__(self) -> float:
            raise ZeroDivisionError("mine")

    for function in (m.plain_int, m.plain_double, m.plain_float, m.plain_cdouble):
        with pytest.raises(ZeroDivisionError, match="mine"):
            function(Bad(), "")


def test_bools_are_true_or_false(m: ModuleType) -> None:
    for value, expected in ((True, True), (False, False), (1, True), (0, False)):
        assert m.id__Bool(value) is expected
    for wrong in (2, -1, 2**70):
        with pytest.raises(OverflowError, match=r"neither true \(1\) nor false \(0\)"):
            m.id__Bool(wrong)


def test_chars_are_bytes_of_length_one(m: ModuleType) -> None:
    for value in range(256):
        assert m.id_char(bytes([value])) == bytes([value])
    assert m.id_char(65) == b"A"
    assert m.id_char(-1) == b"\xff"
    for wrong, said in ((b"", "bytes of another length"), (b"ab", "bytes of another length")):
        with pytest.raises(TypeError, match=f"bytes of length one or an integer, got {said}"):
            m.id_char(wrong)
    with pytest.raises(TypeError, match="bytes of length one or an integer, got str"):
        m.id_char("a")
    with pytest.raises(OverflowError):
        m.id_char(300)
    with pytest.raises(TypeError, match="expected an integer, got bytes"):
        m.id_signed_char(b"a")


def test_enums_are_members_and_numbers_outside_the_enum(m: ModuleType) -> None:
    assert m.id_enum(m.GREEN) is m.GREEN
    assert m.id_enum(0) is m.RED
    assert type(m.id_enum(77)) is int
    assert m.id_enum(77) == 77
    with pytest.raises(OverflowError):
        m.id_enum(2**32)


# ---- reals -------------------------------------------------------------------------------------


@given(value=st.floats())
def test_doubles_are_themselves(m: ModuleType, value: float) -> None:
    for got in (m.id_double(value), m.plain_double(value, "")):
        assert struct.pack("<d", got) == struct.pack("<d", value) or math.isnan(value)
    assert m.id_long_double(value) == value or math.isnan(value)


@given(value=st.floats())
def test_floats_round_to_nearest_or_overflow(m: ModuleType, value: float) -> None:
    with np.errstate(over="ignore"):
        expected = float(np.float32(value))
    if math.isinf(expected) and not math.isinf(value):
        with pytest.raises(OverflowError, match="is beyond the range of float"):
            m.id_float(value)
    else:
        assert m.id_float(value) == expected or math.isnan(value)


def test_integers_become_doubles_and_round_above_2_to_the_53(m: ModuleType) -> None:
    for value in (0, -1, 2**53, 2**53 + 1, 2**62 + 1, -(2**63), 10**300):
        for function in (m.id_double, lambda v: m.plain_double(v, "")):
            assert function(value) == float(value)
    for function in (m.id_double, m.id_float, m.id_long_double, m.id_cdouble):
        with pytest.raises(OverflowError, match="beyond the range of double"):
            function(10**400)
    assert m.id_float(2**24 + 1) == 2**24
    with pytest.raises(OverflowError):
        m.id_float(10**39)


def test_long_doubles_take_integers_exactly(m: ModuleType, c_library: Any, tmp_path: Path) -> None:
    if np.finfo(np.longdouble).nmant < 63:
        pytest.skip("long double is double here")
    (tmp_path / "wide.h").write_text("unsigned long long back(long double x, const char *);\n")
    source = "unsigned long long back(long double x, const char *unused) { return x; }"
    wide = hw.load(c_library(source, "-w"), tmp_path / "wide.h")
    for value in (2**53 + 1, 2**63 - 1, 2**63 + 1, 2**64 - 1):
        assert wide.back(value, "") == value


def test_what_has_a_float_is_a_real(m: ModuleType) -> None:
    for value in (decimal.Decimal("1.5"), fractions.Fraction(3, 2), np.float32(1.5), np.half(1.5)):
        assert m.plain_double(value, "") == 1.5
        assert m.plain_float(value, "") == 1.5
        assert m.plain_long_double(value, "") == 1.5
        assert m.plain_cdouble(value, "") == 1.5
    assert m.plain_double(True, "") == 1
    assert m.plain_double(Index(3), "") == 3


@pytest.mark.parametrize(
    "value", ["1", b"1", None, 1j, [1.0], object(), np.complex64(1), np.complex128(1j)]
)
def test_what_has_none_is_no_real(m: ModuleType, value: object) -> None:
    for function in (m.plain_double, m.plain_float, m.plain_long_double):
        with pytest.raises(TypeError, match="expected a real number, got"):
            function(value, "")


def test_complex_numbers(m: ModuleType) -> None:
    class Complex:
        def __complex__(self) -> complex:
            return 1 + 2j

    for value in (1 + 2j, Complex(), np.complex64(1 + 2j)):
        assert m.plain_cdouble(value, "") == 1 + 2j
        assert m.plain_cfloat(value, "") == 1 + 2j
    assert m.id_cdouble(3) == 3 + 0j
    assert type(m.id_cdouble(3)) is complex
    for wrong in (1e39 + 0j, 1e39j):
        with pytest.raises(OverflowError, match="beyond the range of float"):
            m.id_cfloat(wrong)
    with pytest.raises(TypeError, match="expected a complex number, got str"):
        m.id_cdouble("1")


def test_a_numpy_double_takes_the_scalar_path_and_others_the_ufunc(m: ModuleType) -> None:
    assert type(m.id_double(np.float64(1.5))) is float
    assert type(m.id_double(np.float32(1.5))) is np.float64
    assert type(m.id_double(np.array(1.5))) in (np.float64, np.ndarray)
    assert isinstance(m.id_long_double(np.longdouble(1) / 3), np.longdouble)
    assert m.id_long_double(np.longdouble(1) / 3) == np.longdouble(1) / 3
    assert type(m.id_long_double(0.5)) is float


# ---- pointers ----------------------------------------------------------------------------------


def test_none_is_null_only_where_an_annotation_says_so(m: ModuleType) -> None:
    assert m.nullable(None) == 1
    assert m.nullable(np.zeros(1)) == 0
    assert m.nullable(hw.NULL) == 1
    with pytest.raises(
        TypeError, match=r"take_box\(\) argument 1 \(b: struct box \*\): None is NULL only where"
    ):
        m.take_box(None)


def test_null_is_null_everywhere(m: ModuleType) -> None:
    assert m.take_box(hw.NULL) == -1
    assert m.take_handle(hw.NULL) == 0
    assert m.take_box(hw.cast("void *", 0)) == -1


def test_a_null_string_is_none(m: ModuleType) -> None:
    assert m.name_or_null(1) is None
    assert m.name_or_null(0) == "name"


def test_null_handles_are_false_pointers_that_do_not_pass(m: ModuleType) -> None:
    assert not m.give(1)
    assert m.give(1) == hw.NULL
    with pytest.raises(ValueError, match=r"take_handle\(\) argument 1 \(h: .*pass headway.NULL if"):
        m.take_handle(m.give(1))
    assert m.take_handle(m.give(0)) == 1


def test_strings_are_utf_8_and_whatever_bytes_come_back(m: ModuleType) -> None:
    for text in ("", "abc", "é☃\U0001f600", "\udcff\udc80"):
        assert m.id_text(text) == text
    assert m.id_text(b"\xff\xfe") == "\udcff\udcfe"
    assert m.length("é☃", 100) == 5
    with pytest.raises(ValueError, match="has a NUL character inside"):
        m.id_text("a\0b")
    with pytest.raises(ValueError, match="has a NUL character inside"):
        m.id_text("é\0b")


def test_bytes_may_hold_nuls(m: ModuleType) -> None:
    assert m.length(b"a\0b", 3) == 1


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (
            lambda m: m.mixed([1.0], 1, 1),
            "a direct call does not copy: pass an array or headway.new",
        ),
        (lambda m: m.take_box(5), r"expected struct box \*, got int; headway.cast\(\) makes"),
        (lambda m: m.take_box("a"), r"expected struct box \*, got str"),
        (lambda m: m.take_box(b"a"), r"expected struct box \*, got bytes"),
        (lambda m: m.take_box(1.5), r"expected struct box \*, got float"),
        (lambda m: m.take_box(m.crate()), r"expected struct box \*, got struct crate"),
        (
            lambda m: m.take_box(hw.addressof(m.crate())),
            r"expected struct box \*, got struct crate",
        ),
        (lambda m: m.take_handle(hw.new("int")), r"expected struct handle \*, got int \*"),
        (lambda m: m.by_value(m.crate()), "expected struct box, got struct crate"),
        (lambda m: m.by_value(3), "expected struct box, got int"),
        (lambda m: m.raw("abc", 3), r"expected unsigned char \*, got str"),
        (lambda m: m.raw(b"abc", 3), "bytes are immutable: pass a bytearray"),
        (lambda m: m.id_text(5), r"expected const char \*, got int"),
        (lambda m: m.take_box(lambda: 0), r"expected struct box \*, got function"),
    ],
)
def test_pointers_to_something_else_are_refused(
    m: ModuleType, call: Callable[[ModuleType], Any], error: str
) -> None:
    with pytest.raises(TypeError, match=error):
        call(m)


def test_structs_pass_by_pointer_and_by_value(m: ModuleType) -> None:
    box = m.box(n=4)
    assert m.take_box(box) == 4
    assert box.n == 5
    assert m.take_box(hw.addressof(box)) == 5
    assert m.by_value(box) == 6
    assert m.by_value({"n": 9}) == 9
    assert m.by_value((8,)) == 8
    with pytest.raises(OverflowError, match="n .int.: "):
        m.by_value({"n": 2**40})


@pytest.mark.parametrize(
    "value",
    [
        np.arange(3.0),
        array.array("d", [0, 1, 2]),
        memoryview(np.arange(3.0)),
        hw.new("double[3]", [0, 1, 2]),
        hw.cast("double *", hw.addressof(hw.new("double[3]", [0, 1, 2]))),
        np.ma.array(np.arange(3.0)).data,
        np.arange(6.0).reshape(2, 3)[0],
    ],
)
def test_memory_of_the_right_elements_passes_as_it_is(m: ModuleType, value: object) -> None:
    assert m.mixed(value, 3, 2) == 6


def test_subclasses_of_arrays_pass_by_their_buffer(m: ModuleType) -> None:
    class Sub(np.ndarray):  # type: ignore[misc,name-defined]
        pass

    a = np.arange(3.0).view(Sub)
    assert m.mixed(a, 3, 1) == 3
    m.fill(a, 3)
    assert a[2] == 2
    points = np.zeros(1, m.box.dtype).view(Sub)
    assert m.take_box(points) == 0
    assert points["n"][0] == 1


@pytest.mark.parametrize(
    ("value", "exception", "error"),
    [
        (
            np.zeros(3, "f4"),
            TypeError,
            "expected elements of double, got an array of dtype float32",
        ),
        (np.zeros(3, ">f8"), TypeError, "expected elements of double, got an array of dtype >f8"),
        (np.zeros(3, "i8"), TypeError, "does not cast: use .astype"),
        (np.zeros(3, "O"), TypeError, "dtype object"),
        (np.zeros(6)[::2], ValueError, "not C-contiguous"),
        (np.zeros((2, 3)).T, ValueError, "not C-contiguous"),
        (np.zeros(17, "b")[1:].view("f8"), ValueError, "not C-contiguous and aligned"),
        (array.array("f", [1]), TypeError, "got array.array of float; a direct call does not cast"),
        (memoryview(b"12345678"), TypeError, "got memoryview of unsigned char"),
        (memoryview(np.zeros(6))[::2], ValueError, "not C-contiguous"),
        (hw.new("float[3]"), TypeError, r"expected const double \*, got float\[3\]"),
        (hw.new("float"), TypeError, r"expected const double \*, got float \*"),
    ],
)
def test_a_direct_call_never_casts_and_never_copies(
    m: ModuleType, value: object, exception: type[Exception], error: str
) -> None:
    with pytest.raises(exception, match=error) as caught:
        m.mixed(value, 2, 1)
    assert str(caught.value).startswith("mixed() argument 1 (x: const double *): ")


def test_memory_that_is_read_only_is_not_written(m: ModuleType) -> None:
    a = np.zeros(3)
    a.setflags(write=False)
    assert m.mixed(a, 3, 1) == 0
    for readonly in (a, memoryview(a), memoryview(array.array("d", [1])).toreadonly()):
        with pytest.raises(ValueError, match=r"read-only and C may write to it \(double \*\)"):
            m.fill(readonly, 1)
    data = bytearray(b"\2\3")
    assert m.raw(data, 2) == 5
    assert data == b"\1\1"
    data.append(1)  # it was exported no longer than the call lasted


def test_integers_of_the_same_size_and_sign_pass_for_each_other(m: ModuleType) -> None:
    assert m.raw(np.array([1, 2], "i1"), 2) == 3
    assert m.kept(np.array([4], "i4"), "\1") == 5
    with pytest.raises(TypeError, match="expected elements of int, got an array of dtype uint32"):
        m.kept(np.array([4], "u4"), "a")
    with pytest.raises(TypeError, match="dtype int64"):
        m.kept(np.array([4], "i8"), "a")


def test_void_pointers_take_any_contiguous_memory(m: ModuleType) -> None:
    for value in (np.zeros(3, "f4"), b"abc", bytearray(b"abc"), m.box(), hw.new("int")):
        assert m.id_any(value)
    with pytest.raises(ValueError, match="not C-contiguous"):
        m.id_any(np.zeros(4)[::2])


# ---- sizes -------------------------------------------------------------------------------------


def test_sizes_come_from_whatever_memory_there_is(m: ModuleType) -> None:
    a = hw.new("double[3]", [1, 2, 3])
    for x in (a, np.asarray(a), memoryview(a), array.array("d", a)):
        assert m.total(x) == 6
    assert m.total(hw.addressof(a), n=2) == 3
    assert m.total(hw.NULL, n=0) == 0
    with pytest.raises(TypeError, match=r"total\(\) needs the keyword argument n"):
        m.total(hw.addressof(a))
    with pytest.raises(ValueError, match=r"total\(\): size n is 2 in n, but 3 in x"):
        m.total(np.ones(3), n=2)
    with pytest.raises(ValueError, match="negative"):
        m.total(hw.NULL, n=-1)


def test_sizes_of_bytes_text_and_strings(m: ModuleType) -> None:
    for data in (b"abc", bytearray(b"abc"), memoryview(b"abc"), hw.new("char[3]")):
        assert m.bytes_of(data) == 3
    assert m.bytes_of(np.zeros(3)) == 24
    assert m.bytes_of(hw.new("double[3]")) == 24
    assert m.words_of(["a", "b"]) == 2
    assert m.words_of(()) == 0


@pytest.mark.parametrize(
    "out",
    [
        np.zeros((2, 2)),
        np.zeros((3, 2)),
        np.zeros(6),
        hw.new("double[2][2]"),
        hw.new("double[3][2]"),
        hw.new("double[6]"),
        hw.new("double"),
    ],
)
def test_an_output_of_another_shape_is_not_written(m: ModuleType, out: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        m.outer(np.ones(2), np.ones(3), out=out)
    if not isinstance(out, hw.Pointer):
        assert not np.asarray(out).any()


def test_an_output_of_c_memory_is_written_in_place(m: ModuleType) -> None:
    for out in (np.zeros((2, 3)), hw.new("double[2][3]")):
        assert m.outer(np.ones(2), np.arange(3.0), out=out) is out
        assert np.asarray(out).tolist() == [[0, 1, 2]] * 2


# ---- arguments ---------------------------------------------------------------------------------


def test_parameters_are_named_in_messages_by_name_and_position(m: ModuleType) -> None:
    good: list[Any] = [1.0, 2.0, 3.0, 4.0, 5.0, 6, "a"]
    for position, name in enumerate("abcdeks", 1):
        wrong = [*good]
        wrong[position - 1] = object()
        c = {"k": "int", "s": "const char *"}.get(name, "double")
        place = re.escape(f"many() argument {position} ({name}: {c}): expected ")
        with pytest.raises(TypeError, match=f"^{place}.*got object$"):
            m.many(*wrong)
    assert m.many(*good) == 21 + ord("a")


def test_parameters_may_be_given_by_keyword(m: ModuleType) -> None:
    assert m.many(1, 2, 3, 4, 5, s="a", k=6) == 21 + ord("a")
    assert m.many(**dict(zip("abcdeks", [1, 2, 3, 4, 5, 6, "a"], strict=True))) == 21 + ord("a")
    assert m.id_double(value=2.5) == 2.5
    with pytest.raises(TypeError, match=r"got argument a twice"):
        m.many(1, 2, 3, 4, 5, 6, "a", a=1)
    with pytest.raises(
        TypeError, match=r"many\(\) has no parameter z; its prototype is: double ma"
    ):
        m.many(1, 2, 3, 4, 5, 6, "a", z=1)
    with pytest.raises(TypeError, match=r"many\(\) is missing the argument s"):
        m.many(1, 2, 3, 4, 5, k=6)
    with pytest.raises(TypeError, match=r"many\(\) argument k \(int\)|argument.*k: int"):
        m.many(1, 2, 3, 4, 5, k="x", s="a")


def test_a_wrong_count_shows_the_prototype(m: ModuleType) -> None:
    for args, count in ((("a",), 1), ((np.zeros(1), 2, 3, 4), 4)):
        with pytest.raises(
            TypeError,
            match=rf"mixed\(\) takes 3 arguments, got {count};.* double mixed\(const double \*x, int",
        ):
            m.mixed(*args)
    with pytest.raises(TypeError, match=r"id_double\(\) takes 1 argument.*, got 0"):
        m.id_double()
    with pytest.raises(TypeError):
        m.id_double(1, 2)
    with pytest.raises(TypeError, match=r"nothing\(\) takes 0 arguments, got 1"):
        m.nothing(1)
    assert m.nothing() is None


def test_conversion_stops_at_the_first_argument_that_is_wrong(m: ModuleType) -> None:
    with pytest.raises(TypeError, match="argument 2"):
        m.many(1, "x", 3, "y", 5, 6, "a")


def test_messages_do_not_depend_on_the_way_the_call_is_made(m: ModuleType) -> None:
    for call in (
        lambda: m.mixed(np.zeros(1), 2**40, 1.0),
        lambda: m.mixed(np.zeros(1), 2**40, scale=1),
    ):
        with pytest.raises(
            OverflowError,
            match=r"^mixed\(\) argument 2 \(n: int\): 1099511627776 does not fit: expected -2\*\*31 to",
        ):
            call()


# ---- variadic functions ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def libc() -> ModuleType:
    return hw.load(None, "stdio.h")


@pytest.mark.parametrize(
    ("format_", "args", "expected"),
    [
        ("plain", (), "plain"),
        ("%d %ld", (1, -2), "1 -2"),
        ("%lu", (2**64 - 1,), "18446744073709551615"),
        ("%g %.3f", (1.5, 2.0), "1.5 2.000"),
        ("%s|%s", ("text", b"bytes"), "text|bytes"),
        ("%d%g%s", (1, 2.5, "x"), "12.5x"),
        ("%d %d %d %d %d %d %d %d", tuple(range(8)), "0 1 2 3 4 5 6 7"),
        ("%g %g %g %g %g %g %g %g %g %g", (0.5,) * 10, " ".join(["0.5"] * 10)),
        ("%g", (np.float32(0.5),), "0.5"),
        ("%d", (np.int16(-3),), "-3"),
        ("%d", (True,), "1"),
    ],
)
def test_variadic_arguments_travel_by_what_they_are(
    libc: ModuleType, format_: str, args: tuple[object, ...], expected: str
) -> None:
    buffer = bytearray(200)
    assert libc.snprintf(buffer, 200, format_, *args) == len(expected)
    assert buffer[: len(expected)].decode() == expected


def test_variadic_arguments_that_cannot_travel(libc: ModuleType) -> None:
    for wrong in (None, 1j, object(), [1]):
        with pytest.raises(TypeError, match=r"snprintf\(\) argument 4 "):
            libc.snprintf(bytearray(9), 9, "%d", wrong)
    with pytest.raises(OverflowError):
        libc.snprintf(bytearray(9), 9, "%d", 2**70)
    with pytest.raises(TypeError, match="takes 3 arguments or more, got 1"):
        libc.snprintf(bytearray(9))


def test_variadic_functions_write_through_pointers(libc: ModuleType) -> None:
    n, x = hw.new("int"), hw.new("double")
    assert libc.sscanf("17 2.5", "%d %lf", n, x) == 2
    assert (n[0], x[0]) == (17, 2.5)


# ---- errno -------------------------------------------------------------------------------------


def test_errno_is_saved_after_every_call() -> None:
    import errno

    c = hw.load(None, "stdlib.h", "string.h", headers=["errno.h"])
    c.strtol("9" * 30, hw.NULL, 10)
    assert hw.errno == errno.ERANGE
    with pytest.raises(FileNotFoundError):
        os.stat("/nonexistent")  # Python's own calls do not touch what was saved
    assert hw.errno == errno.ERANGE
    hw.set_errno(0)
    assert hw.errno == 0
