# SPDX-License-Identifier: MIT
"""A library and its header become a module: the code of the README, and bad input."""

from __future__ import annotations

import enum
import gc
import os
import pydoc
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import headway as hw
from headway import _library, _sources
from headway._module import loaded, report

np = pytest.importorskip("numpy")

CLibrary = Callable[..., Path]


def have(*header: str) -> bool:
    places = [Path("/usr/include"), Path("/usr/local/include")]
    return any((place / h).exists() for place in places for h in header)


needs_sqlite = pytest.mark.skipif(not have("sqlite3.h"), reason="sqlite3.h is not installed")
needs_zlib = pytest.mark.skipif(not have("zlib.h"), reason="zlib.h is not installed")
needs_gsl = pytest.mark.skipif(not have("gsl/gsl_sf.h"), reason="GSL is not installed")
needs_hdf5 = pytest.mark.skipif(
    not have("hdf5/serial/hdf5.h", "hdf5.h"), reason="HDF5 is not installed"
)
needs_fftw = pytest.mark.skipif(not have("fftw3.h"), reason="FFTW is not installed")


@pytest.fixture
def library(c_library: CLibrary, tmp_path: Path) -> Callable[..., ModuleType]:
    """Loads a library made of C text, whose header is the text's declarations."""

    def build(header: str, source: str = "", **options: object) -> ModuleType:
        (tmp_path / "own.h").write_text(header, encoding="utf-8")
        text = f'#include "{tmp_path}/own.h"\n{source}'
        made = c_library(text, f"-I{hw.include_dir()}")
        return hw.load(made, tmp_path / "own.h", **options)  # type: ignore[arg-type]

    return build


# ---- the code of the README --------------------------------------------------------------------


def test_a_library_and_its_header_and_nothing_else() -> None:
    m = hw.load("m", "math.h")
    assert m.cos(1.0) == pytest.approx(0.5403023058681398, abs=0)
    x = np.arange(1e5)
    np.testing.assert_array_equal(m.hypot(x, 3), np.hypot(x, 3))
    assert m.hypot.ufunc.reduce([3.0, 4.0]) == 5
    assert isinstance(m.hypot.ufunc, np.ufunc)
    assert "osine" in m.cos.__doc__ or "double cos(" in m.cos.__doc__
    assert list(m.cos.__signature__.parameters)[:1] == ["x"]
    text = pydoc.render_doc(m, renderer=pydoc.plaintext)
    assert "\n    cos(x: 'double', *, out=None" in text.partition("FUNCTIONS")[2]


@needs_zlib
def test_annotations_as_a_dictionary() -> None:
    import zlib

    z = hw.load(
        "z",
        "zlib.h",
        annotate={
            "crc32": {"buf": "in, size=len"},
            "compress": {
                "dest": "out, capacity=destLen, length=destLen",
                "source": "in, size=sourceLen",
                "return": "status(0, message=zError)",
            },
        },
    )
    assert z.crc32(0, b"hello") == zlib.crc32(b"hello")
    assert isinstance(z.zlibVersion(), str)
    assert z.ZLIB_VERNUM > 0x1000
    assert z.Z_BEST_SPEED == 1
    packed = z.compress(b"hello", destLen=z.compressBound(5))
    assert isinstance(packed, bytes)
    assert zlib.decompress(packed) == b"hello"
    with pytest.raises(hw.StatusError, match="compress failed with status -5: buffer error"):
        z.compress(b"hello", destLen=1)


@needs_sqlite
def test_annotations_that_ship_with_headway() -> None:
    sq = hw.load("sqlite3", "sqlite3.h", annotate="sqlite3.toml")
    db = sq.sqlite3_open(":memory:")
    rows: list[object] = []
    sq.sqlite3_exec(db, "select 1, null", lambda n, values, names: rows.append((n, values, names)))
    assert rows == [(2, ["1", None], ["1", "null"])]
    with pytest.raises(hw.StatusError, match=r"no such table: gone") as caught:
        sq.sqlite3_exec(db, "select * from gone", lambda n, values, names: 0)
    assert caught.value.status == 1
    with pytest.raises(hw.StatusError, match="unable to open database file"):
        sq.sqlite3_open("/nonexistent/directory/file")


ISSUE_TOML = """
[sqlite3_open]
ppDb = "out, owned=sqlite3_close"
return = "status(0, message=sqlite3_errmsg)"
[sqlite3_exec]
callback = "call, context=3, on_error=1"
"callback.2" = "in, size=1"
"callback.3" = "in, size=1"
4 = "out, owned=sqlite3_free, error"
return = "status(0)"
"""


