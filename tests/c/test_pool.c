/* SPDX-License-Identifier: MIT */
/*
 * The parallel loop. Bodies nap rather than compute where helpers have to take part, so that the
 * tests mean the same on a machine of one core, a busy one, and under sanitizers.
 */
#include "headway/pool.h"

#include <dirent.h>
#include <fenv.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

enum { MOST_WORKERS = 1024 };

/* ---- a body that checks what the header promises ----------------------------------------------
 */

typedef struct chunk_state {
    _Atomic unsigned owner; /* worker + 1; 0: not begun */
    size_t next;            /* elements done; not atomic: one worker has them all */
} chunk_state;

typedef struct record {
    const hw_loop *loop;
    unsigned threads;
    double nap;           /* seconds an element */
    size_t nap_every;     /* of which only each this many-th naps; 0: none */
    unsigned char *count; /* times each element was handled; not atomic, on purpose */
    chunk_state *chunks;
    _Atomic unsigned busy[MOST_WORKERS];
    _Atomic unsigned seen[MOST_WORKERS];
    _Atomic size_t started, finished;
    _Atomic(const char *) wrong;
} record;

static void expect(record *r, bool holds, const char *otherwise)
{
    if (!holds)
        atomic_store(&r->wrong, otherwise);
}

static size_t units(const hw_loop *loop) { return loop->unit ? loop->unit : 1; }

/* Chunks are rounded up to whole units. */
static size_t chunk_length(const hw_loop *loop)
{
    size_t chunk = loop->chunk < loop->length ? loop->chunk : loop->length;
    return (chunk + units(loop) - 1) / units(loop) * units(loop);
}

static void check_piece(record *r, size_t begin, size_t end, unsigned worker)
{
    size_t chunk = chunk_length(r->loop), length = r->loop->length;
    expect(r, begin < end && end <= length, "a piece is empty or beyond the end");
    expect(r, begin % units(r->loop) == 0, "a piece begins off the unit");
    expect(r, end == length || end % units(r->loop) == 0, "a piece ends off the unit");
    for (size_t k = begin / chunk; k * chunk < end; k++) {
        size_t from = k * chunk > begin ? k * chunk : begin;
        unsigned nobody = 0;
        if (!atomic_compare_exchange_strong(&r->chunks[k].owner, &nobody, worker + 1))
            expect(r, nobody == worker + 1, "a chunk went to two workers");
        expect(r, r->chunks[k].next == from, "a chunk's pieces are not in order");
        r->chunks[k].next = (k + 1) * chunk < end ? (k + 1) * chunk : end;
    }
}

static void body(void *context, size_t begin, size_t end, unsigned worker)
{
    record *r = context;
    expect(r, worker < r->threads, "a worker number is too large");
    if (worker >= r->threads)
        return;
    expect(r, atomic_exchange(&r->busy[worker], 1) == 0, "a worker number is used twice at once");
    atomic_fetch_add(&r->started, end - begin);
    atomic_store(&r->seen[worker], 1);
    check_piece(r, begin, end, worker);
    for (size_t i = begin; i < end; i++) {
        r->count[i]++;
        if (r->nap_every && i % r->nap_every == 0)
            nap(r->nap);
    }
    atomic_fetch_add(&r->finished, end - begin);
    atomic_store(&r->busy[worker], 0);
}

static record *record_new(hw_loop *loop, unsigned threads)
{
    record *r = calloc(1, sizeof *r);
    assert_non_null(r);
    r->loop = loop;
    r->threads = threads;
    r->count = calloc(loop->length + 1, 1);
    size_t chunk = loop->length ? chunk_length(loop) : 1;
    r->chunks = calloc(loop->length / chunk + 1, sizeof *r->chunks);
    for (size_t k = 0; k <= loop->length / chunk; k++)
        r->chunks[k].next = k * chunk;
    loop->body = body;
    loop->context = r;
    return r;
}

static void record_free(record *r)
{
    free(r->chunks);
    free(r->count);
    free(r);
}

static unsigned workers_seen(const record *r)
{
    unsigned n = 0;
    for (size_t i = 0; i < MOST_WORKERS; i++)
        n += atomic_load(&r->seen[i]);
    return n;
}

static const char *complete(const record *r)
{
    for (size_t i = 0; i < r->loop->length; i++)
        if (r->count[i] != 1)
            return "an element was not handled exactly once";
    return atomic_load(&r->wrong);
}

