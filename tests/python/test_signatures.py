# SPDX-License-Identifier: MIT
"""Every way to call a function agrees with the C function itself, whatever its signature.

Hypothesis draws types and signatures. Each becomes a C function that leaves a checksum of its own
arguments behind and returns one of them, the checksum, or nothing. Python computes the same checksum
from the values it passes, so each way is compared with what was meant, not only with the others:
registers, libffi, ctypes where it can, callbacks of the same type, the loops of loaded and of compiled
functions.
"""

from __future__ import annotations

import ctypes
import math
import os
import platform
import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import headway as hw
from headway import _core

np = pytest.importorskip("numpy")

# each is 60 functions and more, compiled once; a hunt for rare signatures takes hundreds
EXAMPLES = int(os.environ.get("HEADWAY_TEST_SIGNATURES", "4"))

SEED, PRIME, MASK = 14695981039346656037, 1099511628211, 2**64 - 1

PRELUDE = """
#include <complex.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
"""

MIX = """
static _Thread_local uint64_t last;
uint64_t last_checksum(void) { return last; }
static uint64_t mix(uint64_t h, uint64_t v) { return ((h << 5 | h >> 59) ^ v) * 1099511628211u; }
static uint64_t of_float(float v) { uint32_t u; memcpy(&u, &v, 4); return u; }
static uint64_t of_double(double v) { uint64_t u; memcpy(&u, &v, 8); return u; }
static uint64_t of_text(const char *s)
{
    uint64_t h = 0;
    while (*s) h = mix(h, (unsigned char)*s++);
    return h;
}
"""


def mix(h: int, v: int) -> int:
    return ((((h << 5) | (h >> 59)) & MASK) ^ (v & MASK)) * PRIME & MASK


def float_bits(v: float) -> int:
    return int.from_bytes(struct.pack("<f", v), "little")


def double_bits(v: float) -> int:
    return int.from_bytes(struct.pack("<d", v), "little")


# ---- types: how C spells one, and what its values are in Python -----------------------------------


@dataclass(frozen=True)
class Type:
    c: str

    def terms(self, at: str) -> Iterator[str]:
        """The 64-bit C expressions that make the checksum of the value at an expression."""
        raise NotImplementedError

    def words(self, value: Any) -> Iterator[int]:
        """The same of a Python value."""
        raise NotImplementedError

    def draw(self, chance: random.Random) -> Any:
        """A plain Python value: what `words` takes."""
        raise NotImplementedError

    def make(self, module: ModuleType, value: Any, keep: list[Any]) -> Any:
        """What to pass to a Headway function."""
        return value

    def plain(self, got: Any) -> Any:
        """The plain value of what a Headway function returned."""
        return got

    def for_ctypes(self) -> Any:
        """The ctypes type, None where ctypes cannot pass it."""
        return None

    def make_ctypes(self, value: Any, keep: list[Any]) -> Any:
        return value

    def plain_ctypes(self, got: Any) -> Any:
        return got

    def same(self, a: Any, b: Any) -> bool:
        return list(self.words(a)) == list(self.words(b))


