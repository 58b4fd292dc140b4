/* SPDX-License-Identifier: MIT */
/*
 * _numpy inside: how a mapping meets NumPy arrays.
 *
 *     map.c       the mapped call: takes it apart and finds the way below that serves it
 *       flat.c    elementwise, every array of the right dtype and one simple layout: no iterator
 *       outer.c   any layout and core dimensions: broadcasts, allocates, makes hwn_places
 *       cast.c    elementwise with casts: NumPy's iterator, one copy a worker
 *       ufunc.c   everything else, through a genuine ufunc whose loops end here too
 *     sizes.c     core dimensions: inferred, checked, computed
 *     places.c    runs the function at a range of places: gathers, converts, scatters
 *     run.c       when to release the GIL, when to use the pool, how to stop
 *     kinds.c     dtypes and Python scalars
 *
 * What guards what:
 *     hwn_job.failure    failing (a flag); failed_at is read without it, see hwn_fail
 *     everything static  written while the module is initialised, then only read
 */
#ifndef HEADWAY_EXT_NUMPY_INTERNAL_H
#define HEADWAY_EXT_NUMPY_INTERNAL_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define NPY_TARGET_VERSION NPY_2_1_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL headway_array_api
#define PY_UFUNC_UNIQUE_SYMBOL headway_ufunc_api
#ifndef HWN_IMPORTS_NUMPY
#define NO_IMPORT_ARRAY
#define NO_IMPORT_UFUNC
#endif
#include <numpy/arrayobject.h>
#include <numpy/ufuncobject.h>

#include <stdatomic.h>
#include <time.h>

#include "hooks.h"

extern const hw_core_api *hwn_api;
extern bool hwn_debug; /* what hw_debug says, asked once */

/* ---- kinds.c: dtypes and scalars ------------------------------------------------------------- */

typedef struct hwn_kind {
    int typenum;
    int same; /* equal for types of the same representation and meaning: long and long long */
    Py_ssize_t size;
    Py_ssize_t align;
    const char *name;     /* C's */
    PyArray_Descr *descr; /* borrowed from NumPy for ever */
    int64_t low;          /* integers: what fits; high only says it for those below uint64 */
    uint64_t high;
} hwn_kind;

/* The kind whose dtype is NumPy's int64. */
#define HWN_INT64_KIND (sizeof(long) == 8 ? HW_LONG : HW_LLONG)

extern hwn_kind hwn_kinds[HW_CLDOUBLE + 1];
extern uint8_t hwn_same_typenum[NPY_NTYPES_LEGACY]; /* as hwn_kind.same; 0xff: not ours */
extern uint8_t hwn_kind_of_typenum[NPY_NTYPES_LEGACY];

void hwn_kinds_init(void);

/* Native byte order and the same representation. Alignment is another matter. */
static inline bool hwn_is_kind(PyArrayObject *a, hw_kind kind)
{
    PyArray_Descr *d = PyArray_DESCR(a);
    return d->type_num < NPY_NTYPES_LEGACY &&
           hwn_same_typenum[d->type_num] == hwn_kinds[kind].same && PyArray_ISNBO(d->byteorder);
}

/* Integers that an int64 array may stand in for, value by value. */
static inline bool hwn_narrows(hw_kind kind)
{
    return hw_kind_is_integer(kind) && hwn_kinds[kind].same != hwn_kinds[HWN_INT64_KIND].same;
}

/* Integer results that become int64 where int64 came in. */
static inline bool hwn_widens(hw_kind kind)
{
    return hwn_narrows(kind) && kind != HW_BOOL && hwn_kinds[kind].high <= INT64_MAX;
}

/* A Python number as an element: 1 done; 0 not a number that this kind takes; -1 an exception
 * that names the parameter (operand `op` of the function). */
int hwn_scalar(PyObject *function, int op, hw_kind kind, PyObject *o, void *value);

/* int64 to a narrower kind; the first value that does not fit, or -1. */
ptrdiff_t hwn_narrow(hw_kind kind, char *to, ptrdiff_t to_step, const char *from,
                     ptrdiff_t from_step, ptrdiff_t n);
void hwn_widen(hw_kind kind, char *to, ptrdiff_t to_step, const char *from, ptrdiff_t from_step,
               ptrdiff_t n);

/* What the user calls operand `op`, for messages: "argument x", "the result". New reference. */
PyObject *hwn_operand_name(PyObject *function, int op);
PyObject *hwn_function_name(PyObject *function);

/* OverflowError for a value that a parameter of C's type cannot hold. */
void hwn_raise_range(PyObject *function, int op, hw_kind kind, PyObject *value);

/* ---- run.c ----------------------------------------------------------------------------------- */

