# SPDX-License-Identifier: MIT
"""Functions over arrays: the same bits as the scalar call, whatever the layout, dtype or threads."""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
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
ANNOTATIONS = {
    "minmax": {"low": "out", "high": "out"},
    "reverse": {"x": "inout"},
    "in_turn": {"serial": True},
    "alone": {"lock": "company"},
    "also_alone": {"lock": "company"},
}
LIBM = ctypes.CDLL(ctypes.util.find_library("m"))


@pytest.fixture(scope="module", params=["loaded", "compiled"])
def k(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    clean_environment: dict[str, str],
) -> ModuleType:
    """map_kernels.c, called through pointers or compiled with its loops."""
    if request.param == "compiled":
        return hw.compile(HERE / "map_kernels.c", annotate=ANNOTATIONS)
    library = tmp_path_factory.mktemp("map") / "libkernels.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-O2", "-o", library, HERE / "map_kernels.c"],
        check=True,
        env=clean_environment,
    )
    return hw.load(library, HERE / "map_kernels.h", annotate=ANNOTATIONS)


@pytest.fixture(scope="module")
def m() -> ModuleType:
    return hw.load("m", "math.h")


@pytest.fixture(params=[1, 2, 7])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    with hw.threads(request.param):
        yield request.param


def c_function(name: str, *types: Any) -> Callable[..., Any]:
    """A function of libm through ctypes: a second way to the same code."""
    f = getattr(LIBM, name)
    f.restype, *f.argtypes = types
    return f  # type: ignore[no-any-return]


def random(*shape: int) -> np.ndarray:
    return RNG.random(shape)


def identical(a: Any, b: Any) -> bool:
    """Same dtype, shape and bits, NaN and signed zero included."""
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype.char in "gG":  # padding bytes say nothing
        return bool(np.array_equal(a, b, equal_nan=True))
    return a.tobytes() == b.tobytes()


# ---- layouts -----------------------------------------------------------------------------------


def unaligned(a: np.ndarray) -> np.ndarray:
    raw = np.empty(a.nbytes + 1, np.uint8)
    b = raw[1:].view(a.dtype).reshape(a.shape)
    b[...] = a
    return b


def strided(a: np.ndarray) -> np.ndarray:
    if a.ndim == 0:
        return a
    b = np.zeros(tuple(3 * n + 1 for n in a.shape), a.dtype)[
        tuple(slice(1, None, 3) for _ in a.shape)
    ]
    b[...] = a
    return b


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "C": lambda a: a.copy(),
    "Fortran": lambda a: a.copy("F"),
    "strided": strided,
    "reversed": lambda a: a[(slice(None, None, -1),) * a.ndim].copy()[
        (slice(None, None, -1),) * a.ndim
    ],
    "middle axes first": lambda a: (
        np.moveaxis(np.moveaxis(a, -1, 0).copy(), 0, -1) if a.ndim else a
    ),
    "swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "unaligned": unaligned,
    "read-only": lambda a: np.broadcast_to(a, a.shape),
}


@st.composite
def operand(
    draw: st.DrawFn, shape: tuple[int, ...], dtypes: str, values: st.SearchStrategy[Any]
) -> Any:
    """An array that broadcasts to the shape, in any layout and dtype; now and then a number."""
    if draw(st.integers(0, 9)) == 0:
        return draw(values)
    own = list(shape[draw(st.integers(0, len(shape))) :])
    own = [n if draw(st.integers(0, 4)) else 1 for n in own]
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    n = int(np.prod(own))
    flat = draw(st.lists(values, min_size=n, max_size=n))
    return LAYOUTS[draw(st.sampled_from(sorted(LAYOUTS)))](np.array(flat, dtype).reshape(own))


SHAPES = st.lists(st.integers(0, 5), max_size=3).map(tuple)
SMALL = st.integers(0, 100)
RELAXED = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def broadcast_shape(*operands: Any) -> tuple[int, ...]:
    return np.broadcast_shapes(*(np.shape(o) for o in operands))


def by_element(
    f: Callable[..., Any], dtype: Any, types: tuple[Any, ...], *operands: Any
) -> np.ndarray:
    """What one call an element gives."""
    arrays = np.broadcast_arrays(*(np.asarray(o) for o in operands))
    result = np.empty(arrays[0].shape, dtype)
    for i in np.ndindex(result.shape):
        result[i] = f(*(t(a[i]) for t, a in zip(types, arrays, strict=True)))
    return result


@RELAXED
@given(st.data())
def test_every_layout_gives_what_one_call_an_element_gives(
    m: ModuleType, data: st.DataObject
) -> None:
    shape = data.draw(SHAPES)
    a = data.draw(operand(shape, "dfilbBhH?e", SMALL))
    b = data.draw(operand(shape, "dfil", SMALL))
    hypot = c_function("hypot", ctypes.c_double, ctypes.c_double, ctypes.c_double)
    expected = by_element(hypot, float, (float, float), a, b)
    assert identical(m.hypot(a, b), expected)


@RELAXED
@given(st.data())
def test_mixed_kinds_are_each_converted_to_what_c_takes(k: ModuleType, data: st.DataObject) -> None:
    shape = data.draw(SHAPES)
    ops = [data.draw(operand(shape, dtypes, SMALL)) for dtypes in ("dfl", "f", "il", "hl", "li")]
    a, b, c, d, e = (np.asarray(o).astype(float) for o in ops)
    assert identical(k.many(*ops), np.asarray(a + 2 * b + 3 * c + 5 * d + 7 * e))


