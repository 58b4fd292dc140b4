/* SPDX-License-Identifier: MIT */
/* The worker threads: see run.h. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

hw_pool hw_pool_the_one;
_Thread_local bool hw_crew_inside;

static pthread_once_t fork_handler_once = PTHREAD_ONCE_INIT;

/* Changes a counter whose writers all hold the lock. */
static inline void adjust_locked(_Atomic unsigned *value, int by)
{
    atomic_store_explicit(value, hw_peek(value) + (unsigned)by, memory_order_relaxed);
}

/* ---- lifecycle ---------------------------------------------------------------------------------
 */

/* Runs in the child of a fork, where nothing else runs. The crew stays reachable: its memory is a
 * copy that nobody can free safely. */
static void forget_crew(void)
{
    hw_pool *pool = &hw_pool_the_one;
    hw_crew *c = atomic_load_explicit(&pool->crew, memory_order_relaxed);
    if (c) {
        c->lost = pool->lost;
        pool->lost = c;
        atomic_store_explicit(&pool->crew, NULL, memory_order_relaxed);
    }
}

static void set_fork_handler(void) { pthread_atfork(NULL, NULL, forget_crew); }

/* The pool's crew, made where there is none; NULL without memory. */
static hw_crew *crew_of(hw_pool *pool)
{
    /* Acquire pairs with the release of the exchange below: the crew's initialisation. */
    hw_crew *c = atomic_load_explicit(&pool->crew, memory_order_acquire);
    if (c)
        return c;
    pthread_once(&fork_handler_once, set_fork_handler);
    hw_crew *made = calloc(1, sizeof *made);
    if (!made)
        return NULL;
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->wake, NULL);
    if (atomic_compare_exchange_strong_explicit(&pool->crew, &c, made, memory_order_acq_rel,
                                                memory_order_acquire))
        return made;
    pthread_cond_destroy(&made->wake);
    pthread_mutex_destroy(&made->lock);
    free(made);
    return c;
}

static void *worker_main(void *argument);

/* Makes a worker thread, with every signal blocked: handlers run on the program's own threads. */
static bool spawn(hw_crew *c)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    if (pthread_attr_init(&attributes))
        return false;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread, &attributes, worker_main, c);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return !failed;
}

/* ---- the list of runs, and asking for helpers ---------------------------------------------------
 */

/* The caller's first ask: puts the run where workers look. */
static bool list_run(hw_run *r)
{
    pthread_condattr_t attributes;
    hw_crew *c = crew_of(r->pool);
    if (!c || pthread_condattr_init(&attributes))
        return false;
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    int failed = pthread_cond_init(&r->done, &attributes);
    pthread_condattr_destroy(&attributes);
    if (failed)
        return false;
    fegetenv(&r->environment);
    memset(r->numbers, 0, sizeof r->numbers);
    r->numbers[0] = 1; /* the caller's */
    r->raised = 0;
    r->waiting = false;
    r->younger = NULL;
    r->listed = true;
    r->crew = c;
    pthread_mutex_lock(&c->lock);
    hw_run **end = &c->runs;
    while (*end)
        end = &(*end)->younger;
    *end = r;
    pthread_mutex_unlock(&c->lock);
    return true;
}

void hw_crew_unlist_locked(hw_run *r)
{
    hw_crew *c = r->crew;
    hw_run **link = &c->runs;
    while (*link != r)
        link = &(*link)->younger;
    *link = r->younger;
    r->listed = false;
    adjust_locked(&c->open, -(int)(hw_peek(&r->wanted) - hw_peek(&r->helpers)));
}

/* Asks for one helper more: wakes a sleeping worker or, where every one is busy and there are fewer
 * than this run may use, makes one. Where neither, a worker that becomes free will come. */
static void ask(hw_run *r)
{
    hw_crew *c = r->crew;
    bool wake = false, make = false;
    pthread_mutex_lock(&c->lock);
    if (r->listed && hw_peek(&r->wanted) < hw_peek(&r->limit)) {
        adjust_locked(&r->wanted, 1);
        adjust_locked(&c->open, 1);
        if (c->sleeping > c->signals) {
            c->signals++;
            wake = true;
        } else if (c->workers < hw_peek(&r->limit)) {
            c->workers++;
            make = true;
        }
    }
    pthread_mutex_unlock(&c->lock);
    if (wake)
        pthread_cond_signal(&c->wake);
    if (make && !spawn(c)) {
        pthread_mutex_lock(&c->lock);
        c->workers--;
        atomic_store_explicit(&r->limit, hw_peek(&r->wanted), memory_order_relaxed); /* no more */
        pthread_mutex_unlock(&c->lock);
    }
}

/* True while helpers do more harm than good to runs with that much left. */
static bool is_paused(const hw_pool *pool, int64_t now, double left)
{
    /* Acquire as in crew_of. */
    hw_crew *c = atomic_load_explicit(&pool->crew, memory_order_acquire);
    return c && now < atomic_load_explicit(&c->paused_until, memory_order_relaxed) &&
           left < (double)atomic_load_explicit(&c->paused_below, memory_order_relaxed);
}

