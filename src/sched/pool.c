/* SPDX-License-Identifier: MIT */
/* The public functions, and what the caller of a parallel loop does: see run.h. */
#include "headway/pool.h"

#include <sched.h>
#include <stdlib.h>

#include "cpus.h"
#include "run.h"

/* Calls poll where it is due; notes a wish to stop. */
static void poll_if_due(hw_run *r, int64_t now, int64_t *polled)
{
    const hw_loop *loop = r->loop;
    if (!loop->poll || now - *polled < HW_POLL_EVERY || hw_run_cancelled(r))
        return;
    if (loop->poll(loop->context))
        atomic_store_explicit(&r->cancelled, true, memory_order_relaxed);
    *polled = hw_clock();
}

/* Helpers end within a fraction of a batch as a rule: less than going to sleep and waking takes. */
static void spin_for_helpers(hw_run *r)
{
    int64_t until = hw_clock() + HW_SPIN;
    while (hw_peek(&r->helpers) && hw_clock() < until)
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("isb");
#endif
    for (int i = 0; i < 2 && hw_peek(&r->helpers); i++)
        sched_yield();
}

/* Sleeps until the last helper has left or poll is due. */
static void sleep_locked(hw_run *r, int64_t polled)
{
    r->waiting = true;
    if (r->loop->poll && !hw_run_cancelled(r)) {
        int64_t due = polled + HW_POLL_EVERY;
        struct timespec at = {.tv_sec = (time_t)(due / 1000000000), .tv_nsec = due % 1000000000};
        pthread_cond_timedwait(&r->done, &r->crew->lock, &at);
    } else {
        pthread_cond_wait(&r->done, &r->crew->lock);
    }
    r->waiting = false;
}

/* Waits for the helpers of a run that was listed. False where a fork left it without them. */
static bool gather(hw_hand *caller, int64_t polled)
{
    hw_run *r = caller->run;
    hw_crew *c = r->crew;
    pthread_mutex_lock(&c->lock);
    hw_crew_unlist_locked(r);
    pthread_mutex_unlock(&c->lock);
    spin_for_helpers(r);
    pthread_mutex_lock(&c->lock);
    while (hw_peek(&r->helpers)) {
        sleep_locked(r, polled);
        pthread_mutex_unlock(&c->lock);
        poll_if_due(r, hw_clock(), &polled);
        if (hw_run_was_forked(r))
            return false;
        pthread_mutex_lock(&c->lock);
    }
    hw_crew_judge_locked(caller, hw_clock());
    pthread_mutex_unlock(&c->lock);
    pthread_cond_destroy(&r->done);
    feraiseexcept(r->raised);
    return true;
}

/* The caller's part, once it has been at work for `warm` ns: works until nothing is left to take.
 * False where a fork left it without helpers that had chunks under way. */
static bool lead(hw_hand *h, int64_t warm)
{
    hw_run *r = h->run;
    int64_t now = hw_clock(), polled = now;
    h->start = h->now = now - warm;
    while (!hw_hand_exhausted(h)) {
        hw_hand_set_pace(h, now);
        poll_if_due(r, now, &polled);
        if (!hw_run_was_forked(r) && h->now - h->start >= HW_EARLIEST)
            hw_crew_recruit(h);
        bool more = hw_hand_work(h);
        if (hw_run_was_forked(r)) {
            if (hw_peek(&r->helpers))
                return false;
            atomic_store_explicit(&r->limit, 0, memory_order_relaxed);
            r->crew = NULL;
        }
        if (!more)
            break;
        now = hw_clock();
    }
    return !r->crew || gather(h, polled);
}

#if defined(__x86_64__)
#define TICKS_PER_NS 5
#else
#define TICKS_PER_NS 1
#endif
#define QUICK 4000 /* ticks */

/* A counter that runs at TICKS_PER_NS at most: cheaper to read than the clock by 20 ns, which a
 * loop of ten elements notices, and good enough to tell a quick piece from a slow one. */
static inline uint64_t ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc(); /* below 5 GHz */
#elif defined(__aarch64__)
    uint64_t value;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(value));
    return value; /* 1 GHz at most */
#else
    return (uint64_t)hw_clock();
