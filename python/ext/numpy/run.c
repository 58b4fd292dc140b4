/* SPDX-License-Identifier: MIT */
/*
 * Runs a job: the first places at once, the rest, where it is worth it, without the GIL on the
 * pool.
 *
 * How long a place takes is not known beforehand: a sum takes a nanosecond, a quadrature a second.
 * So the run starts with one place, goes on to sixteen, and from there to four times as many as
 * long as that is foreseen to end within LIMIT. Most calls end there, with nothing released and
 * nobody asked. What is left of the others goes to the pool, which polls for signals.
 *
 * A short call that follows another of the same function at once was preceded by a quick one: it is
 * not timed. So only the first of a series of short calls can be slow without anybody noticing.
 *
 * Where pieces are cut follows from the length alone (1, 16, 64, 256, ... then multiples of the
 * unit and the chunk), except where a place takes longer than SLOW: vector code is never that slow.
 *
 * The lock of a mapping and the GIL: this thread never waits for one while it holds the other.
 */
#include "internal.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "fp.h"

enum { SECOND = 16, GROWTH = 4 };

#define LIMIT 40000 /* ticks: 8 to 40 us */
#define SLOW 40000  /* ticks a place */

/* ---- failures -------------------------------------------------------------------------------- */

/* The flag orders writers of `failure`; the run's end orders them before its reader. */
void hwn_fail(hwn_job *job, ptrdiff_t at, hwn_cause cause, int op, int64_t value)
{
    while (atomic_flag_test_and_set_explicit(&job->failing, memory_order_acquire))
        ;
    if (at < atomic_load_explicit(&job->failed_at, memory_order_relaxed)) {
        job->failure = (hwn_failure){cause, op, value};
        atomic_store_explicit(&job->failed_at, at, memory_order_relaxed);
    }
    atomic_flag_clear_explicit(&job->failing, memory_order_release);
}

void hwn_raise(PyObject *function, const hwn_job *job)
{
    PyObject *value;
    switch (job->failure.cause) {
    case HWN_NO_CAUSE: break;
    case HWN_NO_MEMORY: PyErr_NoMemory(); break;
    case HWN_FORKED:
        PyErr_SetString(PyExc_RuntimeError,
                        "the process was forked within a mapped call: its threads are gone");
        break;
    case HWN_OUT_OF_RANGE:
        value = PyLong_FromLongLong(job->failure.value);
        if (value)
            hwn_raise_range(function, job->failure.op, job->mapping->operands[job->failure.op].kind,
                            value);
        Py_XDECREF(value);
        break;
    }
}

int hwn_report_fp(PyObject *function, int flags)
{
    PyObject *name = hwn_function_name(function);
    const char *text = name ? PyUnicode_AsUTF8(name) : NULL;
    int status = text ? PyUFunc_GiveFloatingpointErrors(text, flags) : -1;
    Py_XDECREF(name);
    return status;
}

/* ---- scratch --------------------------------------------------------------------------------- */

char *hwn_scratch(hwn_job *job, unsigned worker, size_t size)
{
    char **mine = worker == 0 ? &job->scratch : &job->scratches[worker - 1];
    if (!*mine)
        *mine = aligned_alloc(64, (size + 63) & ~(size_t)63);
    return *mine;
}

static void free_scratch(hwn_job *job)
{
    if (job->scratch)
        free(job->scratch);
    for (unsigned w = 1; w < job->threads && job->scratches; w++)
        free(job->scratches[w - 1]);
    if (job->threads > 1) {
        free(job->scratches);
        free(job->errors);
    }
}

/* ---- callbacks ------------------------------------------------------------------------------- */

/* body on the calling thread, in the frame that hwn_run opened. */
static void run_here(hwn_job *job, ptrdiff_t begin, ptrdiff_t end)
{
    job->body(job, begin, end, 0);
    job->last_errno = errno;
    if (job->frame.error)
        atomic_store_explicit(&job->stopped, true, memory_order_relaxed);
}

/* body on another thread: callbacks attach as they come, and their exception is kept. */
static void run_there(hwn_job *job, ptrdiff_t begin, ptrdiff_t end, unsigned worker)
{
    hw_frame frame;
    hwn_api->frame_push(&frame);
    job->body(job, begin, end, worker);
    hwn_api->frame_pop(&frame);
    if (frame.error) {
        job->errors[worker - 1] = frame.error;
        atomic_store_explicit(&job->stopped, true, memory_order_relaxed);
    }
}

/* Raises one of the exceptions that callbacks left: the caller's, else the lowest worker's. */
static bool raise_callback(hwn_job *job)
{
    bool raised = false;
    for (unsigned w = job->errors ? job->threads - 1 : 0; w > 0; w--)
        raised |= hwn_api->frame_raise(&job->frame, job->errors[w - 1]);
    return hwn_api->frame_raise(&job->frame, job->frame.error) || raised;
}

/* ---- the function's lock --------------------------------------------------------------------- */