@pytest.mark.parametrize(
    ("name", "dtypes", "reference"),
    [
        ("addf", "ff", lambda a, b: a + b),
        ("sub", "dd", lambda a, b: a - b),
        ("scale", "di", lambda a, n: a * n),
        ("negate", "h", lambda a: -a),
        ("flip", "B", lambda a: ~a),
        ("square", "L", lambda a: a * a),
        ("twice", "l", lambda a: 2 * a),
        ("is_odd", "i", lambda a: a % 2 == 1),
        ("both", "??", lambda a, b: a & b),
        ("mul", "DD", lambda a, b: a * b),
        ("conjugate", "F", np.conjugate),
        ("third", "g", lambda a: a / 3),
    ],
)
@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_each_kind_in_each_layout(
    k: ModuleType, name: str, dtypes: str, reference: Callable[..., Any], layout: str
) -> None:
    rng = np.random.default_rng(7)
    arrays = []
    for char in dtypes:
        a = rng.integers(0, 2 if char == "?" else 100, (4, 5, 6)).astype(char)
        arrays.append(a + 1j * a[::-1] if char in "FD" else a)
    arrays = [a.astype(c) for a, c in zip(arrays, dtypes, strict=True)]
    expected = reference(*arrays)
    assert identical(getattr(k, name)(*map(LAYOUTS[layout], arrays)), expected)


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
@pytest.mark.parametrize("dtype", ["d", "f", "l"])
def test_long_arrays_are_bitwise_the_same_at_any_thread_count(
    m: ModuleType, layout: str, dtype: str
) -> None:
    a = (np.arange(150_000) % 9973).astype(dtype).reshape(300, 500)
    a = LAYOUTS[layout](a)
    results = []
    for n in (1, 2, 7):
        with hw.threads(n):
            results.append(m.cbrt(a))
    cbrt = c_function("cbrt", ctypes.c_double, ctypes.c_double)
    picked = [(0, 0), (123, 456), (299, 499), (16, 191), (16, 192)]
    assert [results[0][i] for i in picked] == [cbrt(float(a[i])) for i in picked]
    assert identical(results[0], results[1]) and identical(results[0], results[2])


def test_broadcast_axes_that_do_not_coalesce(k: ModuleType, threads: int) -> None:
    a, b = random(70, 1, 300), random(1, 90, 300)
    assert identical(k.sub(a, b), a - b)
    assert identical(k.sub(a, b[..., :1]), a - b[..., :1])
    assert identical(k.sub(b.T, a.T), b.T - a.T)


@pytest.mark.parametrize("n", [0, 1, 2, 15, 16, 17, 63, 64, 65, 8191, 8192, 8193, 100_001])
def test_every_length(k: ModuleType, n: int, threads: int) -> None:
    a, b = random(n), random(n)
    assert identical(k.sub(a, b), a - b)
    assert identical(k.sub(a, 0.5), a - 0.5)
    assert identical(k.sub(a.astype("f"), b), a.astype("f") - b)


def test_results_are_laid_out_as_numpy_would(k: ModuleType) -> None:
    c = random(3, 4, 5)
    for a, b in [
        (c, c),
        (c.T, c.T),
        (c.T, 1.0),
        (c.transpose(1, 0, 2), 1.0),
        (c.transpose(2, 0, 1), c.transpose(2, 0, 1)),
        (c.T, np.ones(3)),
        (c[:, ::-1], 1.0),
        (c[:, :, ::2], c[:, :, ::2]),
        (c, c.transpose(0, 1, 2)[:, :1]),
        (np.broadcast_to(c[0], (3, 4, 5)), 1.0),
    ]:
        assert k.sub(a, b).strides == np.subtract(a, b).strides


# ---- single elements ---------------------------------------------------------------------------


def test_arrays_of_no_dimension_give_numpy_scalars(k: ModuleType) -> None:
    result = k.sub(np.array(3.0), 1)
    assert type(result) is np.float64 and result == 2
    assert type(k.sub(np.array(3, ">i2"), 1)) is np.float64
    assert type(k.addi(np.array(3, "i"), 1)) is np.int32
    assert type(k.is_odd(np.array(3, "i"))) is np.bool_
    low, high = k.minmax(np.array([3.0, 1.0, 2.0])[None][0:1])
    assert (low, high) == (1, 3)


def test_an_output_of_no_dimension_is_returned_as_it_is(k: ModuleType) -> None:
    out = np.zeros(())
    assert k.sub(np.array(3.0), 1, out=out) is out and out == 2


def test_numpy_scalars_beside_arrays(k: ModuleType) -> None:
    a = np.arange(3.0)
    assert identical(k.sub(a, np.float32(1)), a - 1)
    assert identical(k.sub(np.int64(5), a), 5 - a)
    assert identical(k.addf(a.astype("f"), 1), a.astype("f") + np.float32(1))
    with pytest.raises(TypeError):
        k.addf(a.astype("f"), np.float64(1))  # would lose bits: as NumPy


