/* SPDX-License-Identifier: MIT */
/*
 * Callbacks: C calls Python.
 *
 * A callable runs in the interpreter that made the callback. Inside a call that Headway made on the
 * same thread, it runs on that call's thread state; on any other thread, on a thread state made for
 * it (never PyGILState, which knows the main interpreter only). If it raises, C gets on_error, no
 * further Python runs in that call, and the exception comes out of the call; with no call to come
 * out of, it goes to sys.unraisablehook.
 */
#include "core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct Callback {
    PyObject_HEAD State *state;
    Alive *alive; /* a reference of its own */
    CType *type;  /* of kind function */
    PyObject *callable;
    PyObject *last; /* what the last result pointed into */
    hw_closure *closure;
    PyObject *name;     /* of the type */
    size_t result_size; /* bytes that C reads; 0 for void */
    bool annotated;
    int context; /* parameter not handed to Python; -1: none */
    int n_sizes;
    int16_t *sizes; /* parameter that holds the length of parameter i; -1: none */
    void *on_error; /* the result after an exception, as a slot or a struct */
};

/* ---- attaching ------------------------------------------------------------------------------ */

/* The thread state attached to this very thread, NULL if none is. */
static PyThreadState *attached(void)
{
#if PY_VERSION_HEX >= 0x030D0000
    return PyThreadState_GetUnchecked();
#elif PY_VERSION_HEX >= 0x030C0000
    return _PyThreadState_UncheckedGet();
#else
    /* 3.11 has one current thread state for the whole process: is it this thread's? */
    PyThreadState *current = _PyThreadState_UncheckedGet();
    bool here = current == hw_thread.attached || current == PyGILState_GetThisThreadState();
    return current && here ? current : NULL;
#endif
}

/* ---- running -------------------------------------------------------------------------------- */

static PyObject *sized_list(CType *pointer, void *const *at, const void *length, CType *length_type)
{
    PyObject *n_object = convert_from_c(length_type, length, NULL, true);
    Py_ssize_t n = n_object ? PyNumber_AsSsize_t(n_object, PyExc_OverflowError) : -1;
    Py_XDECREF(n_object);
    if (n < 0)
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_ValueError, "C gave length %zd", n);
    const unsigned char *base = *at;
    if (!base)
        Py_RETURN_NONE;
    CType *element = pointer->target;
    if (hw_kind_is_byte(element->c.kind))
        return PyBytes_FromStringAndSize((const char *)base, n);
    Py_ssize_t size = ctype_size(element);
    PyObject *list = size < 0 ? NULL : PyList_New(n);
    for (Py_ssize_t i = 0; list && i < n; i++) {
        PyObject *item = convert_from_c(element, base + i * size, NULL, true);
        if (!item)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, i, item);
    }
    return list;
}

static PyObject *collect(Callback *cb, void **args)
{
    Py_ssize_t n = (Py_ssize_t)cb->type->c.count, k = 0;
    PyObject *tuple = PyTuple_New(n - (cb->context >= 0));
    for (int i = 0; tuple && i < n; i++) {
        if (i == cb->context)
            continue;
        CType *t = (CType *)PyTuple_GET_ITEM(cb->type->types, i);
        int s = i < cb->n_sizes ? cb->sizes[i] : -1;
        PyObject *o =
            s >= 0 ? sized_list(t, args[i], args[s], (CType *)PyTuple_GET_ITEM(cb->type->types, s))
                   : convert_from_c(t, args[i], NULL, true);
        if (!o)
            Py_CLEAR(tuple);
        else
            PyTuple_SET_ITEM(tuple, k++, o);
    }
    return tuple;
}

static int put_result(Callback *cb, void *result, PyObject *value)
{
    CType *t = cb->type->target;
    /* Nothing said is zero, "all is well", where on_error= says that the result is a status. */
    if (value == Py_None && cb->annotated && hw_kind_is_integer(t->c.kind)) {
        memset(result, 0, 8);
        return 0;
    }
    Keep keep;
    keep_init(&keep);
    PyObject *name = PyObject_HasAttrString(cb->callable, "__name__")
                         ? PyObject_GetAttrString(cb->callable, "__name__")
                         : PyObject_Repr(cb->callable);
    PyObject *what = PyUnicode_FromString("result");
    Site site = {.function = name, .parameter = what, .ctype = t->c.name};
    int r = convert_to_slot(t, result, value, &site, &keep, NULL, true);
    if (r == 0 && keep.n) {
        PyObject *kept = PyTuple_New(keep.n);
        for (Py_ssize_t i = 0; kept && i < keep.n; i++)
            PyTuple_SET_ITEM(kept, i, Py_NewRef(keep.objects[i]));
        r = kept ? 0 : -1;
        kept = __atomic_exchange_n(&cb->last, kept, __ATOMIC_ACQ_REL);
        Py_XDECREF(kept);
    }
    keep_fini(&keep);
    Py_XDECREF(name);
    Py_XDECREF(what);
    return r;
}

