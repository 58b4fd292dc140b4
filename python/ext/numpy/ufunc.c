/* SPDX-License-Identifier: MIT */
/*
 * A genuine ufunc for a mapping, and the inner loops NumPy calls.
 *
 * What NumPy does with inner loops, and what follows here:
 *   - reduce passes out == in0 with an output stride of 0, accumulate an output that lies one
 * element behind its input: such calls run in order, one place a core call (in_order);
 *   - it releases the GIL for 500 places and more only: hwn_run releases it where it is still held;
 *   - after an error it goes on calling the loop, buffer after buffer: they return at once
 * (failed);
 *   - the flags are cleared before and looked at after the whole call: nothing is done about them.
 */
#include "internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

/* What an inner loop is given; one for each type of loop. */
typedef struct inner {
    const hw_mapping *mapping;  /* of the function */
    PyObject *function;         /* kept alive by the ufunc */
    bool wide;                  /* int64 in place of narrower integers */
    uint8_t order[HW_MAX_DIMS]; /* the mapping's dimension as NumPy numbers them */
} inner;

/* Everything of ours that a ufunc refers to. Kept by a capsule that the ufunc keeps. */
typedef struct loops {
    PyUFuncGenericFunction functions[2];
    void *data[2];
    inner inners[2];
    char types[2 * HW_MAX_OPERANDS];
    char *name, *doc, *signature;
} loops;

/* ---- stopping -------------------------------------------------------------------------------- */

#define POLL_EVERY 20000000 /* ticks: 4 to 20 ms */

/* The loop in which an exception is set in this thread, NULL if none is. */
static _Thread_local const inner *failed;
static _Thread_local uint64_t polled;

/* Whether an exception is set in this thread, which need not hold the GIL to read its own state. */
static bool has_exception(void)
{
    PyThreadState *mine = PyGILState_GetThisThreadState();
#if PY_VERSION_HEX >= 0x030C0000
    return mine && mine->current_exception;
#else
    return mine && mine->curexc_type;
#endif
}

/* A pool's loop polls by itself; this is for calls that NumPy cuts into many short ones. */
static bool is_interrupted(const inner *in)
{
    uint64_t now = hwn_ticks();
    if (now - polled < POLL_EVERY)
        return false;
    polled = now;
    PyThreadState *thread = hwn_attached() ? NULL : PyGILState_GetThisThreadState();
    if (!hwn_api->interrupted(&thread))
        return false;
    failed = in;
    return true;
}

/* True where there is nothing to do any more: an earlier call for the same ufunc call failed, or
 * the user wants it to end. */
static bool is_over(const inner *in)
{
    if (failed == in) {
        if (has_exception())
            return true;
        failed = NULL;
    }
    return is_interrupted(in);
}

/* ---- inner loops ----------------------------------------------------------------------------- */

/* True where writing an element of `out` could change an element of `in` other than its own. */
static bool interferes(const char *out, ptrdiff_t out_step, ptrdiff_t out_size, const char *in,
                       ptrdiff_t in_step, ptrdiff_t in_size, ptrdiff_t n)
{
    ptrdiff_t out_reach = (n - 1) * out_step, in_reach = (n - 1) * in_step;
    const char *out_low = out + (out_reach < 0 ? out_reach : 0);
    const char *out_high = out + (out_reach > 0 ? out_reach : 0) + out_size;
    const char *in_low = in + (in_reach < 0 ? in_reach : 0);
    const char *in_high = in + (in_reach > 0 ? in_reach : 0) + in_size;
    if (out_low >= in_high || in_low >= out_high)
        return false;
    if (out_step != in_step || out_step == 0)
        return true;
    ptrdiff_t step = Py_ABS(out_step);
    ptrdiff_t shift = ((in - out) % step + step) % step;
    if (in == out)
        return out_size > step || in_size > step;
    return shift < out_size || shift > step - in_size; /* else they lie between one another */
}

