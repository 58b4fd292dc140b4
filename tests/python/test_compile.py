# SPDX-License-Identifier: MIT
"""hw.compile: the loops it generates, vector math, the cache, and what it says of wrong input.

Loops are called as NumPy would call them, through `run`, so that offsets, strides and overlap are
the test's choice.
"""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import headway as hw
from headway import _cachedir, _toolchain, _vector
from headway._errors import AnnotationError, CompileError, HeadwayError

Array = np.ndarray[Any, Any]

MATHS = ["libm", "vector"]


def run(function: Any, operands: Sequence[Array], n: int, dims: Sequence[int] = ()) -> None:
    """Run a function's loop over the first axis of the operands, inputs first."""
    library = ctypes.CDLL(str(function.library.path))
    loop = getattr(library, f"hw_loop_{function.binding.name}")
    steps = [a.strides[0] if a.ndim > len_core(function, i) else 0 for i, a in enumerate(operands)]
    pointers = (ctypes.c_void_p * len(operands))(*[a.ctypes.data for a in operands])
    sizes = (ctypes.c_ssize_t * (1 + len(dims)))(n, *dims)
    loop(pointers, sizes, (ctypes.c_ssize_t * len(steps))(*steps), None)


def len_core(function: Any, operand: int) -> int:
    mapping = function.binding.mapping
    return len((*mapping.inputs, *mapping.outputs)[operand].core)


def scalar(function: Any) -> Callable[..., float]:
    """The function itself, of doubles, through its address."""
    count = len(function.binding.params)
    return ctypes.CFUNCTYPE(*[ctypes.c_double] * (count + 1))(function.address)


def same_bits(a: Array, b: Array) -> bool:
    """Equal bit for bit; a NaN equals a NaN (C does not say which of two comes out of a sum)."""
    assert a.dtype == b.dtype
    word = f"u{a.dtype.itemsize}"
    equal = a.copy().view(word) == b.copy().view(word)
    return bool(np.all(equal | (np.isnan(a) & np.isnan(b))))