#endif
}

/* Handles the loop's first elements while pieces are quick: 1, 15, then three times all before, in
 * units. Returns how many; the last piece's size and ticks in *piece and *took. */
static size_t warm_up(const hw_loop *loop, size_t unit, size_t *piece, uint64_t *took)
{
    size_t size = unit, at = 0, left = loop->length;
    uint64_t before = ticks(), after;
    for (;;) {
        size = size < left ? size : left;
        loop->body(loop->context, at, at + size, 0);
        at += size;
        left -= size;
        *piece = size;
        if (left == 0)
            return at;
        after = ticks();
        *took = after - before;
        if (*took > QUICK)
            return at;
        before = after;
        size_t factor = at == unit ? 15 : 3;
        size = at <= left / factor ? at * factor : left;
    }
}

/* All that follows the hand's first elements, which took `warm` ns. */
static hw_status run_rest(hw_run *r, hw_hand *h, unsigned threads, int64_t warm)
{
    threads = threads ? threads : hw_pool_threads(r->pool);
    threads = threads < HW_MAX_THREADS ? threads : HW_MAX_THREADS;
    threads = threads < r->chunks ? threads : (unsigned)r->chunks;
    threads = hw_crew_inside ? 1 : threads;
    size_t next = (h->at - 1) / r->chunk + 1;
    h->end = next < r->chunks ? next * r->chunk : r->loop->length;
    atomic_init(&r->next, next);
    atomic_init(&r->cancelled, false);
    atomic_init(&r->limit, threads - 1);
    atomic_init(&r->wanted, 0);
    atomic_init(&r->helpers, 0);

    bool outermost = threads > 1;
    if (outermost)
        hw_crew_inside = true;
    bool whole = lead(h, warm);
    if (outermost)
        hw_crew_inside = false;
    if (!whole)
        return HW_SYSTEM;
    return hw_run_cancelled(r) ? HW_CANCELLED : HW_OK;
}

hw_status hw_pool_parallel_for(hw_pool *pool, const hw_loop *loop, unsigned threads)
{
    if (loop->length == 0)
        return HW_OK;
    size_t unit = loop->unit ? loop->unit : 1, piece;
    uint64_t took = 0;
    size_t done = warm_up(loop, unit, &piece, &took);
    if (done == loop->length)
        return HW_OK;
    hw_run r;
    r.loop = loop;
    r.pool = pool;
    r.crew = NULL;
    r.chunk = loop->chunk < loop->length ? loop->chunk : loop->length;
    r.chunk += (unit - r.chunk % unit) % unit;
    r.chunks = (loop->length - 1) / r.chunk + 1;
    hw_hand h = {.run = &r, .at = done, .batch = piece, .last = piece, .total = piece};
    return run_rest(&r, &h, threads, (int64_t)(took / TICKS_PER_NS));
}

/* ---- the pool -------------------------------------------------------------------------------- */

static unsigned default_threads(void)
{
    unsigned threads = hw_cpus_parse(getenv("HEADWAY_NUM_THREADS"), HW_MAX_THREADS);
    if (threads)
        return threads;
    unsigned quota = hw_cpus_quota("");
    threads = hw_cpus_affinity();
    threads = quota && quota < threads ? quota : threads;
    return threads < HW_MAX_THREADS ? threads : HW_MAX_THREADS;
}

hw_pool *hw_pool_shared(void)
{
    unsigned unknown = 0;
    if (hw_peek(&hw_pool_the_one.threads) == 0)
        atomic_compare_exchange_strong_explicit(&hw_pool_the_one.threads, &unknown,
                                                default_threads(), memory_order_relaxed,
                                                memory_order_relaxed);
    return &hw_pool_the_one;
}

unsigned hw_pool_threads(const hw_pool *pool)
{
    return atomic_load_explicit(&pool->threads, memory_order_relaxed);
}

hw_status hw_pool_set_threads(hw_pool *pool, unsigned threads)
{
    if (threads < 1 || threads > HW_MAX_THREADS)
        return HW_INVALID;
    atomic_store_explicit(&pool->threads, threads, memory_order_relaxed);
    return HW_OK;
}
