/* SPDX-License-Identifier: MIT */
/*
 * The thread pool: one crew of worker threads, any number of parallel loops at once.
 *
 * A loop under way is a `run` on its caller's stack. Chunks are handed out by one atomic counter.
 * Whoever works on a run (the caller, and helpers from the crew) does so in batches: as many whole
 * chunks, or as much of one chunk, as take about TARGET. The clock is read between batches only.
 * After each batch, whoever finished it looks at how much is left and at its own pace; where what
 * is left would keep one thread more busy for longer than WORTH, it asks the crew for one. Nobody
 * else ever wakes anybody, so a short loop costs a few clock reads and no system call, and a long
 * one gathers its helpers in a tree: each that arrives may ask for more.
 *
 * Why every element is handled exactly once: `next` moves only by compare-and-swap, so each chunk
 * has one taker, which finishes it, piece after piece, before it takes another or leaves. The
 * caller returns when `next` has reached the end and, under the crew's lock, it sees no helper on
 * the run and has taken the run off the list where helpers find it.
 *
 * Why what helpers wrote is visible to the caller: a helper leaves by taking the lock and counting
 * itself out; the caller sees the count under the same lock. What the caller wrote before the loop
 * is visible to helpers the same way: it lists the run under the lock under which they find it. No
 * other atomic carries data, so all of them are relaxed.
 *
 * fork(): the child has one thread. Its crew is gone, whatever state the lock is in, so the child
 * forgets it and makes another when it needs one. A run that was under way in the forking thread
 * itself (fork in body or poll) notices that its crew is no longer the pool's.
 */
#include "headway/pool.h"

#include <fenv.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cpus.h"

enum { MAX_THREADS = 1024, WORDS = MAX_THREADS / 64 };

/*
 * Nanoseconds, but for GROWTH. What a wake costs depends on how long the other core has idled: on a
 * two-core virtual machine 2 us to the waker and 15 to the sleeper after 0.2 ms, 4 and 45 after
 * 5 ms, 10 and 80 after 20 ms. WORTH is such that the worst of these costs a loop less than a tenth
 * and gains something even so. EARLIEST and PROBE keep a cold start (page faults, lazy binding)
 * from being extrapolated, and find the moment to ask soon after. TARGET and GROWTH bound how long
 * poll waits where elements become slow all of a sudden; a clock read a batch is 0.03 % of it.
 */
#define TARGET 100000.0     /* a batch, once its length is known */
#define PROBE 12000.0       /* a batch, while nobody has been asked and it may soon be worth it */
#define EARLIEST 20000      /* nobody is asked before a run is this old */
#define WORTH 120000.0      /* asking pays where it leaves each thread this much to do */
#define POLL_EVERY 20000000 /* between calls of poll */
#define SPIN 10000          /* waiting for the last helpers awake, before sleeping */
#define GROWTH 4.0          /* from one batch to the next at most */

typedef struct crew crew;
typedef struct run run;

struct hw_pool {
    _Atomic unsigned threads; /* 0 until first asked for */
    _Atomic(crew *) crew;     /* NULL until the first helper is wanted, and in a forked child */
    crew *lost; /* crews of the processes this one was forked from; child handler only */
};

/* The worker threads of one process. `lock` guards everything here and a run's second half. */
struct crew {
    pthread_mutex_t lock;
    pthread_cond_t wake;   /* workers sleep here */
    run *runs;             /* listed runs, oldest first */
    unsigned workers;      /* threads alive or being made */
    unsigned sleeping;     /* of those, waiting on `wake` */
    unsigned signals;      /* of those, signalled and not yet up */
    _Atomic unsigned open; /* helpers asked for, on listed runs, that nobody has become yet;
                              written under the lock, peeked at without */
    crew *lost;            /* see hw_pool */
};

/* One hw_pool_parallel_for under way. */
struct run {
    const hw_loop *loop;
    hw_pool *pool;
    size_t chunks;
    _Atomic size_t next;     /* the next chunk to take */
    _Atomic bool cancelled;  /* set by the caller only */
    _Atomic unsigned limit;  /* helpers at most */
    _Atomic unsigned wanted; /* helpers asked for; written under the lock, peeked at without */
    crew *crew;              /* NULL until the first ask; written by the caller before it lists */

    /* From the first ask on, under the crew's lock. */
    run *younger;
    bool listed;
    bool waiting;             /* the caller sleeps on `done` */
    _Atomic unsigned helpers; /* written under the lock, spun on without */
    int raised;               /* floating-point exceptions of helpers that left */
    pthread_cond_t done;
    fenv_t environment;      /* the caller's; set before listing, then only read */
    uint64_t numbers[WORDS]; /* worker numbers in use */
};

