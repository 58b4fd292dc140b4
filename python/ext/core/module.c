/* SPDX-License-Identifier: MIT */
/* Assembles _core: its state, its functions, the table it gives to _numpy. */
#include "call.h"
#include "core.h"
#include "sched/cpus.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Thread_local Thread hw_thread __attribute__((tls_model("initial-exec")));

static State *state_of(PyObject *module) { return PyModule_GetState(module); }

/* ---- exceptions ----------------------------------------------------------------------------- */

static PyObject *named_class(State *state, const char *class_name)
{
    if (!get_once(&state->errors) &&
        set_once(&state->errors, PyImport_ImportModule("headway._errors")) < 0)
        return NULL;
    return PyObject_GetAttrString(state->errors, class_name);
}

PyObject *raise_named(State *state, const char *class_name, const char *format, ...)
{
    PyObject *class = named_class(state, class_name);
    if (!class)
        return NULL;
    va_list args;
    va_start(args, format);
    PyErr_FormatV(class, format, args);
    va_end(args);
    Py_DECREF(class);
    return NULL;
}

void raise_status(State *state, const hw_error *err)
{
    switch (err->code) {
    case HW_NO_MEMORY: PyErr_SetString(PyExc_MemoryError, err->message); break;
    case HW_INVALID: PyErr_SetString(PyExc_ValueError, err->message); break;
    case HW_UNSUPPORTED: raise_named(state, "NotBoundError", "%s", err->message); break;
    default: PyErr_Format(PyExc_RuntimeError, "%s: %s", hw_status_name(err->code), err->message);
    }
}

/* ---- NumPy ---------------------------------------------------------------------------------- */

static HW_COLD const hw_numpy_hooks *load_hooks(State *state, bool force)
{
    if (!force) {
        PyObject *modules = PyImport_GetModuleDict();
        if (!modules || !PyDict_GetItemString(modules, "numpy"))
            return NULL;
    }
    PyObject *m = PyImport_ImportModule("headway._numpy");
    if (!m)
        return NULL;
    Py_DECREF(m);
    if (!state->numpy)
        PyErr_SetString(PyExc_SystemError, "headway._numpy registered no hooks");
    return state->numpy;
}

const hw_numpy_hooks *numpy_hooks(State *state, bool force)
{
    return HW_LIKELY(state->numpy != NULL) ? state->numpy : load_hooks(state, force);
}

/* Of the one interpreter that NumPy is in; set with the hooks. */
static State *numpy_state;

static int api_set_numpy_hooks(const hw_numpy_hooks *hooks)
{
    PyObject *m = PyImport_ImportModule("headway._core");
    if (!m)
        return -1;
    state_of(m)->numpy = hooks;
    numpy_state = state_of(m);
    Py_DECREF(m);
    return 0;
}

static void api_frame_push(hw_frame *frame) { frame_push(frame, numpy_state); }
static void api_frame_pop(hw_frame *frame) { frame_pop(frame); }

static bool api_frame_raise(hw_frame *frame, PyObject *error)
{
    if (!error)
        return false;
    if (frame->saved)
        PyEval_RestoreThread(frame->saved);
    PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    Py_DECREF(error);
    if (frame->saved)
        frame->saved = PyEval_SaveThread();
    return true;
}

static const hw_mapping *api_mapping(PyObject *function) { return ((Function *)function)->mapping; }
static PyObject *api_ufunc(PyObject *function) { return function_ufunc((Function *)function); }

static unsigned api_threads(void)
{
    return hw_thread.threads ? hw_thread.threads : hw_pool_threads(hw_pool_shared());
}

static hw_status api_parallel_for(const hw_loop *loop, unsigned threads)
{
    return hw_pool_parallel_for(hw_pool_shared(), loop, threads);
}

/* Signal handlers run on the main thread only: no other thread need wait for the GIL here. */
static bool runs_handlers(void)
{
#if defined(__linux__)
    return gettid() == getpid();
#else
    return true;
#endif
}

