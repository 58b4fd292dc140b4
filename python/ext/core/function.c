/* SPDX-License-Identifier: MIT */
/*
 * Function: a C function that Python calls. Here it is made from a headway._model.Binding; call.c
 * calls it.
 */
#include "core.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <structmember.h>

/* ---- reading the binding -------------------------------------------------------------------- */

/* An attribute as a borrowed reference: the binding and what it holds live as long as the
 * function, which owns the binding. NULL and no exception for None. */
static PyObject *attr(PyObject *o, const char *name, bool *failed)
{
    PyObject *v = PyObject_GetAttrString(o, name);
    if (!v) {
        *failed = true;
        return NULL;
    }
    Py_DECREF(v);
    return v == Py_None ? NULL : v;
}

static int attr_int(PyObject *o, const char *name, int otherwise, bool *failed)
{
    PyObject *v = attr(o, name, failed);
    long n = v ? PyLong_AsLong(v) : otherwise;
    if (v && n == -1 && PyErr_Occurred())
        *failed = true;
    return (int)n;
}

static bool attr_bool(PyObject *o, const char *name, bool *failed)
{
    PyObject *v = attr(o, name, failed);
    return v && PyObject_IsTrue(v) == 1;
}

/* A tuple attribute; NULL for None. */
static PyObject *attr_tuple(PyObject *o, const char *name, bool *failed)
{
    PyObject *v = attr(o, name, failed);
    if (v && !PyTuple_Check(v)) {
        PyErr_Format(PyExc_TypeError, "%s of %R is not a tuple", name, o);
        *failed = true;
        return NULL;
    }
    return v;
}

static int item_index(PyObject *tuple, Py_ssize_t i, Py_ssize_t limit, bool *failed)
{
    long v = PyLong_AsLong(PyTuple_GET_ITEM(tuple, i));
    if (v < 0 || v >= limit) {
        if (!PyErr_Occurred())
            PyErr_Format(PyExc_ValueError, "index %ld is outside 0 to %zd", v, limit - 1);
        *failed = true;
        return 0;
    }
    return (int)v;
}

static Function *attr_function(State *s, PyObject *o, const char *name, bool *failed)
{
    PyObject *v = attr(o, name, failed);
    if (v && !function_check(s, v)) {
        PyErr_Format(PyExc_TypeError, "%s is not a headway function: %R", name, v);
        *failed = true;
        return NULL;
    }
    return (Function *)v;
}

static bool read_param(Function *f, int i, PyObject *p)
{
    bool failed = false;
    Param *out = &f->params[i];
    out->type = (CType *)PyTuple_GET_ITEM(f->type->types, i);
    out->element = out->type->c.kind == HW_POINTER ? out->type->target : NULL;
    const hw_type *bottom = out->element ? hw_type_innermost(&out->element->c) : &hw_type_void;
    out->element_kind = hw_kind_is_arithmetic(bottom->kind) ? bottom->kind : HW_VOID;
    out->name = attr(p, "name", &failed);
    out->callback = attr(p, "callback", &failed);
    out->owned = attr_function(f->state, p, "owned", &failed);
    PyObject *c = attr(p, "c", &failed);
    out->spelling = c ? PyUnicode_AsUTF8(c) : NULL;
    out->role = (uint8_t)attr_int(p, "role", ROLE_IN, &failed);
    PyObject *length = attr(p, "length", &failed);
    out->length = length ? (int16_t)PyLong_AsLong(length) : -2;
    out->keeps = (int16_t)attr_int(p, "keeps", -1, &failed);
    PyObject *keep = out->callback ? attr(out->callback, "keep", &failed) : NULL;
    out->kept_by = keep && PyLong_Check(keep) ? (int16_t)PyLong_AsLong(keep) : -1;
    out->nullable = attr_bool(p, "nullable", &failed);
    out->as_bytes = attr_bool(p, "as_bytes", &failed);
    out->borrowed = attr_bool(p, "borrowed", &failed);
    out->error = attr_bool(p, "error", &failed);
    out->n_dims = -1;
    PyObject *dims = attr_tuple(p, "dims", &failed);
    if (dims && PyTuple_GET_SIZE(dims) > HW_MAX_CORE) {
        PyErr_Format(PyExc_ValueError, "%R has more than %d dimensions", p, HW_MAX_CORE);
        return false;
    }
    if (dims) {
        out->n_dims = (int8_t)PyTuple_GET_SIZE(dims);
        for (Py_ssize_t d = 0; d < out->n_dims; d++)
            out->dims[d] = (int8_t)item_index(dims, d, f->n_dims, &failed);
    }
    bool sized = out->n_dims >= 0;
    if (out->length >= f->n_params || out->keeps >= f->n_params) {
        PyErr_Format(PyExc_ValueError, "parameter %d refers to one that is not there", i);
        failed = true;
    }
    if (!failed && (!out->name || !out->spelling || PyErr_Occurred())) {
        PyErr_Format(PyExc_TypeError, "parameter %d has no name or C type", i);
        failed = true;
    }
    if (out->kept_by >= f->n_params) {
        PyErr_Format(PyExc_ValueError, "keep=%d: there is no such parameter", (int)out->kept_by);
        failed = true;
    }
    if (!failed && (sized || out->role == ROLE_OUT) && !out->element) {
        PyErr_Format(PyExc_TypeError, "parameter %U is no pointer, so it is neither array nor out",
                     out->name);
        failed = true;
    }
    return !failed && !PyErr_Occurred();
}