/* Runs one loop of that shape; what was wrong, or NULL. */
static const char *run(size_t length, size_t chunk, size_t unit, unsigned threads, size_t nap_every,
                       unsigned *workers)
{
    hw_loop loop = {.length = length, .chunk = chunk, .unit = unit};
    record *r = record_new(&loop, threads);
    r->nap = 50e-6;
    r->nap_every = nap_every;
    hw_status status = hw_pool_parallel_for(hw_pool_shared(), &loop, threads);
    const char *wrong = status == HW_OK ? complete(r) : "the status is not HW_OK";
    if (workers)
        *workers = workers_seen(r);
    record_free(r);
    return wrong;
}

static void assert_fine(const char *wrong)
{
    if (wrong)
        fail_msg("%s", wrong);
}

/* ---- handling every element -------------------------------------------------------------------
 */

static void every_element_is_handled_exactly_once_whatever_the_shape(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 2, 15, 16, 17, 63, 64, 65, 255, 1000, 4097, 30011};
    static const size_t chunks[] = {1, 3, 16, 64, 100, 1000, 8192, (size_t)-1};
    static const size_t units[] = {0, 1, 4, 7};
    static const unsigned threads[] = {1, 2, 3, 7};
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
        for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++)
            for (size_t u = 0; u < sizeof units / sizeof *units; u++)
                for (size_t t = 0; t < sizeof threads / sizeof *threads; t++)
                    assert_fine(run(lengths[l], chunks[c], units[u], threads[t], 0, NULL));
}

static void every_element_is_handled_exactly_once_with_helpers(void **state)
{
    (void)state;
    static const size_t lengths[] = {3, 40, 1000, 20000};
    static const size_t chunks[] = {1, 7, 64, 1000};
    static const unsigned threads[] = {2, 3, 7};
    unsigned helped = 0;
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
        for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++)
            for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
                unsigned workers;
                size_t nap_every = lengths[l] / 100 + 1;
                assert_fine(run(lengths[l], chunks[c], c % 3, threads[t], nap_every, &workers));
                helped += workers > 1;
            }
    assert_true(helped > 12);
}

static void elements_of_very_different_cost_are_all_handled(void **state)
{
    (void)state;
    unsigned workers;
    for (size_t every = 2; every < 3000; every = every * 3 + 1)
        assert_fine(run(5000, 10, 0, 4, every, &workers));
}

static void a_loop_of_no_elements_calls_nothing(void **state)
{
    (void)state;
    hw_loop loop = {.length = 0, .chunk = 1}; /* no body: calling it would crash */
    assert_int_equal(hw_pool_parallel_for(hw_pool_shared(), &loop, 4), HW_OK);
}

static void a_few_long_elements_are_spread_over_the_threads(void **state)
{
    (void)state;
    hw_loop loop = {.length = 7, .chunk = 1};
    record *r = record_new(&loop, 7);
    r->nap = 0.1;
    r->nap_every = 1;
    double start = seconds();
    assert_int_equal(hw_pool_parallel_for(hw_pool_shared(), &loop, 7), HW_OK);
    double took = seconds() - start;
    assert_fine(complete(r));
    record_free(r);
    assert_true(took < 0.5); /* one after another: 0.7 */
}

/* Cheap enough to be a short loop under a sanitizer too. */
static void add_up(void *context, size_t begin, size_t end, unsigned worker)
{
    size_t *sums = context;
    sums[worker > 0] += end - begin;
}

/* True where the caller did all of a short loop. */
static bool stays_alone(void)
{
    size_t sums[2] = {0, 0};
    hw_loop loop = {.length = 1000, .chunk = 100, .body = add_up, .context = sums};
    return hw_pool_parallel_for(hw_pool_shared(), &loop, 2) == HW_OK && sums[0] == 1000;
}

static void a_short_loop_stays_on_its_caller(void **state)
{
    (void)state;
    unsigned alone = 0;
    for (int i = 0; i < 1000; i++)
        alone += stays_alone();
    assert_true(alone > 950); /* all, but where the caller was interrupted */
}

/* ---- nesting ----------------------------------------------------------------------------------
 */

typedef struct nest {
    _Atomic size_t inner;
    _Atomic size_t strays; /* inner elements on another thread or another number than 0 */
    _Atomic size_t failed;
} nest;

