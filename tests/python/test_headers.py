# SPDX-License-Identifier: MIT
"""Reading headers: the record of every kind of declaration, macro, comment and annotation."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headway import _headers
from headway._headers import Declarations, _search


def read(source: str, **options: Any) -> Declarations:
    return _headers.read([], source=source, cache=False, **options)


def one(source: str, name: str) -> dict[str, Any]:
    record = read(source).get(name)
    assert record is not None
    return record


def reason(source: str, name: str) -> str:
    record = one(source, name)
    assert record["k"] == "refused", record
    return str(record["reason"])


# ---- the records -------------------------------------------------------------------------------


def test_a_function_has_all_that_is_known_of_it() -> None:
    record = one("double f(int n, const double *x);", "f")
    assert record == {
        "k": "function",
        "name": "f",
        "type": ["fn", "double", ["int", ["ptr", "double", True]], False, True],
        "params": [
            {"name": "n", "c": "int", "type": "int", "bounds": None, "words": ""},
            {
                "name": "x",
                "c": "const double *",
                "type": ["ptr", "double", True],
                "bounds": None,
                "words": "",
            },
        ],
        "result": {"c": "double", "type": "double"},
        "prototype": "double f(int n, const double *x)",
        "doc": "",
        "symbol": "f",
        "inline": False,
        "static": False,
        "defined": False,
        "file": "<source>",
        "line": 1,
        "words": "",
    }


@pytest.mark.parametrize(
    ("c", "encoded"),
    [
        ("_Bool", "_Bool"),
        ("char", "char"),
        ("signed char", "signed char"),
        ("unsigned char", "unsigned char"),
        ("short", "short"),
        ("unsigned short", "unsigned short"),
        ("unsigned", "unsigned int"),
        ("long", "long"),
        ("unsigned long", "unsigned long"),
        ("long long", "long long"),
        ("unsigned long long", "unsigned long long"),
        ("float", "float"),
        ("long double", "long double"),
        ("float _Complex", "float _Complex"),
        ("double _Complex", "double _Complex"),
        ("long double _Complex", "long double _Complex"),
        ("uint16_t", "unsigned short"),
        ("size_t", "unsigned long"),
        ("struct s *", ["ptr", ["rec", "struct s"], False]),
        ("const char *const *", ["ptr", ["ptr", "char", True], True]),
        ("const volatile void *", ["ptr", "void", True]),
        ("enum e", ["enum", "enum e"]),
        ("int (*)[3]", ["ptr", ["arr", "int", 3], False]),
    ],
)
def test_types_are_encoded(c: str, encoded: Any) -> None:
    source = f"#include <stdint.h>\n#include <stddef.h>\nenum e {{A}};\ntypedef {c}"
    at = source.rfind("(*)")
    named = f"{source[: at + 2]}t{source[at + 2 :]};" if at > 0 else f"{source} t;"
    assert one(named, "t")["type"] == encoded


@pytest.mark.parametrize(
    ("parameter", "bounds"),
    [
        ("double a[n]", ["n"]),
        ("double a[m + 1][n]", ["m + 1", "n"]),
        ("double a[m][4][n]", ["m", "4", "n"]),
        ("double a[static const restrict n]", ["n"]),
        ("double a[]", [None]),
        ("double a[*]", [None]),
        ("double a[][*][n]", [None, None, "n"]),
        ("double a[3]", ["3"]),
        ("double a[N][n]", ["7", "n"]),
        ("vector a", ["3"]),
        ("vector a[n]", ["n", "3"]),
        ("int (*a[n])(int)", ["n"]),
        ("double a[b[0]]", ["b[0]"]),
        ("double a[2 * (m - 1)]", ["2 * (m - 1)"]),
        ("double *a", None),
        ("double (*a)[n]", None),
        ("int a(double x[3])", None),
    ],
)
def test_array_bounds_are_kept_outermost_first(
    parameter: str, bounds: list[str | None] | None
) -> None:
    source = f"typedef double vector[3];\n#define N 7\nvoid f(int m, int n, int b[1], {parameter});"
    assert one(source, "f")["params"][3]["bounds"] == bounds


@pytest.mark.parametrize(
    ("parameter", "encoded"),
    [
        ("const double a[m][n]", ["ptr", ["arr", "double", None], True]),
        ("double a[m][3]", ["ptr", ["arr", "double", 3], False]),
        ("int (*a[n])(int)", ["ptr", ["ptr", ["fn", "int", ["int"], False, True], False], False]),
        ("int a(double)", ["ptr", ["fn", "int", ["double"], False, True], False]),
        ("const vector a", ["ptr", "double", True]),
    ],
)
def test_array_and_function_parameters_are_pointers(parameter: str, encoded: Any) -> None:
    source = f"typedef double vector[3];\nvoid f(int m, int n, {parameter});"
    assert one(source, "f")["params"][2]["type"] == encoded


@pytest.mark.parametrize(
    "prototype",
    [
        "void f(void)",
        "int f(const char *format, ...)",
        "double f(size_t m, size_t n, const double a[m][n + 1])",
        "void (*f(int sig, void (*func)(int)))(int)",
        "int (*f(void))[3]",
        "char *f(char *const restrict to, int (*compare)(const void *, const void *))",
        "struct s f(struct s by_value, enum e)",
        "int f(int (*table[4])(void (*)(int)))",
        "void f(int callback(void (*)(int)))",
        "long double _Complex f(long double _Complex z)",
    ],
)
def test_a_prototype_reads_as_it_was_written(prototype: str) -> None:
    source = "#include <stddef.h>\nstruct s {int a;}; enum e {A};\n"
    assert one(f"{source}{prototype};", "f")["prototype"] == prototype


def test_structs_nest() -> None:
    found = read(
        "struct outer {"
        "  char tag; struct { int a; double b; } named;"
        "  union { float f; unsigned u; };"
        "  struct inner { short s[2][3]; } in;"
        "  struct outer *next; int (*call)(struct outer *, int); };"
    )
    record = found.get("struct outer")
    assert record is not None
    assert [f["name"] for f in record["fields"]] == ["tag", "named", "", "in", "next", "call"]
    assert [f["offset"] for f in record["fields"]] == [0, 8, 24, 28, 40, 48]
    assert (record["size"], record["align"], record["packed"], record["flexible"]) == (
        56, 8, False, False,
    )  # fmt: skip
    named, union = (found.get(record["fields"][i]["type"][1]) for i in (1, 2))
    assert named is not None
    assert [(f["name"], f["offset"]) for f in named["fields"]] == [("a", 0), ("b", 8)]
    assert union is not None
    assert union["k"] == "union"
    assert [f["offset"] for f in union["fields"]] == [0, 0]
    assert record["fields"][3]["type"] == ["rec", "struct inner"]
    inner = found.get("struct inner")
    assert inner is not None
    assert inner["fields"][0]["type"] == ["arr", ["arr", "short", 3], 2]
    assert record["fields"][5]["type"] == [
        "ptr",
        ["fn", "int", [["ptr", ["rec", "struct outer"], False], "int"], False, True],
        False,
    ]


def test_unnamed_tags_are_known_by_their_typedef_or_a_number() -> None:
    found = read(
        "typedef struct {int a;} div_type; typedef struct {int b;} *pointer; union {int x;} v;"
    )
    assert found.get("div_type")["type"] == ["rec", "struct div_type"]  # type: ignore[index]
    key = found.get("pointer")["type"][1][1]  # type: ignore[index]
    assert key == "struct <anon 1>"
    assert found.get(key)["fields"][0]["name"] == "b"  # type: ignore[index]
    assert found.get("v")["type"] == ["rec", "union <anon 2>"]  # type: ignore[index]
    assert "{...}" in found.get("pointer")["c"]  # type: ignore[index]


def test_a_typedef_and_a_tag_of_one_name_are_two_types() -> None:
    found = read("typedef struct {int y;} bar; struct bar {long z;}; bar a; struct bar b;")
    first, second = (found.get(name)["type"][1] for name in "ab")  # type: ignore[index]
    assert first != second
    assert found.get(first)["fields"][0]["name"] == "y"  # type: ignore[index]
    assert found.get(second)["fields"][0]["name"] == "z"  # type: ignore[index]


def test_an_incomplete_struct_has_no_fields_until_it_is_defined() -> None:
    assert one("struct s; void f(struct s *);", "struct s")["fields"] is None
    later = one("struct s; void f(struct s *); struct s {int a;};", "struct s")
    assert later["fields"][0]["name"] == "a"
    assert later["size"] == 4


def test_flexible_array_members() -> None:
    for bound in ("", "0"):
        record = one(f"struct s {{int n; double x[{bound}];}};", "struct s")
        assert record["flexible"]
        assert record["fields"][1]["type"] == ["arr", "double", None]
        assert record["size"] == 8
    assert not one("struct s {int n; double x[1];};", "struct s")["flexible"]


def test_packed_structs_are_marked() -> None:
    packed = one("struct __attribute__((packed)) s {char a; int b;};", "struct s")
    assert packed["packed"]
    assert packed["fields"][1]["offset"] == 1
    pragma = one("#pragma pack(push, 2)\nstruct s {char a; int b;};\n#pragma pack(pop)", "struct s")
    assert pragma["packed"]
    assert pragma["size"] == 6
    assert not one("struct s {char a; int b;};", "struct s")["packed"]


BIT_FIELDS = """
struct plain { unsigned a : 3; int b : 5; unsigned : 4; unsigned long c : 33; _Bool d : 1; };
struct closed { char tag; unsigned a : 9; int : 0; signed char b : 2; long e; };
struct __attribute__((packed)) tight { unsigned a : 5; unsigned b : 30; char c; int d : 13; };
struct __attribute__((packed)) tiny { int a : 4; unsigned b : 3; };
"""


@pytest.mark.parametrize("tag", ["plain", "closed", "tight", "tiny"])
def test_bit_fields_are_the_bits_the_compiler_writes(tag: str, run_c: Callable[..., str]) -> None:
    record = one(BIT_FIELDS, f"struct {tag}")
    fields = [f for f in record["fields"] if f["bit_width"] >= 0]
    assert fields
    sizes = {"_Bool": 1, "char": 1, "short": 2, "int": 4, "long": 8, "long long": 8}
    body = "\n".join(
        f"memset(&s, 0, sizeof s); s.{f['name']} = -1; "
        'for (size_t i = 0; i < sizeof s; i++) printf("%02x", ((unsigned char *)&s)[i]); puts("");'
        for f in fields
    )
    printed = run_c(
        f"#include <stdio.h>\n#include <string.h>\n{BIT_FIELDS}"
        f"int main(void) {{ struct {tag} s;\n{body}\nreturn 0; }}"
    ).split()
    for field, text in zip(fields, printed, strict=True):
        unit = sizes[re.sub(r"^(un)?signed ", "", field["type"])]
        assert field["offset"] + unit <= record["size"]
        mask = ((1 << field["bit_width"]) - 1) << field["bit_offset"]
        assert mask < 1 << (8 * unit)
        expected = mask << (8 * field["offset"])
        assert int.from_bytes(bytes.fromhex(text), "little") == expected, field


def test_enums_keep_order_values_and_base() -> None:
    found = read(
        "typedef enum color { RED, GREEN = 5, BLUE, CRIMSON = 0 } color; enum big { B = 1ULL << 40 };"
    )
    record = found.get("enum color")
    assert record is not None
    assert record["members"] == [["RED", 0], ["GREEN", 5], ["BLUE", 6], ["CRIMSON", 0]]
    assert record["base"] == "unsigned int"
    assert found.get("BLUE") == {"k": "const", "name": "BLUE", "value": 6, "enum": "enum color"}
    assert found.get("B")["value"] == 1 << 40  # type: ignore[index]
    assert one("enum e { N = -1 };", "enum e")["base"] == "int"
    assert one("enum e { U = 0xffffffffffffffff };", "U")["value"] == 2**64 - 1


def test_the_symbol_is_the_one_of_the_object_file() -> None:
    source = 'int scan(const char *, ...) __asm__("__isoc99_sscanf"); extern int v __asm__("w");'
    assert one(source, "scan")["symbol"] == "__isoc99_sscanf"
    assert one(source, "v")["symbol"] == "w"


def test_inline_static_and_defined_functions_are_told_apart() -> None:
    found = read(
        "static inline int a(int x) { return x; }\nint b(int x)\n/* body */ { return x; }\n"
        "int c(int x);\nstatic int d(void);\ninline int e(int x) { return x; }\n"
        "#define ARGS(x) x\nint f ARGS((int x)) { return x; }\nint g ARGS((int x));\n"
    )
    told = {name: found.get(name) for name in "abcdefg"}
    assert {n: (r["static"], r["inline"], r["defined"]) for n, r in told.items() if r} == {
        "a": (True, True, True),
        "b": (False, False, True),
        "c": (False, False, False),
        "d": (True, True, False),
        "e": (False, True, True),
        "f": (False, False, True),
        "g": (False, False, False),
    }


def test_repeated_declarations_add_up() -> None:
    source = """
    /** First. */
    int f(int count, double);
    int f(int, double x) { return 0; }
    int g();
    int g(int a);
    """
    f = one(source, "f")
    assert [p["name"] for p in f["params"]] == ["count", "x"]
    assert f["prototype"] == "int f(int count, double x)"
    assert f["doc"] == "First."
    assert f["defined"]
    assert one(source, "g")["prototype"] == "int g(int a)"


def test_unprototyped_functions_are_refused() -> None:
    assert "without a prototype: `int f()`" in reason("int f();", "f")
    assert one("int f(void);", "f")["type"] == ["fn", "int", [], False, True]


@pytest.mark.parametrize(
    ("declaration", "why"),
    [
        ("__int128 f(void);", "its result: type __int128 is not supported"),
        ("void f(int a, _Float16 half);", "its parameter half: type _Float16 is not supported"),
        ("void f(__attribute__((vector_size(16))) float);", "its parameter 0: type"),
        ("_Atomic int f;", "is not supported"),
        ("void f(const char *format, __builtin_va_list arguments);", "va_list"),
        ("static int f;", "static variable"),
        ("extern _Thread_local int f;", "thread-local"),
        ("#define f(x) ((x) + 1)", "function-like macro"),
        ("#define f", "stands for nothing"),
    ],
)
def test_what_cannot_be_bound_says_why(declaration: str, why: str) -> None:
    assert why in reason(declaration, "f")


def test_variables() -> None:
    source = """
    struct kind; extern const struct kind *const best; extern int table[];
    static const int N = 5; static const double X = -0.5;
    """
    assert one(source, "best")["type"] == ["ptr", ["rec", "struct kind"], True]
    assert one(source, "table")["type"] == ["arr", "int", None]
    constant = (
        "typedef const int row[3]; extern row a[2], b; extern const int c; extern int d, e[2];"
    )
    names = ("a", "b", "c", "d", "e")
    assert [one(constant, n)["const"] for n in names] == [True, True, True, False, False]
    assert one(source, "best")["const"]
    assert one(source, "N") == {"k": "macro", "name": "N", "value": 5}
    assert one(source, "X")["value"] == -0.5


# ---- macros ------------------------------------------------------------------------------------

MACROS = r"""
#include <float.h>
#include <stdint.h>
enum level { HIGH = 3 };
int function(int);
extern int object;
struct pair { int a, b; };
"""


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ("5", 5),
        ("-5", -5),
        ("(1u << 31)", 1 << 31),
        ("18446744073709551615ULL", 2**64 - 1),
        ("UINT64_C(0xffffffffffffffff)", 2**64 - 1),
        ("(-9223372036854775807LL - 1)", -(2**63)),
        ("((size_t)-1)", 2**64 - 1),
        ("sizeof(struct pair)", 8),
        ("((unsigned char)300)", 44),
        ("((char)200)", -56),
        ("'a'", 97),
        (r"'\xff'", -1),
        ("(HIGH + 1)", 4),
        ("(sizeof(int) == 4 ? 10 : 20)", 10),
        ("((_Bool)5)", 1),
        ('"text"[1]', ord("e")),
        ("1.5f", 1.5),
        ("(1 / 3.0)", 1 / 3),
        ("0x1.8p3", 12.0),
        ("DBL_MAX", 1.7976931348623157e308),
        ("3.25L", 3.25),
        ("-0.0L", -0.0),
        ("(1.0 / 0.0)", math.inf),
        ("(function(1), 7)", 7),
        ('"text"', "text"),
        ('""', ""),
        ('"a" "b"', "ab"),
        ('("in brackets")', "in brackets"),
        (r'"nul\0inside"', "nul\0inside"),
        (r'"\377\001"', "\xff\x01"),
        ('u8"\u00e9"', "\u00c3\u00a9"),
        ("OTHER", 6),
        ("CALL(3)", 4),
        ("1 /* one */ + \\\n 1", 2),
    ],
)
def test_constant_macros_have_values(body: str, value: float | str) -> None:
    source = (
        f"{MACROS}#include <stddef.h>\n#define OTHER 6\n#define CALL(x) (x + 1)\n#define M {body}\n"
    )
    record = one(source, "M")
    assert record == {"k": "macro", "name": "M", "value": value}
    assert type(record["value"]) is type(value)
    if isinstance(value, float):
        assert isinstance(record["value"], float)
        assert math.copysign(1, record["value"]) == math.copysign(1, value)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("(&object)", "address"),
        ("function(1)", "not a constant"),
        ("undeclared", "undeclared"),
        ("{1, 2}", "not a constant"),
        ("1, 2", "not a constant"),
        ("; int other =", "not a constant"),
        ("5;", "not a constant"),
        ("} int x; {", "brackets"),
        (")(", "brackets"),
        ("OPEN", "brackets"),
        ("do { int a; } while (0)", "not a constant"),
        ("__attribute__((unused))", "not a constant"),
        ("extern", "not a constant"),
        ("__LINE__", "where it stands"),
        ("HERE", "where it stands"),
        ("(1 / 0)", "not a constant"),
        ("((__int128)1 << 100)", "neither"),
        ("1.0iF", "neither"),
        ("LDBL_MAX", "beyond"),
        ("LDBL_MIN", "beyond"),
        ('L"wide"', "address"),
        ("return", "not a constant"),
        ("_Complex", "not a constant"),
        ("@", "not a constant"),
        ("'", "not a constant"),
    ],
)
def test_other_macros_are_refused_and_do_not_disturb(body: str, why: str) -> None:
    source = (
        f"{MACROS}#define OPEN {{\n#define HERE __LINE__\n#define BEFORE 1\n#define M {body}\n"
        '#define AFTER 2\n#define TEXT "text"\n'
    )
    found = read(source)
    record = found.get("M")
    assert record is not None
    assert record["k"] == "refused", record
    assert why in record["reason"]
    values = [found.get(name)["value"] for name in ("BEFORE", "AFTER", "TEXT")]  # type: ignore[index]
    assert values == [1, 2, "text"]


def test_a_macro_that_breaks_the_syntax_takes_no_other_along() -> None:
    """Brackets that only meet through another macro's arguments look balanced, and are not."""
    source = "".join(f"#define A{i} {i}\n" for i in range(40))
    source += "#define PASTE(a) a\n#define BROKEN PASTE(<:) 1 <% ( %>\n"
    source += "".join(f"#define B{i} {i}\n" for i in range(40))
    found = read(source)
    assert found.get("BROKEN")["k"] == "refused"  # type: ignore[index]
    for i in range(40):
        assert found.get(f"A{i}")["value"] == found.get(f"B{i}")["value"] == i  # type: ignore[index]


