/* SPDX-License-Identifier: MIT */
/*
 * Calls, from the fastest to the most general entry point:
 *
 *   call_d1 .. call_d4   doubles in, a double out, every argument a float
 *   call_pointer         one pointer: a string, a struct or an array as C needs it
 *   call_vector          one array as C needs it, with its size
 *   call_simple          plain values and pointers in: converted by table
 *   call_sized           numbers and sized input arrays that are as C needs them
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

/*
 * Registers that no argument fills are loaded all the same: with zeros. Written out, because gcc
 * makes "rep stos" of a memset of this size, which takes as long as the rest of the call.
 */
static inline void clear_slots(const Function *f, unsigned char *slots)
{
    typedef int64_t Pair __attribute__((vector_size(16), may_alias));
    _Static_assert(HW_REGISTER_FRAME == 8 * sizeof(Pair), "eight stores clear the frame");
    Pair *p = (Pair *)(void *)slots, zero = {0, 0};
    if (HW_LIKELY(f->plan.route == HW_ROUTE_REGISTER)) {
        p[0] = zero, p[1] = zero, p[2] = zero, p[3] = zero;
        p[4] = zero, p[5] = zero, p[6] = zero, p[7] = zero;
    } else {
        memset(slots, 0, f->plan.frame_size);
    }
}

/* ---- plain values and pointers -------------------------------------------------------------- */

/* Marks the handles among the arguments as in use, or no longer. Before they are converted: what an
 * argument's conversion runs, or another thread, may try to free the one before it. */
