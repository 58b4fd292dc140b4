# SPDX-License-Identifier: MIT
"""The command: what each verb shows, one-line errors, exit status 2 for usage and 1 for failure."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headway import _cachedir
from headway._bench import _demo
from headway._cli import main

VERBS = ("load", "demo", "bench", "info", "cache")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in this process: exit status, standard output, standard error."""

    def run(*words: str) -> tuple[int, str, str]:
        status = main(words)
        output = capfd.readouterr()
        return status, output.out, output.err

    return run


@pytest.fixture
def run_json(run: Run) -> Callable[..., Any]:
    """Runs a verb with ``--json``; what it printed."""

    def run_json(*words: str) -> Any:
        status, out, err = run(*words, "--json")
        assert (status, err) == (0, "")
        return json.loads(out)

    return run_json


HEADER = """
#include <stddef.h>
#define ANSWER 42
#define TWICE(x) (2 * (x))
struct pair { int a, b; };
/* Adds. */
double add(double a, double b);
void scale(size_t n, const double x[n], double y[n]);
void old_style();
static inline int small(int x) { return x; }
double _hidden(double x);
"""
SOURCE = """
#include "shapes.h"
double add(double a, double b) { return a + b; }
double _hidden(double x) { return x; }
void scale(size_t n, const double x[n], double y[n]) { for (size_t i = 0; i < n; i++) y[i] = x[i]; }
"""


@pytest.fixture(scope="module")
def shapes(
    tmp_path_factory: pytest.TempPathFactory, c_library: Callable[..., Path]
) -> tuple[str, str]:
    """A library and its header, as arguments of ``headway load``."""
    directory = tmp_path_factory.mktemp("shapes")
    (directory / "shapes.h").write_text(HEADER, encoding="utf-8")
    return str(c_library(SOURCE, f"-I{directory}")), str(directory / "shapes.h")


# ---- help, usage, failure ------------------------------------------------------------------------