def symbols(function: Any) -> str:
    """What a function's library needs from others."""
    command = ["nm", "-D", "--undefined-only", str(function.library.path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


# ---- the same bits everywhere ------------------------------------------------------------------

KERNELS = """
#include <math.h>
double beta_logpdf(double a, double b, double x) {
    return lgamma(a + b) - lgamma(a) - lgamma(b) + (a - 1) * log(x) + (b - 1) * log1p(-x); }
double wave(double x, double k) { return sin(x) * cos(x) + tan(k * x); }
double guarded(double x) { return x > 0 ? log(x) : x < -1 ? sin(x) : exp(x); }
double called(double x) { return x > 0 ? cos(x) : log(-x); } /* gcc does not vectorise this */
double clamped(double x, double low, double high) { return fmax(low, fmin(x, high)) * exp(-x * x); }
double narrow(double x) { return sinf((float)x) + expf((float)(x / 100)) + log2(fabs(x)); }
double four(double a, double b, double c, double d) {
    return pow(fabs(a), b / 50) + hypot(c, d) * atan2(a, d); }
double five(double a, double b, double c, double d, double e) {
    return (a + b * c) / (d * d + 1) + cbrt(e); }
double plain(double x, double y) { return x * y + x / (y * y + 1) - sqrt(fabs(x - y)); }
double steps(double x) { double s = 0; for (int i = 1; i < 5; i++) s += log(fabs(x) + i) / i;
    return s; }
"""
NAMES = "beta_logpdf wave guarded called clamped narrow four five plain steps".split()  # noqa: SIM905


@functools.cache
def kernels(math: str) -> ModuleType:
    return hw.compile(KERNELS, math=math, name=f"kernels_{math}")


LAYOUTS = ("contiguous", "scalar", "strided", "reversed", "odd")


def laid_out(values: Sequence[float], layout: str, offset: int) -> Array:
    """A one-dimensional array of the values, somewhere in a larger one."""
    n = len(values)
    if layout == "scalar":
        return np.broadcast_to(np.array(values[:1]), (n,))
    stride = {"contiguous": 1, "strided": 3, "reversed": -1, "odd": -2}[layout]
    room = np.zeros(offset + n * abs(stride) + 1)
    array = room[offset:][: n * abs(stride)][::stride][:n]
    array[:] = values
    return array


finite = st.floats(-30, 30) | st.floats(0, 1) | st.floats(-1e12, 1e12)
numbers = finite | st.sampled_from([0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, 1e308, -1e-310])


@pytest.mark.parametrize("math", MATHS)
@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=25)
@given(data=st.data())
def test_an_element_has_the_bits_of_the_scalar_call_wherever_it_stands(
    math: str, name: str, data: st.DataObject
) -> None:
    function = getattr(kernels(math), name)
    count = len(function.binding.params)
    n = data.draw(st.integers(1, 70) | st.just(300))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    pool = np.array(data.draw(st.lists(numbers, min_size=1, max_size=12)))
    inputs = []
    for _ in range(count):
        values = rng.choice(np.concatenate([pool, rng.normal(size=20)]), n)
        layout = data.draw(st.sampled_from(LAYOUTS))
        inputs.append(laid_out(values, layout, data.draw(st.integers(0, 9))))
    layout = data.draw(st.sampled_from([each for each in LAYOUTS if each != "scalar"]))
    out = laid_out([7.0] * n, layout, data.draw(st.integers(0, 9)))
    one = scalar(function)
    expected = np.array([one(*each) for each in zip(*inputs, strict=True)])
    run(function, [*inputs, out], n)
    assert same_bits(np.ascontiguousarray(out), expected)


@pytest.mark.parametrize("name", ["sin", "cos", "tan", "sinf", "cosf", "lgamma", "exp"])
def test_a_neighbour_does_not_change_an_element(name: str) -> None:
    """Sine and its like have other formulas for large arguments, and may choose by the vector."""
    real = "float" if name.endswith("f") else "double"
    k = hw.compile(
        f"#include <math.h>\n{real} f({real} x) {{ return {name}(x); }}\n", math="vector"
    )
    rng = np.random.default_rng(3)
    dtype, most, large = ("f4", 100, 1e6) if real == "float" else ("f8", 1e12, 1e16)
    x = rng.uniform(-most, most, 300_000).astype(dtype)
    alone, among = np.empty_like(x), np.empty_like(x)
    run(k.f, [x, alone], x.size)
    mixed = x.copy()
    replaced = rng.random(x.size) < 0.2
    mixed[replaced] = rng.uniform(large, 10 * large, int(replaced.sum()))
    run(k.f, [mixed, among], x.size)
    assert same_bits(alone[~replaced], among[~replaced])


@pytest.mark.parametrize("math", MATHS)
@pytest.mark.parametrize("real", ["double", "float"])
def test_zeros_of_both_signs_are_ordered_alike_everywhere(real: str, math: str) -> None:
    """The compiler may swap the arguments of fmax and fmin, and not in every place."""
    f = "" if real == "double" else "f"
    k = hw.compile(
        f"#include <math.h>\n{real} f({real} x, {real} low, {real} high) {{\n"
        f"    return fmax{f}(low, fmin{f}(x, high)); }}\n",
        math=math,
    )
    dtype = np.dtype("f8" if real == "double" else "f4")
    zeros = np.random.default_rng(2).choice([0.0, -0.0], (3, 100)).astype(dtype)
    together = np.empty(100, dtype)
    run(k.f, [*zeros, together], 100)
    direct = [k.f(*map(float, each)) for each in zeros.T]
    assert same_bits(together, np.array(direct, dtype))


def test_an_empty_loop_touches_nothing() -> None:
    out = np.array([7.0])
    run(kernels("libm").plain, [np.array([1.0]), np.array([2.0]), out], 0)
    assert out[0] == 7.0


@pytest.mark.parametrize("math", MATHS)
def test_a_map_gives_what_the_scalar_call_gives_at_any_number_of_threads(math: str) -> None:
    f = kernels(math).beta_logpdf
    rng = np.random.default_rng(12)
    x = rng.uniform(0, 1, 20_011)
    expected = f(2.5, 4.0, x)
    some = rng.integers(0, x.size, 500)
    assert [f(2.5, 4.0, float(x[i])) for i in some] == expected[some].tolist()
    strided = np.empty((x.size, 3))[:, 1]
    strided[:] = x
    for n in (1, 2, 7):
        with hw.threads(n):
            for given_x in (x, strided, x.astype(">f8")):
                assert np.array_equal(f(2.5, 4.0, given_x), expected)
            assert np.array_equal(f(np.full(x.size, 2.5), 4.0, x), expected)
            assert np.array_equal(f(2.5, 4.0, x[::-1])[::-1], expected)
            assert np.array_equal(f(2.5, 4.0, x, out=np.empty_like(strided)), expected)


def test_a_compiled_function_is_a_ufunc_in_every_way() -> None:
    ufunc = hw.compile(
        "#include <math.h>\ndouble hyp(double x, double y) { return sqrt(x * x + y * y); }\n"
    ).hyp.ufunc
    x = np.random.default_rng(13).random(1000)
    assert np.isclose(ufunc.reduce(x), np.sqrt((x * x).sum()))
    np.testing.assert_allclose(ufunc.accumulate(x), np.sqrt(np.cumsum(x * x)))
    sums = np.zeros(3)
    ufunc.at(sums, [0, 0, 1], [3.0, 4.0, 5.0])
    assert sums.tolist() == [5, 5, 0]
    out = np.zeros(1000)
    ufunc(x, 0.0, where=x > 0.5, out=out)
    assert np.array_equal(out, np.where(x > 0.5, x, 0))


def test_no_warning_of_what_the_source_guards_against() -> None:
    k = hw.compile(
        "#include <math.h>\ndouble f(double x) { return x > 0 ? log(x) / x : 0; }\n"
        "double g(double x) { return 1 / x; }\n",
        math="vector",
    )
    x = np.linspace(-1, 1, 1001)
    with np.errstate(all="raise"):
        assert np.isfinite(k.f(x)).all()
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        k.g(x)


# ---- operands that overlap ---------------------------------------------------------------------

ADD = "double add(double x, double y) { return x + y; }\n"


def test_a_reduction_runs_in_order() -> None:
    k = hw.compile(ADD)
    x = np.random.default_rng(1).normal(size=1000)
    total = np.zeros(1)
    view = np.broadcast_to(total, (1000,))
    run(k.add, [view, x, view], 1000)
    assert total[0] == functools.reduce(lambda a, b: a + b, x.tolist(), 0.0)


def test_accumulation_reads_what_it_has_just_written() -> None:
    k = hw.compile(ADD)
    x = np.random.default_rng(2).normal(size=1001)
    out = x.copy()
    run(k.add, [out[:-1], x[1:], out[1:]], 1000)
    assert same_bits(out, np.add.accumulate(x))


def test_working_in_place_is_element_for_element() -> None:
    k = hw.compile(ADD)
    x = np.arange(1000.0)
    run(k.add, [x, x, x], 1000)
    assert np.array_equal(x, 2 * np.arange(1000.0))


# ---- types -------------------------------------------------------------------------------------

TYPES = """
#include <complex.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
int32_t scaled(int32_t x, int16_t by) { return x * by; }
uint8_t wrapped(uint8_t x) { return (uint8_t)(x + 200); }
float halved(float x) { return x / 2 + sqrtf(x); }
double _Complex turned(double _Complex z, double angle) { return z * (cos(angle) + I * sin(angle)); }
float _Complex squared(float _Complex z) { return z * z; }
bool positive(double x) { return x > 0; }
long double thirded(long double x) { return x / 3; }
int64_t longest(int64_t x, bool negative) { return negative ? -x : x; }
double powered(double x, int n) { double p = 1; for (int i = 0; i < n; i++) p *= x; return p; }
"""


@pytest.mark.parametrize("step", [1, 2])
def test_kernels_of_every_arithmetic_type(step: int) -> None:
    k = hw.compile(TYPES)
    n = 100
    x = np.arange(n * step) - 3

    def mapped(name: str, dtype: str, *arrays: Array) -> Array:
        out = np.empty(n * step, dtype)[::step]
        run(getattr(k, name), [*arrays, out], n)
        return out

    i4, f4 = x.astype("i4")[::step], np.abs(x).astype("f4")[::step]
    by = np.array([3], "i2")
    assert np.array_equal(mapped("scaled", "i4", i4, np.broadcast_to(by, n)), i4 * 3)
    u1 = x.astype("u1")[::step]
    assert np.array_equal(mapped("wrapped", "u1", u1), u1 + np.uint8(200))
    assert np.array_equal(mapped("halved", "f4", f4), f4 / 2 + np.sqrt(f4))
    z = (x + 2j)[::step]
    angle = np.broadcast_to(np.array([np.pi / 2]), n)
    np.testing.assert_allclose(mapped("turned", "c16", z, angle), z * 1j, atol=1e-12)
    c8 = z.astype("c8")
    np.testing.assert_allclose(mapped("squared", "c8", c8), c8 * c8, rtol=1e-6)
    f8 = x.astype("f8")[::step]
    assert np.array_equal(mapped("positive", "?", f8), f8 > 0)
    g = x.astype("g")[::step]
    assert np.array_equal(mapped("thirded", "g", g), g / np.longdouble(3))
    i8, sign = x.astype("i8")[::step], (x % 2 == 0)[::step]
    assert np.array_equal(mapped("longest", "i8", i8, sign), np.where(sign, -i8, i8))
    powers = np.broadcast_to(np.array([3], "i4"), n)
    assert np.array_equal(mapped("powered", "f8", f8, powers), f8 * f8 * f8)


def test_outputs_by_address_are_results_of_the_same_loop() -> None:
    k = hw.compile(
        "#include <math.h>\nvoid polar(double x, double y, double *r, double *phi)\n"
        "{ *r = hypot(x, y); *phi = atan2(y, x); }\n"
        "double running(double x, double *sum) { *sum += x; return 2 * x; }\n",
        math="vector",
        annotate={"polar": {"r": "out", "phi": "out"}, "running": {"sum": "inout"}},
    )
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(2, 77))
    r, phi = np.empty(77), np.empty(77)
    run(k.polar, [x, y, r, phi], 77)
    np.testing.assert_allclose(r, np.hypot(x, y), rtol=3e-16)
    np.testing.assert_allclose(phi, np.arctan2(y, x), rtol=5e-16)
    start, doubled, total = np.ones(77), np.empty(77), np.empty(77)
    run(k.running, [x, start, doubled, total], 77)
    assert np.array_equal(doubled, 2 * x)
    assert np.array_equal(total, 1 + x)
    assert np.array_equal(start, np.ones(77))


