/* SPDX-License-Identifier: MIT */
/*
 * Arrays of any layout, with or without core dimensions: infers sizes, broadcasts the outer axes,
 * allocates the outputs and hands a grid of places to the run, so that every outer axis is spread
 * over the cores, whether or not the axes coalesce.
 *
 * Core dimensions with another dtype are cast beforehand, as NumPy does; so are small arrays, while
 * longer elementwise casts are left to cast.c. Outputs that overlap inputs are left to the ufunc,
 * which copies.
 */
#include "internal.h"

/* Elements of an array that is sooner cast at once than by an iterator. */
enum { SMALL = 1024 };

typedef struct outer {
    hwn_places places;
    hwn_sizes sizes;
    hwn_typing typing;
    PyArrayObject *arrays[HW_MAX_OPERANDS]; /* owned; NULL: the value */
    hw_value values[HW_MAX_OPERANDS];
    int ndim;
    npy_intp shape[NPY_MAXDIMS];                     /* outer, C order */
    int order[NPY_MAXDIMS];                          /* outer axes, outermost in memory first */
    ptrdiff_t strides[HW_MAX_OPERANDS][NPY_MAXDIMS]; /* of the inputs' outer axes, C order */
} outer;

/* ---- inputs ---------------------------------------------------------------------------------- */

static int take_inputs(outer *c, const hwn_request *q)
{
    const hw_mapping *m = q->mapping;
    for (int i = 0; i < m->n_in; i++) {
        PyObject *o = q->in[i];
        if (PyArray_CheckExact(o)) {
            c->arrays[i] = (PyArrayObject *)Py_NewRef(o);
            continue;
        }
        int found = m->operands[i].n_core
                        ? 0
                        : hwn_scalar(q->function, i, m->operands[i].kind, o, &c->values[i]);
        if (found < 0 || (found == 0 && !PyArray_IsScalar(o, Generic)))
            return found;
        if (found == 0) {
            c->arrays[i] = (PyArrayObject *)PyArray_FromScalar(o, NULL);
            if (!c->arrays[i])
                return -1;
        }
    }
    return 1;
}

/* Where an input is neither of C's type nor int64 for a narrower one: 1 after a cast, 0 where this
 * way does not serve, -1 on an exception. */
static int cast_inputs(outer *c, const hwn_request *q)
{
    const hw_mapping *m = q->mapping;
    c->typing = hwn_type_of_call(m, c->arrays);
    if (c->typing == HWN_NEITHER)
        return 0;
    for (int i = 0; i < m->n_in; i++) {
        hw_kind kind = m->operands[i].kind;
        bool wide = c->typing == HWN_WIDE && hwn_narrows(kind);
        PyArrayObject *a = c->arrays[i];
        if (!a || hwn_is_kind(a, kind) || (wide && hwn_is_kind(a, HWN_INT64_KIND)))
            continue;
        if (!m->n_dims && PyArray_SIZE(a) > SMALL)
            return 0;
        PyArray_Descr *descr = hwn_kinds[kind].descr;
        if (!PyArray_CanCastArrayTo(a, descr, NPY_SAFE_CASTING))
            descr = hwn_kinds[HWN_INT64_KIND].descr;
        Py_INCREF(descr);
        PyObject *cast = PyArray_FromArray(a, descr, NPY_ARRAY_ALIGNED | NPY_ARRAY_NOTSWAPPED);
        if (!cast)
            return -1;
        Py_SETREF(c->arrays[i], (PyArrayObject *)cast);
    }
    return 1;
}

/* ---- shapes ---------------------------------------------------------------------------------- */

static int infer_sizes(outer *c, const hwn_request *q)
{
    const hw_mapping *m = q->mapping;
    hwn_sizes_init(m, &c->sizes);
    for (int i = 0; i < m->n_in + m->n_out; i++)
        if (c->arrays[i] && hwn_sizes_take(q->function, m, &c->sizes, i, c->arrays[i]) < 0)
            return -1;
    if (hwn_sizes_finish(q->function, m, &c->sizes) < 0)
        return -1;
    memcpy(c->places.dims, c->sizes.dims, sizeof c->places.dims);
    return 0;
}

