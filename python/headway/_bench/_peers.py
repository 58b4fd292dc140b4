# SPDX-License-Identifier: MIT
"""The other ways to call C from Python, built on demand by the machine's compiler and kept."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import importlib.util
import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from headway import _cachedir, _toolchain
from headway._errors import CompileError
from headway._toolchain import Compiler

SOURCES = Path(__file__).parent / "peers"
SHARED = ("-O3", "-march=native", "-shared", "-fPIC", f"-I{SOURCES}")

# kernels.h, as cffi reads it
CDEF = """
typedef struct point { double x, y, z; } point;
double sum3(double a, double b, double c);
double total(const double *x, size_t n);
const char *file_name(const char *path);
double norm(const point *p);
double beta_logpdf(double a, double b, double x);
"""


class Missing(Exception):
    """A contestant that cannot take part; the message says what it would need."""


def _require(package: str) -> ModuleType:
    try:
        return importlib.import_module(package)
    except ImportError:
        raise Missing(f"{package} is not installed: pip install 'headway[bench]'") from None


def _compiler(name: str | None = None) -> Compiler:
    """The C compiler, or the one of this name."""
    try:
        return _toolchain.find(name, gcc=True)
    except CompileError as error:
        raise Missing(str(error)) from None


def _run(compiler: Compiler, *arguments: str | Path) -> None:
    done = compiler.run([str(word) for word in arguments], str(SOURCES))
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line]
        said = lines[0].strip() if lines else f"exit status {done.returncode}"
        raise Missing(f"{' '.join(compiler.command)}: {said}")


class Peers:
    """Builds and loads contestants; each is built once for its sources, interpreter and packages."""

    def _built(
        self,
        name: str,
        sources: Sequence[str],
        parts: Sequence[str],
        build: Callable[[Path], None],
    ) -> Path:
        """Directory of what `build` makes in the one it is given; kept, named after all it needs."""
        digest = hashlib.sha256(
            "\0".join([name, *parts, sys.version, _compiler().identity, _toolchain.cpu()]).encode()
        )
        for source in sources:
            digest.update((SOURCES / source).read_bytes())
        room = _cachedir.room("bench")
        if room is None:
            raise Missing(f"{_cachedir.cache_dir()} cannot be written")
        directory = room / f"{name}-{digest.hexdigest()[:16]}"
        if directory.is_dir() and any(directory.iterdir()):  # a cleared cache leaves it empty
            return directory
        work = Path(tempfile.mkdtemp(dir=room, prefix=".new-"))
        try:
            build(work)
            os.replace(work, directory)
        except OSError:
            if not directory.is_dir():  # else another process was first
                raise
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return directory

    def library(self, name: str, *sources: str) -> Path:
        """Shared library of some of the C files in peers/."""

        def build(work: Path) -> None:
            files = [SOURCES / source for source in sources]
            _run(_compiler(), *SHARED, *files, "-o", work / f"lib{name}.so", "-lm")

        headers = [path.name for path in sorted(SOURCES.glob("*.[ch]"))]
        return self._built(name, headers, sources, build) / f"lib{name}.so"

    @functools.cached_property
    def kernels(self) -> Path:
        """The C functions that every contestant binds."""
        return self.library("kernels", "kernels.c")

    @functools.cached_property
    def plain(self) -> Any:
        """The plain C loops, reached by ctypes: a microsecond a call, beside milliseconds."""
        import ctypes

        return ctypes.CDLL(str(self.library("plain", "plain.c", "pointer_loops.c")))

    def _module(
        self,
        name: str,
        sources: Sequence[str],
        parts: Sequence[str],
        build: Callable[[Path, Path, Sequence[str]], None],
    ) -> Any:
        """Extension module of which `build` makes the file, in a directory, with some flags."""
        include = Path(sysconfig.get_path("include"))
        if not (include / "Python.h").is_file():
            raise Missing(f"{include} has no Python.h: install the interpreter's headers")
        flags = [*SHARED, "-DNDEBUG", f"-I{include}", f"-Wl,-rpath,{self.kernels.parent}"]
        file = f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}"
        directory = self._built(
            name,
            [*sources, "kernels.h"],
            [*parts, str(self.kernels)],
            lambda work: build(work, work / file, flags),
        )
        return _load(name, directory / file)

    @functools.cached_property
    def fastcall(self) -> Any:
        """A hand-written extension module."""
        numpy = _require("numpy")

        def build(_: Path, file: Path, flags: Sequence[str]) -> None:
            _run(
                _compiler("gcc"),
                *flags,
                f"-I{numpy.get_include()}",
                SOURCES / "fastcall.c",
                "-o",
                file,
                self.kernels,
            )

        return self._module("bench_fastcall", ["fastcall.c"], [numpy.__version__], build)

    @functools.cached_property
    def nanobind(self) -> Any:
        """A nanobind module, built as nanobind's own CMake does, but for speed throughout."""
        nanobind = _require("nanobind")
        root = Path(nanobind.include_dir()).parent

        def build(work: Path, file: Path, flags: Sequence[str]) -> None:
            flags = [
                *flags,
                "-std=c++17",
                "-fvisibility=hidden",
                "-DNB_COMPACT_ASSERTIONS",
                "-fno-stack-protector",
                "-ffunction-sections",
                "-fdata-sections",
                f"-I{root / 'include'}",
                f"-I{root / 'ext/robin_map/include'}",
            ]
            compiler = _compiler("g++")
            _run(
                compiler,
                *flags,
                "-DNB_BUILD",
                "-fno-strict-aliasing",
                "-c",
                root / "src/nb_combined.cpp",
                "-o",
                work / "core.o",
            )
            _run(compiler, *flags, "-c", SOURCES / "nanobind.cpp", "-o", work / "module.o")
            _run(
                compiler,
                *flags,
                "-Wl,-s",
                "-Wl,--gc-sections",
                work / "module.o",
                work / "core.o",
                "-o",
                file,
                self.kernels,
            )

        return self._module("bench_nanobind", ["nanobind.cpp"], [nanobind.__version__], build)

    @functools.cached_property
    def cffi(self) -> Any:
        """A cffi module in API mode: `.lib` and `.ffi`."""
        cffi = _require("cffi")

        def build(work: Path, file: Path, flags: Sequence[str]) -> None:
            builder = cffi.FFI()
            builder.cdef(CDEF)
            builder.set_source("bench_cffi", '#include "kernels.h"')
            with contextlib.redirect_stdout(None):  # it says what it writes
                builder.emit_c_code(str(work / "bench_cffi.c"))
            _run(_compiler(), *flags, work / "bench_cffi.c", "-o", file, self.kernels)

        return self._module("bench_cffi", [], [cffi.__version__, CDEF], build)

    @functools.cached_property
    def ctypes(self) -> Any:
        """The kernels by ctypes, with argument and result types declared."""
        import ctypes

        library = ctypes.CDLL(str(self.kernels))
        library.sum3.argtypes = [ctypes.c_double] * 3
        library.sum3.restype = ctypes.c_double
        library.beta_logpdf.argtypes = [ctypes.c_double] * 3
        library.beta_logpdf.restype = ctypes.c_double
        return library

    @functools.cached_property
    def numba(self) -> Any:
        """Numba, the package."""
        return _require("numba")

    @functools.cached_property
    def scipy(self) -> tuple[Any, Any]:
        """`scipy.stats` and `scipy.special`."""
        return _require("scipy.stats"), _require("scipy.special")


def _load(name: str, file: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise Missing(f"{file} is no module that this interpreter loads")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def versions() -> dict[str, str]:
    """Version of each package that takes part; "not installed" for the others."""
    found = {}
    for package in ("numpy", "scipy", "numba", "cffi", "nanobind"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found
