/* SPDX-License-Identifier: MIT */
/* The ready-made types and their comparison. */
#include "headway/type.h"

#include <string.h>

const hw_type hw_type_void = {.kind = HW_VOID, .name = "void"};

#define HW_TYPE_DEFINE(kind_, ctype, code)                                                         \
    const hw_type hw_type_of_##kind_ = {                                                           \
        .kind = kind_, .size = sizeof(ctype), .align = _Alignof(ctype), .name = #ctype};
HW_ARITHMETIC_LIST(HW_TYPE_DEFINE)
#undef HW_TYPE_DEFINE

const hw_type *hw_type_of_kind(hw_kind kind)
{
    switch (kind) {
    case HW_VOID: return &hw_type_void;
#define HW_TYPE_CASE(kind_, ctype, code)                                                           \
    case kind_: return &hw_type_of_##kind_;
        HW_ARITHMETIC_LIST(HW_TYPE_CASE)
#undef HW_TYPE_CASE
    default: return NULL;
    }
}

char hw_kind_letter(hw_kind kind)
{
    switch (kind) {
#define HW_LETTER_CASE(kind_, ctype, code)                                                         \
    case kind_: return code;
        HW_ARITHMETIC_LIST(HW_LETTER_CASE)
#undef HW_LETTER_CASE
    default: return 0;
    }
}

hw_kind hw_kind_of_letter(char letter)
{
    switch (letter) {
#define HW_KIND_CASE(kind_, ctype, code)                                                           \
    case code: return kind_;
        HW_ARITHMETIC_LIST(HW_KIND_CASE)
#undef HW_KIND_CASE
    default: return HW_VOID;
    }
}

/* Where two types that are compared stand: records are looked into unless they lie behind a pointer
 * that is part of another. Only such pointers make types recursive, so every comparison ends. */
typedef enum place { ALONE, IN_RECORD, BEHIND_POINTER } place;

static bool same(const hw_type *a, const hw_type *b, place at);

static bool same_fields(const hw_type *a, const hw_type *b)
{
    for (size_t i = 0; i < a->count; i++) {
        const hw_field *f = &a->fields[i], *g = &b->fields[i];
        if (f->offset != g->offset || f->bit_offset != g->bit_offset ||
            f->bit_width != g->bit_width || strcmp(f->name, g->name) != 0 ||
            !same(f->type, g->type, IN_RECORD))
            return false;
    }
    return true;
}

/* Unnamed ones are called "struct <anon 3>", and the number means nothing elsewhere. */
static bool same_name(const hw_type *a, const hw_type *b)
{
    if (!a->name || !b->name)
        return false;
    return strcmp(a->name, b->name) == 0 || (strchr(a->name, '<') && strchr(b->name, '<'));
}

static bool same_record(const hw_type *a, const hw_type *b, place at)
{
    if (!same_name(a, b))
        return false;
    if (a->incomplete || b->incomplete)
        return true;
    return a->size == b->size &&
           (at == BEHIND_POINTER ||
            (a->align == b->align && a->count == b->count && same_fields(a, b)));
}

static bool same_function(const hw_type *a, const hw_type *b, place at)
{
    if (a->count != b->count || a->variadic != b->variadic || !same(a->target, b->target, at))
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!same(a->params[i], b->params[i], at))
            return false;
    return true;
}

static bool same(const hw_type *a, const hw_type *b, place at)
{
    if (a == b)
        return true;
    if (hw_kind_is_integer(a->kind) && hw_kind_is_integer(b->kind))
        return a->size == b->size && hw_kind_is_signed(a->kind) == hw_kind_is_signed(b->kind) &&
               (a->kind == HW_BOOL) == (b->kind == HW_BOOL);
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case HW_POINTER: return same(a->target, b->target, at == ALONE ? ALONE : BEHIND_POINTER);
    case HW_ARRAY: return a->count == b->count && same(a->target, b->target, at);
    case HW_STRUCT:
    case HW_UNION: return same_record(a, b, at);
    case HW_FUNCTION: return same_function(a, b, at);
    default: return true;
    }
}

bool hw_type_same(const hw_type *a, const hw_type *b) { return same(a, b, ALONE); }

const hw_type *hw_type_innermost(const hw_type *type)
{
    while (type->kind == HW_ARRAY)
        type = type->target;
    return type;
}
