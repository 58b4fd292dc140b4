# SPDX-License-Identifier: MIT
"""Comments beside declarations, cleaned to plain text.

A Doxygen comment is found by libclang. A plain one counts where it stands on the lines right above
a declaration, or right below one with a blank line after it (as in zlib.h). Declarations on
consecutive lines share the comment above the first if it names them (as in sqlite3.h).
"""

from __future__ import annotations

import re
from bisect import bisect_right

_COMMENT = re.compile(
    rb"/\*.*?\*/|//[^\n]*(?:\n[ \t]*//[^\n]*)*|(\"(?:\\.|[^\"\\\n])*\")", re.DOTALL
)
_RULE = re.compile(r"^[\W_]{4,}$")
_WORD = re.compile(r"[\\@](?:[cpaeb]|em|ref|link|copydoc)[ \t]+(\S+)")
_PARAM = re.compile(r"[\\@]t?param(?:\[[^\]]*\])?[ \t]+(\S+)[ \t]*")
_LABELS = {
    "return": "Returns: ", "returns": "Returns: ", "result": "Returns: ", "note": "Note: ",
    "warning": "Warning: ", "attention": "Attention: ", "see": "See also: ", "sa": "See also: ",
    "since": "Since: ", "deprecated": "Deprecated: ", "pre": "Requires: ", "post": "Ensures: ",
    "retval": "Returns: ", "brief": "", "short": "", "details": "", "par": "", "code": "",
    "endcode": "", "verbatim": "", "endverbatim": "", "li": "- ", "arg": "- ", "n": "",
}  # fmt: skip
_COMMAND = re.compile(
    r"[\\@](" + "|".join(sorted(_LABELS, key=len, reverse=True)) + r")\b[ \t]*:?[ \t]*"
)
_STRUCTURE = re.compile(
    r"^[ \t]*[\\@](?:file|ingroup|defgroup|addtogroup|name|fn|def|struct|union|enum|typedef|var"
    r"|internal|\{|\})(?:\b.*|$)"
)


def clean(comment: str) -> str:
    """The text of a comment, without its markers and with Doxygen's commands as words."""
    lines = []
    for line in _inside(comment).split("\n"):
        text = line.rstrip()
        if _RULE.match(text.strip()) or _STRUCTURE.match(text):
            continue
        if "@" in text or "\\" in text:
            text = _PARAM.sub(r"\1: ", text)
            text = _COMMAND.sub(lambda match: _LABELS[match[1]], text)
            text = _WORD.sub(r"\1", text).replace("\\f$", "$")
        lines.append(text)
    return _dedent(lines)


def _inside(comment: str) -> str:
    """A comment, or a run of line comments, without what makes it one."""
    text = comment.replace("\r\n", "\n").strip()
    if text.startswith("//"):
        return "\n".join(re.sub(r"^[ \t]*//[/!]?<?[ ]?", "", line) for line in text.split("\n"))
    text = re.sub(r"^/\*[*!]*<?", "", re.sub(r"\**\*/$", "", text))
    first, *rest = text.split("\n")
    first = re.sub(r"^[ \t]*\*{1,2}(?=\s)", "", first)
    starred = [line for line in rest if line.strip()]
    if starred and (
        all(line.lstrip().startswith("*") for line in starred)
        or re.match(r"[ \t]*\*{1,2}(?![*\w])", starred[0])
    ):
        # stars down the margin, of which some may be forgotten; later ones may be a list
        starless = (re.sub(r"^[ \t]*(?=[^\s*])", " ", line) for line in rest)
        rest = [re.sub(r"^[ \t]*\*{1,2}(?!\*)!?", "", line) for line in starless]
    return "\n".join([first.lstrip(), *rest])


def _dedent(lines: list[str]) -> str:
    """Without the margin common to all lines but the first, and without blank ends."""
    margins = [len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()]
    margin = min(margins, default=0)
    text = [lines[0].strip() if lines else "", *(line[margin:] for line in lines[1:])]
    joined = "\n".join(line.rstrip() for line in text)
    return re.sub(r"\n{3,}", "\n\n", joined).strip()


class Comments:
    """The plain comments of one file, by the line they end or begin on."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._starts = [0]
        for match in re.finditer(rb"\n", text):
            self._starts.append(match.end())
        self._ending: dict[int, tuple[int, int]] = {}  # last line: (start, end)
        self._beginning: dict[int, tuple[int, int]] = {}
        self._cleaned: dict[tuple[int, int], str] = {}
        self._scan()

    def _scan(self) -> None:
        line, position = 1, 0
        for match in _COMMENT.finditer(self._text):
            if match[1]:  # a string, which may hold what looks like a comment
                continue
            start, end = match.span()
            line += self._text.count(b"\n", position, start)
            first = line
            line += self._text.count(b"\n", start, end)
            position = end
            if self._alone(start, end):
                self._ending[line] = (start, end)
            self._beginning[first] = (start, end)

    def _alone(self, start: int, end: int) -> bool:
        """Whether nothing else stands on the comment's lines."""
        before = self._text[self._text.rfind(b"\n", 0, start) + 1 : start]
        newline = self._text.find(b"\n", end)
        after = self._text[end : newline if newline >= 0 else None]
        return not before.strip() and not after.strip()

    def _blank(self, line: int) -> bool:
        if not 1 <= line <= len(self._starts):
            return True
        return not self.line(line).strip()

    def line(self, number: int) -> bytes:
        """A line of the file, from 1."""
        start = self._starts[number - 1]
        end = self._starts[number] if number < len(self._starts) else len(self._text)
        return self._text[start:end]

    def above(self, line: int, name: str) -> str:
        """The comment that ends on the line before this one, or above the group `name` is in."""
        found = self._ending.get(line - 1)
        if found is not None:
            return self._read_up(found)
        while line > 1 and self._is_declaration(line - 1):
            line -= 1
        found = self._ending.get(line - 1)
        text = self._read_up(found) if found is not None else ""
        return text if re.search(rf"\b{re.escape(name)}\b", text) else ""

    def _is_declaration(self, line: int) -> bool:
        text = self.line(line).strip()
        return bool(text) and not text.startswith((b"#", b"/", b"*", b"{", b"}"))

    def below(self, offset: int) -> str:
        """The comment after the declaration that ends at or after this offset.

        It begins on the declaration's last line, or on the next with a blank line after it.
        """
        end = self._text.find(b";", offset)
        line = bisect_right(self._starts, max(end, offset))
        found = self._beginning.get(line)
        if found is None:
            found = self._beginning.get(line + 1)
            if found is None or not self._alone(*found):
                return ""
            last = line + 1 + self._text.count(b"\n", *found)
            if not self._blank(last + 1):
                return ""
        return self._read(found)

    def _read_up(self, span: tuple[int, int]) -> str:
        """A comment with those on the lines right above it."""
        texts = []
        found: tuple[int, int] | None = span
        while found is not None:
            texts.append(self._read(found))
            found = self._ending.get(bisect_right(self._starts, found[0]) - 1)
        return "\n".join(text for text in reversed(texts) if text)

    def _read(self, span: tuple[int, int]) -> str:
        if span not in self._cleaned:
            text = clean(self._text[slice(*span)].decode("utf-8", "replace"))
            self._cleaned[span] = text if re.search(r"[^\W\d_]{2}", text) else ""
        return self._cleaned[span]
