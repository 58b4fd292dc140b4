# SPDX-License-Identifier: MIT
"""The C compiler of this machine: which one, what it is, and running it."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headway import _cachedir
from headway._errors import CompileError

if TYPE_CHECKING:
    import subprocess

_NAMES = ("cc", "gcc", "clang")
_CPU_LINES = (
    "vendor_id", "cpu family", "model", "stepping", "flags",
    "CPU implementer", "CPU architecture", "CPU variant", "CPU part", "Features",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Compiler:
    """A C compiler.

    Attributes
    ----------
    command : tuple of str
        How it is started: ``("ccache", "gcc")``.
    identity : str
        Which files these are; another compiler, or another version of it, has another.
    """

    command: tuple[str, ...]
    identity: str

    def macros(self, flags: Sequence[str]) -> dict[str, str]:
        """The macros it predefines under these flags; asked once, then from the cache."""
        return dict(_macros(self, tuple(flags)))

    def include_dir(self) -> str:
        """Where its own headers are, such as omp.h."""
        return _include_dir(self)

    def is_clang(self) -> bool:
        """Whether it is clang; else it is gcc, or like it."""
        return "__clang__" in self.macros(())

    def version(self) -> str:
        """Such as ``"gcc 12.2.0"``."""
        said = self.macros(()).get("__VERSION__", "").strip('"')
        return said if self.is_clang() else f"gcc {said}"

    def run(self, arguments: Sequence[str], directory: str) -> subprocess.CompletedProcess[str]:
        """Runs it, its messages in English and plain.

        What would be loaded into every program that this one starts (``LD_PRELOAD``) is left out:
        a sanitizer's run-time library has no business in the compiler.
        """
        import subprocess  # only where something is compiled

        environment = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
        environment.update(LC_ALL="C", GCC_COLORS="")
        return subprocess.run(
            [*self.command, *arguments],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )


def find(cc: str | Sequence[str] | None = None, *, gcc: bool = False) -> Compiler:
    """The compiler to use: `cc`, else ``$CC``, else ``cc``, ``gcc`` or ``clang``.

    Parameters
    ----------
    cc : str or sequence of str, optional
        A command, with arguments where there are any.
    gcc : bool
        Where neither `cc` nor ``$CC`` says, look for gcc before clang.

    Raises
    ------
    CompileError
        There is none.
    """
    given = cc if cc is not None else os.environ.get("CC", "")
    words = shlex.split(given) if isinstance(given, str) else list(given)
    if words:
        compiler = _compiler(words)
        if compiler is None:
            origin = "cc=" if cc is not None else "the environment variable CC"
            raise CompileError(
                f"the C compiler {words[0]!r} that {origin} names was not found on PATH; install "
                "it, or name another"
            )
        return compiler
    found = [made for name in _NAMES if (made := _compiler([name])) is not None]
    if not found:
        raise CompileError(
            "no C compiler was found (looked for $CC, cc, gcc and clang on PATH). Install one: "
            "'apt install gcc' on Debian and Ubuntu, 'dnf install gcc' on Fedora, 'conda install "
            "gcc' in a conda environment. Loading a library with headway.load needs none."
        )
    if gcc and len(found) > 1:
        return next((made for made in found if not made.is_clang()), found[0])
    return found[0]


def _compiler(words: Sequence[str]) -> Compiler | None:
    """The compiler of a command; None where its program is not there."""
    program = shutil.which(words[0])
    if program is None:
        return None
    files = []
    for word in words:
        path = shutil.which(word)
        if path is not None:
            real = os.path.realpath(path)
            status = os.stat(real)
            files.append([path, real, status.st_size, status.st_mtime_ns])
    return Compiler((program, *words[1:]), json.dumps([files, words[1:]]))


@functools.lru_cache(maxsize=64)
def _macros(compiler: Compiler, flags: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    said = _asked(compiler, [*flags, "-dM", "-E", "-x", "c", os.devnull])
    lines = (line.split(" ", 2) for line in said.splitlines())
    return tuple((words[1], "".join(words[2:])) for words in lines if len(words) > 1)


@functools.lru_cache(maxsize=16)
def _include_dir(compiler: Compiler) -> str:
    return _asked(compiler, ["-print-file-name=include"]).strip()


def _asked(compiler: Compiler, arguments: Sequence[str]) -> str:
    """What a compiler says; the same compiler is asked once on a machine."""
    key = json.dumps([compiler.identity, cpu(), *compiler.command, *arguments]).encode()
    room = _cachedir.room("compile")
    path = room / f"said-{hashlib.sha256(key).hexdigest()[:32]}.txt" if room else None
    try:
        return path.read_text(encoding="utf-8") if path is not None else _ask(compiler, arguments)
    except (OSError, UnicodeDecodeError):
        said = _ask(compiler, arguments)
    if path is not None:
        _cachedir.store(path, said.encode())
    return said


def _ask(compiler: Compiler, arguments: Sequence[str]) -> str:
    done = compiler.run(arguments, os.path.abspath(os.sep))
    if done.returncode:
        raise CompileError(
            f"{' '.join(compiler.command)} does not work as a C compiler, or refuses these "
            f"options: {' '.join(arguments)}\n{done.stderr.strip()}"
        )
    return done.stdout


@functools.cache
def cpu() -> str:
    """What tells this processor from others: what ``-march=native`` depends on."""
    lines = [os.uname().machine]
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
            for line in file:
                if not line.strip():
                    break  # the first processor stands for all
                name, _, value = line.partition(":")
                if name.strip() in _CPU_LINES:
                    lines.append(f"{name.strip()}={value.strip()}")
    except OSError:
        lines.append("unknown")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]
