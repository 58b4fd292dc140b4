# SPDX-License-Identifier: MIT
"""The README's code runs as written, on shorter arrays, and gives what it says."""

from __future__ import annotations

import re
import tomllib
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headway._errors import CompileError
from headway._vector import sleef

README = Path(__file__).parents[2] / "README.md"


def blocks(language: str) -> list[str]:
    """The README's code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text("utf-8"), re.M | re.S)


def has_sleef() -> bool:
    try:
        return bool(sleef())
    except CompileError:
        return False


@pytest.mark.skipif(not has_sleef(), reason="vector math needs SLEEF")
def test_the_code_runs_and_gives_what_it_says() -> None:
    names: dict[str, Any] = {}
    first, zlib_block, matmul = blocks("python")
    for block in (first, zlib_block, matmul):
        exec(block.replace("10**8", "10**5").replace("1e7", "1e4"), names)
        if block is first:
            x = np.linspace(-5, 5, 11)
            np.testing.assert_allclose(names["k"].logistic(x), 1 / (1 + np.exp(-x)), rtol=1e-15)
    assert names["m"].cos(1.0) == pytest.approx(np.cos(1.0))
    assert zlib.decompress(names["z"].compress(b"hello", destLen=20)) == b"hello"
    product = names["k"].matmul(np.ones((100, 3, 4)), np.ones((4, 5)))
    assert f"# {product.shape}:" in matmul
    assert f"# {names['k'].matmul.ufunc.signature!r}" in matmul


def test_the_annotations_shown_are_among_those_shipped() -> None:
    import headway

    (shown,) = blocks("toml")
    shipped = Path(headway.__file__).parent / "annotations/sqlite3.toml"
    words = tomllib.loads(shipped.read_text("utf-8"))
    for function, said in tomllib.loads(shown).items():
        assert said.items() <= words[function].items()


def test_the_targets_and_files_it_names_are_there() -> None:
    text = README.read_text("utf-8")
    makefile = (README.parent / "Makefile").read_text("utf-8")
    for target in re.findall(r"^    make (\w+)", text, re.M):
        assert re.search(rf"^{target}:", makefile, re.M), target
    for path in re.findall(r"`(docs/[\w.]+)`", text):
        assert (README.parent / path).is_file(), path