/* The outer shape, and the strides of every array there in along it; false where shapes disagree
 * or an output would have to be broadcast. */
static bool broadcast(outer *c, const hw_mapping *m)
{
    const int n_ops = m->n_in + m->n_out;
    c->ndim = 0;
    for (int i = 0; i < n_ops; i++) {
        int n = c->arrays[i] ? PyArray_NDIM(c->arrays[i]) - m->operands[i].n_core : 0;
        c->ndim = n > c->ndim ? n : c->ndim;
    }
    for (int a = 0; a < c->ndim; a++)
        c->shape[a] = 1;
    for (int i = 0; i < n_ops; i++) {
        int n = c->arrays[i] ? PyArray_NDIM(c->arrays[i]) - m->operands[i].n_core : 0;
        for (int a = 0; a < n; a++) {
            npy_intp size = PyArray_DIM(c->arrays[i], a), *whole = &c->shape[c->ndim - n + a];
            if (size != 1 && *whole != 1 && size != *whole)
                return false;
            *whole = size != 1 ? size : *whole;
        }
    }
    for (int i = 0; i < n_ops; i++) {
        int n = c->arrays[i] ? PyArray_NDIM(c->arrays[i]) - m->operands[i].n_core : 0;
        for (int a = 0; a < c->ndim; a++) {
            int own = a - (c->ndim - n);
            bool along = own >= 0 && PyArray_DIM(c->arrays[i], own) == c->shape[a];
            if (i >= m->n_in && c->arrays[i] && !along)
                return false;
            c->strides[i][a] = along && c->shape[a] != 1 ? PyArray_STRIDE(c->arrays[i], own) : 0;
        }
    }
    return true;
}

/* NumPy's order 'K' for elementwise calls: axes by the strides of the arrays there are, C order
 * where those leave it open or disagree. With core dimensions C order, as NumPy allocates there. */
static void order_axes(outer *c, const hw_mapping *m)
{
    for (int a = 0; a < c->ndim; a++)
        c->order[a] = a;
    for (int a = 1; a < c->ndim && !m->n_dims; a++) {
        int to = a;
        for (int before = a - 1; before >= 0; before--) {
            bool known = false, larger = false;
            for (int i = 0; i < m->n_in + m->n_out; i++) {
                ptrdiff_t mine = Py_ABS(c->strides[i][a]);
                ptrdiff_t other = Py_ABS(c->strides[i][c->order[before]]);
                if (mine == 0 || other == 0)
                    continue;
                larger = mine > other && (larger || !known);
                known = true;
            }
            if (known && !larger)
                break;
            if (known)
                to = before;
        }
        for (int move = a; move > to; move--)
            c->order[move] = c->order[move - 1];
        c->order[to] = a;
    }
}

/* ---- outputs --------------------------------------------------------------------------------- */

static hw_kind output_kind(const outer *c, const hw_mapping *m, int op)
{
    hw_kind kind = m->operands[op].kind;
    return c->typing == HWN_WIDE && !m->n_dims && hwn_widens(kind) ? HWN_INT64_KIND : kind;
}

/* Outputs that were given: exact arrays of the right dtype; false where one is not. */
static bool take_outputs(outer *c, const hwn_request *q)
{
    const hw_mapping *m = q->mapping;
    for (int j = 0; j < m->n_out; j++) {
        int op = m->n_in + j;
        if (!q->out[j])
            continue;
        PyArrayObject *a = (PyArrayObject *)q->out[j];
        if (!PyArray_CheckExact(a) || !PyArray_ISWRITEABLE(a) ||
            !hwn_is_kind(a, output_kind(c, m, op)))
            return false;
        c->arrays[op] = (PyArrayObject *)Py_NewRef((PyObject *)a);
    }
    return true;
}

/* The very same view: elementwise that is what a loop may have as input and output at once; with
 * core dimensions the output then goes through scratch. */
