/* SPDX-License-Identifier: MIT */
/*
 * The mapped call: takes the arguments apart and tries the ways from the quickest to the most
 * general. The ufunc serves whatever the others leave: overrides, subclasses, sequences, where=,
 * axis=, dtype=, outputs that overlap inputs, and everything that must fail with NumPy's words.
 */
#include "internal.h"

#include "fp.h"

/* ---- arrays ---------------------------------------------------------------------------------- */

/* The bytes an array's elements lie in: [*low, *high). */
static void extent(PyArrayObject *a, const char **low, const char **high)
{
    *low = PyArray_BYTES(a);
    *high = *low + PyArray_ITEMSIZE(a);
    for (int d = 0; d < PyArray_NDIM(a); d++) {
        ptrdiff_t reach = (PyArray_DIM(a, d) - 1) * PyArray_STRIDE(a, d);
        *low += reach < 0 ? reach : 0;
        *high += reach > 0 ? reach : 0;
    }
}

bool hwn_may_overlap(PyArrayObject *a, PyArrayObject *b)
{
    const char *a_low, *a_high, *b_low, *b_high;
    if (PyArray_SIZE(a) == 0 || PyArray_SIZE(b) == 0)
        return false;
    extent(a, &a_low, &a_high);
    extent(b, &b_low, &b_high);
    return a_low < b_high && b_low < a_high;
}

hwn_typing hwn_type_of_call(const hw_mapping *m, PyArrayObject *const *arrays)
{
    hwn_typing typing = HWN_NATURAL;
    for (int i = 0; i < m->n_in; i++) {
        hw_kind kind = m->operands[i].kind;
        PyArrayObject *a = arrays[i];
        if (!a || hwn_is_kind(a, kind) ||
            PyArray_CanCastArrayTo(a, hwn_kinds[kind].descr, NPY_SAFE_CASTING))
            continue;
        if (!hwn_narrows(kind) ||
            !PyArray_CanCastArrayTo(a, hwn_kinds[HWN_INT64_KIND].descr, NPY_SAFE_CASTING))
            return HWN_NEITHER;
        typing = HWN_WIDE;
    }
    return typing;
}

int hwn_run_call(hwn_job *job, PyObject *function)
{
    hwn_fp_clear();
    int status = hwn_run(job);
    int raised = hwn_fp_test();
    if (status < 0)
        hwn_raise(function, job);
    else if (raised)
        status = hwn_report_fp(function, raised);
    return status;
}

PyObject *hwn_results(const hwn_request *q, PyArrayObject **outputs)
{
    const int n = q->mapping->n_out;
    PyObject *tuple = n == 1 ? NULL : PyTuple_New(n);
    for (int j = 0; j < n; j++) {
        PyObject *one = q->out[j] || PyArray_NDIM(outputs[j]) ? (PyObject *)outputs[j]
                                                              : PyArray_Return(outputs[j]);
        if (n == 1)
            return one;
        if (tuple && one)
            PyTuple_SET_ITEM(tuple, j, one);
        else
            Py_XDECREF(one);
        if (!one)
            Py_CLEAR(tuple);
    }
    return tuple;
}

/* ---- the request ----------------------------------------------------------------------------- */

/* out= : one array, or a tuple with an array or None for each output. False where the ufunc should
 * judge it. */
static bool parse_out(hwn_request *q, PyObject *value)
{
    const int n = q->mapping->n_out;
    if (!PyTuple_CheckExact(value)) {
        if (n != 1)
            return false;
        q->out[0] = value == Py_None ? NULL : value;
        q->any_out = q->out[0] != NULL;
        return true;
    }
    if (PyTuple_GET_SIZE(value) != n)
        return false;
    for (int j = 0; j < n; j++) {
        PyObject *one = PyTuple_GET_ITEM(value, j);
        q->out[j] = one == Py_None ? NULL : one;
        q->any_out |= q->out[j] != NULL;
    }
    return true;
}

/* False where there is something only the ufunc takes. */
static bool parse(hwn_request *q, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    q->in = args;
    q->any_out = false;
    q->out[0] = NULL;
    for (int j = 1; j < q->mapping->n_out; j++)
        q->out[j] = NULL;
    bool all = true;
    for (Py_ssize_t k = 0; kwnames && k < PyTuple_GET_SIZE(kwnames); k++)
        all &= PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, k), "out") == 0 &&
               parse_out(q, args[nargs + k]);
    return all;
}

static PyObject *raise_count(PyObject *function, int expected, Py_ssize_t nargs)
{
    PyObject *name = hwn_function_name(function);
    if (name)
        PyErr_Format(PyExc_TypeError, "%U() takes %d arguments, got %zd", name, expected, nargs);
    Py_XDECREF(name);
    return NULL;
}

