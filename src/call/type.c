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

static bool same_record(const hw_type *a, const hw_type *b)
{
    return a == b || (a->name && b->name && strcmp(a->name, b->name) == 0 &&
                      (a->incomplete || b->incomplete || a->size == b->size));
}

static bool same_function(const hw_type *a, const hw_type *b)
{
    if (a->count != b->count || a->variadic != b->variadic || !hw_type_same(a->target, b->target))
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!hw_type_same(a->params[i], b->params[i]))
            return false;
    return true;
}

/* Terminates: records compare by name, and only records make types recursive. */
bool hw_type_same(const hw_type *a, const hw_type *b)
{
    if (a == b)
        return true;
    if (hw_kind_is_integer(a->kind) && hw_kind_is_integer(b->kind))
        return a->size == b->size && hw_kind_is_signed(a->kind) == hw_kind_is_signed(b->kind) &&
               (a->kind == HW_BOOL) == (b->kind == HW_BOOL);
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case HW_POINTER: return hw_type_same(a->target, b->target);
    case HW_ARRAY: return a->count == b->count && hw_type_same(a->target, b->target);
    case HW_STRUCT:
    case HW_UNION: return same_record(a, b);
    case HW_FUNCTION: return same_function(a, b);
    default: return true;
    }
}
