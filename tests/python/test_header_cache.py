# SPDX-License-Identifier: MIT
"""The header cache: quick where it is right, silent where it is wrong, never the reason of an error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway import _cachedir, _headers
from headway._errors import HeaderError
from headway._headers import Declarations, _cache, _read
from headway._headers._request import Request

HEADER = """
/** Adds. */
int add(int a, int b);
/* Both of these, sum() and mean(). */
double sum(int n, const double x[n]);
double mean(int n, const double x[n]);
struct pair { int first; double second[2]; };
enum color { RED, GREEN = 5 };
#define TEXT "text"
#define LIMIT 12
#define CALL(x) x
"""

PAST = 1_500_000_000  # seconds: a time long ago


@pytest.fixture(autouse=True)
def cache_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "cache"
    monkeypatch.setenv("HEADWAY_CACHE_DIR", str(directory))
    return directory


@pytest.fixture
def include(tmp_path: Path) -> Path:
    directory = tmp_path / "include"
    directory.mkdir()
    write(directory / "mine.h", HEADER)
    return directory


class Counter:
    """How often headers were really read."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> int:
        count, self.count = self.count, 0
        return count


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> Counter:
    counter, real = Counter(), _read.read

    def counted(*args: Any) -> Any:
        counter.count += 1
        return real(*args)

    monkeypatch.setattr(_read, "read", counted)
    return counter


def write(path: Path, text: str, when: float | None = PAST) -> None:
    """Write a file that looks as if it was written long ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    if when is not None:
        os.utime(path, (when, when))


@pytest.fixture
def aged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets times that cannot be set, those of inode changes, count as old."""
    monkeypatch.setattr(_cache, "_GRAIN", -(10**18))


def content(found: Declarations) -> dict[str, Any]:
    records = {name: found.get(name) for name in found.names()}
    records.update({key: found.get(key) for key in ("struct pair", "enum color")})
    return {
        "records": records,
        "listed": found.listed,
        "refused": found.refused,
        "diagnostics": found.diagnostics,
    }


def read(include: Path, **options: Any) -> Declarations:
    return _headers.read(["mine.h"], include_dirs=[include], **options)


def entry_file(cache_dir: Path) -> Path:
    (file,) = (cache_dir / "headers").iterdir()
    return file


# ---- hits --------------------------------------------------------------------------------------


def test_a_second_reading_comes_from_the_cache_and_is_the_same(
    include: Path, readings: Counter
) -> None:
    cold, warm = read(include), read(include)
    assert readings() == 1
    assert content(cold) == content(warm) == content(read(include, cache=False))
    assert warm.files == (str(include / "mine.h"),)
    assert warm.get("add")["doc"] == "Adds."  # type: ignore[index]
    assert warm.get("mean")["doc"] == "Both of these, sum() and mean()."  # type: ignore[index]


def test_records_are_the_callers_own(include: Path) -> None:
    found = read(include)
    record = found.get("add")
    assert record is not None
    record.clear()
    assert found.get("add")["name"] == "add"  # type: ignore[index]


