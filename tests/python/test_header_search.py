# SPDX-License-Identifier: MIT
"""Reading headers: where they are looked for, which names are theirs, what is said of errors."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headway import _headers
from headway._errors import HeaderError
from headway._headers import Declarations, _libclang, _search


def read(source: str, **options: Any) -> Declarations:
    return _headers.read([], source=source, cache=False, **options)


# ---- which names are whose ---------------------------------------------------------------------


def test_listed_names_are_the_headers_own(real_header: Callable[[str], Declarations]) -> None:
    math_, zlib = real_header("math.h"), real_header("zlib.h")
    assert {"cos", "hypot", "M_PI", "FP_NAN", "double_t"} <= set(math_.listed)
    assert not {"size_t", "__cos", "_Float32"} & set(math_.listed)
    assert {"crc32", "Z_BEST_SPEED", "uLong", "Bytef", "gz_header"} <= set(zlib.listed)
    assert "off_t" not in zlib.listed
    assert "off_t" in zlib.names()
    assert "isnan" not in math_.refused  # a function, besides being a macro
    assert "isfinite" in math_.refused


@pytest.mark.parametrize(
    ("header", "listed", "unlisted"),
    [
        ("gsl/gsl_sf.h", ["gsl_sf_bessel_J0", "GSL_SUCCESS"], ["printf", "size_t"]),
        ("hdf5.h", ["H5Fopen", "H5F_ACC_RDONLY", "H5P_DEFAULT", "hid_t"], ["printf", "INT_MAX"]),
        ("stdio.h", ["fopen", "FILE", "SEEK_SET", "BUFSIZ"], ["size_t"]),
        ("time.h", ["time", "clock_gettime", "tm", "CLOCK_REALTIME", "time_t"], []),
        ("stdint.h", ["int8_t", "UINT64_MAX"], []),
        ("limits.h", ["INT_MAX", "PATH_MAX"], []),
        ("errno.h", ["ENOENT", "EDEADLK"], []),
        ("poll.h", ["poll", "pollfd", "POLLIN"], []),
        ("signal.h", ["SIGINT", "raise", "sigaction"], []),
        ("memory.h", ["memcpy"], []),
    ],
)
def test_names_of_real_headers_are_listed(
    header: str, listed: list[str], unlisted: list[str], real_header: Callable[[str], Declarations]
) -> None:
    found = set(real_header(header).listed)
    assert found.issuperset(listed)
    assert found.isdisjoint(unlisted)


def test_names_below_the_headers_own_directory_are_listed(tmp_path: Path) -> None:
    (tmp_path / "lib" / "sub").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "lib" / "main.h").write_text(
        '#include <lib/part.h>\n#include "sub/deep.h"\n#include <other/far.h>\n#include <stdlib.h>\n'
        "int own(void);\nint _hidden(void);\n#define MAIN_H\nstruct tag {int a;};\nenum {INNER = 1};"
    )
    (tmp_path / "lib" / "part.h").write_text("int part(void);")
    (tmp_path / "lib" / "sub" / "deep.h").write_text("int deep(void);")
    (tmp_path / "other" / "far.h").write_text("int far_away(void);")
    found = _headers.read(["lib/main.h"], include_dirs=[tmp_path], cache=False)
    assert found.listed == ("INNER", "deep", "own", "part", "tag")
    assert found.refused == ("MAIN_H",)
    assert found.get("far_away") is not None
    assert found.get("tag") == found.get("struct tag")
    assert "tag" not in found.names()


def test_extra_headers_are_read_first_and_not_listed(
    tmp_path: Path, real_header: Callable[[str], Declarations]
) -> None:
    (tmp_path / "a.h").mkdir()
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "setup.h").write_text("typedef int number;\n#define FIRST 1")
    (tmp_path / "main.h").write_text("number f(number);\n#if FIRST\nint g(void);\n#endif")
    found = _headers.read(
        ["first/setup.h", "main.h"], include_dirs=[tmp_path], extra_headers=1, cache=False
    )
    assert set(found.listed) >= {"f", "g"}
    plain = real_header("fftw3.h").get("fftw_complex")["type"]  # type: ignore[index]
    native = _headers.read(["complex.h", "fftw3.h"], extra_headers=1, cache=False)
    assert plain == ["arr", "double", 2]
    assert native.get("fftw_complex")["type"] == "double _Complex"  # type: ignore[index]
    assert "cexp" not in native.listed


def test_of_source_only_its_own_names_are_listed() -> None:
    found = read(
        "#include <math.h>\n#define N 3\nint f(void) { return 1; }\nstatic int g(void) { return 2; }"
    )
    assert found.listed == ("N", "f", "g")
    assert found.get("cos") is not None


def test_lines_of_source_are_its_own_also_after_headers() -> None:
    found = _headers.read(
        ["math.h"], source='\n\nint f(void);\n#line 7 "mine.c"\nint g(void);', cache=False
    )
    f, g = found.get("f"), found.get("g")
    assert f is not None
    assert g is not None
    assert (f["file"], f["line"]) == ("<source>", 3)
    assert (g["file"], g["line"]) == ("mine.c", 7)


# ---- search ------------------------------------------------------------------------------------


def test_a_header_may_be_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here.h").write_text("int here(void);")
    for path in (tmp_path / "here.h", str(tmp_path / "here.h")):
        assert _headers.read([path], cache=False).listed == ("here",)
    monkeypatch.chdir(tmp_path)
    for path in ("here.h", "./here.h"):
        assert _headers.read([path], cache=False).listed == ("here",)


def test_include_dirs_come_before_the_system(tmp_path: Path) -> None:
    (tmp_path / "zlib.h").write_text("int mine(void);")
    assert _headers.read(["zlib.h"], include_dirs=[tmp_path], cache=False).listed == ("mine",)
    options = [f"-I{tmp_path}"]
    assert _headers.read(["zlib.h"], extra_args=options, cache=False).listed == ("mine",)
    options = ["-I", str(tmp_path)]
    assert _headers.read(["zlib.h"], extra_args=options, cache=False).listed == ("mine",)


@pytest.mark.parametrize("variable", ["CPATH", "C_INCLUDE_PATH"])
def test_the_compilers_environment_is_honoured(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.h").write_text("int mine(void);")
    monkeypatch.setenv(variable, f"/nonexistent:{tmp_path}")
    assert _headers.read(["mine.h"], cache=False).listed == ("mine",)


def test_defines_choose_what_is_declared() -> None:
    source = "#ifdef A\nint a(void);\n#endif\n#if B == 2\nint b(void);\n#endif\nchar c[sizeof D];"
    found = read(source, defines={"A": None, "B": 2, "D": '"four"'})
    assert read("int x[E];", defines={"E": True}).get("x")["type"][2] == 1  # type: ignore[index]
    assert found.listed == ("a", "b", "c")
    assert found.get("c")["type"] == ["arr", "char", 5]  # type: ignore[index]
    assert read("#ifdef HEADWAY_READING\nint r(void);\n#endif").listed == ("r",)


def test_file_names_may_be_any_bytes(tmp_path: Path) -> None:
    directory = tmp_path / os.fsdecode(b"caf\xe9")
    directory.mkdir()
    (directory / "outer.h").write_text('#include "inner.h"\n')
    (directory / "inner.h").write_text("int inner(void);\n")
    for _ in range(2):  # the second time from the cache
        found = _headers.read([directory / "outer.h"])
        assert found.listed == ("inner",)
        assert str(directory / "inner.h") in found.files


@pytest.mark.parametrize(
    "option", [["-foo-unknown"], ["-std=c++17"], ["-target", "no-such"], ["-include", "gone.h"]]
)
def test_options_that_clang_refuses_are_named_errors(option: list[str]) -> None:
    with pytest.raises(HeaderError, match=re.escape(option[-1])):
        read("int f(void);", extra_args=option)


def test_a_missing_header_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(HeaderError) as caught:
        _headers.read(["no/such.h"], include_dirs=[tmp_path])
    text = str(caught.value)
    assert "'no/such.h' not found" in text
    assert str(tmp_path) in text
    assert "/usr/include\n" in text
    assert "include_dirs" in text
    with pytest.raises(HeaderError, match=f"there is no file {tmp_path}/gone.h"):
        _headers.read([tmp_path / "gone.h"])


def test_a_header_missing_below_says_who_wanted_it(tmp_path: Path) -> None:
    (tmp_path / "outer.h").write_text("int f(void);\n#include <inner/gone.h>\n")
    with pytest.raises(HeaderError) as caught:
        _headers.read(["outer.h"], include_dirs=[tmp_path])
    text = str(caught.value)
    assert f"{tmp_path}/outer.h:2:10: fatal error: 'inner/gone.h' file not found" in text
    assert "#include <inner/gone.h>" in text
    assert "searched" in text
    assert "/usr/include\n" in text


def test_a_syntax_error_shows_place_and_line(tmp_path: Path) -> None:
    (tmp_path / "wrong.h").write_text("int f(void);\nint g(unknown_t x);\n")
    with pytest.raises(HeaderError) as caught:
        _headers.read(["wrong.h"], include_dirs=[tmp_path])
    assert str(caught.value) == (
        f"{tmp_path}/wrong.h:2:7: error: unknown type name 'unknown_t'\n"
        "    int g(unknown_t x);\n"
        "          ^\n"
        "'unknown_t' comes from a header that this one does not include; include it before with "
        'headers=["stdio.h"] or its like'
    )
    with pytest.raises(HeaderError, match=r"<source>:1:\d+: error"):
        read("int f(;")


def test_warnings_are_kept() -> None:
    found = read("#warning take care\nint f(void);")
    assert len(found.diagnostics) == 1
    assert "<source>:1:2: warning: take care" in found.diagnostics[0]


def headers_of(root: Path, *places: str) -> None:
    for place in places:
        (root / place).mkdir(parents=True)
        (root / place / "stddef.h").touch()


def test_the_compilers_own_headers_are_found(tmp_path: Path) -> None:
    machine = os.uname().machine
    assert _search.resource_dir([str(tmp_path)]) == _search.FREESTANDING
    for place in (
        f"gcc/{machine}-linux-gnu/9/include",
        f"gcc/{machine}-linux-gnu/12/include",
        "gcc/other-elf/14/include",
        "llvm-14/lib/clang/14.0.6/include",
        "clang/21/include",
        "llvm-17/lib/clang/17/include",
        "llvm-18/lib/clang/18/include",
    ):
        headers_of(tmp_path, place)
        best = {"9": "gcc", "other": "/12/"}
        found = _search.resource_dir([str(tmp_path)])
        if place.startswith("gcc/other"):
            assert best["other"] in found
        else:
            assert found == str(tmp_path / place)
        if place.startswith("clang/21"):
            shutil.rmtree(tmp_path / "clang")


def test_libclang_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_libclang.Clang, "_loaded", None)
    monkeypatch.setattr(_libclang, "_candidates", lambda: iter(["/nonexistent/libclang.so"]))
    with pytest.raises(HeaderError, match=r"pip install libclang(.|\n)*/nonexistent/libclang.so"):
        read("int f(void);")
