/* SPDX-License-Identifier: MIT */
/*
 * Core dimensions: what arrays say of them, whether they agree, what follows from them.
 */
#include "internal.h"

enum { FROM_C = -1 };

void hwn_sizes_init(const hw_mapping *m, hwn_sizes *s)
{
    for (int d = 0; d < m->n_dims; d++) {
        s->dims[1 + d] = m->fixed[d];
        s->from[d] = FROM_C;
    }
}

/* Who said what a size is, "4 in argument 'a'". New reference. */
static PyObject *said(PyObject *function, const hwn_sizes *s, int dim)
{
    if (s->from[dim] == FROM_C)
        return PyUnicode_FromFormat("%zd in C", s->dims[1 + dim]);
    PyObject *operand = hwn_operand_name(function, s->from[dim]);
    PyObject *text = operand ? PyUnicode_FromFormat("%zd in %U", s->dims[1 + dim], operand) : NULL;
    Py_XDECREF(operand);
    return text;
}

static void raise_mismatch(PyObject *function, const hw_mapping *m, const hwn_sizes *s, int dim,
                           int op, ptrdiff_t size)
{
    PyObject *name = hwn_function_name(function);
    PyObject *before = name ? said(function, s, dim) : NULL;
    PyObject *operand = before ? hwn_operand_name(function, op) : NULL;
    if (operand && s->from[dim] == FROM_C)
        PyErr_Format(PyExc_ValueError, "%U(): %U has size %zd where C says %zd", name, operand,
                     size, s->dims[1 + dim]);
    else if (operand)
        PyErr_Format(PyExc_ValueError, "%U(): size %s is %U and %zd in %U", name, m->dim_names[dim],
                     before, size, operand);
    Py_XDECREF(name);
    Py_XDECREF(before);
    Py_XDECREF(operand);
}

static void raise_few_axes(PyObject *function, const hw_mapping *m, int op, int ndim)
{
    const hw_operand *o = &m->operands[op];
    PyObject *name = hwn_function_name(function);
    PyObject *operand = name ? hwn_operand_name(function, op) : NULL;
    PyObject *shape = PyUnicode_FromString("");
    for (int d = 0; d < o->n_core && shape; d++) {
        PyObject *longer =
            PyUnicode_FromFormat("%U%s%s", shape, d ? ", " : "", m->dim_names[o->core[d]]);
        Py_SETREF(shape, longer);
    }
    if (operand && shape)
        PyErr_Format(PyExc_ValueError, "%U(): %U has %d dimension%s; at least %d are needed: (%U)",
                     name, operand, ndim, ndim == 1 ? "" : "s", (int)o->n_core, shape);
    Py_XDECREF(name);
    Py_XDECREF(operand);
    Py_XDECREF(shape);
}

int hwn_sizes_take(PyObject *function, const hw_mapping *m, hwn_sizes *s, int op,
                   PyArrayObject *array)
{
    const hw_operand *o = &m->operands[op];
    int outer = PyArray_NDIM(array) - o->n_core;
    if (outer < 0) {
        raise_few_axes(function, m, op, PyArray_NDIM(array));
        return -1;
    }
    for (int d = 0; d < o->n_core; d++) {
        int dim = o->core[d];
        ptrdiff_t size = PyArray_DIM(array, outer + d);
        if (s->dims[1 + dim] < 0) {
            s->dims[1 + dim] = size;
            s->from[dim] = (int8_t)op;
        } else if (s->dims[1 + dim] != size) {
            raise_mismatch(function, m, s, dim, op, size);
            return -1;
        }
    }
    return 0;
}

/* ---- expressions ----------------------------------------------------------------------------- */

static hw_size_outcome compute(const hw_mapping *m, const ptrdiff_t *dims, int dim, ptrdiff_t *size)
{
    return hw_size_evaluate(m->postfix[dim], m->n_postfix[dim], dims, size);
}

hwn_agreement hwn_sizes_compute(const hw_mapping *m, ptrdiff_t *dims, int *culprit)
{
    for (int d = 0; d < m->n_dims; d++) {
        ptrdiff_t size;
        if (!m->postfix[d])
            continue;
        *culprit = d;
        switch (compute(m, dims, d, &size)) {
        case HW_SIZE_UNKNOWN: continue;
        case HW_SIZE_COMPUTED: break;
        default: return HWN_SIZE_WRONG;
        }
        if (dims[d] >= 0 && dims[d] != size)
            return HWN_SIZES_DIFFER;
        dims[d] = size;
    }
    return HWN_SIZES_AGREE;
}

/* A size that C's parameter cannot hold would arrive as another. */
static int check_largest(PyObject *function, const hw_mapping *m, const hwn_sizes *s)
{
    for (int d = 0; d < m->n_dims; d++)
        if (s->dims[1 + d] > m->largest[d]) {
            PyObject *name = hwn_function_name(function);
            if (name)
                PyErr_Format(PyExc_OverflowError, "%U(): size %s is %zd, and C takes at most %zd",
                             name, m->dim_names[d], s->dims[1 + d], m->largest[d]);
            Py_XDECREF(name);
            return -1;
        }
    return 0;
}

int hwn_sizes_finish(PyObject *function, const hw_mapping *m, hwn_sizes *s)
{
    int dim = 0;
    hwn_agreement outcome = hwn_sizes_compute(m, s->dims + 1, &dim);
    if (outcome == HWN_SIZES_AGREE) {
        for (dim = 0; dim < m->n_dims && s->dims[1 + dim] >= 0; dim++)
            ;
        if (dim == m->n_dims)
            return check_largest(function, m, s);
    }
    PyObject *name = hwn_function_name(function);
    PyObject *before = name ? said(function, s, dim) : NULL;
    ptrdiff_t size = -1;
    if (outcome == HWN_SIZES_DIFFER)
        compute(m, s->dims + 1, dim, &size);
    if (before && outcome == HWN_SIZE_WRONG)
        PyErr_Format(PyExc_ValueError,
                     "%U(): size %s is negative or cannot be computed for these "
                     "arguments",
                     name, m->dim_names[dim]);
    else if (before && outcome == HWN_SIZES_DIFFER)
        PyErr_Format(PyExc_ValueError, "%U(): size %s must be %zd, but it is %U", name,
                     m->dim_names[dim], size, before);
    else if (before)
        PyErr_Format(PyExc_ValueError,
                     "%U(): no input says how large %s is: pass the output as out=", name,
                     m->dim_names[dim]);
    Py_XDECREF(name);
    Py_XDECREF(before);
    return -1;
}