/* Somebody at work on a run; on its own stack. */
typedef struct hand {
    run *run;
    unsigned number;
    size_t at, end; /* elements taken and not yet handled */
    size_t edge;    /* where the chunk of `at` ends */
    size_t batch;   /* elements the next batch should have, a multiple of the unit */
    size_t total;   /* elements handled so far */
    size_t last;    /* elements of the last batch */
    int64_t start, now;
    double pace; /* ns an element, the lower of the last batch's and all batches' */
} hand;

static hw_pool shared_pool;
static pthread_once_t fork_handler_once = PTHREAD_ONCE_INIT;

/* In a worker, or in a caller whose loop may have helpers: further loops run inline. */
static _Thread_local bool inside;

static int64_t clock_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline unsigned peek(_Atomic unsigned *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

/* Changes a counter whose writers all hold the lock. */
static inline void adjust_locked(_Atomic unsigned *value, int by)
{
    atomic_store_explicit(value, peek(value) + (unsigned)by, memory_order_relaxed);
}

static inline bool is_cancelled(run *r)
{
    return atomic_load_explicit(&r->cancelled, memory_order_relaxed);
}

static inline size_t next_chunk(run *r)
{
    return atomic_load_explicit(&r->next, memory_order_relaxed);
}

/* ---- work: taking chunks and handling them in batches ---------------------------------------- */

/* Takes whole chunks for one batch, or one chunk where a batch is less. Where there are helpers
 * never more than half a fair share of what is left, so that all finish together. */
static bool take(hand *h)
{
    run *r = h->run;
    const hw_loop *loop = r->loop;
    size_t most = h->batch / loop->chunk, count;
    size_t first = next_chunk(r);
    do {
        if (first >= r->chunks)
            return false;
        size_t left = r->chunks - first;
        unsigned wanted = peek(&r->wanted);
        size_t fair = wanted ? left / (2 * ((size_t)wanted + 1)) : left;
        count = most < fair ? most : fair;
        count = count ? count : 1;
    } while (!atomic_compare_exchange_weak_explicit(&r->next, &first, first + count,
                                                    memory_order_relaxed, memory_order_relaxed));
    h->at = first * loop->chunk;
    h->edge = loop->length - h->at > loop->chunk ? h->at + loop->chunk : loop->length;
    h->end = first + count == r->chunks ? loop->length : (first + count) * loop->chunk;
    return true;
}

/* Handles one batch. False where nothing is left to take, or the run was cancelled. */
static bool work(hand *h)
{
    const hw_loop *loop = h->run->loop;
    if (h->at == h->end && !take(h))
        return false;
    size_t from = h->at;
    size_t stop = h->end - h->at > h->batch ? h->at + h->batch : h->end;
    while (h->at < stop) {
        if (is_cancelled(h->run))
            return false;
        size_t piece_end = h->edge < stop ? h->edge : stop;
        loop->body(loop->context, h->at, piece_end, h->number);
        h->at = piece_end;
        if (h->at == h->edge && h->at < h->end)
            h->edge = loop->length - h->at > loop->chunk ? h->at + loop->chunk : loop->length;
    }
    h->last = stop - from;
    h->total += h->last;
    return true;
}

static inline bool exhausted(hand *h)
{
    return h->at == h->end && next_chunk(h->run) >= h->run->chunks;
}

static double left_ns(hand *h)
{
    run *r = h->run;
    size_t next = next_chunk(r);
    double chunks = next < r->chunks ? (double)(r->chunks - next) : 0;
    return (chunks * (double)r->loop->chunk + (double)(h->end - h->at)) * h->pace;
}

/* After a batch that ended at `now`: the pace, and how long the next batch is to be. */
static void set_pace(hand *h, int64_t now)
{
    size_t unit = h->run->loop->unit ? h->run->loop->unit : 1;
    double took = now > h->now ? (double)(now - h->now) : 1;
    double last = took / (double)h->last;
    double all = now > h->start ? (double)(now - h->start) / (double)h->total : last;
    h->now = now;
    h->pace = last < all ? last : all;
    if (h->last < h->batch / 2 && took < TARGET)
        return; /* cut short by the end of what was taken: says little */
    bool probing = peek(&h->run->limit) > 0 && peek(&h->run->wanted) == 0 && left_ns(h) > WORTH;
    double size = (probing ? PROBE : TARGET) / last;
    double most = (double)h->batch * GROWTH;
    size = size < most ? size : most;
    h->batch = size < (double)h->run->loop->length ? (size_t)size : h->run->loop->length;
    h->batch -= h->batch % unit;
    h->batch = h->batch ? h->batch : unit;
}

/* ---- the crew -------------------------------------------------------------------------------- */

static void *worker_main(void *argument);

/* Runs in the child of a fork, where nothing else runs. */
static void forget_crew(void)
{
    crew *c = atomic_load_explicit(&shared_pool.crew, memory_order_relaxed);
    if (c) {
        c->lost =
            shared_pool.lost; /* stays reachable: its memory is a copy nobody can free safely */
        shared_pool.lost = c;
        atomic_store_explicit(&shared_pool.crew, NULL, memory_order_relaxed);
    }
}

static void set_fork_handler(void) { pthread_atfork(NULL, NULL, forget_crew); }

/* The pool's crew, made where there is none; NULL without memory. */
static crew *crew_of(hw_pool *pool)
{
    /* Acquire pairs with the release of the exchange below: the crew's initialisation. */
    crew *c = atomic_load_explicit(&pool->crew, memory_order_acquire);
    if (c)
        return c;
    pthread_once(&fork_handler_once, set_fork_handler);
    crew *made = calloc(1, sizeof *made);
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

/* True in the child of a fork() that body or poll made: the crew did not come along. */
static bool was_forked(run *r)
{
    return r->crew && atomic_load_explicit(&r->pool->crew, memory_order_relaxed) != r->crew;
}

/* Makes a worker thread, with every signal blocked: handlers run on the program's own threads. */
static bool spawn(crew *c)
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

/* The caller's first ask: puts the run where workers look. */
static bool list_run(run *r)
{
    pthread_condattr_t attributes;
    crew *c = crew_of(r->pool);
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
    run **end = &c->runs;
    while (*end)
        end = &(*end)->younger;
    *end = r;
    pthread_mutex_unlock(&c->lock);
    return true;
}

static void unlist_locked(run *r)
{
    crew *c = r->crew;
    run **link = &c->runs;
    while (*link != r)
        link = &(*link)->younger;
    *link = r->younger;
    r->listed = false;
    adjust_locked(&c->open, -(int)(peek(&r->wanted) - peek(&r->helpers)));
}

/* Asks for one helper more: wakes a sleeping worker or, where every one is busy and there are fewer
 * than this run may use, makes one. Where neither, a worker that becomes free will come. */
static void ask(run *r)
{
    crew *c = r->crew;
    bool wake = false, make = false;
    pthread_mutex_lock(&c->lock);
    if (r->listed && peek(&r->wanted) < peek(&r->limit)) {
        adjust_locked(&r->wanted, 1);
        adjust_locked(&c->open, 1);
        if (c->sleeping > c->signals) {
            c->signals++;
            wake = true;
        } else if (c->workers < peek(&r->limit)) {
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
        atomic_store_explicit(&r->limit, peek(&r->wanted), memory_order_relaxed); /* ask no more */
        pthread_mutex_unlock(&c->lock);
    }
}

/* Asks for up to two helpers where what is left is worth it: each will look again on arrival. */
static void recruit(hand *h)
{
    run *r = h->run;
    double left = left_ns(h);
    for (int asked = 0; asked < 2; asked++) {
        unsigned wanted = peek(&r->wanted);
        if (wanted >= peek(&r->limit) || left < WORTH * (wanted + 1.0))
            return;
        if (!r->crew && !list_run(r)) {
            atomic_store_explicit(&r->limit, 0, memory_order_relaxed);
            return;
        }
        ask(r);
    }
}

/* ---- workers --------------------------------------------------------------------------------- */

/* The listed run with helpers to find that has the fewest. */
static run *neediest_locked(crew *c)
{
    run *found = NULL;
    for (run *r = c->runs; r; r = r->younger) {
        if (peek(&r->helpers) < peek(&r->wanted) &&
            (!found || peek(&r->helpers) < peek(&found->helpers)))
            found = r;
    }
    return found;
}

static unsigned join_locked(run *r)
{
    unsigned word = 0;
    adjust_locked(&r->helpers, 1);
    adjust_locked(&r->crew->open, -1);
    while (r->numbers[word] == UINT64_MAX)
        word++; /* ends: at most limit < MAX_THREADS helpers at a time */
    unsigned bit = (unsigned)__builtin_ctzll(~r->numbers[word]);
    r->numbers[word] |= (uint64_t)1 << bit;
    return word * 64 + bit;
}

/* `back`: somebody else may take the place. The run may be gone once the lock is released. */
static void leave_locked(run *r, unsigned number, int raised, bool back)
{
    r->numbers[number / 64] &= ~((uint64_t)1 << number % 64);
    r->raised |= raised;
    adjust_locked(&r->helpers, -1);
    if (!back)
        adjust_locked(&r->wanted, -1);
    else if (r->listed)
        adjust_locked(&r->crew->open, 1);
    if (peek(&r->helpers) == 0 && r->waiting)
        pthread_cond_signal(&r->done);
}

/* True where another run has at least two helpers fewer than this one. */
static bool is_needed_elsewhere(run *r)
{
    crew *c = r->crew;
    if (peek(&c->open) == 0)
        return false;
    pthread_mutex_lock(&c->lock);
    run *other = neediest_locked(c);
    bool needed = other && other != r && peek(&other->helpers) + 2 <= peek(&r->helpers);
    pthread_mutex_unlock(&c->lock);
    return needed;
}

/* Works on a run until nothing is left, or until another run needs this worker more. True for the
 * latter. The caller's floating-point environment (rounding, flush-to-zero) holds meanwhile. */
static bool help(run *r, unsigned number, int *raised)
{
    size_t unit = r->loop->unit ? r->loop->unit : 1;
    hand h = {.run = r, .number = number, .batch = unit};
    fesetenv(&r->environment);
    feclearexcept(FE_ALL_EXCEPT);
    h.start = h.now = clock_now();
    bool elsewhere = false;
    while (!elsewhere && work(&h) && !was_forked(r)) {
        set_pace(&h, clock_now());
        recruit(&h);
        elsewhere = h.at == h.end && is_needed_elsewhere(r);
    }
    *raised = fetestexcept(FE_ALL_EXCEPT);
    return elsewhere;
}

static void *worker_main(void *argument)
{
    crew *c = argument;
    inside = true;
    pthread_mutex_lock(&c->lock);
    for (;;) {
        run *r = neediest_locked(c);
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
        if (was_forked(r))
            return NULL; /* body forked: this is the child's only thread, and ends it */
        pthread_mutex_lock(&c->lock);
        leave_locked(r, number, raised, back);
    }
}

/* ---- the caller ------------------------------------------------------------------------------ */

/* Calls poll where it is due; notes a wish to stop. */
static void poll_if_due(run *r, int64_t now, int64_t *polled)
{
    const hw_loop *loop = r->loop;
    if (!loop->poll || now - *polled < POLL_EVERY || is_cancelled(r))
        return;
    if (loop->poll(loop->context))
        atomic_store_explicit(&r->cancelled, true, memory_order_relaxed);
    *polled = clock_now();
}

/* Helpers end within a fraction of a batch as a rule: less than going to sleep and waking takes. */
static void spin_for_helpers(run *r)
{
    int64_t until = clock_now() + SPIN;
    while (peek(&r->helpers) && clock_now() < until)
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("isb");
#endif
    for (int i = 0; i < 2 && peek(&r->helpers); i++)
        sched_yield();
}

/* Sleeps until the last helper has left or poll is due. */
static void sleep_locked(run *r, int64_t polled)
{
    r->waiting = true;
    if (r->loop->poll && !is_cancelled(r)) {
        int64_t due = polled + POLL_EVERY;
        struct timespec at = {.tv_sec = (time_t)(due / 1000000000), .tv_nsec = due % 1000000000};
        pthread_cond_timedwait(&r->done, &r->crew->lock, &at);
    } else {
        pthread_cond_wait(&r->done, &r->crew->lock);
    }
    r->waiting = false;
}

/* Waits for the helpers of a run that was listed. False where a fork left it without them. */
static bool gather(run *r, int64_t polled)
{
    crew *c = r->crew;
    pthread_mutex_lock(&c->lock);
    unlist_locked(r);
    pthread_mutex_unlock(&c->lock);
    spin_for_helpers(r);
    pthread_mutex_lock(&c->lock);
    while (peek(&r->helpers)) {
        sleep_locked(r, polled);
        pthread_mutex_unlock(&c->lock);
        poll_if_due(r, clock_now(), &polled);
        if (was_forked(r))
            return false;
        pthread_mutex_lock(&c->lock);
    }
    pthread_mutex_unlock(&c->lock);
    pthread_cond_destroy(&r->done);
    feraiseexcept(r->raised);
    return true;
}

/* The caller's part, once it has been at work for `warm` ns: works until nothing is left to take.
 * False where a fork left it without helpers that had chunks under way. */
static bool lead(hand *h, int64_t warm)
{
    run *r = h->run;
    int64_t now = clock_now(), polled = now;
    h->start = h->now = now - warm;
    while (!exhausted(h)) {
        set_pace(h, now);
        poll_if_due(r, now, &polled);
        if (!was_forked(r) && h->now - h->start >= EARLIEST)
            recruit(h);
        bool more = work(h);
        if (was_forked(r)) {
            if (peek(&r->helpers))
                return false;
            atomic_store_explicit(&r->limit, 0, memory_order_relaxed);
            r->crew = NULL;
        }
        if (!more)
            break;
        now = clock_now();
    }
    return !r->crew || gather(r, polled);
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
    return (uint64_t)clock_now();
#endif
}

/* Handles the loop's first elements while pieces are quick, 1, 15, then each three times all before
 * it, up to the first chunk's end. Returns how many; the last piece's size and ticks in *piece and
 * *took. */
static size_t warm_up(const hw_loop *loop, size_t *piece, uint64_t *took)
{
    size_t end = loop->length < loop->chunk ? loop->length : loop->chunk;
    size_t unit = loop->unit ? loop->unit : 1, size = unit, at = 0;
    uint64_t before = ticks(), after;
    for (;;) {
        size = size < end - at ? size : end - at;
        loop->body(loop->context, at, at + size, 0);
        at += size;
        *piece = size;
        if (at == loop->length)
            return at;
        after = ticks();
        *took = after - before;
        if (at == end || *took > QUICK)
            return at;
        before = after;
        size_t factor = at == unit ? 15 : 3;
        size = at <= end / factor ? at * factor : end;
    }
}

/* All that follows the first `done` elements. */
static hw_status run_rest(hw_pool *pool, const hw_loop *loop, unsigned threads, hand *h,
                          int64_t warm)
{
    size_t chunks = (loop->length - 1) / loop->chunk + 1;
    threads = threads ? threads : hw_pool_threads(pool);
    threads = threads < MAX_THREADS ? threads : MAX_THREADS;
    threads = threads < chunks ? threads : (unsigned)chunks;
    threads = inside ? 1 : threads;

    run r;
    r.loop = loop;
    r.pool = pool;
    r.chunks = chunks;
    r.crew = NULL;
    atomic_init(&r.next, 1);
    atomic_init(&r.cancelled, false);
    atomic_init(&r.limit, threads - 1);
    atomic_init(&r.wanted, 0);
    atomic_init(&r.helpers, 0);
    h->run = &r;

    bool outermost = threads > 1;
    if (outermost)
        inside = true;
    bool whole = lead(h, warm);
    if (outermost)
        inside = false;
    if (!whole)
        return HW_SYSTEM;
    return is_cancelled(&r) ? HW_CANCELLED : HW_OK;
}

hw_status hw_pool_parallel_for(hw_pool *pool, const hw_loop *loop, unsigned threads)
{
    if (loop->length == 0)
        return HW_OK;
    size_t piece;
    uint64_t took;
    size_t done = warm_up(loop, &piece, &took);
    if (done == loop->length)
        return HW_OK;
    size_t chunk_end = loop->length < loop->chunk ? loop->length : loop->chunk;
    hand h = {.at = done, .end = chunk_end, .edge = chunk_end};
    h.batch = h.last = h.total = piece;
    return run_rest(pool, loop, threads, &h, (int64_t)(took / TICKS_PER_NS));
}

/* ---- the pool -------------------------------------------------------------------------------- */

static unsigned default_threads(void)
{
    unsigned threads = hw_cpus_parse(getenv("HEADWAY_NUM_THREADS"), MAX_THREADS);
    if (threads)
        return threads;
    unsigned quota = hw_cpus_quota("");
    threads = hw_cpus_affinity();
    threads = quota && quota < threads ? quota : threads;
    return threads < MAX_THREADS ? threads : MAX_THREADS;
}

hw_pool *hw_pool_shared(void)
{
    unsigned unknown = 0;
    if (peek(&shared_pool.threads) == 0)
        atomic_compare_exchange_strong_explicit(&shared_pool.threads, &unknown, default_threads(),
                                                memory_order_relaxed, memory_order_relaxed);
    return &shared_pool;
}

unsigned hw_pool_threads(const hw_pool *pool)
{
    return atomic_load_explicit(&pool->threads, memory_order_relaxed);
}

hw_status hw_pool_set_threads(hw_pool *pool, unsigned threads)
{
    if (threads < 1 || threads > MAX_THREADS)
        return HW_INVALID;
    atomic_store_explicit(&pool->threads, threads, memory_order_relaxed);
    return HW_OK;
}