def test_python_numbers_that_c_cannot_hold(k: ModuleType) -> None:
    a = np.arange(3)
    with pytest.raises(OverflowError, match=r"addi\(\).*'b'.*2147483648.*int"):
        k.addi(a, 2**31)
    with pytest.raises(OverflowError, match=r"-1.*unsigned long"):
        k.square.ufunc(np.array([1, -1]))
    with pytest.raises(OverflowError, match=r"1e\+300"):
        k.addf(a.astype("f"), 1e300)
    assert k.square(np.array(2**63 + 1, "L")) == 1
    with pytest.raises(TypeError):
        k.addi(a, 1.0)
    with pytest.raises(TypeError):
        k.sub(a, 1j)


# ---- int64 where C takes less ------------------------------------------------------------------


def test_int64_stands_in_for_narrower_integers(k: ModuleType, threads: int) -> None:
    a = np.arange(-5000, 5000)
    assert identical(k.addi(a, a), 2 * a)
    assert identical(k.addi(a, 1), a + 1)
    assert identical(k.addi(a[::3], a[::-3]), a[::3] + a[::-3])
    assert identical(k.negate(a), -a)
    assert identical(k.scale(a, a), (a * a).astype(float))
    assert identical(k.scale(a.astype("f"), a.astype(">i8")), a.astype("f") * a.astype(float))
    assert identical(k.is_odd(a), a % 2 == 1)
    assert identical(k.square(a[5000:]), (a[5000:] ** 2).astype("L"))
    assert identical(k.addi(a.astype("i"), a), 2 * a)
    assert identical(k.addi(np.arange(10, dtype="I"), 1), np.arange(1, 11))


def test_out_of_range_elements_are_named_the_first_one_first(k: ModuleType, threads: int) -> None:
    a = np.zeros(1_000_000, np.int64)
    a[777_777:] = 3_000_000_000
    a[777_778:] = -3_000_000_000
    for array in (a, a.reshape(1000, 1000), np.stack([a, a], 1)[:, 0], a.astype(">i8")):
        with pytest.raises(OverflowError, match=r"addi\(\): argument 'a' is 3000000000, .*int"):
            k.addi(array, 1)
    with pytest.raises(OverflowError, match="3000000000"):
        k.addi.ufunc(a, 1)
    with pytest.raises(OverflowError, match="argument 'b' is 3000000000"):
        k.addi(0, a)


# ---- outputs -----------------------------------------------------------------------------------


def test_outputs_by_keyword_tuple_and_position(k: ModuleType) -> None:
    a = random(4, 1000)
    for give in (
        lambda out: k.sub(a, 1, out=out),
        lambda out: k.sub(a, 1, out=(out,)),
        lambda out: k.sub(a, 1, out),
    ):
        for make in LAYOUTS.values():
            out = make(np.zeros_like(a))
            if not out.flags.writeable:
                with pytest.raises(ValueError, match="read-only"):
                    give(out)
                continue
            assert give(out) is out
            assert np.array_equal(out, a - 1)
    assert np.array_equal(k.sub(a, 1, out=None), a - 1)


@pytest.mark.parametrize("n", [10, 100_000])
def test_outputs_are_cast_within_their_kind(k: ModuleType, threads: int, n: int) -> None:
    a = random(n)
    out = np.zeros(n, "f")
    assert k.sub(a, 1, out=out) is out and identical(out, (a - 1).astype("f"))
    with pytest.raises(TypeError, match="same_kind"):
        k.sub(a, 1, out=np.zeros(n, int))
    wide = np.zeros(n, complex)
    assert np.array_equal(k.sub(a, 1, out=wide), a - 1)


def test_outputs_of_the_wrong_shape(k: ModuleType) -> None:
    a = random(5)
    with pytest.raises(ValueError, match="broadcast"):
        k.sub(a, 1, out=np.zeros(1))
    with pytest.raises(ValueError, match="shape"):
        k.sub(a, 1, out=np.zeros(6))
    assert np.array_equal(k.sub(a, 1, out=np.zeros((3, 5))), [a - 1] * 3)
    assert np.array_equal(k.sub(2, 1, np.zeros(3)), [1, 1, 1])


@pytest.mark.parametrize("n", [6, 100_000])
def test_outputs_that_overlap_inputs(k: ModuleType, threads: int, n: int) -> None:
    first = random(n)

    def check(out: Callable[[Any], Any], a: Callable[[Any], Any], b: Callable[[Any], Any]) -> None:
        for function in (k.sub, k.sub.ufunc):
            x = first.copy()
            function(a(x), b(x), out=out(x))
            assert np.array_equal(out(x), a(first) - b(first))

    whole, later, earlier = (lambda x: x), (lambda x: x[1:]), (lambda x: x[:-1])
    back, even, odd = (lambda x: x[::-1]), (lambda x: x[::2]), (lambda x: x[1::2])
    check(whole, whole, whole)
    check(whole, whole, back)
    check(whole, back, whole)
    check(later, earlier, later)
    check(earlier, earlier, later)
    check(even, even, odd)
    check(odd, even, even)
    square = first[: int(n**0.5) ** 2].copy().reshape(int(n**0.5), -1)
    expected = square - square.T
    assert np.array_equal(k.sub(square, square.T, out=square), expected)


def test_same_memory_as_another_dtype_is_an_overlap(k: ModuleType) -> None:
    a = np.arange(1000, dtype="f")
    out = np.zeros(1000)
    small = out.view("f")[:1000]
    small[:] = a
    k.sub(small, 1, out=out)
    assert np.array_equal(out, a.astype(float) - 1)


