# SPDX-License-Identifier: MIT
"""The C loops of a compiled module: for each mapped function F, an ``hw_loop_F``.

A loop is what ``hw_loop_fn`` in ``headway/call.h`` says, in the same translation unit as F, so that
the compiler inlines F and vectorises.

Functions of scalars (a ufunc) get one straight loop per pattern of arguments that do not change:
those are read once, into constants, so that what depends on them alone is computed once. The other
arguments and the results are contiguous there. Everything else reaches these loops through small
blocks copied to and from the stack. Where a result overlaps an argument (reduce, accumulate) the
elements are computed one by one, in order.

All of these compute an element by the same C expression, and without ``-ffast-math`` a C compiler
may not let its value depend on where the expression stands: the same bits everywhere.

Functions of arrays (a gufunc) are called once per place, and compiled apart for small equal sizes,
where a call is so short that knowing them is worth a factor of three (4x4 matrices).

The compiler may compute what the source guards (``x > 0 ? log(x) : 0`` for every x), which raises
floating-point flags that the source does not. A loop takes back the flags raised in it that none of
its results explains, so that NumPy warns of what happened only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from headway._model import Binding, Operand

C_TYPE = {
    "?": "_Bool",
    "b": "signed char",
    "B": "unsigned char",
    "h": "short",
    "H": "unsigned short",
    "i": "int",
    "I": "unsigned int",
    "l": "long",
    "L": "unsigned long",
    "q": "long long",
    "Q": "unsigned long long",
    "f": "float",
    "d": "double",
    "g": "long double",
    "F": "float _Complex",
    "D": "double _Complex",
    "G": "long double _Complex",
}
"""The C type of each of NumPy's letters."""

_REAL_PARTS = {"f": ("float", 1), "d": ("double", 1), "g": ("long double", 1)}
_REAL_PARTS |= {"F": ("float", 2), "D": ("double", 2), "G": ("long double", 2)}

# A straight loop costs some 20 ms of compile time: every pattern has its own for functions of few
# arguments where there are few functions, else those where all change, or all but one are fixed.
_ALL_PATTERNS_UP_TO = 4
_FEW_FUNCTIONS = 32
_SMALL_SIZES = (4, 3, 2)

_PREAMBLE = """\
typedef __PTRDIFF_TYPE__ hw_index;
#define HW_LOOP __attribute__((visibility("default")))

/* Floating-point flags: invalid, pole or overflow, underflow. */
#if defined __x86_64__ || defined __i386__
#define HW_FLAGS() __builtin_ia32_stmxcsr()
#define HW_SET_FLAGS(hw_f) __builtin_ia32_ldmxcsr(hw_f)
#define HW_INVALID 0x01u
#define HW_INFINITE 0x0cu
#define HW_TINY 0x10u
#elif defined __aarch64__ && !defined __clang__
#define HW_FLAGS() ((unsigned)__builtin_aarch64_get_fpsr())
#define HW_SET_FLAGS(hw_f) __builtin_aarch64_set_fpsr(hw_f)
#define HW_INVALID 0x01u
#define HW_INFINITE 0x06u
#define HW_TINY 0x08u
#else
#define HW_FLAGS() 0u
#define HW_SET_FLAGS(hw_f) (void)(hw_f)
#define HW_INVALID 0u
#define HW_INFINITE 0u
#define HW_TINY 0u
#endif

/* Those of the flags that no result explains. Raises none itself. */
#define HW_UNEXPLAINED(hw_type, hw_name, hw_max)                                                   \\
    static __attribute__((noinline, cold, unused)) unsigned hw_name(                               \\
        unsigned hw_f, const char *hw_p, hw_index hw_n, hw_index hw_step, hw_index hw_count)       \\
    {                                                                                              \\
        for (hw_index hw_i = 0; hw_i < hw_n && hw_f; hw_i++, hw_p += hw_step)                      \\
            for (hw_index hw_j = 0; hw_j < hw_count; hw_j++) {                                     \\
                hw_type hw_y = ((const hw_type *)(const void *)hw_p)[hw_j];                        \\
                if (hw_y != hw_y) hw_f &= ~HW_INVALID;                                             \\
                else if (hw_y > hw_max || hw_y < -hw_max) hw_f &= ~HW_INFINITE;                    \\
                else if (hw_y < (hw_type)__FLT_MIN__ && hw_y > -(hw_type)__FLT_MIN__)              \\
                    hw_f &= ~HW_TINY;                                                              \\
            }                                                                                      \\
        return hw_f;                                                                               \\
    }
HW_UNEXPLAINED(float, hw_unexplained_float, __FLT_MAX__)
HW_UNEXPLAINED(double, hw_unexplained_double, __DBL_MAX__)
HW_UNEXPLAINED(long double, hw_unexplained_long_double, __LDBL_MAX__)

/* Whether two operands share memory other than element for element. */
static inline __attribute__((unused)) int hw_overlap(const char *hw_a, hw_index hw_as,
                                                     hw_index hw_asize, const char *hw_b,
                                                     hw_index hw_bs, hw_index hw_bsize,
                                                     hw_index hw_n)
{
    if (hw_a == hw_b && hw_as == hw_bs) return 0;
    const char *hw_a_end = hw_a + hw_asize, *hw_b_end = hw_b + hw_bsize;
    if (hw_as < 0) hw_a += (hw_n - 1) * hw_as; else hw_a_end += (hw_n - 1) * hw_as;
    if (hw_bs < 0) hw_b += (hw_n - 1) * hw_bs; else hw_b_end += (hw_n - 1) * hw_bs;
    return hw_a < hw_b_end && hw_b < hw_a_end;
}
"""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A function of the user's that is reached from Python."""

    name: str  # in C
    binding: Binding
    inline: bool = False  # or static: it may have no symbol of its own


