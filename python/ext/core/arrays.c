/* SPDX-License-Identifier: MIT */
/* Sized arrays in direct calls: where they lie, how large they are, what is allocated. */
#include "call.h"

/* ---- sizes ---------------------------------------------------------------------------------- */

static HW_COLD int sizes_disagree(const Call *c, int dim, int64_t size, int param)
{
    const Function *f = c->f;
    PyObject *name = f->dims[dim].name;
    const Param *here = &f->params[param];
    int there = c->fixed_by[dim];
    if (there < 0 && f->dims[dim].fixed >= 0)
        PyErr_Format(PyExc_ValueError, "%U(): %U has %lld elements where C says %lld", f->name,
                     here->name, (long long)size, (long long)c->sizes[dim]);
    else if (there < 0)
        PyErr_Format(PyExc_ValueError, "%U(): size %U is %lld, but it is %lld in %U", f->name, name,
                     (long long)c->sizes[dim], (long long)size, here->name);
    else
        PyErr_Format(PyExc_ValueError, "%U(): size %U is %lld in %U, but %lld in %U", f->name, name,
                     (long long)c->sizes[dim], f->params[there].name, (long long)size, here->name);
    return -1;
}

int call_set_size(Call *c, int dim, int64_t size, int param)
{
    if (c->sizes[dim] < 0) {
        c->sizes[dim] = size;
        c->fixed_by[dim] = (int8_t)param;
        return 0;
    }
    return c->sizes[dim] == size ? 0 : sizes_disagree(c, dim, size, param);
}

/* A size that follows from others. */
static int evaluate(Call *c, int dim, ptrdiff_t *size)
{
    const Function *f = c->f;
    const Dim *d = &f->dims[dim];
    switch (hw_size_evaluate(d->postfix, d->n_postfix, c->sizes, size)) {
    case HW_SIZE_COMPUTED:
    case HW_SIZE_NEGATIVE: return 0; /* looked at when all sizes are there */
    case HW_SIZE_UNKNOWN:
        PyErr_Format(PyExc_TypeError, "%U(): size %U depends on %U, which no input fixes", f->name,
                     d->name, f->dims[*size].name);
        return -1;
    default:
        PyErr_Format(PyExc_ValueError, "%U(): size %U cannot be computed from these arguments",
                     f->name, d->name);
        return -1;
    }
}

static int missing_size(const Call *c, int dim)
{
    PyErr_Format(PyExc_TypeError, "%U() needs the keyword argument %U: no input fixes this size",
                 c->f->name, c->f->dims[dim].name);
    return -1;
}

int call_finish_sizes(Call *c)
{
    const Function *f = c->f;
    for (int d = 0; d < f->n_dims; d++)
        if (!f->dims[d].n_postfix && c->sizes[d] < 0)
            return missing_size(c, d);
    for (int d = 0; d < f->n_dims; d++) {
        ptrdiff_t size;
        if (!f->dims[d].n_postfix)
            continue;
        if (evaluate(c, d, &size) < 0)
            return -1;
        if (c->sizes[d] >= 0 && c->sizes[d] != size) {
            PyErr_Format(PyExc_ValueError, "%U(): size %U is %lld, but it is %lld in %U", f->name,
                         f->dims[d].name, (long long)size, (long long)c->sizes[d],
                         c->fixed_by[d] < 0 ? f->name : f->params[c->fixed_by[d]].name);
            return -1;
        }
        c->sizes[d] = size;
    }
    for (int d = 0; d < f->n_dims; d++)
        if (c->sizes[d] < 0) {
            PyErr_Format(PyExc_ValueError, "%U(): size %U is negative: %lld", f->name,
                         f->dims[d].name, (long long)c->sizes[d]);
            return -1;
        }
    return 0;
}

/* ---- arguments ------------------------------------------------------------------------------ */

static const hw_type *element_of(const Param *p) { return hw_type_innermost(&p->element->c); }

/* The shape of an argument's elements; of what C takes as void the size is in bytes. */
static int set_shape(Call *c, int param, int ndim, const Py_ssize_t *shape)
{
    const Param *p = &c->f->params[param];
    if (ndim != p->n_dims) {
        Site site = site_of(c->f, param, c->locals[param].position);
        return site_error(&site, PyExc_ValueError, "expected %d dimension%s, got an array of %d",
                          p->n_dims, p->n_dims == 1 ? "" : "s", ndim);
    }
    for (int d = 0; d < ndim; d++)
        if (call_set_size(c, p->dims[d], shape[d], param) < 0)
            return -1;
    return 0;
}