def test_several_outputs(k: ModuleType, threads: int) -> None:
    x = random(500, 30)
    low, high = k.minmax(x)
    assert identical(low, x.min(1)) and identical(high, x.max(1))
    out = np.zeros(500)
    result = k.minmax(x, out=(None, out))
    assert result[1] is out and identical(out, high) and identical(result[0], low)
    with pytest.raises((TypeError, ValueError)):
        k.minmax(x, out=out)


def test_where_and_other_words_of_ufuncs(k: ModuleType, threads: int) -> None:
    a = random(3000)
    out = np.full(3000, 9.0)
    assert np.array_equal(k.sub(a, 1, where=a > 0.5, out=out), np.where(a > 0.5, a - 1, 9))
    assert k.sub(a.astype("f"), 1, dtype="d").dtype == float
    assert k.sub(np.ones((3, 4)), 1, order="F").flags.f_contiguous
    with pytest.raises(TypeError, match="casting"):
        k.sub(a.astype("f"), 1, casting="no")
    with pytest.raises(TypeError, match="nonsense"):
        k.sub(a, 1, nonsense=2)


# ---- whatever is not an array ------------------------------------------------------------------


def test_lists_subclasses_and_overrides(k: ModuleType) -> None:
    class Sub(np.ndarray):
        pass

    class Other:
        def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
            return ufunc, method, len(inputs), kwargs

    a = np.arange(3.0)
    assert identical(k.sub([1, 2, 3], a), np.array([1, 2, 3]) - a)
    assert type(k.sub(a.view(Sub), 1)) is Sub
    assert type(k.sub(a, 1, out=a.view(Sub))) is Sub
    assert k.sub(a, Other()) == (k.sub.ufunc, "__call__", 2, {})
    masked = k.sub(np.ma.masked_less(a, 1), 1)
    assert isinstance(masked, np.ma.MaskedArray)
    for wrong in ("text", None, object(), np.array(["a"]), np.array([None])):
        with pytest.raises(TypeError):
            k.sub(a, wrong)


def test_shapes_that_do_not_go_together(k: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"broadcast.*\(3,\).*\(4,\)"):
        k.sub(np.zeros(3), np.zeros(4))


# ---- core dimensions ---------------------------------------------------------------------------


@RELAXED
@given(st.data())
def test_core_dimensions_in_every_layout(k: ModuleType, data: st.DataObject) -> None:
    m, n, p = (data.draw(st.integers(0, 4)) for _ in range(3))
    outer = data.draw(SHAPES)
    values = st.integers(-9, 9)

    def draw(core: tuple[int, int]) -> np.ndarray:
        own = outer[data.draw(st.integers(0, len(outer))) :]
        shape = tuple(x if data.draw(st.integers(0, 4)) else 1 for x in own) + core
        size = int(np.prod(shape))
        flat = np.array(data.draw(st.lists(values, min_size=size, max_size=size)))
        dtype = data.draw(st.sampled_from(["d", "f", "i8", "i1"]))
        layout = LAYOUTS[data.draw(st.sampled_from(sorted(LAYOUTS)))]
        return layout(flat.reshape(shape).astype(dtype))

    a, b = draw((m, n)), draw((n, p))
    expected = np.matmul(a.astype(float), b.astype(float))
    assert np.array_equal(k.matmul(a, b), expected)
    assert k.matmul(a, b).shape == expected.shape
    assert identical(k.matmul(a, b), k.matmul.ufunc(a, b))


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_stacks_are_bitwise_the_same_at_any_thread_count(k: ModuleType, layout: str) -> None:
    a = LAYOUTS[layout](random(40, 50, 5, 6))
    b = LAYOUTS[layout](random(50, 6, 7))
    results = []
    for n in (1, 2, 7):
        with hw.threads(n):
            results += [k.matmul(a, b), k.matmul.ufunc(a, b)]
    one = k.matmul(a[3, 4].astype(float), b[4].astype(float))
    assert identical(results[0][3, 4], one)
    assert all(identical(results[0], r) for r in results)


def test_outer_axes_that_do_not_coalesce_are_spread_too(k: ModuleType, threads: int) -> None:
    a, b = random(30, 1, 4, 4), random(1, 20, 4, 4)
    assert np.allclose(k.matmul(a, b), a @ b)
    assert identical(k.matmul(a, b)[7, 11], k.matmul(a[7, 0], b[0, 11]))
    big = random(3, 300, 400)
    assert identical(k.mean(big.transpose(0, 2, 1)), np.stack([k.mean(x.T.copy()) for x in big]))


def test_sizes_that_disagree_name_the_arguments(k: ModuleType) -> None:
    with pytest.raises(
        ValueError, match=r"matmul\(\): size k is 3 in argument 'a' and 4 in argument 'b'"
    ):
        k.matmul(np.zeros((5, 2, 3)), np.zeros((4, 5)))
    with pytest.raises(ValueError, match=r"argument 'b' has 1 dimension.*\(k, n\)"):
        k.matmul(np.zeros((5, 2, 3)), np.zeros(3))
    with pytest.raises(ValueError, match=r"cross\(\): argument 'b' has size 4 where C says 3"):
        k.cross(np.zeros((5, 3)), np.zeros((5, 4)))
    with pytest.raises(ValueError, match="size m is 2 in argument 'a' and 7 in"):
        k.matmul(np.zeros((5, 2, 3)), np.zeros((3, 5)), out=np.zeros((5, 7, 5)))
    with pytest.raises(ValueError, match="broadcast"):
        k.matmul(np.zeros((5, 2, 3)), np.zeros((4, 3, 2)))