static bool read_dim(Function *f, int i, PyObject *d)
{
    bool failed = false;
    Dim *out = &f->dims[i];
    out->name = attr(d, "name", &failed);
    out->param = (int16_t)attr_int(d, "param", -1, &failed);
    PyObject *fixed = attr(d, "fixed", &failed);
    out->fixed = fixed ? PyLong_AsLongLong(fixed) : -1;
    if (fixed && out->fixed == -1 && PyErr_Occurred())
        return false;
    PyObject *postfix = attr_tuple(d, "postfix", &failed);
    Py_ssize_t n = postfix ? PyTuple_GET_SIZE(postfix) : 0;
    if (failed || !out->name || out->param >= f->n_params || n > 255)
        return false;
    if (n && !(out->postfix = PyMem_Calloc((size_t)n, sizeof(hw_size_step))))
        return PyErr_NoMemory(), false;
    out->n_postfix = (uint8_t)n;
    int depth = 0;
    for (Py_ssize_t k = 0; k < n; k++) {
        int what;
        Py_ssize_t value;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(postfix, k), "in", &what, &value))
            return false;
        depth += what == HW_STEP_OPERATOR ? -1 : 1;
        bool bad = depth < 1 || depth > HW_MAX_SIZE_DEPTH || what < 0 || what > HW_STEP_OPERATOR ||
                   (what == HW_STEP_DIM && (value < 0 || value >= f->n_dims || value == i));
        if (bad) {
            PyErr_Format(PyExc_ValueError, "malformed size expression %U", out->name);
            return false;
        }
        out->postfix[k] = (hw_size_step){(hw_step_kind)what, value};
    }
    return true;
}

static void *lock_named(const char *name);

static bool read_result(Function *f, PyObject *binding)
{
    bool failed = false;
    PyObject *r = attr(binding, "result", &failed);
    if (!r)
        return false;
    f->result = f->type->target;
    f->status = attr(r, "status", &failed);
    f->on_status = attr(r, "on_status", &failed);
    f->silent = attr_bool(r, "silent", &failed);
    f->result_owned = attr_function(f->state, r, "owned", &failed);
    f->result_keeps = (int16_t)attr_int(r, "keeps", -1, &failed);
    f->result_is_text = f->result->c.kind == HW_POINTER && f->result->target->c.kind == HW_CHAR;
    f->result_as_bytes = attr_bool(r, "as_bytes", &failed);
    f->consumes = (int16_t)attr_int(binding, "consumes", -1, &failed);
    f->split = (int16_t)attr_int(binding, "split", -1, &failed);
    f->variadic = attr_bool(binding, "variadic", &failed) || f->type->c.variadic;
    return !failed && f->consumes < f->n_params && f->split < f->n_dims;
}

