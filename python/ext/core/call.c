/* SPDX-License-Identifier: MIT */
/*
 * Calls, from the fastest to the most general entry point:
 *
 *   call_d1 .. call_d4   doubles in, a double out, every argument a float
 *   call_simple          plain values and pointers in: converted by table
 *   call_full            arrays, outputs, sizes, status, ownership, keywords (full.c)
 *
 * Each falls through to the next for what it does not handle, before anything has an effect.
 */
#include "call.h"

HW_COLD PyObject *raise_callback_error(Frame *frame)
{
    PyObject *error = frame->error;
    frame->error = NULL;
    PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    Py_DECREF(error);
    return NULL;
}

/* ---- plain values and pointers -------------------------------------------------------------- */

/* Marks the handles among the arguments as in use, or no longer. */
static void use_handles(const Function *f, PyObject *const *args, int by)
{
    for (int i = 0; i < f->n_params; i++)
        if (f->params[i].element && pointer_check(f->state, args[i]))
            atomic_fetch_add_explicit(&((Pointer *)args[i])->users, by, memory_order_acq_rel);
}

static inline void invoke(const Function *f, void *slots, hw_value *result, Frame *frame)
{
    if (f->release_gil)
        frame->saved = PyEval_SaveThread();
    hw_plan_call(&f->plan, f->fn, slots, result);
    frame_pop(frame);
    if (frame->saved)
        PyEval_RestoreThread(frame->saved);
}

static inline bool narrow_integer(hw_kind kind, int64_t v)
{
    return (kind == HW_INT && v == (int32_t)v) || kind == HW_LONG || kind == HW_LLONG ||
           ((kind == HW_ULONG || kind == HW_ULLONG) && v >= 0) ||
           (kind == HW_UINT && v == (int64_t)(uint32_t)v);
}

static bool convert_arguments(const Function *f, PyObject *const *args, unsigned char *slots,
                              Keep *keep)
{
    for (int i = 0; i < f->n_params; i++) {
        const Param *p = &f->params[i];
        void *slot = slots + f->plan.slots[i].offset;
        hw_kind kind = p->type->c.kind;
        int64_t v;
        if (kind == HW_DOUBLE && fast_double(args[i], slot))
            continue;
        if (fast_integer(args[i], &v) && narrow_integer(kind, v)) {
            *(int64_t *)slot = v;
            continue;
        }
        Site site = site_of(f, i, i + 1);
        if (convert_to_slot(p->type, slot, args[i], &site, keep, p->callback, p->nullable) < 0)
            return false;
    }
    return true;
}

static HW_COLD bool any_wants_map(const Function *f, PyObject *const *args, Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++)
        if (call_wants_map(f, args[i]))
            return true;
    return false;
}

static PyObject *call_simple(PyObject *self, PyObject *const *args, size_t nargsf,
                             PyObject *kwnames)
{
    Function *f = (Function *)self;
    Py_ssize_t n = PyVectorcall_NARGS(nargsf);
    if (kwnames || n != f->n_params || f->plan.frame_size > HW_FRAME_INLINE ||
        f->plan.result_size > sizeof(hw_value))
        return call_full(self, args, nargsf, kwnames);
    if (f->mapping && any_wants_map(f, args, n)) {
        const hw_numpy_hooks *numpy = numpy_hooks(f->state, true);
        return numpy ? numpy->map(self, f->mapping, args, n, NULL) : NULL;
    }
    _Alignas(16) unsigned char slots[HW_FRAME_INLINE];
    memset(slots, 0, f->plan.frame_size);
    Keep keep;
    keep_init(&keep);
    keep.arguments_live = true;
    PyObject *r = NULL;
    Frame frame;
    hw_value result;
    if (convert_arguments(f, args, slots, &keep)) {
        use_handles(f, args, 1);
        frame_push(&frame, f->state);
        invoke(f, slots, &result, &frame);
        use_handles(f, args, -1);
        r = HW_LIKELY(!frame.error) ? convert_from_value(f->result, &result)
                                    : raise_callback_error(&frame);
    }
    keep_fini(&keep);
    return r;
}

/* ---- doubles in, a double out --------------------------------------------------------------- */

#define CALL_DOUBLES(name, n, types, values, test)                                                 \
    static PyObject *name(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *kwnames) \
    {                                                                                              \
        Function *f = (Function *)self;                                                            \
        double x[n];                                                                               \
        if (HW_LIKELY(PyVectorcall_NARGS(nargsf) == n && !kwnames && (test))) {                    \
            Frame frame;                                                                           \
            frame_push(&frame, f->state);                                                          \
            double r = ((double (*)types)f->fn)values;                                             \
            frame_pop(&frame);                                                                     \
            return HW_LIKELY(!frame.error) ? PyFloat_FromDouble(r) : raise_callback_error(&frame); \
        }                                                                                          \
        return call_simple(self, args, nargsf, kwnames);                                           \
    }

CALL_DOUBLES(call_d1, 1, (double), (x[0]), fast_double(args[0], &x[0]))
CALL_DOUBLES(call_d2, 2, (double, double), (x[0], x[1]),
             fast_double(args[0], &x[0]) && fast_double(args[1], &x[1]))
CALL_DOUBLES(call_d3, 3, (double, double, double), (x[0], x[1], x[2]),
             fast_double(args[0], &x[0]) && fast_double(args[1], &x[1]) &&
                 fast_double(args[2], &x[2]))
CALL_DOUBLES(call_d4, 4, (double, double, double, double), (x[0], x[1], x[2], x[3]),
             fast_double(args[0], &x[0]) && fast_double(args[1], &x[1]) &&
                 fast_double(args[2], &x[2]) && fast_double(args[3], &x[3]))

static bool all_doubles(const Function *f)
{
    bool doubles = f->result->c.kind == HW_DOUBLE;
    for (int i = 0; i < f->n_params; i++)
        doubles = doubles && f->params[i].type->c.kind == HW_DOUBLE;
    return doubles && !f->release_gil;
}

vectorcallfunc call_choose(const Function *f)
{
    static const vectorcallfunc doubles[] = {call_d1, call_d2, call_d3, call_d4};
    if (!f->simple)
        return call_full;
    if (f->n_params >= 1 && f->n_params <= 4 && all_doubles(f))
        return doubles[f->n_params - 1];
    return call_simple;
}

/* ---- freeing -------------------------------------------------------------------------------- */

void call_release(Function *f, void *address)
{
    if (f->variadic || f->n_params < 1 || f->plan.frame_size > HW_FRAME_INLINE ||
        f->plan.result_size > sizeof(hw_value)) {
        PyErr_Format(PyExc_TypeError, "%U() cannot free a handle: it takes more than the handle",
                     f->name);
        return;
    }
    _Alignas(16) unsigned char slots[HW_FRAME_INLINE];
    memset(slots, 0, f->plan.frame_size);
    int param = f->consumes > 0 ? f->consumes : 0;
    *(void **)(void *)(slots + f->plan.slots[param].offset) = address;
    hw_value result;
    Frame frame;
    frame_push(&frame, f->state);
    invoke(f, slots, &result, &frame);
    if (frame.error)
        raise_callback_error(&frame);
}
