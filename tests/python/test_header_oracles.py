# SPDX-License-Identifier: MIT
"""Real headers, read and compared with two independent readers.

libclang's own Python bindings say what is declared; the C compiler says whether types, layouts and
values are right.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headway import _headers
from headway._headers import Declarations, _search

HDF5 = "/usr/include/hdf5/serial"
NINE = (
    "math.h", "complex.h", "zlib.h", "lz4.h", "sqlite3.h", "fftw3.h", "gsl/gsl_sf.h",
    "gsl/gsl_integration.h", "hdf5.h",
)  # fmt: skip
ODD = ("png.h", "stdio.h", "stdlib.h", "pthread.h", "time.h", "signal.h", "string.h", "limits.h",
       "stdint.h", "float.h", "inttypes.h", "tgmath.h", "setjmp.h", "openssl/evp.h")  # fmt: skip


def directories(header: str) -> list[str]:
    return [HDF5] if header == "hdf5.h" else []


@pytest.fixture(params=NINE)
def header(request: pytest.FixtureRequest, real_header: Callable[[str], Declarations]) -> str:
    """A header that is installed."""
    name = str(request.param)
    real_header(name)
    return name


@pytest.fixture(params=NINE + ODD)
def any_header(request: pytest.FixtureRequest, real_header: Callable[[str], Declarations]) -> str:
    """A header that is installed."""
    name = str(request.param)
    real_header(name)
    return name


# ---- against libclang's own bindings -----------------------------------------------------------


def declared(header: str) -> Iterator[tuple[str, str]]:
    """(kind, name) of all that a header declares, according to libclang's Python bindings."""
    from clang import cindex

    kinds = {
        cindex.CursorKind.FUNCTION_DECL: "function",
        cindex.CursorKind.VAR_DECL: "var",
        cindex.CursorKind.TYPEDEF_DECL: "typedef",
        cindex.CursorKind.STRUCT_DECL: "struct",
        cindex.CursorKind.UNION_DECL: "union",
        cindex.CursorKind.ENUM_DECL: "enum",
        cindex.CursorKind.ENUM_CONSTANT_DECL: "const",
        cindex.CursorKind.MACRO_DEFINITION: "macro",
    }
    options = ["-std=gnu17", *_search.Search(directories(header)).arguments()]
    unit = cindex.Index.create().parse(
        "probe.c",
        options,
        [("probe.c", f"#include <{header}>\n")],
        cindex.TranslationUnit.PARSE_DETAILED_PROCESSING_RECORD
        | cindex.TranslationUnit.PARSE_SKIP_FUNCTION_BODIES,
    )
    assert [d for d in unit.diagnostics if d.severity >= cindex.Diagnostic.Error] == []
    containers = ("struct", "union", "enum")
    pending = list(unit.cursor.get_children())
    undefined: set[str] = set()
    for include in unit.get_includes():
        text = Path(include.include.name).read_bytes()
        undefined.update(m.decode() for m in re.findall(rb"#\s*undef\s+(\w+)", text))
    for cursor in pending:
        kind = kinds.get(cursor.kind, "")
        if kind == "macro" and cursor.location.file is None:
            continue
        if kind == "macro" and cursor.spelling in undefined:
            kind = "macro, perhaps undefined again"
        if kind in containers:
            pending.extend(cursor.get_children())
        if kind and not (kind in containers and cursor.is_anonymous()):
            yield kind, cursor.spelling


def test_every_declaration_is_a_record_or_refused_with_a_reason(
    any_header: str, real_header: Callable[[str], Declarations]
) -> None:
    found, count = real_header(any_header), 0
    for kind, name in declared(any_header):
        if "(" in name:  # how libclang spells what has no name
            continue
        count += 1
        if kind in ("struct", "union", "enum"):
            record = found.get(f"{kind} {name}")
            assert record is None or record["k"] == kind, name
            assert record is not None or name == "__va_list_tag", f"{kind} {name}"
            continue
        record = found.get(name)
        if record is None and kind == "macro, perhaps undefined again":
            continue
        assert record is not None, f"{kind} {name}"
        if record["k"] == "refused":
            assert len(record["reason"]) > 10, record
        elif not kind.startswith("macro"):
            shadowed = record["k"] in ("macro", "function", "const")  # by a macro of that name
            assert record["k"] == kind or shadowed, (kind, record)
    assert count > 20
    assert found.diagnostics == ()