def test_pointer_macros_have_their_type() -> None:
    source = (
        "typedef void (*fn)(int);\n"
        "#define FAILED ((void *)-1)\n#define DONE ((fn)0)\n#define C ((char *)7)"
    )
    assert one(source, "FAILED") == {
        "k": "macro", "name": "FAILED", "value": 2**64 - 1, "type": ["ptr", "void", False],
    }  # fmt: skip
    assert one(source, "DONE")["type"] == ["ptr", ["fn", "void", ["int"], False, True], False]
    assert one(source, "C")["value"] == 7


def test_a_macro_may_be_another_name() -> None:
    source = (
        f"{MACROS}#define renamed function\n#define again (renamed)\n#define level_high HIGH\n"
        "#define kind struct pair\n#define same same\n#define object object\n"
    )
    found = read(source)
    for name in ("renamed", "again"):
        record = found.get(name)
        assert record is not None
        assert (record["k"], record["name"], record["symbol"]) == ("function", name, "function")
    assert found.get("level_high") == {
        "k": "const", "name": "level_high", "value": 3, "enum": "enum level",
    }  # fmt: skip
    assert found.get("kind")["type"] == ["rec", "struct pair"]  # type: ignore[index]
    assert found.get("same")["k"] == "refused"  # type: ignore[index]
    assert found.get("object")["k"] == "var"  # type: ignore[index]