typedef struct inner {
    nest *nest;
    pthread_t thread;
} inner;

static void inner_body(void *context, size_t begin, size_t end, unsigned worker)
{
    inner *in = context;
    atomic_fetch_add(&in->nest->inner, end - begin);
    if (worker != 0 || !pthread_equal(pthread_self(), in->thread))
        atomic_fetch_add(&in->nest->strays, end - begin);
    nap(100e-6);
}

static void outer_body(void *context, size_t begin, size_t end, unsigned worker)
{
    (void)worker;
    if (begin == 0)
        nap(1e-3); /* long enough to be known as worth helpers */
    for (; begin < end; begin++) {
        inner in = {context, pthread_self()};
        hw_loop loop = {.length = 10, .chunk = 1, .body = inner_body, .context = &in};
        if (begin > 0 && hw_pool_parallel_for(hw_pool_shared(), &loop, 4) != HW_OK)
            atomic_fetch_add(&in.nest->failed, 1);
    }
}

static void a_loop_inside_a_loop_runs_inline(void **state)
{
    (void)state;
    nest n = {0};
    hw_loop loop = {.length = 41, .chunk = 1, .body = outer_body, .context = &n};
    assert_int_equal(hw_pool_parallel_for(hw_pool_shared(), &loop, 4), HW_OK);
    assert_int_equal(atomic_load(&n.inner), 400);
    assert_int_equal(atomic_load(&n.strays), 0);
    assert_int_equal(atomic_load(&n.failed), 0);
}

/* ---- poll and cancelling ----------------------------------------------------------------------
 */

typedef struct polled {
    record *record;
    pthread_t caller;
    int calls, strays;
    int stop_at; /* the call that asks to stop; 0: none */
    double last, closest;
    double helper_nap; /* a helper's first piece */
    _Atomic bool helped;
} polled;

static void poll_body(void *context, size_t begin, size_t end, unsigned worker)
{
    polled *p = context;
    if (worker != 0 && p->helper_nap > 0 && !atomic_exchange(&p->helped, true))
        nap(p->helper_nap);
    body(p->record, begin, end, worker);
}

static bool poll(void *context)
{
    polled *p = context;
    double now = seconds();
    p->strays += !pthread_equal(pthread_self(), p->caller);
    if (p->calls++ && now - p->last < p->closest)
        p->closest = now - p->last;
    p->last = now;
    return p->calls == p->stop_at;
}

static polled poll_new(hw_loop *loop, unsigned threads)
{
    polled p = {.record = record_new(loop, threads), .caller = pthread_self(), .closest = 1e9};
    p.record->nap_every = 1;
    loop->body = poll_body;
    loop->poll = poll;
    return p;
}

static void poll_is_called_on_the_calling_thread_every_20_ms_and_no_faster(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 4; threads += 3) {
        hw_loop loop = {.length = 300, .chunk = 1};
        polled p = poll_new(&loop, threads);
        loop.context = &p;
        p.record->nap = 1e-3 * threads;
        assert_int_equal(hw_pool_parallel_for(hw_pool_shared(), &loop, threads), HW_OK);
        assert_fine(complete(p.record));
        record_free(p.record);
        assert_int_equal(p.strays, 0);
        assert_in_range(p.calls, 3, 40);
        assert_true(p.closest >= 19.9e-3);
    }
}

static void a_cancelled_loop_finishes_its_pieces_and_starts_no_other(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 4; threads += 3) {
        hw_loop loop = {.length = 5000, .chunk = 1};
        polled p = poll_new(&loop, threads);
        loop.context = &p;
        p.record->nap = 1e-3;
        p.stop_at = 2;
        double start = seconds();
        assert_int_equal(hw_pool_parallel_for(hw_pool_shared(), &loop, threads), HW_CANCELLED);
        double took = seconds() - start;
        size_t started = atomic_load(&p.record->started);
        assert_int_equal(atomic_load(&p.record->finished), started);
        assert_in_range(started, 1, 4000);
        nap(10e-3);
        assert_int_equal(atomic_load(&p.record->started), started);
        for (size_t i = 0; i < loop.length; i++)
            assert_true(p.record->count[i] <= 1);
        assert_int_equal(p.calls, 2); /* and none after it said stop */
        record_free(p.record);
        assert_true(took < 0.5);
    }
}