static inline void use_handles(const Function *f, PyObject *const *args, int by)
{
    if (!f->takes_handles)
        return;
    for (int i = 0; i < f->n_params; i++)
        if (f->params[i].element)
            memory_use(f->state, args[i], by);
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

static inline bool fits_kind(hw_kind kind, int64_t v)
{
    return (kind == HW_INT && v == (int32_t)v) || kind == HW_LONG || kind == HW_LLONG ||
           ((kind == HW_ULONG || kind == HW_ULLONG) && v >= 0) ||
           (kind == HW_UINT && v == (int64_t)(uint32_t)v);
}

/* The common cases without a call: floats and small ints for double, small ints for integers. */
static inline bool fast_argument(hw_kind kind, PyObject *o, void *slot)
{
    int64_t v;
    if (kind == HW_DOUBLE && fast_double(o, slot))
        return true;
    if (!fast_integer(o, &v))
        return false;
    if (kind == HW_DOUBLE) {
        *(double *)slot = (double)v;
        return true;
    }
    *(int64_t *)slot = v;
    return fits_kind(kind, v);
}

/* An ASCII string for const char *, a struct of the very type, an exact ndarray: as they are. */
static inline bool fast_pointer(const Function *f, const Param *p, PyObject *o, void **slot)
{
    hw_ndview view;
    const hw_numpy_hooks *numpy = f->state->numpy;
    if (p->element_kind == HW_CHAR && PyUnicode_CheckExact(o) && PyUnicode_IS_COMPACT_ASCII(o) &&
        p->type->c.target_const && p->element->c.kind == HW_CHAR) {
        const char *text = (const char *)PyUnicode_1BYTE_DATA(o);
        *slot = (void *)(uintptr_t)text;
        return strlen(text) == (size_t)PyUnicode_GET_LENGTH(o);
    }
    if (value_check(f->state, o) && ((Value *)o)->type == p->element && !((Value *)o)->owner) {
        *slot = ((Value *)o)->data;
        return true;
    }
    if (p->element_kind == HW_VOID || !numpy || !numpy->view(o, &view) || !view.contiguous ||
        view.kind != p->element_kind || (!view.writable && !p->type->c.target_const))
        return false;
    *slot = view.data;
    return true;
}

enum { CONVERTED, FAILED, MAPPED };

/* Converts every argument, or says that one of them calls for a mapped call. */
static int convert_arguments(const Function *f, PyObject *const *args, unsigned char *slots,
                             Keep *keep)
{
    for (int i = 0; i < f->n_params; i++) {
        const Param *p = &f->params[i];
        void *slot = slots + f->plan.slots[i].offset;
        if (p->element ? fast_pointer(f, p, args[i], slot)
                       : fast_argument(p->type->c.kind, args[i], slot))
            continue;
        if (f->mapping && call_wants_map(f, args[i]))
            return MAPPED;
        Site site = site_of(f, i, i + 1);
        if (convert_to_slot(p->type, slot, args[i], &site, keep, p->callback, p->nullable) < 0)
            return FAILED;
    }
    return CONVERTED;
}

static PyObject *call_simple(PyObject *self, PyObject *const *args, size_t nargsf,
                             PyObject *kwnames)
{
    Function *f = (Function *)self;
    Py_ssize_t n = PyVectorcall_NARGS(nargsf);
    if (kwnames || n != f->n_params || f->plan.frame_size > HW_FRAME_INLINE ||
        f->plan.result_size > sizeof(hw_value))
        return call_full(self, args, nargsf, kwnames);
    _Alignas(16) unsigned char slots[HW_FRAME_INLINE];
    clear_slots(f, slots);
    Keep keep;
    keep_init(&keep);
    keep.arguments_live = true;
    PyObject *r = NULL;
    Frame frame;
    hw_value result;
    use_handles(f, args, 1);
    int outcome = convert_arguments(f, args, slots, &keep);
    if (HW_LIKELY(outcome == CONVERTED)) {
        frame_push(&frame, f->state);
        invoke(f, slots, &result, &frame);
        r = HW_LIKELY(!frame.error) ? convert_from_value(f->result, &result)
                                    : raise_callback_error(&frame);
    } else if (outcome == MAPPED) {
        const hw_numpy_hooks *numpy = numpy_hooks(f->state, true);
        r = numpy ? numpy->map(self, f->mapping, args, n, NULL) : NULL;
    }
    use_handles(f, args, -1);
    keep_end(&keep, f->state);
    return r;
}

/* ---- numbers and sized arrays --------------------------------------------------------------- */

/* Takes an exact ndarray as it is; false where it is not one, or is not as C needs it. */
static bool take_array(const Function *f, const Param *p, PyObject *o, int64_t *sizes, void *slot)
{
    hw_ndview view;
    const hw_numpy_hooks *numpy = f->state->numpy;
    if (!numpy || !numpy->view(o, &view) || view.ndim != p->n_dims || !view.contiguous ||
        (!view.writable && !p->type->c.target_const))
        return false;
    const hw_type *have = hw_type_of_kind(view.kind);
    if (view.kind != p->element_kind &&
        (!have || !hw_type_same(have, hw_type_of_kind(p->element_kind))))
        return false;
    for (int d = 0; d < view.ndim; d++) {
        int64_t *size = &sizes[p->dims[d]];
        if (*size >= 0 && *size != view.shape[d])
            return false;
        *size = view.shape[d];
    }
    *(void **)slot = view.data;
    return true;
}

/* Fills the slots; false where the call needs call_full, to work or to say what is wrong. */
static bool take_sized(const Function *f, PyObject *const *args, unsigned char *slots)
{
    int64_t sizes[HW_MAX_DIMS];
    for (int d = 0; d < f->n_dims; d++)
        sizes[d] = f->dims[d].fixed;
    for (int k = 0; k < f->n_args; k++) {
        const Param *p = &f->params[f->args[k]];
        void *slot = slots + f->plan.slots[f->args[k]].offset;
        if (p->n_dims >= 0 ? !take_array(f, p, args[k], sizes, slot)
                           : !fast_argument(p->type->c.kind, args[k], slot))
            return false;
    }
    for (int d = 0; d < f->n_dims; d++) {
        int i = f->dims[d].param;
        if (sizes[d] < 0 || (i >= 0 && !fits_kind(f->params[i].type->c.kind, sizes[d])))
            return false;
        if (i >= 0)
            *(int64_t *)(void *)(slots + f->plan.slots[i].offset) = sizes[d];
    }
    return true;
}

static PyObject *call_sized(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Function *f = (Function *)self;
    _Alignas(16) unsigned char slots[HW_FRAME_INLINE];
    if (kwnames || PyVectorcall_NARGS(nargsf) != f->n_args || f->plan.frame_size > HW_FRAME_INLINE)
        return call_full(self, args, nargsf, kwnames);
    clear_slots(f, slots);
    if (!take_sized(f, args, slots))
        return call_full(self, args, nargsf, kwnames);
    Frame frame;
    hw_value result;
    frame_push(&frame, f->state);
    invoke(f, slots, &result, &frame);
    return HW_LIKELY(!frame.error) ? convert_from_value(f->result, &result)
                                   : raise_callback_error(&frame);
}

/* Numbers and sized input arrays in, a number or nothing out. */
static bool is_sized(const Function *f)
{
    hw_kind r = f->result->c.kind;
    if (f->status || f->variadic || f->consumes >= 0 || f->split >= 0 || f->lock || !f->n_dims ||
        (r != HW_VOID && !hw_kind_is_arithmetic(r)))
        return false;
    for (int d = 0; d < f->n_dims; d++)
        if (f->dims[d].n_postfix)
            return false;
    for (int i = 0; i < f->n_params; i++) {
        const Param *p = &f->params[i];
        bool array = p->n_dims >= 0 && p->role == ROLE_IN && p->element_kind != HW_VOID;
        bool number = !p->element && (p->role == ROLE_IN || p->role == ROLE_SIZE);
        if (!array && !number)
            return false;
    }
    return true;
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
            double r = ((double(*) types)f->fn)values;                                             \
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
    bool doubles = f->result->c.kind == HW_DOUBLE && !f->libffi;
    for (int i = 0; i < f->n_params; i++)
        doubles = doubles && f->params[i].type->c.kind == HW_DOUBLE;
    return doubles && !f->release_gil;
}

/* ---- one pointer, and one array with its size ----------------------------------------------- */

/* A call whose arguments are at most two integers or pointers, without slots. */
static inline void call_two(const Function *f, int64_t a, int64_t b, hw_value *v)
{
    switch (f->result->c.kind) {
    case HW_DOUBLE: v->d = ((double (*)(int64_t, int64_t))f->fn)(a, b); break;
    case HW_INT: v->i = (int)((int64_t (*)(int64_t, int64_t))f->fn)(a, b); break;
    default: v->i = ((int64_t (*)(int64_t, int64_t))f->fn)(a, b); break;
    }
}

/* call_two serves the result: the kinds that need no cutting, and int. */
static bool is_plain_result(const Function *f)
{
    hw_kind r = f->result->c.kind;
    return f->plan.route == HW_ROUTE_REGISTER &&
           (r == HW_VOID || r == HW_DOUBLE || r == HW_INT || r == HW_POINTER ||
            (hw_kind_is_integer(r) && f->result->c.size == sizeof(int64_t)));
}

static inline PyObject *finish_two(Function *f, int64_t a, int64_t b)
{
    Frame frame;
    hw_value v;
    frame_push(&frame, f->state);
    if (f->release_gil)
        frame.saved = PyEval_SaveThread();
    call_two(f, a, b, &v);
    frame_pop(&frame);
    if (frame.saved)
        PyEval_RestoreThread(frame.saved);
    if (!HW_LIKELY(!frame.error))
        return raise_callback_error(&frame);
    if (f->result->c.kind == HW_DOUBLE)
        return PyFloat_FromDouble(v.d);
    if (f->result_is_text)
        return string_from_c(v.p);
    return convert_from_value(f->result, &v);
}

static PyObject *call_pointer(PyObject *self, PyObject *const *args, size_t nargsf,
                              PyObject *kwnames)
{
    Function *f = (Function *)self;
    void *p;
    if (PyVectorcall_NARGS(nargsf) == 1 && !kwnames && fast_pointer(f, &f->params[0], args[0], &p))
        return finish_two(f, (int64_t)(intptr_t)p, 0);
    return call_simple(self, args, nargsf, kwnames);
}

static PyObject *call_vector(PyObject *self, PyObject *const *args, size_t nargsf,
                             PyObject *kwnames)
{
    Function *f = (Function *)self;
    int at = f->args[0];
    const Param *p = &f->params[at];
    const hw_numpy_hooks *numpy = f->state->numpy;
    hw_ndview view;
    if (PyVectorcall_NARGS(nargsf) == 1 && !kwnames && numpy &&
        Py_TYPE(args[0]) == numpy->ndarray && numpy->view(args[0], &view) && view.ndim == 1 &&
        view.contiguous && view.kind == p->element_kind &&
        (view.writable || p->type->c.target_const) &&
        fits_kind(f->params[1 - at].type->c.kind, view.shape[0])) {
        int64_t data = (int64_t)(intptr_t)view.data, n = view.shape[0];
        return at == 0 ? finish_two(f, data, n) : finish_two(f, n, data);
    }
    return call_sized(self, args, nargsf, kwnames);
}

/* One array of one dimension, and that. */
static bool is_array_and_size(const Function *f)
{
    return f->n_params == 2 && f->n_args == 1 && f->n_dims == 1 && f->dims[0].fixed < 0 &&
           f->params[f->args[0]].n_dims == 1 && f->dims[0].param == 1 - f->args[0] &&
           is_plain_result(f);
}

vectorcallfunc call_choose(const Function *f)
{
    static const vectorcallfunc doubles[] = {call_d1, call_d2, call_d3, call_d4};
    if (!f->simple)
        return !is_sized(f) ? call_full : is_array_and_size(f) ? call_vector : call_sized;
    if (f->n_params == 1 && f->params[0].element && is_plain_result(f))
        return call_pointer;
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
    int before = hw_thread.saved_errno; /* freeing is not what the user called last */
    frame_push(&frame, f->state);
    call_let_go(f, &frame, f->release_gil);
    hw_plan_call(&f->plan, f->fn, slots, &result);
    call_come_back(f, &frame);
    hw_thread.saved_errno = before;
    if (frame.error)
        raise_callback_error(&frame);
}