static ptrdiff_t outer_size(const inner *in, int op)
{
    hw_kind kind = in->mapping->operands[op].kind;
    bool wide = in->wide && (op < in->mapping->n_in ? hwn_narrows(kind) : hwn_widens(kind));
    return hwn_kinds[wide ? HWN_INT64_KIND : kind].size;
}

static bool needs_order(const inner *in, char **args, const npy_intp *steps, ptrdiff_t n)
{
    const hw_mapping *m = in->mapping;
    for (int out = m->n_in; out < m->n_in + m->n_out; out++) {
        if (steps[out] == 0)
            return true;
        for (int i = 0; i < out; i++)
            if (interferes(args[out], steps[out], outer_size(in, out), args[i], steps[i],
                           outer_size(in, i), n))
                return true;
    }
    return false;
}

/* Runs and, on failure, leaves the exception set. */
static void run(hwn_places *p, const inner *in)
{
    PyGILState_STATE state = PyGILState_UNLOCKED;
    bool attached = hwn_attached();
    bool attach = !attached && in->mapping->serial;
    if (attach)
        state = PyGILState_Ensure();
    p->job.attached = attached || attach;
    int status = hwn_run(&p->job);
    if (attach)
        PyGILState_Release(state);
    if (status == 0)
        return;
    failed = in;
    state = PyGILState_Ensure();
    hwn_raise(in->function, &p->job);
    PyGILState_Release(state);
}

/* One place: what ufunc.at and a sparse where= ask for again and again. */
static void run_one(const inner *in, char **args, const npy_intp *dims, const npy_intp *steps)
{
    hw_frame frame;
    hwn_api->frame_push(&frame);
    if (!hwn_attached()) /* callbacks attach through this thread's own state */
        frame.saved = PyGILState_GetThisThreadState();
    in->mapping->loop(args, dims, steps, in->mapping->data);
    hwn_api->frame_pop(&frame);
    if (hwn_api->frame_raise(&frame, frame.error))
        failed = in;
}

static void elementwise(char **args, const npy_intp *dims, const npy_intp *steps, void *data)
{
    const inner *in = data;
    const hw_mapping *m = in->mapping;
    if (dims[0] == 0 || is_over(in))
        return;
    if (dims[0] == 1 && !in->wide && !m->serial && !m->lock) {
        run_one(in, args, dims, steps);
        return;
    }
    hwn_places p;
    hwn_job_init(&p.job, m, dims[0]);
    p.job.body = hwn_places_body;
    p.job.in_order = dims[0] > 1 && needs_order(in, args, steps, dims[0]);
    p.n_ops = m->n_in + m->n_out;
    p.n_axes = 1;
    p.shape[0] = dims[0];
    p.block = 1;
    p.scratched = false;
    for (int i = 0; i < p.n_ops; i++) {
        hw_kind kind = m->operands[i].kind;
        p.data[i] = args[i];
        p.steps[0][i] = steps[i];
        bool wide = in->wide && (i < m->n_in ? hwn_narrows(kind) : hwn_widens(kind));
        if (in->wide)
            hwn_places_slice(&p, i, wide ? HWN_INT64 : HWN_DIRECT, NULL);
    }
    if (in->wide)
        hwn_places_layout(&p);
    run(&p, in);
}

static bool is_aligned(hw_kind kind, const char *data, ptrdiff_t step, const npy_intp *strides,
                       int n_core)
{
    uintptr_t bits = (uintptr_t)data | (uintptr_t)step;
    for (int d = 0; d < n_core; d++)
        bits |= (uintptr_t)strides[d];
    return (bits & (uintptr_t)(hwn_kinds[kind].align - 1)) == 0;
}

/* NumPy copies outputs that overlap inputs, unless they are the same array. */
static bool replaces_input(const hw_mapping *m, int op, char **args)
{
    for (int i = 0; i < m->n_in && op >= m->n_in && m->operands[op].n_core; i++)
        if (args[i] == args[op] && i != m->operands[op].inout)
            return true;
    return false;
}