@needs_sqlite
def test_annotations_in_a_file_of_the_user(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(ISSUE_TOML, encoding="utf-8")
    sq = hw.load("sqlite3", "sqlite3.h", annotate=file)
    db = sq.sqlite3_open(":memory:")
    seen: list[object] = []
    sq.sqlite3_exec(db, "select 1, null", lambda n, values, names: seen.append(values))
    assert seen == [["1", None]]
    sq.sqlite3_close(db)
    with pytest.raises(hw.UseAfterFreeError):
        sq.sqlite3_exec(db, "select 1", lambda n, values, names: 0)


@needs_gsl
def test_several_libraries_with_structs_and_callbacks() -> None:
    g = hw.load(["gsl", "gslcblas"], "gsl/gsl_integration.h")
    f = g.gsl_function(function=lambda x, params: x * x)
    workspace = g.gsl_integration_workspace_alloc(100)
    result, error = np.zeros(1), np.zeros(1)
    g.gsl_integration_qag(f, 0, 3, 0, 1e-9, 100, g.GSL_INTEG_GAUSS15, workspace, result, error)
    assert result[0] == pytest.approx(9)
    g.gsl_integration_workspace_free(workspace)


@needs_hdf5
def test_pkg_config_says_where_headers_are() -> None:
    if subprocess.run(["pkg-config", "--exists", "hdf5"], check=False).returncode:
        pytest.skip("pkg-config does not know hdf5")
    h = hw.load("hdf5_serial", "hdf5.h", pkg_config="hdf5")
    assert h.H5open() == 0
    assert isinstance(h.H5T_INTEGER, enum.IntEnum)


def test_this_process_and_a_struct_by_value() -> None:
    c = hw.load(None, "stdlib.h")
    result = c.div(10, 3)
    assert (result.quot, result.rem) == (3, 1)


def test_extra_headers_definitions_and_directories(tmp_path: Path) -> None:
    (tmp_path / "types.h").write_text("typedef int number;\n", encoding="utf-8")
    (tmp_path / "needy.h").write_text(
        "#ifdef FACTOR\nnumber abs(number);\nenum { factor = FACTOR };\n#endif\n", encoding="utf-8"
    )
    c = hw.load(
        None, "needy.h", headers=["types.h"], include_dirs=[tmp_path], defines={"FACTOR": 3}
    )
    assert c.abs(-4) == 4
    assert c.factor == 3
    assert dir(c) == ["abs", "factor", "number"]  # what lies beside the header is listed too


def test_a_library_takes_symbols_from_those_after_it(c_library: CLibrary, tmp_path: Path) -> None:
    (tmp_path / "two.h").write_text("int outer(void);\nint inner(void);\n", encoding="utf-8")
    outer = c_library("int inner(void); int outer(void) { return inner() + 1; }", "-Wl,-z,lazy")
    inner = c_library("int inner(void) { return 41; }", name="libinner.so")
    with pytest.raises(hw.LibraryError, match="undefined symbol"):
        hw.load(outer, tmp_path / "two.h")
    m = hw.load([outer, inner], tmp_path / "two.h")
    assert (m.outer(), m.inner()) == (42, 41)


# ---- the module --------------------------------------------------------------------------------


def test_the_module_is_a_plain_module_filled_on_first_touch() -> None:
    m = hw.load("m", "math.h")
    assert type(m) is ModuleType
    assert "sin" not in vars(m)
    sin = m.sin
    assert vars(m)["sin"] is sin
    assert m.sin is sin


def test_dir_lists_what_the_header_declares_and_the_rest_can_be_reached() -> None:
    c = hw.load("c", "stdlib.h")
    assert "atoi" in dir(c)
    assert not [name for name in dir(c) if name.startswith("_")]
    assert "uint32_t" not in dir(c) or have("nothing")
    assert c.int32_t is not None


def test_constants_enums_types_and_variables(library: Callable[..., ModuleType]) -> None:
    m = library(
        '#define N 3\n#define X 1.5\n#define S "text"\nenum colour { RED, GREEN = 5 };\n'
        "enum { LOOSE = 9 };\ntypedef enum colour colour_t;\n"
        "typedef struct point { double x, y; } point;\nextern int counter;\n"
        "int count(void);\nenum colour next(enum colour c);\n",
        "int counter = 7; int count(void) { return ++counter; }"
        "enum colour next(enum colour c) { return c == RED ? GREEN : (enum colour)77; }",
    )
    assert (m.N, m.X, m.S) == (3, 1.5, "text")
    assert m.GREEN is m.colour.GREEN is m.colour_t(5)
    assert type(m.LOOSE) is int
    assert hw.sizeof(m.colour) == 4
    assert m.next(m.RED) is m.GREEN
    assert m.next(m.GREEN) == 77
    assert m.point(x=1, y=2).y == 2
    assert m.counter == 7
    assert m.count() == 8
    assert m.counter == 8
    assert "counter" not in vars(m)


def test_const_variables_cannot_be_written(library: Callable[..., ModuleType]) -> None:
    m = library(
        "struct point { int x; const char *name; };\n"
        "extern const int table[3], open[], one;\nextern const struct point origin, corners[2];\n"
        "extern const char *const text;\nextern int *const counter;\nextern int list[2];\n",
        'const int table[3] = {1, 2, 3}, open[] = {4, 5}, one = 1;\nconst char *const text = "t";\n'
        'const struct point origin = {4, "o"}, corners[2] = {{5, "p"}, {6, "q"}};\n'
        "static int hidden = 3; int *const counter = &hidden; int list[2] = {1, 2};",
    )
    m.table[0] = m.origin.x = m.corners[1].x = 9
    m.corners[0] = m.origin
    assert (m.table[:], m.origin.x, m.corners[1].x) == ([1, 2, 3], 4, 6)
    assert (m.origin.name, m.corners[0].name, m.text, m.one) == ("o", "p", "t", 1)
    np.testing.assert_array_equal(m.table, [1, 2, 3])
    assert [m.open[i] for i in range(2)] == [4, 5]
    with pytest.raises(TypeError, match="const int . points to cannot be written"):
        m.open[0] = 9
    for name in ("one", "table", "origin"):
        with pytest.raises(TypeError, match="cannot be written"):
            hw.addressof(m, name)[0] = 9
    with pytest.raises(TypeError, match="cannot be written"):
        hw.addressof(m, "origin").x = 9
    assert hw.buffer(hw.addressof(m, "one")).readonly
    # const is the pointer here, not what it points to; and one that is not const stays a view
    m.counter[0] += 1
    m.list[0] = 7
    hw.addressof(m, "list")[0][1] = 8
    assert (m.counter[0], m.list[:]) == (4, [7, 8])
    assert not hw.buffer(hw.addressof(m, "list")).readonly


def test_a_renamed_function_is_listed_under_its_new_name(
    library: Callable[..., ModuleType],
) -> None:
    header = "int lib_add(int a, int b);\n"
    source = "int lib_add(int a, int b) { return a + b; }"
    m = library(header, source, annotate={"lib_add": {"name": "add"}})
    assert m.add(1, 2) == 3
    assert "add" in dir(m)


def test_annotations_of_a_struct_reach_its_callbacks(library: Callable[..., ModuleType]) -> None:
    header = "typedef struct job { double (*f)(double, void *); void *data; } job;\n"
    header += "double run(const job *j, double x);\n"
    source = "double run(const job *j, double x) { return j->f(x, j->data); }"
    m = library(header, source, annotate={"job": {"f": "context=data, on_error=-1"}})
    assert m.run(m.job(f=lambda x: 2 * x), 4) == 8


def test_a_toml_file_beside_the_header_is_found(
    library: Callable[..., ModuleType], tmp_path: Path
) -> None:
    (tmp_path / "own.toml").write_text('[total]\nx = "in, size=n"\n', encoding="utf-8")
    header = "double total(const double *x, int n);\n"
    source = "double total(const double *x, int n) { return n ? x[n - 1] : 0; }"
    m = library(header, source, annotate="own.toml")
    assert m.total(np.array([1.0, 2.0])) == 2


ANNOTATED = """
#include <headway/annotate.h>
typedef struct counter counter;
HW_STATUS(0, message=counter_error) int counter_open(int start, HW_OWNED(counter_close) counter **c);
void counter_close(counter *c);
const char *counter_error(int status);
HW_FUNCTION("name=total") double counter_total(HW_IN HW_SIZE(n) double *values, int n);
"""

COUNTER = """
#include <stdlib.h>
struct counter { int value; };
static int open_now;
int counter_open(int start, counter **c)
{
    *c = NULL;
    if (start < 0) return 3;
    *c = malloc(sizeof **c);
    open_now++;
    return 0;
}
void counter_close(counter *c) { free(c); open_now--; }
const char *counter_error(int status) { return status == 3 ? "no negative start" : "?"; }
double counter_total(double *v, int n) { double s = 0; while (n--) s += v[n]; return s; }
int counter_open_now(void) { return open_now; }
"""


def test_the_words_of_an_annotated_header(library: Callable[..., ModuleType]) -> None:
    header = ANNOTATED + "int counter_open_now(void);\n"
    m = library(header, COUNTER)
    assert loaded(m).binding("counter_close").consumes == 0
    counter = m.counter_open(1)
    assert m.counter_open_now() == 1
    m.counter_close(counter)
    with pytest.raises(hw.UseAfterFreeError):
        m.counter_close(counter)
    m.counter_open(1)
    assert m.counter_open_now() == 0
    with pytest.raises(
        hw.StatusError, match="counter_open failed with status 3: no negative start"
    ):
        m.counter_open(-1)
    assert m.total(np.arange(4.0)) == 6
    assert "total" in dir(m)


def test_threads_that_touch_a_name_at_once_get_one_function() -> None:
    m = hw.load("m", "math.h")
    names = ["sin", "cos", "tan", "frexp", "lgamma", "exp"] * 4
    barrier = threading.Barrier(len(names))
    got: list[tuple[str, object]] = []

    def touch(name: str) -> None:
        barrier.wait()
        got.append((name, getattr(m, name)))

    threads = [threading.Thread(target=touch, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == len(names)
    assert len({(name, id(function)) for name, function in got}) == 6


def test_several_annotations_are_laid_over_each_other(library: Callable[..., ModuleType]) -> None:
    first, second = {"f": {"x": "in"}}, {"f": {"x": "size=n"}}
    m = library(
        "void f(double *x, int n);\n", "void f(double *x, int n) {}", annotate=[first, second]
    )
    assert loaded(m).binding("f").params[0].dims == (0,)
    assert loaded(m).binding("f").params[0].role == 0


def test_the_report_has_every_declaration_bound_or_with_its_reason(
    library: Callable[..., ModuleType],
) -> None:
    m = library(
        "double f(double);\nvoid g(int n, double x[n]);\nint gone(int);\nint old();\n"
        "#define CALL(x) x\n",
        "double f(double x) { return x; } void g(int n, double x[n]) {}",
    )
    rows = {row.name: row for row in report(m)}
    assert rows["f"].bound
    assert rows["f"].mapping == "ufunc"
    assert rows["g"].notes == ("x is assumed to be an output",)
    assert not rows["gone"].bound
    assert "no symbol 'gone'" in rows["gone"].text
    assert "prototype" in rows["old"].text
    assert "macro" in rows["CALL"].text


@pytest.mark.parametrize(
    ("library_", "header", "function", "attribute", "value"),
    [
        ("m", "math.h", "lgamma", "serial", True),
        ("m", "math.h", "cos", "serial", False),
        ("c", "stdlib.h", "rand", "serial", True),
        ("c", "string.h", "strtok", "serial", True),
        pytest.param("fftw3", "fftw3.h", "fftw_plan_dft_1d", "lock", "fftw", marks=needs_fftw),
        pytest.param("fftw3", "fftw3.h", "fftw_execute", "lock", None, marks=needs_fftw),
    ],
)
def test_what_may_not_run_in_parallel_is_known(
    library_: str, header: str, function: str, attribute: str, value: object
) -> None:
    binding = loaded(hw.load(library_, header)).binding(function)
    assert getattr(binding, attribute) == value


def test_second_results_of_the_mathematical_library_come_back() -> None:
    m = hw.load("m", "math.h")
    assert m.frexp(8.0) == (0.5, 4)
    fraction, exponent = m.frexp(np.array([8.0, 3.0]))
    np.testing.assert_array_equal(fraction, [0.5, 0.75])
    np.testing.assert_array_equal(exponent, [4, 2])


@pytest.mark.parametrize("name", sorted(p.name for p in Path(_sources.SHIPPED).glob("*.toml")))
def test_shipped_annotations_fit_the_headers_installed_here(name: str) -> None:
    where: dict[str, tuple[str | None, tuple[str, ...]]] = {
        "c.toml": (None, ("stdlib.h", "string.h", "time.h")),
        "m.toml": ("m", ("math.h",)),
        "fftw3.toml": ("fftw3", ("fftw3.h",)),
        "hdf5.toml": ("hdf5_serial", ("hdf5/serial/hdf5.h",)),
        "sqlite3.toml": ("sqlite3", ("sqlite3.h",)),
        "zlib.toml": ("z", ("zlib.h",)),
    }
    library_, headers = where[name]
    if not have(*headers):
        pytest.skip(f"{headers[0]} is not installed")
    directories = [str(Path("/usr/include") / Path(headers[0]).parent)]
    module = hw.load(library_, *headers, annotate=name, include_dirs=directories)
    layer = _sources.Given(os.path.join(_sources.SHIPPED, name)).layer
    behind = loaded(module)
    touched = [n for n in layer if (behind.lookup(n) or {}).get("k") == "function"]
    assert touched or any("*" in key for key in layer)
    for function in touched:
        behind.binding(function)


@needs_sqlite
def test_a_warm_load_does_not_import_libclang(python_environment: dict[str, str]) -> None:
    code = (
        "import sys, headway as hw\n"
        "hw.load('sqlite3', 'sqlite3.h', annotate='sqlite3.toml')\n"
        "print([m for m in ('clang', 'numpy', 'tomllib', 'inspect') if m in sys.modules])"
    )
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=python_environment,
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout.strip() == "[]"


# ---- bad input ---------------------------------------------------------------------------------


def test_a_missing_header_is_named() -> None:
    with pytest.raises(hw.HeaderError, match=r"no_such_header\.h"):
        hw.load("m", "no_such_header.h")


def test_a_syntax_error_is_shown_with_its_place_and_line(tmp_path: Path) -> None:
    header = tmp_path / "broken.h"
    header.write_text("int good(int);\nint broken(int x;\n", encoding="utf-8")
    with pytest.raises(hw.HeaderError, match=r"broken\.h:2:\d+.*\n?.*int broken\(int x;"):
        hw.load(None, header)


def test_no_header_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="at least one header"):
        hw.load("m")


def test_a_missing_library_says_where_it_was_looked_for() -> None:
    with pytest.raises(hw.LibraryError) as caught:
        hw.load("no_such_library", "math.h")
    message = str(caught.value)
    assert "libno_such_library.so" in message
    assert _library.LOADER_CACHE in message
    assert "apt install" in message
    assert isinstance(caught.value, OSError)


def test_a_missing_library_has_its_nearest_name() -> None:
    name = _library.stem(next(n for n in _library.cached_names() if len(n) > 10))
    with pytest.raises(hw.LibraryError, match="did you mean"):
        hw.load(f"{name}q", "math.h")


def test_a_path_without_a_library_is_named(tmp_path: Path) -> None:
    with pytest.raises(hw.LibraryError, match="no shared library"):
        hw.load(tmp_path / "libgone.so", "math.h")


def test_a_file_that_is_no_library_is_refused_with_what_the_loader_said(tmp_path: Path) -> None:
    file = tmp_path / "libtext.so"
    file.write_text("GROUP ( nothing )", encoding="utf-8")
    with pytest.raises(hw.LibraryError, match=r"libtext\.so.*cannot be opened: "):
        hw.load(file, "math.h")


def test_a_linker_script_stands_for_what_it_names(c_library: CLibrary, tmp_path: Path) -> None:
    (tmp_path / "one.h").write_text("int one(void);\n", encoding="utf-8")
    real = c_library("int one(void) { return 1; }", name="libreal_one.so")
    script = real.with_name("libscript.so")
    script.write_text(f"/* GNU ld script */\nINPUT({real})\n", encoding="utf-8")
    opened = _library.open_libraries("script", [str(real.parent)])
    assert opened[0].path == str(real)
    assert hw.load(real, tmp_path / "one.h").one() == 1


def test_a_package_that_pkg_config_does_not_know() -> None:
    try:
        subprocess.run(["pkg-config", "--version"], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("pkg-config is not installed")
    with pytest.raises(hw.LibraryError, match="no_such_package"):
        hw.load("m", "math.h", pkg_config="no_such_package")


def test_pkg_config_that_is_not_installed_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(hw.LibraryError, match="pkg-config command, which is not installed"):
        hw.load("m", "math.h", pkg_config="hdf5")


def test_a_missing_symbol_names_function_and_library(library: Callable[..., ModuleType]) -> None:
    m = library("int there(void);\nint gone(void);\n", "int there(void) { return 1; }")
    assert m.there() == 1
    for _ in range(2):
        with pytest.raises(hw.SymbolError, match=r"gone.*no symbol 'gone' in .*libtest\.so"):
            _ = m.gone
    assert not hasattr(m, "gone")


def test_an_undeclared_name_is_an_attribute_error_with_the_nearest() -> None:
    m = hw.load("m", "math.h")
    with pytest.raises(
        AttributeError, match=r"'m' has no attribute 'hypott'.*did you mean 'hypot'"
    ):
        _ = m.hypott


def test_an_inline_function_says_how_to_have_it(library: Callable[..., ModuleType]) -> None:
    m = library("static inline int twice(int x) { return 2 * x; }\n")
    with pytest.raises(hw.NotBoundError, match=r"twice is not bound: .*inline.*headway\.compile"):
        _ = m.twice


def test_a_function_without_prototype_says_why(library: Callable[..., ModuleType]) -> None:
    m = library("int old();\n", "int old() { return 1; }")
    with pytest.raises(hw.NotBoundError, match=r"old is not bound: .*prototype"):
        _ = m.old


@pytest.mark.parametrize(
    ("annotate", "expected"),
    [
        ({"f": {"z": "in"}}, r"annotation of f, key 'z'.*0: x, 1: n"),
        ({"f": {"x": "inn"}}, r"annotation of f, parameter 'x': unknown word 'inn'.*did you mean"),
        ({"f": {"x": "in, size=m"}}, r"'m', which is neither a parameter nor a constant"),
        ({"ff": {"x": "in"}}, r"annotate=: 'ff' is neither a function nor a struct.*'f'"),
        ({"f": {"x": 3}}, r"annotate=: f\.x is 3"),
        ("missing.toml", r"'missing\.toml' were not found; looked for missing\.toml, "),
    ],
)
def test_a_wrong_annotation_is_told_at_once(
    library: Callable[..., ModuleType], annotate: object, expected: str
) -> None:
    with pytest.raises(hw.AnnotationError, match=expected):
        library("int f(double *x, int n);\n", "int f(double *x, int n) {}", annotate=annotate)


def test_owned_in_a_circle_is_refused(library: Callable[..., ModuleType]) -> None:
    header = "typedef struct h h;\nh *a(h *x);\n"
    with pytest.raises(hw.AnnotationError, match="circle: a -> a"):
        library(header, "h *a(h *x) { return x; }", annotate={"a": {"return": "owned=a"}})


# ---- libraries at length -----------------------------------------------------------------------


@needs_sqlite
def test_sqlite_statements_hooks_and_backups() -> None:
    sq = hw.load("sqlite3", "sqlite3.h", annotate="sqlite3.toml")
    db = sq.sqlite3_open(":memory:")
    sq.sqlite3_exec(db, "create table t(a int, b text, c blob)", None)
    insert, tail = sq.sqlite3_prepare_v2(db, "insert into t values(?, ?, ?); select 1", -1)
    assert tail == " select 1"
    sq.sqlite3_bind_int(insert, 1, 7)
    sq.sqlite3_bind_text(insert, 2, "héllo", -1, sq.SQLITE_TRANSIENT)
    sq.sqlite3_bind_blob(insert, 3, b"\0\1\2", sq.SQLITE_TRANSIENT)
    assert sq.sqlite3_step(insert) == sq.SQLITE_DONE

    select, _ = sq.sqlite3_prepare_v2(db, "select a, b, c from t", -1)
    assert sq.sqlite3_step(select) == sq.SQLITE_ROW
    assert sq.sqlite3_column_int(select, 0) == 7
    assert sq.sqlite3_column_text(select, 1) == "héllo".encode()
    with pytest.raises(hw.StatusError, match='near "selec": syntax error'):
        sq.sqlite3_prepare_v2(db, "selec", -1)

    seen: list[object] = []
    sq.sqlite3_update_hook(db, lambda op, database, table, row: seen.append((table, row)))
    sq.sqlite3_exec(db, "insert into t values(1, 2, 3)", None)
    assert seen == [("t", 2)]

    copy = sq.sqlite3_open(":memory:")
    backup = sq.sqlite3_backup_init(copy, "main", db, "main")
    assert sq.sqlite3_backup_step(backup, -1) == sq.SQLITE_DONE
    assert sq.sqlite3_backup_finish(backup) == 0
    with sq.sqlite3_blob_open(copy, "main", "t", "c", 1, 1) as blob:
        sq.sqlite3_blob_write(blob, b"xyz", 0)
        assert sq.sqlite3_blob_read(blob, 0, N=3) == b"xyz"


@needs_zlib
def test_zlib_files(tmp_path: Path) -> None:
    z = hw.load("z", "zlib.h", annotate="zlib.toml")
    path = str(tmp_path / "x.gz")
    file = z.gzopen(path, "wb")
    assert z.gzwrite(file, b"hello world") == 11
    z.gzclose(file)
    with pytest.raises(hw.UseAfterFreeError):
        z.gzclose(file)
    with z.gzopen(path, "rb") as file:
        assert z.gzread(file, len=100) == b"hello world"
    with pytest.raises(FileNotFoundError, match="gzopen: No such file"):
        z.gzopen(str(tmp_path / "gone"), "rb")


@needs_hdf5
def test_a_callback_may_call_the_library_whose_lock_is_held(tmp_path: Path) -> None:
    directories = ["/usr/include/hdf5/serial"]
    h = hw.load("hdf5_serial", "hdf5.h", include_dirs=directories)
    h.H5open()
    file = h.H5Fcreate(str(tmp_path / "x.h5"), 2, 0, 0)
    for name in ("a", "b"):
        h.H5Gclose(h.H5Gcreate2(file, name, 0, 0, 0))
    names: list[object] = []

    def visit(group: int, name: str, info: object, data: object) -> int:
        names.append((name, h.H5Lexists(group, name, 0)))
        return 0

    h.H5Literate(file, h.H5_INDEX_NAME, h.H5_ITER_INC, hw.NULL, visit, hw.NULL)
    assert names == [("a", 1), ("b", 1)]
    h.H5Fclose(file)


def churn() -> None:
    """Collects, and puts other things where the collected ones were."""
    gc.collect()
    things = [(lambda n=n: n, bytes(n % 200)) for n in range(5000)]
    things.clear()


@needs_sqlite
def test_sqlite_calls_python_as_long_as_the_connection_is_open() -> None:
    sq = hw.load("sqlite3", "sqlite3.h", annotate="sqlite3.toml")
    db, calls = sq.sqlite3_open(":memory:"), []

    def define() -> list[weakref.ref[Any]]:
        def twice(context: Any, count: int, args: list[Any]) -> None:
            sq.sqlite3_result_int64(context, sum(map(sq.sqlite3_value_int64, args)) * count)

        def step(context: Any, count: int, args: list[Any]) -> None:
            calls.append(sq.sqlite3_value_text(args[0]))

        def final(context: Any) -> None:
            sq.sqlite3_result_text(context, f"{len(calls)} seen", -1, sq.SQLITE_TRANSIENT)

        def backwards(m: int, a: Any, n: int, b: Any) -> int:
            left, right = bytes(hw.buffer(a, m)), bytes(hw.buffer(b, n))
            return (left < right) - (left > right)

        def needed(handle: Any, encoding: int, name: str) -> None:
            calls.append(name)

        def trace(mask: int, statement: Any, text: Any) -> None:
            calls.append(hw.string(hw.cast("char *", text)))

        def update(operation: int, database: str, table: str, row: int) -> None:
            calls.append((table, row))

        def commit() -> int:
            calls.append("commit")
            return 0

        def progress() -> int:
            calls.append("progress")
            return 0

        utf8 = sq.SQLITE_UTF8
        sq.sqlite3_create_function(db, "twice", 2, utf8, None, twice, None, None)
        sq.sqlite3_create_function_v2(db, "seen", 1, utf8, None, None, step, final, None)
        sq.sqlite3_create_collation(db, "backwards", utf8, backwards)
        sq.sqlite3_collation_needed(db, needed)
        sq.sqlite3_trace_v2(db, sq.SQLITE_TRACE_STMT, trace)
        sq.sqlite3_update_hook(db, update)
        sq.sqlite3_commit_hook(db, commit)
        sq.sqlite3_progress_handler(db, 1, progress)
        functions = (twice, step, final, backwards, needed, trace, update, commit, progress)
        return [weakref.ref(function) for function in functions]

    def run(text: str) -> list[list[str]]:
        rows: list[list[str]] = []
        calls.clear()
        churn()
        sq.sqlite3_exec(db, text, lambda n, values, names: rows.append(values))
        return rows

    defined = define()
    assert run("select twice(20, 1)") == [["42"]]
    assert b"select twice(20, 1)" in calls
    assert "progress" in calls
    run("create table t(a)")
    run("insert into t values('b'), ('c'), ('a')")
    assert [call for call in calls if call != "progress"][1:] == [
        ("t", 1),
        ("t", 2),
        ("t", 3),
        "commit",
    ]
    assert run("select a from t order by a collate backwards") == [["c"], ["b"], ["a"]]
    sq.sqlite3_trace_v2(db, 0, None)
    sq.sqlite3_progress_handler(db, 0, None)
    assert run("select seen(a) from t") == [["3 seen"]]
    assert calls == [b"b", b"c", b"a"]
    with pytest.raises(hw.StatusError, match="no such collation sequence: gone"):
        run("select a from t order by a collate gone")
    assert calls == ["gone"]
    churn()
    assert all(function() is not None for function in defined)
    sq.sqlite3_close(db)
    gc.collect()
    assert [function() for function in defined] == [None] * len(defined)


# ---- declarations that were trouble -------------------------------------------------------------


def test_an_array_of_structs_is_an_output(library: Callable[..., ModuleType]) -> None:
    m = library(
        "struct point { int x; double y; };\n"
        "void fill(int n, struct point points[n]);\n"
        "void some(struct point *points, int room, int *used);\n",
        "void fill(int n, struct point points[n]) {\n"
        "    for (int i = 0; i < n; i++) points[i] = (struct point){i, i / 2.0}; }\n"
        "void some(struct point *points, int room, int *used) {\n"
        "    fill(room, points); *used = room - 1; }\n",
        annotate={"some": {"points": "out, capacity=room, length=used"}},
    )
    made = m.fill(n=3)
    assert [(point.x, point.y) for point in made] == [(0, 0.0), (1, 0.5), (2, 1.0)]
    given = np.zeros(4, m.point.dtype)
    m.fill(points=given)
    np.testing.assert_array_equal(given["y"], [0, 0.5, 1, 1.5])
    cut, used = m.some(room=4)
    assert [point.x for point in cut] == [0, 1, 2]
    assert used == 3
    assert {row.name: row.bound for row in report(m)} == {"fill": True, "point": True, "some": True}


def test_a_declaration_that_cannot_be_bound_costs_no_other(
    library: Callable[..., ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    dims = "[2]" * 9
    m = library(
        f"int deep(const int x{dims});\nint flat(int x);\nint odd(int x);\n",
        f"int deep(const int x{dims}) {{ return 0; }}\n"
        "int flat(int x) { return x; }\nint odd(int x) { return x; }\n",
    )
    decide = loaded(m)._decide

    def fails(record: dict[str, object]) -> object:
        if record["name"] == "odd":
            raise RuntimeError("a mistake of ours")
        return decide(record)

    with monkeypatch.context() as patched:
        patched.setattr(loaded(m), "_decide", fails)
        rows = {row.name: row for row in report(m)}
    assert {name: row.bound for name, row in rows.items()} == {
        "deep": False, "flat": True, "odd": False,
    }  # fmt: skip
    assert "9 dimensions" in rows["deep"].text
    assert rows["odd"].text == "a mistake of ours"


def test_a_fixed_size_beyond_32_bits_is_not_cut(library: Callable[..., ModuleType]) -> None:
    m = library(
        "double first(const double x[4294967297]);\n",
        "double first(const double x[4294967297]) { return x[0]; }\n",
    )
    with pytest.raises(ValueError, match="4294967297"):
        m.first(np.ones(1))


# ---- names that C keeps apart --------------------------------------------------------------------

RIVALS = """
struct point { int x, y; };
int point(struct point *p);
union both { int i; float f; };
extern int both;
enum mode { SLOW = 3 };
int mode(enum mode m);
typedef struct { int z; } plain;
"""
RIVALS_C = """
int both = 7;
int point(struct point *p) { return p->x + p->y; }
int mode(enum mode m) { return m; }
"""


def test_a_tag_with_the_name_of_a_function_is_reached_with_the_word_before(
    library: Callable[..., ModuleType],
) -> None:
    m = library(RIVALS, RIVALS_C)
    p = hw.new("struct point", {"x": 2, "y": 3}, module=m)
    assert (m.point(p), m.both) == (5, 7)
    assert hw.typeof("struct point", m).kind == "struct"
    assert hw.typeof("struct point *", m).target is hw.typeof("struct point", m)
    assert hw.typeof("union both", m).kind == "union"
    assert hw.sizeof("enum mode", module=m) == 4
    assert hw.typeof("struct plain", m) is m.plain


def test_messages_say_how_to_reach_a_tag(library: Callable[..., ModuleType]) -> None:
    m = library(RIVALS, RIVALS_C)
    with pytest.raises(ValueError, match="did you mean 'struct point'"):
        hw.typeof("point", m)
    with pytest.raises(TypeError, match=r"point is a function; .* new\('struct point', module="):
        hw.new(m.point)
    with pytest.raises(AttributeError, match="'union both' is for headway.typeof and headway.new"):
        m.union_both  # noqa: B018
    with pytest.raises(ValueError, match="'union point' names no C type"):
        hw.typeof("union point", m)


def test_everything_includes_tags_beside_their_rivals(library: Callable[..., ModuleType]) -> None:
    behind = loaded(library(RIVALS, RIVALS_C))
    rows = {name: behind.row(name) for name in behind.everything()}
    assert rows["struct point"].text == "struct point"
    assert rows["union both"].kind == "union"
    assert rows["enum mode"].bound
    assert rows["point"].kind == "function"
    assert rows["plain"].kind == "typedef" and "struct plain" not in rows


# ---- const that the header forgot ----------------------------------------------------------------


def test_an_input_without_const_takes_what_is_read_only(
    library: Callable[..., ModuleType],
) -> None:
    m = library(
        "#include <stddef.h>\nint total(unsigned char *x, size_t n);\nint first(char *text);\n"
        "double mean(double *x, int n);\n",
        "int total(unsigned char *x, size_t n) { int s = 0; while (n--) s += *x++; return s; }\n"
        "int first(char *text) { return *text; }\n"
        "double mean(double *x, int n) { double s = 0; for (int i = 0; i < n; i++) s += x[i];"
        " return s / n; }\n",
        annotate={
            "total": {"x": "in, size=n"},
            "first": {"text": "in"},
            "mean": {"x": "in, size=n"},
        },
    )
    assert m.total(b"\1\2\3") == 6
    assert m.first("A") == m.first(b"A") == 65
    x = np.arange(4.0)
    x.flags.writeable = False
    assert m.mean(x) == 1.5
    assert list(m.mean(np.broadcast_to(x, (3, 4)))) == [1.5] * 3


# ---- arguments that are nearly right -------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("headers", "stdio.h", r'headers is a sequence of str, such as \["stdio.h"\], not the str'),
        ("include_dirs", "/usr/include", "include_dirs is a sequence of str"),
        ("include_dirs", Path("/usr/include"), "include_dirs is a sequence of str"),
        ("defines", ["A"], r"defines is a mapping, .* not the list \['A'\]"),
        ("defines", "A", "defines is a mapping, .* not the str 'A'"),
        ("defines", {"A": 1.5}, "defines: 'A' is 1.5; a macro stands for"),
    ],
)
def test_one_text_where_several_are_meant(option: str, value: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        hw.load("m", "math.h", **{option: value})
    with pytest.raises(TypeError, match=message):
        hw.compile("int f(int x) { return x; }", **{option: value})


def test_libraries_to_link_with_are_a_sequence() -> None:
    with pytest.raises(TypeError, match="libraries is a sequence of str"):
        hw.compile("int f(int x) { return x; }", libraries="gsl")


def test_an_include_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(hw.HeaderError, match="include_dirs: '.*/absent' does not exist"):
        hw.load("m", "math.h", include_dirs=[tmp_path / "absent"])
    (tmp_path / "file").touch()
    with pytest.raises(hw.HeaderError, match="/file' is no directory"):
        hw.compile("int f(int x) { return x; }", include_dirs=[tmp_path / "file"])


@pytest.mark.parametrize("source", ["", " \n"])
def test_an_empty_source_is_said_to_be_empty(source: str) -> None:
    with pytest.raises(ValueError, match="nothing to compile: the source is empty"):
        hw.compile(source)


@pytest.mark.parametrize(
    ("declaration", "hint"),
    [
        ("int put(FILE *file);", r"'FILE' comes from .* with headers=\[\"stdio.h\"\]$"),
        ("int f(uint32_t x);", r"headers=\[\"stdint.h\"\]$"),
        ("int f(surface *s);", r"headers=\[\"stdio.h\"\] or its like$"),
    ],
)
def test_an_unknown_type_says_how_to_include_its_header(
    tmp_path: Path, declaration: str, hint: str
) -> None:
    (tmp_path / "needy.h").write_text(declaration + "\n", encoding="utf-8")
    with pytest.raises(hw.HeaderError, match=hint):
        hw.load("m", tmp_path / "needy.h")


# ---- macros that name functions ------------------------------------------------------------------


def test_a_macro_that_names_a_function_is_that_function(
    library: Callable[..., ModuleType],
) -> None:
    m = library(
        "#define JOIN_(a, b) a ## b\n#define JOIN(a, b) JOIN_(a, b)\n"
        "double twice_8(double x);\ndouble (*choose(int i))(double x);\n"
        "#define plain twice_8\n#define joined JOIN(twice_, 8)\n#define address (&twice_8)\n"
        "#define chosen choose(1)\n#define other ((double (*)(int)) twice_8)\n",
        "double twice_8(double x) { return 2 * x; }\n"
        "double (*choose(int i))(double x) { return i ? twice_8 : 0; }\n",
    )
    assert [m.plain(2.0), m.joined(2.0), m.address(2.0)] == [4.0] * 3
    assert list(m.joined(np.arange(3.0))) == [0, 2, 4]
    assert {"plain", "joined"} <= set(dir(m))
    for name in ("chosen", "other"):
        with pytest.raises(AttributeError, match="run time only"):
            getattr(m, name)


@pytest.mark.skipif(not have("pcre2.h"), reason="pcre2.h is not installed")
def test_pcre2_is_called_by_its_general_names() -> None:
    m = hw.load("pcre2-8", "pcre2.h", defines={"PCRE2_CODE_UNIT_WIDTH": 8})
    assert m.pcre2_match.address == m.pcre2_match_8.address