static void a_loop_of_long_elements_is_stopped_after_the_first(void **state)
{
    (void)state;
    hw_loop loop = {.length = 100, .chunk = 64};
    polled p = poll_new(&loop, 1);
    loop.context = &p;
    p.record->nap = 30e-3;
    p.stop_at = 1;
    assert_int_equal(hw_pool_parallel_for(hw_pool_shared(), &loop, 1), HW_CANCELLED);
    assert_in_range(atomic_load(&p.record->finished), 1, 4);
    record_free(p.record);
}

typedef struct ramp {
    size_t quick; /* elements before the slow ones */
    size_t done;
} ramp;

static void become_slow(void *context, size_t begin, size_t end, unsigned worker)
{
    ramp *r = context;
    (void)worker;
    r->done = end;
    begin = begin < r->quick ? r->quick : begin;
    if (begin < end)
        nap(1e-3 * (double)(end - begin));
}

static bool stop_at_once(void *context)
{
    (void)context;
    return true;
}

static void a_loop_whose_elements_become_slow_is_stopped_soon(void **state)
{
    (void)state;
    static const struct {
        size_t quick, chunk, most;
    } cases[] = {{20, 100000, 200}, {64, 64, 600}, {60, 100000, 600}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ramp r = {.quick = cases[i].quick};
        hw_loop loop = {.length = 3000,
                        .chunk = cases[i].chunk,
                        .body = become_slow,
                        .poll = stop_at_once,
                        .context = &r};
        assert_int_equal(hw_pool_parallel_for(hw_pool_shared(), &loop, 1), HW_CANCELLED);
        assert_in_range(r.done, 20, cases[i].most);
    }
}

/* One helper naps for long in its first piece; the caller does the rest and has to wait for it. */
static polled wait_for_a_helper(int stop_at, hw_status expected)
{
    hw_loop loop = {.length = 100, .chunk = 1};
    polled p = poll_new(&loop, 2);
    loop.context = &p;
    p.record->nap = 1e-3;
    p.helper_nap = 0.5;
    p.stop_at = stop_at;
    double start = seconds();
    assert_int_equal(hw_pool_parallel_for(hw_pool_shared(), &loop, 2), expected);
    double took = seconds() - start;
    assert_true(atomic_load(&p.helped));
    assert_int_equal(atomic_load(&p.record->started), atomic_load(&p.record->finished));
    assert_true(took > 0.4); /* a piece under way is never abandoned */
    if (expected == HW_OK)
        assert_fine(complete(p.record));
    record_free(p.record);
    return p;
}

static void poll_goes_on_while_the_caller_waits_for_helpers(void **state)
{
    (void)state;
    polled p = wait_for_a_helper(0, HW_OK);
    assert_in_range(p.calls, 10, 40);
    assert_int_equal(p.strays, 0);
    assert_true(p.closest >= 19.9e-3);
}

static void a_loop_cancelled_while_the_caller_waits_says_so(void **state)
{
    (void)state;
    polled p = wait_for_a_helper(12, HW_CANCELLED);
    assert_int_equal(p.calls, 12);
}

/* ---- several callers --------------------------------------------------------------------------
 */

enum { CALLERS = 5, ROUNDS = 12 };

static void *call_often(void *argument)
{
    _Atomic(const char *) *wrong = argument;
    for (size_t i = 0; i < ROUNDS; i++) {
        const char *w = run(200 + 300 * i, 1 + 3 * i, i % 3, 2 + (unsigned)i % 5, 10 + i, NULL);
        if (w)
            atomic_store(wrong, w);
    }
    return NULL;
}

static void callers_at_once_each_get_their_own_loop_done(void **state)
{
    (void)state;
    pthread_t threads[CALLERS];
    _Atomic(const char *) wrong = NULL;
    for (size_t i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, call_often, &wrong), 0);
    for (size_t i = 0; i < CALLERS; i++)
        pthread_join(threads[i], NULL);
    assert_fine(atomic_load(&wrong));
}

typedef struct sharer {
    size_t length;
    unsigned workers;
    _Atomic bool under_way;
    const char *wrong;
} sharer;