bool core_interrupted(PyThreadState **saved)
{
    if (!runs_handlers())
        return false;
    if (!*saved)
        return PyErr_CheckSignals() < 0;
    PyEval_RestoreThread(*saved);
    bool raised = PyErr_CheckSignals() < 0;
    *saved = PyEval_SaveThread();
    return raised;
}

static hw_core_api core_api = {
    .version = HW_API_VERSION,
    .set_numpy_hooks = api_set_numpy_hooks,
    .mapping = api_mapping,
    .ufunc = api_ufunc,
    .threads = api_threads,
    .parallel_for = api_parallel_for,
    .frame_push = api_frame_push,
    .frame_pop = api_frame_pop,
    .frame_raise = api_frame_raise,
    .interrupted = core_interrupted,
};

/* ---- functions ------------------------------------------------------------------------------ */

static PyObject *get_errno(PyObject *m, PyObject *unused)
{
    (void)m;
    (void)unused;
    return PyLong_FromLong(hw_thread.saved_errno);
}

static PyObject *set_errno(PyObject *m, PyObject *value)
{
    (void)m;
    long v = PyLong_AsLong(value);
    if (v == -1 && PyErr_Occurred())
        return NULL;
    hw_thread.saved_errno = (int)v;
    Py_RETURN_NONE;
}

static int thread_count(PyObject *value, unsigned *out)
{
    long n = PyLong_AsLong(value);
    if (n == -1 && PyErr_Occurred())
        return -1;
    if (n < 1 || n > 1024) {
        PyErr_Format(PyExc_ValueError, "%ld threads: expected a number from 1 to 1024", n);
        return -1;
    }
    *out = (unsigned)n;
    return 0;
}

