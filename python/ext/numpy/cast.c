/* SPDX-License-Identifier: MIT */
/*
 * Elementwise calls in which some array must be cast, byte-swapped or aligned: NumPy's iterator
 * does that through its buffers. Every worker has a copy of the iterator and sets it to the range
 * of each piece, so the casts run in parallel too.
 *
 * Rules are the ufunc's: inputs are cast safely, outputs 'same_kind'. What does not fit them is
 * left to the ufunc and its messages.
 */
#include "internal.h"

#include <stdlib.h>

typedef struct cast {
    hwn_places places; /* its axes are not used: the iterator has them */
    int n_ops;
    PyArrayObject *arrays[HW_MAX_OPERANDS]; /* owned; NULL: to be allocated */
    PyArray_Descr *descrs[HW_MAX_OPERANDS]; /* borrowed */
    npy_uint32 flags[HW_MAX_OPERANDS];
    NpyIter *first; /* worker 0's */
    NpyIter **more; /* the other workers' */
    unsigned n_more;
    NpyIter_IterNextFunc *next;
} cast;

/* ---- operands -------------------------------------------------------------------------------- */

static PyArrayObject *array_of_scalar(hw_kind kind, const hw_value *value)
{
    Py_INCREF(hwn_kinds[kind].descr);
    PyObject *a =
        PyArray_NewFromDescr(&PyArray_Type, hwn_kinds[kind].descr, 0, NULL, NULL, NULL, 0, NULL);
    if (a)
        memcpy(PyArray_BYTES((PyArrayObject *)a), value, (size_t)hwn_kinds[kind].size);
    return (PyArrayObject *)a;
}

static int take_inputs(cast *c, const hwn_request *q)
{
    const hw_mapping *m = q->mapping;
    for (int i = 0; i < m->n_in; i++) {
        PyObject *o = q->in[i];
        hw_value value;
        if (PyArray_CheckExact(o)) {
            c->arrays[i] = (PyArrayObject *)Py_NewRef(o);
            continue;
        }
        int found = hwn_scalar(q->function, i, m->operands[i].kind, o, &value);
        if (found < 0 || (found == 0 && !PyArray_IsScalar(o, Generic)))
            return found;
        c->arrays[i] = found ? array_of_scalar(m->operands[i].kind, &value)
                             : (PyArrayObject *)PyArray_FromScalar(o, NULL);
        if (!c->arrays[i])
            return -1;
    }
    return 1;
}

/* The dtypes the loop sees, and how operands of another kind go through scratch. */
static bool choose_types(cast *c, const hw_mapping *m)
{
    hwn_typing typing = hwn_type_of_call(m, c->arrays);
    if (typing == HWN_NEITHER)
        return false;
    for (int i = 0; i < c->n_ops; i++) {
        hw_kind kind = m->operands[i].kind;
        bool wide = typing == HWN_WIDE &&
                    (i < m->n_in ? hwn_narrows(kind) && !hwn_is_kind(c->arrays[i], kind)
                                 : hwn_widens(kind));
        c->descrs[i] = hwn_kinds[wide ? HWN_INT64_KIND : kind].descr;
        c->flags[i] = NPY_ITER_ALIGNED | NPY_ITER_NBO | NPY_ITER_OVERLAP_ASSUME_ELEMENTWISE;
        c->flags[i] |= i < m->n_in ? NPY_ITER_READONLY
                                   : NPY_ITER_WRITEONLY | NPY_ITER_ALLOCATE |
                                         NPY_ITER_NO_BROADCAST | NPY_ITER_NO_SUBTYPE;
        hwn_places_slice(&c->places, i, wide ? HWN_INT64 : HWN_DIRECT, NULL);
    }
    return true;
}

static bool take_outputs(cast *c, const hwn_request *q)
{
    const hw_mapping *m = q->mapping;
    for (int j = 0; j < m->n_out; j++) {
        int op = m->n_in + j;
        PyArrayObject *a = (PyArrayObject *)q->out[j];
        if (!a)
            continue;
        if (!PyArray_CheckExact(a) || !PyArray_ISWRITEABLE(a) ||
            !PyArray_CanCastTypeTo(c->descrs[op], PyArray_DESCR(a), NPY_SAME_KIND_CASTING))
            return false;
        c->arrays[op] = (PyArrayObject *)Py_NewRef((PyObject *)a);
    }
    return true;
}

/* ---- iterators ------------------------------------------------------------------------------- */

