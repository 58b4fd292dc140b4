/* SPDX-License-Identifier: MIT */
/*
 * From the type model to libffi's.
 *
 * libffi knows scalars, complex numbers and structs of those, laid out by their natural alignment.
 * What it does not know (unions, bit-fields, members or structs aligned otherwise) is shown to it
 * on x86-64 as a struct that the System V ABI treats the same: the ABI looks at each eight bytes of
 * an aggregate of at most sixteen, which travel in an integer register if any integer or pointer
 * lies there, in a floating one if only float and double do, and not at all if nothing does; larger
 * aggregates travel in memory and only size and alignment count (System V ABI, AMD64 supplement,
 * 3.2.3).
 */
#include "ffi_type.h"

#include <stdlib.h>

#define EIGHTBYTE 8u
#define MOST_ALIGNED 16u /* what the stack is aligned to at a call */

struct hw_ffi_block {
    struct hw_ffi_block *next;
    _Alignas(16) unsigned char data[];
};

void *hw_ffi_arena_alloc(hw_ffi_arena *arena, size_t size)
{
    struct hw_ffi_block *block = calloc(1, sizeof(*block) + size);
    if (!block)
        return NULL;
    block->next = arena->blocks;
    arena->blocks = block;
    return block->data;
}

void hw_ffi_arena_fini(hw_ffi_arena *arena)
{
    while (arena->blocks) {
        struct hw_ffi_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
}

static size_t round_up(size_t n, size_t to) { return to ? (n + to - 1) / to * to : n; }

static ffi_type *ffi_integer(size_t size, bool is_signed)
{
    switch (size) {
    case 1: return is_signed ? &ffi_type_sint8 : &ffi_type_uint8;
    case 2: return is_signed ? &ffi_type_sint16 : &ffi_type_uint16;
    case 4: return is_signed ? &ffi_type_sint32 : &ffi_type_uint32;
    default: return is_signed ? &ffi_type_sint64 : &ffi_type_uint64;
    }
}

static ffi_type *ffi_scalar(const hw_type *type)
{
    switch (type->kind) {
    case HW_VOID: return &ffi_type_void;
    case HW_FLOAT: return &ffi_type_float;
    case HW_DOUBLE: return &ffi_type_double;
    case HW_LDOUBLE: return &ffi_type_longdouble;
    case HW_CFLOAT: return &ffi_type_complex_float;
    case HW_CDOUBLE: return &ffi_type_complex_double;
    case HW_CLDOUBLE: return &ffi_type_complex_longdouble;
    case HW_POINTER: return &ffi_type_pointer;
    default:
        return hw_kind_is_integer(type->kind)
                   ? ffi_integer(type->size, hw_kind_is_signed(type->kind))
                   : NULL;
    }
}

/* True where libffi would lay out a struct of these fields as C did: no union or bit-field inside,
 * every field at its natural offset. */
static bool is_plain(const hw_type *type)
{
    if (type->kind == HW_ARRAY)
        return type->count != HW_FLEXIBLE && is_plain(type->target);
    if (type->kind == HW_UNION)
        return false;
    if (type->kind != HW_STRUCT)
        return true;
    size_t end = 0, align = 1;
    for (size_t i = 0; i < type->count; i++) {
        const hw_field *f = &type->fields[i];
        if (f->bit_width >= 0 || !is_plain(f->type) || f->offset != round_up(end, f->type->align))
            return false;
        end = f->offset + f->type->size;
        align = f->type->align > align ? f->type->align : align;
    }
    return type->align == align && type->size == round_up(end, align);
}

static hw_status plain_struct(const hw_type *type, hw_ffi_arena *arena, ffi_type *out,
                              hw_error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < type->count; i++) {
        const hw_type *t = type->fields[i].type;
        size_t repeat = 1;
        for (; t->kind == HW_ARRAY; t = t->target)
            repeat *= t->count;
        n += repeat;
    }
    if (n > 4096)
        return hw_fail(err, HW_UNSUPPORTED, "%s has too many members to be passed by value",
                       type->name);
    out->elements = hw_ffi_arena_alloc(arena, (n + 1) * sizeof(ffi_type *));
    if (!out->elements)
        return hw_fail(err, HW_NO_MEMORY, "no memory for the type %s", type->name);
    size_t k = 0;
    for (size_t i = 0; i < type->count; i++) {
        const hw_type *t = type->fields[i].type;
        size_t repeat = 1;
        for (; t->kind == HW_ARRAY; t = t->target)
            repeat *= t->count;
        ffi_type *element;
        hw_status status = hw_ffi_type_of(t, arena, &element, err);
        if (status != HW_OK)
            return status;
        while (repeat--)
            out->elements[k++] = element;
    }
    return HW_OK;
}

#if defined(__x86_64__)
/* True for a struct of one long double and nothing else, which travels as a long double does:
 * libffi would look for it in the wrong registers on return. */
static bool is_long_double(const hw_type *type)
{
    if (type->size != sizeof(long double))
        return false;
    while ((type->kind == HW_STRUCT || type->kind == HW_ARRAY) && type->count == 1)
        type = type->kind == HW_ARRAY ? type->target : type->fields[0].type;
    return type->kind == HW_LDOUBLE;
}

/* What lies in eight bytes, the stronger the later. */
typedef enum content { NOTHING, FLOATS, INTEGERS } content;

