/* SPDX-License-Identifier: MIT */
/*
 * Calling a C function whose type is known only at run time, once or for every element of arrays.
 *
 *     hw_plan plan;
 *     if (hw_plan_init(&plan, &function_type, NULL, 0, &err) != HW_OK) ...
 *     _Alignas(16) unsigned char frame[HW_FRAME_INLINE] = {0};   // plan.frame_size bytes count
 *     *(double *)(frame + plan.slots[0].offset) = 0.5;   // see hw_slot for what to store
 *     hw_value result;
 *     hw_plan_call(&plan, (hw_fn)cos, frame, &result);
 *
 * Two routes, one result. REGISTER: on x86-64 System V and AArch64 AAPCS64 integer and floating
 * arguments travel in separate register files, so one call with every register loaded serves
 * every signature that fits in them. FFI: libffi, for everything else.
 *
 * A mapping says how a function is applied to arrays; a loop function runs it over one outer
 * dimension. Loops exist for loaded functions (here) and in compiled modules (generated).
 */
#ifndef HEADWAY_CALL_H
#define HEADWAY_CALL_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "headway/status.h"
#include "headway/type.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef void (*hw_fn)(void);

typedef enum hw_route { HW_ROUTE_REGISTER, HW_ROUTE_FFI } hw_route;

/*
 * Where one argument goes. Integers and pointers are stored widened to 8 bytes (sign- or
 * zero-extended by their type), float as 4 bytes, double as 8, everything else as C lays it out.
 */
typedef struct hw_slot {
    uint32_t offset; /* bytes from the frame's start */
    uint32_t size;   /* bytes reserved */
} hw_slot;

/* Large enough for every arithmetic and pointer result; integers arrive widened to 8 bytes. */
typedef union hw_value {
    int64_t i;
    uint64_t u;
    double d;
    float f;
    long double g;
    void *p;
    unsigned char bytes[32];
} hw_value;

#define HW_REGISTER_FRAME 128 /* the frame of a call by registers has at most this many bytes */
#define HW_FRAME_INLINE 1024  /* a frame of at most this many bytes may live on the stack */

typedef struct hw_plan {
    hw_route route;
    uint8_t shape;       /* REGISTER: which entry point */
    hw_kind result_kind; /* of the value the call leaves in *result */
    size_t result_size;
    uint32_t count;
    uint32_t frame_size;
    hw_slot *slots; /* count, owned */
    void *ffi;      /* FFI: the prepared interface, owned */
} hw_plan;

/*
 * Prepares calls of a function type. For a variadic one the promoted types of this call's further
 * arguments are given (extra, n_extra); NULL and 0 otherwise.
 * HW_INVALID: not a function type. HW_UNSUPPORTED: a parameter or result that cannot be passed by
 * value, with the reason. Thread-safety: owner.
 */
hw_status hw_plan_init(hw_plan *plan, const hw_type *function, const hw_type *const *extra,
                       size_t n_extra, hw_error *err);

/* As hw_plan_init, on libffi even where registers would do: the tests' second opinion. */
hw_status hw_plan_init_ffi(hw_plan *plan, const hw_type *function, const hw_type *const *extra,
                           size_t n_extra, hw_error *err);

void hw_plan_fini(hw_plan *plan);

/*
 * Calls fn. The frame is 16-byte aligned, was zeroed, and holds the arguments; it is used up by the
 * call. `result` has room for result_size bytes, at least sizeof(hw_value); a struct arrives as
 * C lays it out. Thread-safety: any (the plan is only read).
 */
void hw_plan_call(const hw_plan *plan, hw_fn fn, void *frame, void *result);

/* ---- callbacks ------------------------------------------------------------------------------ */

/* Handles a call that came from C: args[i] points to argument i as C lays it out; the result
 * is written as an hw_value (integers widened) or, for a struct, as C lays it out. */
typedef void (*hw_closure_handler)(void *result, void **args, void *context);

typedef struct hw_closure hw_closure;

/* Makes a C function pointer of the given function type that calls the handler.
 * HW_UNSUPPORTED as for plans. Thread-safety: any. */
hw_status hw_closure_new(const hw_type *function, hw_closure_handler handler, void *context,
                         hw_closure **closure, hw_error *err);
void hw_closure_free(hw_closure *closure);
hw_fn hw_closure_fn(const hw_closure *closure);

/* ---- loops ---------------------------------------------------------------------------------- */

#define HW_MAX_OPERANDS 32
#define HW_MAX_CORE 8  /* core dimensions of one operand */
#define HW_MAX_DIMS 16 /* distinct core dimensions of a function */

/*
 * Applies the function at dims[0] places. args[i] is where operand i starts, steps[i] how many
 * bytes lie between two places (0: the same at all). dims[1 + d] is the size of core dimension d.
 * Every core slice is C-contiguous and aligned. Outputs do not overlap inputs, unless they are
 * the same element for element. This is NumPy's inner-loop convention without core strides.
 */
typedef void (*hw_loop_fn)(char **args, const ptrdiff_t *dims, const ptrdiff_t *steps, void *data);

/* One operand: inputs in C order, then outputs (the return value first, then C order). */
typedef struct hw_operand {
    hw_kind kind; /* arithmetic */
    uint8_t n_core;
    int8_t core[HW_MAX_CORE]; /* core dimensions, outermost first: index into dims */
    int16_t inout;            /* an output that starts as a copy of this input operand; -1: none */
    bool output;
} hw_operand;