def test_macros_of_types_without_a_name_are_refused() -> None:
    """The type exists in each place the macro is used in, and not by itself."""
    assert "not a constant" in reason("#define M struct { int a; }", "M")


def test_undefined_macros_are_gone_and_redefined_ones_have_the_last_value() -> None:
    found = read("#define A 1\n#undef A\n#define B 1\n#undef B\n#define B 2\n#define C 1\n")
    assert found.get("A") is None
    assert "A" not in found.names()
    assert found.get("B")["value"] == 2  # type: ignore[index]


def test_a_function_like_macro_does_not_hide_the_function() -> None:
    assert one("int f(int);\n#define f(x) g(x)\n", "f")["k"] == "function"


# ---- comments ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "doc"),
    [
        ("/** Brief text. */\nint f(void);", "Brief text."),
        ("/*! Brief text. */\nint f(void);", "Brief text."),
        ("/// One\n/// two.\nint f(void);", "One\ntwo."),
        ("//! One.\nint f(void);", "One."),
        ("int f(void); /**< After. */", "After."),
        ("int f(void); ///< After.", "After."),
        (
            "/**\n * @brief Does it.\n *\n * @param[in] x the \\c input\n * \\return what came\n"
            " * @note careful\n */\nint f(int x);",
            "Does it.\n\nx: the input\nReturns: what came\nNote: careful",
        ),
        ("/*! @ingroup things\n *  Text. */\nint f(void);", "Text."),
        ("/* Plain. */\nint f(void);", "Plain."),
        ("// Plain\n// lines.\nint f(void);", "Plain\nlines."),
        ("/*\n** Starred\n**   more.\n*/\nint f(void);", "Starred\n  more."),
        ("/* Apart. */\n\nint f(void);", ""),
        ("int f(void);\n/*\n   Below it.\n*/\n\nint g(void);", "Below it."),
        ("int f(\n  void);\n/* Below it. */\n", "Below it."),
        ("int f(void);\n/* Of g. */\nint g(void);", ""),
        ("int f(void); // beside", "beside"),
        ("/* --------- */\nint f(void);", ""),
        ('const char s[] = "/* not"; int e;\n\nint f(void);', ""),
        (
            "/* The functions f() and g(). */\nint g(void);\nint f(void);",
            "The functions f() and g().",
        ),
        ("/* About g. */\nint g(void);\nint f(void);", ""),
        ("#define D(x) int x(void)\n/* Through a macro. */\nD(f);", "Through a macro."),
        ("/* One. */\n/* Two. */\nint f(void);", "One.\nTwo."),
    ],
)
def test_comments_become_documentation(source: str, doc: str) -> None:
    assert one(source, "f")["doc"] == doc