typedef enum hwn_cause { HWN_NO_CAUSE, HWN_NO_MEMORY, HWN_FORKED, HWN_OUT_OF_RANGE } hwn_cause;

typedef struct hwn_failure {
    hwn_cause cause;
    int op;        /* OUT_OF_RANGE: the operand */
    int64_t value; /* and what it held */
} hwn_failure;

/* A mapped call under way: `length` places, handled by `body` in any order and on any thread. */
typedef struct hwn_job hwn_job;
struct hwn_job {
    const hw_mapping *mapping;
    void (*body)(hwn_job *job, ptrdiff_t begin, ptrdiff_t end, unsigned worker);
    /* Called once, with the GIL, before the pool is used. Nullable. -1 and an exception. */
    int (*prepare)(hwn_job *job);
    ptrdiff_t length;
    ptrdiff_t chunk; /* places */
    ptrdiff_t unit;  /* pieces are cut at multiples of this: vector code sees whole vectors */
    bool in_order;   /* one thread, ascending, one place a core call */
    bool attached;   /* the caller holds the GIL */

    /* Set by hwn_run. */
    unsigned threads;
    ptrdiff_t done; /* places handled before the pool was used */
    hw_frame frame; /* the caller's; saved while it is detached */
    int last_errno;
    bool locked;
    atomic_bool stopped; /* a callback raised: nothing more is to be done */
    PyObject **errors;   /* of the other workers' callbacks; owned */
    char *scratch;       /* worker 0's; then the other workers' */
    char **scratches;
    _Atomic ptrdiff_t failed_at; /* the lowest place that is known to have failed */
    atomic_flag failing;
    hwn_failure failure;
};

static inline void hwn_job_init(hwn_job *job, const hw_mapping *m, ptrdiff_t length)
{
    job->mapping = m;
    job->prepare = NULL;
    job->length = length;
    job->chunk = 64;
    job->unit = 64;
    job->in_order = false;
    job->attached = true;
    job->threads = 1;
    job->done = 0;
    job->last_errno = 0;
    atomic_init(&job->stopped, false);
    job->errors = NULL;
    job->locked = false;
    job->scratch = NULL;
    job->scratches = NULL;
    atomic_init(&job->failed_at, PTRDIFF_MAX);
    atomic_flag_clear_explicit(&job->failing, memory_order_relaxed);
    job->failure.cause = HWN_NO_CAUSE;
}

/*
 * Runs the job. 0; -1 where it stopped: then either job->failure says why, or it was interrupted
 * and the exception is set. Returns with the GIL held or not as it was.
 */
int hwn_run(hwn_job *job);

/* From body: place `at` failed. Only the failure of the lowest place is kept, and places above one
 * that failed need not be handled: the same error at any thread count. */
void hwn_fail(hwn_job *job, ptrdiff_t at, hwn_cause cause, int op, int64_t value);

static inline bool hwn_failed_before(hwn_job *job, ptrdiff_t at)
{
    return atomic_load_explicit(&job->failed_at, memory_order_relaxed) < at;
}

/* Raises what hwn_run left in job->failure, if anything. With the GIL. */
void hwn_raise(PyObject *function, const hwn_job *job);

/* A worker's scratch space, `size` bytes aligned to 64, made on first use; NULL without memory. */
char *hwn_scratch(hwn_job *job, unsigned worker, size_t size);

/* Ticks of a clock of 1 to 5 GHz (x86-64) or of nanoseconds: enough to tell short from long. */
static inline uint64_t hwn_ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
#endif
}

/* True where this thread holds the GIL. */
static inline bool hwn_attached(void)
{
#if PY_VERSION_HEX >= 0x030D0000
    return PyThreadState_GetUnchecked() != NULL;
#elif PY_VERSION_HEX >= 0x030C0000
    return _PyThreadState_UncheckedGet() != NULL;
#else
    PyThreadState *mine = PyGILState_GetThisThreadState();
    return mine != NULL && mine == _PyThreadState_UncheckedGet();
#endif
}

/* After a run that began with hwn_fp_clear: warns or raises as np.errstate says. 0 or -1. */
int hwn_report_fp(PyObject *function, int flags);

/* ---- places.c -------------------------------------------------------------------------------- */

/* How one operand's core slices differ from what a loop takes. */
typedef enum hwn_mode {
    HWN_DIRECT,
    HWN_COPY, /* not contiguous or not aligned: through scratch */
    HWN_INT64 /* int64 elements for a narrower kind: through scratch, checked */
} hwn_mode;

typedef struct hwn_slice {
    hwn_mode mode;
    int n_core;
    ptrdiff_t shape[HW_MAX_CORE];
    ptrdiff_t strides[HW_MAX_CORE]; /* bytes, outside */
    ptrdiff_t count;                /* elements */
    ptrdiff_t bytes;                /* in scratch */
    ptrdiff_t offset;               /* of this operand's scratch in the worker's */
} hwn_slice;

