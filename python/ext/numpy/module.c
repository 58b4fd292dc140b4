/* SPDX-License-Identifier: MIT */
/*
 * headway._numpy: what _core needs NumPy for. Imported by _core, which it then gives its hooks.
 */
#define HWN_IMPORTS_NUMPY
#include "internal.h"

const hw_core_api *hwn_api;
bool hwn_debug;

static int view(PyObject *o, hw_ndview *v)
{
    if (!PyArray_CheckExact(o))
        return 0;
    PyArrayObject *a = (PyArrayObject *)o;
    PyArray_Descr *descr = PyArray_DESCR(a);
    int flags = PyArray_FLAGS(a);
    v->data = PyArray_BYTES(a);
    v->ndim = PyArray_NDIM(a);
    v->shape = PyArray_DIMS(a);
    v->strides = PyArray_STRIDES(a);
    v->kind = descr->type_num < NPY_NTYPES_LEGACY && PyArray_ISNBO(descr->byteorder)
                  ? (hw_kind)hwn_kind_of_typenum[descr->type_num]
                  : HW_VOID;
    v->itemsize = PyDataType_ELSIZE(descr);
    v->dtype = (PyObject *)descr;
    v->writable = (flags & NPY_ARRAY_WRITEABLE) != 0;
    v->contiguous = (flags & NPY_ARRAY_CARRAY_RO) == NPY_ARRAY_CARRAY_RO;
    return 1;
}

static int is_arraylike(PyObject *o)
{
    if (PyArray_Check(o) || PyArray_IsScalar(o, Generic))
        return 1;
    if (PyLong_CheckExact(o) || PyFloat_CheckExact(o) || PyUnicode_CheckExact(o) ||
        PyBytes_CheckExact(o) || o == Py_None)
        return 0;
    PyObject *name = PyUnicode_InternFromString("__array_ufunc__");
    PyObject *override = name ? PyObject_GetAttr((PyObject *)Py_TYPE(o), name) : NULL;
    if (!override)
        PyErr_Clear();
    Py_XDECREF(name);
    Py_XDECREF(override);
    return override != NULL;
}

static PyObject *empty(hw_kind kind, int ndim, const Py_ssize_t *shape, void **data)
{
    PyArray_Descr *descr = hwn_kinds[kind].descr;
    Py_INCREF(descr);
    PyObject *a = PyArray_NewFromDescr(&PyArray_Type, descr, ndim, shape, NULL, NULL, 0, NULL);
    if (a)
        *data = PyArray_DATA((PyArrayObject *)a);
    return a;
}

static hw_numpy_hooks hooks = {
    .view = view,
    .is_arraylike = is_arraylike,
    .map = hwn_map,
    .ufunc = hwn_ufunc,
    .copies = hwn_copies,
    .empty = empty,
};

static int exec(PyObject *module)
{
    (void)module;
    import_array1(-1);
    import_umath1(-1);
    hwn_api = PyCapsule_Import(HW_API_CAPSULE, 0);
    if (!hwn_api)
        return -1;
    if (hwn_api->version != HW_API_VERSION) {
        PyErr_Format(PyExc_ImportError,
                     "headway._numpy was built for version %d of _core's interface, not %u: "
                     "reinstall headway",
                     HW_API_VERSION, hwn_api->version);
        return -1;
    }
    hwn_debug = hw_debug();
    hwn_kinds_init();
    hooks.ndarray = &PyArray_Type;
    return hwn_api->set_numpy_hooks(&hooks);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED}, /* as NumPy */
#endif
#if PY_VERSION_HEX >= 0x030D0000
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "headway._numpy",
    .m_doc = "NumPy arrays in and out of C functions; used by headway._core.",
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__numpy(void) { return PyModuleDef_Init(&definition); }