static void *share(void *argument)
{
    sharer *s = argument;
    hw_loop loop = {.length = s->length, .chunk = 1};
    record *r = record_new(&loop, 5);
    r->nap = 1e-3;
    r->nap_every = 1;
    atomic_store(&s->under_way, true);
    hw_status status = hw_pool_parallel_for(hw_pool_shared(), &loop, 5);
    s->wrong = status == HW_OK ? complete(r) : "the status is not HW_OK";
    s->workers = workers_seen(r);
    record_free(r);
    return NULL;
}

/* Run in a process of its own, whose pool has no more workers than the first loop wants. */
static void check_sharing(void)
{
    sharer first = {.length = 4000}, second = {.length = 300};
    pthread_t threads[2];
    if (pthread_create(&threads[0], NULL, share, &first))
        _Exit(2);
    nap(0.1); /* the first has every worker by now */
    if (pthread_create(&threads[1], NULL, share, &second))
        _Exit(2);
    pthread_join(threads[1], NULL);
    pthread_join(threads[0], NULL);
    if (first.wrong || second.wrong || first.workers != 5)
        _Exit(3);
    _Exit(second.workers >= 2 ? 0 : 4);
}

/* ---- the pool's number of threads -------------------------------------------------------------
 */

static void the_number_of_threads_is_settable_within_bounds(void **state)
{
    (void)state;
    hw_pool *pool = hw_pool_shared();
    unsigned before = hw_pool_threads(pool);
    assert_in_range(before, 1, 1024);
    assert_int_equal(hw_pool_set_threads(pool, 0), HW_INVALID);
    assert_int_equal(hw_pool_set_threads(pool, 1025), HW_INVALID);
    assert_int_equal(hw_pool_threads(pool), before);
    assert_int_equal(hw_pool_set_threads(pool, 1024), HW_OK);
    assert_int_equal(hw_pool_threads(pool), 1024);
    assert_int_equal(hw_pool_set_threads(pool, 1), HW_OK);
    assert_int_equal(hw_pool_threads(pool), 1);
    assert_int_equal(hw_pool_set_threads(pool, before), HW_OK);
    assert_ptr_equal(hw_pool_shared(), pool);
}

static unsigned workers_of_a_long_loop(unsigned threads)
{
    hw_loop loop = {.length = 200, .chunk = 1};
    record *r = record_new(&loop, 1024);
    r->nap = 1e-3;
    r->nap_every = 1;
    assert_int_equal(hw_pool_parallel_for(hw_pool_shared(), &loop, threads), HW_OK);
    unsigned workers = workers_seen(r);
    record_free(r);
    return workers;
}

static void a_loop_that_says_no_number_uses_the_pools(void **state)
{
    (void)state;
    hw_pool *pool = hw_pool_shared();
    unsigned before = hw_pool_threads(pool);
    assert_int_equal(hw_pool_set_threads(pool, 1), HW_OK);
    assert_int_equal(workers_of_a_long_loop(0), 1);
    assert_int_equal(hw_pool_set_threads(pool, 7), HW_OK);
    assert_in_range(workers_of_a_long_loop(0), 2, 7);
    assert_in_range(workers_of_a_long_loop(3), 2, 3);
    assert_int_equal(hw_pool_set_threads(pool, before), HW_OK);
}

/* ---- what a worker is -------------------------------------------------------------------------
 */

typedef struct surroundings {
    _Atomic unsigned helped;       /* pieces a helper did */
    _Atomic unsigned open_signals; /* of those, with a signal that could arrive */
    _Atomic unsigned rounding;     /* of those, in another rounding mode */
    int mode;
} surroundings;

static void look_around(void *context, size_t begin, size_t end, unsigned worker)
{
    surroundings *s = context;
    if (worker != 0) {
        sigset_t blocked;
        pthread_sigmask(SIG_BLOCK, NULL, &blocked);
        atomic_fetch_add(&s->helped, 1);
        if (!sigismember(&blocked, SIGINT) || !sigismember(&blocked, SIGTERM) ||
            !sigismember(&blocked, SIGCHLD) || !sigismember(&blocked, SIGUSR1))
            atomic_fetch_add(&s->open_signals, 1);
        if (fegetround() != s->mode)
            atomic_fetch_add(&s->rounding, 1);
        feraiseexcept(FE_DIVBYZERO);
    }
    nap(1e-3 * (double)(end - begin));
}