static bool read_gil(Function *f, PyObject *binding)
{
    bool failed = false;
    PyObject *gil = attr(binding, "gil", &failed), *lock = attr(binding, "lock", &failed);
    bool serial = attr_bool(binding, "serial", &failed);
    if (failed || !gil)
        return false;
    bool pointers = f->result->c.kind == HW_POINTER || f->variadic;
    for (int i = 0; i < f->n_params; i++)
        pointers = pointers || f->params[i].element;
    f->release_gil = PyUnicode_CompareWithASCIIString(gil, "release") == 0 ||
                     (pointers && !serial && PyUnicode_CompareWithASCIIString(gil, "keep") != 0);
    if (lock) {
        const char *name = PyUnicode_AsUTF8(lock);
        f->lock = name ? lock_named(name) : NULL;
        if (!f->lock)
            return false;
    }
    return true;
}

/* The outputs that may be given after the inputs: the mapping's, else the sized arrays. */
static void order_outputs(Function *f)
{
    const hw_mapping *m = f->mapping;
    for (int k = m ? m->n_in : 0; m && k < m->n_in + m->n_out; k++) {
        uint8_t param = RESULT_OUTPUT;
        for (int i = 0; i < f->n_params; i++)
            if (f->loop_params[i].index == k && f->loop_params[i].feed != HW_FEED_SIZE &&
                k != f->loop_call.result)
                param = (uint8_t)i;
        f->outs[f->n_outs++] = param;
    }
    for (int i = 0; !m && i < f->n_params; i++)
        if (f->params[i].role == ROLE_OUT && f->params[i].n_dims >= 0 && !f->params[i].as_bytes)
            f->outs[f->n_outs++] = (uint8_t)i;
}

/* Inputs in C order. */
static bool order_arguments(Function *f)
{
    f->args = PyMem_Calloc((size_t)f->n_params * 2 + 2, 1);
    if (!f->args)
        return PyErr_NoMemory(), false;
    f->outs = f->args + f->n_params + 1;
    f->simple = !f->status && !f->result_owned && f->result_keeps < 0 && !f->variadic &&
                f->consumes < 0 && f->split < 0 && !f->lock && !f->result_as_bytes;
    for (int i = 0; i < f->n_params; i++) {
        const Param *p = &f->params[i];
        if (p->role == ROLE_IN || p->role == ROLE_INOUT)
            f->args[f->n_args++] = (uint8_t)i;
        hw_kind pointee = p->element ? p->element->c.kind : HW_VOID;
        f->takes_handles |= p->element && pointee != HW_FUNCTION && pointee != HW_CHAR;
        f->simple = f->simple && p->role == ROLE_IN && p->n_dims < 0 && p->kept_by < 0;
    }
    return !PyErr_Occurred();
}

/* ---- locks ---------------------------------------------------------------------------------- */

/* Functions that name the same lock run one at a time, in all modules and interpreters. */
typedef struct NamedLock {
    struct NamedLock *next;
    pthread_mutex_t mutex;
    char name[];
} NamedLock;

static void *lock_named(const char *name)
{
    static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER; /* guards the list */
    static NamedLock *locks;                                  /* only grows */
    pthread_mutex_lock(&guard);
    NamedLock *l = locks;
    while (l && strcmp(l->name, name) != 0)
        l = l->next;
    if (!l && (l = malloc(sizeof(*l) + strlen(name) + 1))) {
        strcpy(l->name, name);
        pthread_mutexattr_t recursive; /* a callback may call a function of the same lock */
        pthread_mutexattr_init(&recursive);
        pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
        pthread_mutex_init(&l->mutex, &recursive);
        pthread_mutexattr_destroy(&recursive);
        l->next = locks;
        locks = l;
    }
    pthread_mutex_unlock(&guard);
    if (!l)
        PyErr_NoMemory();
    return l ? &l->mutex : NULL;
}

/* ---- the mapping ---------------------------------------------------------------------------- */

static hw_kind kind_of_letter(PyObject *letter)
{
    const char *s = PyUnicode_Check(letter) ? PyUnicode_AsUTF8(letter) : NULL;
    return s && *s && !s[1] ? hw_kind_of_letter(*s) : HW_VOID;
}

