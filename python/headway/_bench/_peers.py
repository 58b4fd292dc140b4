# SPDX-License-Identifier: MIT
"""The other ways to call C from Python, built on demand by the machine's compiler and kept."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from headway import _cachedir

SOURCES = Path(__file__).parent / "peers"
OPTIMISE = ("-O3", "-march=native")


class Missing(Exception):
    """A contestant that cannot take part; the message says what it would need."""


def _compiler(name: str) -> str:
    path = os.environ.get({"gcc": "CC", "g++": "CXX"}[name]) or shutil.which(name)
    if path is None:
        raise Missing(f"no {name} on the PATH")
    return path


def _require(package: str) -> ModuleType:
    try:
        return importlib.import_module(package)
    except ImportError:
        raise Missing(f"{package} is not installed: pip install 'headway[bench]'") from None


def _run(*command: str | Path) -> None:
    # a preloaded sanitizer is meant for this interpreter, not for compilers
    environment = {k: v for k, v in os.environ.items() if k not in {"LD_PRELOAD", "PYTHONMALLOC"}}
    done = subprocess.run(
        [str(word) for word in command],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or [done.stderr]
        raise Missing(f"{command[0]} failed: {lines[0].strip()}")


class Peers:
    """Builds and loads contestants; each is built once for its sources, interpreter and packages."""

    def _built(self, name: str, sources: Sequence[str], parts: Sequence[str]) -> tuple[Path, bool]:
        """Directory for what is built from `sources` and depends on `parts`; whether it is there."""
        digest = hashlib.sha256("\0".join([name, *parts, _machine()]).encode())
        for source in sources:
            digest.update((SOURCES / source).read_bytes())
        room = _cachedir.room("bench")
        if room is None:
            raise Missing(f"{_cachedir.cache_dir()} cannot be written")
        directory = room / f"{name}-{digest.hexdigest()[:16]}"
        return directory, directory.is_dir()

    def _keep(self, built: Path, directory: Path) -> None:
        try:
            os.replace(built, directory)
        except OSError:  # another process was first
            if not directory.is_dir():
                raise
            shutil.rmtree(built)

    @functools.cached_property
    def kernels(self) -> Path:
        """Shared library of peers/kernels.c."""
        directory, there = self._built("kernels", ["kernels.c", "kernels.h", "beta.c"], [])
        if not there:
            work = Path(tempfile.mkdtemp(dir=directory.parent))
            _run(
                _compiler("gcc"),
                *OPTIMISE,
                "-shared",
                "-fPIC",
                f"-I{SOURCES}",
                SOURCES / "kernels.c",
                "-o",
                work / "libkernels.so",
                "-lm",
            )
            self._keep(work, directory)
        return directory / "libkernels.so"

    def library(self, name: str, *sources: str) -> Path:
        """Shared library of some of the C files in peers/."""
        directory, there = self._built(name, [*sources, "beta.c", "matmul.c"], [])
        if not there:
            work = Path(tempfile.mkdtemp(dir=directory.parent))
            _run(
                _compiler("gcc"),
                *OPTIMISE,
                "-shared",
                "-fPIC",
                f"-I{SOURCES}",
                *(SOURCES / source for source in sources),
                "-o",
                work / f"lib{name}.so",
                "-lm",
            )
            self._keep(work, directory)
        return directory / f"lib{name}.so"

    @functools.cached_property
    def plain(self) -> Any:
        """The plain C loops, reached by ctypes: a microsecond a call, beside milliseconds."""
        import ctypes

        return ctypes.CDLL(str(self.library("plain", "plain.c", "pointer_loops.c")))

    @functools.cached_property
    def fastcall(self) -> Any:
        """A hand-written extension module."""
        numpy = _require("numpy")
        directory, there = self._built(
            "fastcall", ["fastcall.c", "kernels.h"], [numpy.__version__, str(self.kernels)]
        )
        if not there:
            work = Path(tempfile.mkdtemp(dir=directory.parent))
            _run(
                _compiler("gcc"),
                *OPTIMISE,
                "-shared",
                "-fPIC",
                "-DNDEBUG",
                f"-I{numpy.get_include()}",
                *self._link(),
                SOURCES / "fastcall.c",
                "-o",
                _module_file(work, "bench_fastcall"),
                self.kernels,
            )
            self._keep(work, directory)
        return _load("bench_fastcall", directory)

    @functools.cached_property
    def nanobind(self) -> Any:
        """A nanobind module, built as nanobind's own CMake does, but for speed throughout."""
        nanobind = _require("nanobind")
        directory, there = self._built(
            "nanobind", ["nanobind.cpp", "kernels.h"], [nanobind.__version__, str(self.kernels)]
        )
        if not there:
            work = Path(tempfile.mkdtemp(dir=directory.parent))
            root = Path(nanobind.include_dir()).parent
            flags = [
                *OPTIMISE,
                "-std=c++17",
                "-fPIC",
                "-fvisibility=hidden",
                "-DNDEBUG",
                "-DNB_COMPACT_ASSERTIONS",
                "-fno-stack-protector",
                "-ffunction-sections",
                "-fdata-sections",
                f"-I{root / 'include'}",
                f"-I{root / 'ext/robin_map/include'}",
                *self._link(),
            ]
            compiler = _compiler("g++")
            _run(
                compiler,
                *flags,
                "-fno-strict-aliasing",
                "-c",
                root / "src/nb_combined.cpp",
                "-o",
                work / "core.o",
            )
            _run(compiler, *flags, "-c", SOURCES / "nanobind.cpp", "-o", work / "module.o")
            _run(
                compiler,
                "-shared",
                "-Wl,-s",
                "-Wl,--gc-sections",
                work / "module.o",
                work / "core.o",
                "-o",
                _module_file(work, "bench_nanobind"),
                self.kernels,
                f"-Wl,-rpath,{self.kernels.parent}",
            )
            self._keep(work, directory)
        return _load("bench_nanobind", directory)

    @functools.cached_property
    def cffi(self) -> Any:
        """A cffi module in API mode: `.lib` and `.ffi`."""
        cffi = _require("cffi")
        directory, there = self._built("cffi", ["kernels.h"], [cffi.__version__, str(self.kernels)])
        if not there:
            work = Path(tempfile.mkdtemp(dir=directory.parent))
            builder = cffi.FFI()
            builder.cdef(
                "typedef struct point { double x, y, z; } point;"
                "double sum3(double a, double b, double c);"
                "double total(const double *x, size_t n);"
                "const char *file_name(const char *path);"
                "double norm(const point *p);"
                "double beta_logpdf(double a, double b, double x);"
            )
            builder.set_source("bench_cffi", '#include "kernels.h"')
            builder.emit_c_code(str(work / "bench_cffi.c"))
            _run(
                _compiler("gcc"),
                *OPTIMISE,
                "-shared",
                "-fPIC",
                "-DNDEBUG",
                *self._link(),
                work / "bench_cffi.c",
                "-o",
                _module_file(work, "bench_cffi"),
                self.kernels,
            )
            self._keep(work, directory)
        return _load("bench_cffi", directory)

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

    def _link(self) -> list[str]:
        include = Path(sysconfig.get_path("include"))
        if not (include / "Python.h").is_file():
            raise Missing(f"{include} has no Python.h: install the interpreter's headers")
        return [f"-I{include}", f"-I{SOURCES}", f"-Wl,-rpath,{self.kernels.parent}"]


@functools.cache
def _machine() -> str:
    """What -march=native and the interpreter's ABI depend on, and the compiler."""
    cpu = "".join(
        line
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()[:30]
        if line.startswith(("model name", "flags"))
    )
    version = subprocess.run(
        [_compiler("gcc"), "--version"], capture_output=True, text=True, check=True
    ).stdout
    return "\0".join([sys.version, version, cpu])


def _module_file(directory: Path, name: str) -> Path:
    return directory / f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}"


def _load(name: str, directory: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, _module_file(directory, name))
    assert spec is not None and spec.loader is not None
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