void hw_crew_recruit(hw_hand *h)
{
    hw_run *r = h->run;
    double left = hw_hand_left(h);
    for (int asked = 0; asked < 2; asked++) {
        unsigned wanted = hw_peek(&r->wanted);
        if (wanted >= hw_peek(&r->limit) || left < HW_WORTH * (wanted + 1.0) ||
            is_paused(r->pool, h->now, left))
            return;
        if (!r->crew && !list_run(r)) {
            atomic_store_explicit(&r->limit, 0, memory_order_relaxed);
            return;
        }
        if (wanted == 0)
            r->alone = (double)(h->now - h->start) + left;
        ask(r);
    }
}

/*
 * On a busy machine a helper may be preempted in the middle of a piece, for milliseconds that the
 * caller then waits, or take the caller's own core. Where a run took longer than the caller alone
 * would have, runs up to twice as long ask for nobody for a while: 5 ms, twice that each time it
 * happens again, half each time it does not.
 */
void hw_crew_judge_locked(const hw_hand *caller, int64_t now)
{
    hw_crew *c = caller->run->crew;
    double alone = caller->run->alone;
    if (hw_run_cancelled(caller->run))
        return;
    if ((double)(now - caller->start) <= alone) {
        c->pause /= 2;
        return;
    }
    c->pause = c->pause * 2 > HW_LEAST_PAUSE ? c->pause * 2 : HW_LEAST_PAUSE;
    c->pause = c->pause < HW_MOST_PAUSE ? c->pause : HW_MOST_PAUSE;
    atomic_store_explicit(&c->paused_until, now + c->pause, memory_order_relaxed);
    atomic_store_explicit(&c->paused_below, (int64_t)(2 * alone), memory_order_relaxed);
}

/* ---- workers ------------------------------------------------------------------------------------
 */

/* The listed run with helpers to find that has the fewest. */
static hw_run *neediest_locked(const hw_crew *c)
{
    hw_run *found = NULL;
    for (hw_run *r = c->runs; r; r = r->younger) {
        if (hw_peek(&r->helpers) < hw_peek(&r->wanted) &&
            (!found || hw_peek(&r->helpers) < hw_peek(&found->helpers)))
            found = r;
    }
    return found;
}

/* Returns the worker number. */
static unsigned join_locked(hw_run *r)
{
    unsigned word = 0;
    adjust_locked(&r->helpers, 1);
    adjust_locked(&r->crew->open, -1);
    while (r->numbers[word] == UINT64_MAX)
        word++; /* ends: at most limit < HW_MAX_THREADS helpers at a time */
    unsigned bit = (unsigned)__builtin_ctzll(~r->numbers[word]);
    r->numbers[word] |= (uint64_t)1 << bit;
    return word * 64 + bit;
}

/* `back`: somebody else may take the place. The run may be gone once the lock is released. */
static void leave_locked(hw_run *r, unsigned number, int raised, bool back)
{
    r->numbers[number / 64] &= ~((uint64_t)1 << number % 64);
    r->raised |= raised;
    adjust_locked(&r->helpers, -1);
    if (!back)
        adjust_locked(&r->wanted, -1);
    else if (r->listed)
        adjust_locked(&r->crew->open, 1);
    if (hw_peek(&r->helpers) == 0 && r->waiting)
        pthread_cond_signal(&r->done);
}

/* True where another run has at least two helpers fewer than this one. */
static bool is_needed_elsewhere(const hw_run *r)
{
    hw_crew *c = r->crew;
    if (hw_peek(&c->open) == 0)
        return false;
    pthread_mutex_lock(&c->lock);
    hw_run *other = neediest_locked(c);
    bool needed = other && other != r && hw_peek(&other->helpers) + 2 <= hw_peek(&r->helpers);
    pthread_mutex_unlock(&c->lock);
    return needed;
}

/* Works on a run until nothing is left, or until another run needs this worker more. True for the
 * latter. The caller's floating-point environment (rounding, flush-to-zero) holds meanwhile. */
static bool help(hw_run *r, unsigned number, int *raised)
{
    size_t unit = r->loop->unit ? r->loop->unit : 1;
    hw_hand h = {.run = r, .number = number, .batch = unit};
    fesetenv(&r->environment);
    feclearexcept(FE_ALL_EXCEPT);
    h.start = h.now = hw_clock();
    bool elsewhere = false;
    while (!elsewhere && hw_hand_work(&h) && !hw_run_was_forked(r)) {
        hw_hand_set_pace(&h, hw_clock());
        hw_crew_recruit(&h);
        elsewhere = h.at == h.end && is_needed_elsewhere(r);
    }
    *raised = fetestexcept(FE_ALL_EXCEPT);
    return elsewhere;
}

static void *worker_main(void *argument)
{
    hw_crew *c = argument;
    hw_crew_inside = true;
    pthread_mutex_lock(&c->lock);
    for (;;) {
        hw_run *r = neediest_locked(c);
        if (!r) {
            c->sleeping++;
            pthread_cond_wait(&c->wake, &c->lock);
            c->sleeping--;
            c->signals -= c->signals > 0;
            continue;
        }
        unsigned number = join_locked(r);
        pthread_mutex_unlock(&c->lock);
        int raised;
        bool back = help(r, number, &raised);
        if (hw_run_was_forked(r))
            return NULL; /* body forked: this is the child's only thread, and ends it */
        pthread_mutex_lock(&c->lock);
        leave_locked(r, number, raised, back);
    }
}