typedef struct hwn_places {
    hwn_job job; /* first: body's argument is cast back */
    int n_ops;
    ptrdiff_t dims[1 + HW_MAX_DIMS];
    int n_axes;                   /* at least 1; innermost first */
    ptrdiff_t shape[NPY_MAXDIMS]; /* product: job.length */
    char *data[HW_MAX_OPERANDS];
    ptrdiff_t steps[NPY_MAXDIMS][HW_MAX_OPERANDS];
    bool scratched; /* some operand is not DIRECT; only then are slices looked at */
    ptrdiff_t block;
    size_t scratch_size;
    hwn_slice slices[HW_MAX_OPERANDS];
} hwn_places;

/* Describes an operand's core slice, whose axes have these strides. A slice that is not contiguous
 * becomes COPY; scratched tells that one is not DIRECT. */
void hwn_places_slice(hwn_places *p, int op, hwn_mode mode, const ptrdiff_t *strides);

/* After every slice is described. */
void hwn_places_layout(hwn_places *p);

/* job.body for places. */
void hwn_places_body(hwn_job *job, ptrdiff_t begin, ptrdiff_t end, unsigned worker);

/* n places in a row; `at` is the first one's number, for failures. */
void hwn_places_row(hwn_places *p, char *const *args, const ptrdiff_t *steps, ptrdiff_t n,
                    ptrdiff_t at, unsigned worker);

/* ---- sizes.c --------------------------------------------------------------------------------- */

typedef struct hwn_sizes {
    ptrdiff_t dims[1 + HW_MAX_DIMS]; /* [1 + d]; -1: not known yet */
    int8_t from[HW_MAX_DIMS];        /* the operand that said so; -1: a number in C */
} hwn_sizes;

void hwn_sizes_init(const hw_mapping *m, hwn_sizes *s);

/* Takes what the last axes of an operand's array say. 0, or -1 and ValueError. */
int hwn_sizes_take(PyObject *function, const hw_mapping *m, hwn_sizes *s, int op,
                   PyArrayObject *array);

typedef enum hwn_agreement { HWN_SIZES_AGREE, HWN_SIZES_DIFFER, HWN_SIZE_WRONG } hwn_agreement;

/* Computes the expressions whose sizes are known and checks those that are given; *dim is the one
 * that is wrong. dims: one a core dimension, -1 where unknown. */
hwn_agreement hwn_sizes_compute(const hw_mapping *m, ptrdiff_t *dims, int *dim);

/* Computes and checks the expressions; nothing may be missing afterwards. 0, or -1 and ValueError.
 */
int hwn_sizes_finish(PyObject *function, const hw_mapping *m, hwn_sizes *s);

/* ---- the ways of a mapped call --------------------------------------------------------------- */

typedef struct hwn_request {
    PyObject *function;
    const hw_mapping *mapping;
    PyObject *const *in;            /* n_in */
    PyObject *out[HW_MAX_OPERANDS]; /* n_out, borrowed; NULL where to be allocated */
    bool any_out;
} hwn_request;

/* 1 and *result; 0 where this way does not serve the call; -1 and an exception. */
typedef int hwn_way(const hwn_request *q, PyObject **result);
hwn_way hwn_map_flat, hwn_map_outer, hwn_map_cast;

/* The whole run of a call, with the GIL: the job, then its exception or its floating-point
 * warnings. 0, or -1 and an exception. */
int hwn_run_call(hwn_job *job, PyObject *function);

/* What the call returns: one output or a tuple of them, new ones of no dimension as scalars, given
 * ones as they are. Steals the arrays. */
PyObject *hwn_results(const hwn_request *q, PyArrayObject **outputs);

/* True where the memory of two arrays may have a byte in common. */
bool hwn_may_overlap(PyArrayObject *a, PyArrayObject *b);

/* Where int64 arrays stand in for narrower integers. */
typedef enum hwn_typing {
    HWN_NATURAL, /* every input may be cast safely to the type C takes */
    HWN_WIDE,    /* to that, or to int64 where C takes a narrower integer */
    HWN_NEITHER
} hwn_typing;

/* `arrays[i]` NULL: a scalar already of the right kind. */
hwn_typing hwn_type_of_call(const hw_mapping *m, PyArrayObject *const *arrays);

PyObject *hwn_map(PyObject *function, const hw_mapping *m, PyObject *const *args, Py_ssize_t nargs,
                  PyObject *kwnames);
PyObject *hwn_copies(PyObject *function, const hw_mapping *m, PyObject *const *args,
                     Py_ssize_t nargs);
PyObject *hwn_ufunc(PyObject *function, const hw_mapping *m, const char *name, const char *doc);

#endif