static int run(Callback *cb, void *result, void **args)
{
    if (!cb->callable) {
        raise_named(
            cb->state, "UseAfterFreeError",
            "C called a callback (%U) after the call it was given to was over; say how long "
            "it is used: annotate it keep=NAME, the parameter whose handle keeps it, or "
            "keep=always",
            cb->name);
        return -1;
    }
    PyObject *tuple = collect(cb, args);
    PyObject *value = tuple ? PyObject_Call(cb->callable, tuple, NULL) : NULL;
    int r = value ? 0 : -1;
    if (value && cb->type->target->c.kind != HW_VOID)
        r = put_result(cb, result, value);
    Py_XDECREF(value);
    Py_XDECREF(tuple);
    return r;
}

static void put_default(Callback *cb, void *result)
{
    memcpy(result, cb->on_error, cb->result_size);
}

static PyObject *take_exception(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback && value)
        PyException_SetTraceback(value, traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
#endif
}

/* With the thread state attached: runs, and sends an exception where it belongs. */
static void run_attached(Callback *cb, void *result, void **args, Frame *frame)
{
    Py_INCREF(cb);
    if (run(cb, result, args) < 0) {
        put_default(cb, result);
        if (frame)
            frame->error = take_exception();
        else
            PyErr_WriteUnraisable(cb->callable);
    }
    Py_DECREF(cb);
}

/* A thread that Python does not know, or that has let it go in a way we do not know of. */
static void run_on_new_state(Callback *cb, void *result, void **args, Frame *frame)
{
    PyThreadState *ts = PyThreadState_New(cb->state->interpreter);
    if (!ts)
        return;
    PyEval_RestoreThread(ts);
#if PY_VERSION_HEX < 0x030C0000
    PyThreadState *before = hw_thread.attached;
    hw_thread.attached = ts;
#endif
    run_attached(cb, result, args, frame);
#if PY_VERSION_HEX < 0x030C0000
    hw_thread.attached = before;
#endif
    PyThreadState_Clear(ts);
    PyThreadState_DeleteCurrent();
}

/* The thread is inside another interpreter, which steps back for as long as this one runs. */
static void run_in_other_interpreter(Callback *cb, void *result, void **args, PyThreadState *other)
{
    PyEval_ReleaseThread(other);
    run_on_new_state(cb, result, args, NULL);
    PyEval_AcquireThread(other);
}

/*
 * The thread may be attached although the call on top of it let the GIL go (another extension has
 * entered Python from C and called C again), and the other way round: so what counts is whether it
 * is attached now, and the call in progress is only where the exception goes.
 */
static void enter(Callback *cb, void *result, void **args)
{
    Frame *frame = hw_thread.top;
    if (frame && frame->state != cb->state)
        frame = NULL;
    if (frame && frame->error)
        return;
    PyThreadState *ts = attached();
    if (ts) {
        if (PyThreadState_GetInterpreter(ts) == cb->state->interpreter)
            run_attached(cb, result, args, frame);
        else
            run_in_other_interpreter(cb, result, args, ts);
    } else if (frame && frame->saved) {
        PyEval_RestoreThread(frame->saved);
        frame->saved = NULL;
        run_attached(cb, result, args, frame);
        frame->saved = PyEval_SaveThread();
    } else {
        run_on_new_state(cb, result, args, frame);
    }
}

static void handle(void *result, void **args, void *context)
{
    Callback *cb = context;
    int before = errno; /* C looks at its own, whatever Python does meanwhile */
    put_default(cb, result);
    if (atomic_load_explicit(&cb->alive->yes, memory_order_acquire))
        enter(cb, result, args);
    errno = before;
}

/* ---- the object ----------------------------------------------------------------------------- */

static int read_sizes(Callback *cb, PyObject *spec)
{
    PyObject *sizes = PyObject_GetAttrString(spec, "sizes");
    Py_ssize_t n = sizes ? PySequence_Size(sizes) : -1;
    if (n > 0 && !(cb->sizes = PyMem_Calloc((size_t)n, sizeof(int16_t)))) {
        PyErr_NoMemory();
        n = -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *item = PySequence_GetItem(sizes, i);
        long v = item ? PyLong_AsLong(item) : -1;
        Py_XDECREF(item);
        if (PyErr_Occurred())
            n = -1;
        else
            cb->sizes[i] = v < (long)cb->type->c.count ? (int16_t)v : -1;
    }
    cb->n_sizes = n > 0 ? (int)n : 0;
    Py_XDECREF(sizes);
    return n < 0 ? -1 : 0;
}

