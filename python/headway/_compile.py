# SPDX-License-Identifier: MIT
"""`headway.compile`: C source becomes a module whose functions run at full speed over arrays.

What is compiled is the user's file and, after it in the same translation unit, a loop for each of
its functions (`_codegen`). The shared library is kept in the cache under a key of everything that
it depends on but the files included, which are recorded beside it and compared, and the files that
would have been included had they been there.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache as cached
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from headway import _cachedir, _core, _headers, _module, _toolchain, _vector
from headway._arguments import definitions, directories, texts
from headway._errors import CompileError, CompileWarning, HeaderError, NotBoundError
from headway._headers._cache import exists
from headway._headers._search import INCLUDE, Search
from headway._library import cached_names
from headway._sources import Annotate, Given, sources

if TYPE_CHECKING:
    from headway._headers import Declarations

FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math")
"""What every compilation starts from; none of these changes a value."""

# -ffp-contract=off: whether a product and a sum are fused depends on the code around them, so the
# same function could give another value in a loop than in a call. -fno-semantic-interposition: else
# an exported function of a shared library is not inlined.
_ALWAYS = ("-std=gnu11", "-ffp-contract=off", "-fPIC", "-fno-semantic-interposition")

# What compilers once took for a matter of style, and calls C with wrong arguments or results.
_REFUSED = tuple(
    f"-Werror={mistake}"
    for mistake in (
        "implicit-function-declaration", "implicit-int", "int-conversion",
        "incompatible-pointer-types", "return-type",
    )
)  # fmt: skip

# gcc swaps the arguments of fmax and fmin as it likes, which decides between zeros of both signs.
_ORDERED = tuple(
    f"-fno-builtin-{name}" for name in ("fmax", "fmaxf", "fmaxl", "fmin", "fminf", "fminl")
)

# libm's scalar functions, not the four-ulp vector ones that gcc would put in loops.
_FAST = ("-ffast-math", "-ffp-contract=fast", "-U__FAST_MATH__")

_FLATTENED = 20_000  # characters of source up to which everything is inlined into the loops
_FRESH = 2_000_000_000  # ns; a file this new may change again without its time stamp showing it

# Of the user's flags, those that the reader of declarations has to know as well, and the linker.
_READ_WITH_VALUE = ("-D", "-U", "-I", "-isystem", "-iquote", "-idirafter", "-include")
_LINK_WITH_VALUE = ("-L", "-l", "-Wl,", "-Xlinker", "-fsanitize", "-pthread", "-B")

# Functions of libm that round: the compiler computes them itself where the argument is a constant.
_ROUNDING = re.compile(
    r"\b(?:__builtin_)?c?(?:a?(?:sin|cos|tan)h?|atan2|exp(?:2|10|m1)?|pow(?:10|i)?|log(?:2|10|1p)?"
    r"|cbrt|hypot|l?gamma(?:_r)?|tgamma|erfc?|[jy][01n]|abs|arg|sincos)[fl]?\b"
)


def compile(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    flags: Sequence[str] = (),
    math: str = "libm",
    fast_math: bool = False,
    openmp: bool = False,
    include_dirs: Sequence[str | os.PathLike[str]] = (),
    defines: Mapping[str, str | int | None] | None = None,
    headers: Sequence[str | os.PathLike[str]] = (),
    annotate: Annotate = None,
    libraries: Sequence[str | os.PathLike[str]] = (),
    cc: str | Sequence[str] | None = None,
    name: str | None = None,
    cache: bool = True,
) -> ModuleType:
    """Compile C and make its functions callable.

    Functions of numbers become ufuncs and functions of sized arrays gufuncs, as with
    `headway.load`; here the compiler sees the loops too, inlines and vectorises. The result is
    cached by content: the same source with the same flags is compiled once per machine.

    Parameters
    ----------
    source : str, path, or sequence of these
        C source (any text with a line break or a brace), or the paths of C files.
    flags : sequence of str, optional
        Options for the compiler, after Headway's own, which are ``-O3 -march=native
        -fno-math-errno -fno-trapping-math`` and ``-ffp-contract=off``.
    math : {"libm", "vector"}, default "libm"
        Where sin, exp, lgamma and the like come from. ``"vector"`` takes SLEEF's: within 1 ulp of
        the exact value and several times faster in loops; it needs gcc and the SLEEF library. An
        element's value does not depend on its place. Such functions set neither errno nor signgam.
    fast_math : bool, default False
        Compile with ``-ffast-math``: values change, infinities and NaNs may be mistreated. The
        rest of the process is not affected.
    openmp : bool, default False
        Compile and link with ``-fopenmp``.
    include_dirs, defines, headers
        As for `headway.load`. Relative includes of inline source start at the working directory.
    annotate
        As for `headway.load`. In the source itself, ``headway/annotate.h`` says the same.
    libraries : sequence of str or path, optional
        Libraries to link with: ``"gsl"`` for ``-lgsl``, or a path. libm is always there.
    cc : str or sequence of str, optional
        The compiler; by default ``$CC``, ``cc``, ``gcc`` or ``clang``, whichever is there.
    name : str, optional
        What to call the module; by default the first file's name, or ``"inline"``.
    cache : bool, default True
        Keep the result on disk, and use what is kept there.

    Returns
    -------
    module
        Its functions, types, enums, macros and variables under their C names.

    Raises
    ------
    CompileError
        There is no compiler, or it refused the source; the message shows the lines of C.
    AnnotationError
        An annotation does not fit.

    Warns
    -----
    CompileWarning
        What the compiler warned of, when it compiles; not again when the result is in the cache.

    Examples
    --------
    >>> import headway as hw
    >>> k = hw.compile("double twice(double x) { return 2 * x; }")
    >>> k.twice(21.0)
    42.0
    """
    if math not in ("libm", "vector"):
        raise ValueError(f"math={math!r}: it is 'libm' or 'vector'")
    build = _Build(
        files=_files(source, name),
        flags=texts("flags", flags, "-O2"),
        vector=math == "vector",
        fast_math=fast_math,
        openmp=openmp,
        include_dirs=directories(include_dirs),
        defines=definitions(defines),
        headers=texts("headers", headers, "stdio.h"),
        libraries=texts("libraries", libraries, "gsl"),
        compiler=_toolchain.find(cc, gcc=math == "vector"),
        cache=cache,
    )
    title = name or build.files[0].stem
    declarations = build.read()
    annotations = sources(annotate, (), [f.path for f in build.files if f.path])
    library = build.library(
        title, annotations, lambda: _module.Loaded(title, declarations, [], annotations)
    )
    for said in build.warned:
        warnings.warn(said, CompileWarning, stacklevel=2)
    return _module.make(title, declarations, [library], annotations)


# ---- what is compiled --------------------------------------------------------------------------


@dataclass(slots=True)
class _File:
    """A C file; `path` is empty for inline source."""

    stem: str
    path: str
    text: str
    declarations: Declarations | None = None

    @property
    def include(self) -> str:
        """What the generated unit includes."""
        return self.path or f"{self.stem}.c"


def _files(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], name: str | None
) -> list[_File]:
    if isinstance(source, str) and not source.strip():
        raise ValueError("nothing to compile: the source is empty; give C or the path of a C file")
    if isinstance(source, str) and ("\n" in source or "{" in source):
        stem = re.sub(r"\W", "_", name or "inline")
        return [_File(stem, "", source if source.endswith("\n") else source + "\n")]
    given = [source] if isinstance(source, (str, os.PathLike)) else list(source)
    if not given:
        raise ValueError("nothing to compile: give C source or the path of a C file")
    return [_file(os.fspath(path)) for path in given]


def _file(path: str) -> _File:
    absolute = os.path.abspath(os.path.expanduser(path))
    try:
        text = Path(absolute).read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        raise CompileError(
            f"there is no C file {path!r} (looked for {absolute}); inline source is recognised by "
            "a line break or a brace in it"
        ) from None
    except OSError as error:
        raise CompileError(f"the C file {path!r} cannot be read: {error.strerror}") from None
    stem = re.sub(r"\W", "_", os.path.splitext(os.path.basename(absolute))[0])
    return _File(stem, absolute, text)


@dataclass(slots=True)
class _Build:
    """One compilation."""

    files: list[_File]
    flags: list[str]
    vector: bool
    fast_math: bool
    openmp: bool
    include_dirs: list[str]
    defines: dict[str, str | int | None]
    headers: list[str]
    libraries: list[str]
    compiler: _toolchain.Compiler
    cache: bool
    places: list[str] = field(default_factory=list)  # where #include "..." of inline source starts
    warned: list[str] = field(default_factory=list)  # what the compiler said of what it accepted

    def __post_init__(self) -> None:
        if any(not file.path for file in self.files):
            self.places = ["-iquote", os.getcwd()]
        if self.vector and self.compiler.is_clang():
            raise CompileError(
                'math="vector" needs gcc, which calls vector functions by their GNU names; '
                f"{self.compiler.command[0]} is clang. Install gcc ('apt install gcc'), name it "
                'with cc="gcc", or compile with math="libm"'
            )

    # ---- reading ---------------------------------------------------------------------------

    def read(self) -> Declarations | _Together:
        """What the files declare."""
        for file in self.files:
            try:
                file.declarations = _headers.read(
                    [*self.headers, *([file.path] if file.path else [])],
                    source=None if file.path else file.text,
                    include_dirs=self.include_dirs,
                    defines=self.defines,
                    extra_args=[*self.places, *self.reader_flags()],
                    extra_headers=len(self.headers),
                    cache=self.cache,
                )
            except HeaderError as error:
                raise self.explained(file, error) from None
        parts = [file.declarations for file in self.files if file.declarations is not None]
        return parts[0] if len(parts) == 1 else _Together(parts)

    def reader_flags(self) -> list[str]:
        """Of the flags, those that change what is declared."""
        chosen = list(_options(self.flags, _READ_WITH_VALUE))
        chosen += [flag for flag in self.flags if flag.startswith("-std=")]
        if self.openmp:  # gcc's omp.h has an attribute with arguments that clang knows without any
            chosen += ["-D_OPENMP=201511", "-D__malloc__(x)="]
        return [*chosen, *("-idirafter", self.compiler.include_dir())]

    def explained(self, file: _File, error: HeaderError) -> CompileError:
        """The compiler's own words for what the reader of declarations refused."""
        unit = f'#include "{file.include}"\n'
        with _scratch() as directory:
            self.write(directory, [unit])
            arguments = [*self.arguments(), "-fsyntax-only", "headway0.c"]
            done = self.compiler.run(arguments, directory)
        if done.returncode:
            return self.refused(file, done.stderr)
        return CompileError(
            f"{self.compiler.command[0]} accepts {self.label(file)}, but its declarations cannot "
            f"be read:\n{error}"
        )

    # ---- generating ------------------------------------------------------------------------

    def units(self, loaded: _module.Loaded) -> list[str]:
        """The generated translation units, one per file."""
        from headway import _codegen

        units = []
        taken: set[str] = set()
        for file in self.files:
            assert file.declarations is not None
            kernels = [
                _codegen.Kernel(record["name"], binding, record["inline"])
                for record in self.own_functions(file, file.declarations)
                if record["name"] not in taken
                and (binding := _binding(loaded, record["name"])) is not None
            ]
            taken.update(kernel.name for kernel in kernels)
            known = "".join(self.texts(file))
            text = _codegen.unit(
                file.include.replace("\\", "\\\\").replace('"', '\\"'),
                kernels,
                flatten=len(file.text) <= _FLATTENED,
                small_sizes=not _ROUNDING.search(known),
            )
            if self.vector:
                own = _own_names(file.declarations)
                text = _vector.declarations(own, known) + text
            units.append(text)
        return units

    def own_functions(self, file: _File, declarations: Declarations) -> Iterator[Mapping[str, Any]]:
        """The functions defined in the file, and in headers that it brings along.

        Those are headers outside the system's directories, and those that it names itself.
        """
        named = [*self.headers, *re.findall(r'#\s*include\s*[<"]([^">]+)', file.text)]
        ours = {
            path
            for path in declarations.files
            if not path.startswith(_system()) or any(path.endswith("/" + n) for n in named)
        }
        listed = {*declarations.listed}
        for name in declarations.names():
            record = declarations.get(name)
            if record is None or record["k"] != "function" or not record["defined"]:
                continue
            if name in listed or record["file"] in ours:
                yield record

    def texts(self, file: _File) -> Iterator[str]:
        """The file and what it includes from outside the system's directories."""
        assert file.declarations is not None
        yield file.text
        for path in file.declarations.files:
            if path != file.path and not path.startswith(_system()) and os.path.isfile(path):
                yield Path(path).read_text(encoding="utf-8", errors="surrogateescape")

    # ---- options ---------------------------------------------------------------------------

    def machine(self) -> list[str]:
        """The options that choose the processor's instructions."""
        return ["-march=native", *(flag for flag in self.flags if flag.startswith("-m"))]

    def arguments(self) -> list[str]:
        """The compiler's options."""
        defines = [
            f"-D{key}" if value is None else f"-D{key}={value}"
            for key, value in self.defines.items()
        ]
        search = Search(self.include_dirs)
        headers = [search.resolve(header)[1] for header in self.headers]
        return [
            *FLAGS,
            *_ALWAYS,
            *_REFUSED,
            *(_vector.flags(self.compiler.macros(self.machine())) if self.vector else []),
            *(_FAST if self.fast_math else _ORDERED),
            *(["-fopenmp"] if self.openmp else []),
            *(f"-I{directory}" for directory in self.include_dirs),
            *self.places,
            *defines,
            *(word for header in headers for word in ("-include", header)),
            *("-idirafter", INCLUDE),
            *self.flags,
        ]

    def link_arguments(self) -> list[str]:
        """The options of the link, which must not see -ffast-math or -Ofast: gcc would add code
        that sets flush-to-zero in the thread that loads the library."""
        libraries = [lib if "/" in lib else _library_flag(lib) for lib in self.libraries]
        chosen = list(_options(self.flags, _LINK_WITH_VALUE))
        strict = [] if any(f.startswith("-fsanitize") for f in chosen) else ["-Wl,-z,defs"]
        return [
            "-shared",
            "-Wl,-Bsymbolic",  # a function of the library is not one of that name elsewhere
            *strict,
            *(["-fopenmp"] if self.openmp else []),
            *(_vector.link_flags() if self.vector else []),
            *libraries,
            *chosen,
            "-lm",
        ]

    # ---- building --------------------------------------------------------------------------

    def library(
        self, title: str, annotations: Sequence[Given], loaded: Callable[[], _module.Loaded]
    ) -> Any:
        """The opened shared library, from the cache or newly built."""
        room = _cachedir.room("compile") if self.cache else None
        title = re.sub(r"\W", "_", title)
        key = self.key(title, annotations)
        if room is not None:
            found = _Kept.find(room, key)
            if found is not None:
                return _core.open_library(found)
        with _scratch() as directory:
            built, depends = self.build(directory, self.units(loaded()))
            kept = room and _Kept.keep(room, key, title, built, depends, self.looked_for())
            return _core.open_library(kept or built)

    def key(self, title: str, annotations: Sequence[Given]) -> str:
        """Of everything that the library depends on but the content of included files."""
        parts = [
            _generator(),
            title,
            self.compiler.identity,
            _toolchain.cpu(),
            self.arguments(),
            self.link_arguments(),
            _vector.identity() if self.vector else None,
            [[file.include, file.text] for file in self.files],
            [given.layer for given in annotations if not given.automatic],
        ]
        text = json.dumps(parts).encode("utf-8", "surrogatepass")
        return hashlib.sha256(text).hexdigest()[:32]

    def write(self, directory: str, units: Sequence[str]) -> None:
        """The files to compile."""
        for number, unit in enumerate(units):
            Path(directory, f"headway{number}.c").write_text(unit, "utf-8", "surrogateescape")
        for file in self.files:
            if not file.path:
                Path(directory, file.include).write_text(file.text, "utf-8", "surrogateescape")

    def build(self, directory: str, units: Sequence[str]) -> tuple[str, list[str]]:
        """Compiles and links; returns the library's path and the files that were included."""
        from concurrent.futures import ThreadPoolExecutor

        self.write(directory, units)
        common = self.arguments()

        def one(number: int) -> str:
            arguments = [*common, "-MD", "-MF", f"headway{number}.d", "-c", f"headway{number}.c"]
            done = self.compiler.run([*arguments, "-o", f"headway{number}.o"], directory)
            if done.returncode:
                raise self.refused(self.files[number], done.stderr)
            return done.stderr

        with ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
            said = list(pool.map(one, range(len(units))))
        self.warned = [
            f"{self.compiler.command[0]} warns of {self.label(file)}:\n{text}"
            for file, text in zip(self.files, map(_warnings, said), strict=True)
            if text
        ]
        objects = [f"headway{number}.o" for number in range(len(units))]
        if self.vector:
            signgam = any(_vector.reads_signgam(text) for f in self.files for text in self.texts(f))
            objects.append(
                _vector.compiled(self.compiler, self.machine(), directory, signgam=signgam)
            )
        arguments = [*objects, *self.link_arguments(), "-o", "library.so"]
        done = self.compiler.run(arguments, directory)
        if done.returncode:
            raise self.unlinked(done.stderr)
        depends: list[str] = []
        for number in range(len(units)):
            depends += _included(Path(directory, f"headway{number}.d").read_text(encoding="utf-8"))
        outside = [path for path in dict.fromkeys(depends) if os.path.isabs(path)]
        return os.path.join(directory, "library.so"), outside

    def looked_for(self) -> dict[str, list[str]]:
        """The files that were only looked for, those absent and those present."""
        parts = [file.declarations for file in self.files if file.declarations is not None]
        return {
            "absent": list(dict.fromkeys(path for part in parts for path in part.absent)),
            "present": list(dict.fromkeys(path for part in parts for path in part.present)),
        }

    # ---- messages --------------------------------------------------------------------------

    def label(self, file: _File) -> str:
        """What messages call a file."""
        return file.path or "the inline source"

    def unlinked(self, said: str) -> CompileError:
        """The exception for what the linker refused."""
        text = f"linking {' and '.join(map(self.label, self.files))} failed:\n"
        undefined = dict.fromkeys(re.findall(r"undefined reference to [`'](.+?)'", said))
        if undefined:
            return CompileError(
                f"{text}called but not defined: {', '.join(undefined)}\n"
                "functions of another library need libraries=[...]"
            )
        absent = re.search(r"cannot find -l:?(\S+?):? ", said + " ")
        if absent:
            text += (
                f"library {absent[1]!r} was not found; install the package that has it (on Debian "
                f"and Ubuntu: apt install lib{absent[1]}-dev), or give the path of the file\n"
            )
        return CompileError(text + said.strip())

    def refused(self, file: _File, said: str) -> CompileError:
        """The exception for a file that the compiler refused, with its lines of C."""
        text = f"{self.compiler.command[0]} refused {self.label(file)}:\n{_cleaned(said)}"
        if re.search(r"No such file or directory|file not found", said):
            text += "\ngive the header's directory with include_dirs=[...]"
        return CompileError(text)