static bool coincide(const outer *c, int in, int out)
{
    PyArrayObject *a = c->arrays[in], *b = c->arrays[out];
    int ndim = PyArray_NDIM(a);
    return PyArray_BYTES(a) == PyArray_BYTES(b) && PyArray_ITEMSIZE(a) == PyArray_ITEMSIZE(b) &&
           ndim == PyArray_NDIM(b) &&
           PyArray_CompareLists(PyArray_DIMS(a), PyArray_DIMS(b), ndim) &&
           PyArray_CompareLists(PyArray_STRIDES(a), PyArray_STRIDES(b), ndim);
}

static bool outputs_overlap(const outer *c, const hw_mapping *m)
{
    for (int out = m->n_in; out < m->n_in + m->n_out; out++)
        for (int i = 0; i < out; i++)
            if (c->arrays[out] && c->arrays[i] && !(i < m->n_in && coincide(c, i, out)) &&
                hwn_may_overlap(c->arrays[out], c->arrays[i]))
                return true;
    return false;
}

static PyArrayObject *allocate_one(const outer *c, const hw_mapping *m, int op)
{
    const hw_operand *o = &m->operands[op];
    const hwn_kind *kind = &hwn_kinds[output_kind(c, m, op)];
    npy_intp shape[NPY_MAXDIMS], strides[NPY_MAXDIMS], step = kind->size;
    int ndim = c->ndim + o->n_core;
    if (ndim > NPY_MAXDIMS) {
        PyErr_Format(PyExc_ValueError, "the result would have %d dimensions, more than NumPy's %d",
                     ndim, NPY_MAXDIMS);
        return NULL;
    }
    memcpy(shape, c->shape, sizeof(npy_intp) * (size_t)c->ndim);
    for (int d = 0; d < o->n_core; d++)
        shape[c->ndim + d] = c->places.dims[1 + o->core[d]];
    bool is_c = true;
    for (int a = 0; a < c->ndim; a++)
        is_c = is_c && c->order[a] == a;
    for (int a = c->ndim - 1; a >= 0 && !is_c; a--) {
        strides[c->order[a]] = step;
        step *= shape[c->order[a]] ? shape[c->order[a]] : 1;
    }
    Py_INCREF(kind->descr);
    return (PyArrayObject *)PyArray_NewFromDescr(&PyArray_Type, kind->descr, ndim, shape,
                                                 is_c ? NULL : strides, NULL, 0, NULL);
}

static int allocate(outer *c, const hw_mapping *m)
{
    for (int op = m->n_in; op < m->n_in + m->n_out; op++) {
        if (!c->arrays[op])
            c->arrays[op] = allocate_one(c, m, op);
        if (!c->arrays[op])
            return -1;
        for (int a = 0; a < c->ndim; a++)
            c->strides[op][a] = c->shape[a] != 1 ? PyArray_STRIDE(c->arrays[op], a) : 0;
    }
    return 0;
}

/* ---- places ---------------------------------------------------------------------------------- */

/* The outer axes, innermost first, neighbours that every operand crosses evenly made one. */
static void lay_axes(outer *c, const hw_mapping *m)
{
    hwn_places *p = &c->places;
    const int n_ops = m->n_in + m->n_out;
    p->n_axes = 0;
    p->job.length = 1;
    for (int k = c->ndim - 1; k >= 0; k--) {
        int axis = c->order[k], last = p->n_axes - 1;
        npy_intp size = c->shape[axis];
        p->job.length *= size;
        if (size == 1)
            continue;
        bool even = p->n_axes > 0;
        for (int i = 0; i < n_ops && even; i++)
            even = c->strides[i][axis] == p->steps[last][i] * p->shape[last];
        if (even) {
            p->shape[last] *= size;
            continue;
        }
        p->shape[p->n_axes] = size;
        for (int i = 0; i < n_ops; i++)
            p->steps[p->n_axes][i] = c->strides[i][axis];
        p->n_axes++;
    }
    if (p->n_axes == 0) {
        p->n_axes = 1;
        p->shape[0] = 1;
        memset(p->steps[0], 0, sizeof p->steps[0]);
    }
}