static void with_core(char **args, const npy_intp *dims, const npy_intp *steps, void *data)
{
    const inner *in = data;
    const hw_mapping *m = in->mapping;
    if (dims[0] == 0 || is_over(in))
        return;
    hwn_places p;
    hwn_job_init(&p.job, m, dims[0]);
    p.job.body = hwn_places_body;
    p.n_ops = m->n_in + m->n_out;
    p.n_axes = 1;
    p.shape[0] = dims[0];
    p.scratched = false;
    for (int d = 0; d < m->n_dims; d++)
        p.dims[1 + d] = dims[1 + in->order[d]];
    const npy_intp *core = steps + p.n_ops;
    for (int i = 0; i < p.n_ops; i++) {
        const hw_operand *o = &m->operands[i];
        p.data[i] = args[i];
        p.steps[0][i] = steps[i];
        bool direct =
            is_aligned(o->kind, args[i], steps[i], core, o->n_core) && !replaces_input(m, i, args);
        bool wide = in->wide && i < m->n_in && hwn_narrows(o->kind);
        hwn_mode mode = wide ? HWN_INT64 : direct ? HWN_DIRECT : HWN_COPY;
        hwn_places_slice(&p, i, mode, core);
        core += o->n_core;
    }
    hwn_places_layout(&p);
    run(&p, in);
}

/* ---- core dimensions ------------------------------------------------------------------------- */

/* Sizes that follow from others, and the check of those that NumPy took from the arrays. */
static int process_core_dims(PyUFuncObject *ufunc, npy_intp *sizes)
{
    const inner *in = ufunc->data[0];
    const hw_mapping *m = in->mapping;
    hwn_sizes s;
    hwn_sizes_init(m, &s);
    for (int d = 0; d < m->n_dims; d++)
        s.dims[1 + d] = sizes[in->order[d]];
    for (int op = m->n_in + m->n_out - 1; op >= 0; op--)
        for (int d = 0; d < m->operands[op].n_core; d++)
            s.from[m->operands[op].core[d]] = (int8_t)op;
    if (hwn_sizes_finish(in->function, m, &s) < 0)
        return -1;
    for (int d = 0; d < m->n_dims; d++)
        sizes[in->order[d]] = s.dims[1 + d];
    return 0;
}

/* ---- the signature --------------------------------------------------------------------------- */

typedef struct text {
    char *chars;
    size_t length, room;
    bool failed;
} text;

static void append(text *t, const char *chars)
{
    size_t n = strlen(chars);
    if (t->length + n + 1 > t->room) {
        size_t room = 2 * (t->length + n + 1);
        char *larger = realloc(t->chars, room);
        if (!larger) {
            t->failed = true;
            return;
        }
        t->chars = larger;
        t->room = room;
    }
    memcpy(t->chars + t->length, chars, n + 1);
    t->length += n;
}

/* A dimension as NumPy lets one be written: a number, C's name, or an expression in words. */
static void append_dim(text *t, const hw_mapping *m, int d)
{
    static const char operators[] = "+-*/%";
    static const char *const words[] = {"_plus_", "_minus_", "_times_", "_over_", "_mod_"};
    char one[2] = "", number[24];
    if (m->fixed[d] >= 0) {
        snprintf(number, sizeof number, "%td", m->fixed[d]);
        append(t, number);
        return;
    }
    if (isdigit((unsigned char)m->dim_names[d][0]))
        append(t, "_");
    for (const char *c = m->dim_names[d]; *c; c++) {
        const char *operator = strchr(operators, *c);
        one[0] = *c;
        if (operator)
            append(t, words[operator - operators]);
        else if (isalnum((unsigned char)*c) || *c == '_')
            append(t, one);
    }
}

/* '(m,k),(k,n)->(m,n)', and how NumPy will number the dimensions: by first appearance, equal
 * numbers as one. NULL without memory. */
