/* SPDX-License-Identifier: MIT */
/* Library: a shared library that is loaded. It stays loaded: C may hold pointers into it. */
#include "core.h"

#include <dlfcn.h>

struct Library {
    PyObject_HEAD State *state;
    void *handle;
    PyObject *path; /* str, or None for the process itself */
};

static PyObject *open_library(PyObject *m, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"path", "share_symbols", NULL};
    State *state = PyModule_GetState(m);
    PyObject *path = Py_None, *encoded = NULL;
    int share = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|Op", keywords, &path, &share))
        return NULL;
    if (path != Py_None && !PyUnicode_FSConverter(path, &encoded))
        return NULL;
    const char *name = encoded ? PyBytes_AS_STRING(encoded) : NULL;
    void *handle;
    Py_BEGIN_ALLOW_THREADS handle = dlopen(name, RTLD_NOW | (share ? RTLD_GLOBAL : RTLD_LOCAL));
    Py_END_ALLOW_THREADS Py_XDECREF(encoded);
    if (!handle)
        return raise_named(state, "LibraryError", "%s", dlerror());
    Library *l = PyObject_New(Library, state->library_type);
    if (!l)
        return NULL;
    l->state = state;
    l->handle = handle;
    l->path = Py_NewRef(path);
    atomic_fetch_add(&state->live[LIVE_LIBRARY], 1);
    return (PyObject *)l;
}

static PyObject *symbol(PyObject *self, PyObject *name)
{
    const char *s = PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : NULL;
    void *address = s ? dlsym(((Library *)self)->handle, s) : NULL;
    if (!address) {
        if (!PyErr_Occurred())
            PyErr_SetObject(PyExc_KeyError, name);
        return NULL;
    }
    return PyLong_FromVoidPtr(address);
}

static PyObject *get_path(PyObject *self, void *closure)
{
    (void)closure;
    return Py_NewRef(((Library *)self)->path);
}

static PyObject *library_repr(PyObject *self)
{
    return PyUnicode_FromFormat("<headway.Library %R>", ((Library *)self)->path);
}

static void library_dealloc(PyObject *self)
{
    Library *l = (Library *)self;
    PyTypeObject *type = Py_TYPE(self);
    atomic_fetch_sub(&l->state->live[LIVE_LIBRARY], 1);
    Py_DECREF(l->path);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"symbol", symbol, METH_O, "symbol(name): its address; KeyError where there is none."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef getset[] = {
    {"path", get_path, NULL, "As it was opened; None for this process.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_dealloc, library_dealloc},
    {Py_tp_repr, library_repr},
    {Py_tp_methods, methods},
    {Py_tp_getset, getset},
    {Py_tp_doc, "A shared library that is loaded, and stays so."},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "headway.Library",
    .basicsize = sizeof(Library),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

static PyMethodDef library_functions[] = {
    {"open_library", (PyCFunction)(void (*)(void))open_library, METH_VARARGS | METH_KEYWORDS,
     "open_library(path=None, share_symbols=False): LibraryError where the loader refuses."},
    {NULL, NULL, 0, NULL},
};

int library_add_type(PyObject *module, State *state)
{
    state->library_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    if (!state->library_type || PyModule_AddType(module, state->library_type) < 0)
        return -1;
    return PyModule_AddFunctions(module, library_functions);
}