class _Together:
    """The declarations of several files as one."""

    def __init__(self, parts: Sequence[Declarations]) -> None:
        self._parts = parts
        self.listed = tuple(dict.fromkeys(name for part in parts for name in part.listed))
        self.files = tuple(dict.fromkeys(path for part in parts for path in part.files))

    def get(self, name: str) -> dict[str, Any] | None:
        """A declaration; of a function that one of the files defines, the definition."""
        found = [record for part in self._parts if (record := part.get(name)) is not None]
        return next((r for r in found if r.get("defined")), found[0] if found else None)

    def names(self) -> list[str]:
        """All ordinary names."""
        return list(dict.fromkeys(name for part in self._parts for name in part.names()))

    def tags(self) -> list[str]:
        """The keys of all structs, unions and enums that have a name."""
        return list(dict.fromkeys(key for part in self._parts for key in part.tags()))


def _scratch() -> Any:
    """A directory that lasts as long as the compilation."""
    import tempfile

    return tempfile.TemporaryDirectory(prefix="headway-")


@cached
def _system() -> tuple[str, ...]:
    """Where the system's headers are."""
    return tuple(directory + os.sep for directory in Search().system)


@cached
def _generator() -> str:
    """What tells this version of the generated code from others."""
    from headway import __version__

    made = hashlib.sha256(__version__.encode())
    deciding = ("_bind.py", "_mapping.py", "_roles.py", "_shapes.py")
    for name in (
        *deciding,
        "_codegen.py",
        "_compile.py",
        "_vector.py",
        "vector_math.c",
        "vector_tables.h",
    ):
        made.update(Path(__file__).with_name(name).read_bytes())
    return made.hexdigest()