def test_a_warm_reading_imports_neither_libclang_nor_its_reader(
    include: Path, python_environment: dict[str, str]
) -> None:
    read(include)
    script = (
        "import sys\nfrom headway import _headers\n"
        f"found = _headers.read(['mine.h'], include_dirs=[{str(include)!r}])\n"
        "assert found.get('add')['prototype'] == 'int add(int a, int b)'\n"
        "loaded = {'clang', 'headway._headers._read', 'headway._headers._libclang', 'tempfile'}\n"
        "print(sorted(loaded & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=python_environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_nothing_is_written_without_the_cache(include: Path, cache_dir: Path) -> None:
    read(include, cache=False)
    assert not cache_dir.exists()


@pytest.mark.usefixtures("aged")
def test_an_unchanged_file_is_not_even_opened(
    include: Path, readings: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(include)
    opened: list[object] = []

    def watched(path: object, mode: str) -> Any:
        opened.append(path)
        return open(path, mode)  # type: ignore[call-overload]

    monkeypatch.setattr(_cache, "open", watched, raising=False)
    read(include)
    assert readings() == 1
    assert str(include / "mine.h") not in opened


@pytest.mark.usefixtures("aged")
def test_a_touched_file_keeps_the_entry_which_learns_its_time(
    include: Path, readings: Counter, cache_dir: Path
) -> None:
    read(include)
    before = _cache.decode(entry_file(cache_dir).read_bytes())
    os.utime(include / "mine.h", (PAST + 60, PAST + 60))
    found = read(include)
    assert readings() == 1
    assert found.get("LIMIT")["value"] == 12  # type: ignore[index]
    after = _cache.decode(entry_file(cache_dir).read_bytes())
    assert before is not None
    assert after is not None
    assert before.header["files"][0][2] == PAST * 10**9
    assert after.header["files"][0][2] == (PAST + 60) * 10**9
    assert before.body == after.body
    stamp = entry_file(cache_dir).stat().st_mtime_ns
    read(include)
    assert entry_file(cache_dir).stat().st_mtime_ns == stamp


def test_a_replaced_file_of_the_same_content_keeps_the_entry(
    include: Path, readings: Counter
) -> None:
    read(include)
    write(include / "new.h", HEADER)
    os.replace(include / "new.h", include / "mine.h")
    read(include)
    assert readings() == 1


def test_a_fresh_file_is_compared_by_content(include: Path, readings: Counter) -> None:
    """A change within the clock's grain, of the same size, is seen."""
    write(include / "mine.h", "#define A 1\n", when=None)
    stamp = (include / "mine.h").stat()
    assert read(include).get("A")["value"] == 1  # type: ignore[index]
    with open(include / "mine.h", "r+", encoding="utf-8") as file:  # the same inode
        file.write("#define A 2\n")
    os.utime(include / "mine.h", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert read(include).get("A")["value"] == 2  # type: ignore[index]
    assert readings() == 2
    read(include)
    assert readings() == 0


# ---- misses ------------------------------------------------------------------------------------


def test_a_changed_file_is_read_again(include: Path, readings: Counter) -> None:
    read(include)
    write(include / "mine.h", HEADER.replace("12", "13"))
    assert read(include).get("LIMIT")["value"] == 13  # type: ignore[index]
    assert readings() == 2


def test_a_changed_file_below_is_read_again(include: Path, readings: Counter) -> None:
    write(include / "mine.h", '#include "sub/part.h"\n#include <sub/other.h>\n')
    write(include / "sub/part.h", "#define A 1\n")
    write(include / "sub/other.h", "#define B 1\n")
    read(include)
    for name in "AB":
        write(include / "sub" / {"A": "part.h", "B": "other.h"}[name], f"#define {name} 2\n")
        assert read(include).get(name)["value"] == 2  # type: ignore[index]
        assert readings() > 0


def test_a_file_that_is_gone_is_an_error_again(include: Path) -> None:
    write(include / "mine.h", '#include "part.h"\n')
    write(include / "part.h", "#define A 1\n")
    read(include)
    (include / "part.h").unlink()
    with pytest.raises(HeaderError, match="'part.h' file not found"):
        read(include)


@pytest.mark.parametrize("quoted", [False, True])
def test_a_header_that_appears_in_an_earlier_directory_wins(
    quoted: bool, tmp_path: Path, readings: Counter
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    spelled = '"deep/part.h"' if quoted else "<deep/part.h>"
    write(second / "mine.h", f"#include {spelled}\n")
    write(second / "deep/part.h", "#define A 1\n")

    def value() -> Any:
        found = _headers.read(["mine.h"], include_dirs=[first, second])
        record = found.get("A")
        assert record is not None
        return record["value"]

    assert (value(), value(), readings()) == (1, 1, 1)
    write(first / "deep/part.h", "#define A 2\n")
    # In quotes the directory of the including file comes first.
    assert value() == (1 if quoted else 2)
    write(first / "mine.h", "#define A 3\n")
    assert value() == 3


def test_a_header_that_appears_beside_the_including_one_wins(tmp_path: Path) -> None:
    write(tmp_path / "a/mine.h", '#include "part.h"\n')
    write(tmp_path / "b/part.h", "#define A 1\n")

    def value() -> Any:
        found = _headers.read(["mine.h"], include_dirs=[tmp_path / "a", tmp_path / "b"])
        return found.get("A")["value"]  # type: ignore[index]

    assert value() == value() == 1
    write(tmp_path / "a/part.h", "#define A 2\n")
    assert value() == 2


def test_the_answer_of_has_include_may_change(include: Path, readings: Counter) -> None:
    write(
        include / "mine.h",
        "#if defined(__has_include)\n#if __has_include(<extra/maybe.h>)\n#define A 1\n#else\n"
        "#define A 2\n#endif\n#endif\n",
    )

    def value() -> Any:
        return read(include).get("A")["value"]  # type: ignore[index]

    assert (value(), value(), readings()) == (2, 2, 1)
    write(include / "extra/maybe.h", "")
    assert (value(), value(), readings()) == (1, 1, 1)
    (include / "extra/maybe.h").unlink()
    assert (value(), value(), readings()) == (2, 2, 1)


def test_what_asks_for_a_computed_name_is_not_kept(include: Path, readings: Counter) -> None:
    write(
        include / "mine.h",
        "#define WANTED <extra/maybe.h>\n#if __has_include(WANTED)\n#define A 1\n#endif\n",
    )
    assert read(include).get("A") is None
    write(include / "extra/maybe.h", "")
    assert read(include).get("A") is not None
    assert readings() == 2


def test_a_fallback_for_has_include_is_no_question(include: Path, readings: Counter) -> None:
    write(include / "mine.h", "#ifndef __has_include\n# define __has_include(x) 0\n#endif\n")
    read(include)
    read(include)
    assert readings() == 1


def test_other_questions_have_other_answers(include: Path, readings: Counter) -> None:
    write(include / "mine.h", "#ifdef X\n#define A X\n#else\n#define A 0\n#endif\n")

    def value(**options: Any) -> Any:
        return read(include, **options).get("A")["value"]  # type: ignore[index]

    for _ in range(2):
        assert value() == 0
        assert value(defines={"X": 1}) == 1
        assert value(defines={"X": 2}) == 2
        assert value(extra_args=["-DX=3"]) == 3
    assert readings() == 4
    for _ in range(2):
        for text in ("int f(void);", "int g(void);"):
            found = _headers.read([], source=text)
            assert found.listed == (text[4],)
    assert readings() == 2


def test_relative_includes_of_source_depend_on_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        write(tmp_path / name / "part.h", f"int {name}(void);\n")
    for name in "abab":
        monkeypatch.chdir(tmp_path / name)
        found = _headers.read([], source='#include "part.h"\n')
        assert found.get(name) is not None
        assert len(set(found.names()) & {"a", "b"}) == 1


@pytest.mark.usefixtures("aged")
def test_another_libclang_reads_again_and_a_missing_one_does_not(
    include: Path, readings: Counter, cache_dir: Path
) -> None:
    read(include)
    file = entry_file(cache_dir)
    entry = _cache.decode(file.read_bytes())
    assert entry is not None
    tools = entry.header["tools"]
    assert "libclang" in tools[0][0]
    tools[0][0] = "/nonexistent/libclang.so"
    file.write_bytes(_cache.encode(entry))
    read(include)
    assert readings() == 1
    tools[0][0], tools[0][1] = sys.executable, 1
    file.write_bytes(_cache.encode(entry))
    read(include)
    assert readings() == 1


def test_errors_are_not_kept(include: Path, readings: Counter) -> None:
    write(include / "mine.h", "int f(")
    for _ in range(2):
        with pytest.raises(HeaderError):
            read(include)
    assert readings() == 2


def test_warnings_are_kept(include: Path, readings: Counter) -> None:
    write(include / "mine.h", "#warning careful\nint f(void);\n")
    assert read(include).diagnostics == read(include).diagnostics
    assert "careful" in read(include).diagnostics[0]
    assert readings() == 1


# ---- where it cannot be kept -------------------------------------------------------------------


def test_a_cache_that_cannot_be_written_costs_time_only(
    include: Path, cache_dir: Path, readings: Counter
) -> None:
    cache_dir.write_text("a file where a directory should be")
    for _ in range(2):
        assert read(include).get("add") is not None
    assert readings() == 2


def replaced(file: Path, how: str) -> None:
    file.unlink()
    if how == "directory":
        file.mkdir()
    elif how == "pipe":
        os.mkfifo(file)
    elif how == "loop":
        file.symlink_to(file)
    elif how == "device":
        file.symlink_to("/dev/zero")
    elif how == "empty":
        file.touch()


@pytest.mark.parametrize("how", ["directory", "pipe", "loop", "device", "empty"])
def test_something_else_in_the_place_of_an_entry_is_ignored(
    how: str, include: Path, cache_dir: Path, readings: Counter
) -> None:
    expected = content(read(include))
    replaced(entry_file(cache_dir), how)
    assert content(read(include)) == expected
    assert readings() == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a file away")
def test_an_entry_of_another_user_is_ignored(
    include: Path, cache_dir: Path, readings: Counter
) -> None:
    read(include)
    os.chown(entry_file(cache_dir), 12345, 12345)
    read(include)
    assert readings() == 2
    assert entry_file(cache_dir).stat().st_uid == 0


def test_no_home_directory_costs_time_only(include: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HEADWAY_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(RuntimeError, match="HEADWAY_CACHE_DIR"):
        _cachedir.location()
    assert _cachedir.room("headers") is None
    assert read(include).get("add") is not None


# ---- entries that are wrong --------------------------------------------------------------------


@pytest.fixture(scope="module")
def entry(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, dict[str, Any]]:
    """An include directory, the bytes of the entry for it, and the right answer."""
    include, cache = tmp_path_factory.mktemp("include"), tmp_path_factory.mktemp("cache")
    write(include / "mine.h", HEADER)
    before = os.environ["HEADWAY_CACHE_DIR"]
    os.environ["HEADWAY_CACHE_DIR"] = str(cache)
    try:
        expected = content(read(include))
        return include, entry_file(cache).read_bytes(), expected
    finally:
        os.environ["HEADWAY_CACHE_DIR"] = before


Entry = tuple[Path, bytes, dict[str, Any]]


def served(entry: Entry, altered: bytes) -> None:
    """Whatever the entry holds, the answer is right."""
    include, _, expected = entry
    key = Request(["mine.h"], None, [include]).key
    file = Path(_cache.path_of(key))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(altered)
    assert content(read(include)) == expected
    # and if it was not served it has been replaced
    assert _cache.decode(file.read_bytes()) is not None


relaxed = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@relaxed
@given(data=st.data())
def test_a_mutated_entry_never_changes_the_answer(entry: Entry, data: st.DataObject) -> None:
    raw = bytearray(entry[1])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        action = data.draw(st.sampled_from(["flip", "delete", "insert", "zero"]))
        if action == "flip":
            raw[at] ^= data.draw(st.integers(1, 255))
        elif action == "delete":
            del raw[at : at + data.draw(st.integers(1, 50))]
        elif action == "insert":
            raw[at:at] = data.draw(st.binary(min_size=1, max_size=50))
        else:
            raw[at : at + 20] = bytes(len(raw[at : at + 20]))
        raw = raw or bytearray(b"\0")
    served(entry, bytes(raw))


@relaxed
@given(raw=st.binary(max_size=300))
def test_any_bytes_in_the_place_of_an_entry_are_harmless(entry: Entry, raw: bytes) -> None:
    served(entry, raw)


def test_a_truncated_entry_never_changes_the_answer(entry: Entry) -> None:
    raw = entry[1]
    for size in {*range(0, len(raw), 97), len(raw) - 1}:
        assert _cache.decode(raw[:size]) is None
    served(entry, raw[: len(raw) // 2])
    served(entry, raw + b"x")


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@relaxed
@given(field=st.sampled_from(["files", "absent", "present", "tools", "names", "ends", "listed",
                              "refused", "diagnostics", "key"]),
       value=values, remove=st.booleans())  # fmt: skip
def test_a_header_of_another_shape_with_right_checksums_does_not_raise(
    entry: Entry, field: str, value: Any, remove: bool
) -> None:
    decoded = _cache.decode(entry[1])
    assert decoded is not None
    decoded.header[field] = value
    if remove:
        del decoded.header[field]
    include = entry[0]
    key = Request(["mine.h"], None, [include]).key
    file = Path(_cache.path_of(key))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(_cache.encode(decoded))
    assert read(include).get("add") == entry[2]["records"]["add"] or field in ("names", "ends")
    for name in read(include).names():
        read(include).get(name)


@relaxed
@given(body=st.binary(min_size=1, max_size=40), at=st.floats(0, 1))
def test_records_that_are_no_json_with_right_checksums_are_read_again(
    entry: Entry, body: bytes, at: float
) -> None:
    decoded = _cache.decode(entry[1])
    assert decoded is not None
    start = int(at * (len(decoded.body) - len(body)))
    altered = decoded.body[:start] + body + decoded.body[start + len(body) :]
    include = entry[0]
    key = Request(["mine.h"], None, [include]).key
    file = Path(_cache.path_of(key))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(_cache.encode(_cache.Entry(decoded.header, altered)))
    found = read(include)
    for name in (*found.names(), "struct pair", "enum color"):
        record = found.get(name)
        assert isinstance(record, dict)
        assert "k" in record


def test_a_deeply_nested_entry_is_ignored(entry: Entry) -> None:
    bomb = b"[" * 200_000 + b"]" * 200_000
    first = {"what": _cache._MAGIC, "header": [len(bomb), zlib.crc32(bomb)], "records": [0, 0]}
    served(entry, json.dumps(first).encode() + b"\n" + bomb + b"\n")


def test_an_entry_for_another_question_in_the_same_place_is_ignored(
    entry: Entry, readings: Counter
) -> None:
    decoded = _cache.decode(entry[1])
    assert decoded is not None
    decoded.header["key"]["defines"] = {"X": 1}
    served(entry, _cache.encode(decoded))
    assert readings() == 1


def test_readers_and_writers_do_not_meet_half_an_entry(
    include: Path, python_environment: dict[str, str]
) -> None:
    """Processes that read, spoil and rewrite the same entry at once all have the right answer."""
    script = (
        "import pathlib\nfrom headway import _headers\nfrom headway._headers import _cache\n"
        "from headway._headers._request import Request\n"
        f"include = {str(include)!r}\n"
        "key = Request(['mine.h'], None, [include]).key\n"
        "file = pathlib.Path(_cache.path_of(key))\n"
        "for i in range(20):\n"
        "    found = _headers.read(['mine.h'], include_dirs=[include])\n"
        "    assert found.get('LIMIT')['value'] == 12\n"
        "    if i % 4 == 0: file.unlink(missing_ok=True)\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script], env=python_environment, stderr=subprocess.PIPE
        )
        for _ in range(3)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert (process.returncode, errors) == (0, b"")


def test_times_in_the_future_are_not_trusted(
    include: Path, readings: Counter, cache_dir: Path
) -> None:
    later = time.time() + 10_000
    os.utime(include / "mine.h", (later, later))
    read(include)
    entry = _cache.decode(entry_file(cache_dir).read_bytes())
    assert entry is not None
    assert entry.header["files"][0][2] == _cache._UNKNOWN
    read(include)
    assert readings() == 1
