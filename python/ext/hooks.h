/* SPDX-License-Identifier: MIT */
/*
 * What the two extension modules say to each other.
 *
 * _core never imports NumPy, so that it loads in every interpreter. _numpy is imported by _core the
 * first time an argument or result needs it, fetches hw_core_api from _core's capsule and registers
 * its hooks there. _numpy links no copy of libheadway: what it runs, it runs through the table.
 */
#ifndef HEADWAY_EXT_HOOKS_H
#define HEADWAY_EXT_HOOKS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "headway/call.h"
#include "headway/pool.h"

#define HW_API_CAPSULE "headway._core._api"
#define HW_API_VERSION 1

/* An exact ndarray, looked into. Everything is borrowed from the array. */
typedef struct hw_ndview {
    char *data;
    int ndim;
    const Py_ssize_t *shape;
    const Py_ssize_t *strides; /* bytes */
    hw_kind kind;              /* of a native-endian arithmetic dtype; HW_VOID for any other */
    Py_ssize_t itemsize;
    PyObject *dtype;
    bool writable;
    bool contiguous; /* C-contiguous and aligned */
} hw_ndview;

typedef struct hw_numpy_hooks {
    PyTypeObject *ndarray; /* the class itself: the quickest look at an argument */

    /* 1 and a view where o is an exact numpy.ndarray, else 0. Sets no exception. */
    int (*view)(PyObject *o, hw_ndview *view);

    /* 1 where o is an ndarray (subclasses too), a NumPy scalar, or has __array_ufunc__. No
     * exception. */
    int (*is_arraylike)(PyObject *o);

    /*
     * The mapped call: args[0 .. nargs) are the mapping's inputs; keyword names and values follow
     * as in vectorcall (out, axis, where, dtype, casting, ...). What only a ufunc can do goes to
     * hw_core_api.ufunc's. New reference, or NULL and an exception. `function` is the
     * _core.Function, for messages.
     */
    PyObject *(*map)(PyObject *function, const hw_mapping *mapping, PyObject *const *args,
                     Py_ssize_t nargs, PyObject *kwnames);

    /* A genuine numpy.ufunc for the mapping. It keeps `function` alive. New reference. */
    PyObject *(*ufunc)(PyObject *function, const hw_mapping *mapping, const char *name,
                       const char *doc);

    /* True where mapping these arguments would copy: a list of bool, one an argument, new
     * reference. */
    PyObject *(*copies)(PyObject *function, const hw_mapping *mapping, PyObject *const *args,
                        Py_ssize_t nargs);

    /* A new C-contiguous array; *data is its memory. */
    PyObject *(*empty)(hw_kind kind, int ndim, const Py_ssize_t *shape, void **data);
} hw_numpy_hooks;

/*
 * One call in progress on one thread. Callbacks of the C function belong to it: they attach through
 * `saved`, and their exception ends up in `error`; none runs after that.
 */
typedef struct hw_frame {
    struct hw_frame *previous;
    PyThreadState *saved; /* where the GIL was released for the call, else NULL */
    struct State *state;  /* _core's */
    PyObject *error;      /* owned */
} hw_frame;

typedef struct hw_core_api {
    unsigned version;
    /* Registers the hooks (static storage) in the current interpreter's _core. -1 and an exception
     * on failure. */
    int (*set_numpy_hooks)(const hw_numpy_hooks *hooks);
    /* The mapping of a _core.Function, NULL where it has none; borrowed from the function. */
    const hw_mapping *(*mapping)(PyObject *function);
    /* The ufunc made for this function, made on first use and kept; new reference. */
    PyObject *(*ufunc)(PyObject *function);
    /* How many threads a map started by this thread may use (hw.threads, hw.set_num_threads). */
    unsigned (*threads)(void);
    hw_status (*parallel_for)(const hw_loop *loop, unsigned threads);
    /* Opens and closes a mapped call on this thread, workers too; errno is saved when it closes.
     * raise() sets the exception of a callback, if there is one, attaching where `saved` says so:
     * true where it did. */
    void (*frame_push)(hw_frame *frame);
    void (*frame_pop)(hw_frame *frame);
    bool (*frame_raise)(hw_frame *frame, PyObject *error);
    /* Poll for hw_loop: attaches, runs signal handlers on the main thread, detaches; true where one
     * raised (the exception is then set). Context: the PyThreadState * saved by PyEval_SaveThread,
     * or NULL where the GIL is held. */
    bool (*interrupted)(PyThreadState **saved);
} hw_core_api;

#endif
