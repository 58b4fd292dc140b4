# SPDX-License-Identifier: MIT
"""C memory from Python: new, cast, addressof, sizeof, offsetof, buffer, string, typeof."""

from __future__ import annotations

import re
from operator import index
from types import ModuleType
from typing import TYPE_CHECKING, Any

from headway import _core

if TYPE_CHECKING:
    from headway._module import Variable

_TOKEN = re.compile(r"\s*(?:(\*)|(\[\s*(\d*)\s*\])|([A-Za-z_]\w*))")
_TAGS = ("struct", "union", "enum")

# multi-word spellings, words in any order
_ARITHMETIC = {
    " ".join(sorted(words.split())): name
    for words, name in {
        "void": "void",
        "_Bool": "_Bool",
        "bool": "_Bool",
        "char": "char",
        "signed char": "signed char",
        "unsigned char": "unsigned char",
        "short": "short",
        "short int": "short",
        "unsigned short": "unsigned short",
        "unsigned short int": "unsigned short",
        "int": "int",
        "signed": "int",
        "signed int": "int",
        "unsigned": "unsigned int",
        "unsigned int": "unsigned int",
        "long": "long",
        "long int": "long",
        "unsigned long": "unsigned long",
        "unsigned long int": "unsigned long",
        "long long": "long long",
        "long long int": "long long",
        "unsigned long long": "unsigned long long",
        "unsigned long long int": "unsigned long long",
        "float": "float",
        "double": "double",
        "long double": "long double",
        "float _Complex": "float _Complex",
        "double _Complex": "double _Complex",
        "long double _Complex": "long double _Complex",
        "int8_t": "signed char",
        "int16_t": "short",
        "int32_t": "int",
        "int64_t": "long",
        "uint8_t": "unsigned char",
        "uint16_t": "unsigned short",
        "uint32_t": "unsigned int",
        "uint64_t": "unsigned long",
        "size_t": "unsigned long",
        "ssize_t": "long",
        "ptrdiff_t": "long",
        "intptr_t": "long",
        "uintptr_t": "unsigned long",
    }.items()
}


def typeof(spec: Any, module: ModuleType | None = None) -> _core.CType:
    """The C type that `spec` names.

    Parameters
    ----------
    spec : str, CType or any C value
        C's own spelling, such as ``"const double *"``, ``"int[10]"`` or ``"gsl_function *"``; or a
        type, or a value whose type is wanted. ``"struct stat"`` is the struct also where a function
        has its name.
    module : module, optional
        A loaded module whose structs, enums and typedefs the spelling may name.

    Returns
    -------
    CType

    Raises
    ------
    TypeError, ValueError
        Where `spec` names no type.
    """
    if isinstance(spec, _core.CType):
        return spec
    if isinstance(spec, (_core.Value, _core.Pointer)):
        return spec.__ctype__
    if isinstance(spec, _core.Function):
        return spec.ctype
    ctype = getattr(spec, "__ctype__", None)  # an enum's class
    if isinstance(ctype, _core.CType):
        return ctype
    if not isinstance(spec, str):
        raise TypeError(f"expected a C type or its spelling, got {type(spec).__name__}")
    return _parse(spec, module)


def _parse(spec: str, module: ModuleType | None) -> _core.CType:
    words: list[str] = []
    suffix: list[str | int | None] = []
    at = 0
    text = spec.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or (match[4] and suffix and match[4] not in ("const", "restrict")):
            raise ValueError(f"{spec!r} is not a C type as headway reads them, such as 'double *'")
        at = match.end()
        if match[1]:
            if any(not isinstance(s, str) for s in suffix):
                raise ValueError(f"{spec!r}: a pointer to an array is made with pointer types")
            suffix.append("*")
        elif match[2]:
            suffix.append(int(match[3]) if match[3] else None)
        elif not suffix:
            words.append(match[4])
    const = "const" in words
    base = _base([w for w in words if w not in ("const", "volatile", "restrict")], spec, module)
    stars = sum(s == "*" for s in suffix)
    ctype = base
    for i in range(stars):
        ctype = _core.pointer(ctype, const=const and i == 0)
    for count in reversed([s for s in suffix if not isinstance(s, str)]):
        ctype = _core.array(ctype, count)
    return ctype


