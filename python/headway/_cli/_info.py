# SPDX-License-Identifier: MIT
"""``headway info``: what Headway found on this machine."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import headway as hw
from headway import _core, _threads, _toolchain, _vector
from headway._cli._cache import contents
from headway._cli._output import console, print_json, size
from headway._errors import CompileError

SIMD = ("sse4_2", "avx", "avx2", "fma", "avx512f", "asimd", "sve", "sve2")


def version(package: str) -> str | None:
    """An installed package's version."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def cpu() -> tuple[str, list[str]]:
    """The processor's name and its SIMD instruction sets."""
    name, flags = platform.machine(), set[str]()
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return name, []
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
        elif key.strip() in {"flags", "Features"}:
            flags = set(value.split())
    return name, [set_ for set_ in SIMD if set_ in flags]


def compiler(name: str) -> str | None:
    """A compiler's path and the first line of its version."""
    path = shutil.which(name)
    if path is None:
        return None
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL).stdout  # fmt: skip
    return f"{path}: {said.splitlines()[0]}" if said else path


def used_compiler() -> str | None:
    """The command that ``hw.compile`` runs, and its version."""
    try:
        found = _toolchain.find()
    except CompileError:
        return None
    return f"{' '.join(found.command)}, {found.version()}"


def sleef() -> str | None:
    """The library behind ``math="vector"``."""
    try:
        return _vector.sleef()
    except CompileError:
        return None


def machine() -> dict[str, Any]:
    """What a measurement must be read with."""
    found = compiler("gcc") or compiler("clang") or "no compiler"
    return {
        "cpu": cpu()[0],
        "cores": os.cpu_count(),
        "system": f"{_distribution()}, Linux {platform.release()}",
        "python": platform.python_version(),
        "compiler": found.partition(": ")[2] or found,
    }


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.system()


def gather() -> dict[str, Any]:
    """Everything ``headway info`` shows."""
    name, simd = cpu()
    affinity, quota = _core.cpus()
    return {
        "versions": {
            "headway": hw.__version__,
            "python": f"{platform.python_implementation()} {sys.version.split()[0]} "
            f"({sys.executable})",
            "numpy": version("numpy"),
            "libclang": version("libclang"),
            "cffi": version("cffi"),
        },
        "package": str(Path(hw.__file__).parent),
        "system": f"{_distribution()}, {platform.system()} {platform.release()}",
        "processor": {
            "name": name,
            "cores": os.cpu_count(),
            "affinity": affinity,
            "quota": quota or None,
            "simd": simd,
        },
        "threads": {
            "used": hw.get_num_threads(),
            "HEADWAY_NUM_THREADS": os.environ.get("HEADWAY_NUM_THREADS"),
            "ignored": _threads.ignored() is not None,
        },
        "compilers": {name: compiler(name) for name in ("gcc", "clang")},
        "compile": used_compiler(),
        "sleef": sleef(),
        "cache": contents(),
    }


def show(json: bool) -> None:
    """Prints it."""
    found = gather()
    if json:
        print_json(found)
        return
    from rich.table import Table

    processor, threads, cache = found["processor"], found["threads"], found["cache"]
    limit = f"{processor['quota']} processors" if processor["quota"] else "no limit"
    asked = threads["HEADWAY_NUM_THREADS"]
    if asked:
        ignored = ", ignored: expected a number from 1 to 1024" if threads["ignored"] else ""
        asked = f" (HEADWAY_NUM_THREADS={asked}{ignored})"
    rows = [
        *((name, value or "not installed") for name, value in found["versions"].items()),
        ("package", found["package"]),
        ("system", found["system"]),
        ("processor", processor["name"]),
        ("cores", f"{processor['cores']}; {processor['affinity']} in the affinity mask; "
                  f"control group: {limit}"),
        ("SIMD", " ".join(processor["simd"]) or "none known"),
        ("threads", f"{threads['used']}{asked or ''}"),
        *((name, value or "not found") for name, value in found["compilers"].items()),
        ("hw.compile", found["compile"] or "no compiler"),
        ("vector math", found["sleef"] or "not found: apt-get install libsleef3"),
        ("cache", f"{cache['path']}: {cache['entries']} entries, {size(cache['size'])}"),
    ]  # fmt: skip
    table = Table(show_header=False, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    console().print(table, markup=False)