static surroundings look(void)
{
    surroundings s = {.mode = fegetround()};
    hw_loop loop = {.length = 400, .chunk = 1, .body = look_around, .context = &s};
    assert_int_equal(hw_pool_parallel_for(hw_pool_shared(), &loop, 3), HW_OK);
    assert_true(atomic_load(&s.helped) > 0);
    return s;
}

static void workers_block_every_signal(void **state)
{
    (void)state;
    surroundings s = look();
    assert_int_equal(atomic_load(&s.open_signals), 0);
}

static void workers_run_in_the_callers_floating_point_environment(void **state)
{
    (void)state;
    fesetround(FE_UPWARD);
    surroundings up = look();
    fesetround(FE_TONEAREST);
    surroundings nearest = look();
    assert_int_equal(atomic_load(&up.rounding), 0);
    assert_int_equal(atomic_load(&nearest.rounding), 0);
}

static void floating_point_exceptions_of_workers_reach_the_caller(void **state)
{
    (void)state;
    feclearexcept(FE_ALL_EXCEPT);
    look(); /* only helpers raise */
    assert_true(fetestexcept(FE_DIVBYZERO));
    assert_false(fetestexcept(FE_INVALID));
    feclearexcept(FE_ALL_EXCEPT);
}

/* ---- processes of their own -------------------------------------------------------------------
 */

static int tasks(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/task");
    for (struct dirent *e; d && (e = readdir(d));)
        n += e->d_name[0] != '.';
    if (d)
        closedir(d);
    return n;
}

static void *run_with_three(void *argument)
{
    for (int i = 0; i < 5; i++) {
        const char *wrong = run(100, 1, 0, 3, 1, NULL);
        if (wrong)
            *(const char **)argument = wrong;
    }
    return NULL;
}

/* No thread before one is wanted, and never more than a loop may use; nor a changed signal mask. */
static void check_threads_are_made_when_wanted(void)
{
    sigset_t mask_before, mask;
    pthread_sigmask(SIG_BLOCK, NULL, &mask_before);
    int before = tasks(), most = before + 2 + UNDER_THREAD_SANITIZER; /* which has one of its own */
    if (!stays_alone() || tasks() != before)
        _Exit(3);
    for (int i = 0; i < 5; i++)
        if (run(100, 1, 0, 3, 1, NULL) || tasks() > most)
            _Exit(4);
    if (tasks() == before)
        _Exit(5);
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    for (int signal = 1; signal < 32; signal++)
        if (sigismember(&mask, signal) != sigismember(&mask_before, signal))
            _Exit(6);
    pthread_t other; /* two callers at once share those two workers */
    const char *wrong = NULL;
    if (pthread_create(&other, NULL, run_with_three, &wrong))
        _Exit(2);
    for (int i = 0; i < 5; i++)
        if (run(100, 1, 0, 3, 1, NULL) || tasks() > most + 1)
            _Exit(7);
    pthread_join(other, NULL);
    _Exit(wrong ? 8 : 0);
}

typedef struct drag {
    double helper_nap; /* each piece of a helper */
    _Atomic unsigned helped;
} drag;

static void be_dragged(void *context, size_t begin, size_t end, unsigned worker)
{
    drag *d = context;
    if (worker != 0) {
        atomic_fetch_add(&d->helped, 1);
        nap(d->helper_nap);
    }
    nap(200e-6 * (double)(end - begin));
}

/* Pieces that helpers did of a loop of 10 to 20 ms, each longer by that nap. */
static unsigned run_dragged(double helper_nap)
{
    drag d = {.helper_nap = helper_nap};
    hw_loop loop = {.length = 50, .chunk = 1, .body = be_dragged, .context = &d};
    if (hw_pool_parallel_for(hw_pool_shared(), &loop, 2) != HW_OK)
        _Exit(2);
    return atomic_load(&d.helped);
}

/* After helpers made loops slower again and again nobody is asked for a while, and then again. */
static void check_pause(void)
{
    for (int i = 0; i < 6; i++) { /* each within the pause the last one made, or after it */
        run_dragged(0.15);
        nap(0.1);
    }
    run_dragged(0.15);
    unsigned during = run_dragged(0);
    nap(0.2);
    unsigned after = run_dragged(0);
    _Exit(during > 0 ? 3 : after == 0 ? 4 : 0);
}

