/* SPDX-License-Identifier: MIT */
/*
 * Plans and calls.
 *
 * Why one entry point serves many signatures: on x86-64 System V and AArch64 AAPCS64 the n-th
 * integer or pointer argument travels in the n-th integer register and the n-th float or double in
 * the n-th floating register, wherever they stand among each other. A callee reads the registers
 * its own prototype names and ignores the rest. So a call through a prototype that fills every
 * register does what the callee's own prototype would, as long as nothing goes to the stack.
 * Narrow integers are widened (what the upper bits hold is unspecified, but compilers read them as
 * extended), a float lies in the low half of its register, and a narrow result is cut to its width:
 * the rest of the register is whatever the callee left there.
 */
#include "headway/call.h"

#include <stdlib.h>
#include <string.h>

#include "ffi_type.h"
#include "plan.h"

#if defined(__x86_64__) && !defined(__ILP32__) && !defined(_WIN32)
#define HW_INTEGER_REGISTERS 6
#elif defined(__aarch64__) && !defined(__APPLE__)
#define HW_INTEGER_REGISTERS 8
#else
#define HW_INTEGER_REGISTERS 0 /* no register route here */
#endif
#define HW_FLOAT_REGISTERS 8

/* The frame of a register call. */
typedef struct hw_registers {
    int64_t i[HW_INTEGER_REGISTERS + !HW_INTEGER_REGISTERS];
    double d[HW_FLOAT_REGISTERS];
} hw_registers;

_Static_assert(sizeof(hw_registers) <= HW_REGISTER_FRAME, "call.h promises it");

/* Which registers are loaded, and which one holds the result. */
enum { LOAD_INTEGERS, LOAD_DOUBLES, LOAD_ALL };
enum { RESULT_INTEGER, RESULT_DOUBLE, RESULT_FLOAT };
#define SHAPE(load, result) ((uint8_t)((load) * 3 + (result)))

/* The prepared libffi interface of a plan. */
typedef struct hw_plan_ffi {
    ffi_cif cif;
    hw_ffi_arena arena;
    uint32_t n_values; /* what libffi is given: the arguments, one of them perhaps in two halves */
    uint32_t halved;   /* the argument that travels as two halves; UINT32_MAX: none */
    ffi_type *args[];
} hw_plan_ffi;

static bool travels_as_integer(hw_kind kind)
{
    return hw_kind_is_integer(kind) || kind == HW_POINTER;
}

static bool fits_registers(const hw_type *fn)
{
    hw_kind r = fn->target->kind;
    if (!HW_INTEGER_REGISTERS || fn->variadic)
        return false;
    if (r != HW_VOID && r != HW_FLOAT && r != HW_DOUBLE && !travels_as_integer(r))
        return false;
    int integers = 0, floats = 0;
    for (size_t i = 0; i < fn->count; i++) {
        hw_kind k = fn->params[i]->kind;
        if (travels_as_integer(k))
            integers++;
        else if (k == HW_FLOAT || k == HW_DOUBLE)
            floats++;
        else
            return false;
    }
    return integers <= HW_INTEGER_REGISTERS && floats <= HW_FLOAT_REGISTERS;
}

static hw_status start(hw_plan *plan, const hw_type *fn, size_t n_extra, hw_error *err)
{
    memset(plan, 0, sizeof(*plan));
    if (fn->kind != HW_FUNCTION)
        return hw_fail(err, HW_INVALID, "%s is not a function type", fn->name ? fn->name : "it");
    size_t count = fn->count + n_extra;
    if (count > 1024)
        return hw_fail(err, HW_UNSUPPORTED, "%zu arguments are more than the 1024 a call may have",
                       count);
    plan->count = (uint32_t)count;
    plan->result_kind = fn->target->kind;
    plan->result_size = fn->target->size > sizeof(hw_value) ? fn->target->size : sizeof(hw_value);
    plan->slots = calloc(count ? count : 1, sizeof(hw_slot));
    return plan->slots ? HW_OK : hw_fail(err, HW_NO_MEMORY, "no memory for a call plan");
}

static void plan_registers(hw_plan *plan, const hw_type *fn)
{
    uint32_t integers = 0, floats = 0;
    for (size_t i = 0; i < fn->count; i++) {
        size_t offset = travels_as_integer(fn->params[i]->kind)
                            ? offsetof(hw_registers, i) + 8 * integers++
                            : offsetof(hw_registers, d) + 8 * floats++;
        plan->slots[i] = (hw_slot){(uint32_t)offset, 8};
    }
    hw_kind r = fn->target->kind;
    int result = r == HW_DOUBLE ? RESULT_DOUBLE : r == HW_FLOAT ? RESULT_FLOAT : RESULT_INTEGER;
    int load = !floats ? LOAD_INTEGERS : !integers ? LOAD_DOUBLES : LOAD_ALL;
    plan->route = HW_ROUTE_REGISTER;
    plan->shape = SHAPE(load, result);
    plan->frame_size = sizeof(hw_registers);
}

