# SPDX-License-Identifier: MIT
"""Check that a room of the house includes only headers of the rooms above it.

Usage: ``check_rooms.py [ROOT]``. Prints each offence as ``file:line: reason`` and exits with 1.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOMS = ("base", "sched", "call", "frame", "format", "kernels", "net", "http", "ext")

# The room of each public header in include/headway/; a header missing here is an offence.
PUBLIC = {
    "status.h": "base",
    "buffer.h": "base",
    "array.h": "base",
    "spsc.h": "sched",
    "mpmc.h": "sched",
    "event.h": "sched",
    "pool.h": "sched",
    "type.h": "call",
    "call.h": "call",
    "annotate.h": "annotate",
    "frame.h": "frame",
    "source.h": "frame",
    "sink.h": "frame",
    "analysis.h": "frame",
    "pipeline.h": "frame",
    "net.h": "net",
    "http.h": "http",
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def room_of(path: Path) -> str | None:
    """Room of a file given relative to the root; None where the rule does not apply."""
    match path.parts:
        case ("include", "headway", "kernels", _):
            return "kernels"
        case ("include", "headway", name):
            return PUBLIC.get(name, "?")
        case ("src", room, *_):
            return room
        case ("python", "ext", *_):
            return "ext"
    return None


def includes(file: Path) -> Iterator[tuple[int, str, bool]]:
    """Line, name and whether in quotes, of each include in a file."""
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if match := INCLUDE.match(line):
            yield number, match[2], match[1] == '"'


def resolve(root: Path, file: Path, name: str, quoted: bool) -> Path | None:
    """Included file relative to the root; None for what is not the project's."""
    where = [root / "include", root / "src", root / "python/ext"]
    for base in ([file.parent] if quoted else []) + where:
        if (base / name).is_file():
            return (base / name).resolve().relative_to(root)
    return None


def offence(source: Path, target: Path | None, name: str) -> str | None:
    """What is wrong with `source` including `name`, found at `target`."""
    room = room_of(source)
    if target is None:
        if name == "Python.h" and room != "ext":
            return "only python/ext may include Python.h"
        if name.startswith("numpy/") and source.parts[:3] != ("python", "ext", "numpy"):
            return "only python/ext/numpy may include NumPy's headers"
        if name.startswith("headway/"):
            return f"{name} is not there"
        return None
    other = room_of(target)
    if other == "annotate":
        return None if room == "kernels" else "annotate.h is for kernels and for users"
    if other is None or room is None:
        return f"{target} is in no room"
    if ROOMS.index(other) > ROOMS.index(room):
        return f"room {room} may not use {target} of room {other} below it"
    inner = ("python", "ext", "core"), ("python", "ext", "numpy")
    if (
        source.parts[:3] in inner
        and target.parts[:3] in inner
        and source.parts[2] != target.parts[2]
    ):
        return f"_{source.parts[2]} may not use {target}: the two extensions meet in hooks.h"
    return None


def offences(root: Path) -> Iterator[str]:
    """Every offence below a root directory, as ``file:line: reason``."""
    root = root.resolve()
    for top in ("include", "src", "python/ext"):
        for file in sorted((root / top).rglob("*.[ch]")):
            source = file.relative_to(root)
            room = room_of(source)
            if room not in {*ROOMS, "annotate"}:
                yield f"{source}:1: in no room: add it to tools/check_rooms.py"
                continue
            for line, name, quoted in includes(file):
                if room == "annotate":
                    yield f"{source}:{line}: annotate.h includes nothing"
                elif why := offence(source, resolve(root, file, name, quoted), name):
                    yield f"{source}:{line}: {why}"


def main() -> int:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1]
    found = list(offences(root))
    print("\n".join(found) or "rooms: every include is of a room above")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
