# SPDX-License-Identifier: MIT
"""Callbacks inside mapped calls: C stored them, a map's function calls them."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import headway as hw

SOURCE = """
#include <errno.h>
static double (*hook)(double);
void set_hook(double (*f)(double)) { hook = f; }
double through(double x) { return hook(x); }
double fails(double x) { errno = 33; return x; }
"""


@pytest.fixture(scope="module")
def k() -> ModuleType:
    return hw.compile(SOURCE, name="map_callbacks")


def hooked(k: ModuleType, function: Any) -> Any:
    made = k.set_hook.ctype.params[0](function)
    k.set_hook(made)
    return made


@pytest.mark.parametrize("n", [1, 2, 50, 3000])
@pytest.mark.parametrize("threads", [1, 2, 7])
def test_an_exception_comes_out_of_the_map(k: ModuleType, n: int, threads: int) -> None:
    calls = []

    def raises(x: float) -> float:
        calls.append(x)
        raise LookupError(x)

    keep = hooked(k, raises)
    with hw.threads(threads), pytest.raises(LookupError):
        k.through(np.arange(float(n)))
    assert 1 <= len(calls) <= threads
    del keep


@pytest.mark.parametrize("way", ["map", "ufunc", "at", "where"])
def test_it_comes_out_of_the_ufunc_too(k: ModuleType, way: str) -> None:
    def raises(x: float) -> float:
        raise LookupError(x)

    keep = hooked(k, raises)
    x = np.arange(100.0)
    with pytest.raises(LookupError):
        if way == "map":
            k.through(x[::-1].astype("f"))
        elif way == "ufunc":
            k.through.ufunc(x)
        elif way == "at":
            k.through.ufunc.at(x, [1, 2])
        else:
            k.through.ufunc(x, where=x % 3 == 0, out=x)
    del keep


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_values_are_python_s(k: ModuleType, threads: int) -> None:
    keep = hooked(k, lambda x: 2 * x)
    x = np.arange(2000.0)
    with hw.threads(threads):
        np.testing.assert_array_equal(k.through(x), 2 * x)
    del keep


def test_a_map_inside_a_callback_inside_a_map(k: ModuleType) -> None:
    keep = hooked(k, lambda x: float(k.fails(np.full(100_000, x)).sum()))
    np.testing.assert_array_equal(k.through(np.arange(3.0)), np.arange(3.0) * 100_000)
    del keep


@pytest.mark.parametrize("n", [1, 100_000])
def test_errno_is_saved(k: ModuleType, n: int) -> None:
    hw.set_errno(0)
    k.fails(np.zeros(n))
    assert hw.errno == 33
