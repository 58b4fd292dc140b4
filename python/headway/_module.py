# SPDX-License-Identifier: MIT
"""The module that a library and its header become.

It is a plain module object. Functions, types and constants enter its dictionary when first touched,
through the module's own ``__getattr__``, which Python calls only for what is missing there; from
then on an access costs what it costs in any module. Extern variables never enter it, so that each
access reads memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from threading import RLock
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from headway import _core
from headway._errors import AnnotationError, NotBoundError, SymbolError, nearest

if TYPE_CHECKING:
    from headway._annotate import FunctionWords, StructWords
    from headway._bind import Surroundings
    from headway._model import Binding
    from headway._sources import Given
    from headway._types import Types

Record = Mapping[str, Any]

_ATTRIBUTE = "__headway__"  # where a module keeps its Loaded
_TAGS = ("struct ", "union ", "enum ")

_FREE: Record = {  # what `owned=free` means where no header declares it
    "k": "function",
    "name": "free",
    "type": ["fn", "void", [["ptr", "void", False]], False, True],
    "params": [
        {
            "name": "ptr",
            "c": "void *",
            "type": ["ptr", "void", False],
            "bounds": None,
            "words": "",
        }
    ],
    "result": {"c": "void", "type": "void"},
    "prototype": "void free(void *ptr)",
    "doc": "",
    "symbol": "free",
    "inline": False,
    "words": "",
}


class Row(NamedTuple):
    """One declaration as `report` lists it."""

    name: str
    kind: str  # "function", "struct", "union", "enum", "const", "typedef", "var", "macro"
    bound: bool
    text: str  # the prototype, type or value; the reason where it is not bound
    notes: tuple[str, ...] = ()
    mapping: str | None = None  # "ufunc" or a gufunc's signature


class Variable(NamedTuple):
    """An extern variable, and where it is."""

    ctype: Any
    address: int
    library: Any
    const: bool  # it may lie in memory that nobody can write to

    def read(self) -> Any:
        """What it is now: a view, or of a const struct or array a copy."""
        if self.const and self.ctype.kind == "array" and self.ctype.count is None:
            pointer = _core.pointer(self.ctype.target, const=True)  # there is no size to copy
            return _core.pointer_at(pointer, self.address, self.library)
        return _core.load(self.ctype, self.address, self.library, self.const)


def make(
    name: str, declarations: Any, libraries: Sequence[Any], annotations: Sequence[Given]
) -> ModuleType:
    """Make a module of declarations and the libraries that define them.

    Parameters
    ----------
    name : str
        What the module is called.
    declarations : headway._headers.Declarations
        What the headers declare.
    libraries : sequence of _core.Library
        Searched in order. A compiled module's library has loops beside its functions.
    annotations : sequence of Given
        What is said about the declarations beyond the header.

    Raises
    ------
    AnnotationError
        A strict annotation does not fit.
    """
    loaded = Loaded(name, declarations, libraries, annotations)
    loaded.check_annotations()
    return loaded.module


def loaded(module: ModuleType) -> Loaded:
    """What is behind a module that `make` made.

    Raises
    ------
    TypeError
        It is another module.
    """
    found = vars(module).get(_ATTRIBUTE)
    if not isinstance(found, Loaded):
        raise TypeError(f"{module!r} was not made by headway.load or headway.compile")
    return found


def report(module: ModuleType) -> Iterator[Row]:
    """Every declaration of the requested headers: bound, or not and why."""
    behind = loaded(module)
    for name in behind.own():
        yield behind.row(name)


class Loaded:
    """The declarations, libraries and annotations behind a module.

    Parameters are those of `make`. Without libraries bindings can be had, but no functions.
    """

    def __init__(
        self, name: str, declarations: Any, libraries: Sequence[Any], annotations: Sequence[Given]
    ) -> None:
        self.name = name
        self.declarations = declarations
        self.libraries = list(libraries)
        self.annotations = annotations
        self.module = ModuleType(name, f"C declarations of {name}, made by Headway.")
        self._lock = RLock()  # guards the three below; held while something is bound
        self._refused: dict[str, AttributeError] = {}
        self._binding: list[str] = []  # functions being bound, for the detection of circles
        self._around: Surroundings | None = None
        self._struct_names: dict[str, set[str]] | None = None
        self._variables: dict[str, Variable] = {}
        self._renamed: dict[str, str] = {}  # from Python's name to C's
        vars(self.module).update(
            {_ATTRIBUTE: self, "__getattr__": self.attribute, "__dir__": self.listed}
        )

    # ---- what Python sees ----------------------------------------------------------------------

    def attribute(self, name: str) -> Any:
        """What a name of the module is, when it is first touched."""
        if name == "__all__":
            return vars(self.module).setdefault(name, self.listed())
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(f"module {self.name!r} has no attribute {name!r}")
        with self._lock:
            if name in self._refused:
                known = self._refused[name]
                raise type(known)(*known.args)
            if name in self._variables:
                return self._variables[name].read()
            try:
                return self._make(name)
            except (NotBoundError, SymbolError) as error:
                self._refused[name] = error
                raise

    def listed(self) -> list[str]:
        """The names for ``dir()``: what the requested headers declare and Python can use."""
        return sorted({*self.declarations.listed, *self._renamed} - self._refused.keys())

    def _make(self, name: str) -> Any:
        """Make what a name is and, unless it is a variable, put it into the module."""
        if name in self._renamed:
            return vars(self.module).setdefault(name, getattr(self.module, self._renamed[name]))
        record = self.find(name)
        if record is None:
            raise AttributeError(
                f"module {self.name!r} has no attribute {name!r}: its headers declare no such name"
                f"{self._tag_meant(name) or nearest(name, list(self.declarations.names()))}"
            )
        try:
            value = getattr(self, "_make_" + record["k"])(name, record)
        except NotBoundError as error:
            raise NotBoundError(f"{self.name}.{name} is not bound: {error}") from None
        return value if record["k"] == "var" else vars(self.module).setdefault(name, value)

    def find(self, name: str) -> Record | None:
        """The declaration behind a name: an ordinary one, else a struct's, union's or enum's tag."""
        keys = (name, *(tag + name for tag in _TAGS))
        found = (self.declarations.get(key) for key in keys)
        return next((record for record in found if record is not None), None)

    def _tag_meant(self, name: str) -> str:
        """How to reach a tag that someone looks for as ``struct_stat``."""
        tag = name.replace("_", " ", 1)
        if tag.startswith(_TAGS) and self.declarations.get(tag) is not None:
            return f"; {tag!r} is for headway.typeof and headway.new, with module="
        return ""

    def _make_function(self, name: str, record: Record) -> Any:
        return self._bound(record)

    def _make_struct(self, name: str, record: Record) -> Any:
        return self.types.ctype(["rec", self._key(record)])

    _make_union = _make_struct

    def _make_enum(self, name: str, record: Record) -> Any:
        return self._enum(self._key(record))

    def _enum(self, key: str) -> Any:
        """The IntEnum of a tag; its C type comes with it."""
        self.types.ctype(["enum", key])
        return self.types.enum(key)

    def _make_const(self, name: str, record: Record) -> Any:
        enum, value = record.get("enum"), record["value"]
        if not enum or "<" in enum:  # of an anonymous enum: a number
            return value
        try:
            return self._enum(enum)(value)
        except ValueError:  # its name is one that Python's enums keep for themselves
            return value

    def _make_typedef(self, name: str, record: Record) -> Any:
        encoded = record["type"]
        if isinstance(encoded, list) and encoded[0] == "enum":
            return self._enum(encoded[1])
        return self.types.ctype(encoded)

    def _make_var(self, name: str, record: Record) -> Any:
        library, address = self._symbol(record)
        ctype = self.types.value(record["type"])
        self._variables[name] = Variable(ctype, address, library, record["const"])
        return self._variables[name].read()

    def variable(self, name: str) -> Variable | None:
        """An extern variable; None for what is none."""
        getattr(self.module, name)
        return self._variables.get(name)

    def _make_macro(self, name: str, record: Record) -> Any:
        if "type" in record:  # a number made a pointer
            return _core.pointer_at(self.types.ctype(record["type"]), record["value"] % 2**64)
        return record["value"]

    def _make_refused(self, name: str, record: Record) -> Any:
        raise NotBoundError(record["reason"])

    def _key(self, record: Record) -> str:
        name: str = record["name"]
        return name if name.startswith(_TAGS) else f"{record['k']} {name}"

    # ---- functions -----------------------------------------------------------------------------

    def function(self, name: str) -> Any:
        """The callable C function of a name, for an annotation that refers to it."""
        if name in vars(self.module):
            return vars(self.module)[name]
        record = self.lookup(name)
        if record is None or record["k"] != "function":
            raise AnnotationError(f"an annotation refers to {name!r}, which is no function")
        return vars(self.module).setdefault(name, self._bound(record))

    def binding(self, name: str) -> Binding:
        """How a function is called from Python.

        Raises
        ------
        NotBoundError, AnnotationError
            It cannot be; it is wrongly annotated.
        """
        record = self.lookup(name)
        if record is not None and record["k"] == "refused":
            raise NotBoundError(record["reason"])
        if record is None or record["k"] != "function":
            raise NotBoundError(f"{name!r} is not declared as a function")
        return self._decide(record)

    def _decide(self, record: Record) -> Binding:
        from headway._bind import bind

        return bind(record, self.function_words(record), self.around)

    def _bound(self, record: Record) -> Any:
        with self._lock:
            if record["name"] in self._binding:
                circle = " -> ".join([*self._binding, record["name"]])
                raise AnnotationError(f"owned= goes in a circle: {circle}")
            self._binding.append(record["name"])
            try:
                library, address = self._symbol(record)
                loop = self._loop(library, record["name"])
                binding = self._decide(record)
                try:
                    return _core.Function(binding, address, library, loop)
                except (TypeError, ValueError) as error:
                    raise NotBoundError(str(error)) from error
            finally:
                self._binding.pop()

    def _symbol(self, record: Record) -> tuple[Any, int]:
        """The library that defines a declaration and the address in it."""
        symbols = (record["symbol"], f"hw_static_{record['name']}")
        if record.get("inline"):  # what its own name finds is in a library that this one needs
            symbols = symbols[::-1]
        for symbol in symbols:
            for library in self.libraries:
                try:
                    return library, library.symbol(symbol)
                except KeyError:
                    continue
        if record.get("inline"):
            raise NotBoundError(
                "it is an inline function, which no library contains; "
                "headway.compile makes it available"
            )
        where = ", ".join(str(library.path or "this process") for library in self.libraries)
        raise SymbolError(
            f"{self.name}.{record['name']}: the header declares it, but there is no symbol "
            f"{record['symbol']!r} in {where}; load the library that has it as well, "
            "or a header that fits the library's version"
        )

    def _loop(self, library: Any, name: str) -> int:
        try:
            address: int = library.symbol(f"hw_loop_{name}")
        except KeyError:
            return 0
        return address

    @property
    def around(self) -> Surroundings:
        """What bindings need to know of the module."""
        if self._around is None:
            from headway._bind import Surroundings

            resolve: Callable[[str], Any] = self.function if self.libraries else lambda name: None
            self._around = Surroundings(
                self.name, self._new_types(), self.lookup, resolve, self._freeing()
            )
        return self._around

    @property
    def types(self) -> Types:
        """The module's C types."""
        return self.around.types

    def lookup(self, name: str) -> Record | None:
        """A declaration by name; `free` is always known."""
        found: Record | None = self.declarations.get(name)
        return _FREE if found is None and name == "free" else found

    # ---- annotations ---------------------------------------------------------------------------

    def function_words(self, record: Record) -> FunctionWords:
        """What annotations say of a function."""
        from headway._annotate import function_words

        name = record["name"]
        return function_words(record, *(said for a in self.annotations for said in a.about(name)))

    def struct_words(self, record: Record) -> StructWords:
        """What annotations say of a struct, by its tag or a typedef of it."""
        from headway._annotate import struct_words

        names = self._annotated_structs().get(self._key(record), ())
        layers = [a.layer[n] for a in self._asked_for() for n in sorted(names) if n in a.layer]
        return struct_words(record, *layers)

    def _annotated_structs(self) -> dict[str, set[str]]:
        """From the key of each annotated struct to the names that annotations use for it."""
        if self._struct_names is None:
            found: dict[str, set[str]] = {}
            for name in (name for given in self._asked_for() for name in given.layer):
                key = self._struct_key(name)
                if key:
                    found.setdefault(key, set()).add(name)
            self._struct_names = found
        return self._struct_names

    def _struct_key(self, name: str) -> str | None:
        record = self.find(name)
        if record is None:
            return None
        if record["k"] in ("struct", "union"):
            return self._key(record)
        encoded = record.get("type")
        if record["k"] == "typedef" and isinstance(encoded, list) and encoded[0] == "rec":
            return str(encoded[1])
        return None

    def _asked_for(self) -> list[Given]:
        return [given for given in self.annotations if not given.automatic]

    def check_annotations(self) -> None:
        """Check what the user gave against the declarations, before anything is called."""
        for record in self._annotated_records():
            if "name" in record["words"]:
                self._rename(record)
        for given in self.annotations:
            if given.strict:
                for name, said in given.layer.items():
                    if "*" not in name:
                        self._check(given, name, said)

    def _check(self, given: Given, name: str, said: Mapping[str, str]) -> None:
        from headway._annotate import struct_words

        record = self.lookup(name)
        if record is not None and record["k"] == "function":
            self._rename(record)
            with suppress(NotBoundError, SymbolError):  # told when the function is touched
                self._decide(record)
            return
        key = self._struct_key(name)
        if key is None:
            raise AnnotationError(
                f"{given.path}: {name!r} is neither a function nor a struct of the headers"
                f"{nearest(name, list(self.declarations.names()))}"
            )
        struct_words(self.declarations.get(key), said)

    def _rename(self, record: Record) -> None:
        name = self.function_words(record).name
        if name is not None:
            self._renamed[name] = record["name"]

    def _annotated_records(self) -> list[Record]:
        """The functions that carry annotations in the header itself."""
        if not any(file.endswith("headway/annotate.h") for file in self.declarations.files):
            return []
        records = map(self.declarations.get, self.declarations.names())
        return [
            r
            for r in records
            if r and r["k"] == "function" and (r["words"] or any(p["words"] for p in r["params"]))
        ]

    def _freeing(self) -> frozenset[str]:
        """The functions that an ``owned=`` names, in annotations and in annotated headers."""
        import re

        texts = [t for a in self._asked_for() for said in a.layer.values() for t in said.values()]
        for record in self._annotated_records():
            texts += [record["words"], *(p["words"] for p in record["params"])]
        return frozenset(name for t in texts for name in re.findall(r"\bowned\s*=\s*(\w+)", t))

    def _new_types(self) -> Types:
        from headway._expression import constant
        from headway._types import Types

        return Types(
            self.declarations.get, self.struct_words, lambda text: constant(self.lookup, text)
        )

    # ---- the table -----------------------------------------------------------------------------

    def own(self) -> list[str]:
        """What the requested headers themselves declare, bound or not."""
        return [*self.declarations.listed, *self.declarations.refused]

    def everything(self) -> list[str]:
        """All that the headers declare and include, tags as what reaches them."""
        known = self.declarations
        return sorted({*known.names(), *filter(None, map(self._tag_name, known.tags()))})

    def _tag_name(self, key: str) -> str:
        """What reaches a struct, union or enum: its bare name, or its tag where another has that;
        "" where the other is a typedef of it."""
        name = key.partition(" ")[2]
        rival = self.declarations.get(name)
        if rival is None or rival["k"] in ("struct", "union", "enum"):
            return name
        encoded = rival.get("type")
        same = rival["k"] == "typedef" and encoded in (["rec", key], ["enum", key])
        return "" if same else key

    def row(self, name: str) -> Row:
        """A declaration as a line of the report."""
        record = self.find(name)
        if record is None:
            return Row(name, "unknown", bound=False, text="it is declared nowhere")
        try:
            value = getattr(self.module, name)
        except Exception as error:  # noqa: BLE001  # one declaration must not cost the others
            return Row(name, record["k"], bound=False, text=str(error))
        if record["k"] != "function":
            return Row(name, record["k"], bound=True, text=_shown(record, value))
        binding: Binding = value.binding
        signature = None
        if binding.mapping is not None:
            signature = binding.mapping.signature(binding.dims) if binding.dims else "ufunc"
        return Row(name, "function", True, binding.prototype, binding.notes, signature)


def _shown(record: Record, value: Any) -> str:
    """A type as C spells it, a constant by its value."""
    if record["k"] in ("macro", "const"):
        return repr(value)
    name = str(record["name"])
    return str(record.get("c") or (name if name.startswith(_TAGS) else f"{record['k']} {name}"))