hw_status hw_plan_init(hw_plan *plan, const hw_type *fn, const hw_type *const *extra,
                       size_t n_extra, hw_error *err)
{
    if (fn->kind != HW_FUNCTION || !fits_registers(fn) || n_extra)
        return hw_plan_init_ffi(plan, fn, extra, n_extra, err);
    hw_status status = start(plan, fn, 0, err);
    if (status == HW_OK)
        plan_registers(plan, fn);
    return status;
}

static uint32_t round_up(uint32_t n, uint32_t to) { return (n + to - 1) / to * to; }

/* Slots one after another, then room for the array of pointers ffi_call wants. */
static hw_status lay_out(hw_plan *plan, const hw_type *type, uint32_t i, hw_error *err)
{
    if (type->kind == HW_VOID)
        return hw_fail(err, HW_UNSUPPORTED, "a parameter of type void cannot be passed");
    if (type->size > 1u << 20)
        return hw_fail(err, HW_UNSUPPORTED, "%s is too large to be passed by value", type->name);
    uint32_t align = type->align > 8 ? 16 : 8;
    uint32_t size = round_up((uint32_t)type->size, 8);
    uint32_t offset = round_up(plan->frame_size, align);
    plan->slots[i] = (hw_slot){offset, size};
    plan->frame_size = offset + size;
    return HW_OK;
}

/*
 * Two sorts of structs that libffi would take from, or put in, the wrong registers:
 *
 * libffi before 3.4.7 writes all of a struct, not its first eight bytes, to the sixth integer
 * register, and with the rest overwrites the first floating one. Only a struct of an integer half
 * and a floating half can stand there; such a struct travels exactly as its two halves would. At
 * most one argument of a call starts in the sixth integer register: it is returned, UINT32_MAX for
 * none.
 *
 * A closure reads a struct whose second half is padding from two registers, though it is in one. In
 * a register such a struct travels as its first half would, and is given to libffi as that.
 */
static uint32_t correct_arguments(hw_plan_ffi *f, const hw_type *fn, const hw_type *const *extra,
                                  uint32_t count)
{
    uint32_t to_halve = UINT32_MAX;
    hw_passing r = hw_ffi_passing(fn->target);
    bool result_in_memory =
        !r.integers && !r.floats && (fn->target->kind == HW_STRUCT || fn->target->kind == HW_UNION);
    int integers = result_in_memory, floats = 0;
    for (uint32_t i = 0; i < count; i++) {
        hw_passing p = hw_ffi_passing(i < fn->count ? fn->params[i] : extra[i - fn->count]);
        if (integers + p.integers > HW_INTEGER_REGISTERS || floats + p.floats > HW_FLOAT_REGISTERS)
            continue;
        if (p.integer_then_float && integers == HW_INTEGER_REGISTERS - 1 && floats > 0)
            to_halve = i;
        if (p.half)
            f->args[i] = p.integers ? &ffi_type_uint64 : &ffi_type_double;
        integers += p.integers;
        floats += p.floats;
    }
    return to_halve;
}

/* Gives libffi two halves in place of a struct. */
static void halve(hw_plan_ffi *f, uint32_t i)
{
    f->halved = i;
    memmove(&f->args[i + 2], &f->args[i + 1], (f->n_values - i - 1) * sizeof(ffi_type *));
    f->args[i] = &ffi_type_uint64;
    f->args[i + 1] = &ffi_type_double;
    f->n_values++;
}

static hw_status prepare(hw_plan_ffi *f, const hw_type *fn, hw_error *err)
{
    ffi_type *result;
    hw_status status = hw_ffi_type_of(fn->target, &f->arena, &result, err);
    if (status != HW_OK)
        return status;
    unsigned fixed = (unsigned)fn->count + (f->halved < fn->count);
    ffi_status s =
        fn->variadic
            ? ffi_prep_cif_var(&f->cif, FFI_DEFAULT_ABI, fixed, f->n_values, result, f->args)
            : ffi_prep_cif(&f->cif, FFI_DEFAULT_ABI, f->n_values, result, f->args);
    if (s != FFI_OK)
        return hw_fail(err, HW_UNSUPPORTED, "libffi cannot call %s (ffi_status %d)",
                       fn->name ? fn->name : "this function type", (int)s);
    return HW_OK;
}

static hw_status plan_ffi(hw_plan *plan, const hw_type *fn, const hw_type *const *extra,
                          size_t n_extra, bool callable, hw_error *err)
{
    hw_status status = start(plan, fn, n_extra, err);
    if (status != HW_OK)
        return status;
    hw_plan_ffi *f = calloc(1, sizeof(*f) + (plan->count + 1) * sizeof(ffi_type *));
    plan->route = HW_ROUTE_FFI;
    plan->ffi = f;
    if (!f)
        status = hw_fail(err, HW_NO_MEMORY, "no memory for a call plan");
    for (uint32_t i = 0; status == HW_OK && i < plan->count; i++) {
        const hw_type *type = i < fn->count ? fn->params[i] : extra[i - fn->count];
        status = hw_ffi_type_of(type, &f->arena, &f->args[i], err);
        if (status == HW_OK)
            status = lay_out(plan, type, i, err);
    }
    if (status == HW_OK) {
        f->n_values = plan->count;
        f->halved = UINT32_MAX;
        uint32_t i = correct_arguments(f, fn, extra, plan->count);
        if (callable && i != UINT32_MAX)
            halve(f, i);
        status = prepare(f, fn, err);
    }
    if (status != HW_OK) {
        hw_plan_fini(plan);
        return status;
    }
    plan->frame_size = round_up(plan->frame_size, 16) + f->n_values * (uint32_t)sizeof(void *);
    return HW_OK;
}

