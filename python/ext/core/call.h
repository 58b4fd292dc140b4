/* SPDX-License-Identifier: MIT */
/* What the parts of a call share; private to call.c, full.c and arrays.c. */
#ifndef HEADWAY_EXT_CALL_H
#define HEADWAY_EXT_CALL_H

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "core.h"

/* Opens a call: callbacks on this thread belong to it from here on. */
static inline void frame_push(Frame *frame, State *state)
{
    frame->previous = hw_thread.top;
    frame->saved = NULL;
    frame->state = state;
    frame->error = NULL;
    hw_thread.top = frame;
}

/* Right after the C function returned, before anything else may set errno. */
static inline void frame_pop(Frame *frame)
{
    Thread *thread = &hw_thread;
    if (!thread->errno_here)
        thread->errno_here = &errno; /* where it lies never changes in a thread: no call to ask */
    thread->saved_errno = *thread->errno_here;
    thread->top = frame->previous;
}

/* Takes the function's lock, never waiting for it with the GIL, and lets the GIL go if asked to. */
static inline void call_let_go(const Function *f, Frame *frame, bool release_gil)
{
    if (release_gil || f->lock)
        frame->saved = PyEval_SaveThread();
    if (f->lock)
        pthread_mutex_lock(f->lock);
    if (f->lock && !release_gil) {
        PyEval_RestoreThread(frame->saved);
        frame->saved = NULL;
    }
}

/* Closes the call, as frame_pop does, and undoes call_let_go. */
static inline void call_come_back(const Function *f, Frame *frame)
{
    frame_pop(frame);
    if (f->lock)
        pthread_mutex_unlock(f->lock);
    if (frame->saved)
        PyEval_RestoreThread(frame->saved);
}

static inline Site site_of(const Function *f, int param, Py_ssize_t position)
{
    const Param *p = &f->params[param];
    return (Site){
        .function = f->name, .parameter = p->name, .position = position, .ctype = p->spelling};
}

/* Raises the exception of a callback. Returns NULL. */
PyObject *raise_callback_error(Frame *frame);

/* One parameter of a call in progress. */
typedef struct Local {
    PyObject *given;    /* borrowed; NULL: none */
    PyObject *object;   /* owned: what the call made for an output */
    PyObject *user;     /* borrowed: what may belong to a handle, counted as in use */
    PyObject *callback; /* borrowed: to be hung on the handle that keeps it */
    hw_value value;     /* an output's or a size's storage, as C lays it out */
    Py_ssize_t position;
    bool misfit;   /* C says it wrote more than there is room for */
    bool by_value; /* the storage is passed by address and read back */
} Local;

typedef struct Call {
    Function *f;
    Local *locals;
    unsigned char *frame;
    ptrdiff_t sizes[HW_MAX_DIMS]; /* -1: not known yet */
    int8_t fixed_by[HW_MAX_DIMS]; /* the parameter it was first seen in; -1: none */
    Keep keep;
} Call;

/* arrays.c: the size a dimension has in an argument. -1 and ValueError where they disagree. */
int call_set_size(Call *c, int dim, int64_t size, int param);
/* The address of a sized array argument, its sizes noted. */
int call_array(Call *c, int param, void **to);
/* Sizes that follow from others; TypeError where one is not known. */
int call_finish_sizes(Call *c);
/* Whether pointers given for sized arrays have room for them. */
int call_check_room(Call *c);
/* Allocates an output that was not given. */
int call_allocate(Call *c, int param, void **to);
/* Would this argument be taken as it is by a direct call of the sized array parameter? */
bool call_direct(const Function *f, int param, PyObject *value);
/* An array, a NumPy scalar, or a list: for a mapped call. */
bool call_wants_map(const Function *f, PyObject *value);

/* full.c: the call that handles everything. */
PyObject *call_full(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *kwnames);

#endif
