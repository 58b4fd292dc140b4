# SPDX-License-Identifier: MIT
"""``math="vector"``: what gcc is told about libm, and the functions it then calls.

gcc is shown libm's names declared ``simd`` and ``const`` and calls vector variants of them in the
loops that it vectorises; ``vector_math.c`` defines those, and the scalar names as well, by SLEEF.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path

from headway import _cachedir
from headway._errors import CompileError
from headway._library import LOADER_CACHE
from headway._toolchain import Compiler

_ONE_ARGUMENT = (
    "sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh exp exp2 exp10 expm1 "
    "log log2 log10 log1p cbrt lgamma tgamma erf erfc round"
)
_TWO_ARGUMENTS = "pow atan2 hypot fmax fmin fdim"

FUNCTIONS: dict[str, tuple[str, int]] = {
    name + suffix: (real, count)
    for names, count in ((_ONE_ARGUMENT, 1), (_TWO_ARGUMENTS, 2))
    for name in names.split()
    for real, suffix in (("double", ""), ("float", "f"))
}
"""What vector_math.c defines: the type, and how many arguments there are of it."""

SOURCE = Path(__file__).with_name("vector_math.c")
_TABLES = SOURCE.with_name("vector_tables.h")

# Fusing sin(x) and cos(x) into sincos would take one of the values from libm, elsewhere than in a
# vectorised loop; with cos unknown to the compiler there is nothing to fuse.
FLAGS = ("-fno-builtin-cos", "-fno-builtin-cosf")

_WIDTHS = (("__AVX512F__", 512), ("__AVX__", 256))


def declarations(own: Collection[str], text: str) -> str:
    """C declarations of libm's functions, to stand before the user's source.

    Parameters
    ----------
    own : collection of str
        Names that the source defines itself, as whatever: they are left alone.
    text : str
        The source. One that reads ``signgam`` needs libm's lgamma.
    """
    absent = {"lgamma", "lgammaf"} if reads_signgam(text) else set()
    lines = [
        f"HW_SIMD {real} {name}({', '.join([real] * count)});\n"
        for name, (real, count) in FUNCTIONS.items()
        if name not in own and name not in absent
    ]
    simd = '#define HW_SIMD __attribute__((simd("notinbranch"), const)) extern\n'
    return "".join([simd, *lines, "#undef HW_SIMD\n"])


def reads_signgam(text: str) -> bool:
    """Whether a source uses what libm's lgamma leaves behind."""
    return re.search(r"\bsigngam\b", text) is not None


def flags(macros: Mapping[str, str]) -> list[str]:
    """The compiler's options, given the macros it predefines: use its widest vectors."""
    width = next((bits for name, bits in _WIDTHS if name in macros), 0)
    return [*FLAGS, *([f"-mprefer-vector-width={width}"] if width else [])]


@cache
def sleef() -> str:
    """The path of SLEEF's library.

    Raises
    ------
    CompileError
        It is not installed.
    """
    try:
        known = Path(LOADER_CACHE).read_bytes()
    except OSError:
        known = b""
    paths = [os.fsdecode(p) for p in known.split(b"\0") if re.search(rb"/libsleef\.so[.\d]*$", p)]
    paths += sorted(str(path) for path in Path(sys.prefix, "lib").glob("libsleef.so*"))
    found = [path for path in paths if os.path.exists(path)]
    if not found:
        raise CompileError(
            'math="vector" needs the SLEEF library, and there is no libsleef.so in the loader\'s '
            "cache. Install it ('apt install libsleef3' on Debian and Ubuntu, 'dnf install sleef' "
            'on Fedora), or compile with math="libm"'
        )
    return max(found, key=len)  # libsleef.so.3 rather than the link for development


def link_flags() -> list[str]:
    """The linker's options. A library that the loader does not know is found by its directory."""
    directory, name = os.path.split(sleef())
    own = directory.startswith(sys.prefix + os.sep) and sys.prefix != "/usr"
    return [
        "-Wl,--gc-sections",
        f"-L{directory}",
        f"-l:{name}",
        *([f"-Wl,-rpath,{directory}"] if own else []),
    ]


def identity() -> str:
    """What tells this SLEEF from others."""
    path = os.path.realpath(sleef())
    status = os.stat(path)
    return f"{path} {status.st_size} {status.st_mtime_ns}"


def compiled(
    compiler: Compiler, machine: Sequence[str], directory: str, *, signgam: bool = False
) -> str:
    """The object file of vector_math.c for a processor, from the cache where it is there.

    Parameters
    ----------
    machine : sequence of str
        The options that choose the processor's instructions.
    directory : str
        Where to compile it, and to leave it if there is no cache.
    signgam : bool
        Without lgamma.
    """
    source = SOURCE.read_bytes() + _TABLES.read_bytes()
    arguments = ["-O2", "-std=gnu11", "-ffp-contract=off", "-fPIC", "-fno-builtin", *machine]
    arguments.append("-ffunction-sections")
    if signgam:
        arguments.append("-DHW_SIGNGAM")
    key = hashlib.sha256(
        json.dumps(
            [compiler.identity, sorted(compiler.macros(machine).items()), arguments]
        ).encode()
        + source
    ).hexdigest()[:32]
    room = _cachedir.room("compile")
    path = room / f"vector_math-{key}.o" if room else None
    if path is not None and path.exists():
        return str(path)
    built = os.path.join(directory, "vector_math.o")
    done = compiler.run([*arguments, "-c", str(SOURCE), "-o", built], directory)
    if done.returncode:
        raise CompileError(f"vector_math.c of Headway does not compile:\n{done.stderr.strip()}")
    if path is not None:
        _cachedir.store(path, Path(built).read_bytes())
    return built
