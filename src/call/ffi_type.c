/* SPDX-License-Identifier: MIT */
/*
 * From the type model to libffi's.
 *
 * libffi knows scalars, complex numbers and structs of those. What it does not know (unions, bit
 * fields) is shown to it on x86-64 as a struct that the System V ABI treats the same: the ABI looks
 * at each eight bytes of an aggregate of at most sixteen, which travel in an integer register if
 * any integer or pointer lies there, else in a floating one; larger aggregates travel in memory and
 * only size and alignment count (System V ABI, AMD64 supplement, 3.2.3).
 */
#include "ffi_type.h"

#include <stdlib.h>

#define EIGHTBYTE 8u

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

/* True where libffi's plain struct of fields has C's layout: no union and no bit-field inside. */
static bool is_plain(const hw_type *type)
{
    if (type->kind == HW_ARRAY)
        return type->count != HW_FLEXIBLE && is_plain(type->target);
    if (type->kind == HW_UNION)
        return false;
    if (type->kind != HW_STRUCT)
        return true;
    for (size_t i = 0; i < type->count; i++)
        if (type->fields[i].bit_width >= 0 || !is_plain(type->fields[i].type))
            return false;
    return true;
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
    while ((type->kind == HW_STRUCT || type->kind == HW_ARRAY) && type->count == 1)
        type = type->kind == HW_ARRAY ? type->target : type->fields[0].type;
    return type->kind == HW_LDOUBLE;
}

/* Marks the eightbytes below 16 that hold anything but float and double. */
static bool mark_integers(const hw_type *type, size_t at, bool integer[2])
{
    if (type->kind == HW_ARRAY) {
        if (type->count == HW_FLEXIBLE)
            return true;
        for (size_t i = 0; i < type->count; i++)
            if (!mark_integers(type->target, at + i * type->target->size, integer))
                return false;
        return true;
    }
    if (type->kind == HW_STRUCT || type->kind == HW_UNION) {
        for (size_t i = 0; i < type->count; i++)
            if (!mark_integers(type->fields[i].type, at + type->fields[i].offset, integer))
                return false;
        return true;
    }
    if (type->kind == HW_LDOUBLE || type->kind == HW_CLDOUBLE)
        return false;
    bool sse = type->kind == HW_FLOAT || type->kind == HW_DOUBLE || type->kind == HW_CFLOAT ||
               type->kind == HW_CDOUBLE;
    if (!sse)
        integer[at / EIGHTBYTE] = true;
    return true;
}

static hw_status equivalent_struct(const hw_type *type, hw_ffi_arena *arena, ffi_type *out,
                                   hw_error *err)
{
    bool integer[2] = {false, false};
    bool in_memory = type->size > 2 * EIGHTBYTE;
    if (in_memory)
        integer[0] = integer[1] = true;
    else if (!mark_integers(type, 0, integer))
        return hw_fail(err, HW_UNSUPPORTED, "%s mixes long double with other members by value",
                       type->name);
    if (type->align > EIGHTBYTE)
        return hw_fail(err, HW_UNSUPPORTED, "%s is aligned to %zu bytes and passed by value",
                       type->name, type->align);
    size_t n = type->size / type->align;
    out->elements = hw_ffi_arena_alloc(arena, (n + 1) * sizeof(ffi_type *));
    if (!out->elements)
        return hw_fail(err, HW_NO_MEMORY, "no memory for the type %s", type->name);
    for (size_t i = 0; i < n; i++) {
        size_t word = i * type->align / EIGHTBYTE;
        if (in_memory || integer[word] || type->align < sizeof(float))
            out->elements[i] = ffi_integer(type->align, false);
        else
            out->elements[i] = type->align == EIGHTBYTE ? &ffi_type_double : &ffi_type_float;
    }
    return HW_OK;
}

hw_passing hw_ffi_passing(const hw_type *type)
{
    bool integer[2] = {false, false};
    size_t words = (type->size + EIGHTBYTE - 1) / EIGHTBYTE;
    if (type->kind == HW_VOID || type->size > 2 * EIGHTBYTE || !mark_integers(type, 0, integer))
        return (hw_passing){0, 0, false};
    int integers = integer[0] + (words > 1 && integer[1]);
    return (hw_passing){integers, (int)words - integers, words == 2 && integer[0] && !integer[1]};
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
    return (hw_passing){0, 0, false};
}

static hw_status equivalent_struct(const hw_type *type, hw_ffi_arena *arena, ffi_type *out,
                                   hw_error *err)
{
    (void)arena;
    (void)out;
    return hw_fail(err, HW_UNSUPPORTED,
                   "%s holds a union or bit-fields and is passed by value, which libffi cannot do "
                   "on this platform",
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