static PyObject *set_num_threads(PyObject *m, PyObject *value)
{
    unsigned n;
    if (thread_count(value, &n) < 0)
        return NULL;
    hw_error err = HW_ERROR_INIT;
    if (hw_pool_set_threads(hw_pool_shared(), n) != HW_OK) {
        hw_fail(&err, HW_NO_MEMORY, "no memory for the thread pool");
        raise_status(state_of(m), &err);
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *get_num_threads(PyObject *m, PyObject *unused)
{
    (void)m;
    (void)unused;
    return PyLong_FromUnsignedLong(api_threads());
}

/* Sets this thread's own number and returns the one before, 0 for none. */
static PyObject *swap_threads(PyObject *m, PyObject *value)
{
    (void)m;
    unsigned n = 0, before = hw_thread.threads;
    long asked = PyLong_AsLong(value);
    if (asked == -1 && PyErr_Occurred())
        return NULL;
    if (asked && thread_count(value, &n) < 0)
        return NULL;
    hw_thread.threads = n;
    return PyLong_FromUnsignedLong(before);
}

static PyObject *cpus(PyObject *m, PyObject *unused)
{
    (void)m, (void)unused;
    return Py_BuildValue("(II)", hw_cpus_affinity(), hw_cpus_quota(""));
}

static PyObject *live_objects(PyObject *m, PyObject *unused)
{
    (void)unused;
    static const char *const names[LIVE_TYPES] = {"CType",    "Value",    "Pointer",
                                                  "Function", "Callback", "Library"};
    PyObject *d = PyDict_New();
    for (int i = 0; d && i < LIVE_TYPES; i++) {
        PyObject *n = PyLong_FromLong(atomic_load(&state_of(m)->live[i]));
        if (!n || PyDict_SetItemString(d, names[i], n) < 0)
            Py_CLEAR(d);
        Py_XDECREF(n);
    }
    return d;
}

static PyObject *load_variable(PyObject *m, PyObject *args)
{
    PyObject *given, *owner = Py_None;
    unsigned long long address;
    int copy = 0;
    if (!PyArg_ParseTuple(args, "O!K|Op", state_of(m)->ctype_type, &given, &address, &owner, &copy))
        return NULL;
    CType *type = (CType *)given;
    hw_kind kind = type->c.kind;
    if (copy && (kind == HW_STRUCT || kind == HW_UNION || kind == HW_ARRAY))
        owner = NULL;
    return convert_from_c(type, (const void *)(uintptr_t)address, owner, false);
}

/* Memory that is not Python's keeps nothing alive: what is stored there is the caller's to hold. */
static bool caller_holds(State *s, const Keep *keep)
{
    for (Py_ssize_t i = 0; i < keep->n; i++) {
        PyObject *o = keep->objects[i];
        if (!pointer_check(s, o) && !value_check(s, o) && !function_check(s, o))
            return false;
    }
    return true;
}

static PyObject *store_variable(PyObject *m, PyObject *args)
{
    State *state = state_of(m);
    PyObject *given, *value;
    unsigned long long address;
    if (!PyArg_ParseTuple(args, "O!KO", state->ctype_type, &given, &address, &value))
        return NULL;
    CType *type = (CType *)given;
    Py_ssize_t size = ctype_size(type);
    if (size < 0)
        return NULL;
    void *copy = PyMem_Malloc((size_t)size + 1);
    if (!copy)
        return PyErr_NoMemory();
    Keep keep;
    keep_init(&keep);
    Site site = {.ctype = type->c.name};
    int r = convert_to_c(type, copy, value, &site, &keep, NULL);
    if (r == 0 && memory_holds_pointers(&type->c) && !caller_holds(state, &keep))
        r = site_error(&site, PyExc_TypeError,
                       "an extern variable cannot keep Python's memory alive; store a pointer "
                       "from headway.new() and hold on to it");
    if (r == 0)
        memcpy((void *)(uintptr_t)address, copy, (size_t)size);
    keep_fini(&keep);
    PyMem_Free(copy);
    return r < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *pointer_at(PyObject *m, PyObject *args)
{
    PyObject *type, *owner = NULL;
    unsigned long long address;
    State *state = state_of(m);
    if (!PyArg_ParseTuple(args, "O!K|O", state->ctype_type, &type, &address, &owner))
        return NULL;
    if (((CType *)type)->c.kind != HW_POINTER)
        return PyErr_Format(PyExc_TypeError, "%R is not a pointer type", type);
    return pointer_new((CType *)type, (void *)(uintptr_t)address, owner);
}

/* The bytes up to NUL or `most`, whichever comes first. */
static PyObject *bytes_at(PyObject *m, PyObject *args)
{
    (void)m;
    unsigned long long address;
    Py_ssize_t most = -1;
    if (!PyArg_ParseTuple(args, "K|n", &address, &most))
        return NULL;
    const char *s = (const char *)(uintptr_t)address;
    if (!s) {
        PyErr_SetString(PyExc_ValueError, "the pointer is NULL: there is no string");
        return NULL;
    }
    size_t n = most >= 0 ? strnlen(s, (size_t)most) : strlen(s);
    return PyBytes_FromStringAndSize(s, (Py_ssize_t)n);
}

/* Python is going away: callbacks that C still holds must not enter it. */
static PyObject *close_interpreter(PyObject *m, PyObject *unused)
{
    (void)unused;
    atomic_store(&state_of(m)->alive->yes, false);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"get_errno", get_errno, METH_NOARGS, "errno as the last call on this thread left it."},
    {"set_errno", set_errno, METH_O, "Sets what get_errno returns on this thread."},
    {"set_num_threads", set_num_threads, METH_O,
     "Sets how many threads maps use, 1 to 1024, in the whole process."},
    {"get_num_threads", get_num_threads, METH_NOARGS, "How many threads a map started here uses."},
    {"swap_threads", swap_threads, METH_O, "Sets this thread's own number; returns the old one."},
    {"cpus", cpus, METH_NOARGS,
     "CPUs in the affinity mask, and in the control group's quota (0: none)."},
    {"live_objects", live_objects, METH_NOARGS, "How many objects of each type are alive."},
    {"load", load_variable, METH_VARARGS,
     "load(ctype, address[, owner[, copy]]): what lies there."},
    {"store", store_variable, METH_VARARGS, "store(ctype, address, value): writes it there."},
    {"pointer_at", pointer_at, METH_VARARGS, "pointer_at(ctype, address[, owner]): a pointer."},
    {"bytes_at", bytes_at, METH_VARARGS, "bytes_at(address[, most]): the bytes before a NUL."},
    {"_close", close_interpreter, METH_NOARGS, "From here on callbacks do not enter Python."},
    {NULL, NULL, 0, NULL},
};

/* ---- the module ----------------------------------------------------------------------------- */

void alive_release(Alive *alive)
{
    if (alive && atomic_fetch_sub(&alive->references, 1) == 1)
        free(alive);
}

static int register_close(PyObject *m)
{
    PyObject *atexit = PyImport_ImportModule("atexit");
    PyObject *close = PyObject_GetAttrString(m, "_close");
    PyObject *r = atexit && close ? PyObject_CallMethod(atexit, "register", "O", close) : NULL;
    Py_XDECREF(atexit);
    Py_XDECREF(close);
    Py_XDECREF(r);
    return r ? 0 : -1;
}

static int add_null(PyObject *m, State *state)
{
    CType *void_type = state->arithmetic[HW_VOID];
    state->pointer_to_void = ctype_pointer_to(void_type, false, NULL);
    if (!state->pointer_to_void)
        return -1;
    state->null = pointer_new(state->pointer_to_void, NULL, NULL);
    return state->null ? PyModule_AddObjectRef(m, "NULL", state->null) : -1;
}

static int exec(PyObject *m)
{
    State *state = state_of(m);
    state->interpreter = PyInterpreterState_Get();
    state->alive = calloc(1, sizeof(Alive));
    if (!state->alive) {
        PyErr_NoMemory();
        return -1;
    }
    atomic_init(&state->alive->references, 1);
    atomic_init(&state->alive->yes, true);
    if (ctype_add_types(m, state) < 0 || value_add_type(m, state) < 0 ||
        pointer_add_type(m, state) < 0 || function_add_type(m, state) < 0 ||
        callback_add_type(m, state) < 0 || library_add_type(m, state) < 0 || add_null(m, state) < 0)
        return -1;
    PyObject *capsule = PyCapsule_New(&core_api, HW_API_CAPSULE, NULL);
    int failed = !capsule || PyModule_AddObjectRef(m, "_api", capsule) < 0;
    Py_XDECREF(capsule);
    return failed ? -1 : register_close(m);
}

static int traverse(PyObject *m, visitproc visit, void *arg)
{
    State *s = state_of(m);
    Py_VISIT(s->ctype_type);
    Py_VISIT(s->value_type);
    Py_VISIT(s->pointer_type);
    Py_VISIT(s->function_type);
    Py_VISIT(s->callback_type);
    Py_VISIT(s->library_type);
    for (int i = 0; i <= HW_CLDOUBLE; i++)
        Py_VISIT(s->arithmetic[i]);
    Py_VISIT(s->pointer_to_void);
    Py_VISIT(s->null);
    Py_VISIT(s->errors);
    for (int i = 0; i < GRAVES; i++)
        Py_VISIT(s->graves[i]);
    return 0;
}

static int clear(PyObject *m)
{
    State *s = state_of(m);
    Py_CLEAR(s->ctype_type);
    Py_CLEAR(s->value_type);
    Py_CLEAR(s->pointer_type);
    Py_CLEAR(s->function_type);
    Py_CLEAR(s->callback_type);
    Py_CLEAR(s->library_type);
    for (int i = 0; i <= HW_CLDOUBLE; i++)
        Py_CLEAR(s->arithmetic[i]);
    Py_CLEAR(s->pointer_to_void);
    Py_CLEAR(s->null);
    Py_CLEAR(s->errors);
    for (int i = 0; i < GRAVES; i++)
        Py_CLEAR(s->graves[i]);
    return 0;
}

static void free_module(void *m)
{
    clear(m);
    State *s = state_of(m);
    if (s->alive) {
        atomic_store(&s->alive->yes, false);
        alive_release(s->alive);
        s->alive = NULL;
    }
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030D0000
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

PyModuleDef core_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "headway._core",
    .m_doc = "The C side of Headway: C types, memory, calls and callbacks.",
    .m_size = sizeof(State),
    .m_methods = functions,
    .m_slots = slots,
    .m_traverse = traverse,
    .m_clear = clear,
    .m_free = free_module,
};

PyMODINIT_FUNC PyInit__core(void) { return PyModuleDef_Init(&core_module); }