/* Short rows cost a call each: where another axis is much longer, it becomes the innermost. */
static void lengthen_rows(hwn_places *p)
{
    int longest = 0;
    for (int a = 1; a < p->n_axes; a++)
        if (p->shape[a] > p->shape[longest])
            longest = a;
    if (p->shape[0] >= 32 || p->shape[longest] < 4 * p->shape[0])
        return;
    ptrdiff_t steps[HW_MAX_OPERANDS], size = p->shape[longest];
    memcpy(steps, p->steps[longest], sizeof(ptrdiff_t) * (size_t)p->n_ops);
    for (int a = longest; a > 0; a--) {
        p->shape[a] = p->shape[a - 1];
        memcpy(p->steps[a], p->steps[a - 1], sizeof(ptrdiff_t) * (size_t)p->n_ops);
    }
    p->shape[0] = size;
    memcpy(p->steps[0], steps, sizeof(ptrdiff_t) * (size_t)p->n_ops);
}

/* An output with core dimensions in the place of an input, unless C itself works in place. */
static bool replaces_input(const outer *c, const hw_mapping *m, int op)
{
    for (int i = 0; i < m->n_in && op >= m->n_in && m->operands[op].n_core; i++)
        if (c->arrays[i] && i != m->operands[op].inout && coincide(c, i, op))
            return true;
    return false;
}

static void make_places(outer *c, const hw_mapping *m)
{
    hwn_places *p = &c->places;
    p->n_ops = m->n_in + m->n_out;
    p->scratched = false;
    lay_axes(c, m);
    lengthen_rows(p);
    for (int i = 0; i < p->n_ops; i++) {
        PyArrayObject *a = c->arrays[i];
        hwn_mode mode = !a || hwn_is_kind(a, m->operands[i].kind) ? HWN_DIRECT : HWN_INT64;
        if (mode == HWN_DIRECT && a && (!PyArray_ISALIGNED(a) || replaces_input(c, m, i)))
            mode = HWN_COPY;
        p->data[i] = a ? PyArray_BYTES(a) : (char *)&c->values[i];
        hwn_places_slice(p, i, mode,
                         a ? PyArray_STRIDES(a) + PyArray_NDIM(a) - m->operands[i].n_core : NULL);
    }
    hwn_places_layout(p);
}

/* The outputs, given ones as they are, new ones of no dimension as scalars. */
static PyObject *results(outer *c, const hwn_request *q)
{
    const hw_mapping *m = q->mapping;
    PyArrayObject *outputs[HW_MAX_OPERANDS];
    for (int j = 0; j < m->n_out; j++) {
        outputs[j] = c->arrays[m->n_in + j];
        c->arrays[m->n_in + j] = NULL;
    }
    return hwn_results(q, outputs);
}

static int map_outer(outer *c, const hwn_request *q, PyObject **result)
{
    const hw_mapping *m = q->mapping;
    int served = take_inputs(c, q);
    if (served <= 0 || (served = cast_inputs(c, q)) <= 0)
        return served;
    if (!take_outputs(c, q))
        return 0;
    if (infer_sizes(c, q) < 0)
        return -1;
    if (!broadcast(c, m) || (q->any_out && outputs_overlap(c, m)))
        return 0;
    order_axes(c, m);
    if (allocate(c, m) < 0)
        return -1;
    make_places(c, m);
    if (hwn_run_call(&c->places.job, q->function) < 0)
        return -1;
    *result = results(c, q);
    return *result ? 1 : -1;
}

int hwn_map_outer(const hwn_request *q, PyObject **result)
{
    outer c;
    const int n_ops = q->mapping->n_in + q->mapping->n_out;
    memset(c.arrays, 0, sizeof(PyArrayObject *) * (size_t)n_ops);
    hwn_job_init(&c.places.job, q->mapping, 0);
    c.places.job.body = hwn_places_body;
    int served = map_outer(&c, q, result);
    for (int i = 0; i < n_ops; i++)
        Py_XDECREF(c.arrays[i]);
    return served;
}