static void lock(hwn_job *job)
{
    pthread_mutex_t *mutex = job->mapping->lock;
    job->locked = true;
    if (pthread_mutex_trylock(mutex) == 0)
        return;
    if (job->frame.saved) {
        pthread_mutex_lock(mutex);
        return;
    }
    do { /* waits without the GIL, then asks again with it */
        PyThreadState *thread = PyEval_SaveThread();
        pthread_mutex_lock(mutex);
        pthread_mutex_unlock(mutex);
        PyEval_RestoreThread(thread);
    } while (pthread_mutex_trylock(mutex) != 0);
}

static void unlock(hwn_job *job)
{
    if (job->locked)
        pthread_mutex_unlock(job->mapping->lock);
    job->locked = false;
}

/* ---- the run --------------------------------------------------------------------------------- */

/* This thread's last short call: when it began. */
static _Thread_local struct {
    const hw_mapping *mapping;
    uint64_t began;
} last __attribute__((tls_model("initial-exec")));

/* True where the thread was in the same function a moment ago, and is back already. */
static inline bool follows_quick_call(const hwn_job *job, uint64_t now)
{
    bool follows = last.mapping == job->mapping && now - last.began < SLOW;
    last.mapping = job->mapping;
    last.began = now;
    return follows;
}

/* The first places of several, while they are few or quick. How many were handled. */
static ptrdiff_t run_short(hwn_job *job)
{
    const ptrdiff_t n = job->length;
    ptrdiff_t done = 0, end = 1;
    uint64_t start = hwn_ticks();
    if (n <= SECOND && follows_quick_call(job, start))
        end = n;
    for (;;) {
        run_here(job, done, end);
        done = end;
        if (done == n || job->frame.error)
            return done;
        uint64_t took = hwn_ticks() - start;
        if (took > SLOW * (uint64_t)done) {
            job->unit = job->chunk = 1;
            return done;
        }
        if (took > LIMIT / GROWTH && done >= 64)
            return done;
        end = done == 1 ? SECOND : done * GROWTH;
        end = end < n ? end : n;
    }
}

static void run_piece(void *context, size_t begin, size_t end, unsigned worker)
{
    hwn_job *job = context;
    if (atomic_load_explicit(&job->stopped, memory_order_relaxed))
        return;
    if (worker == 0)
        run_here(job, job->done + (ptrdiff_t)begin, job->done + (ptrdiff_t)end);
    else
        run_there(job, job->done + (ptrdiff_t)begin, job->done + (ptrdiff_t)end, worker);
}

/* Signal handlers run here, with the GIL. A handler may call a function of the same lock. */
static bool run_poll(void *context)
{
    hwn_job *job = context;
    bool was_locked = job->locked;
    if (atomic_load_explicit(&job->stopped, memory_order_relaxed))
        return true;
    unlock(job);
    bool stop = hwn_api->interrupted(&job->frame.saved);
    if (was_locked)
        lock(job);
    return stop;
}

static int prepare(hwn_job *job)
{
    const hw_mapping *m = job->mapping;
    job->threads = m->serial || m->lock || job->in_order ? 1 : hwn_api->threads();
    ptrdiff_t chunks = (job->length - job->done - 1) / job->chunk + 1;
    if ((ptrdiff_t)job->threads > chunks)
        job->threads = (unsigned)chunks;
    if (job->threads > 1) {
        job->scratches = calloc(job->threads - 1, sizeof *job->scratches);
        job->errors = calloc(job->threads - 1, sizeof *job->errors);
        if (!job->scratches || !job->errors) {
            hwn_fail(job, 0, HWN_NO_MEMORY, 0, 0);
            return -1;
        }
    }
    return job->threads > 1 && job->prepare ? job->prepare(job) : 0;
}

static int run_long(hwn_job *job)
{
    bool release = job->attached && !job->mapping->serial;
    if (prepare(job) < 0)
        return -1;
    if (release)
        job->frame.saved = PyEval_SaveThread();
    hw_loop loop = {.length = (size_t)(job->length - job->done),
                    .chunk = (size_t)job->chunk,
                    .unit = (size_t)job->unit,
                    .body = run_piece,
                    .poll = run_poll,
                    .context = job};
    hw_status status = hwn_api->parallel_for(&loop, job->threads);
    unlock(job);
    if (release) {
        PyEval_RestoreThread(job->frame.saved);
        job->frame.saved = NULL;
    }
    if (status == HW_SYSTEM)
        hwn_fail(job, 0, HWN_FORKED, 0, 0);
    return status == HW_OK ? 0 : -1;
}

int hwn_run(hwn_job *job)
{
    int status = 0;
    if (job->length == 0)
        return 0;
    hwn_api->frame_push(&job->frame);
    if (!job->attached)
        job->frame.saved = PyGILState_GetThisThreadState();
    if (job->mapping->lock)
        lock(job);
    if (job->length > 1)
        job->done = run_short(job);
    else
        run_here(job, 0, job->done = 1);
    if (job->done < job->length && job->failure.cause == HWN_NO_CAUSE && !job->frame.error)
        status = run_long(job);
    unlock(job);
    errno = job->last_errno;
    hwn_api->frame_pop(&job->frame);
    bool raised = raise_callback(job);
    free_scratch(job);
    return job->failure.cause == HWN_NO_CAUSE && !raised ? status : -1;
}
