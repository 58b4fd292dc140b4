# SPDX-License-Identifier: MIT
"""Sizes that arguments of direct calls say."""

from __future__ import annotations

import array
from types import ModuleType
from typing import Any

import pytest

import headway as hw

np = pytest.importorskip("numpy")


@pytest.fixture(scope="module")
def k() -> ModuleType:
    return hw.compile(
        "#include <stddef.h>\n"
        "size_t of_void(const void *p, size_t n) { return n; }\n"
        "size_t of_bytes(const unsigned char *p, size_t n) { return n; }\n",
        annotate={
            "of_void": {"p": "in, size=n"},
            "of_bytes": {"p": "in, size=n"},
        },
        name="sizes",
    )


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (b"12345678", 8),
        (bytearray(5), 5),
        (array.array("d", range(10)), 80),
        (memoryview(np.arange(10.0)), 80),
        (np.arange(10.0), 80),
        (np.arange(10, dtype="f").reshape(2, 5), 40),
        (memoryview(np.zeros((2, 3, 4), "h")), 48),
        (np.array(2.5), 8),
        (np.zeros((0, 3)), 0),
        (np.zeros(4, [("a", "i4"), ("b", "i4")]), 32),
        (hw.new("double[10]"), 80),
        (hw.new("int[2][3]"), 24),
    ],
)
def test_the_size_of_void_is_in_bytes(k: ModuleType, value: Any, size: int) -> None:
    assert k.of_void(value) == size


def test_the_size_of_bytes_is_their_number(k: ModuleType) -> None:
    assert k.of_bytes(b"1234") == k.of_bytes(np.zeros(4, "u1")) == 4
    assert k.of_bytes(bytearray(7)) == 7
    assert k.of_bytes(np.zeros((2, 5), "u1")).tolist() == [5, 5]
    with pytest.raises(TypeError, match="of_bytes"):
        k.of_bytes(np.zeros(2))