def test_sizes_that_c_states_or_computes(k: ModuleType, threads: int) -> None:
    a, b = random(400, 3), random(3)
    assert np.allclose(k.cross(a, b), np.cross(a, b))
    x, y = random(200, 5), random(200, 4)
    z = k.full_convolve(x, y)
    assert z.shape == (200, 8)
    assert np.allclose(z, [np.convolve(*pair) for pair in zip(x, y, strict=True)])
    assert identical(k.full_convolve.ufunc(x, y), z)
    assert identical(k.edges(np.zeros((2, 0))), np.full((2, 1), -1.0))
    for function in (k.full_convolve, k.full_convolve.ufunc):
        with pytest.raises(ValueError, match=r"m *\+ *n *- *1 must be 8, but it is 7"):
            function(x, y, out=np.zeros((200, 7)))
        with pytest.raises(ValueError, match="negative"):
            function(np.zeros((2, 0)), np.zeros((2, 0)))


def test_sizes_of_zero(k: ModuleType) -> None:
    assert identical(k.matmul(np.ones((2, 3, 0)), np.ones((0, 4))), np.zeros((2, 3, 4)))
    assert k.matmul(np.ones((2, 0, 3)), np.ones((3, 4))).shape == (2, 0, 4)
    assert k.matmul(np.ones((0, 2, 3)), np.ones((3, 4))).shape == (0, 2, 4)
    with np.errstate(invalid="ignore"):
        assert np.isnan(k.mean(np.ones((2, 0)))).all()


def test_axis_axes_and_keepdims(k: ModuleType, threads: int) -> None:
    x = random(1000, 50)
    assert identical(k.mean(x, axis=0), k.mean(x.T.copy()))
    assert k.mean(x, axis=0, keepdims=True).shape == (1, 50)
    a, b = random(3, 4, 9), random(4, 5, 9)
    axes = [(0, 1), (0, 1), (0, 1)]
    assert np.allclose(k.matmul(a, b, axes=axes), np.matmul(a, b, axes=axes))


def test_arrays_that_are_changed_in_place_in_c_are_copied(k: ModuleType, threads: int) -> None:
    x = random(300, 20)
    before = x.copy()
    for a in (x, x[:, ::-1], x.astype("f"), np.asfortranarray(x)):
        assert np.array_equal(k.reverse(a), a[:, ::-1])
    assert identical(x, before)
    y = x.copy()
    k.reverse(y, out=y)
    assert identical(y, before[:, ::-1])


def test_numbers_beside_arrays_with_core_dimensions(k: ModuleType, threads: int) -> None:
    x = np.arange(4000, dtype="i").reshape(500, 8)
    assert identical(k.weigh(3, x), 3 * x)
    factors = np.arange(500, dtype="i")
    assert identical(k.weigh(factors, x), factors[:, None] * x)
    assert identical(k.weigh(factors, x.astype(np.int64)), factors[:, None] * x)
    bad = x.astype(np.int64)
    bad[300, 5] = 2**40
    for function in (k.weigh, k.weigh.ufunc):
        with pytest.raises(OverflowError, match="argument 'x' is 1099511627776"):
            function(3, bad)


def test_outputs_with_core_dimensions(k: ModuleType, threads: int) -> None:
    a, b = random(60, 4, 4), random(4, 4)
    expected = k.matmul(a, b)
    for layout in LAYOUTS.values():
        out = layout(np.zeros_like(a))
        if out.flags.writeable:
            assert k.matmul(a, b, out=out) is out and np.array_equal(out, expected)
    single = np.zeros(a.shape, "f")
    assert identical(k.matmul(a, b, out=single), expected.astype("f"))
    for function in (k.matmul, k.matmul.ufunc):
        same = a.copy()
        assert identical(function(same, b, out=same), expected)
    with pytest.raises(ValueError, match="read-only"):
        k.matmul(a, b, out=np.broadcast_to(np.zeros(()), a.shape))


def test_outputs_keep_what_c_does_not_write(k: ModuleType) -> None:
    for out in (np.full((4, 6), 7.0), np.full((4, 12), 7.0)[:, ::2]):
        assert k.first_only(np.arange(24.0).reshape(4, 6), out=out) is out
        assert out[:, 0].tolist() == [0, 6, 12, 18] and (out[:, 1:] == 7).all()


