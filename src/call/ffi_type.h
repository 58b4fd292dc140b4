/* SPDX-License-Identifier: MIT */
/* From the type model to libffi's; private to src/call. */
#ifndef HEADWAY_CALL_FFI_TYPE_H
#define HEADWAY_CALL_FFI_TYPE_H

#include <ffi.h>

#include "headway/status.h"
#include "headway/type.h"

/* What was allocated for the ffi_types of one plan, freed together. */
typedef struct hw_ffi_arena {
    struct hw_ffi_block *blocks;
} hw_ffi_arena;

void hw_ffi_arena_fini(hw_ffi_arena *arena);
void *hw_ffi_arena_alloc(hw_ffi_arena *arena, size_t size);

/* The ffi_type that passes a value of this type, made in the arena where it is a record.
 * HW_UNSUPPORTED with the reason where a value cannot be passed. */
hw_status hw_ffi_type_of(const hw_type *type, hw_ffi_arena *arena, ffi_type **out, hw_error *err);

/* The registers that a value travels in, where there are enough of them left. */
typedef struct hw_passing {
    int integers, floats;    /* both 0: in memory, or not in these registers */
    bool integer_then_float; /* a struct whose first half is the one and second half the other */
    bool half;               /* a struct whose second half is padding and does not travel */
} hw_passing;

/* By the System V ABI; all 0 on other platforms. The type is one hw_ffi_type_of takes. */
hw_passing hw_ffi_passing(const hw_type *type);

#endif