def test_help_names_every_verb(run: Run) -> None:
    status, out, _ = run("--help")
    assert status == 0
    assert all(verb in out for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_explains_and_lists_its_options(run: Run, verb: str) -> None:
    status, out, _ = run(verb, "--help")
    assert status == 0
    assert "--json" in out
    assert len(out.split()) > 40


def test_help_imports_neither_numpy_nor_libclang() -> None:
    probe = (
        "import sys; from headway._cli import main; main(['--help']);"
        "print({'numpy', 'clang', 'clang.cindex', 'headway._numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_python_m_headway_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "headway", "--version"], capture_output=True, text=True, check=True
    )
    build = (Path(__file__).parents[2] / "meson.build").read_text("utf-8")
    (version,) = re.findall(r"^  version: '(.*)'", build, re.M)
    assert done.stdout == f"headway {version}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["load"], "Missing argument"),
        (["nonsense"], "No such command"),
        (["cache", "--nonsense"], "No such option"),
        (["bench", "nonsense"], "nonsense"),
        (["bench", "call", "--seconds", "x"], "--seconds"),
        (["bench", "call", "--json", "--markdown"], "exclude each other"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(run: Run, words: list[str], said: str) -> None:
    status, out, err = run(*words)
    assert (status, out) == (2, "")
    assert err.startswith("headway: error: ")
    assert err.count("\n") == 1
    assert said in err
    assert "--help" in err


@pytest.mark.parametrize(
    ("library", "header", "said"),
    [("m", "no/such/header.h", "no/such/header.h"), ("nosuchlibrary", "math.h", "nosuchlibrary")],
)
def test_a_failure_is_one_line_and_status_1(run: Run, library: str, header: str, said: str) -> None:
    status, out, err = run("load", library, header)
    assert (status, out) == (1, "")
    assert err.startswith("headway: error: ")
    assert err.count("\n") == 1
    assert said in err


def test_the_exit_status_reaches_the_shell() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "headway", "load", "m", "no/such.h"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


# ---- load ----------------------------------------------------------------------------------------


def test_load_lists_what_is_bound_and_how(
    run_json: Callable[..., Any], shapes: tuple[str, str]
) -> None:
    names = {row["name"]: row for row in run_json("load", *shapes)["names"]}
    assert names["add"]["signature"].startswith("add(a")
    assert names["add"]["map"] == "ufunc"
    assert names["scale"]["map"] == "(n)->(n)"
    assert names["ANSWER"]["bound"]
    assert names["pair"]["kind"] == "struct"
    assert "_hidden" not in names


def test_load_tells_which_arrays_are_assumed_to_be_outputs(
    run_json: Callable[..., Any], shapes: tuple[str, str]
) -> None:
    (row,) = run_json("load", *shapes, "--match", "scale")["names"]
    assert any("y" in note and "output" in note for note in row["notes"])


def test_load_tells_what_is_not_bound_and_why(
    run_json: Callable[..., Any], shapes: tuple[str, str]
) -> None:
    names = {row["name"]: row for row in run_json("load", *shapes)["names"]}
    for name in ("TWICE", "old_style", "small"):
        assert not names[name]["bound"]
        assert len(names[name]["reason"]) > 10


def test_load_all_lists_hidden_and_included_names(
    run_json: Callable[..., Any], shapes: tuple[str, str]
) -> None:
    names = {row["name"] for row in run_json("load", *shapes, "--all")["names"]}
    assert {"add", "_hidden", "size_t"} <= names


def test_load_prints_tables(run: Run, shapes: tuple[str, str]) -> None:
    status, out, _ = run("load", *shapes)
    assert status == 0
    for text in ("add(a", "(n)->(n)", "Not bound", "old_style", " bound, "):
        assert text in out


def test_load_options_reach_the_header(
    run_json: Callable[..., Any], tmp_path: Path, c_library: Callable[..., Path]
) -> None:
    (tmp_path / "inner").mkdir(exist_ok=True)
    (tmp_path / "inner/inner.h").write_text("#define INNER 7\n", encoding="utf-8")
    header = tmp_path / "outer.h"
    header.write_text(
        "#include <inner.h>\n#define DOUBLE (2 * GIVEN)\n"
        "#ifdef FLAG\nint flagged(int x);\n#endif\n#ifdef GIVEN\nint f(int *x);\n#endif\n",
        encoding="utf-8",
    )
    (tmp_path / "words.toml").write_text('[f]\nx = "out"\n', encoding="utf-8")
    library = c_library("int f(int *x) { return *x = 1; } int flagged(int x) { return x; }")
    found = run_json(
        "load", str(library), str(header), "-I", str(tmp_path / "inner"), "-D", "GIVEN=21",
        "-D", "FLAG", "--annotate", str(tmp_path / "words.toml"),
    )  # fmt: skip
    names = {row["name"]: row for row in found["names"]}
    assert "42" in names["DOUBLE"]["c"]
    assert "(int, int)" in names["f"]["signature"]
    assert "flagged" in names


def test_load_takes_several_libraries_or_the_process(run_json: Callable[..., Any]) -> None:
    (row,) = run_json("load", "-", "stdlib.h", "--match", "div")["names"]
    assert row["bound"]
    (row,) = run_json("load", "m,z", "zlib.h", "--match", "zlibVersion")["names"]
    assert row["bound"]


# ---- info, cache ---------------------------------------------------------------------------------


def test_info_tells_what_was_found(run_json: Callable[..., Any]) -> None:
    import headway as hw

    found = run_json("info")
    assert found["versions"]["headway"]
    assert sys.executable in found["versions"]["python"]
    assert found["processor"]["affinity"] == len(os.sched_getaffinity(0))
    assert found["threads"]["used"] == hw.get_num_threads()
    assert set(found["compilers"]) == {"gcc", "clang"}
    assert found["cache"]["path"] == os.environ["HEADWAY_CACHE_DIR"]


def test_info_prints_a_line_for_each_thing(run: Run) -> None:
    status, out, _ = run("info")
    assert status == 0
    for word in ("headway", "libclang", "cores", "SIMD", "threads", "gcc", "vector math", "cache"):
        assert any(line.startswith(word) for line in out.splitlines()), word


def test_cache_shows_and_clears_its_entries(
    run: Run, run_json: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADWAY_CACHE_DIR", str(tmp_path))
    room = _cachedir.room("headers")
    assert room is not None
    assert _cachedir.store(room / "entry", b"12345")
    assert run_json("cache") == {
        "path": str(tmp_path),
        "entries": 1,
        "size": 5,
        "kinds": {"headers": {"entries": 1, "size": 5}},
    }
    assert "1 entries, 5 B" in run("cache")[1]
    assert run_json("cache", "--clear")["removed"] == 1
    assert run_json("cache")["entries"] == 0


# ---- bench, demo ---------------------------------------------------------------------------------

CALL = (
    ("headway", ("METH_FASTCALL", "nanobind", "cffi", "ctypes")),
    ("headway, GIL kept", ("METH_FASTCALL, GIL kept", "nanobind, GIL kept")),
    ("headway, GIL released", ("METH_FASTCALL, GIL released",)),
)


def test_bench_call_reports_each_figure_or_why_not(run_json: Callable[..., Any]) -> None:
    found = run_json("bench", "call", "--seconds", "0")
    measured = {(row["ours"][0], row["theirs"][0]) for row in found["figures"] if row["theirs"]}
    for ours, peers in CALL:
        for peer in peers:
            assert (ours, peer) in measured or peer in found["absent"]
    assert "headway" not in found["absent"]
    (start_up,) = (row for row in found["figures"] if row["figure"].startswith("import headway"))
    assert "NumPy was not imported" in start_up["ours"][2]
    assert start_up["bound"] == 30


def test_bench_map_reports_each_figure_or_why_not(run: Run) -> None:
    status, out, err = run("bench", "map", "--seconds", "0", "--markdown")
    assert (status, err) == (0, "")
    for text in (
        "vector math, 1 thread, against the plain C loop",
        "compiled with plain libm, against the plain C loop",
        "2 threads against 1",
        "loaded (no compiler), cos",
        "loaded (no compiler), three-double sum",
        "m.hypot on 10 elements",
        "m.hypot on 1,000 elements",
        "cast float32 input",
        "against np.matmul",
    ):
        assert text in out


def test_bench_shows_another_interpreter_beside(run_json: Callable[..., Any]) -> None:
    found = run_json("bench", "call", "--seconds", "0", "--beside", sys.executable)
    version = found["machine"]["python"]
    assert all(version in row["beside"] for row in found["figures"])


def test_bench_beside_something_without_headway_fails_in_one_line(run: Run, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho no module >&2\nexit 1\n", encoding="utf-8")
    python.chmod(0o755)
    status, _, err = run("bench", "call", "--seconds", "0", "--beside", str(python))
    assert status == 1
    assert "no module" in err.splitlines()[-1]


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("scipy", "matplotlib", "cffi")),
    reason="the demo's peers are in the extras bench and plot, which this interpreter lacks",
)
def test_demo_measures_every_way_and_draws_a_picture(
    run_json: Callable[..., Any], tmp_path: Path
) -> None:
    found = run_json("demo", "--seconds", "0.01", "--output", str(tmp_path / "demo.png"))
    beta, matmul = found["tables"]
    assert [line["name"] for line in beta["lines"]] == [
        "plain Python", "SciPy scalar", "SciPy vector", "cffi", "Headway loaded",
        "Headway compiled", "Headway + vector math", "Headway + all cores", "plain C",
    ]  # fmt: skip
    assert all(line["per_element"] > 0 for line in beta["lines"] + matmul["lines"])
    assert all("not on this machine" not in line["result"] for line in found["libraries"])
    assert (tmp_path / "demo.png").read_bytes().startswith(b"\x89PNG")


# ---- the number of threads -----------------------------------------------------------------------


@pytest.mark.parametrize("given", ["abc", "-3", "0", "1025", "2.5", "٣"])
def test_a_number_of_threads_that_is_none_is_warned_of(
    python_environment: dict[str, str], given: str
) -> None:
    environment = {**python_environment, "HEADWAY_NUM_THREADS": given, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-m", "headway", "info"],
        env=environment, capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip
    assert done.stderr.count("RuntimeWarning") == 1
    assert (
        f"HEADWAY_NUM_THREADS={given} is ignored: expected a number from 1 to 1024" in done.stderr
    )
    assert "ignored" in done.stdout


@pytest.mark.parametrize("given", ["", " 3 ", "1024"])
def test_a_number_of_threads_is_taken_without_a_word(
    python_environment: dict[str, str], given: str
) -> None:
    program = "import headway, sys; print(headway.get_num_threads())"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**python_environment, "HEADWAY_NUM_THREADS": given},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    assert not given or int(done.stdout) == int(given)


# ---- what is said on the way ---------------------------------------------------------------------


def test_without_words_the_help_is_printed(run: Run) -> None:
    status, out, err = run()
    assert (status, err) == (0, "")
    assert "Usage" in out and "demo" in out


@pytest.mark.parametrize("place", ["absent/demo.png", "."])
def test_demo_looks_at_the_output_before_it_measures(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(_demo, "libraries", lambda: pytest.fail("it began"))
    status, _, err = run("demo", "--output", str(tmp_path / place))
    assert status == 2
    assert "--output" in err and "directory" in err


def test_advice_is_in_the_commands_words(run: Run, tmp_path: Path) -> None:
    (tmp_path / "needy.h").write_text("int put(FILE *file);\n", encoding="utf-8")
    status, _, err = run("load", "m", str(tmp_path / "needy.h"))
    assert status == 1 and "--include stdio.h" in err and "headers=" not in err
    assert run("load", "-", str(tmp_path / "needy.h"), "--include", "stdio.h")[0] == 0
    _, _, err = run("load", "m", "no/such.h")
    assert "-I DIRECTORY" in err and "--pkg-config PACKAGE" in err and "include_dirs" not in err
    _, _, err = run("load", "m", "math.h", "-I", str(tmp_path / "absent"))
    assert "-I: " in err and "does not exist" in err


def test_the_table_says_each_thing_once(run: Run, tmp_path: Path, shapes: tuple[str, str]) -> None:
    header = tmp_path / "guarded.h"
    header.write_text(
        f'#ifndef GUARDED_H\n#define GUARDED_H\n#define API\n#include "{shapes[1]}"\n'
        "struct lone { int x; };\nAPI void old();\ndouble gone(void);\n#endif\n",
        encoding="utf-8",
    )
    status, out, _ = run("load", shapes[0], str(header))
    assert status == 0
    assert "struct struct" not in out and "refused" not in out and "is not bound:" not in out
    assert "include guards: API, GUARDED_H" in out
    table = json.loads(run("load", shapes[0], str(header), "--json")[1])["names"]
    (gone,) = [row for row in table if row["name"] == "gone"]
    assert gone["reason"].startswith("the header declares it")


def test_a_pattern_that_matches_nothing_says_so(run: Run, shapes: tuple[str, str]) -> None:
    status, out, _ = run("load", *shapes, "--match", "nothing*")
    assert status == 0 and "'nothing*' matches nothing that dir() lists" in out
    assert "matches nothing" not in run("load", *shapes, "--match", "add")[1]
