# SPDX-License-Identifier: MIT
"""The words of annotations: what they mean, how they combine, what is wrong with bad ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway import _annotate
from headway._annotate import FunctionWords, flatten, function_words
from headway._errors import AnnotationError
from headway._expression import Malformed, constant, fold, postfix
from headway._words import RETURN, ParamWords, Status

CALLBACK = ["ptr", ["fn", "int", [["ptr", "void", False], "int", "int"], False, True], False]
PARAMS: list[tuple[str, Any]] = [
    ("db", ["ptr", ["rec", "struct db"], False]),
    ("n", "int"),
    ("data", ["ptr", "double", False]),
    ("callback", CALLBACK),
    ("", ["ptr", "void", False]),
]
RECORD: dict[str, Any] = {
    "name": "work",
    "params": [{"name": name, "type": type_, "words": ""} for name, type_ in PARAMS],
    "words": "",
}


def words(*layers: dict[str, str], **record: Any) -> FunctionWords:
    return function_words({**RECORD, **record}, *layers)


def param(text: str) -> ParamWords:
    return words({"data": text}).params[2]


def refused(path: str, text: str) -> str:
    with pytest.raises(AnnotationError) as caught:
        words({path: text})
    return str(caught.value)


# ---- what the words mean -----------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["in", "out", "inout"])
def test_a_direction_is_kept(direction: str) -> None:
    assert param(direction) == ParamWords(direction=direction)


@pytest.mark.parametrize("flag", ["borrowed", "consumed", "nullable", "error", "bytes"])
def test_a_flag_is_set(flag: str) -> None:
    assert param(flag) == ParamWords(**{flag: True})


def test_words_are_separated_by_commas_and_blanks_do_not_matter() -> None:
    assert param(" in ,size = n ") == param("in,size=n") == ParamWords("in", size=("n",))


def test_a_size_is_an_expression_or_a_list_of_bounds() -> None:
    assert param("size=2 * (n + 1)").size == ("2 * (n + 1)",)
    assert param("size=[n][3]").size == ("n", "3")


def test_parameters_are_meant_by_name_or_by_index() -> None:
    assert words({"2": "capacity=1"}) == words({"data": "capacity=n"})
    assert words({"4": "nullable"}).params == {4: ParamWords(nullable=True)}
    assert words({"arg4": "nullable"}) == words({"4": "nullable"})


def test_leading_underscores_of_a_name_may_be_left_out() -> None:
    params = [
        {"name": "__x", "type": "int", "words": ""},
        {"name": "_y", "type": "int", "words": ""},
    ]
    said = words({"x": "nullable", "_y": "nullable"}, params=params)
    assert said.params == {0: ParamWords(nullable=True), 1: ParamWords(nullable=True)}


def test_a_length_is_in_a_parameter_or_in_the_return_value() -> None:
    assert param("length=n").length == 1
    assert param("length=return").length == RETURN


def test_the_words_of_a_callback() -> None:
    said = words({"callback": "call, context=4, on_error=-1", "callback.2": "in, size=1"})
    assert said.params[3] == ParamWords(context=4, on_error="-1")
    assert said.callbacks == {3: {2: ParamWords("in", size=("1",))}}


def test_how_long_a_callback_is_kept() -> None:
    assert words({"callback": "keep"}).params[3].keep == "always"
    assert words({"callback": "keep=db"}).params[3].keep == 0


def test_the_context_of_a_callback_may_be_said_of_its_parameter() -> None:
    assert words({"callback.0": "context"}).callbacks[3][0].is_context


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("status(0)", Status("==", ("0",))),
        ("status(0, 1)", Status("==", ("0", "1"))),
        ("status(OK, DONE)", Status("==", ("OK", "DONE"))),
        ("status(>=0)", Status(">=", ("0",))),
        ("status(!= 0)", Status("!=", ("0",))),
        ("status(!=-1, errno)", Status("!=", ("-1",), errno=True)),
        ("status(nonnull)", Status("nonnull")),
        ("status(errno)", Status("", errno=True)),
        ("status(0, message=text_of)", Status("==", ("0",), message="text_of")),
        ("status(0; message=text_of)", Status("==", ("0",), message="text_of")),
    ],
)
def test_a_status(text: str, expected: Status) -> None:
    assert words({"return": text}).status == expected


def test_the_words_of_a_function_stand_alone_or_with_return() -> None:
    alone = words({"serial": "", "lock": "planner", "split": "n", "name": "labor", "gil": "keep"})
    beside = words({"return": "serial, lock=planner, split='n', name=labor, gil=keep"})
    assert (
        alone
        == beside
        == FunctionWords(gil="keep", serial=True, lock="planner", split="n", name="labor")
    )


def test_keep_gil_and_release_gil_are_words_too() -> None:
    assert words({"keep_gil": ""}).gil == "keep"
    assert words({"return": "release_gil"}).gil == "release"


# ---- how places combine ------------------------------------------------------------------------


def test_later_words_are_laid_over_earlier_ones() -> None:
    said = words({"data": "in, size=n"}, {"data": "out"}, {"data": "nullable"})
    assert said.params[2] == ParamWords("out", size=("n",), nullable=True)


def test_the_words_of_the_header_come_first() -> None:
    params = [dict(p) for p in RECORD["params"]]
    params[2]["words"] = "in, size=n"
    said = words({"data": "out"}, params=params, words="serial, status(0)")
    assert said.params[2] == ParamWords("out", size=("n",))
    assert said.serial
    assert said.status == Status("==", ("0",))


def test_a_parameter_with_the_name_of_a_word_is_the_parameter() -> None:
    params = [{"name": "lock", "type": ["ptr", "int", False], "words": ""}]
    assert words({"lock": "nullable"}, params=params).params == {0: ParamWords(nullable=True)}


def test_nested_tables_and_paths_say_the_same() -> None:
    expected = {"f": {"x": "in", "cb": "call", "cb.1": "context", "serial": ""}}
    nested = {"f": {"x": "in", "cb": "call", "cb.1": "context", "serial": True}}
    assert flatten(nested, "here") == expected
    assert flatten({"f": {"cb": {1: "context"}}}, "here") == {"f": {"cb.1": "context"}}
    assert flatten({"f.cb.1": "context"}, "here") == {"f": {"cb.1": "context"}}
    assert flatten({"f": "serial"}, "here") == {"f": {"return": "serial"}}
    assert flatten({"f": {"serial": False}}, "here") == {"f": {}}


def test_toml_is_read(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('[f]\nx = "in"\n4 = "out"\n"cb.2" = "in, size=1"\n', encoding="utf-8")
    assert _annotate.read_toml(str(file)) == {"f": {"x": "in", "4": "out", "cb.2": "in, size=1"}}


def test_the_callbacks_in_a_struct() -> None:
    record = {
        "name": "struct gsl_function_struct",
        "fields": [
            {"name": "function", "type": CALLBACK},
            {"name": "params", "type": ["ptr", "void", False]},
        ],
    }
    said = _annotate.struct_words(record, {"function": "context=params", "function.2": "size=1"})
    assert said.fields == {"function": ParamWords(context=1)}
    assert said.callbacks == {"function": {2: ParamWords(size=("1",))}}
    with pytest.raises(AnnotationError, match=r"'functoin'.*did you mean 'function'"):
        _annotate.struct_words(record, {"functoin": "context=params"})
    with pytest.raises(AnnotationError, match="function pointer"):
        _annotate.struct_words(record, {"params": "nullable"})


# ---- what is wrong -----------------------------------------------------------------------------


def test_an_unknown_parameter_is_named_with_those_there_are() -> None:
    message = refused("dat", "in")
    assert "work" in message
    assert "'dat'" in message
    assert "0: db, 1: n, 2: data, 3: callback, 4: arg4" in message
    assert "did you mean 'data'" in message


def test_an_index_beyond_the_parameters_is_refused() -> None:
    assert "key '5'" in refused("5", "in")


def test_an_unknown_word_is_named_with_those_allowed() -> None:
    message = refused("data", "in, sise=n")
    assert "work, parameter 'data'" in message
    assert "'sise'" in message
    assert "capacity" in message
    assert "did you mean 'size'" in message


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("data", "in out", "malformed"),
        ("data", "in, out", "exclude each other"),
        ("data", "size", "size=EXPRESSION"),
        ("data", "size=", "malformed"),
        ("data", "size=n +", "integer expression"),
        ("data", "size=(n", "leaves a bracket"),
        ("data", "size=n)", "closes a bracket"),
        ("data", "size=[n]m", "list of bounds"),
        ("data", "nullable=1", "write nullable"),
        ("data", "capacity=m", "no parameter"),
        ("data", "length=m", "no parameter"),
        ("data", "owned=not a name", "not a name"),
        ("data", "context", "callback's void"),
        ("data", ",", "unknown word ''"),
        ("data", "in, 'x", "bracket or quote open"),
        ("data.1", "in", "callbacks only"),
        ("callback", "call, keep", "exclude each other"),
        ("callback.7", "in", "has 3 parameters"),
        ("callback.2", "in, size=7", "no parameter of the callback"),
        ("callback.2", "out", "unknown word 'out'"),
        ("callback.0", "context=1", "takes no value"),
        ("return", "status", "status(0)"),
        ("return", "status()", "not understood"),
        ("return", "status(message=f)", "does not say what success is"),
        ("return", "status(0, >=1)", "one condition"),
        ("return", "status(nonnull, 0)", "one condition"),
        ("return", "status(=>0)", "not understood"),
        ("return", "status(0x)", "neither an integer nor a name"),
        ("return", "size=n", "unknown word 'size'"),
        ("gil", "hold", "gil=keep or gil=release"),
        ("keep_gil", "yes", "malformed"),
        ("return", "keep_gil, release_gil", "exclude each other"),
        ("lock", "", "lock=NAME"),
        ("name", "not-a-name", "not a name"),
    ],
)
def test_malformed_text_is_refused_with_what_to_write(path: str, text: str, expected: str) -> None:
    message = refused(path, text)
    assert message.startswith("annotation of work, ")
    assert expected in message


def test_a_value_that_is_no_text_is_refused() -> None:
    with pytest.raises(AnnotationError, match=r"here: f\.x is 3"):
        flatten({"f": {"x": 3}}, "here")


def test_a_file_that_is_not_toml_is_refused_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text("[f\n", encoding="utf-8")
    with pytest.raises(AnnotationError, match=r"bad\.toml is not valid TOML: .*line 1"):
        _annotate.read_toml(str(file))


def assert_understood_or_refused(path: str, text: str) -> None:
    message = "work"
    try:
        words({path: text})
    except AnnotationError as error:
        message = str(error)
    assert "work" in message


@given(st.sampled_from(["data", "callback", "callback.2", "return"]), st.text(max_size=40))
def test_any_text_is_understood_or_refused_with_an_annotation_error(path: str, text: str) -> None:
    assert_understood_or_refused(path, text)


_PIECES = st.lists(
    st.sampled_from(
        ["in", "out", "size", "=", "n", ",", " ", "(", ")", "[", "]", "status", "0", ">=", '"',
         "message", "context", "keep", "4", "owned", "length", "return", ";", "+", "gil"]
    ),
    max_size=12,
)  # fmt: skip


@given(st.sampled_from(["data", "callback", "callback.2", "return"]), _PIECES)
def test_any_sequence_of_pieces_is_understood_or_refused(path: str, pieces: list[str]) -> None:
    assert_understood_or_refused(path, "".join(pieces))


# ---- expressions -------------------------------------------------------------------------------


def _evaluate(text: str) -> int | None:
    steps = [
        (0, term.value) if term.kind == "int" else (2, ord(term.text)) for term in postfix(text)
    ]
    return fold(tuple(steps))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 3 - 2", 5),
        ("-7 / 2", -3),  # towards zero, as C has it
        ("-7 % 2", -1),
        ("7 % -2", 1),
        ("0x10u + 010", 24),
        ("- - 3", 3),
        ("1 / 0", None),
    ],
)
def test_expressions_have_the_values_of_c(text: str, value: int | None) -> None:
    assert _evaluate(text) == value


@pytest.mark.parametrize(
    "text", ["", "n n", "1 +", "(1", "1)", "a.b", "f(1)", "1 << 2", "3x", "09"]
)
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        postfix(text)


@given(st.text(alphabet="n m0123456789xX+-*/%()uUlL", max_size=30))
def test_any_text_is_an_expression_or_malformed(text: str) -> None:
    try:
        terms = postfix(text)
    except Malformed:
        return
    depth = 0
    for term in terms:
        depth += -1 if term.kind == "op" else 1
        assert depth >= 1
    assert depth == 1


def test_deep_parentheses_are_refused_and_do_not_exhaust_the_stack() -> None:
    with pytest.raises(Malformed):
        postfix("(" * 10_000 + "1" + ")" * 10_000)


def test_constants_are_numbers_or_names_of_the_header() -> None:
    records = {"N": {"k": "macro", "value": 7}, "f": {"k": "function"}}
    assert [constant(records.get, t) for t in ("3", "0x10", "1.5", "N", "f", "g")] == [
        3, 16, 1.5, 7, None, None,
    ]  # fmt: skip


# ---- finding the words ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("return", "nonnull", r"did you mean status\(nonnull\)\?"),
        ("return", "errno", r"did you mean status\(errno\)\?"),
        ("return", "0", r"did you mean status\(0\)\?"),
        ("return", ">=0", r"did you mean status\(>=0\)\?"),
        ("return", "message=why", r"did you mean status\(0, message=why\)\?"),
        ("x", "nonnull", r"did you mean status\(nonnull\) for the return value\?"),
    ],
)
def test_what_belongs_in_status_is_told_so(path: str, text: str, said: str) -> None:
    record = {"name": "f", "params": [{"name": "x", "type": "int"}], "words": ""}
    with pytest.raises(AnnotationError, match=said):
        function_words(record, {path: text})


def test_every_word_is_documented() -> None:
    from headway import _words, load

    page = (Path(__file__).parents[2] / "docs" / "annotations.md").read_text(encoding="utf-8")
    for words in (_words.PARAM, _words.RESULT, _words.FUNCTION):
        for word in words:
            assert f"`{word}" in page, word
            if word not in ("keep_gil", "release_gil"):
                assert word in (load.__doc__ or ""), word