/* Reads one Operand and says what the loop does for its C parameter. */
static bool read_operand(Function *f, PyObject *o, int k, bool output)
{
    bool failed = false;
    hw_operand *out = &f->mapping->operands[k];
    int param = attr_int(o, "param", -1, &failed);
    PyObject *kind = attr(o, "kind", &failed), *core = attr_tuple(o, "core", &failed);
    if (failed || !kind || !core || PyTuple_GET_SIZE(core) > HW_MAX_CORE || param >= f->n_params)
        return false;
    out->kind = kind_of_letter(kind);
    out->output = output;
    out->inout = (int16_t)attr_int(o, "inout", -1, &failed);
    out->n_core = (uint8_t)PyTuple_GET_SIZE(core);
    for (int d = 0; d < out->n_core; d++)
        out->core[d] = (int8_t)item_index(core, d, f->n_dims, &failed);
    if (failed || out->kind == HW_VOID || out->inout >= k)
        return false;
    if (param < 0) {
        f->loop_call.result = (int16_t)k;
        return output && hw_type_same(hw_type_of_kind(out->kind), &f->result->c);
    }
    hw_loop_param *p = &f->loop_params[param];
    p->index = (uint8_t)k;
    p->kind = out->kind;
    CType *type = f->params[param].type;
    bool by_value = type->c.kind != HW_POINTER;
    const hw_type *element = by_value ? &type->c : hw_type_innermost(type->c.target);
    p->feed = by_value ? HW_FEED_VALUE : out->inout >= 0 ? HW_FEED_INOUT : HW_FEED_ADDRESS;
    return hw_kind_is_arithmetic(element->kind) &&
           element->size == hw_type_of_kind(out->kind)->size && !(by_value && output);
}

static bool read_operands(Function *f, PyObject *mapping)
{
    bool failed = false;
    PyObject *inputs = attr_tuple(mapping, "inputs", &failed);
    PyObject *outputs = attr_tuple(mapping, "outputs", &failed);
    if (failed || !inputs || !outputs)
        return false;
    Py_ssize_t n_in = PyTuple_GET_SIZE(inputs), n_out = PyTuple_GET_SIZE(outputs);
    if (n_in + n_out > HW_MAX_OPERANDS || n_out < 1 || f->n_dims > HW_MAX_DIMS)
        return false;
    f->mapping->n_in = (uint8_t)n_in;
    f->mapping->n_out = (uint8_t)n_out;
    for (int k = 0; k < n_in + n_out; k++) {
        PyObject *o = k < n_in ? PyTuple_GET_ITEM(inputs, k) : PyTuple_GET_ITEM(outputs, k - n_in);
        if (!read_operand(f, o, k, k >= n_in))
            return false;
    }
    return true;
}

/* Every parameter is fed by an operand or a size; kinds as C has them. */
static bool feed_parameters(Function *f)
{
    hw_mapping *m = f->mapping;
    bool fed[256] = {false};
    for (int k = 0; k < m->n_in + m->n_out; k++)
        for (int i = 0; i < f->n_params; i++)
            if (f->loop_params[i].kind != HW_VOID && f->loop_params[i].index == k)
                fed[i] = true;
    for (int d = 0; d < f->n_dims; d++) {
        int i = f->dims[d].param;
        m->dim_names[d] = PyUnicode_AsUTF8(f->dims[d].name);
        m->fixed[d] = (ptrdiff_t)f->dims[d].fixed;
        m->postfix[d] = f->dims[d].postfix;
        m->n_postfix[d] = f->dims[d].n_postfix;
        m->largest[d] = PTRDIFF_MAX;
        if (i < 0)
            continue;
        const hw_type *carrier = &f->params[i].type->c;
        if (!hw_kind_is_integer(carrier->kind))
            return false;
        if (carrier->size < sizeof(ptrdiff_t)) {
            size_t bits = carrier->size * 8 - hw_kind_is_signed(carrier->kind);
            m->largest[d] = carrier->kind == HW_BOOL ? 1 : ((ptrdiff_t)1 << bits) - 1;
        }
        f->loop_params[i] = (hw_loop_param){HW_FEED_SIZE, (uint8_t)d, f->params[i].type->c.kind};
        fed[i] = true;
    }
    m->n_dims = (uint8_t)f->n_dims;
    for (int i = 0; i < f->n_params; i++)
        if (!fed[i])
            return false;
    return true;
}