# ---- functions of arrays -----------------------------------------------------------------------

ARRAYS = """
#include <stddef.h>
void matmul(size_t m, size_t k, size_t n,
            const double a[m][k], const double b[k][n], double c[m][n]) {
    for (size_t i = 0; i < m; i++) for (size_t j = 0; j < n; j++) {
        double s = 0; for (size_t l = 0; l < k; l++) s += a[i][l] * b[l][j];
        c[i][j] = s; } }
double mean(size_t n, const double x[n]) {
    double s = 0; for (size_t i = 0; i < n; i++) s += x[i]; return s / n; }
void scaled(int n, double by, double x[n]) { for (int i = 0; i < n; i++) x[i] *= by; }
void convolved(int n, int m, const double x[n], const double y[m], double z[n + m - 1]) {
    for (int i = 0; i < n + m - 1; i++) z[i] = 0;
    for (int i = 0; i < n; i++) for (int j = 0; j < m; j++) z[i + j] += x[i] * y[j]; }
void crossed(const double a[3], const double b[3], double c[3]) {
    for (int i = 0; i < 3; i++)
        c[i] = a[(i + 1) % 3] * b[(i + 2) % 3] - a[(i + 2) % 3] * b[(i + 1) % 3]; }
"""


@functools.cache
def arrays() -> ModuleType:
    return hw.compile(ARRAYS, annotate={"scaled": {"x": "inout"}})


@pytest.mark.parametrize(
    "sizes", [(2, 2, 2), (3, 3, 3), (4, 4, 4), (4, 4, 2), (1, 7, 3), (5, 5, 5)]
)
def test_matrices_of_any_size_have_the_bits_of_the_scalar_call(sizes: tuple[int, int, int]) -> None:
    m, k, n = sizes
    rng = np.random.default_rng(m * 100 + n)
    a, b, c = rng.normal(size=(50, m, k)), rng.normal(size=(50, k, n)), np.empty((50, m, n))
    matmul = arrays().matmul
    run(matmul, [a, b, c], 50, sizes)
    direct = ctypes.CFUNCTYPE(None, *[ctypes.c_size_t] * 3, *[ctypes.c_void_p] * 3)(matmul.address)
    expected = np.empty_like(c)
    for i in range(50):
        direct(m, k, n, a[i].ctypes.data, b[i].ctypes.data, expected[i].ctypes.data)
    assert same_bits(c, expected)
    np.testing.assert_allclose(c, a @ b, rtol=1e-10, atol=1e-12)