static char *make_signature(const hw_mapping *m, uint8_t *order)
{
    text t = {0};
    int known[HW_MAX_DIMS], n_known = 0;
    for (int op = 0; op < m->n_in + m->n_out; op++) {
        append(&t, op == m->n_in ? "->(" : op ? ",(" : "(");
        for (int k = 0; k < m->operands[op].n_core; k++) {
            int d = m->operands[op].core[k], number = 0;
            for (; number < n_known; number++)
                if (known[number] == d ||
                    (m->fixed[d] >= 0 && m->fixed[known[number]] == m->fixed[d]))
                    break;
            if (number == n_known)
                known[n_known++] = d;
            order[d] = (uint8_t)number;
            append(&t, k ? "," : "");
            append_dim(&t, m, d);
        }
        append(&t, ")");
    }
    if (t.failed) {
        free(t.chars);
        return NULL;
    }
    return t.chars;
}

/* ---- the factory ----------------------------------------------------------------------------- */

static void free_loops(loops *l)
{
    if (l) {
        free(l->name);
        free(l->doc);
        free(l->signature);
    }
    free(l);
}

static void destroy_capsule(PyObject *capsule) { free_loops(PyCapsule_GetPointer(capsule, NULL)); }

/* True where there are integers that int64 may stand in for. */
static bool has_wide(const hw_mapping *m)
{
    for (int i = 0; i < m->n_in; i++)
        if (hwn_narrows(m->operands[i].kind))
            return true;
    return false;
}

static loops *make_loops(PyObject *function, const hw_mapping *m, const char *name, const char *doc)
{
    loops *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->name = strdup(name);
    l->doc = strdup(doc ? doc : "");
    l->signature = make_signature(m, l->inners[0].order);
    memcpy(l->inners[1].order, l->inners[0].order, sizeof l->inners[0].order);
    for (int k = 0; k < 2; k++) {
        l->functions[k] = (PyUFuncGenericFunction)(m->n_dims ? with_core : elementwise);
        l->data[k] = &l->inners[k];
        l->inners[k].mapping = m;
        l->inners[k].function = function;
        l->inners[k].wide = k == 1;
        for (int i = 0; i < m->n_in + m->n_out; i++) {
            hw_kind kind = m->operands[i].kind;
            bool wide =
                k == 1 && (i < m->n_in ? hwn_narrows(kind) : !m->n_dims && hwn_widens(kind));
            l->types[k * (m->n_in + m->n_out) + i] =
                (char)(wide ? NPY_INT64 : hwn_kinds[kind].typenum);
        }
    }
    if (!l->name || !l->doc || !l->signature) {
        free_loops(l);
        return NULL;
    }
    return l;
}

PyObject *hwn_ufunc(PyObject *function, const hw_mapping *m, const char *name, const char *doc)
{
    if (m->n_in == 0) {
        PyErr_Format(PyExc_TypeError, "%s has no inputs: there is no ufunc of it", name);
        return NULL;
    }
    loops *l = make_loops(function, m, name, doc);
    if (!l)
        return PyErr_NoMemory();
    PyObject *capsule = PyCapsule_New(l, NULL, destroy_capsule);
    if (!capsule) {
        free_loops(l);
        return NULL;
    }
    PyObject *keep = PyTuple_Pack(2, function, capsule);
    Py_DECREF(capsule);
    PyObject *ufunc =
        keep ? PyUFunc_FromFuncAndDataAndSignature(
                   l->functions, l->data, l->types, has_wide(m) ? 2 : 1, m->n_in, m->n_out,
                   PyUFunc_None, l->name, l->doc, 0, m->n_dims ? l->signature : NULL)
             : NULL;
    if (!ufunc) {
        Py_XDECREF(keep);
        return NULL;
    }
    ((PyUFuncObject *)ufunc)->obj = keep;
    if (!PyObject_GC_IsTracked(ufunc))
        PyObject_GC_Track(ufunc); /* the function keeps it in turn: a circle */
    if (m->n_dims)
        ((PyUFuncObject *)ufunc)->process_core_dims_func = process_core_dims;
    return ufunc;
}