static void check_number_from_environment(void)
{
    setenv("HEADWAY_NUM_THREADS", "3", 1);
    _Exit(hw_pool_threads(hw_pool_shared()) == 3 ? 0 : 3);
}

static void check_nonsense_in_the_environment_is_not_used(void)
{
    setenv("HEADWAY_NUM_THREADS", "three", 1);
    unsigned threads = hw_pool_threads(hw_pool_shared());
    _Exit(threads >= 1 && threads <= (unsigned)CPU_SETSIZE ? 0 : 3);
}

static void check_number_from_affinity(void)
{
    cpu_set_t mask, one;
    unsetenv("HEADWAY_NUM_THREADS");
    sched_getaffinity(0, sizeof mask, &mask);
    CPU_ZERO(&one);
    for (size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &mask))
            CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
    _Exit(hw_pool_threads(hw_pool_shared()) == 1 ? 0 : 3);
}

/* This program again, as argv[1] says: a process that has never used the pool. */
static int again(const char *what)
{
    char command[4200], path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    assert_true(length > 0);
    path[length] = '\0';
    snprintf(command, sizeof command, "'%s' %s", path, what);
    return system(command);
}

static const struct {
    const char *name;
    void (*check)(void);
} processes[] = {
    {"sharing", check_sharing},
    {"made-when-wanted", check_threads_are_made_when_wanted},
    {"pause", check_pause},
    {"environment", check_number_from_environment},
    {"nonsense", check_nonsense_in_the_environment_is_not_used},
    {"affinity", check_number_from_affinity},
};

static void a_second_loop_gets_workers_of_a_longer_first(void **state)
{
    (void)state;
    assert_int_equal(again("sharing"), 0);
}

static void threads_are_made_when_wanted_and_no_more_than_needed(void **state)
{
    (void)state;
    assert_int_equal(again("made-when-wanted"), 0);
}

static void where_helpers_made_loops_slower_nobody_is_asked_for_a_while(void **state)
{
    (void)state;
    assert_int_equal(again("pause"), 0);
}

static void the_default_number_comes_from_the_environment_then_the_affinity_mask(void **state)
{
    (void)state;
    assert_int_equal(again("environment"), 0);
    assert_int_equal(again("nonsense"), 0);
    assert_int_equal(again("affinity"), 0);
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof processes / sizeof *processes; i++)
        if (strcmp(argv[1], processes[i].name) == 0)
            processes[i].check();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_element_is_handled_exactly_once_whatever_the_shape),
        cmocka_unit_test(every_element_is_handled_exactly_once_with_helpers),
        cmocka_unit_test(elements_of_very_different_cost_are_all_handled),
        cmocka_unit_test(a_loop_of_no_elements_calls_nothing),
        cmocka_unit_test(a_few_long_elements_are_spread_over_the_threads),
        cmocka_unit_test(a_short_loop_stays_on_its_caller),
        cmocka_unit_test(a_loop_inside_a_loop_runs_inline),
        cmocka_unit_test(poll_is_called_on_the_calling_thread_every_20_ms_and_no_faster),
        cmocka_unit_test(a_cancelled_loop_finishes_its_pieces_and_starts_no_other),
        cmocka_unit_test(a_loop_of_long_elements_is_stopped_after_the_first),
        cmocka_unit_test(a_loop_whose_elements_become_slow_is_stopped_soon),
        cmocka_unit_test(poll_goes_on_while_the_caller_waits_for_helpers),
        cmocka_unit_test(a_loop_cancelled_while_the_caller_waits_says_so),
        cmocka_unit_test(callers_at_once_each_get_their_own_loop_done),
        cmocka_unit_test(a_second_loop_gets_workers_of_a_longer_first),
        cmocka_unit_test(the_number_of_threads_is_settable_within_bounds),
        cmocka_unit_test(a_loop_that_says_no_number_uses_the_pools),
        cmocka_unit_test(workers_block_every_signal),
        cmocka_unit_test(workers_run_in_the_callers_floating_point_environment),
        cmocka_unit_test(floating_point_exceptions_of_workers_reach_the_caller),
        cmocka_unit_test(threads_are_made_when_wanted_and_no_more_than_needed),
        cmocka_unit_test(where_helpers_made_loops_slower_nobody_is_asked_for_a_while),
        cmocka_unit_test(the_default_number_comes_from_the_environment_then_the_affinity_mask),
    };
    return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