static int read_on_error(Callback *cb, PyObject *spec)
{
    PyObject *value = PyObject_GetAttrString(spec, "on_error");
    CType *t = cb->type->target;
    int r = value ? 0 : -1;
    cb->annotated = value && value != Py_None;
    if (cb->annotated && t->c.kind != HW_VOID) {
        Site site = {.parameter = NULL, .ctype = t->c.name};
        Keep keep;
        keep_init(&keep);
        r = convert_to_slot(t, cb->on_error, value, &site, &keep, NULL, true);
        keep_fini(&keep);
    }
    Py_XDECREF(value);
    return r;
}

static int read_spec(Callback *cb, PyObject *spec)
{
    PyObject *context = PyObject_GetAttrString(spec, "context");
    if (!context)
        return -1;
    if (context != Py_None) {
        long v = PyLong_AsLong(context);
        if (v >= 0 && v < (long)cb->type->c.count)
            cb->context = (int)v;
    }
    Py_DECREF(context);
    if (PyErr_Occurred() || read_sizes(cb, spec) < 0 || read_on_error(cb, spec) < 0)
        return -1;
    PyObject *keep = PyObject_GetAttrString(spec, "keep");
    if (keep && PyUnicode_Check(keep) && PyUnicode_CompareWithASCIIString(keep, "always") == 0)
        Py_INCREF(cb); /* for the life of the process */
    Py_XDECREF(keep);
    return keep ? 0 : -1;
}

PyObject *callback_new(CType *function, PyObject *callable, PyObject *spec, hw_fn *code)
{
    State *state = function->state;
    thread_attached();
    Callback *cb = PyObject_GC_New(Callback, state->callback_type);
    if (!cb)
        return NULL;
    memset((char *)cb + sizeof(PyObject), 0, sizeof(Callback) - sizeof(PyObject));
    cb->state = state;
    cb->alive = state->alive;
    atomic_fetch_add(&state->alive->references, 1);
    atomic_fetch_add(&state->live[LIVE_CALLBACK], 1);
    cb->type = (CType *)Py_NewRef(function);
    cb->callable = Py_NewRef(callable);
    cb->context = -1;
    PyObject_GC_Track(cb);
    size_t size = function->target->c.size;
    cb->name = Py_NewRef(function->name);
    if (function->target->c.kind != HW_VOID)
        cb->result_size = size > sizeof(uint64_t) ? size : sizeof(uint64_t);
    cb->on_error = PyMem_Calloc(1, size > sizeof(hw_value) ? size : sizeof(hw_value));
    hw_error err = HW_ERROR_INIT;
    if (!cb->on_error)
        PyErr_NoMemory();
    else if (!spec || spec == Py_None || read_spec(cb, spec) == 0)
        if (hw_closure_new(&function->c, handle, cb, &cb->closure, &err) != HW_OK)
            raise_status(state, &err);
    if (!cb->closure) {
        Py_DECREF(cb);
        return NULL;
    }
    *code = hw_closure_fn(cb->closure);
    return (PyObject *)cb;
}

static int callback_traverse(PyObject *self, visitproc visit, void *arg)
{
    Callback *cb = (Callback *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(cb->type);
    Py_VISIT(cb->callable);
    Py_VISIT(cb->last);
    return 0;
}

static int callback_clear(PyObject *self)
{
    Py_CLEAR(((Callback *)self)->last);
    return 0;
}

static void callback_dealloc(PyObject *self)
{
    Callback *cb = (Callback *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    hw_closure_free(cb->closure);
    PyMem_Free(cb->on_error);
    PyMem_Free(cb->sizes);
    Py_XDECREF(cb->last);
    Py_XDECREF(cb->type);
    Py_XDECREF(cb->name);
    if (cb->callable) /* not buried */
        atomic_fetch_sub(&cb->state->live[LIVE_CALLBACK], 1);
    Py_CLEAR(cb->callable);
    alive_release(cb->alive);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

void callback_bury(State *state, PyObject *callback)
{
    if (Py_REFCNT(callback) > 1) {
        Py_DECREF(callback);
        return;
    }
    Callback *cb = (Callback *)callback;
    PyObject **grave = &state->graves[state->next_grave++ % GRAVES], *oldest = *grave;
    *grave = callback;
    atomic_fetch_sub(&state->live[LIVE_CALLBACK], 1);
    Py_CLEAR(cb->callable);
    Py_CLEAR(cb->last);
    Py_CLEAR(cb->type);
    Py_XDECREF(oldest);
}

static PyType_Slot slots[] = {
    {Py_tp_dealloc, callback_dealloc},
    {Py_tp_traverse, callback_traverse},
    {Py_tp_clear, callback_clear},
    {Py_tp_doc, "A Python callable as a C function pointer."},
    {0, NULL},
};

static PyType_Spec type_spec = {
    .name = "headway.Callback",
    .basicsize = sizeof(Callback),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

int callback_add_type(PyObject *module, State *state)
{
    state->callback_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &type_spec, NULL);
    return state->callback_type ? 0 : -1;
}