@dataclass(frozen=True)
class Integer(Type):
    bits: int
    signed: bool
    ctype: Any

    def terms(self, at: str) -> Iterator[str]:
        yield f"(uint64_t)({at})"

    def words(self, value: Any) -> Iterator[int]:
        yield int(value) & MASK

    def limits(self) -> tuple[int, int]:
        half = 1 << (self.bits - 1)
        return (-half, half - 1) if self.signed else (0, 2 * half - 1)

    def draw(self, chance: random.Random) -> Any:
        low, high = self.limits()
        edge = chance.choice([low, high, 0, 1, high // 2])
        return chance.choice([edge, chance.randint(low, high), chance.randint(0, min(high, 99))])

    def for_ctypes(self) -> Any:
        return self.ctype


class Bool(Integer):
    def limits(self) -> tuple[int, int]:
        return 0, 1

    def draw(self, chance: random.Random) -> Any:
        return chance.random() < 0.5


class Char(Integer):
    def make(self, module: ModuleType, value: Any, keep: list[Any]) -> Any:
        return bytes([value % 256])

    def plain(self, got: Any) -> Any:
        return got if isinstance(got, int) else int.from_bytes(got, "little", signed=self.signed)

    def make_ctypes(self, value: Any, keep: list[Any]) -> Any:
        return bytes([value % 256])

    def plain_ctypes(self, got: Any) -> Any:
        return self.plain(got)


@dataclass(frozen=True)
class Real(Type):
    ctype: Any

    def terms(self, at: str) -> Iterator[str]:
        yield f"of_float({at})" if self.c == "float" else f"of_double((double)({at}))"

    def words(self, value: Any) -> Iterator[int]:
        yield float_bits(value) if self.c == "float" else double_bits(value)

    def draw(self, chance: random.Random) -> Any:
        value = chance.choice([chance.uniform(-1, 1), chance.gauss(0, 1e30), -0.0, math.inf, 1e-42])
        return struct.unpack("<f", struct.pack("<f", value))[0] if self.c == "float" else value

    def for_ctypes(self) -> Any:
        return self.ctype


@dataclass(frozen=True)
class Complex(Type):
    part: Real

    def terms(self, at: str) -> Iterator[str]:
        suffix = {"float": "f", "double": "", "long double": "l"}[self.part.c]
        yield from self.part.terms(f"creal{suffix}({at})")
        yield from self.part.terms(f"cimag{suffix}({at})")

    def words(self, value: Any) -> Iterator[int]:
        value = complex(value)
        yield from self.part.words(value.real)
        yield from self.part.words(value.imag)

    def draw(self, chance: random.Random) -> Any:
        return complex(self.part.draw(chance), self.part.draw(chance))


@dataclass(frozen=True)
class Enum(Integer):
    def plain(self, got: Any) -> Any:
        return int(got)


@dataclass(frozen=True)
class Address(Type):
    """void *: only the address counts."""

    def terms(self, at: str) -> Iterator[str]:
        yield f"(uint64_t)(uintptr_t)({at})"

    def words(self, value: Any) -> Iterator[int]:
        yield value or 0

    def draw(self, chance: random.Random) -> Any:
        return chance.choice([0, chance.randint(1, MASK)])

    def make(self, module: ModuleType, value: Any, keep: list[Any]) -> Any:
        return hw.cast("void *", value) if value else hw.NULL

    def plain(self, got: Any) -> Any:
        return int(got)

    def for_ctypes(self) -> Any:
        return ctypes.c_void_p


@dataclass(frozen=True)
class Text(Type):
    """const char *: the characters count."""

    def terms(self, at: str) -> Iterator[str]:
        yield f"of_text({at})"

    def words(self, value: Any) -> Iterator[int]:
        h = 0
        for byte in value.encode():
            h = mix(h, byte)
        yield h

    def draw(self, chance: random.Random) -> Any:
        return "".join(chance.choices("abcé☃", k=chance.randint(0, 9)))

    def for_ctypes(self) -> Any:
        return ctypes.c_char_p

    def make_ctypes(self, value: Any, keep: list[Any]) -> Any:
        return value.encode()

    def plain_ctypes(self, got: Any) -> Any:
        return got.decode()


@dataclass(frozen=True)
class Numbers(Type):
    """const double *: two elements count."""

    def terms(self, at: str) -> Iterator[str]:
        yield f"of_double(({at})[0])"
        yield f"of_double(({at})[1])"

    def words(self, value: Any) -> Iterator[int]:
        yield double_bits(value[0])
        yield double_bits(value[1])

    def draw(self, chance: random.Random) -> Any:
        return [chance.uniform(-1, 1), chance.uniform(-1, 1)]

    def make(self, module: ModuleType, value: Any, keep: list[Any]) -> Any:
        made = hw.new("double[2]", value)
        keep.append(made)
        return made

    def for_ctypes(self) -> Any:
        return ctypes.POINTER(ctypes.c_double)

    def make_ctypes(self, value: Any, keep: list[Any]) -> Any:
        return (ctypes.c_double * 2)(*value)


@dataclass(frozen=True)
class Array(Type):
    """An array inside a struct or union."""

    element: Type
    count: int

    def terms(self, at: str) -> Iterator[str]:
        for i in range(self.count):
            yield from self.element.terms(f"({at})[{i}]")

    def words(self, value: Any) -> Iterator[int]:
        for i in range(self.count):
            yield from self.element.words(value[i])

    def draw(self, chance: random.Random) -> Any:
        return [self.element.draw(chance) for _ in range(self.count)]

    def make(self, module: ModuleType, value: Any, keep: list[Any]) -> Any:
        return [self.element.make(module, v, keep) for v in value]

    def plain(self, got: Any) -> Any:
        return [self.element.plain(got[i]) for i in range(self.count)]

    def for_ctypes(self) -> Any:
        element = self.element.for_ctypes()
        if element is ctypes.c_char:  # an array of those is bytes up to a NUL
            element = ctypes.c_byte if CHAR.signed else ctypes.c_ubyte
        return element * self.count if element else None

    def make_ctypes(self, value: Any, keep: list[Any]) -> Any:
        if isinstance(self.element, Char):
            return self.for_ctypes()(*value)
        return self.for_ctypes()(*[self.element.make_ctypes(v, keep) for v in value])

    def plain_ctypes(self, got: Any) -> Any:
        return [self.element.plain_ctypes(got[i]) for i in range(self.count)]


@dataclass(frozen=True)
class BitField(Type):
    base: Integer
    width: int

    def terms(self, at: str) -> Iterator[str]:
        yield f"(uint64_t)(int64_t)({at})"

    def words(self, value: Any) -> Iterator[int]:
        yield value & MASK

    def draw(self, chance: random.Random) -> Any:
        half = 1 << (self.width - 1)
        low, high = (-half, half - 1) if self.base.signed else (0, 2 * half - 1)
        return chance.choice([low, high, chance.randint(low, high)])


@dataclass(frozen=True)
class Aligned(Type):
    """A member aligned to more than its type asks for, which ctypes does not know."""

    element: Type
    align: int

    def terms(self, at: str) -> Iterator[str]:
        return self.element.terms(at)

    def words(self, value: Any) -> Iterator[int]:
        return self.element.words(value)

    def draw(self, chance: random.Random) -> Any:
        return self.element.draw(chance)

    def make(self, module: ModuleType, value: Any, keep: list[Any]) -> Any:
        return self.element.make(module, value, keep)

    def plain(self, got: Any) -> Any:
        return self.element.plain(got)


@dataclass(frozen=True)
class Struct(Type):
    fields: tuple[Type, ...]

    def declaration(self) -> str:
        return f"{self.c} {{ {' '.join(map(declare, self.fields, names(self.fields)))} }};\n"

    def terms(self, at: str) -> Iterator[str]:
        for name, field in zip(names(self.fields), self.fields, strict=True):
            yield from field.terms(f"({at}).{name}")

    def words(self, value: Any) -> Iterator[int]:
        for name, field in zip(names(self.fields), self.fields, strict=True):
            yield from field.words(value[name])

    def draw(self, chance: random.Random) -> Any:
        return {n: f.draw(chance) for n, f in zip(names(self.fields), self.fields, strict=True)}

    def make(self, module: ModuleType, value: Any, keep: list[Any]) -> Any:
        pairs = zip(names(self.fields), self.fields, strict=True)
        return {n: f.make(module, value[n], keep) for n, f in pairs}

    def plain(self, got: Any) -> Any:
        pairs = zip(names(self.fields), self.fields, strict=True)
        return {n: f.plain(getattr(got, n)) for n, f in pairs}

    def for_ctypes(self) -> Any:
        made = [f.for_ctypes() for f in self.fields]
        if None in made:
            return None
        fields = list(zip(names(self.fields), made, strict=True))
        return CTYPES.setdefault(self, type("S", (ctypes.Structure,), {"_fields_": fields}))

    def make_ctypes(self, value: Any, keep: list[Any]) -> Any:
        pairs = zip(names(self.fields), self.fields, strict=True)
        return self.for_ctypes()(**{n: f.make_ctypes(value[n], keep) for n, f in pairs})

    def plain_ctypes(self, got: Any) -> Any:
        pairs = zip(names(self.fields), self.fields, strict=True)
        return {n: f.plain_ctypes(getattr(got, n)) for n, f in pairs}


CTYPES: dict[Type, Any] = {}


@dataclass(frozen=True)
class Union(Type):
    """The widest member carries the value; the others decide how it travels."""

    fields: tuple[Type, ...]
    widest: int

    def declaration(self) -> str:
        return f"{self.c} {{ {' '.join(map(declare, self.fields, names(self.fields)))} }};\n"

    def terms(self, at: str) -> Iterator[str]:
        yield from self.fields[self.widest].terms(f"({at}).m{self.widest}")

    def words(self, value: Any) -> Iterator[int]:
        yield from self.fields[self.widest].words(value)

    def draw(self, chance: random.Random) -> Any:
        return self.fields[self.widest].draw(chance)

    def make(self, module: ModuleType, value: Any, keep: list[Any]) -> Any:
        return {f"m{self.widest}": self.fields[self.widest].make(module, value, keep)}

    def plain(self, got: Any) -> Any:
        return self.fields[self.widest].plain(getattr(got, f"m{self.widest}"))


@dataclass(frozen=True)
class Behind(Type):
    """A pointer to a struct: what it points to counts."""

    record: Struct | Union

    def terms(self, at: str) -> Iterator[str]:
        yield from self.record.terms(f"*({at})")

    def words(self, value: Any) -> Iterator[int]:
        yield from self.record.words(value)

    def draw(self, chance: random.Random) -> Any:
        return self.record.draw(chance)

    def make(self, module: ModuleType, value: Any, keep: list[Any]) -> Any:
        record = getattr(module, self.record.c.split()[1])
        keep.append(record(self.record.make(module, value, keep)))
        return keep[-1]

    def plain(self, got: Any) -> Any:
        return self.record.plain(got)

    def for_ctypes(self) -> Any:
        made = self.record.for_ctypes()
        return ctypes.POINTER(made) if made else None

    def make_ctypes(self, value: Any, keep: list[Any]) -> Any:
        keep.append(self.record.make_ctypes(value, keep))
        return ctypes.pointer(keep[-1])

    def plain_ctypes(self, got: Any) -> Any:
        return self.record.plain_ctypes(got.contents)


def names(fields: tuple[Type, ...]) -> list[str]:
    return [f"m{i}" for i in range(len(fields))]


def declare(type_: Type, name: str) -> str:
    if isinstance(type_, Array):
        return declare(type_.element, f"{name}[{type_.count}]")
    if isinstance(type_, Aligned):
        return f"_Alignas({type_.align}) {declare(type_.element, name)}"
    if isinstance(type_, BitField):
        return f"{type_.base.c} {name} : {type_.width};"
    return f"{type_.c} {name};"


INTEGERS = [
    Integer("signed char", 8, True, ctypes.c_byte),
    Integer("unsigned char", 8, False, ctypes.c_ubyte),
    Integer("short", 16, True, ctypes.c_short),
    Integer("unsigned short", 16, False, ctypes.c_ushort),
    Integer("int", 32, True, ctypes.c_int),
    Integer("unsigned int", 32, False, ctypes.c_uint),
    Integer("long", 64, True, ctypes.c_long),
    Integer("unsigned long", 64, False, ctypes.c_ulong),
    Integer("long long", 64, True, ctypes.c_longlong),
    Integer("unsigned long long", 64, False, ctypes.c_ulonglong),
    Integer("int8_t", 8, True, ctypes.c_int8),
    Integer("uint16_t", 16, False, ctypes.c_uint16),
    Integer("size_t", 64, False, ctypes.c_size_t),
]
FLOAT = Real("float", ctypes.c_float)
DOUBLE = Real("double", ctypes.c_double)
WIDE = Real("long double", ctypes.c_longdouble)
COMPLEX = [
    Complex("float _Complex", FLOAT),
    Complex("double _Complex", DOUBLE),
    Complex("long double _Complex", WIDE),
]
BOOL = Bool("_Bool", 8, False, ctypes.c_bool)
CHAR = Char("char", 8, platform.machine() != "aarch64", ctypes.c_char)
COLOUR = Enum("enum colour", 32, False, ctypes.c_uint)
LEVEL = Enum("enum level", 32, True, ctypes.c_int)
ENUMS = "enum colour { RED, GREEN = 7, BLUE };\nenum level { LOW = -5, HIGH = 3 };\n"
ADDRESS, TEXT, NUMBERS = Address("void *"), Text("const char *"), Numbers("const double *")
CHECKSUM = Integer("uint64_t", 64, False, ctypes.c_uint64)

NUMERIC = [*INTEGERS, FLOAT, DOUBLE, DOUBLE, WIDE, *COMPLEX, BOOL, CHAR, COLOUR, LEVEL]
SCALARS = [*NUMERIC, FLOAT, ADDRESS]
NARROW = [t for t in SCALARS if t not in (WIDE, *COMPLEX)]  # for what libffi is shown in disguise


# ---- drawing -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Signature:
    params: tuple[Type, ...]
    returns: int | None  # a parameter; -1 the checksum; None nothing

    @property
    def result(self) -> Type | None:
        if self.returns is None:
            return None
        return CHECKSUM if self.returns < 0 else self.params[self.returns]

    def prototype(self, name: str, first: str = "") -> str:
        given = [first] if first else []
        given += [f"{t.c} p{i}" for i, t in enumerate(self.params)]
        return f"{self.result.c if self.result else 'void'} {name}({', '.join(given) or 'void'})"

    def definition(self, name: str) -> str:
        body = "".join(
            f"    h = mix(h, {term});\n"
            for i, t in enumerate(self.params)
            for term in t.terms(f"p{i}")
        )
        returned = (
            ""
            if self.returns is None
            else "return h;"
            if self.returns < 0
            else f"return p{self.returns};"
        )
        result = f"{self.prototype(name)}\n{{\n    uint64_t h = {SEED}u;\n{body}    last = h;\n"
        return f"{result}    {returned}\n}}\n"

    def through(self, name: str) -> str:
        """A function that calls back a function of this type with its own arguments."""
        return self.prototype(name, self.prototype("(*callback)"))

    def through_definition(self, name: str) -> str:
        passed = ", ".join(f"p{i}" for i in range(len(self.params)))
        verb = "return " if self.result else ""
        return f"{self.through(name)}\n{{\n    {verb}callback({passed});\n}}\n"

    def checksum(self, values: list[Any]) -> int:
        h = SEED
        for type_, value in zip(self.params, values, strict=True):
            for word in type_.words(value):
                h = mix(h, word)
        return h

    def is_numeric(self) -> bool:
        return bool(self.params) and all(t in NUMERIC for t in (*self.params, self.result))


@st.composite
def structs(draw: Any, index: int, known: tuple[Struct | Union, ...]) -> Struct | Union:
    kinds = ["floats", "mixed", "mixed", "large", "bits", "union", "union", "aligned", "aligned"]
    if platform.machine() != "x86_64":
        kinds = [k for k in kinds if k != "aligned"]  # refused there
    kind = draw(st.sampled_from(kinds))
    name = f"s{index}"
    if kind == "floats":
        one = draw(st.sampled_from([FLOAT, DOUBLE, COMPLEX[0]]))
        return Struct(f"struct {name}", (one,) * draw(st.integers(1, 4)))
    if kind == "union":
        members = draw(st.lists(st.sampled_from(NARROW), min_size=1, max_size=3))
        sized = [Array("", t, draw(st.integers(1, 3))) for t in members]
        widest = max(range(len(sized)), key=lambda i: ctypes.sizeof(sized[i].for_ctypes()))
        return Union(f"union {name}", tuple(sized), widest)
    if kind == "bits":
        whole = st.sampled_from([t for t in INTEGERS if t.c != "size_t"])
        bit = whole.flatmap(
            lambda t: st.builds(BitField, st.just(""), st.just(t), st.integers(1, t.bits))
        )
        fields = draw(st.lists(bit | st.sampled_from(NARROW), min_size=1, max_size=5))
        return Struct(f"struct {name}", tuple(fields))
    if kind == "aligned":
        narrow = st.sampled_from(NARROW)
        aligned = st.builds(Aligned, st.just(""), narrow, st.sampled_from([8, 16]))
        rest = draw(st.lists(narrow | aligned, max_size=3))
        return Struct(f"struct {name}", tuple(draw(st.permutations([draw(aligned), *rest]))))
    element = st.sampled_from([*SCALARS, *known, *known])
    array = st.builds(Array, st.just(""), element, st.integers(1, 4 if kind == "mixed" else 20))
    size = 4 if kind == "mixed" else 9
    return Struct(
        f"struct {name}", tuple(draw(st.lists(element | array, min_size=1, max_size=size)))
    )


@st.composite
def signatures(draw: Any, records: tuple[Struct | Union, ...]) -> Signature:
    kind = draw(st.sampled_from(["numbers", "registers", "any", "any"]))
    pool = {
        "numbers": NUMERIC,
        "registers": [*INTEGERS, DOUBLE, FLOAT, FLOAT, BOOL, CHAR, COLOUR, ADDRESS, TEXT, NUMBERS],
        "any": [*SCALARS, TEXT, NUMBERS, *records, *records, *[behind(r) for r in records]],
    }[kind]
    size = draw(st.sampled_from([2, 5, 8, 13, 20]) | st.integers(0, 20))
    params = tuple(draw(st.lists(st.sampled_from(pool), min_size=size, max_size=size)))
    last = len(params) - 1
    returns = draw(st.none() | st.just(-1) | (st.integers(0, last) if params else st.just(-1)))
    return Signature(params, returns)


def behind(record: Struct | Union) -> Behind:
    return Behind(f"const {record.c} *", record)


class Batch:
    """What is compiled at once."""

    def __init__(
        self, records: tuple[Struct | Union, ...], drawn: tuple[Signature, ...], seed: int
    ) -> None:
        self.records, self.signatures, self.seed = records, drawn, seed

    def __repr__(self) -> str:
        return (
            f"<{len(self.signatures)} functions>\n{''.join(r.declaration() for r in self.records)}"
        )

    def header(self) -> str:
        text = [PRELUDE, ENUMS, *(r.declaration() for r in self.records)]
        text.append("uint64_t last_checksum(void);\n")
        for i, s in enumerate(self.signatures):
            text.append(f"{s.prototype(f'f{i}')};\n{s.through(f'c{i}')};\n")
        return "".join(text)

    def source(self) -> str:
        text = [MIX]
        for i, s in enumerate(self.signatures):
            text += [s.definition(f"f{i}"), s.through_definition(f"c{i}")]
        return "".join(text)


@st.composite
def batches(draw: Any) -> Batch:
    records: tuple[Struct | Union, ...] = ()
    for i in range(draw(st.integers(8, 12))):
        records = (*records, draw(structs(i, tuple(r for r in records if breadth(r) < 200))))
    drawn = draw(st.lists(signatures(records), min_size=60, max_size=80))
    return Batch(records, tuple(drawn), draw(st.integers(0, 2**32)))


def breadth(type_: Type) -> int:
    """How many numbers it is made of."""
    if isinstance(type_, (Struct, Union)):
        return sum(map(breadth, type_.fields))
    return type_.count * breadth(type_.element) if isinstance(type_, Array) else 1


# ---- comparing ---------------------------------------------------------------------------------------


def check_call(
    module: ModuleType, function: Any, signature: Signature, values: list[Any], what: str
) -> None:
    """One direct call: the checksum C made, and the argument it gave back."""
    keep: list[Any] = []
    given = [t.make(module, v, keep) for t, v in zip(signature.params, values, strict=True)]
    got = function(*given)
    expected = signature.checksum(values)
    told = f"{what}: {function.prototype}{tuple(values)}"
    assert module.last_checksum() == expected, told
    result = signature.result
    if result is None:
        assert got is None, told
    elif signature.returns == -1:
        assert got == expected, told
    else:
        assert result.same(result.plain(got), values[signature.returns or 0]), f"{told} -> {got}"


def check_ctypes(library: Any, name: str, signature: Signature, values: list[Any]) -> None:
    types = [t.for_ctypes() for t in signature.params]
    result = signature.result.for_ctypes() if signature.result else None
    if None in types or (signature.result and result is None):
        return
    function = library[name]
    function.argtypes, function.restype = types, result
    keep: list[Any] = []
    given = [t.make_ctypes(v, keep) for t, v in zip(signature.params, values, strict=True)]
    got = function(*given)
    assert library.last_checksum() == signature.checksum(values), (name, values)
    if signature.result and signature.returns != -1:
        plain = signature.result.plain_ctypes(got)
        assert signature.result.same(plain, values[signature.returns or 0]), (name, values)


def check_callback(module: ModuleType, name: str, signature: Signature, values: list[Any]) -> None:
    """C calls a Python function of this type: it sees the arguments, C its result."""
    seen: list[Any] = []
    keep: list[Any] = []

    def callback(*args: Any) -> Any:
        seen[:] = [t.plain(a) for t, a in zip(signature.params, args, strict=True)]
        if signature.returns is None:
            return None
        return 77 if signature.returns < 0 else args[signature.returns]

    through = getattr(module, name)
    given = [t.make(module, v, keep) for t, v in zip(signature.params, values, strict=True)]
    got = through(callback, *given)
    for type_, saw, value in zip(signature.params, seen, values, strict=True):
        assert type_.same(saw, value), (through.prototype, saw, value)
    if signature.returns == -1:
        assert got == 77
    elif signature.result:
        plain = signature.result.plain(got)
        assert signature.result.same(plain, values[signature.returns or 0]), through.prototype


def dtype_of(type_: Type) -> Any:
    if isinstance(type_, Enum):
        return np.dtype("i4" if type_.signed else "u4")
    if isinstance(type_, Char):
        return np.dtype("b" if type_.signed else "B")
    return hw.typeof(type_.c).dtype


def check_loop(function: Any, signature: Signature, rows: list[list[Any]], what: str) -> None:
    """A mapped call gives, element by element, what the scalar calls give."""
    columns = [
        np.array([row[i] for row in rows], dtype=dtype_of(t))
        for i, t in enumerate(signature.params)
    ]
    result = signature.result
    assert result is not None
    expected = [
        signature.checksum(row) if signature.returns == -1 else row[signature.returns or 0]
        for row in rows
    ]
    got = function(*columns)
    told = f"{what}: {function.prototype}"
    assert got.dtype == dtype_of(result), told
    for g, e in zip(got, expected, strict=True):
        value = (
            complex(g)
            if isinstance(result, Complex)
            else float(g)
            if isinstance(result, Real)
            else int(g)
        )
        assert result.same(value, e), (told, value, e)


def on_libffi(function: Any) -> Any:
    twin = _core.Function(function.binding, function.address, function.library, libffi=True)
    assert twin.route == "libffi"
    return twin


@pytest.fixture(scope="module")
def build(
    c_library: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Batch], tuple[Path, ModuleType]]:
    def build(batch: Batch) -> tuple[Path, ModuleType]:
        header = tmp_path_factory.mktemp("signatures") / "drawn.h"
        header.write_text(batch.header(), encoding="utf-8")
        path = c_library(f'#include "{header}"\n{batch.source()}', "-Wno-psabi", "-w")
        return path, hw.load(path, header)

    return build


@pytest.mark.timeout(900)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # the failure names its one function
)
@given(batch=batches())
def test_every_way_to_call_agrees(batch: Batch, build: Any) -> None:
    path, loaded = build(batch)
    compiled = hw.compile(batch.header() + batch.source(), flags=["-O1", "-w"])
    library = ctypes.CDLL(str(path))
    library.last_checksum.restype = ctypes.c_uint64
    chance = random.Random(batch.seed)
    for i, signature in enumerate(batch.signatures):
        rows = [[t.draw(chance) for t in signature.params] for _ in range(3)]
        function = getattr(loaded, f"f{i}")
        twin = on_libffi(function)
        for row in rows:
            check_call(loaded, function, signature, row, function.route)
            check_call(loaded, twin, signature, row, "libffi")
            check_call(compiled, getattr(compiled, f"f{i}"), signature, row, "compiled")
            check_ctypes(library, f"f{i}", signature, row)
            check_callback(loaded, f"c{i}", signature, row)
        if signature.is_numeric():
            check_loop(function, signature, rows, function.route)
            check_loop(twin, signature, rows, "libffi")
            check_loop(getattr(compiled, f"f{i}"), signature, rows, "compiled")


