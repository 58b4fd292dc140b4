# SPDX-License-Identifier: MIT
"""From a prototype and its annotation to a binding: roles, sizes, status and the mapping."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from headway import _headers
from headway._errors import AnnotationError, NotBoundError, StatusError
from headway._model import Binding, Callback, Dim, Operand, Role
from headway._module import Loaded
from headway._signature import signature
from headway._sources import Given

IN, OUT, INOUT, SIZE, CONTEXT = Role


def loaded(source: str, annotate: dict[str, Any] | None = None) -> Loaded:
    """Declarations without a library: enough to decide, not to call."""
    given = [Given("annotate=", annotate)] if annotate else []
    return Loaded("test", _headers.read([], source=source), [], given)


def bound(prototype: str, **annotate: Any) -> Binding:
    """The binding of the only function f of a source."""
    table = {"f": {k.replace("__", "."): v for k, v in annotate.items()}} if annotate else None
    return loaded(prototype, table).binding("f")


def roles(binding: Binding) -> list[Role]:
    return [p.role for p in binding.params]


def gufunc(binding: Binding) -> str | None:
    return binding.mapping.signature(binding.dims) if binding.mapping else None


# ---- shapes ------------------------------------------------------------------------------------


def test_matmul_is_the_gufunc_its_prototype_says() -> None:
    f = bound(
        "#include <stddef.h>\n"
        "void f(size_t m, size_t k, size_t n,"
        " const double a[m][k], const double b[k][n], double c[m][n]);"
    )
    assert roles(f) == [SIZE, SIZE, SIZE, IN, IN, OUT]
    assert f.dims == (Dim("m", param=0), Dim("k", param=1), Dim("n", param=2))
    assert [p.dims for p in f.params[3:]] == [(0, 1), (1, 2), (0, 2)]
    assert gufunc(f) == "(m,k),(k,n)->(m,n)"
    assert f.notes == ("c is assumed to be an output",)


def test_a_function_of_an_array_returning_a_number_reduces() -> None:
    assert gufunc(bound("double f(int n, const double x[n]);")) == "(n)->()"


def test_a_function_of_scalars_is_a_ufunc() -> None:
    f = bound("float f(double a, long b, _Bool c);")
    assert f.mapping is not None
    assert [o.kind for o in (*f.mapping.inputs, *f.mapping.outputs)] == ["d", "l", "?", "f"]
    assert gufunc(f) == "(),(),()->()"
    assert f.dims == ()


def test_complex_and_enum_parameters_are_numbers_too() -> None:
    f = bound("enum e { A, B }; double _Complex f(float _Complex z, enum e mode);")
    assert f.mapping is not None
    assert [o.kind for o in f.mapping.inputs] == ["F", "I"]
    assert f.mapping.outputs == (Operand(-1, "D"),)


@pytest.mark.parametrize(
    "prototype",
    [
        "int f(void);",  # nothing to map over
        "void f(double x);",  # nothing to give
        "double f(const double *x);",  # of unknown size
        "double f(const char *s);",
        "double f(double x, double (*g)(double));",
        "struct s { int i; }; struct s f(double x);",
        "int f(double x, ...);",
        "void f(int n, double x[n]);",  # no input fixes n
    ],
)
def test_what_is_not_mapped(prototype: str) -> None:
    assert bound(prototype).mapping is None


def test_a_status_is_not_mapped() -> None:
    assert bound("int f(double x);").mapping is not None
    assert bound("int f(double x);", **{"return": "status(0)"}).mapping is None


@pytest.mark.parametrize("parameter", ["const double x[]", "const double x[*]", "const double *x"])
def test_an_array_without_a_bound_is_a_pointer(parameter: str) -> None:
    f = bound(f"void f(int n, {parameter});")
    assert roles(f) == [IN, IN]
    assert f.params[1].dims is None


def test_a_number_as_bound_is_a_fixed_size() -> None:
    f = bound("void f(const double v[3], double out[3]);")
    assert f.dims == (Dim("3", fixed=3),)
    assert gufunc(f) == "(3)->(3)"


def test_a_constant_of_the_header_is_a_fixed_size() -> None:
    f = bound("#define N 4\ndouble f(const double *v);", v="in, size=2 * N")
    assert f.dims == (Dim("8", fixed=8),)


def test_a_bound_that_is_an_expression_follows_from_plain_bounds() -> None:
    f = bound("void f(int n, int m, const double a[n], const double b[m], double c[n + m - 1]);")
    assert f.dims[2].name == "n + m - 1"
    assert f.dims[2].postfix == ((1, 0), (1, 1), (2, ord("+")), (0, 1), (2, ord("-")))
    assert gufunc(f) == "(n),(m)->(n + m - 1)"


def test_a_bound_that_follows_from_nothing_refuses_the_function() -> None:
    with pytest.raises(NotBoundError, match=r"'x'.*'n \* n' needs n.*plain bound \[n\]"):
        bound("double f(int n, const double x[n * n]);")


def test_a_bound_that_is_no_integer_refuses_the_function() -> None:
    with pytest.raises(NotBoundError, match="integer expression"):
        bound("double f(int n, const double x[n << 1], const double y[n]);")


def test_equal_expressions_are_one_size() -> None:
    f = bound("void f(int n, const double a[n], const double b[n+1], double c[n + 1]);")
    assert f.params[2].dims == f.params[3].dims


def test_an_output_whose_size_no_input_fixes_takes_it_as_a_keyword() -> None:
    f = bound("void f(double a, int n, double x[n], double y[n + 1]);")
    assert roles(f) == [IN, SIZE, OUT, OUT]
    assert list(signature(f).parameters) == ["a", "x", "y", "n", "out"]
    assert signature(f).parameters["n"].kind is inspect.Parameter.KEYWORD_ONLY


def test_arrays_of_structs_are_sized_but_not_mapped() -> None:
    f = bound("struct p { double x, y; }; double f(int n, const struct p points[n]);")
    assert f.params[1].dims == (0,)
    assert f.mapping is None


def test_an_array_of_pointers_is_not_assumed_to_be_an_output() -> None:
    assert roles(bound("int f(int argc, char *argv[argc]);")) == [SIZE, IN]


def test_an_array_in_place_maps_with_a_copy() -> None:
    f = bound("void f(int n, double x[n]);", x="inout")
    assert roles(f) == [SIZE, INOUT]
    assert f.mapping is not None
    assert f.mapping.outputs == (Operand(1, "d", (0,), inout=0),)
    assert gufunc(f) == "(n)->(n)"
    assert f.notes == ()


# ---- annotations -------------------------------------------------------------------------------


def test_a_size_may_be_said_of_a_pointer() -> None:
    f = bound("unsigned f(unsigned crc, const unsigned char *b, int len);", b="in, size=len")
    assert roles(f) == [IN, IN, SIZE]
    assert gufunc(f) == "(),(len)->()"


def test_two_sizes_may_be_said_of_a_pointer() -> None:
    f = bound("double f(const double *a, int m, int n);", a="in, size=[m][n]")
    assert gufunc(f) == "(m,n)->()"


def test_a_lone_number_means_an_unnamed_integer_parameter() -> None:
    assert bound("double f(const double *, int);", **{"0": "size=1"}).dims == (
        Dim("arg1", param=1),
    )
    assert bound("double f(const double *v, int n);", v="size=1").dims == (Dim("1", fixed=1),)


COMPRESS = "int f(unsigned char *dest, unsigned long *size, const unsigned char *src, long n);"


def test_a_capacity_is_a_keyword_and_the_length_cuts() -> None:
    f = bound(COMPRESS, dest="out, capacity=size, length=size", src="in, size=n")
    assert roles(f) == [OUT, SIZE, IN, SIZE]
    assert f.params[0].length == 1
    assert f.params[0].as_bytes
    assert list(signature(f).parameters) == ["src", "dest", "size", "out"]


def test_buffers_of_characters_give_bytes_and_others_arrays() -> None:
    assert bound("void f(int n, char s[n]);").params[1].as_bytes
    assert not bound("void f(int n, unsigned char s[n]);").params[1].as_bytes
    assert bound("void f(int n, unsigned char s[n]);", s="out, bytes").params[1].as_bytes
    integers = "#include <stdint.h>\nvoid f(int n, uint8_t *s);"
    assert not bound(integers, s="out, size=n").params[1].as_bytes


def test_a_length_returned_is_not_returned_twice() -> None:
    f = bound("long f(char *b, long n);", b="out, capacity=n, length=return")
    assert f.params[0].length == -1
    assert f.result.silent


def test_a_second_result_through_a_pointer_maps() -> None:
    f = bound("double f(double x, int *e);", e="out")
    assert roles(f) == [IN, OUT]
    assert f.mapping is not None
    assert f.mapping.outputs == (Operand(-1, "d"), Operand(1, "i"))


def test_a_callback_and_its_context() -> None:
    f = bound(
        "int f(int (*cb)(void *, int, char **), void *);",
        cb="call, context=1, on_error=1, nullable",
        cb__2="in, size=1",
    )
    assert roles(f) == [IN, CONTEXT]
    assert f.params[0].nullable
    assert f.params[0].callback == Callback(context=0, on_error=1, sizes=(-1, -1, 1))


def test_a_callback_without_annotation_is_called_with_all_it_is_given() -> None:
    f = bound("void f(double (*g)(double, void *), void *data);")
    assert f.params[0].callback == Callback()
    assert roles(f) == [IN, IN]


def test_which_of_several_contexts_must_be_said() -> None:
    prototype = "void f(void (*cb)(void *, void *), void *data);"
    with pytest.raises(AnnotationError, match="more than one void"):
        bound(prototype, cb="context=data")
    f = bound(prototype, cb="context=data", cb__1="context")
    assert f.params[0].callback == Callback(context=1)


def test_a_callback_may_live_as_long_as_a_handle() -> None:
    f = bound("struct db; void f(struct db *db, int (*hook)(int));", hook="keep=db")
    assert f.params[1].callback == Callback(keep=0)


@pytest.mark.parametrize(
    ("prototype", "reason"),
    [
        ("void f(int m, int n, const double x[m][n], double y[m][n]);", "not the first .* of x"),
        (
            "void f(int n, const double e[n + 1], const double x[n], double y[n]);",
            "'n . 1' .* from",
        ),
        ("void f(int n, const double x[n][n], double y[n]);", "not the first dimension of x"),
        ("int f(int n, const double x[n], double y[n]);", "returns 'int'"),
        ("void f(int n, const double x[n], double total[1]);", "write to all of total"),
        ("void f(int n, int k, const double x[n], double bins[k]);", "write to all of bins"),
    ],
)
def test_a_split_that_would_change_the_result_is_refused(prototype: str, reason: str) -> None:
    with pytest.raises(AnnotationError, match=f"annotation of f: split=n: .*{reason}"):
        bound(prototype, split="n")


def test_a_split_along_a_size_behind_a_pointer_is_refused() -> None:
    with pytest.raises(AnnotationError, match=r"passed by pointer \('int \*'\), not by value"):
        bound(
            "void f(int *n, const double *x, double *y);",
            split="n", x="in, size=n", y="out, size=n",
        )  # fmt: skip


def test_rows_and_shared_inputs_do_not_hinder_a_split() -> None:
    f = bound(
        "void f(int k, int n, const double table[k], const double x[n][k], double y[n][k]);",
        split="n",
    )
    assert f.split is not None
    assert f.dims[f.split].name == "n"


@pytest.mark.parametrize(
    ("prototype", "reason"),
    [
        ("int f(const int x" + "[2]" * 9 + ");", "'x': it has 9 dimensions, and at most 8"),
        (
            f"int f({', '.join(f'int n{i}, const int x{i}[n{i}]' for i in range(17))});",
            "have 17 different sizes, and at most 16",
        ),
    ],
)
def test_more_dimensions_than_a_call_has_room_for_are_refused(prototype: str, reason: str) -> None:
    with pytest.raises(NotBoundError, match=reason):
        bound(prototype)


def test_on_error_may_be_a_constant_of_the_header() -> None:
    source = "#define STOP 7\nvoid f(int (*cb)(int));"
    assert bound(source, cb="on_error=STOP").params[0].callback == Callback(on_error=7)


def test_python_names_have_no_leading_underscores_and_are_no_keywords() -> None:
    f = bound("double f(double __x, double lambda, double, double _y, double y);")
    assert [p.name for p in f.params] == ["x", "lambda_", "arg2", "_y", "y"]


def test_function_words_reach_the_binding() -> None:
    f = bound(
        "void f(int n, const double x[n], double y[n]);",
        serial=True, lock="planner", split="n", gil="release", name="pretty",
    )  # fmt: skip
    assert (f.serial, f.lock, f.split, f.gil, f.name) == (True, "planner", 0, "release", "pretty")


def test_an_enum_of_the_header_is_an_int_enum() -> None:
    around = loaded("enum colour { RED, GREEN = 5 };")
    colour = around.types.enum("enum colour")
    assert colour.GREEN == 5  # type: ignore[attr-defined]
    assert colour(0).name == "RED"


# ---- status ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "good", "bad"),
    [
        ("0", [0], [1, -1]),
        ("0, 1", [0, 1], [2]),
        (">=0", [0, 7], [-1]),
        (">0", [7], [0, -1]),
        ("!=0", [1, -1], [0]),
        ("<0", [-1], [0]),
        ("DONE", [101], [0]),
        ("errno", [0, 7], [-1]),
        ("!=-1, errno", [0, 7], [-1]),
    ],
)
def test_when_an_integer_is_success(status: str, good: list[int], bad: list[int]) -> None:
    f = bound("#define DONE 101\nint f(int x);", **{"return": f"status({status})"})
    assert all(f.result.status(value) is True for value in good)
    assert all(f.result.status(value) is False for value in bad)


def test_when_a_pointer_is_success() -> None:
    f = bound("char *f(void);", **{"return": "status(nonnull)"})
    assert f.result.status("")  # an empty string is not NULL
    assert not f.result.status(None)


def test_a_status_with_one_value_is_not_returned_and_others_are() -> None:
    prototype = "int f(int x);"
    assert bound(prototype, **{"return": "status(0)"}).result.silent
    for status in ("0, 1", ">=0", "errno"):
        assert not bound(prototype, **{"return": f"status({status})"}).result.silent
    assert not bound("char *f(void);", **{"return": "status(nonnull)"}).result.silent


def test_a_failure_names_function_status_and_text() -> None:
    f = bound("int f(int x);", **{"return": "status(0)"})
    error = f.result.on_status(7, {}, "the disk is full")
    assert isinstance(error, StatusError)
    assert (error.status, error.function, error.message) == (7, "f", "the disk is full")
    assert str(error) == "f failed with status 7: the disk is full"


MESSAGES = """
typedef struct db db;
const char *of_status(int);
const char *of_handle(const db *);
const char *of_nothing(void);
const char *of_two(int, int);
const char *of_other(double);
int f(db *parent, db **made);
"""


@pytest.mark.parametrize(
    ("message", "annotate", "given_to"),
    [
        ("of_status", {}, [7]),
        ("of_handle", {}, ["parent"]),
        ("of_handle", {"made": "out"}, ["made"]),
        ("of_nothing", {}, []),
    ],
)
def test_a_message_function_gets_what_fits_its_parameter(
    message: str, annotate: dict[str, str], given_to: list[object]
) -> None:
    from headway._status import failure

    around = loaded(MESSAGES, {"f": {**annotate, "return": f"status(0, message={message})"}})
    record = around.lookup("f")
    assert record is not None
    words = around.function_words(record)
    assert words.status is not None
    calls: list[list[object]] = []

    def function(name: str) -> Any:
        assert name == message
        return lambda *args: calls.append(list(args)) or b"text"

    made = failure(record, roles(around.binding("f")), words.status, around.lookup, function)
    assert str(made(7, {0: "parent", 1: "made"}, None)) == "f failed with status 7: text"
    assert calls == [given_to]


@pytest.mark.parametrize(
    ("message", "expected"),
    [("of_two", "one parameter"), ("of_other", "neither the status"), ("missing", "no such")],
)
def test_a_message_function_that_does_not_fit_is_refused(message: str, expected: str) -> None:
    with pytest.raises(AnnotationError, match=f"message={message}: .*{expected}"):
        loaded(MESSAGES, {"f": {"return": f"status(0, message={message})"}}).binding("f")


# ---- what does not fit -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prototype", "annotate", "expected"),
    [
        ("int f(int x);", {"x": "out"}, "only a pointer can be an output"),
        ("int f(const int *x);", {"x": "out"}, "points to const"),
        ("int f(void *x);", {"x": "out"}, "add size="),
        ("struct s; int f(struct s *x);", {"x": "out"}, "declared but not defined"),
        ("int f(int x);", {"x": "size=3"}, "for pointers"),
        ("int f(double *x, double n);", {"x": "in, size=n"}, "not an integer"),
        ("int f(double *x);", {"x": "in, size=m"}, "neither a parameter nor a constant"),
        ("int f(double *x, int n);", {"x": "in, size=n*n"}, "is the size of no array"),
        ("int f(double *x);", {"x": "in, length=return"}, "length is for an output"),
        ("int f(double *x);", {"x": "out, length=return"}, "length is for an array"),
        ("int f(double *x, void *d);", {"x": "context=d"}, "for callbacks"),
        ("int f(void (*c)(void *), int d);", {"c": "context=d"}, "context is a void"),
        ("int f(void (*c)(int), void *d);", {"c": "context=d"}, "no void"),
        ("int f(void (*c)(int));", {"c": "on_error=STOP"}, "neither a number nor a constant"),
        ("int f(char **e);", {"e": "out, error"}, "needs a status"),
        ("int f(char **e);", {"e": "out, owned=gone"}, "no such function"),
        ("void g(int); int f(char **e);", {"e": "out, owned=g"}, "take the handle alone"),
        ("void g(int *); int f(char **e);", {"e": "out, owned=g"}, "frees something else"),
        ("int f(double x);", {"split": "n"}, "split=n is no size"),
        ("double f(double x);", {"return": "status(0)"}, "for integers"),
        ("void f(double x);", {"return": "status(0)"}, "for integers"),
        ("int f(double x);", {"return": "status(nonnull)"}, "for integers"),
        ("int *f(double x);", {"return": "status(0)"}, "nonnull or errno"),
        ("int f(double x);", {"return": "status(OK)"}, "no integer constant"),
    ],
)
def test_an_annotation_that_does_not_fit_is_refused(
    prototype: str, annotate: dict[str, str], expected: str
) -> None:
    with pytest.raises(AnnotationError, match=expected) as caught:
        bound(prototype, **annotate)
    assert "annotation of f" in str(caught.value)


@pytest.mark.parametrize(
    ("prototype", "reason"),
    [
        ("struct s; void f(struct s x);", "'x': struct s is declared but not defined"),
        ("void f(__int128 x);", "__int128 is not supported"),
        ("int f();", "without a prototype"),
    ],
)
def test_what_cannot_be_passed_is_refused_with_the_reason(prototype: str, reason: str) -> None:
    with pytest.raises(NotBoundError, match=reason):
        bound(prototype)