@pytest.mark.parametrize("value", ["1", "yes", "0", ""])
def test_debugging_shows_what_c_does_not_write(
    python_environment: dict[str, str], value: str
) -> None:
    code = (
        "import headway as hw, numpy as np\n"
        "def half(t): return (f'void half_{t}(size_t n, const double x[n], {t} y[n])'\n"
        "    '{ for (size_t i = 0; i < n / 2; i++) y[i] = x[i]; }')\n"
        "k = hw.compile('#include <stddef.h>\\n' + half('double') + half('float') + half('int'))\n"
        "for f in (k.half_double, k.half_float, k.half_int):\n"
        "    for x in (np.ones(4), np.ones((3, 4)), np.ones((3, 8))[:, ::2]):\n"
        "        y = f(x)\n"
        "        assert (y[..., :2] == 1).all(), y\n"
        "        rest = np.ascontiguousarray(y[..., 2:])\n"
        "        assert (rest.view('u1') == 0xFF).all() == SHOWS, y\n"
    ).replace("SHOWS", str(value not in ("", "0")))
    environment = python_environment | {"HEADWAY_DEBUG": value}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_a_size_is_computed_alike_for_one_array_and_for_many() -> None:
    module = hw.compile(
        "#include <stddef.h>\n"
        "void f(size_t n, const double x[n], double y[(3 - n) / -1])"
        "{ for (size_t i = 0; i < n - 3; i++) y[i] = x[i]; }",
        name="negative",
    )
    for x in (np.arange(5.0), np.arange(10.0).reshape(2, 5)):
        assert module.f(x).tolist() == x[..., :2].tolist()
    for short in (np.ones(2), np.ones((2, 2))):
        with pytest.raises(ValueError, match="negative"):
            module.f(short)


FORKED = """
import os, signal, sys
import numpy as np, headway as hw
k = hw.compile("double f(double x) { for (volatile int i = 0; i < 2000; i++); return x; }")
hw.set_num_threads(4)
parent = os.getpid()
f = k.f.ufunc if sys.argv[1] == "ufunc" else k.f
f(np.ones(3))
def fork(*args):
    child = os.fork()
    if child:
        signal.setitimer(signal.ITIMER_REAL, 0)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
signal.signal(signal.SIGALRM, fork)
signal.setitimer(signal.ITIMER_REAL, 0.2)
try:
    f(np.ones(10**6))
except RuntimeError as error:
    os._exit(0 if os.getpid() != parent and "forked" in str(error) else 4)
os._exit(3 if os.getpid() == parent else 5)
"""


@pytest.mark.parametrize("what", ["map", "ufunc"])
def test_a_call_in_which_the_process_was_forked_fails_in_the_child(
    python_environment: dict[str, str], what: str
) -> None:
    command = [sys.executable, "-c", FORKED, what]
    for _ in range(5):  # until workers were at it
        done = subprocess.run(command, env=python_environment, timeout=60, check=False)
        if done.returncode != 5:
            break
    assert done.returncode == 0


# ---- copies ------------------------------------------------------------------------------------


def test_copies_tells_what_would_be_copied(k: ModuleType) -> None:
    a = random(4, 5, 6)
    assert k.sub.copies(a, 1.0) == [False, False]
    assert k.sub.copies(a[:, ::2], a.T) == [False, False]
    assert k.sub.copies(a.astype("f"), a.astype(">f8")) == [True, True]
    assert k.sub.copies(unaligned(a), [1, 2]) == [True, True]
    assert k.addi.copies(np.arange(3), np.arange(3, dtype="i")) == [True, False]
    assert k.matmul.copies(a, a[::2]) == [False, False]
    assert k.matmul.copies(a.swapaxes(1, 2), a[:, :, ::2]) == [True, True]
    assert k.matmul.copies(a, a, a.swapaxes(1, 2)) == [False, False, True]
    with pytest.raises(TypeError):
        k.sub.copies(a)


# ---- floating-point status ---------------------------------------------------------------------


def said(f: Callable[[], Any]) -> list[str]:
    """The floating-point warnings of a call, without the function's name."""
    with warnings.catch_warnings(record=True) as caught, np.errstate(all="warn"):
        warnings.simplefilter("always")
        f()
    return sorted(str(w.message).rsplit(" in ", 1)[0] for w in caught)


CASES = [(1.0, 0.0), (0.0, 0.0), (1e300, 1e-300), (1e-300, 1e300), (1.0, 2.0)]


@pytest.mark.parametrize("cases", range(1 << len(CASES)))
def test_warnings_are_numpys_at_any_thread_count(k: ModuleType, cases: int) -> None:
    a, b = np.ones(200_000), np.ones(200_000)
    for i, (x, y) in enumerate(CASES):
        if cases >> i & 1:
            a[37_000 * i + 11], b[37_000 * i + 11] = x, y
    expected = said(lambda: np.divide(a, b))
    for n in (1, 2, 7):
        with hw.threads(n):
            assert said(lambda: k.divide(a, b)) == expected
            assert said(lambda: k.divide.ufunc(a, b)) == expected
            assert said(lambda: k.divide(a.reshape(2, -1).T, b.reshape(2, -1).T)) == expected
            assert said(lambda: k.divide(a, b.astype(">f8"))) == expected


def test_errstate_decides_what_a_flag_does(k: ModuleType, threads: int) -> None:
    a = np.ones(50)
    with (
        np.errstate(divide="raise"),
        pytest.raises(FloatingPointError, match=r"divide by zero.*divide"),
    ):
        k.divide(a, 0)
    with np.errstate(divide="ignore"):
        assert np.isinf(k.divide(a, 0)).all()
    seen = []
    with np.errstate(divide="call", call=lambda kind, flag: seen.append((kind, flag))):
        k.divide(a, np.zeros(50))
    assert seen == [("divide by zero", 1)]


def test_a_flag_is_of_its_own_call(k: ModuleType) -> None:
    with np.errstate(all="raise"):
        with pytest.raises(FloatingPointError):
            k.divide(np.ones(3), 0)
        k.divide(np.ones(3), 1)