def test_system_headers_keep_their_comments(real_header: Callable[[str], Declarations]) -> None:
    assert real_header("math.h").get("cos")["doc"] == "Cosine of X."  # type: ignore[index]


def test_tags_and_typedefs_are_documented() -> None:
    found = read(
        "/** A pair. */\nstruct pair {int a;};\n/** An alias. */\ntypedef struct pair both;"
    )
    assert found.get("struct pair")["doc"] == "A pair."  # type: ignore[index]
    assert found.get("both")["doc"] == "An alias."  # type: ignore[index]


# ---- annotations -------------------------------------------------------------------------------

ANNOTATED = """
#include <headway/annotate.h>
#include <stddef.h>
typedef struct counter counter;
HW_STATUS(0, message=why) HW_FUNCTION("serial")
int make(const char *name, HW_OWNED(drop) counter **out);
HW_STATUS(>=0) int get(counter *c, HW_OUT HW_SIZE(n + 1) double *values, size_t n);
HW_BORROWED HW_NULLABLE const char *name_of(HW_ARG("in") counter *c);
int each(HW_ARG("context=ctx") int (*visit)(HW_CONTEXT void *ctx, int n, HW_SIZE(n) char **v),
         void *ctx);
typedef double (*function)(double x, HW_CONTEXT void *params);
struct bundle { function f; HW_ARG("keep") int (*g)(HW_CONTEXT void *a); void *params; };
"""