def _options(flags: Sequence[str], wanted: tuple[str, ...]) -> Iterator[str]:
    """The flags that start so, with the value that follows where it is a word of its own."""
    words = iter(flags)
    for word in words:
        start = next((w for w in wanted if word.startswith(w)), None)
        if start is None:
            continue
        yield word
        if word == start and start not in ("-pthread", "-fsanitize", "-Wl,"):
            value = next(words, None)
            if value is not None:
                yield value


def _library_flag(name: str) -> str:
    """What asks the linker for a library. Without the link that development packages have, the
    loader's names serve, as for `headway.load`."""
    known = cached_names()
    if f"lib{name}.so" in known:
        return f"-l{name}"
    versions = [n for n in known if n.startswith(f"lib{name}.so.")]
    return f"-l:{max(versions, key=len)}" if versions else f"-l{name}"


def _binding(loaded: _module.Loaded, name: str) -> Any:
    """How a function is called; None where Python cannot."""
    try:
        return loaded.binding(name)
    except NotBoundError:
        return None


def _own_names(declarations: Declarations) -> set[str]:
    """The names of libm that a source defines itself, as whatever."""
    own = set()
    for name, (real, count) in _vector.FUNCTIONS.items():
        record = declarations.get(name)
        if record is not None:
            function = record["k"] == "function" and not record["defined"]
            if not function or record["type"][1:3] != [real, [real] * count]:
                own.add(name)
    return own