/* The bytes of a str that was converted: its own, or the encoded copy that is kept. */
static Py_ssize_t text_size(Call *c, PyObject *value)
{
    Py_ssize_t n;
    if (PyUnicode_AsUTF8AndSize(value, &n))
        return n;
    PyErr_Clear();
    return PyBytes_GET_SIZE(c->keep.objects[c->keep.n - 1]);
}

/* The shape of C memory: of one dimension as much as there is of it, of more the array's own. */
static int set_value_shape(Call *c, int param, const Value *v)
{
    const Param *p = &c->f->params[param];
    const hw_type *t = &v->type->c;
    size_t size = element_of(p)->size;
    Py_ssize_t shape[HW_MAX_CORE] = {(Py_ssize_t)(size ? v->size / size : v->size)};
    int ndim = 0;
    for (; p->n_dims > 1 && t->kind == HW_ARRAY && ndim < HW_MAX_CORE; t = t->target, ndim++)
        shape[ndim] = (Py_ssize_t)(ndim ? t->count : v->count);
    return set_shape(c, param, p->n_dims == 1 ? 1 : ndim, shape);
}

/* The shape of an argument that is neither ndarray nor buffer: a value of a C array, a string. */
static int set_flat_size(Call *c, int param, PyObject *value)
{
    Py_ssize_t n = -1;
    if (PyBytes_Check(value))
        n = PyBytes_GET_SIZE(value);
    else if (PyUnicode_Check(value))
        n = text_size(c, value);
    else if (PyList_Check(value) || PyTuple_Check(value))
        n = PySequence_Size(value);
    else if (value_check(c->f->state, value))
        return set_value_shape(c, param, (Value *)value);
    if (n < 0) /* an address, NULL: its size comes from elsewhere */
        return PyErr_Occurred() ? -1 : 0;
    return set_shape(c, param, 1, &n);
}

int call_array(Call *c, int param, void **to)
{
    const Function *f = c->f;
    const Param *p = &f->params[param];
    PyObject *value = c->locals[param].given;
    Site site = site_of(f, param, c->locals[param].position);
    if (convert_pointer(p->type, to, value, &site, &c->keep, p->callback, p->nullable) < 0)
        return -1;
    const hw_numpy_hooks *numpy = numpy_hooks(f->state, false);
    hw_ndview view;
    bool in_bytes = p->element->c.kind == HW_VOID;
    if (numpy && numpy->view(value, &view)) {
        Py_ssize_t bytes = view.itemsize;
        for (int d = 0; d < view.ndim; d++)
            bytes *= view.shape[d];
        return in_bytes ? set_shape(c, param, 1, &bytes)
                        : set_shape(c, param, view.ndim, view.shape);
    }
    if (PyErr_Occurred())
        return -1;
    bool flat =
        PyBytes_Check(value) || value_check(f->state, value) || !PyObject_CheckBuffer(value);
    if (flat)
        return set_flat_size(c, param, value);
    const Py_buffer *b = PyMemoryView_GET_BUFFER(c->keep.objects[c->keep.n - 1]);
    if (b->shape && !in_bytes)
        return set_shape(c, param, b->ndim, b->shape);
    return set_shape(c, param, 1, &b->len);
}

bool call_direct(const Function *f, int param, PyObject *value)
{
    const Param *p = &f->params[param];
    const hw_numpy_hooks *numpy = numpy_hooks(f->state, false);
    hw_ndview view;
    if (numpy && numpy->view(value, &view)) {
        const hw_type *want = element_of(p), *have = hw_type_of_kind(view.kind);
        return view.ndim == p->n_dims && view.contiguous && have && have->size == want->size &&
               (view.writable || p->type->c.target_const) && hw_type_same(want, have);
    }
    PyErr_Clear();
    return !call_wants_map(f, value);
}