hw_status hw_plan_init_ffi(hw_plan *plan, const hw_type *fn, const hw_type *const *extra,
                           size_t n_extra, hw_error *err)
{
    return plan_ffi(plan, fn, extra, n_extra, true, err);
}

hw_status hw_plan_init_closure(hw_plan *plan, const hw_type *fn, hw_error *err)
{
    return plan_ffi(plan, fn, NULL, 0, false, err);
}

void hw_plan_fini(hw_plan *plan)
{
    hw_plan_ffi *f = plan->ffi;
    if (f)
        hw_ffi_arena_fini(&f->arena);
    free(f);
    free(plan->slots);
    memset(plan, 0, sizeof(*plan));
}

void *hw_plan_cif(const hw_plan *plan) { return &((hw_plan_ffi *)plan->ffi)->cif; }

/* Cuts an integer result to its width and extends it by its sign. */
static void widen_result(hw_kind kind, hw_value *value)
{
    switch (kind) {
    case HW_BOOL: value->u = (value->u & 0xff) != 0; break;
#define HW_WIDEN(kind_, ctype)                                                                     \
    case kind_: value->i = (int64_t)(ctype)value->i; break;
        HW_WIDEN(HW_CHAR, char)
        HW_WIDEN(HW_SCHAR, signed char)
        HW_WIDEN(HW_UCHAR, unsigned char)
        HW_WIDEN(HW_SHORT, short)
        HW_WIDEN(HW_USHORT, unsigned short)
        HW_WIDEN(HW_INT, int)
        HW_WIDEN(HW_UINT, unsigned)
#undef HW_WIDEN
    default: break;
    }
}

#if HW_INTEGER_REGISTERS
#if HW_INTEGER_REGISTERS == 6
#define INTEGER_TYPES int64_t, int64_t, int64_t, int64_t, int64_t, int64_t
#define INTEGER_VALUES r->i[0], r->i[1], r->i[2], r->i[3], r->i[4], r->i[5]
#else
#define INTEGER_TYPES int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t
#define INTEGER_VALUES r->i[0], r->i[1], r->i[2], r->i[3], r->i[4], r->i[5], r->i[6], r->i[7]
#endif
#define DOUBLE_TYPES double, double, double, double, double, double, double, double
#define DOUBLE_VALUES r->d[0], r->d[1], r->d[2], r->d[3], r->d[4], r->d[5], r->d[6], r->d[7]

static void call_registers(const hw_plan *plan, hw_fn fn, const hw_registers *r, hw_value *v)
{
    switch (plan->shape) {
#define CALL(load, types, values)                                                                  \
    case SHAPE(load, RESULT_INTEGER): v->i = ((int64_t (*)(types))fn)(values); break;              \
    case SHAPE(load, RESULT_DOUBLE): v->d = ((double (*)(types))fn)(values); break;                \
    case SHAPE(load, RESULT_FLOAT): v->f = ((float (*)(types))fn)(values); break;
#define BOTH_TYPES INTEGER_TYPES, DOUBLE_TYPES
#define BOTH_VALUES INTEGER_VALUES, DOUBLE_VALUES
        CALL(LOAD_INTEGERS, INTEGER_TYPES, INTEGER_VALUES)
        CALL(LOAD_DOUBLES, DOUBLE_TYPES, DOUBLE_VALUES)
        CALL(LOAD_ALL, BOTH_TYPES, BOTH_VALUES)
#undef CALL
    default: break;
    }
    widen_result(plan->result_kind, v);
}
#endif

static void call_ffi(const hw_plan *plan, hw_fn fn, unsigned char *frame, void *result)
{
    hw_plan_ffi *f = plan->ffi;
    void **values = (void **)(void *)(frame + plan->frame_size - f->n_values * sizeof(void *));
    uint32_t n = 0;
    for (uint32_t i = 0; i < plan->count; i++) {
        values[n++] = frame + plan->slots[i].offset;
        if (i == f->halved)
            values[n++] = frame + plan->slots[i].offset + 8;
    }
    ffi_call(&f->cif, fn, result, values);
    if (hw_kind_is_integer(plan->result_kind))
        widen_result(plan->result_kind, result);
}

void hw_plan_call(const hw_plan *plan, hw_fn fn, void *frame, void *result)
{
#if HW_INTEGER_REGISTERS
    if (plan->route == HW_ROUTE_REGISTER) {
        call_registers(plan, fn, frame, result);
        return;
    }
#endif
    call_ffi(plan, fn, frame, result);
}