def test_names_are_reachable_and_listed_ones_are_bound(
    any_header: str, real_header: Callable[[str], Declarations]
) -> None:
    found = real_header(any_header)
    names = set(found.names())
    assert not names.intersection(found.refused) & set(found.listed)
    for name in found.listed:
        record = found.get(name)
        assert record is not None
        assert record["k"] != "refused"
        assert not name.startswith("_")
    for name in found.refused:
        assert found.get(name)["k"] == "refused"  # type: ignore[index]


# ---- against the compiler ----------------------------------------------------------------------


class Spell:
    """C from the encoding of types."""

    def __init__(self, found: Declarations) -> None:
        self.found = found

    def tag(self, key: str) -> str:
        assert "<" not in key
        named = self.found.get(key.partition(" ")[2])
        by_typedef = named is not None and named["k"] == "typedef" and named["type"][1:] == [key]
        return key.partition(" ")[2] if by_typedef else key

    def __call__(self, type_: Any, inner: str = "", const: bool = False) -> str:
        if isinstance(type_, str):
            return f"{'const ' * const}{type_} {inner}"
        kind = type_[0]
        if kind in ("rec", "enum"):
            return f"{'const ' * const}{self.tag(type_[1])} {inner}"
        if kind == "ptr":
            inner = f"*{'const ' * const}{inner}"
            if type_[1][0] in ("arr", "fn"):
                inner = f"({inner})"
            return self(type_[1], inner, type_[2])
        if kind == "arr":
            return self(type_[1], f"{inner}[{'' if type_[2] is None else type_[2]}]", const)
        assert kind == "fn", type_
        params = [self(param) for param in type_[2]] + ["..."] * type_[3]
        return self(type_[1], f"{inner}({', '.join(params) or 'void'})")


def expressible(type_: Any) -> bool:
    """Whether C can name all of a type."""
    if isinstance(type_, list):
        return type_[:1] != ["bad"] and all(map(expressible, type_))
    return not (isinstance(type_, str) and "<" in type_)


def test_types_are_those_the_compiler_sees(
    header: str, run_c: Callable[..., str], real_header: Callable[[str], Declarations]
) -> None:
    found = real_header(header)
    spell = Spell(found)
    lines = [f"#include <{header}>"]
    for name in found.names():
        record = found.get(name)
        assert record is not None
        if record["k"] in ("function", "var", "typedef") and expressible(record["type"]):
            if name.startswith(("_Float", "__CFLOAT")) or "volatile" in str(record):
                continue  # gcc has types of its own for these; records do not have volatile
            lines.append(
                f"_Static_assert(__builtin_types_compatible_p(__typeof__({name}), "
                f'{spell(record["type"])}), "{name}");'
            )
    assert len(lines) > 50
    run_c("\n".join(lines), *(f"-I{place}" for place in directories(header)), run=False)


def test_layouts_are_those_the_compiler_sees(
    header: str, run_c: Callable[..., str], real_header: Callable[[str], Declarations]
) -> None:
    found = real_header(header)
    spell = Spell(found)
    lines = [f"#include <{header}>"]
    for key in found._index:
        record = found.get(key)
        assert record is not None
        name = key.partition(" ")[2]
        if not name.isidentifier() or name == "max_align_t" or not record.get("fields"):
            continue
        tag = spell.tag(key)
        lines.append(f'_Static_assert(sizeof({tag}) == {record["size"]}, "{key}");')
        lines.append(f'_Static_assert(_Alignof({tag}) == {record["align"]}, "{key}");')
        for field in record["fields"]:
            path, label = field["name"], f"{key}.{field['name']}"
            if not path or field["bit_width"] >= 0:
                continue
            offset = f"__builtin_offsetof({tag}, {path})"
            lines.append(f'_Static_assert({offset} == {field["offset"]}, "{label}");')
            if expressible(field["type"]) and "volatile" not in field["c"]:
                same = f"__typeof__((({tag} *)0)->{path}), {spell(field['type'])}"
                lines.append(f'_Static_assert(__builtin_types_compatible_p({same}), "{label}");')
    assert len(lines) > 1 or header == "complex.h"
    run_c("\n".join(lines), *(f"-I{place}" for place in directories(header)), run=False)