bool call_wants_map(const Function *f, PyObject *o)
{
    if (f->state->numpy && Py_IS_TYPE(o, f->state->numpy->ndarray))
        return true;
    if (PyFloat_Check(o) || PyLong_Check(o) || PyComplex_Check(o) || PyUnicode_Check(o) ||
        PyBytes_Check(o) || o == Py_None)
        return false;
    if (PyList_Check(o) || PyTuple_Check(o))
        return true;
    const hw_numpy_hooks *numpy = numpy_hooks(f->state, false);
    if (!numpy)
        PyErr_Clear();
    return numpy && numpy->is_arraylike(o);
}

/* A pointer says nothing of its size; where it goes into memory of Python's there has to be enough.
 */
int call_check_room(Call *c)
{
    const Function *f = c->f;
    for (int i = 0; i < f->n_params; i++) {
        const Param *p = &f->params[i];
        PyObject *given = c->locals[i].given;
        if (p->n_dims < 0 || !given || !pointer_check(f->state, given))
            continue;
        size_t before, room, size = element_of(p)->size, bytes = size ? size : 1;
        if (!memory_room(f->state, given, ((Pointer *)given)->address, &before, &room))
            continue;
        bool overflow = false;
        for (int d = 0; d < p->n_dims; d++)
            overflow |= __builtin_mul_overflow(bytes, (size_t)c->sizes[p->dims[d]], &bytes);
        if (overflow || bytes > room) {
            Site site = site_of(f, i, c->locals[i].position);
            return site_error(&site, PyExc_ValueError,
                              "C uses %zu bytes from here on, and the memory has %zu", bytes, room);
        }
    }
    return 0;
}

/* ---- outputs -------------------------------------------------------------------------------- */

static void fill_output(void *data, size_t bytes)
{
    static int debug = -1; /* set once, to the same value by whoever comes first */
    if (debug < 0)
        debug = hw_debug();
    if (debug)
        memset(data, HW_DEBUG_BYTE, bytes);
}

static int allocate_array(Call *c, int param, void **to)
{
    const Param *p = &c->f->params[param];
    const hw_type *element = element_of(p);
    Py_ssize_t shape[HW_MAX_CORE], count = 1;
    for (int d = 0; d < p->n_dims; d++) {
        shape[d] = (Py_ssize_t)c->sizes[p->dims[d]];
        if (__builtin_mul_overflow(count, shape[d], &count)) {
            PyErr_NoMemory();
            return -1;
        }
    }
    if (count > PY_SSIZE_T_MAX / 64) {
        PyErr_NoMemory();
        return -1;
    }
    size_t bytes = (size_t)count * element->size;
    PyObject *made;
    if (p->as_bytes) {
        made = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)bytes);
        *to = made ? PyBytes_AS_STRING(made) : NULL;
        if (made)
            memset(*to, 0, bytes); /* what C leaves unwritten must not be old memory */
    } else if (hw_kind_is_arithmetic(element->kind)) {
        const hw_numpy_hooks *numpy = numpy_hooks(c->f->state, true);
        made = numpy ? numpy->empty(element->kind, p->n_dims, shape, to) : NULL;
    } else {
        PyObject *array_type = PyObject_CallMethod(PyImport_AddModule("headway._core"), "array",
                                                   "On", ctype_of(element), count);
        made = array_type ? (PyObject *)value_new((CType *)array_type, bytes, (size_t)count) : NULL;
        *to = made ? ((Value *)made)->data : NULL;
        Py_XDECREF(array_type);
    }
    if (!made)
        return -1;
    fill_output(*to, bytes);
    c->locals[param].object = made;
    return 0;
}

int call_allocate(Call *c, int param, void **to)
{
    const Param *p = &c->f->params[param];
    Local *local = &c->locals[param];
    if (p->n_dims >= 0)
        return allocate_array(c, param, to);
    Py_ssize_t size = ctype_size(p->element);
    if (size < 0)
        return -1;
    hw_kind kind = p->element->c.kind;
    if (hw_kind_is_arithmetic(kind) || kind == HW_POINTER) {
        memset(&local->value, 0, sizeof(local->value));
        local->by_value = true;
        *to = &local->value;
        return 0;
    }
    Value *v = value_new(p->element, (size_t)size, kind == HW_ARRAY ? p->element->c.count : 1);
    local->object = (PyObject *)v;
    *to = v ? v->data : NULL;
    return v ? 0 : -1;
}