def loop_name(name: str) -> str:
    """The symbol of a function's loop."""
    return f"hw_loop_{name}"


def static_name(name: str) -> str:
    """The symbol of a function that is static or inline, and has none of its own."""
    return f"hw_static_{name}"


def can_loop(binding: Binding) -> bool:
    """Whether a loop can be generated: every parameter is an operand or a size."""
    if binding.mapping is None:
        return False
    operands = (*binding.mapping.inputs, *binding.mapping.outputs)
    fed = {o.param for o in operands} | {d.param for d in binding.dims}
    return all(i in fed for i in range(len(binding.params))) and all(
        o.kind in C_TYPE for o in operands
    )


def unit(include: str, kernels: Sequence[Kernel], *, flatten: bool, small_sizes: bool) -> str:
    """The text of one translation unit.

    Parameters
    ----------
    include : str
        The user's file, as ``#include`` finds it.
    kernels : sequence of Kernel
        The functions of that file.
    flatten : bool
        Inline everything that a function calls, however long; else as the compiler likes.
    small_sizes : bool
        Compile gufuncs apart for small equal sizes. Only where no function of libm that rounds is
        called: the compiler computes ``log(4)`` itself, and correctly rounded.
    """
    parts = [
        f'#include "{include}"\n',
        '#line 1 "loops by Headway"\n',
        _PREAMBLE,
        f"#define HW_INLINED {'__attribute__((flatten))' if flatten else ''}\n",
    ]
    for kernel in kernels:
        name = kernel.name
        if kernel.inline:
            # `extern` makes a definition of an inline function external, and leaves a static one so.
            parts.append(
                f"extern __typeof__({name}) {name};\n"
                f"extern __typeof__({name}) {static_name(name)}"
                f' __attribute__((alias("{name}"), visibility("default")));\n'
            )
        if can_loop(kernel.binding):
            writer = _Writer(kernel, _ALL_PATTERNS_UP_TO if len(kernels) <= _FEW_FUNCTIONS else 2)
            parts.append(writer.places(small_sizes) if writer.core else writer.elements())
    return "".join(parts)