def check_of(name: str, value: float | str) -> str:
    """C that prints the name of a macro whose value is another."""
    if isinstance(value, str):
        data = value.encode("latin-1")
        octal = "".join(f"\\{byte:03o}" for byte in data)
        wrong = f'sizeof({name}) != {len(data) + 1} || memcmp({name}, "{octal}", {len(data)})'
    elif isinstance(value, int):
        bits = f"{value % 2**64}ULL"
        wrong = f"(unsigned long long)({name}) != {bits} || (({name}) < 0) != {int(value < 0)}"
    elif math.isnan(value):
        wrong = f"({name}) == ({name})"
    else:
        exact = "__builtin_inf()" if math.isinf(value) else abs(value).hex()
        wrong = f"(double)({name}) != {'-' * (value < 0)}{exact}"
    return f'    if ({wrong}) puts("{name}");'


@pytest.mark.parametrize("name", [*NINE, "stdint.h", "limits.h", "float.h", "time.h", "png.h"])
def test_macros_have_the_values_the_compiler_sees(
    name: str, run_c: Callable[..., str], real_header: Callable[[str], Declarations]
) -> None:
    found = real_header(name)
    lines = [
        f"#include <{name}>",
        "#include <stdio.h>",
        "#include <string.h>",
        "int main(void) {",
    ]
    for macro in found.listed:
        record = found.get(macro)
        assert record is not None
        if record["k"] == "macro" and "type" not in record and macro != "GSL_COMPLEX_LEGACY":
            lines.append(check_of(macro, record["value"]))
    places = [f"-I{place}" for place in directories(name)]
    if name == "hdf5.h":  # some of its macros call the library, and then are constants
        places.append("-lhdf5_serial")
    wrong = run_c("\n".join([*lines, "    return 0;", "}"]), *places).split()
    assert wrong == []


# ---- with gcc's headers --------------------------------------------------------------------------


def test_headers_are_read_where_there_is_gcc_and_no_clang(
    any_header: str, real_header: Callable[[str], Declarations], monkeypatch: pytest.MonkeyPatch
) -> None:
    version, gcc = max(_search._gcc_headers("/usr/lib"))
    assert version
    monkeypatch.setattr(_search, "resource_dir", lambda: gcc)
    found = _headers.read([any_header], include_dirs=directories(any_header), cache=False)
    assert [name for name in real_header(any_header).listed if found.get(name) is None] == []


# ---- without a compiler's headers ---------------------------------------------------------------


@pytest.fixture
def freestanding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_search, "resource_dir", lambda: _search.FREESTANDING)


@pytest.mark.usefixtures("freestanding")
def test_headers_are_read_without_a_compiler(
    header: str, real_header: Callable[[str], Declarations]
) -> None:
    found = _headers.read([header], include_dirs=directories(header), cache=False)
    assert not any("/clang/" in file or "/gcc/" in file for file in found.files)
    assert found.listed == real_header(header).listed
    assert [found.get(name) for name in found.names() if name in found.listed] == [
        real_header(header).get(name) for name in found.names() if name in found.listed
    ]


@pytest.mark.usefixtures("freestanding")
@pytest.mark.parametrize("libc", [True, False])
@pytest.mark.parametrize(
    "name",
    ["stddef.h", "stdint.h", "limits.h", "float.h", "stdbool.h", "stdarg.h", "iso646.h",
     "stdalign.h", "stdnoreturn.h", "stdatomic.h"],
)  # fmt: skip
def test_freestanding_headers_agree_with_the_compiler(
    name: str, libc: bool, run_c: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not libc:
        monkeypatch.setattr(_search, "system_dirs", list)
    found = _headers.read([name], cache=False)
    assert f"{_search.FREESTANDING}/{name}" in found.files
    assert any("/usr/include" in file for file in found.files) <= libc
    spell = Spell(found)
    lines = [f"#include <{name}>", "#include <stdio.h>", "#include <string.h>"]
    body = []
    for listed in found.listed:
        record = found.get(listed)
        assert record is not None
        if record["k"] in ("macro", "const") and "type" not in record:
            body.append(check_of(listed, record["value"]))
        elif record["k"] == "typedef" and record["type"][0] == "rec":
            size = found.get(record["type"][1])["size"]  # type: ignore[index]
            if listed != "atomic_flag":
                lines.append(f'_Static_assert(sizeof({listed}) >= {size}, "{listed}");')
        elif record["k"] == "typedef":
            same = f"__builtin_types_compatible_p({listed}, {spell(record['type'])})"
            lines.append(f'_Static_assert({same}, "{listed}");')
    assert run_c("\n".join([*lines, "int main(void) {", *body, "    return 0; }"])) == ""