def test_a_struct_that_starts_in_the_last_integer_register_leaves_the_others_alone(
    build: Any,
) -> None:
    """What libffi before 3.4.7 gets wrong: the struct's second half also overwrote the double."""
    pair = Struct("struct s0", (INTEGERS[4], DOUBLE))
    ints = (INTEGERS[6],) * 5
    behind_result = Struct("struct s1", (DOUBLE, DOUBLE, DOUBLE))
    drawn = (
        Signature((DOUBLE, *ints, pair), -1),
        Signature((pair, *ints, pair), -1),
        Signature((DOUBLE, *ints, pair), 6),
        Signature((DOUBLE, DOUBLE, *ints[1:], pair, behind_result), 7),
        Signature((FLOAT, *ints, Struct("struct s2", (INTEGERS[4], INTEGERS[4], FLOAT))), -1),
    )
    batch = Batch((pair, behind_result, drawn[-1].params[-1]), drawn, 0)  # type: ignore[arg-type]
    _, module = build(batch)
    chance = random.Random(1)
    for i, signature in enumerate(drawn):
        for _ in range(5):
            values = [t.draw(chance) for t in signature.params]
            check_call(module, getattr(module, f"f{i}"), signature, values, "libffi")
            check_callback(module, f"c{i}", signature, values)
