# SPDX-License-Identifier: MIT
"""What every test gets: a cache directory of its own run, and a watch over what it leaves alive."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from headway._headers import Declarations

SANITIZED = "HEADWAY_SANITIZED" in os.environ

_CACHE = pytest.StashKey[tuple[str, str | None]]()


def pytest_configure(config: pytest.Config) -> None:
    """Gives the run an empty cache, so that no test sees what an earlier run left."""
    own = tempfile.mkdtemp(prefix="headway-test-cache-")
    config.stash[_CACHE] = own, os.environ.get("HEADWAY_CACHE_DIR")
    os.environ["HEADWAY_CACHE_DIR"] = own


def pytest_unconfigure(config: pytest.Config) -> None:
    own, before = config.stash[_CACHE]
    if before is None:
        del os.environ["HEADWAY_CACHE_DIR"]
    else:
        os.environ["HEADWAY_CACHE_DIR"] = before
    shutil.rmtree(own, ignore_errors=True)


def _live() -> dict[str, int]:
    from headway import _core

    return _core.live_objects()


def _grown(before: dict[str, int]) -> dict[str, int]:
    """How many objects of each type there are more than before."""
    for collect in (False, True):
        if collect:
            gc.collect()
        grown = {name: n - before[name] for name, n in _live().items() if n > before[name]}
        if not grown:
            break
    return grown


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fails a test that leaves objects of ours alive each time it runs.

    A test may fill a cache (a module binds a name when it is first touched), which it does once; so
    one that leaves objects alive is run again, and leaks if that leaves more, twice.
    """
    before = _live()
    result = yield
    grown = _grown(before)
    if grown and item.get_closest_marker("holds") is None:
        for _ in range(2):
            before = _live()
            item.runtest()
            grown = _grown(before)
            if not grown:
                return result
        pytest.fail(f"each run of this test leaves alive: {grown}", pytrace=False)
    return result


@pytest.fixture
def python_environment() -> dict[str, str]:
    """The environment for interpreters a test starts: they import what this one does, and run under
    the same sanitizers."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


@pytest.fixture(scope="session")
def clean_environment() -> dict[str, str]:
    """The environment for compilers and other programs a test starts: without the sanitizers."""
    ours = ("LD_PRELOAD", "ASAN_OPTIONS", "UBSAN_OPTIONS", "PYTHONMALLOC")
    return {name: value for name, value in os.environ.items() if name not in ours}


@pytest.fixture(scope="session")
def c_library(
    tmp_path_factory: pytest.TempPathFactory, clean_environment: dict[str, str]
) -> Callable[..., Path]:
    """Compiles C text to a shared library: ``c_library(source, "-O1", name="libx.so")``."""

    def build(source: str, *flags: str, name: str = "libtest.so") -> Path:
        directory = tmp_path_factory.mktemp("library")
        (directory / "source.c").write_text(source, encoding="utf-8")
        command = ["gcc", "-shared", "-fPIC", "-O1", "source.c", "-o", name, *flags, "-lm"]
        done = subprocess.run(
            command,
            cwd=directory,
            env=clean_environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return directory / name

    return build


@pytest.fixture
def run_c(clean_environment: dict[str, str], tmp_path: Path) -> Callable[..., str]:
    """Compiles a C program and returns what it prints; ``run=False`` only checks it."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")

    def compile_and_run(source: str, *flags: str, run: bool = True) -> str:
        (tmp_path / "check.c").write_text(source, encoding="utf-8")
        command = ["gcc", "-std=gnu17", "-w", "check.c", *flags]
        command += ["-o", "check", "-lm"] if run else ["-fsyntax-only"]
        output = ""
        for argv in (command, ["./check"])[: 1 + run]:
            done = subprocess.run(
                argv,
                cwd=tmp_path,
                env=clean_environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr[:3000]
            output = done.stdout
        return output

    return compile_and_run


@pytest.fixture(scope="session")
def real_header() -> Callable[[str], Declarations]:
    """Reads a header of the system, once; skips the test where it is not installed."""
    from headway import _headers
    from headway._headers._search import Search

    known: dict[str, Declarations] = {}

    def read(header: str) -> Declarations:
        if header not in known:
            places = ["/usr/include/hdf5/serial"] if header == "hdf5.h" else []
            if Search(places).find(header) is None:
                pytest.skip(f"{header} is not installed")
            known[header] = _headers.read([header], include_dirs=places, cache=False)
        return known[header]

    return read
