/* SPDX-License-Identifier: MIT */
/* What one would write by hand: METH_FASTCALL functions, arrays through the NumPy C API. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#include <numpy/arrayobject.h>

#include "kernels.h"

static PyObject *call_sum3(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    (void)self;
    if (nargs != 3) {
        PyErr_Format(PyExc_TypeError, "sum3() takes 3 arguments, got %zd", nargs);
        return NULL;
    }
    double v[3];
    for (int i = 0; i < 3; i++) {
        v[i] = PyFloat_AsDouble(args[i]);
        if (v[i] == -1.0 && PyErr_Occurred())
            return NULL;
    }
    return PyFloat_FromDouble(sum3(v[0], v[1], v[2]));
}

/* The array of one argument; NULL and an exception for anything but contiguous doubles. */
static PyArrayObject *doubles(PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 1 || !PyArray_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "total() takes one array");
        return NULL;
    }
    PyArrayObject *array = (PyArrayObject *)args[0];
    if (PyArray_TYPE(array) != NPY_DOUBLE || PyArray_NDIM(array) != 1 ||
        !PyArray_ISCARRAY_RO(array)) {
        PyErr_SetString(PyExc_TypeError, "total() takes a contiguous vector of float64");
        return NULL;
    }
    return array;
}

static PyObject *call_total(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    (void)self;
    PyArrayObject *array = doubles(args, nargs);
    if (!array)
        return NULL;
    return PyFloat_FromDouble(
        total((const double *)PyArray_DATA(array), (size_t)PyArray_DIM(array, 0)));
}

static PyObject *call_total_released(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    (void)self;
    PyArrayObject *array = doubles(args, nargs);
    if (!array)
        return NULL;
    const double *data = PyArray_DATA(array);
    size_t n = (size_t)PyArray_DIM(array, 0);
    double sum;
    Py_BEGIN_ALLOW_THREADS
    sum = total(data, n);
    Py_END_ALLOW_THREADS
    return PyFloat_FromDouble(sum);
}

#define FAST(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef methods[] = {
    {"sum3", FAST(call_sum3), METH_FASTCALL, NULL},
    {"total", FAST(call_total), METH_FASTCALL, NULL},
    {"total_released", FAST(call_total_released), METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "bench_fastcall",
    .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit_bench_fastcall(void)
{
    import_array();
    return PyModule_Create(&module);
}
