# SPDX-License-Identifier: MIT
"""The command ``headway``.

`_app` says what can be typed; each verb lives in a module of its own, imported when it runs, so
that ``headway --help`` imports neither NumPy nor libclang.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

FAILURE, USAGE, INTERRUPTED = 1, 2, 130

_OPTIONS = {  # from what Headway's messages advise to the options that say the same
    r"\binclude_dirs=\[\.\.\.\]": "-I DIRECTORY",
    r"\binclude_dirs: ": "-I: ",
    r"\bpkg_config=(\.\.\.)?": "--pkg-config PACKAGE",
    r'\bheaders=\["([^"]+)"\]': r"--include \1",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status: 0, 1 for a failure, 2 for wrong usage."""
    from typer import Abort, TyperException

    from headway._cli._app import app
    from headway._errors import HeadwayError

    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        status = app(words, prog_name="headway", standalone_mode=False)
    except TyperException as error:
        if error.exit_code != USAGE:
            return _fail(error.format_message(), error.exit_code)
        known = {
            command.callback.__name__ for command in app.registered_commands if command.callback
        }
        verb = f" {words[0]}" if words and words[0] in known else ""
        return _fail(f"{error.format_message()} (headway{verb} --help tells more)", USAGE)
    except (Abort, KeyboardInterrupt):
        return _fail("interrupted", INTERRUPTED)
    except (HeadwayError, OSError) as error:
        return _fail(_as_options(str(error)), FAILURE)
    return status if isinstance(status, int) else 0


def _as_options(message: str) -> str:
    """A message whose advice is in Python's words, in the command's."""
    for python, option in _OPTIONS.items():
        message = re.sub(python, option, message)
    return message


def _fail(message: str, status: int) -> int:
    """One line on stderr, whatever the message's own shape."""
    line = " ".join(part for part in map(str.strip, message.splitlines()) if part)
    print(f"headway: error: {line}", file=sys.stderr)
    return status