static NpyIter *iterator(cast *c)
{
    npy_uint32 flags = NPY_ITER_EXTERNAL_LOOP | NPY_ITER_BUFFERED | NPY_ITER_RANGED |
                       NPY_ITER_DELAY_BUFALLOC | NPY_ITER_ZEROSIZE_OK | NPY_ITER_COPY_IF_OVERLAP;
    return NpyIter_MultiNew(c->n_ops, c->arrays, flags, NPY_KEEPORDER, NPY_SAME_KIND_CASTING,
                            c->flags, c->descrs);
}

/* A copy of the iterator for each worker but the first. */
static int copy_iterators(hwn_job *job)
{
    cast *c = (cast *)job;
    c->more = calloc(job->threads - 1, sizeof(NpyIter *));
    if (!c->more) {
        PyErr_NoMemory();
        return -1;
    }
    for (; c->n_more < job->threads - 1; c->n_more++) {
        c->more[c->n_more] = NpyIter_Copy(c->first);
        if (!c->more[c->n_more])
            return -1;
    }
    return 0;
}

/* Copies end first: the original writes back what COPY_IF_OVERLAP copied. 0, or -1. */
static int end_iterators(cast *c)
{
    int status = 0;
    for (unsigned w = 0; w < c->n_more; w++)
        status = NpyIter_Deallocate(c->more[w]) == NPY_SUCCEED ? status : -1;
    free(c->more);
    if (c->first)
        status = NpyIter_Deallocate(c->first) == NPY_SUCCEED ? status : -1;
    return status;
}

static void cast_body(hwn_job *job, ptrdiff_t begin, ptrdiff_t end, unsigned worker)
{
    cast *c = (cast *)job;
    NpyIter *iter = worker == 0 ? c->first : c->more[worker - 1];
    char *error = NULL;
    if (hwn_failed_before(job, begin))
        return;
    if (NpyIter_ResetToIterIndexRange(iter, begin, end, &error) != NPY_SUCCEED) {
        hwn_fail(job, begin, HWN_NO_MEMORY, 0, 0);
        return;
    }
    char **at = NpyIter_GetDataPtrArray(iter);
    npy_intp *steps = NpyIter_GetInnerStrideArray(iter), *n = NpyIter_GetInnerLoopSizePtr(iter);
    do {
        hwn_places_row(&c->places, at, steps, *n, begin, worker);
        begin += *n;
    } while (c->next(iter) && !hwn_failed_before(job, begin));
}

/* ---- the call -------------------------------------------------------------------------------- */

/* The iterator's own arrays where the outputs were not given. */
static void take_results(cast *c, const hwn_request *q)
{
    PyArrayObject **used = NpyIter_GetOperandArray(c->first);
    for (int op = q->mapping->n_in; op < c->n_ops; op++)
        if (!c->arrays[op])
            c->arrays[op] = (PyArrayObject *)Py_NewRef((PyObject *)used[op]);
}

static int map_cast(cast *c, const hwn_request *q)
{
    const hw_mapping *m = q->mapping;
    int served = take_inputs(c, q);
    if (served <= 0)
        return served;
    if (!choose_types(c, m) || !take_outputs(c, q))
        return 0;
    c->first = iterator(c);
    if (!c->first) { /* shapes that do not go together: the ufunc says it better */
        PyErr_Clear();
        return 0;
    }
    if (NpyIter_IterationNeedsAPI(c->first))
        return 0;
    c->next = NpyIter_GetIterNext(c->first, NULL);
    if (!c->next)
        return -1;
    c->places.job.length = NpyIter_GetIterSize(c->first);
    hwn_places_layout(&c->places);
    take_results(c, q);
    return hwn_run_call(&c->places.job, q->function) < 0 ? -1 : 1;
}

int hwn_map_cast(const hwn_request *q, PyObject **result)
{
    const hw_mapping *m = q->mapping;
    cast c;
    if (m->n_dims)
        return 0;
    c.n_ops = c.places.n_ops = m->n_in + m->n_out;
    c.places.scratched = false;
    c.first = NULL;
    c.more = NULL;
    c.n_more = 0;
    memset(c.arrays, 0, sizeof(PyArrayObject *) * (size_t)c.n_ops);
    hwn_job_init(&c.places.job, m, 0);
    c.places.job.body = cast_body;
    c.places.job.prepare = copy_iterators;
    int served = map_cast(&c, q);
    if (end_iterators(&c) < 0 && served > 0)
        served = -1;
    if (served > 0) {
        *result = hwn_results(q, c.arrays + m->n_in);
        memset(c.arrays + m->n_in, 0, sizeof(PyArrayObject *) * m->n_out);
        served = *result ? 1 : -1;
    }
    for (int i = 0; i < c.n_ops; i++)
        Py_XDECREF(c.arrays[i]);
    return served;
}