typedef enum hw_step_kind { HW_STEP_INTEGER, HW_STEP_DIM, HW_STEP_OPERATOR } hw_step_kind;

/* One step of a size's postfix expression. */
typedef struct hw_size_step {
    hw_step_kind what;
    ptrdiff_t value; /* the integer, the dimension's index, or one of '+' '-' '*' '/' '%' */
} hw_size_step;

#define HW_MAX_SIZE_DEPTH 16 /* values a size's expression may hold at once */

typedef enum hw_size_outcome {
    HW_SIZE_COMPUTED,
    HW_SIZE_UNKNOWN,   /* *size is the dimension it depends on, which is not known yet */
    HW_SIZE_NEGATIVE,  /* *size is what came out */
    HW_SIZE_UNDEFINED, /* division by zero, overflow, or a malformed expression */
} hw_size_outcome;

/* Computes a size as C does. sizes[d] is the size of dimension d, -1 where it is not known.
 * Thread-safety: any. */
static inline hw_size_outcome hw_size_evaluate(const hw_size_step *steps, size_t count,
                                               const ptrdiff_t *sizes, ptrdiff_t *size)
{
    ptrdiff_t stack[HW_MAX_SIZE_DEPTH] = {0};
    size_t depth = 0;
    for (size_t i = 0; i < count; i++) {
        ptrdiff_t value = steps[i].value;
        if (steps[i].what == HW_STEP_OPERATOR) {
            if (depth < 2)
                return HW_SIZE_UNDEFINED;
            ptrdiff_t b = stack[--depth], a = stack[--depth];
            bool bad;
            switch (steps[i].value) {
            case '+': bad = __builtin_add_overflow(a, b, &value); break;
            case '-': bad = __builtin_sub_overflow(a, b, &value); break;
            case '*': bad = __builtin_mul_overflow(a, b, &value); break;
            default:
                bad = b == 0 || (a == PTRDIFF_MIN && b == -1);
                value = bad ? 0 : steps[i].value == '/' ? a / b : a % b;
            }
            if (bad)
                return HW_SIZE_UNDEFINED;
        } else if (steps[i].what == HW_STEP_DIM) {
            *size = steps[i].value;
            value = sizes[steps[i].value];
            if (value < 0)
                return HW_SIZE_UNKNOWN;
        }
        if (depth == HW_MAX_SIZE_DEPTH)
            return HW_SIZE_UNDEFINED;
        stack[depth++] = value;
    }
    *size = stack[0];
    return depth != 1 ? HW_SIZE_UNDEFINED : stack[0] < 0 ? HW_SIZE_NEGATIVE : HW_SIZE_COMPUTED;
}

typedef struct hw_mapping {
    uint8_t n_in, n_out; /* operands[0 .. n_in + n_out) */
    uint8_t n_dims;
    bool serial; /* never split, GIL kept */
    hw_operand operands[HW_MAX_OPERANDS];
    const char *dim_names[HW_MAX_DIMS]; /* C's name, or the expression */
    ptrdiff_t fixed[HW_MAX_DIMS];       /* a size C states as a number; else -1 */
    ptrdiff_t largest[HW_MAX_DIMS];     /* what the C parameter that carries the size can hold */
    const hw_size_step *postfix[HW_MAX_DIMS]; /* a size that others determine; else NULL */
    uint8_t n_postfix[HW_MAX_DIMS];
    void *lock; /* pthread_mutex_t of the function's lock; nullable */
    hw_loop_fn loop;
    void *data;
} hw_mapping;

/* The environment's HEADWAY_DEBUG, unless empty or "0": sized outputs are filled with HW_DEBUG_BYTE
 * before a call, so that what the function leaves unwritten shows. All bits set are NaN in every
 * floating type and -1 in every signed one. */
#define HW_DEBUG_BYTE 0xff
static inline bool hw_debug(void)
{
    const char *debug = getenv("HEADWAY_DEBUG");
    return debug && *debug && strcmp(debug, "0") != 0;
}

/* What a loop does for each C parameter. */
typedef enum hw_feed {
    HW_FEED_VALUE,   /* operand's element by value */
    HW_FEED_ADDRESS, /* operand's core slice by address */
    HW_FEED_INOUT,   /* output's core slice by address, first copied from the input operand */
    HW_FEED_SIZE     /* a core dimension's size */
} hw_feed;

typedef struct hw_loop_param {
    hw_feed feed;
    uint8_t index; /* operand, or dimension for HW_FEED_SIZE */
    hw_kind kind;  /* VALUE, SIZE: the C parameter's */
} hw_loop_param;

/* The data of a loaded function's loop. Owned by whoever filled it. */
typedef struct hw_loop_call {
    const hw_plan *plan;
    hw_fn fn;
    const hw_mapping *mapping;
    const hw_loop_param *params; /* plan->count */
    int16_t result;              /* operand that takes the return value; -1: none */
} hw_loop_call;

/* The fastest loop that serves this call: pass it and the hw_loop_call as mapping.loop and .data.
 * NULL where the frame does not fit in HW_FRAME_INLINE. */
hw_loop_fn hw_loop_choose(const hw_loop_call *call);

#ifdef __cplusplus
}
#endif
#endif