def _included(rule: str) -> list[str]:
    """The files of a make rule as -MD writes it."""
    words = re.split(r"(?<!\\)\s+", rule.replace("\\\n", " ").partition(":")[2])
    return [word.replace("\\ ", " ").replace("$$", "$") for word in words if word]


def _cleaned(said: str) -> str:
    """A compiler's messages without the traces of the unit that includes the user's file."""
    said = re.sub(
        r"^In file included from [^\n]*headway\d+\.c:\d+:\n", "", said, flags=re.MULTILINE
    )
    said = re.sub(r"^\./", "", said, flags=re.MULTILINE)
    said = re.sub(r",\n\s+from [^\n]*headway\d+\.c:\d+:", ":", said)
    return said.strip()


_GENERATED = re.compile(r"headway\d+\.c|loops by Headway")
_MESSAGE = re.compile(r"(?P<file>[^\s:][^:\n]*):\d+:(?:\d+:)? (?P<kind>\w[\w ]*): ")
_CONTEXT = re.compile(r"In file included from |[^\s:][^:\n]*: (?:In function|At top level)")
_COUNT = re.compile(r"\d+ warnings? generated\.$")


def _warnings(said: str) -> str:
    """A compiler's warnings about the user's files; of the generated loops nothing is said."""
    kept: list[str] = []
    context: list[str] = []  # lines such as "In function 'f':", which go with what follows
    wanted = False
    for line in _cleaned(said).splitlines():
        message = _MESSAGE.match(line)
        if _COUNT.match(line):
            continue
        if message is None and (_CONTEXT.match(line) or context):
            context.append(line)
            continue
        if message is not None and message["kind"] != "note":
            wanted = not _GENERATED.match(message["file"])
        if wanted:
            kept += [*context, line]
        context = []
    return "\n".join(kept)


