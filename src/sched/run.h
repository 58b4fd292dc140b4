/* SPDX-License-Identifier: MIT */
/*
 * The parallel loop from inside. Internal to sched.
 *
 *   pool.c  what the caller of a loop does, and the public functions
 *   work.c  taking chunks, handling them in batches, keeping pace
 *   crew.c  the worker threads: made, woken, sent to loops, forgotten in a forked child
 *
 * A loop under way is a `run` on its caller's stack. Chunks are handed out by one atomic counter.
 * Whoever works on a run (the caller, and helpers from the crew) does so in batches, one call of
 * body each: as many whole chunks, or as much of one chunk, as take about HW_TARGET. The clock is
 * read between batches only. After each batch, whoever finished it looks at how much is left and at
 * its own pace; where what is left would keep one thread more busy for longer than HW_WORTH, it
 * asks the crew for one. Nobody else ever wakes anybody, so a short loop costs a few clock reads
 * and no system call, and a long one gathers its helpers in a tree: each that arrives may ask for
 * more.
 *
 * Why every element is handled exactly once: `next` moves only by compare-and-swap, so each chunk
 * has one taker, which finishes it, batch after batch, before it takes another or leaves. The
 * caller returns when `next` has reached the end and, under the crew's lock, it sees no helper on
 * the run and has taken the run off the list where helpers find it.
 *
 * Why what helpers wrote is visible to the caller: a helper leaves by taking the lock and counting
 * itself out; the caller sees the count under the same lock. What the caller wrote before the loop
 * is visible to helpers the same way: it lists the run under the lock under which they find it. No
 * other atomic carries data but the pool's pointer to its crew, so all the rest are relaxed.
 *
 * fork(): the child has one thread. Its crew is gone, whatever state the lock is in, so the child
 * forgets it and makes another when it needs one. A run that was under way in the forking thread
 * itself (fork in body or poll) notices that its crew is no longer the pool's.
 */
#ifndef HEADWAY_SCHED_RUN_H
#define HEADWAY_SCHED_RUN_H

#include <fenv.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include "headway/pool.h"

enum { HW_MAX_THREADS = 1024, HW_NUMBER_WORDS = HW_MAX_THREADS / 64 };

/*
 * Nanoseconds, but for HW_GROWTH. What a wake costs depends on how long the other core has idled:
 * on a two-core virtual machine 2 us to the waker and 15 to the sleeper after 0.2 ms, 4 and 45
 * after 5 ms, 10 and 80 after 20 ms. HW_WORTH is such that the worst of these costs a loop less
 * than a tenth and gains something even so. HW_EARLIEST and HW_PROBE keep a cold start (page
 * faults, lazy binding) from being extrapolated, and find the moment to ask soon after. HW_TARGET
 * and HW_GROWTH bound how long poll waits where elements become slow all of a sudden; a clock read
 * a batch is 0.03 % of it.
 */
#define HW_TARGET 100000.0 /* a batch, once its length is known */
#define HW_PROBE 12000.0   /* a batch, while nobody has been asked and it may soon be worth it */
#define HW_EARLIEST 20000  /* nobody is asked before a run is this old */
#define HW_WORTH 120000.0  /* asking pays where it leaves each thread this much to do */
#define HW_GROWTH 4.0      /* from one batch to the next at most */
#define HW_POLL_EVERY 20000000 /* between calls of poll */
#define HW_SPIN 10000          /* waiting for the last helpers awake, before sleeping */
#define HW_LEAST_PAUSE                                                                             \
    5000000 /* after a loop that helpers made slower; see hw_crew_judge_locked                     \
             */
#define HW_MOST_PAUSE 100000000

typedef struct hw_crew hw_crew;
typedef struct hw_run hw_run;

struct hw_pool {
    _Atomic unsigned threads; /* 0 until first asked for */
    _Atomic(hw_crew *) crew;  /* NULL until the first helper is wanted, and in a forked child */
    hw_crew *lost; /* crews of the processes this one was forked from; child handler only */
};

/* The worker threads of one process. `lock` guards everything here and a run's second half; what is
 * atomic is written under the lock and peeked at without. */