def _base(words: list[str], spec: str, module: ModuleType | None) -> _core.CType:
    name = _ARITHMETIC.get(" ".join(sorted(words)))
    if name is not None:
        return _core.arithmetic(name)
    if module is not None and words:
        tagged = len(words) == 2 and words[0] in _TAGS
        found = getattr(module, " ".join(words), None) if tagged or len(words) == 1 else None
        found = getattr(found, "__ctype__", found)
        if isinstance(found, _core.CType):
            return found
    where = f" in {module.__name__}" if module is not None else "; say module= for a header's types"
    tags = [f"{tag} {name}" for tag in _TAGS for name in words if hasattr(module, f"{tag} {name}")]
    hint = f"; did you mean {tags[0]!r}?" if len(words) == 1 and tags else ""
    raise ValueError(f"{spec!r} names no C type{where}{hint}")


def new(spec: Any, init: Any = None, *, module: ModuleType | None = None) -> Any:
    """Allocate a zeroed C object and return it, or a pointer to it.

    Parameters
    ----------
    spec : str or CType
        What to allocate: ``"double[10]"``, ``m.gsl_function``, ``"int"``. Of a pointer type, what
        it points to is allocated, as cffi does: ``"int *"`` says the same as ``"int"``.
    init : optional
        A number, a string for an array of characters, a sequence, a mapping of fields; for an
        array without a length, its length.
    module : module, optional
        Where names in `spec` are looked up.

    Returns
    -------
    Value or Pointer
        Structs, unions and arrays themselves, which pass where C wants a pointer to them; for
        everything else a pointer whose ``[0]`` is the object. The memory lives as long as what is
        returned and what is made from it.

    Raises
    ------
    TypeError, ValueError
        For void, functions and structs without a definition, and where `init` does not fit.

    Examples
    --------
    >>> import headway as hw
    >>> p = hw.new("int", 5)
    >>> p[0] += 1
    >>> p[0]
    6
    """
    if isinstance(spec, _core.Function):
        name = spec.__name__
        raise TypeError(
            f"{name} is a function; a struct of that name is new('struct {name}', module=...)"
        )
    ctype = typeof(spec, module)
    if ctype.kind == "pointer":
        ctype = ctype.target
    if ctype.kind == "array" and ctype.count is None:
        return _new_array(ctype, init)
    if ctype.kind in ("struct", "union", "array"):
        return ctype() if init is None else ctype(init)
    cell = _core.array(ctype, 1)()
    if init is not None:
        cell[0] = init
    return _core.pointer_at(_core.pointer(ctype), cell.__address__, cell)


def _new_array(ctype: _core.CType, init: Any) -> Any:
    """An array whose length is `init`, or that of `init`; a text's NUL counts."""
    if isinstance(init, int):
        return _core.array(ctype.target, init)()
    if init is None:
        raise ValueError(f"{ctype.name} has no length: say it, or give what goes in")
    if isinstance(init, str):
        init = init.encode("utf-8", "surrogateescape")
    return _core.array(ctype.target, len(init) + isinstance(init, bytes))(init)


def _address(value: Any) -> tuple[int, Any]:
    """Where a value lies or points to, and what keeps it there."""
    if isinstance(value, _core.Value):
        return value.__address__, value
    if isinstance(value, _core.Pointer):
        return int(value), value
    if isinstance(value, _core.Function):
        return value.address, value
    if hasattr(value, "__index__"):
        return index(value), None
    raise TypeError(f"expected an address, a pointer or a C value, got {type(value).__name__}")


def cast(spec: Any, value: Any, *, module: ModuleType | None = None) -> Any:
    """Convert as a C cast does: pointers and addresses to pointers, numbers to numbers.

    A pointer made from another keeps alive what that one does. An address from elsewhere is taken
    at its word: what lies there must outlive its use.

    Raises
    ------
    TypeError
        For types that C does not cast between.
    """
    ctype = typeof(spec, module)
    if ctype.kind == "pointer":
        address, owner = _address(value)
        return _core.pointer_at(ctype, address % 2**64, owner)
    if ctype.kind in ("integer", "enum"):
        if ctype.code == "?":
            return bool(value)
        number = int(value) if isinstance(value, float) else _address(value)[0]
        cell = _core.array(ctype, 1)()
        memoryview(cell).cast("B")[:] = (number % 2**64).to_bytes(8, "little")[: ctype.size]
        return cell[0]
    if ctype.kind in ("real", "complex"):
        cell = _core.array(ctype, 1)()
        cell[0] = value
        return cell[0]
    raise TypeError(f"C does not cast to {ctype.name}")


