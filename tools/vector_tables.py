#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes python/headway/vector_tables.h, the constants of vector_math.c's own functions.

Everything is computed in 60 decimal digits and rounded once. Polynomials interpolate at Chebyshev
points, which is within a small factor of the best approximation; `python tools/vector_tables.py`
prints the table, ``--check`` compares it with the file.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal, getcontext
from fractions import Fraction
from pathlib import Path

getcontext().prec = 60
OUTPUT = Path(__file__).parent.parent / "python/headway/vector_tables.h"
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")
HALF_LOG_2PI = (2 * PI).ln() / 2

LOG_INTERVALS = 16  # of the significand, equally wide in the bits of a double
LOG_DEGREE = 8
LGAMMA_INTERVALS = 16  # of [1/2, 8): four in each power of two
LGAMMA_DEGREE = 14
STIRLING_FROM = 8
STIRLING_DEGREE = 7


def bernoulli(count: int) -> list[Fraction]:
    """The first Bernoulli numbers."""
    numbers = [Fraction(1)]
    for m in range(1, count):
        total = sum((math.comb(m + 1, k) * numbers[k] for k in range(m)), Fraction(0))
        numbers.append(-total / (m + 1))
    return numbers


BERNOULLI = bernoulli(42)


def tail(x: Decimal) -> Decimal:
    """What Stirling's formula leaves out at x, for large x; Abramowitz and Stegun 6.1.40."""
    total = Decimal(0)
    for k in range(1, 21):
        b = BERNOULLI[2 * k]
        total += Decimal(b.numerator) / (b.denominator * 2 * k * (2 * k - 1)) / x ** (2 * k - 1)
    return total


def lgamma(x: Decimal) -> Decimal:
    """The logarithm of the gamma function, for positive x."""
    product = Decimal(1)
    while x < 60:
        product *= x
        x += 1
    return (x - Decimal("0.5")) * x.ln() - x + HALF_LOG_2PI + tail(x) - product.ln()


def interpolated(
    f: Callable[[Decimal], Decimal], low: Decimal, high: Decimal, degree: int, about: Decimal
) -> list[Decimal]:
    """The coefficients in powers of (x - about) of the polynomial through Chebyshev points."""
    middle, half = (low + high) / 2, (high - low) / 2
    angles = [math.pi * (j + 0.5) / (degree + 1) for j in range(degree + 1)]
    points = [middle + half * Decimal(math.cos(angle)) for angle in angles]
    divided = [f(x) for x in points]
    for level in range(1, degree + 1):
        for j in range(degree, level - 1, -1):
            divided[j] = (divided[j] - divided[j - 1]) / (points[j] - points[j - level])
    powers = [Decimal(0)] * (degree + 1)
    for point, d in zip(reversed(points), reversed(divided), strict=True):
        shift = about - point  # powers = powers * (x - point) + d
        powers = [shift * a + b for a, b in zip(powers, [Decimal(0), *powers[:-1]], strict=True)]
        powers[0] += d
    return powers


def of_bits(bits: int) -> float:
    """The double of a bit pattern."""
    exponent, fraction = bits >> 52, bits & ((1 << 52) - 1)
    return math.ldexp(1 + fraction / 2**52, exponent - 1023)


def array(name: str, values: Sequence[float]) -> str:
    """A C array, aligned for the widest vectors."""
    lines = "".join(f"    {value.hex()},\n" for value in values)
    return (
        f"static const double {name}[{len(values)}] __attribute__((aligned(64))) = {{\n{lines}}};\n"
    )


def on_grid(value: Decimal) -> float:
    """A multiple of 2^-42, so that its sum with a multiple of LOG2_HIGH is exact."""
    return float((value * 2**42).to_integral_value() / 2**42)


def logarithm() -> str:
    """Tables of log: for each interval 1/c and -log(1/c), and the series of log(1 + r)."""
    one, width = 1023 << 52, 1 << 48
    first = one - width // 2 - 8 * width  # an interval has 1 in its middle
    inverses = []
    for j in range(LOG_INTERVALS):
        low, high = of_bits(first + j * width), of_bits(first + (j + 1) * width)
        inverse = 2 / (Decimal(low) + Decimal(high))
        if abs(j - 8) <= 3:  # few bits, so that z * inverse - 1 is exact
            inverse = (inverse * 64).to_integral_value() / 64
        inverses.append(float(inverse))
    logs = [-Decimal(inverse).ln() for inverse in inverses]
    edge = Decimal("0.0333")
    series = interpolated(
        lambda r: ((1 + r).ln() - r) / (r * r) if r else Decimal("-0.5"),
        -edge, edge, LOG_DEGREE, Decimal(0),
    )  # fmt: skip
    log2 = Decimal(2).ln()
    high = on_grid(log2)
    return "".join(
        [
            f"#define LOG_FIRST {first:#x}\n#define LOG_WIDTH_BITS 48\n",
            f"#define LOG2_HIGH {high.hex()}\n",
            f"#define LOG2_LOW {float(log2 - Decimal(high)).hex()}\n",
            array("log_inverse", inverses),
            array("log_high", [on_grid(value) for value in logs]),
            array("log_low", [float(value - Decimal(on_grid(value))) for value in logs]),
            array("log_series", [float(value) for value in series]),
        ]
    )


def log_gamma() -> str:
    """Tables of lgamma(x) / ((x - 1) (x - 2)) over [1/2, 8), and of Stirling's tail beyond."""

    def quotient(x: Decimal) -> Decimal:
        return lgamma(x) / ((x - 1) * (x - 2))

    columns = []
    for j in range(LGAMMA_INTERVALS):
        low, high = (of_bits((1022 << 52) + ((j + k) << 50)) for k in (0, 1))
        about = (Decimal(low) + Decimal(high)) / 2
        columns.append(interpolated(quotient, Decimal(low), Decimal(high), LGAMMA_DEGREE, about))
    rows = [[float(column[power]) for column in columns] for power in range(LGAMMA_DEGREE + 1)]
    low_parts = [float(column[0] - Decimal(float(column[0]))) for column in columns]

    def scaled_tail(y: Decimal) -> Decimal:
        x = 1 / y.sqrt()
        return (lgamma(x) - ((x - Decimal("0.5")) * x.ln() - x + HALF_LOG_2PI)) * x

    end = Decimal(1) / STIRLING_FROM**2
    stirling = interpolated(scaled_tail, end / 10**6, end, STIRLING_DEGREE, Decimal(0))
    return "".join(
        [
            *(array(f"lgamma_{power}", row) for power, row in enumerate(rows)),
            array("lgamma_0_low", low_parts),
            array("stirling", [float(value) for value in stirling]),
            f"#define HALF_LOG_2PI {float(HALF_LOG_2PI).hex()}\n",
        ]
    )


def table() -> str:
    """The whole file."""
    return (
        "/* SPDX-License-Identifier: MIT */\n"
        "/* Made by tools/vector_tables.py. */\n"
        f"{logarithm()}{log_gamma()}"
    )


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(OUTPUT.read_text(encoding="utf-8") != table())
    sys.stdout.write(table())
