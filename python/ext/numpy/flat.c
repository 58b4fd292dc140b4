/* SPDX-License-Identifier: MIT */
/*
 * Elementwise over arrays that are one run of elements each: all of C's own types, of one shape (or
 * a single element), all C-contiguous, all Fortran-contiguous or all one-dimensional. No iterator,
 * no casting: what a call on ten elements costs is the allocation of its result.
 */
#include "internal.h"

typedef struct flat {
    hwn_job job;
    PyArrayObject *first; /* the first input with axes, NULL where all are single elements */
    int flags;            /* that all arrays have */
    char *args[HW_MAX_OPERANDS];
    ptrdiff_t steps[HW_MAX_OPERANDS];
    PyArrayObject *arrays[HW_MAX_OPERANDS]; /* borrowed; NULL for scalars and to be allocated */
    hw_value values[HW_MAX_OPERANDS];       /* of scalars */
} flat;

static void flat_body(hwn_job *job, ptrdiff_t begin, ptrdiff_t end, unsigned worker)
{
    const flat *f = (const flat *)job;
    const hw_mapping *m = job->mapping;
    const int n_ops = m->n_in + m->n_out;
    char *at[HW_MAX_OPERANDS];
    ptrdiff_t n = end - begin;
    (void)worker;
    for (int i = 0; i < n_ops; i++)
        at[i] = f->args[i];
    for (int i = 0; begin && i < n_ops; i++)
        at[i] += begin * f->steps[i];
    m->loop(at, &n, f->steps, m->data);
}

static inline bool same_shape(PyArrayObject *a, PyArrayObject *b)
{
    const npy_intp *mine = PyArray_DIMS(a), *other = PyArray_DIMS(b);
    if (PyArray_NDIM(a) != PyArray_NDIM(b))
        return false;
    for (int d = 0; d < PyArray_NDIM(a); d++)
        if (mine[d] != other[d])
            return false;
    return true;
}

/* An array of the right type and shape. Its step is only right for one axis or none. */
static inline bool take_array(flat *f, int op, PyArrayObject *a)
{
    int ndim = PyArray_NDIM(a);
    if (!hwn_is_kind(a, f->job.mapping->operands[op].kind))
        return false;
    if (ndim && f->first && !same_shape(a, f->first))
        return false;
    if (ndim && !f->first)
        f->first = a;
    f->flags &= PyArray_FLAGS(a);
    f->args[op] = PyArray_BYTES(a);
    f->steps[op] = ndim ? PyArray_STRIDE(a, ndim - 1) : 0;
    f->arrays[op] = a;
    return true;
}

static inline int take_inputs(flat *f, const hwn_request *q)
{
    const hw_mapping *m = q->mapping;
    for (int i = 0; i < m->n_in; i++) {
        PyObject *o = q->in[i];
        if (PyArray_CheckExact(o)) {
            if (!take_array(f, i, (PyArrayObject *)o))
                return 0;
            continue;
        }
        int found = hwn_scalar(q->function, i, m->operands[i].kind, o, &f->values[i]);
        if (found <= 0)
            return found;
        f->args[i] = (char *)&f->values[i];
        f->steps[i] = 0;
        f->arrays[i] = NULL;
    }
    return 1;
}

static bool take_outputs(flat *f, const hwn_request *q)
{
    const hw_mapping *m = q->mapping;
    for (int j = 0; j < m->n_out; j++) {
        PyArrayObject *a = (PyArrayObject *)q->out[j];
        f->arrays[m->n_in + j] = NULL;
        if (!a)
            continue;
        if (!PyArray_CheckExact(a) || !PyArray_ISWRITEABLE(a) || PyArray_NDIM(a) == 0 ||
            !f->first || !take_array(f, m->n_in + j, a))
            return false;
        for (int i = 0; i < m->n_in + j; i++) {
            PyArrayObject *b = f->arrays[i];
            bool same =
                b && i < m->n_in && PyArray_BYTES(a) == PyArray_BYTES(b) &&
                PyArray_NDIM(a) == PyArray_NDIM(b) && PyArray_ITEMSIZE(a) == PyArray_ITEMSIZE(b) &&
                PyArray_CompareLists(PyArray_STRIDES(a), PyArray_STRIDES(b), PyArray_NDIM(a));
            if (b && !same && hwn_may_overlap(a, b))
                return false;
        }
    }
    return true;
}