static bool make_mapping(Function *f, PyObject *binding, hw_loop_fn loop)
{
    bool failed = false;
    PyObject *mapping = attr(binding, "mapping", &failed);
    if (!mapping)
        return !failed;
    f->mapping = PyMem_Calloc(1, sizeof(hw_mapping));
    f->loop_params = PyMem_Calloc((size_t)f->n_params + 1, sizeof(hw_loop_param));
    if (!f->mapping || !f->loop_params)
        return PyErr_NoMemory(), false;
    f->loop_call = (hw_loop_call){&f->plan, f->fn, f->mapping, f->loop_params, -1};
    if (!read_operands(f, mapping) || !feed_parameters(f)) {
        if (!PyErr_Occurred())
            PyErr_Format(PyExc_ValueError, "%U(): the mapping does not fit the C parameters",
                         f->name);
        return false;
    }
    f->mapping->serial = attr_bool(binding, "serial", &failed);
    f->mapping->lock = f->lock;
    f->mapping->loop = loop ? loop : hw_loop_choose(&f->loop_call);
    f->mapping->data = loop ? NULL : &f->loop_call;
    if (!f->mapping->loop) { /* a frame too large for the loop's stack: scalar calls only */
        PyMem_Free(f->mapping);
        f->mapping = NULL;
    }
    return !failed;
}

/* ---- lifecycle ------------------------------------------------------------------------------ */

static bool fill(Function *f, PyObject *binding, hw_loop_fn loop)
{
    bool failed = false;
    f->name = Py_XNewRef(attr(binding, "name", &failed));
    f->module = Py_XNewRef(attr(binding, "module", &failed));
    PyObject *type = attr(binding, "type", &failed);
    PyObject *params = attr_tuple(binding, "params", &failed);
    PyObject *dims = attr_tuple(binding, "dims", &failed);
    if (failed)
        return false;
    if (!f->name || !type || !params || !dims || !ctype_check(f->state, type) ||
        ((CType *)type)->c.kind != HW_FUNCTION ||
        PyTuple_GET_SIZE(params) != (Py_ssize_t)((CType *)type)->c.count ||
        PyTuple_GET_SIZE(params) > 250) {
        PyErr_SetString(PyExc_TypeError, "the binding does not describe a function");
        return false;
    }
    f->type = (CType *)Py_NewRef(type);
    f->n_params = (int)PyTuple_GET_SIZE(params);
    f->n_dims = (int)PyTuple_GET_SIZE(dims);
    if (f->n_dims > HW_MAX_DIMS) {
        PyErr_Format(PyExc_ValueError, "%U(): more than %d sizes", f->name, HW_MAX_DIMS);
        return false;
    }
    f->params = PyMem_Calloc((size_t)f->n_params + 1, sizeof(Param));
    f->dims = PyMem_Calloc((size_t)f->n_dims + 1, sizeof(Dim));
    if (!f->params || !f->dims)
        return PyErr_NoMemory(), false;
    for (int i = 0; i < f->n_params; i++)
        if (!read_param(f, i, PyTuple_GET_ITEM(params, i)))
            return false;
    for (int i = 0; i < f->n_dims; i++)
        if (!read_dim(f, i, PyTuple_GET_ITEM(dims, i)))
            return false;
    if (!read_result(f, binding) || !read_gil(f, binding) || !order_arguments(f))
        return false;
    hw_error err = HW_ERROR_INIT;
    hw_status (*init)(hw_plan *, const hw_type *, const hw_type *const *, size_t, hw_error *) =
        f->libffi ? hw_plan_init_ffi : hw_plan_init;
    if (!f->variadic && init(&f->plan, &f->type->c, NULL, 0, &err) != HW_OK) {
        raise_status(f->state, &err);
        return false;
    }
    if (!make_mapping(f, binding, loop))
        return false;
    order_outputs(f);
    return true;
}