struct hw_crew {
    pthread_mutex_t lock;
    pthread_cond_t wake;          /* workers sleep here */
    hw_run *runs;                 /* listed runs, oldest first */
    unsigned workers;             /* threads alive or being made */
    unsigned sleeping;            /* of those, waiting on `wake` */
    unsigned signals;             /* of those, signalled and not yet up */
    _Atomic unsigned open;        /* helpers asked for, on listed runs, that nobody is yet */
    int64_t pause;                /* the last one's length */
    _Atomic int64_t paused_until; /* until then ... */
    _Atomic int64_t paused_below; /* ... runs with less than this left ask for nobody */
    hw_crew *lost;                /* see hw_pool */
};

/* One hw_pool_parallel_for under way. */
struct hw_run {
    const hw_loop *loop;
    hw_pool *pool;
    size_t chunk; /* elements, a multiple of the unit */
    size_t chunks;
    _Atomic size_t next;     /* the next chunk to take */
    _Atomic bool cancelled;  /* set by the caller only */
    _Atomic unsigned limit;  /* helpers at most */
    _Atomic unsigned wanted; /* helpers asked for */
    double alone;            /* ns the caller would take, as it seemed at the first ask */
    hw_crew *crew;           /* NULL until the first ask; written by the caller before it lists */

    /* From the first ask on, under the crew's lock. */
    hw_run *younger;
    bool listed;
    bool waiting;             /* the caller sleeps on `done` */
    _Atomic unsigned helpers; /* at work on it; spun on without the lock */
    int raised;               /* floating-point exceptions of helpers that left */
    pthread_cond_t done;
    fenv_t environment;                /* the caller's; set before listing, then only read */
    uint64_t numbers[HW_NUMBER_WORDS]; /* worker numbers in use */
};

/* Somebody at work on a run; on its own stack. */
typedef struct hw_hand {
    hw_run *run;
    unsigned number;
    size_t at, end; /* elements taken and not yet handled */
    size_t batch;   /* elements the next batch should have, a multiple of the unit */
    size_t total;   /* elements handled so far */
    size_t last;    /* elements of the last batch */
    int64_t start;  /* of the first batch */
    int64_t now;    /* end of the last batch */
    double pace;    /* ns an element, the lower of the last batch's and all batches' */
} hw_hand;

static inline int64_t hw_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline unsigned hw_peek(const _Atomic unsigned *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static inline bool hw_run_cancelled(const hw_run *run)
{
    return atomic_load_explicit(&run->cancelled, memory_order_relaxed);
}

static inline size_t hw_run_next(const hw_run *run)
{
    return atomic_load_explicit(&run->next, memory_order_relaxed);
}

/* True in the child of a fork() that body or poll made: the crew did not come along. */
static inline bool hw_run_was_forked(const hw_run *run)
{
    return run->crew && atomic_load_explicit(&run->pool->crew, memory_order_relaxed) != run->crew;
}

/* ---- work.c -----------------------------------------------------------------------------------
 */

/* Handles one batch. False where nothing is left to take, or the run was cancelled. */
bool hw_hand_work(hw_hand *hand);

/* True where nothing is left for this hand. */
bool hw_hand_exhausted(const hw_hand *hand);

/* After a batch that ended at `now`: the pace, and how long the next batch is to be. */
void hw_hand_set_pace(hw_hand *hand, int64_t now);

/* What is left of the run for one thread alone, at this hand's pace. */
double hw_hand_left(const hw_hand *hand);

/* ---- crew.c -----------------------------------------------------------------------------------
 */

/* In a worker, or in a caller whose loop may have helpers: further loops run inline. */
extern _Thread_local bool hw_crew_inside;

extern hw_pool hw_pool_the_one;

/* Asks for up to two helpers where what is left is worth it: each will look again on arrival. The
 * caller's first ask lists the run. */
void hw_crew_recruit(hw_hand *hand);

/* Takes a listed run off the list: no helper joins it any more. */
void hw_crew_unlist_locked(hw_run *run);

/* Learns from a run that had helpers and has ended at `now`. */
void hw_crew_judge_locked(const hw_hand *caller, int64_t now);

#endif