/* Makes every array one run of elements; false where the layouts do not allow it. */
static bool flatten(flat *f, int n_taken)
{
    const hw_mapping *m = f->job.mapping;
    if (!(f->flags & NPY_ARRAY_ALIGNED))
        return false;
    if (!f->first || PyArray_NDIM(f->first) == 1)
        return true;
    if (!(f->flags & (NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_F_CONTIGUOUS)))
        return false;
    for (int i = 0; i < n_taken; i++)
        if (f->arrays[i] && PyArray_NDIM(f->arrays[i]))
            f->steps[i] = hwn_kinds[m->operands[i].kind].size;
    return true;
}

/* How many outputs there are, fewer than the mapping has where one could not be made. */
static int allocate(flat *f, const hwn_request *q, PyArrayObject **outputs)
{
    const hw_mapping *m = f->job.mapping;
    int order = f->flags & NPY_ARRAY_C_CONTIGUOUS ? 0 : NPY_ARRAY_F_CONTIGUOUS;
    for (int j = 0; j < m->n_out; j++) {
        int op = m->n_in + j;
        hw_kind kind = m->operands[op].kind;
        if (q->out[j]) {
            outputs[j] = (PyArrayObject *)Py_NewRef(q->out[j]);
            continue;
        }
        Py_INCREF(hwn_kinds[kind].descr);
        outputs[j] = (PyArrayObject *)PyArray_NewFromDescr(
            &PyArray_Type, hwn_kinds[kind].descr, PyArray_NDIM(f->first), PyArray_DIMS(f->first),
            NULL, NULL, PyArray_NDIM(f->first) == 1 ? 0 : order, NULL);
        if (!outputs[j])
            return j;
        f->args[op] = PyArray_BYTES(outputs[j]);
        f->steps[op] = hwn_kinds[kind].size;
    }
    return m->n_out;
}

/* Every input a single element and no outputs given: NumPy's scalars, as from a ufunc. */
static int run_single(flat *f, const hwn_request *q, PyObject **result)
{
    const hw_mapping *m = q->mapping;
    hw_value values[HW_MAX_OPERANDS];
    PyObject *scalars[HW_MAX_OPERANDS];
    for (int j = 0; j < m->n_out; j++) {
        f->args[m->n_in + j] = (char *)&values[j];
        f->steps[m->n_in + j] = 0;
    }
    f->job.length = 1;
    if (hwn_run_call(&f->job, q->function) < 0)
        return -1;
    int made = 0;
    for (; made < m->n_out; made++) {
        PyArray_Descr *descr = hwn_kinds[m->operands[m->n_in + made].kind].descr;
        scalars[made] = PyArray_Scalar(&values[made], descr, NULL);
        if (!scalars[made])
            break;
    }
    *result = NULL;
    if (made == m->n_out)
        *result = made == 1 ? Py_NewRef(scalars[0]) : PyTuple_New(made);
    for (int j = 0; j < made; j++) {
        if (*result && made > 1)
            PyTuple_SET_ITEM(*result, j, Py_NewRef(scalars[j]));
        Py_DECREF(scalars[j]);
    }
    return *result ? 1 : -1;
}

int hwn_map_flat(const hwn_request *q, PyObject **result)
{
    const hw_mapping *m = q->mapping;
    flat space, *f = &space;
    if (m->n_dims)
        return 0;
    f->first = NULL;
    f->flags = ~0;
    hwn_job_init(&f->job, m, 0);
    f->job.body = flat_body;
    int found = take_inputs(f, q);
    if (found <= 0)
        return found;
    if ((q->any_out && !take_outputs(f, q)) ||
        !flatten(f, q->any_out ? m->n_in + m->n_out : m->n_in))
        return 0;
    if (!f->first)
        return q->any_out ? 0 : run_single(f, q, result);

    PyArrayObject *outputs[HW_MAX_OPERANDS];
    f->job.length = PyArray_NDIM(f->first) == 1 ? PyArray_DIM(f->first, 0) : PyArray_SIZE(f->first);
    int made = allocate(f, q, outputs);
    if (made < m->n_out || hwn_run_call(&f->job, q->function) < 0) {
        while (made > 0)
            Py_DECREF(outputs[--made]);
        return -1;
    }
    *result = hwn_results(q, outputs);
    return *result ? 1 : -1;
}
