# SPDX-License-Identifier: MIT
"""The room rule: a room includes only headers of the rooms above it, and the check sees offences."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def check_rooms() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_rooms", ROOT / "tools/check_rooms.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tree(root: Path, files: dict[str, str]) -> Path:
    """A source tree with the public headers that the cases include, and the given files."""
    for name in ("status.h", "pool.h", "type.h", "call.h", "annotate.h"):
        files.setdefault(f"include/headway/{name}", "")
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return root


def test_the_project_keeps_the_rule(check_rooms: ModuleType) -> None:
    assert list(check_rooms.offences(ROOT)) == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("src/call/plan.c", '#include "headway/pool.h"\n#include "call/shape.h"\n'),
        ("src/sched/pool.c", "#include <pthread.h>\n#include <headway/status.h>\n"),
        ("python/ext/numpy/map.c", "#include <Python.h>\n#include <numpy/arrayobject.h>\n"),
        ("python/ext/core/value.c", '#include "headway/call.h"\n#include "hooks.h"\n'),
    ],
)
def test_rooms_above_may_be_included(
    check_rooms: ModuleType, tmp_path: Path, path: str, text: str
) -> None:
    files = {path: text, "src/call/shape.h": "", "python/ext/hooks.h": ""}
    assert list(check_rooms.offences(tree(tmp_path, files))) == []


@pytest.mark.parametrize(
    ("path", "text", "reason"),
    [
        ("src/base/status.c", '#include "headway/pool.h"', "room base may not use"),
        ("src/sched/pool.c", '#include "headway/call.h"', "of room call below it"),
        ("src/sched/pool.c", '  #  include "../call/shape.h"', "src/call/shape.h of room call"),
        ("src/call/plan.c", "#include <Python.h>", "only python/ext may include Python.h"),
        ("python/ext/core/a.c", "#include <numpy/arrayobject.h>", "only python/ext/numpy"),
        ("python/ext/numpy/a.c", '#include "core/core.h"', "meet in hooks.h"),
        ("src/call/plan.c", '#include "headway/missing.h"', "is not there"),
        ("include/headway/annotate.h", "#include <stddef.h>", "includes nothing"),
        ("include/headway/novel.h", "", "in no room"),
        ("src/attic/a.c", "", "in no room"),
    ],
)
def test_an_offence_is_named_with_its_line(
    check_rooms: ModuleType, tmp_path: Path, path: str, text: str, reason: str
) -> None:
    files = {"src/call/shape.h": "", "python/ext/core/core.h": "", path: text}
    (offence,) = check_rooms.offences(tree(tmp_path, files))
    assert offence.startswith(f"{path}:1: ")
    assert reason in offence


def test_an_offence_fails_the_command(tmp_path: Path) -> None:
    tree(tmp_path, {"src/base/status.c": '#include "headway/call.h"\n'})
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools/check_rooms.py"), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.count("\n")) == (1, 1)