def test_one_matrix_may_serve_all_places() -> None:
    a, b, c = np.random.default_rng(6).normal(size=(3, 20, 4, 4))
    run(arrays().matmul, [a, b[0], c], 20, (4, 4, 4))
    np.testing.assert_allclose(c, a @ b[0], rtol=1e-10, atol=1e-12)


def test_an_array_to_a_number() -> None:
    x = np.random.default_rng(7).normal(size=(30, 11))
    out = np.empty(30)
    run(arrays().mean, [x, out], 30, (11,))
    np.testing.assert_allclose(out, x.mean(1), rtol=1e-12)


def test_an_in_place_kernel_leaves_its_input_alone() -> None:
    x = np.arange(20.0).reshape(5, 4)
    before, out = x.copy(), np.empty_like(x)
    run(arrays().scaled, [np.arange(5.0), x, out], 5, (4,))
    assert np.array_equal(x, before)
    assert np.array_equal(out, before * np.arange(5.0)[:, None])
    run(arrays().scaled, [np.array(2.0), x, x], 5, (4,))  # input and output the same memory
    assert np.array_equal(x, 2 * before)


def test_sizes_that_are_expressions() -> None:
    x, y = np.random.default_rng(8).normal(size=(2, 6, 5))
    y, out = y[:, :3].copy(), np.empty((6, 7))
    convolved = arrays().convolved
    assert [dim.name for dim in convolved.binding.dims] == ["n", "m", "n + m - 1"]
    run(convolved, [x, y, out], 6, (5, 3, 7))
    expected = [np.convolve(a, b) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(out, expected, rtol=1e-12)


def test_sizes_that_are_numbers() -> None:
    a, b = np.random.default_rng(9).normal(size=(2, 8, 3))
    out = np.empty((8, 3))
    run(arrays().crossed, [a, b, out], 8, (3,))
    np.testing.assert_allclose(out, np.cross(a, b), rtol=1e-12)


def test_compiled_functions_of_arrays_map() -> None:
    k = arrays()
    assert k.matmul.ufunc.signature == "(m,k),(k,n)->(m,n)"
    a, b = np.ones((100, 3, 4)), np.ones((4, 5))
    assert np.array_equal(k.matmul(a, b), a @ b)
    x = np.random.default_rng(10).random((1000, 50))
    np.testing.assert_allclose(k.mean(x, axis=0), x.mean(0))
    assert np.array_equal(k.scaled(2.0, x), 2 * x)


# ---- what the compiler makes of it -------------------------------------------------------------


def disassembly(function: Any) -> str:
    command = ["objdump", "-d", "--no-show-raw-insn", str(function.library.path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_function_is_inlined_into_its_loops() -> None:
    text = disassembly(kernels("libm").plain)
    assert "<hw_loop_plain>:" in text
    assert "call" in text
    assert not [line for line in text.splitlines() if "call" in line and "<plain>" in line]


def test_vector_math_comes_from_one_instruction_set() -> None:
    needed = {
        line.split()[-1].partition("@")[0] for line in symbols(kernels("vector").wave).splitlines()
    }
    used = {name for name in needed if name.startswith("Sleef_")}
    assert {"sin", "cos", "lgamma", "log1p"} <= {
        name.split("_")[2].rstrip("0123456789")[:-1] for name in used
    }
    assert len({name.split("_u")[-1][2:] for name in used if "_u" in name}) == 1
    assert not needed & {"sin", "cos", "sincos", "exp", "log", "lgamma", "pow"}


def test_the_loops_of_vector_math_are_vectorised() -> None:
    text = disassembly(kernels("vector").guarded)
    body = text.partition("<hw_straight_guarded_0>:")[2].partition("\n\n")[0]
    assert "v_log>" in body
    assert "v_sin>" in body


def test_scalars_are_read_and_their_functions_computed_once() -> None:
    k = hw.compile(
        "#include <math.h>\ndouble f(double a, double x) { return lgamma(a) * x; }\n",
        math="vector",
    )
    text = disassembly(k.f)
    body = text.partition("<hw_straight_f_1>:")[2].partition("\n\n")[0]
    assert "v_lgamma>" not in body
    assert len([line for line in body.splitlines() if "call" in line]) == 1


def test_results_do_not_depend_on_the_widest_instructions() -> None:
    """One value on every processor that has FMA."""
    if "__AVX2__" not in _toolchain.find().macros(["-march=native"]):
        pytest.skip("this processor has no AVX2")
    rng = np.random.default_rng(4)
    x, a, b = rng.uniform(-3, 3, 1000), *rng.uniform(0.1, 12, (2, 1000))
    flags = ["-mno-avx512f", "-mavx2", "-mfma"]
    narrow = hw.compile(KERNELS, math="vector", flags=flags)
    needed = symbols(narrow.guarded)
    assert "avx2" in needed
    assert "avx512" not in needed
    for name, inputs in (("guarded", [x]), ("beta_logpdf", [a, b, abs(x) / 3]), ("five", [x] * 5)):
        outs = np.empty((2, 1000))
        for k, out in zip((kernels("vector"), narrow), outs, strict=True):
            run(getattr(k, name), [*inputs, out], 1000)
        assert same_bits(*outs)


def test_the_tables_of_vector_math_are_what_their_program_makes() -> None:
    program = Path(__file__).parents[2] / "tools/vector_tables.py"
    subprocess.run([sys.executable, str(program), "--check"], check=True)


def test_only_flags_that_a_result_explains_are_raised() -> None:
    libm = ctypes.CDLL("libm.so.6")
    k = hw.compile(
        "#include <math.h>\ndouble f(double x) { return x > 0 ? 1 / x : 0; }\n"
        "double g(double x) { return 1 / x; }\ndouble h(double x) { return sqrt(x); }\n"
    )
    out = np.empty(100)

    def raised(function: Any, x: Array) -> int:
        libm.feclearexcept(0x3D)
        run(function, [x, out], 100)
        return int(libm.fetestexcept(0x1D))

    zeros, minus = np.zeros(100), np.full(100, -1.0)
    assert raised(k.f, zeros) == 0
    assert raised(k.g, zeros) == 4  # FE_DIVBYZERO
    assert raised(k.h, minus) == 1  # FE_INVALID
    assert raised(k.g, minus) == 0


# ---- vector math -------------------------------------------------------------------------------

ULPS = """
static double ulps(double y, long double exact) {
    double e = (double)exact;
    if (isnan(e) || isnan(y)) return isnan(e) && isnan(y) ? 0 : 1e9;
    if (isinf(e) || isinf(y)) return e == y ? 0 : 1e9;
    double ulp = fabs(e) < 0x1p-1022 ? 0x1p-1074 : nextafter(fabs(e), INFINITY) - fabs(e);
    return (double)(fabsl(y - exact) / ulp); }
static double ulpsf(float y, double exact) {
    float e = (float)exact;
    if (isnan(e) || isnan(y)) return isnan(e) && isnan(y) ? 0 : 1e9;
    if (isinf(e) || isinf(y)) return e == y ? 0 : 1e9;
    float ulp = fabsf(e) < 0x1p-126f ? 0x1p-149f : nextafterf(fabsf(e), INFINITY) - fabsf(e);
    return fabs(y - exact) / ulp; }
"""


def accuracy_source() -> str:
    """For each function, its error in units of the last place against a wider type's."""
    lines = ["#define _GNU_SOURCE\n#include <math.h>\n", ULPS]
    for name, (real, count) in _vector.FUNCTIONS.items():
        given = ", ".join(f"{real} {x}" for x in "xy"[:count])
        x = ", ".join("xy"[:count])
        if real == "double":
            lines.append(
                f"double error_{name}({given}) {{ return ulps({name}({x}), {name}l({x})); }}"
            )
        else:
            wide = name.removesuffix("f") + "l"
            lines.append(
                f"double error_{name}({given}) {{ return ulpsf({name}({x}), {wide}({x})); }}"
            )
    return "\n".join(lines) + "\n"


@functools.cache
def accuracy() -> ModuleType:
    return hw.compile(accuracy_source(), math="vector", name="accuracy")


@pytest.mark.parametrize("name", list(_vector.FUNCTIONS))
def test_vector_functions_are_correct_to_one_ulp(name: str) -> None:
    real, count = _vector.FUNCTIONS[name]
    rng = np.random.default_rng(11)
    special = [0, -0.0, 1, -1, 2, -2, 0.5, -2.5, 3, np.inf, -np.inf, np.nan, 1e-310, -1e-310, 1e300]
    near = [1 + 1e-9, 1 - 1e-9, 2 + 1e-9, 0.98, 1.03, 7.999, 8.0, 1e15, 1e17, 0.499, -0.02, 1e-17]
    special += [
        *near,
        -2.7476826467274127,
        -3.1435808883499799,
        709.9,
        -745.1,
        26.6,
        171.6,
        -170.5,
        1e-42,
    ]
    drawn = [
        np.array(special), rng.normal(size=3000), rng.uniform(-800, 800, 3000),
        rng.uniform(-30, 30, 3000), rng.uniform(-1, 2, 3000), 10.0 ** rng.uniform(-320, 308, 3000),
    ]  # fmt: skip
    with np.errstate(over="ignore"):
        x = np.concatenate(drawn).astype("f4" if real == "float" else "f8")
    operands = [x, rng.permutation(x)][:count]
    out = np.empty(x.size)
    run(getattr(accuracy(), f"error_{name}"), [*operands, out], x.size)
    worst = int(np.argmax(out))
    assert out[worst] <= 1.05, [float(o[worst]) for o in operands]


def test_a_function_of_the_users_keeps_its_name_and_meaning() -> None:
    k = hw.compile(
        "static double exp10(double x) { return x + 10; }\n"
        "double round(double x) { return x - 1; }\n"
        "double f(double x) { return exp10(x) + round(x); }\n",
        math="vector",
    )
    x, out = np.arange(20.0), np.empty(20)
    run(k.f, [x, out], 20)
    assert np.array_equal(out, 2 * x + 9)


def test_a_source_that_reads_signgam_gets_it() -> None:
    k = hw.compile(
        "#define _GNU_SOURCE\n#include <math.h>\n"
        "double sign(double x) { lgamma(x); return signgam; }\n",
        math="vector",
    )
    assert scalar(k.sign)(-0.5) == -1
    assert scalar(k.sign)(-1.5) == 1


def test_vector_math_without_sleef_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _vector.sleef.cache_clear()
    monkeypatch.setattr(_vector, "LOADER_CACHE", str(tmp_path / "none"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    with pytest.raises(CompileError, match="libsleef3"):
        hw.compile("double f(double x) { return x; }", math="vector")
    _vector.sleef.cache_clear()


def test_vector_math_with_clang_says_that_it_needs_gcc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_toolchain.Compiler, "is_clang", lambda self: True)
    with pytest.raises(CompileError, match="needs gcc"):
        hw.compile("double f(double x) { return x; }", math="vector")


# ---- sources, flags, functions that are not exported -------------------------------------------


def test_the_first_line_may_be_a_comment_and_all_of_it_indented() -> None:
    k = hw.compile("""      // inline C
        #include <stddef.h>
        double half(double x) { return x / 2; }
    """)
    assert scalar(k.half)(3.0) == 1.5


def test_a_brace_without_a_line_break_is_source_too() -> None:
    assert scalar(hw.compile("double same(double x) { return x; }").same)(2.0) == 2.0


def test_files_include_what_is_beside_them_and_keep_their_statics_apart(tmp_path: Path) -> None:
    (tmp_path / "shared.h").write_text("#define OFFSET 5\ndouble second(double x);\n")
    (tmp_path / "one.c").write_text(
        '#include "shared.h"\nstatic double helper(double x) { return x + OFFSET; }\n'
        "double first(double x) { return helper(x) + second(x); }\n"
    )
    (tmp_path / "two.c").write_text(
        '#include "shared.h"\nstatic double helper(double x) { return 10 * x; }\n'
        "double second(double x) { return helper(x); }\n"
    )
    k = hw.compile([tmp_path / "one.c", str(tmp_path / "two.c")])
    assert k.__name__ == "one"
    assert scalar(k.first)(1.0) == 16
    assert scalar(k.second)(1.0) == 10
    assert k.OFFSET == 5
    x, out = np.arange(10.0), np.empty(10)
    run(k.second, [x, out], 10)
    assert np.array_equal(out, 10 * x)


def test_static_and_inline_functions_are_available(tmp_path: Path) -> None:
    (tmp_path / "tiny.h").write_text(
        "static inline double tripled(double x) { return 3 * x; }\n"
        "inline double doubled(double x) { return 2 * x; }\n"
    )
    k = hw.compile(
        '#include "tiny.h"\nstatic double squared(double x) { return x * x; }\n',
        include_dirs=[tmp_path],
    )
    x, out = np.arange(10.0), np.empty(10)
    for function, expected in ((k.squared, x * x), (k.tripled, 3 * x), (k.doubled, 2 * x)):
        run(function, [x, out], 10)
        assert np.array_equal(out, expected)
        assert scalar(function)(2.0) == expected[2]


def test_headers_defines_and_libraries(tmp_path: Path) -> None:
    (tmp_path / "given.h").write_text("#define BASE 100\n")
    k = hw.compile(
        "double f(double x) { return x + BASE + EXTRA; }\n"
        "const char *zlibVersion(void);\n"
        "int major(int ignored) { return zlibVersion()[0] - '0' + ignored; }\n",
        headers=["given.h"],
        include_dirs=[tmp_path],
        defines={"EXTRA": 20, "UNUSED": None},
        libraries=["z"],  # with or without its development files
    )
    assert scalar(k.f)(3.0) == 123
    assert k.major(0) == 1
    assert k.zlibVersion().startswith("1.")


def test_flags_add_to_headways_own_and_may_override_them() -> None:
    source = (
        "#ifdef __OPTIMIZE__\ndouble f(double x) { return x + 1; }\n#else\n"
        "double f(double x) { return x; }\n#endif\n"
        "#ifdef __OPTIMIZE_SIZE__\ndouble g(double x) { return 1; }\n#else\n"
        "double g(double x) { return 0; }\n#endif\n"
    )
    assert scalar(hw.compile(source, flags=["-Wall"]).f)(1.0) == 2
    assert scalar(hw.compile(source, flags=["-O0"]).f)(1.0) == 1
    assert scalar(hw.compile(source, flags=["-Os"]).g)(1.0) == 1


def test_a_function_is_its_own_and_not_one_of_that_name_elsewhere() -> None:
    k = hw.compile(
        '#include <stdio.h>\nvoid needs_libc(void) { puts(""); }\n'
        "static double index(double x) { return x + 1; }\n"
        "double abs_(double x) { return index(x); }\n"
        "double labs(double x) { return 42; }\ndouble f(double x) { return labs(x); }\n",
        flags=["-fno-builtin"],
    )
    assert scalar(k.f)(1.0) == 42
    assert scalar(k.index)(1.0) == 2


def test_clang_gives_the_same_bits() -> None:
    clang = next(filter(shutil.which, ["clang", *(f"clang-{v}" for v in range(25, 10, -1))]), None)
    if clang is None:
        pytest.skip("there is no clang here")
    k = hw.compile(KERNELS, cc=clang, name="by_clang")
    x, y = np.random.default_rng(14).normal(size=(2, 1001))
    outs = np.empty((2, 1001))
    for module, out in zip((k, kernels("libm")), outs, strict=True):
        run(module.plain, [x, y, out], 1001)
    assert same_bits(*outs)
    assert scalar(k.plain)(x[7], y[7]) == outs[0, 7]
    message = refused("double f(double x) { return undefined_thing; }", cc=clang)
    assert "inline.c:1:29" in message


def test_openmp() -> None:
    source = (
        "#include <omp.h>\n#include <stddef.h>\n"
        "double total(size_t n, const double x[n]) {\n"
        "    double s = 0;\n    #pragma omp parallel for reduction(+:s)\n"
        "    for (size_t i = 0; i < n; i++) s += x[i];\n    return s; }\n"
        "int version(int zero) { return _OPENMP + zero; }\n"
    )
    k = hw.compile(source, openmp=True)
    out = np.empty(2)
    run(k.total, [np.ones((2, 1000)), out], 2, (1000,))
    assert out.tolist() == [1000, 1000]


def test_annotations_may_stand_in_the_source() -> None:
    k = hw.compile(
        "#include <headway/annotate.h>\n"
        "void negated(int n, HW_INOUT double x[n]) { for (int i = 0; i < n; i++) x[i] = -x[i]; }\n"
        if "HW_INOUT" in annotate_h()
        else "void negated(int n, double x[n]) { for (int i = 0; i < n; i++) x[i] = -x[i]; }\n",
        annotate=None if "HW_INOUT" in annotate_h() else {"negated": {"x": "inout"}},
    )
    assert k.negated.binding.mapping.signature(k.negated.binding.dims) == "(n)->(n)"


def annotate_h() -> str:
    return (Path(hw.__file__).parent / "include/headway/annotate.h").read_text()


def test_a_wrong_annotation_is_refused() -> None:
    with pytest.raises(AnnotationError):
        hw.compile("double f(double x) { return x; }", annotate={"f": {"y": "in"}})


# ---- fast math ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", ["fast_math=True", 'flags=["-Ofast"]', 'flags=["-ffast-math"], math="vector"']
)
def test_fast_math_leaves_the_rest_of_the_process_alone(
    arguments: str, python_environment: dict[str, str]
) -> None:
    program = (
        "import numpy as np, headway as hw\n"
        "source = 'double f(double x) { return x * 3 / 3; }'\n"
        f"k = hw.compile(source, {arguments})\n"
        "assert k.f.address\n"
        "assert np.float64(1e-310) * 1.0 != 0\n"
        "assert float('1e-310') * 1.0 != 0\n"
        "assert (np.full(100, 1e-310) * 1.0 != 0).all()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=python_environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_fast_math_reaches_the_compiler() -> None:
    source = "double f(double x) { return (x + 1e300) - 1e300; }"
    assert scalar(hw.compile(source).f)(1.0) == 0
    assert scalar(hw.compile(source, fast_math=True).f)(1.0) == 1


# ---- the cache ---------------------------------------------------------------------------------


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "cache"
    monkeypatch.setenv("HEADWAY_CACHE_DIR", str(directory))
    return directory


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Puts a compiler in front of the real one that counts how often it is started."""
    log = tmp_path / "log"
    log.touch()
    wrapper = tmp_path / "counting-cc"
    wrapper.write_text(f'#!/bin/sh\necho started >> "{log}"\nexec "{shutil.which("gcc")}" "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("CC", str(wrapper))

    def since() -> int:
        count = len(log.read_text().splitlines())
        log.write_text("")
        return count

    return since


@pytest.mark.parametrize("math", MATHS)
def test_what_is_in_the_cache_is_not_compiled(
    math: str, own_cache: Path, counted: Callable[[], int]
) -> None:
    source = "#include <math.h>\ndouble f(double x) { return exp(x); }\n"
    hw.compile(source, math=math)
    assert counted() > 0
    k = hw.compile(source, math=math)
    assert counted() == 0
    assert scalar(k.f)(0.0) == 1
    for changed in ({"flags": ["-O1"]}, {"defines": {"X": 1}}, {"fast_math": True}):
        hw.compile(source, math=math, **changed)  # type: ignore[arg-type]
        assert counted() > 0
    hw.compile(source + "\n", math=math)
    assert counted() > 0


def test_an_annotation_that_changes_the_loop_compiles_anew(
    own_cache: Path, counted: Callable[[], int]
) -> None:
    source = "void f(int n, double x[n]) { for (int i = 0; i < n; i++) x[i] += 1; }\n"
    plain = hw.compile(source)
    assert counted() > 0
    changed = hw.compile(source, annotate={"f": {"x": "inout"}})
    assert counted() > 0
    assert plain.f.binding.mapping is None
    out = np.empty((2, 3))
    run(changed.f, [np.zeros((2, 3)), out], 2, (3,))
    assert np.array_equal(out, np.ones((2, 3)))


def test_a_header_that_changes_compiles_anew(
    own_cache: Path, counted: Callable[[], int], tmp_path: Path
) -> None:
    header = tmp_path / "value.h"
    source = '#include "value.h"\ndouble f(double x) { return x + VALUE; }\n'
    for value in (1, 2):  # same size, and perhaps the same time stamp
        header.write_text(f"#define VALUE {value}\n")
        assert scalar(hw.compile(source, include_dirs=[tmp_path]).f)(0.0) == value
        assert counted() > 0
    hw.compile(source, include_dirs=[tmp_path])
    assert counted() == 0
    nearer = tmp_path / "nearer"
    nearer.mkdir()
    (nearer / "value.h").write_text("#define VALUE 3\n")
    assert scalar(hw.compile(source, include_dirs=[nearer, tmp_path]).f)(0.0) == 3


def test_a_header_that_appears_earlier_on_the_path_compiles_anew(
    own_cache: Path, counted: Callable[[], int], tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    (second / "value.h").write_text("#define VALUE 1\n")
    source = (
        '#include "value.h"\n#if __has_include("extra.h")\n#define MORE 10\n#else\n#define MORE 0\n'
        "#endif\ndouble f(double x) { return x + VALUE + MORE; }\n"
    )

    def compiled() -> float:
        return scalar(hw.compile(source, include_dirs=[first, second]).f)(0.0)

    assert compiled() == 1
    assert counted() > 0
    (first / "value.h").write_text("#define VALUE 2\n")
    assert compiled() == 2
    assert counted() > 0
    (second / "extra.h").write_text("")
    assert compiled() == 12
    (second / "extra.h").unlink()
    assert compiled() == 2
    counted()
    assert compiled() == 2
    assert counted() == 0


@pytest.mark.parametrize("damage", [b"", b"\x7fELF", b"no library at all" * 1000])
def test_a_damaged_library_is_rebuilt(
    damage: bytes, own_cache: Path, counted: Callable[[], int], tmp_path: Path
) -> None:
    source = "double f(double x) { return x - 1; }\n"
    path = Path(hw.compile(source).f.library.path)
    assert path.is_relative_to(own_cache)
    whole = path.read_bytes()
    (tmp_path / "damaged").write_bytes(damage)
    os.replace(tmp_path / "damaged", path)  # the library in use keeps its file
    counted()
    assert scalar(hw.compile(source).f)(1.0) == 0
    assert counted() > 0
    assert path.read_bytes() == whole
    for record in (own_cache / "compile").glob("*.json"):
        record.write_bytes(b'{"library":')
    assert scalar(hw.compile(source).f)(1.0) == 0


def test_the_same_may_be_compiled_by_several_at_once(own_cache: Path) -> None:
    source = "double f(double x) { return x * 7; }\n"
    results, start = [], threading.Barrier(4)

    def work() -> None:
        start.wait()
        results.append(scalar(hw.compile(source).f)(6.0))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [42.0] * 4
    assert not list(own_cache.rglob(".new-*"))


def test_nothing_is_kept_where_no_cache_is_wanted(own_cache: Path) -> None:
    k = hw.compile("double f(double x) { return x; }\n", cache=False)
    assert scalar(k.f)(5.0) == 5
    assert not list(own_cache.rglob("*.so"))


def test_a_cache_that_cannot_be_written_costs_time_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HEADWAY_CACHE_DIR", str(tmp_path / "file" / "below"))
    assert scalar(hw.compile("double f(double x) { return x; }\n").f)(5.0) == 5


def test_the_cache_can_be_counted_and_cleared(own_cache: Path) -> None:
    k = hw.compile("double f(double x) { return x + 4; }\n")
    entries = list(_cachedir.entries())
    assert {"compile"} <= {entry.kind for entry in entries}
    total = sum(entry.size for entry in entries)
    (own_cache / "notes.txt").write_text("mine")
    assert _cachedir.clear() == (len(entries), total)
    assert not list(_cachedir.entries())
    assert (own_cache / "notes.txt").exists()
    assert scalar(k.f)(1.0) == 5  # what is loaded stays loaded


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HEADWAY_CACHE_DIR", str(tmp_path / "own"))
    assert _cachedir.cache_dir() == tmp_path / "own"
    monkeypatch.delenv("HEADWAY_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert _cachedir.cache_dir() == tmp_path / "headway"
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert _cachedir.cache_dir() == tmp_path / ".cache/headway"


# ---- wrong input -------------------------------------------------------------------------------


def refused(*arguments: Any, **options: Any) -> str:
    """The message of the CompileError; nothing is chained to it."""
    with pytest.raises(CompileError) as caught:
        hw.compile(*arguments, **options)
    assert isinstance(caught.value, HeadwayError)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return str(caught.value)


def test_an_error_in_a_body_shows_the_line_of_c_and_its_number() -> None:
    message = refused("double f(double x)\n{\n    return x + undefined_thing;\n}\n")
    assert "inline.c:3:16" in message
    assert "return x + undefined_thing;" in message
    assert "headway0" not in message


def test_an_error_in_a_declaration_shows_the_compilers_words() -> None:
    message = refused("double f(double x { return x; }\n")
    assert "inline.c:1:19: error" in message
    assert "double f(double x { return x; }" in message


def test_an_error_in_a_file_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "broken.c").write_text(
        "double f(double x) { return ; }\nint g(void) { return y; }\n"
    )
    message = refused(tmp_path / "broken.c")
    assert f"{tmp_path}/broken.c:2:" in message


def test_an_error_in_an_included_header_tells_who_includes_it(tmp_path: Path) -> None:
    (tmp_path / "bad.h").write_text("static inline int g(void) { return nowhere; }\n")
    message = refused('\n#include "bad.h"\nint f(int x) { return x; }\n', include_dirs=[tmp_path])
    assert "inline.c:2" in message
    assert "bad.h:1:" in message
    assert "headway0" not in message


def test_a_missing_header_says_how_to_give_its_directory() -> None:
    message = refused("#include <nowhere/to/be/found.h>\nint f(int x) { return x; }\n")
    assert "nowhere/to/be/found.h" in message
    assert "include_dirs" in message


def test_a_function_that_is_nowhere_is_an_error_of_the_link() -> None:
    message = refused("double other(double);\ndouble f(double x) { return other(x); }\n")
    assert "not defined: other\n" in message
    assert "libraries=" in message
    missing = refused("int f(int x) { return x; }", libraries=["nowhere_at_all"])
    assert "'nowhere_at_all' was not found; install" in missing


def test_a_missing_file() -> None:
    message = refused("no/such/file.c")
    assert "no/such/file.c" in message
    assert "line break" in message


def test_no_compiler_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own_cache: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    message = refused("double f(double x) { return x; }")
    assert "apt install gcc" in message
    monkeypatch.setenv("CC", "my-cc -m64")
    assert "my-cc" in refused("double f(double x) { return x; }")
    assert "another-cc" in refused("double f(double x) { return x; }", cc="another-cc")


def test_a_flag_the_compiler_does_not_know() -> None:
    assert "-fno-such-flag-at-all" in refused(
        "int f(int x) { return x; }", flags=["-fno-such-flag-at-all"]
    )


def test_arguments_of_the_wrong_kind() -> None:
    source = "double f(double x) { return x; }"
    with pytest.raises(TypeError, match="flags"):
        hw.compile(source, flags="-O2")
    with pytest.raises(ValueError, match="math="):
        hw.compile(source, math="fast")
    with pytest.raises(ValueError, match="nothing to compile"):
        hw.compile([])


# ---- what old C let pass -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("double f(double x) {\n    return missing(x);\n}\n", "return missing(x);"),
        ("f(double x) {\n    return 1;\n}\n", "f(double x) {"),
        ("double *f(double x) {\n    return 5;\n}\n", "return 5;"),
        ("double g(long *p);\ndouble f(double *x) {\n    return g(x);\n}\n", "return g(x);"),
        ("double f(double x) {\n}\n", "}"),
    ],
)
def test_what_calls_c_wrongly_is_refused(source: str, line: str) -> None:
    with pytest.raises(CompileError) as caught:
        hw.compile(source)
    assert line in str(caught.value)


def test_warnings_are_shown_when_compiled_and_not_again() -> None:
    source = "int *kept(void) {\n    int once = 1;\n    return &once;\n}\n"
    with pytest.warns(hw.CompileWarning, match=r"(?s)inline source.*return &once;") as caught:
        hw.compile(source)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert "headway0.c" not in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hw.compile(source)


def test_nothing_is_said_of_the_generated_loops() -> None:
    source = "double twice(double x) {\n    return 2 * x;\n}\n"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        k = hw.compile(source, flags=["-Wall", "-Wextra", "-Wconversion", "-Wpedantic"])
    assert k.twice(2.0) == 4.0