# ---- stopping ----------------------------------------------------------------------------------


def interrupted_after(f: Callable[[], Any], wait: float = 0.2) -> float:
    """Seconds from Ctrl-C until the call ends."""
    sent = []

    def press() -> None:
        time.sleep(wait)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            f()
        return time.perf_counter() - sent[0]
    finally:
        presser.join()


LONG = {
    "contiguous": lambda k: k.spin(np.full(4_000_000, 10.0)),
    "not contiguous": lambda k: k.spin(np.full((1000, 4000), 10.0)[:, ::2].T),
    "cast": lambda k: k.spin(np.full(4_000_000, 10, np.int32)),
    "a few slow ones": lambda k: k.nap(np.full(400, 0.02)),
    "ufunc": lambda k: k.spin.ufunc(np.full(4_000_000, 10.0)),
    "ufunc, cast": lambda k: k.spin.ufunc(np.full(4_000_000, 10, np.int32)),
    "where": lambda k: k.spin(np.full(400_000, 20.0), where=np.arange(400_000) % 2 == 0, out=np.zeros(400_000)),
    "reduce": lambda k: k.spin_add.ufunc.reduce(np.zeros(8_000_000)),
    "reduce rows": lambda k: k.spin_add.ufunc.reduce(np.zeros((4000, 2000)), axis=1),
    "accumulate": lambda k: k.spin_add.ufunc.accumulate(np.zeros(8_000_000)),
    "core dimensions": lambda k: k.spin_sum(np.zeros((400_000, 3))),
    "core dimensions, broadcast": lambda k: k.spin_sum(np.broadcast_to(np.zeros((600, 1, 3)), (600, 600, 3)) * 1),
    "core dimensions, ufunc": lambda k: k.spin_sum.ufunc(np.zeros((400_000, 3))),
    "axis": lambda k: k.spin_sum(np.zeros((3, 400_000)), axis=0),
}  # fmt: skip


@pytest.mark.parametrize("what", sorted(LONG))
def test_ctrl_c_stops_a_long_call(k: ModuleType, what: str, threads: int) -> None:
    for _ in range(5):  # a busy machine may take its time to deliver the signal
        took = interrupted_after(lambda: LONG[what](k))
        if took < 0.1:
            break
    assert took < 0.1


def test_an_interrupted_call_leaks_nothing(k: ModuleType) -> None:
    a, out = np.full(4_000_000, 10.0), np.zeros(4_000_000)
    before = sys.getrefcount(a), sys.getrefcount(out)
    for b in (a, a.astype(">f8")):
        interrupted_after(lambda b=b: k.spin(b, out=out), 0.05)
    assert (sys.getrefcount(a), sys.getrefcount(out)) == before
    assert k.sub(a[:5], 1).tolist() == [9] * 5


# ---- the GIL, order and company ----------------------------------------------------------------


def counted_while(f: Callable[[], Any]) -> int:
    """How often another Python thread gets to run meanwhile."""
    count, stop = 0, threading.Event()
    ready = threading.Event()

    def run() -> None:
        nonlocal count
        ready.set()
        while not stop.is_set():
            count += 1
            time.sleep(0.001)

    other = threading.Thread(target=run)
    other.start()
    ready.wait()
    count = 0
    f()
    stop.set()
    other.join()
    return count


def test_long_calls_let_other_threads_run(k: ModuleType, threads: int) -> None:
    few = np.full(10, 0.03)
    assert counted_while(lambda: k.nap(few)) > 20
    assert counted_while(lambda: k.nap.ufunc(few)) > 20
    assert counted_while(lambda: k.spin_sum(np.zeros((5000, 3)))) > 10


def test_only_the_main_thread_waits_for_the_gil_meanwhile(k: ModuleType) -> None:
    out = np.zeros(20)
    other = threading.Thread(target=lambda: k.nap(np.full(20, 0.01), out=out))
    other.start()
    time.sleep(0.02)
    ctypes.PyDLL(None).usleep(500_000)  # keeps the GIL
    done = out.copy()
    other.join()
    assert (done == 0.01).all()


def test_a_serial_function_is_called_in_turn(k: ModuleType) -> None:
    results: list[np.ndarray] = []
    base = np.zeros(20_000, "i")
    start = int(k.in_turn(np.array(0, "i"))) + 1
    with hw.threads(7):
        several = [
            threading.Thread(target=lambda f=f: results.append(f(base)))
            for f in (k.in_turn, k.in_turn.ufunc)
        ]
        for t in several:
            t.start()
        for t in several:
            t.join()
    assert sorted(np.concatenate(results)) == list(range(start, start + 40_000))


def test_functions_of_one_lock_run_one_at_a_time(k: ModuleType) -> None:
    k.most_at_once()
    with hw.threads(7):
        several = [
            threading.Thread(target=f, args=(np.full(2000, 10, "i"),))
            for f in (k.alone, k.also_alone, k.alone.ufunc, k.also_alone.ufunc) * 2
        ]
        for t in several:
            t.start()
        for t in several:
            t.join()
    assert k.most_at_once() == 1


def test_ctrl_c_in_a_locked_function_leaves_the_lock_open(k: ModuleType) -> None:
    assert interrupted_after(lambda: k.alone(np.full(400_000, 20, "i"))) < 0.2
    assert k.also_alone(np.full(3, 1, "i")).tolist() == [1, 1, 1]