/* The keywords of a call as a dictionary. */
static PyObject *keywords_of(PyObject *const *values, PyObject *kwnames)
{
    PyObject *dict = PyDict_New();
    for (Py_ssize_t k = 0; dict && kwnames && k < PyTuple_GET_SIZE(kwnames); k++)
        if (PyDict_SetItem(dict, PyTuple_GET_ITEM(kwnames, k), values[k]) < 0)
            Py_CLEAR(dict);
    return dict;
}

/* What is wrong with the types of the operands, as text; None for nothing; NULL with an error. */
static PyObject *explanation(PyObject *function, PyObject *const *args, Py_ssize_t nargs,
                             PyObject *kwnames)
{
    PyObject *module = PyImport_ImportModule("headway._mistyped");
    PyObject *inputs = module ? PyTuple_New(nargs) : NULL;
    for (Py_ssize_t i = 0; inputs && i < nargs; i++)
        PyTuple_SET_ITEM(inputs, i, Py_NewRef(args[i]));
    PyObject *keywords = inputs ? keywords_of(args + nargs, kwnames) : NULL;
    PyObject *text =
        keywords ? PyObject_CallMethod(module, "explain", "OOO", function, inputs, keywords) : NULL;
    Py_XDECREF(keywords);
    Py_XDECREF(inputs);
    Py_XDECREF(module);
    return text;
}

/* NumPy says of types only that they do not fit; what does stays as the cause. */
static void explain_types(PyObject *function, PyObject *const *args, Py_ssize_t nargs,
                          PyObject *kwnames)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    PyObject *text = explanation(function, args, nargs, kwnames);
    PyObject *error = text && text != Py_None ? PyObject_CallOneArg(PyExc_TypeError, text) : NULL;
    Py_XDECREF(text);
    if (!error) {
        PyErr_Clear(); /* whatever went wrong on the way, NumPy's own message is right */
        PyErr_Restore(type, value, traceback);
        return;
    }
    if (traceback)
        PyException_SetTraceback(value, traceback);
    PyException_SetCause(error, value); /* steals */
    PyErr_SetObject(PyExc_TypeError, error);
    Py_DECREF(error);
    Py_DECREF(type);
    Py_XDECREF(traceback);
}

static PyObject *call_ufunc(PyObject *function, PyObject *const *args, Py_ssize_t nargs,
                            PyObject *kwnames)
{
    PyObject *ufunc = hwn_api->ufunc(function);
    if (!ufunc)
        return NULL;
    PyObject *result = PyObject_Vectorcall(ufunc, args, (size_t)nargs, kwnames);
    Py_DECREF(ufunc);
    if (!result && PyErr_ExceptionMatches(PyExc_TypeError))
        explain_types(function, args, nargs, kwnames);
    return result;
}

PyObject *hwn_map(PyObject *function, const hw_mapping *m, PyObject *const *args, Py_ssize_t nargs,
                  PyObject *kwnames)
{
    hwn_request q;
    PyObject *result;
    q.function = function;
    q.mapping = m;
    if (nargs != m->n_in)
        return raise_count(function, m->n_in, nargs);
    if (!parse(&q, args, nargs, kwnames))
        return call_ufunc(function, args, nargs, kwnames);
    int served = hwn_map_flat(&q, &result);
    if (served == 0)
        served = hwn_map_outer(&q, &result);
    if (served == 0)
        served = hwn_map_cast(&q, &result);
    if (served < 0)
        return NULL;
    return served ? result : call_ufunc(function, args, nargs, kwnames);
}

/* ---- copies ---------------------------------------------------------------------------------- */

/* Cast, aligned or swapped on the way, or gathered because its core slices are not contiguous. */
static bool would_copy(const hw_mapping *m, int op, PyObject *o)
{
    const hw_operand *operand = &m->operands[op];
    if (!PyArray_Check(o))
        return !(PyNumber_Check(o) || o == Py_None);
    PyArrayObject *a = (PyArrayObject *)o;
    if (!hwn_is_kind(a, operand->kind) || !PyArray_ISALIGNED(a))
        return true;
    Py_ssize_t expected = PyArray_ITEMSIZE(a);
    for (int d = 0; d < operand->n_core && d < PyArray_NDIM(a); d++) {
        int axis = PyArray_NDIM(a) - 1 - d;
        if (PyArray_DIM(a, axis) != 1 && PyArray_STRIDE(a, axis) != expected)
            return PyArray_SIZE(a) != 0;
        expected *= PyArray_DIM(a, axis);
    }
    return false;
}

PyObject *hwn_copies(PyObject *function, const hw_mapping *m, PyObject *const *args,
                     Py_ssize_t nargs)
{
    if (nargs < m->n_in || nargs > m->n_in + m->n_out)
        return raise_count(function, m->n_in, nargs);
    PyObject *list = PyList_New(nargs);
    for (Py_ssize_t i = 0; list && i < nargs; i++)
        PyList_SET_ITEM(list, i, PyBool_FromLong(would_copy(m, (int)i, args[i])));
    return list;
}
