# SPDX-License-Identifier: MIT
"""``headway cache``: what is kept, and removing it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from headway import _cachedir
from headway._cli._output import console, print_json, size


def contents() -> dict[str, Any]:
    """Where the cache is and what it holds, sizes in bytes."""
    count: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for entry in _cachedir.entries():
        count[entry.kind] += 1
        total[entry.kind] += entry.size
    return {
        "path": str(_cachedir.cache_dir()),
        "entries": sum(count.values()),
        "size": sum(total.values()),
        "kinds": {kind: {"entries": count[kind], "size": total[kind]} for kind in sorted(count)},
    }


def run(clear: bool, json: bool) -> None:
    """Shows the cache, or clears it and tells what went."""
    before = contents()
    if clear:
        removed, freed = _cachedir.clear()
        if json:
            print_json({"path": before["path"], "removed": removed, "freed": freed})
        else:
            console().print(f"removed {removed} entries, {size(freed)}, from {before['path']}")
        return
    if json:
        print_json(before)
        return
    out = console()
    out.print(f"{before['path']}: {before['entries']} entries, {size(before['size'])}")
    for kind, held in before["kinds"].items():
        out.print(f"  {kind}: {held['entries']}, {size(held['size'])}")