static PyObject *function_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"binding", "address", "library", "loop", "libffi", NULL};
    PyObject *binding, *library;
    unsigned long long address, loop = 0;
    int libffi = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OKO|Kp", keywords, &binding, &address, &library,
                                     &loop, &libffi))
        return NULL;
    Function *f = (Function *)type->tp_alloc(type, 0);
    if (!f)
        return NULL;
    f->state = state_of_type(type);
    atomic_fetch_add(&f->state->live[LIVE_FUNCTION], 1);
    f->binding = Py_NewRef(binding);
    f->library = Py_NewRef(library);
    f->libffi = libffi;
    memcpy(&f->fn, &(void *){(void *)(uintptr_t)address}, sizeof(f->fn));
    hw_loop_fn loop_fn;
    memcpy(&loop_fn, &(void *){(void *)(uintptr_t)loop}, sizeof(loop_fn));
    if (!address || !fill(f, binding, loop_fn)) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "the binding is malformed, or the address is NULL");
        Py_DECREF(f);
        return NULL;
    }
    f->vectorcall = call_choose(f);
    return (PyObject *)f;
}

static int function_traverse(PyObject *self, visitproc visit, void *arg)
{
    Function *f = (Function *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(f->type);
    Py_VISIT(f->binding);
    Py_VISIT(f->library);
    Py_VISIT(f->ufunc);
    return 0;
}

/* Borrowed references into the binding stay good: it is let go of in dealloc. */
static int function_clear(PyObject *self)
{
    Function *f = (Function *)self;
    Py_CLEAR(f->ufunc);
    return 0;
}

static void function_dealloc(PyObject *self)
{
    Function *f = (Function *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (f->weakrefs)
        PyObject_ClearWeakRefs(self);
    function_clear(self);
    hw_plan_fini(&f->plan);
    for (int i = 0; f->dims && i < f->n_dims; i++)
        PyMem_Free(f->dims[i].postfix);
    PyMem_Free(f->params);
    PyMem_Free(f->dims);
    PyMem_Free(f->args);
    PyMem_Free(f->mapping);
    PyMem_Free(f->loop_params);
    Py_CLEAR(f->name);
    Py_CLEAR(f->module);
    Py_CLEAR(f->library);
    Py_CLEAR(f->type);
    Py_CLEAR(f->binding);
    atomic_fetch_sub(&f->state->live[LIVE_FUNCTION], 1);
    type->tp_free(self);
    Py_DECREF(type);
}

/* ---- Python's view -------------------------------------------------------------------------- */

PyObject *function_ufunc(Function *f)
{
    if (get_once(&f->ufunc))
        return Py_NewRef(f->ufunc);
    if (!f->mapping)
        return raise_named(f->state, "NotBoundError",
                           "%U() has no ufunc: only functions of numbers and sized arrays do",
                           f->name);
    const hw_numpy_hooks *numpy = numpy_hooks(f->state, true);
    if (!numpy)
        return NULL;
    PyObject *doc = PyObject_GetAttrString(f->binding, "doc");
    const char *text = doc ? PyUnicode_AsUTF8(doc) : NULL;
    PyObject *made =
        text ? numpy->ufunc((PyObject *)f, f->mapping, PyUnicode_AsUTF8(f->name), text) : NULL;
    Py_XDECREF(doc);
    return set_once(&f->ufunc, made) < 0 ? NULL : Py_NewRef(f->ufunc);
}

static PyObject *get_ufunc(PyObject *self, void *closure)
{
    (void)closure;
    return function_ufunc((Function *)self);
}

static PyObject *get_from_binding(PyObject *self, void *name)
{
    return PyObject_GetAttrString(((Function *)self)->binding, name);
}

static PyObject *get_signature(PyObject *self, void *closure)
{
    (void)closure;
    PyObject *m = PyImport_ImportModule("headway._signature");
    PyObject *s = m ? PyObject_CallMethod(m, "signature", "O", ((Function *)self)->binding) : NULL;
    Py_XDECREF(m);
    return s;
}

static PyObject *get_address(PyObject *self, void *closure)
{
    (void)closure;
    void *address;
    memcpy(&address, &((Function *)self)->fn, sizeof(address));
    return PyLong_FromVoidPtr(address);
}

static PyObject *get_release_gil(PyObject *self, void *closure)
{
    (void)closure;
    return PyBool_FromLong(((Function *)self)->release_gil);
}

static int set_release_gil(PyObject *self, PyObject *value, void *closure)
{
    (void)closure;
    Function *f = (Function *)self;
    if (!value || !PyBool_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "release_gil is True or False");
        return -1;
    }
    f->release_gil = value == Py_True;
    f->vectorcall = call_choose(f);
    return 0;
}

static PyObject *get_route(PyObject *self, void *closure)
{
    (void)closure;
    Function *f = (Function *)self;
    return PyUnicode_FromString(f->variadic || f->plan.route == HW_ROUTE_FFI ? "libffi"
                                                                             : "register");
}

static PyObject *copies(PyObject *self, PyObject *args)
{
    Function *f = (Function *)self;
    Py_ssize_t n = PyTuple_GET_SIZE(args);
    if (!f->mapping) {
        PyObject *none = PyList_New(n); /* a direct call never copies */
        for (Py_ssize_t i = 0; none && i < n; i++)
            PyList_SET_ITEM(none, i, Py_NewRef(Py_False));
        return none;
    }
    const hw_numpy_hooks *numpy = numpy_hooks(f->state, true);
    PyObject *const *items = PySequence_Fast_ITEMS(args);
    return numpy ? numpy->copies(self, f->mapping, items, n) : NULL;
}

static PyObject *function_repr(PyObject *self)
{
    PyObject *prototype = get_from_binding(self, "prototype");
    PyObject *r = prototype ? PyUnicode_FromFormat("<headway function %U>", prototype) : NULL;
    Py_XDECREF(prototype);
    return r;
}

static PyMemberDef members[] = {
    {"__name__", T_OBJECT, offsetof(Function, name), READONLY, NULL},
    {"__qualname__", T_OBJECT, offsetof(Function, name), READONLY, NULL},
    {"__module__", T_OBJECT, offsetof(Function, module), READONLY, NULL},
    {"binding", T_OBJECT, offsetof(Function, binding), READONLY, "The headway._model.Binding."},
    {"library", T_OBJECT, offsetof(Function, library), READONLY, "Where it was found."},
    {"ctype", T_OBJECT, offsetof(Function, type), READONLY, "The C function type."},
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Function, vectorcall), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Function, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef getset[] = {
    {"__doc__", get_from_binding, NULL, NULL, "doc"},
    {"mapping", get_from_binding, NULL, "How it maps over arrays, or None.", "mapping"},
    {"prototype", get_from_binding, NULL, "The C prototype.", "prototype"},
    {"__signature__", get_signature, NULL, NULL, NULL},
    {"ufunc", get_ufunc, NULL, "A genuine numpy.ufunc of the function.", NULL},
    {"address", get_address, NULL, "Where the C function lies, an int.", NULL},
    {"release_gil", get_release_gil, set_release_gil,
     "Whether calls release the GIL; set it to override.", NULL},
    {"route", get_route, NULL, "How it is called: register or libffi.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

/* A descriptor that gives itself: so `inspect` and `help` take it for the routine it is, and as a
 * class attribute it stays what it is, as built-in functions do. */
static PyObject *function_get(PyObject *self, PyObject *instance, PyObject *owner)
{
    (void)instance;
    (void)owner;
    return Py_NewRef(self);
}

static PyMethodDef methods[] = {
    {"copies", copies, METH_VARARGS,
     "copies(*args): for each argument, whether the call would copy it."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, function_new},
    {Py_tp_dealloc, function_dealloc},
    {Py_tp_traverse, function_traverse},
    {Py_tp_clear, function_clear},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_repr, function_repr},
    {Py_tp_descr_get, function_get},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {Py_tp_getset, getset},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "headway.Function",
    .basicsize = sizeof(Function),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

int function_add_type(PyObject *module, State *state)
{
    state->function_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    return state->function_type ? PyModule_AddType(module, state->function_type) : -1;
}