# ---- what is kept ------------------------------------------------------------------------------


class _Kept:
    """Libraries in the cache: ``<key>.json`` names one by its content and what it depends on."""

    @staticmethod
    def find(room: Path, key: str) -> str | None:
        """The library of a key; None where there is none, it is damaged or out of date."""
        record = room / f"{key}.json"
        try:
            kept = json.loads(record.read_bytes())
            path = room / kept["library"]
            content = path.read_bytes()
            looked = not any(map(exists, kept["absent"])) and all(map(exists, kept["present"]))
            fresh = looked and all(_unchanged(*each) for each in kept["depends"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if not fresh or hashlib.sha256(content).hexdigest() != kept["digest"]:
            return None
        return str(path)

    @staticmethod
    def keep(
        room: Path,
        key: str,
        title: str,
        built: str,
        depends: Sequence[str],
        looked_for: Mapping[str, list[str]],
    ) -> str | None:
        """Puts a library into the cache; returns its path there, None where that fails.

        It is named by its content: the loader takes a path that it has seen for the same library.
        """
        content = Path(built).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        path = room / f"{title}-{digest[:24]}.so"
        try:
            known = [_state(file) for file in depends]
        except OSError:
            return None
        if not _cachedir.store(path, content, executable=True):
            return None
        record = {"library": path.name, "digest": digest, "depends": known, **looked_for}
        _cachedir.store(room / f"{key}.json", json.dumps(record).encode())
        return str(path)


def _state(path: str) -> list[Any]:
    status = os.stat(path)
    # A file that has just been written may be written again within the clock's resolution: no time
    # stamp is kept for it, so that its content is compared.
    settled = status.st_mtime_ns < time.time_ns() - _FRESH
    return [path, status.st_size, status.st_mtime_ns if settled else -1, _digest(path)]


def _unchanged(path: str, size: int, modified: int, digest: str) -> bool:
    """Whether an included file is what it was, by its time stamp first and its content second."""
    status = os.stat(path)
    if status.st_size != size:
        return False
    return status.st_mtime_ns == modified or _digest(path) == digest


def _digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