def addressof(value: Any, name: str | None = None) -> _core.Pointer:
    """A pointer to a C value, to a field of it, or to a variable or function of a module.

    Parameters
    ----------
    value : Value, Function or module
        A struct, union or array; a function; or a loaded module.
    name : str, optional
        A field of the struct; the variable or function of the module.

    Returns
    -------
    Pointer
        It keeps the memory alive. ``addressof(m, "errno_like")[0] = 3`` sets a variable of C's.
    """
    if isinstance(value, ModuleType) and name is not None:
        variable = _variable(value, name)
        if variable is not None:
            pointer = _core.pointer(variable.ctype, variable.const)
            return _core.pointer_at(pointer, variable.address, variable.library)
        value, name = getattr(value, name), None
    if isinstance(value, _core.Function) and name is None:
        return _core.pointer_at(_core.pointer(value.ctype), value.address, value)
    if not isinstance(value, _core.Value):
        raise TypeError(f"expected a C struct, union or array, got {type(value).__name__}")
    ctype = value.__ctype__
    address = value.__address__
    if name is not None:
        ctype, offset = _field(ctype, name)
        address += offset
    return _core.pointer_at(_core.pointer(ctype), address, value)


def _variable(module: ModuleType, name: str) -> Variable | None:
    """An extern variable of a module; None for what is none."""
    from headway._module import loaded

    return loaded(module).variable(name)


def sizeof(spec: Any, *, module: ModuleType | None = None) -> int:
    """The size of a type or value in bytes."""
    if isinstance(spec, _core.Value):
        return len(memoryview(spec).cast("B"))
    return typeof(spec, module).size


def _field(ctype: _core.CType, name: str) -> tuple[_core.CType, int]:
    try:
        member, offset, _, bit_width = ctype.fields[name]
    except KeyError:
        has = ", ".join(ctype.fields) or "none"
        raise AttributeError(f"{ctype.name} has no field {name!r}; it has {has}") from None
    if bit_width >= 0:
        raise TypeError(f"{name!r} of {ctype.name} is a bit-field, which has no address")
    return member, offset


def offsetof(spec: Any, *path: str, module: ModuleType | None = None) -> int:
    """The offset of a field in bytes; further names go into nested structs."""
    ctype = typeof(spec, module)
    total = 0
    for name in path:
        ctype, offset = _field(ctype, name)
        total += offset
    return total


def buffer(value: Any, size: int | None = None) -> memoryview:
    """The memory of a C value, or `size` bytes from a pointer on, as a memoryview.

    Nothing is copied. It can be written to, but through a pointer to const. For a pointer, `size`
    is taken at its word.

    Raises
    ------
    TypeError
        For a pointer without a size, where the pointee has none.
    """
    if isinstance(value, _core.Value):
        view = memoryview(value).cast("B")
        return view if size is None else view[:size]
    if not isinstance(value, _core.Pointer):
        raise TypeError(f"expected a C value or a pointer, got {type(value).__name__}")
    if not value:
        raise ValueError("the pointer is NULL: there is no memory to look at")
    n = value.__ctype__.target.size if size is None else size
    block = _core.array(_core.arithmetic("unsigned char"), n)
    view = memoryview(_core.load(block, int(value), value)).cast("B")
    return view.toreadonly() if value.__ctype__.target_const else view


def string(value: Any, most: int | None = None) -> bytes:
    """The bytes before the first NUL, at most `most` of them.

    Reading stops at the end of an array; from a pointer, C's word is taken that a NUL follows.
    """
    if isinstance(value, _core.Value):
        data = bytes(memoryview(value).cast("B"))
        data = data if most is None else data[:most]
        return data.split(b"\0", 1)[0]
    if not isinstance(value, _core.Pointer):
        raise TypeError(f"expected a C value or a pointer, got {type(value).__name__}")
    if most is None:
        return _core.bytes_at(int(value))
    return _core.bytes_at(int(value), most)


def close(handle: _core.Pointer) -> None:
    """Free an owned handle now; again does nothing.

    Raises
    ------
    TypeError
        It is no handle that Python owns.
    """
    if not isinstance(handle, _core.Pointer):
        raise TypeError(f"expected a handle, got {type(handle).__name__}")
    _core.Pointer.close(handle)  # what it points to may have a field of that name


def function_at(ctype: _core.CType, address: int, owner: Any) -> _core.Function:
    """The C function behind a pointer, called as its type says.

    Parameters
    ----------
    ctype : CType
        Of kind function.
    address : int
        Where its code lies.
    owner : object
        What keeps the code there.
    """
    from headway._model import Binding, Param, Result

    params = [Param(f"arg{i}", p.name, p) for i, p in enumerate(ctype.params)]
    result = Result(ctype.target.name, ctype.target)
    binding = Binding(
        "(*)", "headway", ctype.name, ctype.name, ctype, tuple(params), result, (), None
    )
    return _core.Function(binding, address, owner)