def test_a_signal_handler_may_call_a_function_of_the_same_lock(k: ModuleType) -> None:
    done = []
    before = signal.signal(signal.SIGUSR1, lambda *_: done.append(k.alone(np.full(50, 1, "i"))))
    try:
        timer = threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGUSR1))
        timer.start()
        k.also_alone(np.full(20_000, 20, "i"))
        timer.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(done) == 1


# ---- memory ------------------------------------------------------------------------------------


def test_references_are_counted_right(k: ModuleType) -> None:
    a, out, core = random(50), np.zeros(50), random(3, 4, 4)
    dtype = np.dtype("d")
    three, integers, square = np.zeros(3), np.zeros(50, int), np.zeros((3, 3))  # zeros() leaks them

    def calls() -> None:
        k.sub(a, 1)
        k.sub(a, a, out=out)
        k.sub(a, a[:, None])
        k.sub(a.astype("f"), 1.0, out=out)
        k.sub(np.float32(1), 2)
        k.sub(np.array(1.0), 2)
        k.matmul(core, core.swapaxes(1, 2))
        k.matmul(core.astype("f"), core, out=core.copy())
        k.minmax(core)
        k.addi(np.arange(5), 1)
        for wrong in (
            lambda: k.sub(a, three),
            lambda: k.sub(a, "x"),
            lambda: k.sub(a, 1, out=integers),
            lambda: k.matmul(core, square),
            lambda: k.addi(np.array([2**40]), 1),
            lambda: k.addi(np.arange(3), 2**40),
        ):
            with pytest.raises((TypeError, ValueError, OverflowError)):
                wrong()

    def counts() -> list[int]:
        return [sys.getrefcount(o) for o in (a, out, core, dtype, k.sub, k.matmul, k.sub.ufunc)]

    calls()
    before = counts()
    for _ in range(20):
        calls()
    assert counts() == before


def test_memory_does_not_grow(k: ModuleType) -> None:
    a = random(2000)

    def calls() -> None:
        k.sub(a, a[::-1])
        k.sub(a.astype(">f8"), 1)
        k.mean(a.reshape(50, 40).T)
        k.addi(np.arange(5000), 1)
        with contextlib.suppress(OverflowError):
            k.addi(np.arange(5000) * 2**30, 1)

    def memory_after_calls() -> int:
        for _ in range(200):
            calls()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        sizes = [memory_after_calls() for _ in range(5)]
        assert min(np.diff(sizes)) < 5000  # 25 bytes a call would show
    finally:
        tracemalloc.stop()


def test_a_size_that_c_cannot_hold_is_refused() -> None:
    narrow = hw.compile(
        "double first(signed char n, const double x[n]) { return n ? x[0] : 0; }", name="narrow"
    )
    long = np.zeros((2, 300))
    for call in (narrow.first, narrow.first.ufunc):
        with pytest.raises(OverflowError, match="first.*300.*127"):
            call(long)
    with pytest.raises(OverflowError, match="300"):
        narrow.first(long[0])
    assert narrow.first(long[:, :127]).shape == (2,)


# ---- types that do not fit -----------------------------------------------------------------------

NARROW = """
#include <stddef.h>
float scale(float x, int n) { return x * n; }
float sum(size_t n, const float x[n]) {
    float s = 0;
    for (size_t i = 0; i < n; i++) s += x[i];
    return s; }
"""


@pytest.fixture(scope="module")
def narrow() -> ModuleType:
    return hw.compile(NARROW)


F = np.ones(3, "f")


@pytest.mark.parametrize(
    ("name", "args", "out", "message"),
    [
        ("scale", (np.ones(3), 2), None,
         r"scale\(\) argument 1 \(x: float\): an array of float64 .* x\.astype\(np\.float32\)"),
        ("scale", (F, np.ones(3)), None,
         r"scale\(\) argument 2 \(n: int\): an array of float64 .* n\.astype\(np\.int32\)"),
        ("scale", (F, 1.5), None, r"argument 2 \(n: int\): float64 \(1\.5\) .* int32"),
        ("scale", ([1.5], 2), None, r"argument 1 \(x: float\): .* np\.asarray\(x, np\.float32\)"),
        ("scale", (F + 1j, 2), None, r"argument 1 .* complex64 .* x\.real"),
        ("scale", (np.array(["a"]), 2), None, r"argument 1 .* <U1 .* expected numbers"),
        ("sum", (np.ones(3),), None, r"sum\(\) argument 1 \(x: const float\[n\]\): .* float64"),
        ("scale", (F, 2), np.empty(3, int), r"scale\(\) writes float: .* float32 .* int64"),
    ],
)  # fmt: skip
def test_types_that_do_not_fit_are_named(
    narrow: ModuleType, name: str, args: tuple[Any, ...], out: Any, message: str
) -> None:
    with pytest.raises(TypeError, match=message) as caught:
        getattr(narrow, name)(*args, **({} if out is None else {"out": out}))
    assert type(caught.value) is TypeError
    assert "ufunc" in str(caught.value.__cause__)


def test_a_type_error_that_is_not_about_types_is_left_alone(narrow: ModuleType) -> None:
    with pytest.raises(TypeError, match="no parameter nothing"):
        narrow.scale(F, 2, nothing=1)
    with pytest.raises(TypeError, match="No loop matching"):
        narrow.scale(F, 2, dtype="i")