/* Says what the two eightbytes of a type of at most 16 bytes hold; false for long double. */
static bool classify(const hw_type *type, size_t at, content words[2])
{
    if (type->kind == HW_ARRAY) {
        if (type->count == HW_FLEXIBLE)
            return true;
        for (size_t i = 0; i < type->count; i++)
            if (!classify(type->target, at + i * type->target->size, words))
                return false;
        return true;
    }
    if (type->kind == HW_STRUCT || type->kind == HW_UNION) {
        for (size_t i = 0; i < type->count; i++)
            if (!classify(type->fields[i].type, at + type->fields[i].offset, words))
                return false;
        return true;
    }
    if (type->kind == HW_LDOUBLE || type->kind == HW_CLDOUBLE)
        return false;
    bool floats = type->kind == HW_FLOAT || type->kind == HW_DOUBLE || type->kind == HW_CFLOAT ||
                  type->kind == HW_CDOUBLE;
    size_t last = (at + type->size - 1) / EIGHTBYTE; /* only double _Complex has two */
    for (size_t word = at / EIGHTBYTE; word <= last && word < 2; word++)
        if (words[word] < INTEGERS)
            words[word] = floats ? FLOATS : INTEGERS;
    return true;
}

/* One element for each eightbyte that holds something; size and alignment are the type's own. */
static hw_status equivalent_struct(const hw_type *type, hw_ffi_arena *arena, ffi_type *out,
                                   hw_error *err)
{
    content words[2] = {NOTHING, NOTHING};
    if (type->size > 2 * EIGHTBYTE)
        words[0] = INTEGERS; /* in memory, whatever it holds */
    else if (!classify(type, 0, words))
        return hw_fail(err, HW_UNSUPPORTED, "%s mixes long double with other members by value",
                       type->name);
    if (words[0] == NOTHING)
        return hw_fail(err, HW_UNSUPPORTED, "%s starts with padding and is passed by value",
                       type->name);
    out->elements = hw_ffi_arena_alloc(arena, 3 * sizeof(ffi_type *));
    if (!out->elements)
        return hw_fail(err, HW_NO_MEMORY, "no memory for the type %s", type->name);
    out->size = type->size;
    out->alignment = (unsigned short)type->align;
    for (size_t i = 0; i < 2 && words[i] != NOTHING; i++) {
        bool whole = type->size - i * EIGHTBYTE >= EIGHTBYTE;
        if (words[i] == INTEGERS)
            out->elements[i] = whole ? &ffi_type_uint64 : &ffi_type_uint8;
        else
            out->elements[i] = whole ? &ffi_type_double : &ffi_type_float;
    }
    return HW_OK;
}

hw_passing hw_ffi_passing(const hw_type *type)
{
    content words[2] = {NOTHING, NOTHING};
    if (type->kind == HW_VOID || type->size > 2 * EIGHTBYTE || !classify(type, 0, words))
        return (hw_passing){0};
    return (hw_passing){.integers = (words[0] == INTEGERS) + (words[1] == INTEGERS),
                        .floats = (words[0] == FLOATS) + (words[1] == FLOATS),
                        .integer_then_float = words[0] == INTEGERS && words[1] == FLOATS,
                        .half = type->size > EIGHTBYTE && words[1] == NOTHING};
}
#else
static bool is_long_double(const hw_type *type)
{
    (void)type;
    return false; /* libffi does it right */
}

hw_passing hw_ffi_passing(const hw_type *type)
{
    (void)type;
    return (hw_passing){0};
}

static hw_status equivalent_struct(const hw_type *type, hw_ffi_arena *arena, ffi_type *out,
                                   hw_error *err)
{
    (void)arena;
    (void)out;
    return hw_fail(err, HW_UNSUPPORTED,
                   "%s holds a union, bit-fields or members of another alignment than their own "
                   "and is passed by value, which libffi cannot do on this platform",
                   type->name);
}
#endif

hw_status hw_ffi_type_of(const hw_type *type, hw_ffi_arena *arena, ffi_type **out, hw_error *err)
{
    *out = ffi_scalar(type);
    if (*out)
        return HW_OK;
    if (type->kind != HW_STRUCT && type->kind != HW_UNION)
        return hw_fail(err, HW_UNSUPPORTED, "%s cannot be passed by value", type->name);
    if (type->incomplete)
        return hw_fail(err, HW_UNSUPPORTED,
                       "%s is declared but not defined, so it cannot be passed "
                       "by value",
                       type->name);
    if (type->packed || type->size == 0)
        return hw_fail(err, HW_UNSUPPORTED, "%s is %s, which libffi cannot pass by value",
                       type->name, type->size ? "packed" : "empty");
    if (type->align > MOST_ALIGNED)
        return hw_fail(err, HW_UNSUPPORTED,
                       "%s is aligned to %zu bytes, which libffi cannot pass by value", type->name,
                       type->align);
    if (is_long_double(type)) {
        *out = &ffi_type_longdouble;
        return HW_OK;
    }
    ffi_type *record = hw_ffi_arena_alloc(arena, sizeof(ffi_type));
    if (!record)
        return hw_fail(err, HW_NO_MEMORY, "no memory for the type %s", type->name);
    record->type = FFI_TYPE_STRUCT;
    *out = record;
    return is_plain(type) ? plain_struct(type, arena, record, err)
                          : equivalent_struct(type, arena, record, err);
}
