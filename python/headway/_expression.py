# SPDX-License-Identifier: MIT
"""C integer expressions, as array bounds and sizes use them, in postfix order."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Term(NamedTuple):
    """One step of a postfix expression: a number, a name or an operator."""

    kind: str  # "int", "name" or "op"
    text: str
    value: int = 0  # of a number


class Malformed(ValueError):
    """The text is not an integer expression of + - * / % and parentheses."""


_TOKEN = re.compile(
    r"\s*(?:(?P<int>0[xX][0-9a-fA-F]+|\d+)(?:[uU][lL]{0,2}|[lL]{1,2}[uU]?)?(?!\w)"
    r"|(?P<name>[A-Za-z_]\w*)|(?P<op>[-+*/%()]))"
)
_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2, "%": 2}
_DEEPEST = 100  # parentheses within parentheses


def postfix(text: str) -> tuple[Term, ...]:
    """Parse an expression.

    Parameters
    ----------
    text : str
        Such as ``"n"``, ``"2 * (n + 1)"`` or ``"0x10"``.

    Returns
    -------
    tuple of Term
        In postfix order: ``"n + 1"`` gives n, 1, +.

    Raises
    ------
    Malformed
        The message shows the text and what is allowed.
    """
    parser = _Parser(text)
    parser.sum(0)
    if parser.token is not None:
        parser.fail()
    return tuple(parser.out)


class _Parser:
    """Recursive descent over one expression; `out` collects the postfix form."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.out: list[Term] = []
        self.token: Term | None = None
        self.next()

    def fail(self) -> None:
        raise Malformed(
            f"{self.text!r} is not an integer expression of names, numbers, + - * / % and ( )"
        )

    def next(self) -> None:
        if not self.text[self.at :].strip():
            self.token = None
            return
        match = _TOKEN.match(self.text, self.at)
        if match is None:
            self.fail()
            return
        self.at = match.end()
        kind = str(match.lastgroup)
        text = match[kind]
        self.token = Term(kind, text, _integer(text) if kind == "int" else 0)

    def sum(self, depth: int, precedence: int = 1) -> None:
        """One level of left-associative operators: 1 for + and -, 2 for * / %."""
        if depth > _DEEPEST:
            self.fail()
        operand = self.unary if precedence == 2 else self.product
        operand(depth)
        while self.token is not None and _PRECEDENCE.get(self.token.text) == precedence:
            symbol = self.token
            self.next()
            operand(depth)
            self.out.append(symbol)

    def product(self, depth: int) -> None:
        self.sum(depth, 2)

    def unary(self, depth: int) -> None:
        negative = False
        while self.token is not None and self.token.text in ("+", "-"):
            negative ^= self.token.text == "-"
            self.next()
        if negative:
            self.out.append(Term("int", "0"))
        self.primary(depth)
        if negative:
            self.out.append(Term("op", "-"))

    def primary(self, depth: int) -> None:
        token = self.token
        if token is None or (token.kind == "op" and token.text != "("):
            self.fail()
            return
        self.next()
        if token.kind != "op":
            self.out.append(token)
            return
        self.sum(depth + 1)
        if self.token is None or self.token.text != ")":
            self.fail()
        self.next()


def _integer(text: str) -> int:
    """The value of a C integer constant: decimal, hexadecimal or (leading zero) octal."""
    if text[:2] in ("0x", "0X"):
        return int(text, 16)
    try:
        return int(text, 8 if len(text) > 1 and text[0] == "0" else 10)
    except ValueError as error:
        raise Malformed(f"{text!r} is not a C integer") from error


def constant(lookup: Callable[[str], Mapping[str, Any] | None], text: str) -> Any:
    """The value of a number, or of a macro or enum constant, given as text; None for neither."""
    for read in (_number, float):
        try:
            return read(text)
        except ValueError:
            pass
    record = lookup(text)
    if record is not None and record["k"] in ("macro", "const"):
        return record["value"]
    return None


def _number(text: str) -> int:
    return int(text, 0)


def _quotient(left: int, right: int) -> int:
    """C's division: towards zero."""
    size = abs(left) // abs(right)
    return size if (left < 0) == (right < 0) else -size


def _remainder(left: int, right: int) -> int:
    return left - _quotient(left, right) * right


_OPERATORS: dict[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _quotient,
    "%": _remainder,
}


def fold(steps: tuple[tuple[int, int], ...]) -> int | None:
    """The value of a postfix expression of numbers, as C computes it; None for x / 0."""
    stack: list[int] = []
    for what, value in steps:
        if what == 0:
            stack.append(value)
            continue
        right, left = stack.pop(), stack.pop()
        symbol = chr(value)
        if symbol in "/%" and right == 0:
            return None
        stack.append(_OPERATORS[symbol](left, right))
    return stack[0]