def test_annotation_macros_arrive_as_words() -> None:
    found = read(ANNOTATED)

    def words(name: str) -> tuple[str, list[str]]:
        record = found.get(name)
        assert record is not None
        return record["words"], [p["words"] for p in record["params"]]

    assert words("make") == ("status(0, message=why), serial", ["", "owned=drop"])
    assert words("get") == ("status(>=0)", ["", "out, size=n + 1", ""])
    assert words("name_of") == ("borrowed, nullable", ["in"])
    assert words("each") == ("", ["context=ctx", ""])
    each = found.get("each")
    assert each is not None
    assert each["params"][0]["inner"] == {"0": "context", "2": "size=1"}
    bundle = found.get("struct bundle")
    assert bundle is not None
    assert [f.get("words") for f in bundle["fields"]] == [None, "keep", None]
    assert [f.get("inner") for f in bundle["fields"]] == [{"1": "context"}, {"0": "context"}, None]


@pytest.mark.parametrize(("compiler", "standard"), [("gcc", "c11"), ("g++", "c++11")])
def test_annotations_are_empty_for_a_compiler(
    compiler: str, standard: str, clean_environment: dict[str, str], tmp_path: Path
) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"needs {compiler}")
    source = tmp_path / ("check.c" if compiler == "gcc" else "check.cpp")
    source.write_text(ANNOTATED)
    command = [compiler, f"-std={standard}", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    done = subprocess.run(
        [*command, "-fsyntax-only", f"-I{_search.INCLUDE}", source],
        env=clean_environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("comment", "text"),
    [
        ("/*! Adds.\n * More.\n */", "Adds.\nMore."),
        ("/*! Adds.\n  * one\n  two */", "Adds.\none\ntwo"),
        ("/*!\n * Adds.\n   a line without a star\n * and on\n */",
         "Adds.\na line without a star\nand on"),
        ("/*! * Adds. */", "Adds."),
        ("/*!\n *! Adds. */", "Adds."),
        ("/**! Adds. */", "Adds."),
        ("/*!!\n * Adds.\n */", "Adds."),
        ("/*!< Adds. */", "Adds."),
        ("/**\n * Of:\n *   * one\n *   * two\n */", "Of:\n  * one\n  * two"),
        ("/* Products: a\n   *b* and c,\n   of d. */", "Products: a\n*b* and c,\nof d."),
    ],
)  # fmt: skip
def test_comments_lose_what_makes_them_comments(comment: str, text: str) -> None:
    from headway._headers._comments import clean

    assert clean(comment) == text