class _Writer:
    """Writes the loop of one function. Operands are numbered as the loop's args."""

    def __init__(self, kernel: Kernel, all_patterns_up_to: int) -> None:
        mapping = kernel.binding.mapping
        assert mapping is not None
        self.name = kernel.name
        self.binding = kernel.binding
        self.inputs = mapping.inputs
        self.operands = (*mapping.inputs, *mapping.outputs)
        self.core = any(o.core for o in self.operands)
        self.all_patterns_up_to = all_patterns_up_to

    # ---- shared ----------------------------------------------------------------------------

    def outputs(self) -> Iterator[tuple[int, Operand]]:
        """The numbers and operands of the results."""
        return ((k, o) for k, o in enumerate(self.operands) if k >= len(self.inputs))

    def by_address(self, operand: Operand) -> bool:
        """Whether C takes a pointer to the operand."""
        return operand.param >= 0 and self.binding.params[operand.param].type.kind == "pointer"

    def operand_of(self, param: int) -> tuple[int, Operand] | None:
        """The operand of a parameter; of an in and out parameter, the output."""
        found = None
        for k, o in enumerate(self.operands):
            if o.param == param:
                found = k, o
        return found

    def call(self, arguments: Sequence[str]) -> str:
        # In parentheses: a macro of that name, if any, is not meant.
        return f"({self.name})({', '.join(arguments)})"

    def wrapped(self, body: str) -> str:
        """The exported loop around `body`, which has hw_args, hw_dims, hw_steps and hw_n."""
        looks = []
        for k, o in self.outputs():
            if o.kind in _REAL_PARTS:
                real, parts = _REAL_PARTS[o.kind]
                count = "".join(f" * hw_dims[{1 + d}]" for d in o.core)
                looks.append(
                    f"    if (hw_new) hw_new = hw_unexplained_{real.replace(' ', '_')}(hw_new, "
                    f"hw_args[{k}], hw_n, hw_steps[{k}], {parts}{count});\n"
                )
        before, after = "", ""
        if looks:
            before = "    unsigned hw_old = HW_FLAGS();\n"
            after = (
                "    unsigned hw_new = HW_FLAGS() & ~hw_old & (HW_INVALID | HW_INFINITE | HW_TINY);\n"
                "    if (__builtin_expect(hw_new != 0, 0)) {\n"
                + "".join("    " + look for look in looks)
                + "        if (hw_new) HW_SET_FLAGS(HW_FLAGS() & ~hw_new);\n    }\n"
            )
        return (
            f"static inline __attribute__((always_inline)) void hw_body_{self.name}"
            "(char **hw_args, const hw_index *hw_dims, const hw_index *hw_steps, hw_index hw_n)\n"
            f"{{\n    (void)hw_dims; (void)hw_steps;\n{body}}}\n"
            f"HW_LOOP HW_INLINED void {loop_name(self.name)}"
            "(char **hw_args, const hw_index *hw_dims, const hw_index *hw_steps, void *hw_data)\n"
            "{\n    (void)hw_data;\n    const hw_index hw_n = hw_dims[0];\n    if (hw_n <= 0) return;\n"
            f"{before}    hw_body_{self.name}(hw_args, hw_dims, hw_steps, hw_n);\n{after}}}\n"
        )

    # ---- functions of scalars --------------------------------------------------------------

    def elements(self) -> str:
        """The loop of a function of scalars."""
        patterns = self.patterns()
        parts = [self.straight(p) for p in patterns]
        parts.append(self.one_by_one())
        parts.append(self.wrapped(self.dispatch(patterns)))
        return "".join(parts)

    def patterns(self) -> list[int]:
        """Sets of arguments, as bits, that do not change, for which there is a loop; most first."""
        n = len(self.inputs)
        sizes = range(n - 1, -1, -1) if n <= self.all_patterns_up_to else (n - 1, 0)
        return [sum(1 << k for k in chosen) for m in sizes for chosen in combinations(range(n), m)]

    def straight_name(self, pattern: int) -> str:
        return f"hw_straight_{self.name}_{pattern:x}"

    def straight(self, pattern: int) -> str:
        """The loop for one pattern: `pattern`'s arguments fixed, all else contiguous."""
        lines = []
        values = []
        for k, o in enumerate(self.operands):
            c, const = C_TYPE[o.kind], "const " if k < len(self.inputs) else ""
            if pattern >> k & 1:
                lines.append(f"    const {c} hw_{k} = *(const {c} *)hw_args[{k}];\n")
                values.append(f"hw_{k}")
            else:
                lines.append(f"    {const}{c} *hw_{k} = ({const}{c} *)hw_args[{k}];\n")
                values.append(f"hw_{k}[hw_i]")
        return (
            f"static __attribute__((noinline)) HW_INLINED void {self.straight_name(pattern)}"
            "(char **hw_args, hw_index hw_n)\n{\n" + "".join(lines) + "#pragma GCC ivdep\n"
            "    for (hw_index hw_i = 0; hw_i < hw_n; hw_i++) {\n"
            + self.element(values)
            + "    }\n}\n"
        )

    def one_by_one(self) -> str:
        """The loop for operands that overlap: every element is stored before the next is read."""
        values = [
            f"*({'const ' if k < len(self.inputs) else ''}{C_TYPE[o.kind]} *)"
            f"(hw_args[{k}] + hw_i * hw_steps[{k}])"
            for k, o in enumerate(self.operands)
        ]
        return (
            f"static __attribute__((noinline)) void hw_ordered_{self.name}"
            "(char **hw_args, const hw_index *hw_steps, hw_index hw_n)\n{\n"
            "    for (hw_index hw_i = 0; hw_i < hw_n; hw_i++) {\n"
            + self.element(values)
            + "    }\n}\n"
        )

    def element(self, values: Sequence[str]) -> str:
        """The statements that compute one element; `values` are the operands' C expressions.

        What C takes by address goes through a variable, so that a vectorised loop can keep it in
        a register.
        """
        before, arguments, after = [], [], []
        result = ""
        for param in range(len(self.binding.params)):
            found = self.operand_of(param)
            assert found is not None
            k, o = found
            if not self.by_address(o):
                arguments.append(values[k])
                continue
            start = values[o.inout] if o.inout >= 0 else values[k]
            before.append(f"        {C_TYPE[o.kind]} hw_at_{k} = {start};\n")
            arguments.append(f"&hw_at_{k}")
            if k >= len(self.inputs):
                after.append(f"        {values[k]} = hw_at_{k};\n")
        for k, o in self.outputs():
            if o.param < 0:
                result = f"{values[k]} = "
        return "".join(before) + f"        {result}{self.call(arguments)};\n" + "".join(after)

    def dispatch(self, patterns: Sequence[int]) -> str:
        """Chooses the loop and brings the operands into the form that it wants."""
        n_in, n = len(self.inputs), len(self.operands)
        size = [f"(hw_index)sizeof({C_TYPE[o.kind]})" for o in self.operands]
        ordered = ["hw_n == 1"] + [f"hw_steps[{k}] == 0" for k in range(n_in, n)]
        for k in range(n_in, n):
            ordered += [
                f"hw_overlap(hw_args[{k}], hw_steps[{k}], {size[k]}, "
                f"hw_args[{j}], hw_steps[{j}], {size[j]}, hw_n)"
                for j in range(k)
            ]
        lines = [
            f"    if ({' || '.join(ordered)}) {{\n"
            f"        hw_ordered_{self.name}(hw_args, hw_steps, hw_n);\n        return;\n    }}\n",
            "    unsigned hw_fixed = "
            + " | ".join(f"(unsigned)(hw_steps[{k}] == 0) << {k}" for k in range(n_in))
            + ";\n",
            f"    void (*hw_loop)(char **, hw_index) = {self.straight_name(0)};\n",
        ]
        for number, pattern in enumerate(p for p in patterns if p):
            lines.append(
                f"    {'else ' if number else ''}if ((hw_fixed & {pattern:#x}u) == {pattern:#x}u) "
                f"{{ hw_loop = {self.straight_name(pattern)}; hw_fixed = {pattern:#x}u; }}\n"
            )
        if len(patterns) > 1:
            lines.append("    else hw_fixed = 0;\n")
        else:
            lines.append("    hw_fixed = 0;\n")
        ready = [f"(hw_fixed & {1 << k:#x}u || hw_steps[{k}] == {size[k]})" for k in range(n_in)]
        ready += [f"hw_steps[{k}] == {size[k]}" for k in range(n_in, n)]
        lines.append(f"    if ({' && '.join(ready)}) {{ hw_loop(hw_args, hw_n); return; }}\n")
        return "".join(lines) + self.blocks(size)

    def blocks(self, size: Sequence[str]) -> str:
        """Runs hw_loop over blocks, operands that are not contiguous copied to and from them."""
        n_in = len(self.inputs)
        block = 256 if len(self.operands) <= 8 else 64
        lines = []
        gather, scatter = [], []
        for k, o in enumerate(self.operands):
            c = C_TYPE[o.kind]
            lines.append(f"    {c} hw_block_{k}[{block}];\n")
            copied = f"hw_steps[{k}] != {size[k]}"
            if k < n_in:
                copied += f" && !(hw_fixed & {1 << k:#x}u)"
                gather.append(f"        hw_here[{k}] = hw_args[{k}] + hw_from * hw_steps[{k}];\n")
            else:
                gather.append(f"        hw_here[{k}] = hw_args[{k}] + hw_from * hw_steps[{k}];\n")
            copy = (
                f"            for (hw_index hw_i = 0; hw_i < hw_m; hw_i++)\n"
                f"                {{}} * hw_steps[{k}]){{}};\n"
            )
            if k < n_in or self.by_address(o):  # C may leave what it takes by address as it is
                gather.append(
                    f"        if ({copied}) {{\n"
                    + copy.format(f"hw_block_{k}[hw_i] = *(const {c} *)(hw_here[{k}] + hw_i", "")
                    + f"            hw_here[{k}] = (char *)hw_block_{k};\n        }}\n"
                )
            else:
                gather.append(f"        if ({copied}) hw_here[{k}] = (char *)hw_block_{k};\n")
            if k >= n_in:
                scatter.append(
                    f"        if ({copied})\n"
                    + copy.format(
                        f"*({c} *)(hw_args[{k}] + (hw_from + hw_i)", f" = hw_block_{k}[hw_i]"
                    )
                )
        return (
            "".join(lines)
            + f"    char *hw_here[{len(self.operands)}];\n"
            + f"    for (hw_index hw_from = 0; hw_from < hw_n; hw_from += {block}) {{\n"
            f"        const hw_index hw_m = hw_n - hw_from < {block} ? hw_n - hw_from : {block};\n"
            + "".join(gather)
            + "        hw_loop(hw_here, hw_m);\n"
            + "".join(scatter)
            + "    }\n"
        )

    # ---- functions of arrays ---------------------------------------------------------------

    def places(self, small_sizes: bool) -> str:
        """The loop of a function of arrays: one call per place."""
        dims = range(len(self.binding.dims))
        sizes = [d for d in dims if self.binding.dims[d].param is not None]
        parameters = "".join(f", hw_index hw_d{d}" for d in dims)
        parts = [
            f"static inline __attribute__((always_inline)) void hw_places_{self.name}"
            f"(char **hw_args, const hw_index *hw_steps, hw_index hw_n{parameters})\n{{\n",
            *(f"    char *hw_{k} = hw_args[{k}];\n" for k in range(len(self.operands))),
            "    for (hw_index hw_i = 0; hw_i < hw_n; hw_i++) {\n",
            self.place(),
            *(f"        hw_{k} += hw_steps[{k}];\n" for k in range(len(self.operands))),
            "    }\n",
            *(f"    (void)hw_d{d};\n" for d in dims),
            "}\n",
        ]
        call = f"hw_places_{self.name}(hw_args, hw_steps, hw_n"
        body = []
        if small_sizes and sizes:
            for small in _SMALL_SIZES:
                test = " && ".join(f"hw_dims[{1 + d}] == {small}" for d in sizes)
                values = "".join(f", {small if d in sizes else f'hw_dims[{1 + d}]'}" for d in dims)
                body.append(f"    if ({test}) {{ {call}{values}); return; }}\n")
        body.append(f"    {call}{''.join(f', hw_dims[{1 + d}]' for d in dims)});\n")
        return "".join(parts) + self.wrapped("".join(body))

    def place(self) -> str:
        """The statements for one place; hw_0, hw_1, ... point to the operands' slices."""
        before: list[str] = []
        arguments: list[str] = []
        result = ""
        for index in range(len(self.binding.params)):
            found = self.operand_of(index)
            if found is None:
                arguments.append(self.size(index, before))
                continue
            k, o = found
            if not self.by_address(o):
                arguments.append(f"*(const {C_TYPE[o.kind]} *)hw_{k}")
                continue
            if o.inout >= 0:
                count = "".join(f" * (__SIZE_TYPE__)hw_d{d}" for d in o.core)
                before.append(
                    f"        if (hw_{k} != hw_{o.inout}) __builtin_memmove("
                    f"hw_{k}, hw_{o.inout}, sizeof({C_TYPE[o.kind]}){count});\n"
                )
            arguments.append(f"(void *)hw_{k}")
        for k, o in self.outputs():
            if o.param < 0:
                result = f"*({C_TYPE[o.kind]} *)hw_{k} = "
        return "".join(before) + f"        {result}{self.call(arguments)};\n"

    def size(self, index: int, before: list[str]) -> str:
        """The argument for a size parameter: a number, or a pointer to one that C may change."""
        dim = next(d for d, dim in enumerate(self.binding.dims) if dim.param == index)
        param = self.binding.params[index]
        if param.type.kind != "pointer":
            return f"hw_d{dim}"
        before.append(f"        __typeof__(*({param.c})0) hw_at_{index} = hw_d{dim};\n")
        return f"&hw_at_{index}"
